"""Signed URLs of our own: who holds one may upload or download one file until an instant, without a key.

The dashboard's session cookies are signed alike; the verb keeps one from ever being taken for the other.
"""

from __future__ import annotations

import hashlib
import hmac
import time
from typing import Literal

from mediamill.core.errors import Expired

Verb = Literal["upload", "download", "session"]


class Signer:
    """Signs (verb, id of a file or key, expiry) with a secret of the install."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def query(self, verb: Verb, file_id: str, lifetime_s: float, *, until: float | None = None) -> str:
        """The query string of a URL that is good for `lifetime_s`, and no longer than `until` (epoch seconds)."""
        expires = int(time.time() + lifetime_s)
        if until is not None:
            expires = min(expires, int(until))
        return f"expires={expires}&signature={self._sign(verb, file_id, expires)}"

    def check(self, verb: Verb, file_id: str, expires: str | None, signature: str | None) -> None:
        """Raises Expired unless the signature fits and its time has not passed."""
        if not expires or not expires.isascii() or not expires.isdigit() or len(expires) > 12 or not signature:
            raise Expired("The signature is missing or malformed.")
        good = self._sign(verb, file_id, int(expires))
        if not hmac.compare_digest(good.encode(), signature.encode("utf-8", "replace")):
            raise Expired("The signature does not fit.")
        if int(expires) < time.time():
            raise Expired("The signed URL has expired.")

    def _sign(self, verb: Verb, file_id: str, expires: int) -> str:
        return hmac.new(self._secret, f"{verb}\n{file_id}\n{expires}".encode(), hashlib.sha256).hexdigest()[:40]
