"""The words callers have for kinds, and the options each kind takes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from mediamill import kinds
from mediamill.core.tasks import Task
from mediamill.dialects.ittybit.errors import Fault, invalid

KINDS = (
    "video", "adaptive_video", "image", "audio", "speech", "nsfw", "summary", "outline", "subtitles", "chapters",
    "ingest", "conditions", "upload",
)  # fmt: skip
OLD = {"description": "summary", "subtitle": "subtitles", "chapter": "chapters"}
"""Words of older callers, and what they are called now."""
GONE = ("prompt", "http", "thumbnails", "thumbnail")
"""Words of older callers for what there is no engine for."""
TOP = frozenset({
    "kind", "url", "file_id", "input", "options", "metadata", "connection_id", "destination", "output", "filename",
    "folder", "ref", "webhook_url", "next", "tasks", "workflow",
})  # fmt: skip
"""Keys beside `options`; an option of such a name is only taken inside."""


def kind_of(word: Any, where: str = "kind") -> str:
    """The kind a caller means. Raises a 400 Fault that names the words."""
    if isinstance(word, str):
        word = OLD.get(word, word)
        if word in GONE:
            raise Fault(400, "kind_unavailable", f"{where}: there is no engine for {word} here.")
        if word in KINDS:
            if word not in kinds.load():
                raise Fault(400, "kind_unavailable", f"{where}: there is no engine for {word} here.")
            return str(word)
    raise invalid(f"{where} must be one of {', '.join(KINDS)}.")


def listed(word: str, *, old_words: bool) -> str:
    """A kind to list by. Raises a 400 Fault that names the words."""
    known = OLD.get(word, word) if old_words else word
    if known not in KINDS:
        raise invalid(f"kind must be one of {', '.join(KINDS)}.")
    return known


def option_names(kind: str) -> frozenset[str]:
    """What can be chosen of a kind."""
    known = kinds.load().get(kind)
    return frozenset(f.encode_name for f in msgspec.structs.fields(known.options)) if known else frozenset()


def accepted(kind: str, field: str) -> list[str]:
    """The words that an option takes, by its dotted path; none where it takes other things than words."""
    known = kinds.load().get(kind)
    if known is None:
        return []
    schema = msgspec.json.schema(known.options)
    defs = schema.get("$defs", {})
    found = [schema]
    for part in ["", *field.split(".")]:
        step: list[Any] = []
        for one in _plain(found, defs):
            inner = one.get("items") if part.isdigit() else one.get("properties", {}).get(part)
            if part == "":
                inner = one
            if isinstance(inner, dict):
                step.append(inner)
        found = step
    return [
        str(word) for one in _plain(found, defs) for word in one.get("enum", [one["const"]] if "const" in one else [])
    ]


def _plain(schemas: list[Any], defs: Mapping[str, Any]) -> list[Any]:
    """Schemas without references and alternatives."""
    found, left = [], list(schemas)
    while left:
        one = left.pop()
        if "$ref" in one:
            left.append(defs[one["$ref"].rsplit("/", 1)[1]])
        elif "anyOf" in one:
            left.extend(one["anyOf"])
        else:
            found.append(one)
    return found


def folded(item: Mapping[str, Any], kind: str, where: str) -> dict[str, Any]:
    """The options of a task item: those inside `options`, and those that older callers put beside it."""
    inner = item.get("options")
    if inner is None:
        inner = {}
    if not isinstance(inner, dict):
        raise invalid(f"{where}options must be an object.")
    names = option_names(kind) - TOP
    return {**{name: value for name, value in item.items() if name in names}, **inner}


def worded(task: Task) -> bool:
    """Whether a task can be shown here at all."""
    return task.kind in KINDS
