"""Pandoc's document tree as JSON: made from plain text, and cleaned before it is set on pages.

The tree comes from somebody else's file. What could act while setting (raw markup, attributes that pandoc hands to the
typesetter, links to labels that are not there, pictures that are not in the media folder) is taken out here.
"""

from __future__ import annotations

import base64
import binascii
import urllib.parse
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Node = dict[str, Any]
Tree = dict[str, Any]
Measured = tuple[Path, float, float]
"""(where, width, height in inches) of a picture that can be typeset."""
Picture = Callable[[Path], Measured | None]
"""Makes a media file usable: (path, width, height in inches), or None when it cannot be shown."""

API = [1, 23, 1]
NO_ATTR: list[Any] = ["", [], []]
_MAX_INLINE_PICTURE = 32 << 20


def document(blocks: list[Node], title: str = "") -> Tree:
    """A whole tree of these blocks."""
    meta = {"title": {"t": "MetaInlines", "c": inlines(title)}} if title else {}
    return {"pandoc-api-version": API, "meta": meta, "blocks": blocks}


def inlines(text: str) -> list[Node]:
    """One line of text; runs of spaces and tabs are kept."""
    found: list[Node] = []
    for number, word in enumerate(text.expandtabs(8).split(" ")):
        if number:
            keep = not word or (found and found[-1]["t"] == "Str" and found[-1]["c"].endswith("\u00a0"))
            found.append({"t": "Str", "c": "\u00a0"} if keep or not found else {"t": "Space"})
        if word:
            found.append({"t": "Str", "c": word})
    return found


def paragraph(text: str) -> Node:
    """A paragraph that keeps its line breaks."""
    parts: list[Node] = []
    for number, line in enumerate(text.split("\n")):
        if number:
            parts.append({"t": "LineBreak"})
        parts.extend(inlines(line))
    return {"t": "Para", "c": parts}


def heading(text: str, level: int) -> Node:
    """A heading of level 1 to 6."""
    return {"t": "Header", "c": [level, NO_ATTR, inlines(text)]}


def picture(path: str, alt: str = "") -> Node:
    """A paragraph that is one picture."""
    return {"t": "Para", "c": [{"t": "Image", "c": [["", [], []], inlines(alt), [path, ""]]}]}


def table(rows: list[list[list[Node]]], header: bool = False) -> Node:
    """A table of cells, each a list of blocks; short rows are filled up."""
    width = max((len(row) for row in rows), default=0)
    spec = [[{"t": "AlignDefault"}, {"t": "ColWidthDefault"}] for _ in range(width)]

    def line(cells: list[list[Node]]) -> list[Any]:
        full = [*cells, *([] for _ in range(width - len(cells)))]
        return [NO_ATTR, [[NO_ATTR, {"t": "AlignDefault"}, 1, 1, cell] for cell in full]]

    head = [line(rows[0])] if header and rows else []
    body = [line(row) for row in (rows[1:] if header else rows)]
    return {
        "t": "Table",
        "c": [NO_ATTR, [None, []], spec, [NO_ATTR, head], [[NO_ATTR, 0, [], body]], [NO_ATTR, []]],
    }


def from_text(text: str) -> Tree:
    """Plain text as paragraphs: blank lines part them, line breaks inside are kept."""
    chunks = [chunk.strip("\n") for chunk in text.replace("\f", "\n\n").split("\n\n")]
    return document([paragraph(chunk) for chunk in chunks if chunk.strip()])


def nodes(tree: Tree) -> Iterator[Node]:
    """Every node of the body, in no promised order."""
    stack: list[Any] = [tree["blocks"]]
    while stack:
        item = stack.pop()
        if isinstance(item, dict):
            if "t" in item:
                yield item
            stack.extend(item.values())
        elif isinstance(item, list):
            stack.extend(item)


def strings(tree: Tree) -> Iterator[str]:
    """Every piece of text."""
    for node in nodes(tree):
        if node["t"] == "Str":
            yield node["c"]


def clean(
    tree: Tree, media: Path, usable: Picture, *, plain: bool = False, sized: bool = True, linked: bool = True
) -> int:
    """Take out what must not reach the typesetter; returns how many pictures stay. `plain`: none, and no math;
    `linked`: with links to places inside."""
    labels = _labels(tree) if linked and not plain else Counter[str]()
    cleaning = _Cleaning(media=media, usable=usable, plain=plain, sized=sized, labels=labels)
    stack: list[Any] = [tree["blocks"]]
    while stack:
        item = stack.pop()
        if isinstance(item, dict):
            stack.append(item.get("c"))
        elif isinstance(item, list) and _is_attr(item):
            item[2] = [pair for pair in item[2] if pair[0] in ("width", "height")]
        elif isinstance(item, list):
            item[:] = [left for child in item for left in cleaning.left_of(child)]
            stack.extend(child for child in item if isinstance(child, dict | list))
    return cleaning.kept


def _labels(tree: Tree) -> Counter[str]:
    """What links inside may lead to, and how often it is there."""
    return Counter(attr[0] for node in nodes(tree) for attr in _attrs(node) if attr[0])


@dataclass(slots=True, kw_only=True)
class _Cleaning:
    """One tree being cleaned; see `clean`. `kept`: the pictures that stay."""

    media: Path
    usable: Picture
    plain: bool
    sized: bool
    labels: Counter[str]
    seen: dict[str, Measured | None] = field(default_factory=dict)
    kept: int = 0

    def left_of(self, child: Any) -> list[Any]:
        """What stays of a child of some list, or stands there instead."""
        if not isinstance(child, dict) or "t" not in child:
            return [child]
        match child["t"]:
            case "Image":
                return [self._picture(child)]
            case "RawBlock":
                return []
            case "RawInline":
                return [{"t": "LineBreak"}] if child["c"][1].strip().lower().startswith("<br") else []
            case "Cite":
                return [_span(child)]
            case "Math" if self.plain:
                return [{"t": "Code", "c": [["", [], []], child["c"][1]]}]
            case "Link" if not self._leads(child["c"][2][0]):
                return [_span(child)]
        return [child]

    def _picture(self, image: Node) -> Node:
        found = None if self.plain else _locate(image["c"][2][0], self.media, self.usable, self.seen)
        if found is None:
            return {"t": "Emph", "c": image["c"][1]} if image["c"][1] else {"t": "Str", "c": ""}
        self.kept += 1
        if self.sized:
            return _placed(image, found)
        image["c"][2][0] = str(found[0])
        return image

    def _leads(self, target: str) -> bool:
        """Whether a link goes somewhere: to the web, or to the one place of its name inside."""
        inside = target.startswith("#") and self.labels[target[1:]] == 1
        return inside or target.lower().startswith(("http://", "https://", "mailto:"))


def _span(node: Node) -> Node:
    """The words of a node, as nothing more than words."""
    return {"t": "Span", "c": [["", [], []], node["c"][1]]}


def _is_attr(item: list[Any]) -> bool:
    return len(item) == 3 and isinstance(item[0], str) and isinstance(item[1], list) and isinstance(item[2], list)


def _attrs(node: Node) -> Iterator[list[Any]]:
    content = node.get("c")
    if isinstance(content, list):
        yield from (part for part in content if isinstance(part, list) and _is_attr(part))


def _locate(url: str, media: Path, usable: Picture, seen: dict[str, Measured | None]) -> Measured | None:
    """The media file a picture stands for: inside the media folder or in the address itself, nowhere else."""
    if url not in seen:
        path = _inline(url, media, len(seen)) if url.startswith("data:") else Path(urllib.parse.unquote(url))
        inside = path is not None and path.resolve().is_relative_to(media.resolve()) and path.is_file()
        seen[url] = usable(path) if inside and path is not None else None
    return seen[url]


def _inline(url: str, media: Path, number: int) -> Path | None:
    head, _, data = url.partition(",")
    if not data or len(data) > _MAX_INLINE_PICTURE:
        return None
    try:
        raw = base64.b64decode(urllib.parse.unquote(data)) if ";base64" in head else urllib.parse.unquote_to_bytes(data)
    except (binascii.Error, ValueError):
        return None
    media.mkdir(parents=True, exist_ok=True)
    path = media / f"inline-{number}{'.svg' if 'svg' in head else ''}"
    path.write_bytes(raw)
    return path


def _placed(image: Node, found: Measured) -> Node:
    """The picture at the size it asks for, never wider or higher than a page's text."""
    path, width, height = found
    asked = {key: _inches(value) for key, value in image["c"][0][2]}
    ratio = height / width
    want = asked.get("width") or ((asked.get("height") or 0) / ratio) or width
    want = max(0.05, min(want, 6.5, 9.0 / ratio))
    attr = ["", [], [["width", f"{want:.3f}in"], ["height", f"{want * ratio:.3f}in"]]]
    return {"t": "Image", "c": [attr, image["c"][1], [str(path), ""]]}


_UNITS = {"in": 1.0, "cm": 1 / 2.54, "mm": 1 / 25.4, "pt": 1 / 72, "pc": 1 / 6, "px": 1 / 96, "": 1 / 96, "em": 1 / 6}


def _inches(value: str) -> float:
    text = value.strip().lower()
    if text.endswith("%"):
        return 6.5 * _number(text[:-1]) / 100
    digits = text.rstrip("abcdefghijklmnopqrstuvwxyz")
    return _number(digits) * _UNITS.get(text[len(digits) :], 0.0)


def _number(text: str) -> float:
    try:
        return min(max(float(text), 0.0), 10_000.0)
    except ValueError:
        return 0.0
