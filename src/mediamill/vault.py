"""Secrets at rest: sealed with a key that never lies in the database.

AES-256-GCM. What a secret belongs to is bound to it, so that a sealed value moved to another row does not open. Each
sealed value names its key, so that keys can be changed: the first one given seals, every one opens.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import re
import secrets
from collections.abc import Sequence
from pathlib import Path

from mediamill.core.errors import MediamillError, Misconfigured

SETTING = "MEDIAMILL_SECRET_KEY"
FILE = "secret.key"
_HOW = "32 random bytes as base64 or hex (openssl rand -base64 32). See docs/why/secrets.md."
_KEY_BYTES = 32
_NONCE_BYTES = 12
_ID_BYTES = 8
_TAG_BYTES = 16
_FORMAT = b"\x01"


def is_sealed(value: bytes) -> bool:
    """Whether it has the form of a sealed value; for columns that once held secrets, which are shorter, as they are."""
    return value[:1] == _FORMAT and len(value) >= len(_FORMAT) + _ID_BYTES + _NONCE_BYTES + _TAG_BYTES


class Unopenable(MediamillError):
    """A stored secret that no key here opens: the key was changed or lost, or the value was tampered with."""

    code = "secret_unopenable"


class Vault:
    """Seals and opens. With no keys given, one is kept in `folder`: made when something is first sealed."""

    def __init__(self, keys: str | None, folder: Path) -> None:
        """keys: one or more as text, joined by commas; the first seals. Raises Misconfigured for one that is none."""
        self._path = folder / FILE
        self._keys = _keys(keys, SETTING) if keys is not None else ()

    @property
    def key_id(self) -> str:
        """The name of the key that seals now."""
        return _id(self._sealing()).hex()

    def seal(self, secret: str, about: str) -> bytes:
        """The secret of `about` (a noun and an id), to be stored."""
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        key, nonce = self._sealing(), secrets.token_bytes(_NONCE_BYTES)
        head = _FORMAT + _id(key)
        return head + nonce + AESGCM(key).encrypt(nonce, secret.encode("utf-8", "surrogatepass"), _bound(head, about))

    def mark(self) -> bytes:
        """What everything begins with that is sealed now."""
        return _FORMAT + _id(self._sealing())

    def open(self, sealed: bytes, about: str) -> str:
        """The secret again. Raises Unopenable, whose words may be shown."""
        from cryptography.exceptions import InvalidTag
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        head = sealed[: len(_FORMAT) + _ID_BYTES]
        body = sealed[len(head) :]
        if head[:1] != _FORMAT or len(body) < _NONCE_BYTES:
            raise Unopenable(f"The stored secret of {about} is not in a form that is known here.")
        named = head[1:]
        key = next((key for key in self._opening() if _id(key) == named), None)
        if key is None:
            raise Unopenable(
                f"The stored secret of {about} was sealed with key {named.hex()}, which this machine does not have: "
                f"give it in {SETTING}, or store the secret anew."
            )
        try:
            plain = AESGCM(key).decrypt(body[:_NONCE_BYTES], body[_NONCE_BYTES:], _bound(head, about))
        except InvalidTag:
            raise Unopenable(f"The stored secret of {about} has been changed since it was sealed.") from None
        return plain.decode("utf-8", "surrogatepass")

    def _opening(self) -> Sequence[bytes]:
        if not self._keys and self._path.exists():
            self._keys = _read(self._path)
        return self._keys

    def _sealing(self) -> bytes:
        if not self._opening():
            _make(self._path)
            self._keys = _read(self._path)
        return self._keys[0]


def _bound(head: bytes, about: str) -> bytes:
    return head + about.encode("utf-8", "surrogatepass")


def _id(key: bytes) -> bytes:
    """Says which key it was without saying anything of the key."""
    return hashlib.sha256(b"mediamill key\0" + key).digest()[:_ID_BYTES]


def _keys(text: str, where: str) -> tuple[bytes, ...]:
    found = tuple(_key(word.strip(), where) for word in text.split(",") if word.strip())
    if not found:
        raise Misconfigured(where, "holds no key.", _HOW)
    return found


def _key(word: str, where: str) -> bytes:
    key = b""
    if re.fullmatch(r"[0-9A-Fa-f]{64}", word):
        key = bytes.fromhex(word)
    else:
        try:
            key = base64.b64decode(word.translate(str.maketrans("-_", "+/")) + "=" * (-len(word) % 4), validate=True)
        except (binascii.Error, ValueError):
            key = b""
    if len(key) != _KEY_BYTES:
        raise Misconfigured(where, "is not a key.", _HOW)
    return key


def _read(path: Path) -> tuple[bytes, ...]:
    try:
        return _keys(path.read_text(), str(path))
    except (OSError, UnicodeDecodeError) as error:
        raise Misconfigured(str(path), "cannot be read.", _HOW) from error


def _make(path: Path) -> None:
    """A fresh key at `path`, readable by us alone. Of two processes that come at once, one makes it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(base64.b64encode(secrets.token_bytes(_KEY_BYTES)).decode() + "\n")
            file.flush()
            os.fsync(file.fileno())
        os.link(part, path)  # fails when it is there by now: then that one counts
    except FileExistsError:
        return
    finally:
        part.unlink()
