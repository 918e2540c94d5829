"""Signed URLs of our own: who holds one may upload or download one file until an instant, without a key.

The dashboard's session cookies are signed alike; the verb keeps one from ever being taken for the other.
"""

from __future__ import annotations

import base64
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

    def seal(self, *parts: str) -> str:
        """A signature over some words in their order, for dialects with signed URLs of their own form."""
        mac = hmac.new(self._secret, digestmod=hashlib.sha256)
        mac.update(b"seal")  # no other signature begins so, and each length keeps two words from being read as others
        for part in parts:
            word = part.encode("utf-8", "surrogatepass")
            mac.update(len(word).to_bytes(8, "big") + word)
        return base64.urlsafe_b64encode(mac.digest()).decode().rstrip("=")

    def sealed(self, signature: str, *parts: str) -> bool:
        """Whether a signature is that of `seal`."""
        return hmac.compare_digest(self.seal(*parts).encode(), signature.encode("utf-8", "replace"))

    def _sign(self, verb: Verb, file_id: str, expires: int) -> str:
        return hmac.new(self._secret, f"{verb}\n{file_id}\n{expires}".encode(), hashlib.sha256).hexdigest()[:40]
