"""Ids as this dialect writes them: a word and a ULID, made of ours and turned back, so that nothing is stored for it.

Ours are a letter, 9 digits of milliseconds and 11 of randomness in base 36 (core.ids), which fit the 48 and 80 bits of
a ULID; the last 23 bits check the rest, so that an id that was not minted here is told at once, and order is kept.
Source: github.com/ulid/spec.
"""

from __future__ import annotations

import hashlib
import re

from mediamill.core.errors import NotFound

_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_BASE36 = "0123456789abcdefghijklmnopqrstuvwxyz"
_ULID = re.compile(r"[0-7][0-9A-HJKMNP-TV-Z]{25}", re.ASCII)
_OURS = re.compile(r"[0-9a-z]{20}", re.ASCII)
_LETTERS = {
    "task": "t", "render": "t", "import": "t", "asset": "f", "key": "k", "wh": "w", "proj": "x", "evt": "e", "dlv": "d",
}  # fmt: skip
"""Of each word here, the letter of ours; several nouns of ours may share one."""
_RANDOM_BITS = 57
_CHECK_BITS = 80 - _RANDOM_BITS


def write(word: str, id: str) -> str:
    """Our id as it is shown."""
    rest = id[1:]
    if not _OURS.fullmatch(rest):
        return derived(word, id)
    at_ms, random = int(rest[:9], 36), int(rest[9:], 36)
    if at_ms >= 1 << 48 or random >= 1 << _RANDOM_BITS:
        return derived(word, id)
    return f"{word}_{_ulid(at_ms, random << _CHECK_BITS | _check(at_ms, random))}"


def read(word: str, id: str, noun: str | None = None) -> str:
    """Our id of one that was shown. Raises NotFound for what cannot be one."""
    head, _, ulid = id.partition("_")
    if head == word and _ULID.fullmatch(ulid):
        number = 0
        for sign in ulid:
            number = number << 5 | _CROCKFORD.index(sign)
        at_ms, random = number >> 80, number >> _CHECK_BITS & (1 << _RANDOM_BITS) - 1
        if number & (1 << _CHECK_BITS) - 1 == _check(at_ms, random):
            return _LETTERS[word] + _base36(at_ms, 9) + _base36(random, 11)
    raise NotFound(noun or word, id)


def derived(word: str, *parts: str) -> str:
    """An id of something whose id of ours is no such number, a project say: the same for ever, and not turned back."""
    number = int.from_bytes(hashlib.sha256("\0".join(("framelane", word, *parts)).encode()).digest()[:16], "big")
    return f"{word}_{_ulid(number >> 82, number & (1 << 80) - 1)}"


def numbered(word: str, at_ms: int, number: int) -> str:
    """An id of something that is counted: the instant it came to be, and its number."""
    return f"{word}_{_ulid(at_ms, number << 16 | _check(at_ms, number) & 0xFFFF)}"


def number(word: str, id: str) -> int | None:
    """The number of an id of `numbered`; None when it is no such id."""
    head, _, ulid = id.partition("_")
    if head != word or not _ULID.fullmatch(ulid):
        return None
    whole = 0
    for sign in ulid:
        whole = whole << 5 | _CROCKFORD.index(sign)
    at_ms, rest = whole >> 80, whole & (1 << 80) - 1
    found = rest >> 16
    return found if rest & 0xFFFF == _check(at_ms, found) & 0xFFFF and 0 < found < 1 << 63 else None


def workspace(project_id: str) -> str:
    """A project as it is shown."""
    return derived("ws", project_id)


def _check(at_ms: int, random: int) -> int:
    digest = hashlib.blake2s(f"{at_ms} {random}".encode(), digest_size=4, person=b"mediaml").digest()
    return int.from_bytes(digest, "big") >> (32 - _CHECK_BITS)


def _ulid(at_ms: int, rest: int) -> str:
    number = at_ms << 80 | rest
    return "".join(_CROCKFORD[number >> shift & 31] for shift in range(125, -1, -5))


def _base36(number: int, width: int) -> str:
    digits = []
    for _ in range(width):
        number, rest = divmod(number, 36)
        digits.append(_BASE36[rest])
    return "".join(reversed(digits))
