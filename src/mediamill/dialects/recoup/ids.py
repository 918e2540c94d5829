"""Ids as this dialect writes them: `run_` before ours, whole. Nothing is stored for it."""

from __future__ import annotations

import re

from mediamill.core.errors import NotFound

_OURS = re.compile(r"[a-z0-9]{1,64}", re.ASCII)


def run(id: str) -> str:
    """A run as it is shown."""
    return f"run_{id}"


def attempt(id: str, number: int) -> str:
    """An attempt of a run as it is shown; it has no id of its own."""
    return f"attempt_{id}{number}"


def batch(id: str) -> str:
    """A batch as it is shown."""
    return f"batch_{id}"


def read_run(word: str) -> str:
    """Our id of a run that was shown. Raises NotFound for what cannot be one."""
    return _read("run", word)


def read_batch(word: str) -> str:
    """Our id of a batch that was shown. Raises NotFound for what cannot be one."""
    return _read("batch", word)


def _read(noun: str, word: str) -> str:
    head, _, rest = word.partition("_")
    if head != noun or not _OURS.fullmatch(rest):
        raise NotFound(noun, word)
    return rest
