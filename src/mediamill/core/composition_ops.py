"""Edits of a scene, one after the other, on its JSON: all of them hold, or the scene stays as it was.

Source: the Framelane contract, section 8; the words of the operations are its own.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mediamill.core.compositions import filled
from mediamill.core.errors import Invalid, NotFound

MOST_OPS = 500
Json = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Edited:
    """A scene after its edits, filled in; and what they touched."""

    request: Json
    changed_ids: Sequence[str]
    added_ids: Sequence[str]
    removed_ids: Sequence[str]
    transitions_changed: bool


@dataclass(slots=True)
class _Draft:
    request: Json
    changed: dict[str, None] = field(default_factory=dict)

    @property
    def elements(self) -> list[Json]:
        found: list[Json] = self.request["elements"]
        return found

    @property
    def transitions(self) -> list[Json]:
        found: list[Json] = self.request["transitions"]
        return found

    def element(self, op: Json) -> Json:
        """The element an operation names. Raises NotFound."""
        id = _text(op, "id")
        for element in self.elements:
            if element.get("id") == id:
                self.changed[id] = None
                return element
        raise NotFound("element", id)

    def transition(self, op: Json) -> Json:
        """The transition between the two that an operation names. Raises NotFound."""
        ends = _text(op, "from_id"), _text(op, "to_id")
        for transition in self.transitions:
            if (transition.get("from_id"), transition.get("to_id")) == ends:
                return transition
        raise NotFound("transition", " to ".join(ends))

    def unused_id(self) -> str:
        taken = {element.get("id") for element in self.elements}
        number = len(self.elements) + 1
        while f"element_{number}" in taken:
            number += 1
        return f"element_{number}"


def edited(request: Mapping[str, Any], ops: Any) -> Edited:
    """The scene with all operations applied, in order.

    Raises Invalid with the path of what is wrong ("ops.2.by", or in the scene they make), Unsupported, and NotFound for
    an element or a transition that is not there.
    """
    if not isinstance(ops, list):
        raise Invalid("ops", "must be a list.")
    if not 1 <= len(ops) <= MOST_OPS:
        raise Invalid("ops", f"must have 1 to {MOST_OPS} entries.")
    draft = _Draft(copy.deepcopy(dict(request)))
    before_ids, before = _ids(draft.request), copy.deepcopy(draft.transitions)
    for number, op in enumerate(ops):
        if not isinstance(op, dict):
            raise Invalid(f"ops.{number}", "must be an object.")
        word = op.get("op")
        if not isinstance(word, str) or word not in _OPS:
            raise Invalid(f"ops.{number}.op", f"must be one of {', '.join(_OPS)}.")
        try:
            _OPS[word](draft, op)
        except Invalid as error:
            raise Invalid(f"ops.{number}.{error.field}".rstrip("."), error.reason) from error
    made = filled(draft.request)
    ids = _ids(made)
    added = [id for id in ids if id not in before_ids]
    removed = [id for id in before_ids if id not in ids]
    return Edited(
        request=made,
        changed_ids=[id for id in dict.fromkeys([*draft.changed, *added, *removed]) if id],
        added_ids=added,
        removed_ids=removed,
        transitions_changed=made["transitions"] != before,
    )


def _ids(request: Mapping[str, Any]) -> list[str]:
    return list(dict.fromkeys(element["id"] for element in request.get("elements", ()) if element.get("id")))


def _set_fields(draft: _Draft, op: Json) -> None:
    element, fields = draft.element(op), _object(op, "fields")
    if fields.get("type", element["type"]) != element["type"]:
        raise Invalid("fields.type", "an element stays of its type; remove it and add another.")
    element.update(fields)


def _trim_element(draft: _Draft, op: Json) -> None:
    element = draft.element(op)
    known = ("in_point", "out_point") if element["type"] in ("video", "audio") else ("duration",)
    given: Json = {name: op[name] for name in ("in_point", "out_point", "duration") if name in op}
    if not given:
        raise Invalid("", f"needs {' or '.join(known)}.")
    for name in given:
        if name not in known:
            raise Invalid(name, f"a {element['type']} has {' and '.join(known)}.")
    element.update(given)


def _replace_request(draft: _Draft, op: Json) -> None:
    draft.request = filled(_object(op, "render_request"))
    draft.changed.update(dict.fromkeys(_ids(draft.request)))


def _shift_element(draft: _Draft, op: Json) -> None:
    """Motion and caption words have times of the timeline, so they go along."""
    element = draft.element(op)
    if ("by" in op) == ("time" in op):
        raise Invalid("", "needs either by or time.")
    start = float(element.get("time") or 0)
    by = _number(op, "by") if "by" in op else _number(op, "time") - start
    if start + by < 0:
        raise Invalid("by" if "by" in op else "time", "the element would begin before the timeline does.")
    element["time"] = round(start + by, 6)
    for motion in element.get("motion") or ():
        motion["time"] = max(0.0, round(motion["time"] + by, 6))
    for word in (element.get("word_animation") or {}).get("words", ()):
        word["start"], word["end"] = (max(0.0, round(word[end] + by, 6)) for end in ("start", "end"))


def _swap_source(draft: _Draft, op: Json) -> None:
    element = draft.element(op)
    if "source_url" not in element:
        raise Invalid("id", f"a {element['type']} has no source.")
    element["source_url"] = _text(op, "source_url")


def _add_element(draft: _Draft, op: Json) -> None:
    element = dict(_object(op, "element"))
    if not element.get("id"):
        element["id"] = draft.unused_id()
    index = _index(op, len(draft.elements)) if "index" in op else len(draft.elements)
    draft.elements.insert(index, element)


def _remove_element(draft: _Draft, op: Json) -> None:
    element = draft.element(op)
    draft.elements.remove(element)
    kept = [one for one in draft.transitions if element["id"] not in (one.get("from_id"), one.get("to_id"))]
    draft.request["transitions"] = kept


def _reorder(draft: _Draft, op: Json) -> None:
    element = draft.element(op)
    index = _index(op, len(draft.elements) - 1)
    draft.elements.remove(element)
    draft.elements.insert(index, element)


def _add_transition(draft: _Draft, op: Json) -> None:
    transition = _object(op, "transition")
    draft.transitions.append(dict(transition))
    _touch(draft, transition)


def _update_transition(draft: _Draft, op: Json) -> None:
    transition = draft.transition(op)
    _touch(draft, transition)
    transition.update(_object(op, "fields"))


def _remove_transition(draft: _Draft, op: Json) -> None:
    transition = draft.transition(op)
    _touch(draft, transition)
    draft.transitions.remove(transition)


def _retime_captions(draft: _Draft, op: Json) -> None:
    element = draft.element(op)
    if not element.get("word_animation"):
        raise Invalid("id", "the element has no word_animation.")
    words = op.get("words")
    if not isinstance(words, list):
        raise Invalid("words", "must be a list.")
    element["word_animation"] = {**element["word_animation"], "words": words}


_OPS: Mapping[str, Callable[[_Draft, Json], None]] = {
    "set_fields": _set_fields,
    "trim_element": _trim_element,
    "replace_request": _replace_request,
    "shift_element": _shift_element,
    "swap_source": _swap_source,
    "add_element": _add_element,
    "remove_element": _remove_element,
    "reorder": _reorder,
    "add_transition": _add_transition,
    "update_transition": _update_transition,
    "remove_transition": _remove_transition,
    "retime_captions": _retime_captions,
}
OPS = tuple(_OPS)


def _touch(draft: _Draft, transition: Mapping[str, Any]) -> None:
    for end in ("from_id", "to_id"):
        if isinstance(transition.get(end), str) and transition[end]:
            draft.changed[transition[end]] = None


def _text(op: Json, name: str) -> str:
    found = op.get(name)
    if not isinstance(found, str) or not found:
        raise Invalid(name, "is required: a string.")
    return found


def _object(op: Json, name: str) -> Json:
    found = op.get(name)
    if not isinstance(found, dict):
        raise Invalid(name, "is required: an object.")
    return found


def _number(op: Json, name: str) -> float:
    found = op[name]
    if isinstance(found, bool) or not isinstance(found, int | float) or not abs(found) < 1e9:
        raise Invalid(name, "must be a number of seconds.")
    return float(found)


def _index(op: Json, most: int) -> int:
    found = op.get("index")
    if isinstance(found, bool) or not isinstance(found, int) or not 0 <= found <= most:
        raise Invalid("index", f"must be an integer from 0 to {most}.")
    return found
