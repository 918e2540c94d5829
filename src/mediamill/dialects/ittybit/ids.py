"""Ids as this dialect writes them: `task_` and what follows the one letter of ours. Nothing is stored for it."""

from __future__ import annotations

import base64
import re

from mediamill.core.errors import NotFound

PREFIXES = {
    "task": ("task", "t"),
    "run": ("run", "r"),
    "job": ("job", "r"),
    "file": ("file", "f"),
    "media": ("med", "m"),
    "key": ("key", "k"),
    "event": ("evt", "e"),
    "endpoint": ("we", "w"),
    "connection": ("con", "c"),
    "automation": ("auto", "o"),
}
"""Of each noun, the word here and the letter of ours."""
_LEAST = 10
_REST = re.compile(r"[a-z0-9]{1,63}", re.ASCII)


def write(noun: str, id: str) -> str:
    """Our id as it is shown."""
    return f"{PREFIXES[noun][0]}_{id[1:]}"


def read(noun: str, id: str) -> str:
    """Our id of one that was shown. Raises NotFound for what cannot be one."""
    word, letter = PREFIXES[noun]
    head, _, rest = id.partition("_")
    if head != word or not _REST.fullmatch(rest):
        raise NotFound(noun, id)
    return letter + rest


def project(id: str) -> str:
    """A project as it is shown: letters and digits only, filled up with a digit that the coding has no use for."""
    return "proj_" + base64.b32encode(id.encode()).decode().lower().rstrip("=").ljust(_LEAST, "0")


def read_project(word: str) -> str:
    """Our id of a project that was shown. Raises NotFound for what cannot be one."""
    code = word.removeprefix("proj_").rstrip("0").upper()
    try:
        found = base64.b32decode(code + "=" * (-len(code) % 8)).decode()
    except (ValueError, UnicodeDecodeError):
        found = ""
    if not found or project(found) != word:
        raise NotFound("project", word)
    return found
