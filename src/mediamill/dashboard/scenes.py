"""The scene in the studio's editor: read, with what is wrong or doubtful said at the line it is about."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from mediamill.core import compositions
from mediamill.core.errors import Invalid

SAMPLE = """{
  "width": 960,
  "height": 540,
  "duration": 4,
  "background_color": "#10231d",
  "elements": [
    {
      "type": "text",
      "id": "title",
      "text": "Two days away",
      "duration": 4,
      "font_size": 84,
      "font_weight": 700,
      "text_color": "#f4f7f5",
      "y": "44%",
      "motion": [{"type": "slide_up", "time": 0, "duration": 0.8}]
    },
    {
      "type": "text",
      "id": "under",
      "text": "and not a minute early",
      "time": 0.8,
      "duration": 3.2,
      "font_size": 36,
      "text_color": "#5fc3a4",
      "y": "62%",
      "motion": [{"type": "fade", "time": 0.8, "duration": 0.6}]
    }
  ]
}
"""
"""A scene to begin with, which needs no file."""
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\]:,]|[^\s{}\[\]:,"]+')


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """Something wrong or doubtful. `line` counts from 1."""

    severity: Literal["error", "warning"]
    message: str
    path: str = ""
    line: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Looked:
    """A scene as far as it could be read; `request` is filled in, None where it cannot be."""

    notes: Sequence[Note]
    request: Mapping[str, Any] | None = None
    duration_s: float | None = None

    @property
    def sound(self) -> bool:
        """Whether it may be drawn."""
        return self.request is not None and not any(note.severity == "error" for note in self.notes)


def look(text: str) -> Looked:
    """Read a scene, and say everything that is to be said of it at its place."""
    try:
        raw = json.loads(text, parse_constant=_no_number)
    except json.JSONDecodeError as error:
        return Looked(notes=[Note(severity="error", message=f"This is no JSON: {error.msg}.", line=error.lineno)])
    except (ValueError, RecursionError):
        return Looked(notes=[Note(severity="error", message="This is no JSON that a scene can be.")])
    if isinstance(raw, dict) and isinstance(raw.get("render_request"), dict):
        return Looked(notes=[Note(severity="error", message="Give what is inside render_request.")])
    if not isinstance(raw, dict):
        return Looked(notes=[Note(severity="error", message="A scene is an object: { … }.")])
    try:
        request = compositions.filled(raw)
        scene = compositions.parse(request)
    except Invalid as error:
        line = line_of(places(text), error.field)
        return Looked(notes=[Note(severity="error", message=error.reason, path=error.field, line=line)])
    where = places(text)
    notes = [
        Note(severity=one.severity, message=one.message, path=one.path or "", line=line_of(where, one.path or ""))
        for one in compositions.violations(scene)
    ]
    notes += [
        Note(severity="warning", message="is not known, and left out.", path=path, line=line_of(where, path))
        for path in _strange(raw, request, "")
    ]
    return Looked(notes=sorted(notes, key=lambda note: note.line), request=request, duration_s=scene.duration_s)


def line_of(where: Mapping[str, int], path: str) -> int:
    """The line of a dotted path, or of the nearest thing around it."""
    while path and path not in where:
        path = path.rpartition(".")[0]
    return where.get(path, 1)


def places(text: str) -> dict[str, int]:
    """The line of every value of a JSON text, by its dotted path. The text must be JSON."""
    found: dict[str, int] = {}
    around: list[tuple[str, str | int]] = []  # of each open bracket: its path, and the key or place within
    line, seen, key = 1, 0, False
    for token in _TOKEN.finditer(text):
        line += text.count("\n", seen, token.start())
        seen, word = token.start(), token.group()
        if word in "}]":
            around.pop()
            key = False
        elif word == ",":
            path, within = around[-1]
            around[-1] = (path, within + 1 if isinstance(within, int) else "")
            key = not isinstance(within, int)
        elif word == ":":
            key = False
        elif key:
            around[-1] = (around[-1][0], json.loads(word))
            found[_path(around)] = line
        else:
            found.setdefault(_path(around), line)
            if word in "{[":
                around.append((_path(around), "" if word == "{" else 0))
                key = word == "{"
    return found


def _strange(raw: Any, known: Any, path: str) -> Iterator[str]:
    """The paths of what a scene says and its filled-in request does not."""
    if isinstance(raw, dict) and isinstance(known, dict):
        for name, value in raw.items():
            here = f"{path}.{name}" if path else name
            if name not in known:
                yield here
            else:
                yield from _strange(value, known[name], here)
    elif isinstance(raw, list) and isinstance(known, list):
        for number, (value, kept) in enumerate(zip(raw, known, strict=False)):
            yield from _strange(value, kept, f"{path}.{number}")


def _path(around: Sequence[tuple[str, str | int]]) -> str:
    if not around:
        return ""
    path, within = around[-1]
    return f"{path}.{within}" if path else str(within)


def _no_number(word: str) -> Any:
    raise ValueError(word)
