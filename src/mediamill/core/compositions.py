"""A timeline to be rendered: the scene as it is asked for, its rules, what is doubtful in it, and the port of engines.

A scene comes as JSON. `filled` is that request with every default; `parse` is what engines work by. Source: the
Framelane contract, sections 6 and 7; whatever is read here keeps its words.
"""

from __future__ import annotations

import math
import re
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from mediamill.core import looks
from mediamill.core._composition_fields import (
    ELEMENT_TYPES,
    ELEMENTS,
    FORMATS,
    MAX_ELEMENTS,
    REQUEST,
    SENT,
    Field,
    Fields,
)
from mediamill.core._composition_idle import idle
from mediamill.core._composition_kept import DROPPED, UNSUPPORTED_FIELDS, brought
from mediamill.core._composition_read import colour, degrees, factor, length, read
from mediamill.core.errors import Invalid, Unsupported
from mediamill.core.matting import Masks
from mediamill.core.ports import Engine, Report, Tools

__all__ = [
    "ELEMENTS", "ELEMENT_TYPES", "FORMATS", "MAX_DURATION_S", "MAX_ELEMENTS", "REQUEST", "UNSUPPORTED_FIELDS",
    "Composition", "Compositor", "Field", "Fields", "Format", "Material", "Render", "Violation", "brought", "colour",
    "degrees", "dropped", "factor", "filled", "lasts", "length", "options", "parse", "sources", "violations",
]  # fmt: skip

Format = Literal["mp4", "webm", "mov", "gif", "png", "jpg"]
Element = Mapping[str, Any]
"""One element with every field of its type, as `filled` gives it."""

DEFAULT_SIZE = 1280, 720
DEFAULT_S = 10.0
MAX_DURATION_S = 6 * 3600.0
VIDEOS = ("mp4", "mov", "webm")
VIOLATIONS = (
    "DUPLICATE_ELEMENT_ID", "DANGLING_TRANSITION", "TRANSITION_SELF", "EMPTY_TIMELINE", "ELEMENT_AFTER_END",
    "CAPTION_WORD_OUTSIDE", "NO_EFFECT",
)  # fmt: skip
"""The codes of violations; all but the last are those of the contract."""
_FEW_LETTERS = 500
"""Of a text whose characters move one by one: each is drawn by itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Composition:
    """A scene, checked. `duration_s` is None where nothing says it: ten seconds, or the length of a lone clip."""

    width_px: int
    height_px: int
    rate: int
    duration_s: float | None
    format: Format
    background: tuple[int, int, int, int]
    background_url: str | None
    alpha: bool
    elements: Sequence[Element]
    transitions: Sequence[Mapping[str, Any]]

    @property
    def still(self) -> bool:
        """Whether one picture is to be made rather than a film."""
        return self.format in ("png", "jpg")

    @property
    def lone(self) -> bool:
        """Whether all there is is one clip whose length only its file knows."""
        return self.duration_s is None and len(self.elements) == 1 and "source_url" in self.elements[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
    """Something doubtful in a request that is well-formed. `path` is dotted; an error forbids rendering."""

    code: str
    message: str
    severity: Literal["error", "warning"]
    path: str | None = None


def filled(raw: Any) -> dict[str, Any]:
    """The request with every default, plain JSON values; unknown keys are left out.

    Raises Invalid with the dotted field, Unsupported for what this version does not draw.
    """
    found = read(REQUEST, raw, "")
    given = raw.get("elements", [])
    if not isinstance(given, list | tuple):
        raise Invalid("elements", "must be a list.")
    if len(given) > MAX_ELEMENTS:
        raise Invalid("elements", f"must have at most {MAX_ELEMENTS} entries.")
    found["elements"] = [_element(one, f"elements.{number}") for number, one in enumerate(given)]
    found |= read(SENT, raw, "")
    _whole(found, raw)
    for number, transition in enumerate(found["transitions"]):
        if transition["type"] not in looks.SUPPORTED_TRANSITIONS:
            raise Unsupported(f"transitions.{number}.type", f"{transition['type']} is not drawn by this version.")
    return found


def _whole(found: dict[str, Any], raw: Mapping[str, Any]) -> None:
    if (found["width"] is None) != (found["height"] is None):
        raise Invalid("height" if found["height"] is None else "width", "give both width and height, or neither.")
    if found["width"] is None:
        found["width"], found["height"] = DEFAULT_SIZE
    if found["alpha"] and found["output_format"] not in ("webm", "mov"):
        raise Invalid("alpha", "goes with output_format webm or mov only.")
    if found["background_color"] is None:
        found["background_color"] = "#00000000" if found["alpha"] else "#000000ff"
    if found["duration"] is not None and found["duration"] > MAX_DURATION_S:
        raise Invalid("duration", f"must be {MAX_DURATION_S:g} s or less.")
    if (derived := _derived(found["elements"])) is not None and found["duration"] is None and derived > MAX_DURATION_S:
        raise Invalid("duration", f"the last element ends after {MAX_DURATION_S:g} s.")


def _element(raw: Any, at: str) -> dict[str, Any]:
    if not isinstance(raw, Mapping):
        raise Invalid(at, "must be an object.")
    kind = raw.get("type")
    if kind is None:
        raise Invalid(f"{at}.type", "is required.")
    if kind == "composition":
        raise Unsupported(f"{at}.type", "a scene inside a scene is not drawn by this version.")
    if not isinstance(kind, str) or kind not in ELEMENTS:
        raise Invalid(f"{at}.type", f"must be one of {', '.join(ELEMENT_TYPES)}.")
    found = {"type": kind, **read(ELEMENTS[kind], raw, at)}
    if kind == "video":
        _check_extension(found["source_url"], f"{at}.source_url")
    if "in_point" in found and found["out_point"] is not None and found["out_point"] <= found["in_point"]:
        raise Invalid(f"{at}.out_point", "must be greater than in_point.")
    if kind == "text":
        _check_text(found, at)
    for number, effect in enumerate(found.get("effects", ())):
        if effect["type"] not in looks.SUPPORTED_EFFECTS:
            raise Unsupported(f"{at}.effects.{number}.type", f"{effect['type']} is not drawn by this version.")
    for number, motion in enumerate(found.get("motion", ())):
        _check_motion(found, motion, f"{at}.motion.{number}")
    for name in UNSUPPORTED_FIELDS:
        if found.get(name):
            raise Unsupported(f"{at}.{name}", "what it does is nowhere published, so this version does not do it.")
    mode = found.get("blend_mode", "none")
    if mode not in looks.SUPPORTED_BLEND_MODES:
        raise Unsupported(f"{at}.blend_mode", f"{mode} is not drawn by this version.")
    return found


def _check_extension(url: str, at: str) -> None:
    if url.lower().startswith("file:"):
        return
    path = "/" + re.split("[?#]", url, maxsplit=1)[0].partition("://")[2].partition("/")[2]
    if path.rpartition("/")[2].rpartition(".")[2].lower() not in VIDEOS or "." not in path.rpartition("/")[2]:
        raise Invalid(at, f"the path must end in .{', .'.join(VIDEOS[:-1])} or .{VIDEOS[-1]}.")


def _check_text(found: Mapping[str, Any], at: str) -> None:
    modes = [name for name in ("background", "stroke", "shadow") if found[name]]
    if len(modes) > 1:
        raise Invalid(f"{at}.{modes[1]}", f"at most one of background, stroke and shadow is true; {modes[0]} is.")
    if found["word_animation"] is not None:
        for number, word in enumerate(found["word_animation"]["words"]):
            if word["end"] < word["start"]:
                raise Invalid(f"{at}.word_animation.words.{number}.end", "must not be before start.")
    if any(motion["scope"] == "character" for motion in found["motion"]) and len(found["text"]) > _FEW_LETTERS:
        raise Invalid(f"{at}.text", f"must have at most {_FEW_LETTERS} characters to move one by one.")


def _check_motion(element: Mapping[str, Any], motion: Mapping[str, Any], at: str) -> None:
    name, scope = motion["type"], motion["scope"]
    if scope == "character" and element["type"] != "text":
        raise Invalid(f"{at}.scope", "only the characters of a text move one by one.")
    known = looks.MOTIONS[name]
    if name not in looks.SUPPORTED_MOTIONS:
        raise Unsupported(f"{at}.type", f"{name} is not drawn by this version.")
    if scope not in known.scopes:
        raise Unsupported(f"{at}.scope", f"{name} does not move characters.")
    if known.direction(reversed=motion["reversed"], scope=scope) is None:
        raise Unsupported(f"{at}.reversed", f"{name} has no {'exit' if motion['reversed'] else 'entrance'}.")


def ends(element: Element) -> float | None:
    """The second at which an element ends; None where only its file knows."""
    start = float(element["time"])
    if "duration" in element:
        return start + float(element["duration"])
    if element["out_point"] is not None:
        return start + float(element["out_point"] - element["in_point"]) / float(element["speed"])
    return None


def lasts(scene: Composition, clip_s: float | None = None) -> float | None:
    """Seconds of the film, to the frame, 0 of a still; None where only a file knows. clip_s: of a lone clip's file."""
    if scene.still:
        return 0.0
    found = scene.duration_s
    if found is None:
        found = DEFAULT_S
        if scene.lone:
            if clip_s is None:
                return None
            [one] = scene.elements
            found = float(one["time"] + max(0.0, clip_s - one["in_point"]) / one["speed"]) or DEFAULT_S
    return max(1, math.floor(found * scene.rate + 0.5)) / scene.rate


def _derived(elements: Sequence[Element]) -> float | None:
    return max((end for one in elements if (end := ends(one)) is not None), default=None)


def parse(raw: Any) -> Composition:
    """The scene of a request. Raises what `filled` raises."""
    request = filled(raw)
    duration = request["duration"]
    return Composition(
        width_px=request["width"],
        height_px=request["height"],
        rate=request["frame_rate"],
        duration_s=float(duration) if duration is not None else _derived(request["elements"]),
        format=request["output_format"],
        background=colour(request["background_color"]),
        background_url=request["background_image_url"],
        alpha=request["alpha"],
        elements=request["elements"],
        transitions=request["transitions"],
    )


def options(request: Mapping[str, Any]) -> dict[str, Any]:
    """A filled-in request as options of the kinds `render` and `preview`."""
    kept = {name: value for name, value in request.items() if name not in (*SENT, "output_format", "output_filename")}
    return {**kept, "format": request["output_format"]}


def urls(scene: Composition) -> Iterator[str]:
    """Every file the scene names, those of elements that are left out too, some more than once."""
    if scene.background_url is not None:
        yield scene.background_url
    for element in scene.elements:
        if "source_url" in element:
            yield element["source_url"]
        if element.get("lut_url") is not None:
            yield element["lut_url"]


def sources(scene: Composition) -> list[str]:
    """Every file the scene needs, each once, in the order of its first use."""
    return list(dict.fromkeys(urls(scene)))


def violations(scene: Composition) -> list[Violation]:
    """What is doubtful in it."""
    return [*_identities(scene), *_ends_met(scene), *_shown(scene), *_words_placed(scene), *_idle(scene)]


def dropped(paths: Sequence[str]) -> list[Violation]:
    """What `brought` left out of a scene that was kept."""
    return [Violation(code="NO_EFFECT", message=DROPPED, severity="warning", path=path) for path in paths]


def _identities(scene: Composition) -> Iterator[Violation]:
    seen: set[str] = set()
    for number, element in enumerate(scene.elements):
        name = element["id"]
        if name and name in seen:
            yield Violation(
                code="DUPLICATE_ELEMENT_ID",
                message=f"Another element has the id {name!r}.",
                severity="error",
                path=f"elements.{number}.id",
            )
        seen.add(name)


def _ends_met(scene: Composition) -> Iterator[Violation]:
    known = {element["id"] for element in scene.elements if element["id"]}
    for number, transition in enumerate(scene.transitions):
        for end in ("from_id", "to_id"):
            name = transition[end]
            if name and name not in known:
                yield Violation(
                    code="DANGLING_TRANSITION",
                    message=f"No element has the id {name!r}.",
                    severity="error",
                    path=f"transitions.{number}.{end}",
                )
        if transition["from_id"] and transition["from_id"] == transition["to_id"]:
            yield Violation(
                code="TRANSITION_SELF",
                message="A transition leads from one element to another.",
                severity="error",
                path=f"transitions.{number}",
            )


def _shown(scene: Composition) -> Iterator[Violation]:
    if not any(element["visible"] for element in scene.elements):
        yield Violation(
            code="EMPTY_TIMELINE", message="There is nothing to see or hear.", severity="warning", path="elements"
        )
    end = scene.duration_s if scene.duration_s is not None else DEFAULT_S
    for number, element in enumerate(scene.elements):
        if element["visible"] and element["time"] >= end and not scene.lone:
            yield Violation(
                code="ELEMENT_AFTER_END",
                message=f"It begins at {element['time']:g} s, and the film ends at {end:g} s.",
                severity="warning",
                path=f"elements.{number}.time",
            )


def _words_placed(scene: Composition) -> Iterator[Violation]:
    for number, element in enumerate(scene.elements):
        animation = element.get("word_animation")
        if animation is None:
            continue
        start, end = element["time"], element["time"] + element["duration"]
        for which, word in enumerate(animation["words"]):
            if word["start"] < start or word["end"] > end:
                yield Violation(
                    code="CAPTION_WORD_OUTSIDE",
                    message=f"The word lies outside {start:g} to {end:g} s, when its text is there.",
                    severity="warning",
                    path=f"elements.{number}.word_animation.words.{which}",
                )


def _idle(scene: Composition) -> Iterator[Violation]:
    for path, why in idle(scene.elements, scene.transitions, scene.format):
        yield Violation(code="NO_EFFECT", message=f"It does nothing here. {why}", severity="warning", path=path)


@dataclass(frozen=True, slots=True, kw_only=True)
class Material:
    """A file of a scene on local disk: read-only, of a sniffed type."""

    path: Path
    mime: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Render:
    """A scene to draw. Write below `scratch` and nowhere else. `materials`: every file that `sources` names.

    people: tells them from what is behind them, for the effect that blurs that; None where nothing here can.
    """

    scene: Composition
    materials: Mapping[str, Material]
    scratch: Path
    tools: Tools
    report: Report
    people: Masks | None = None


class Compositor(Engine):
    """Draws timelines."""

    @abstractmethod
    def render(self, work: Render, target: Path) -> Mapping[str, Any]:
        """The whole scene in its format. Returns facts: {"width_px", "height_px", "frames", "duration_s", "sounds"}.

        Raises BadMedia, NoVideo, NoSound, LimitExceeded, ToolFailed.
        """

    @abstractmethod
    def frame(self, work: Render, at_s: float, target: Path) -> Mapping[str, Any]:
        """The picture of one moment, as the film would have it; PNG or JPEG by the target's ending."""

    @abstractmethod
    def clip(self, work: Render, start_s: float, end_s: float, target: Path) -> Mapping[str, Any]:
        """A part of the film as a small MP4."""

    @abstractmethod
    def sheet(self, work: Render, count: int, target: Path) -> Mapping[str, Any]:
        """So many moments as one picture, chosen where something changes; {"times": [...]} beside the size."""
