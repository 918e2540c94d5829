"""SVG drawings into pictures, drawn by resvg at the wished size.

An SVG is active content: links to other files are taken out before it is drawn (resvg follows them to any path it can
read), data: URIs stay, and text is set in the fonts that come with Mediamill and the operator's.
"""

from __future__ import annotations

import gzip
import importlib.util
import io
import re
import resource
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mediamill.core.errors import BadMedia, LimitExceeded
from mediamill.core.ports import Conversion, Missing, Pair
from mediamill.engines import _picture_convert
from mediamill.engines._picture import Resize, wishes
from mediamill.engines._picture_write import TARGETS

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

MIME = "image/svg+xml"
MAX_TEXT_BYTES = 32 * 1024 * 1024
MOST_CPU_S = 300
"""A drawing of five kilobytes may ask for years: filters upon filters, each over every pixel."""
_DPI = 96.0
_UNITS = {"": 1.0, "px": 1.0, "pt": 4 / 3, "pc": 16.0, "in": 96.0, "cm": 96 / 2.54, "mm": 96 / 25.4, "em": 16.0}
_LENGTH = re.compile(r"\s*\+?(\d+\.?\d*(?:[eE][+-]?\d+)?|\.\d+)\s*([a-z]*)\s*$")
_LINKING = frozenset({"image", "feImage", "script", "foreignObject"})
_DEFAULT_SIZE = (300.0, 150.0)
"""A replaced element's size where nothing says any (CSS 2, 10.3.2)."""


def to_png(work: Conversion, resize: Resize) -> Path:
    """The drawing as a PNG in the scratch folder, drawn at the wished size. Raises BadMedia, LimitExceeded."""
    import resvg_py
    from PIL import Image

    from mediamill import fonts

    text, size = prepared(_text(work.source))
    width, height = resize.fit(max(1, round(size[0])), max(1, round(size[1])))
    empty = work.scratch / "no-resources"
    empty.mkdir(exist_ok=True)
    try:
        with _within(MOST_CPU_S):
            drawn = resvg_py.svg_to_bytes(
                svg_string=text,
                width=width,
                height=height,
                dpi=_DPI,
                resources_dir=str(empty),
                skip_system_fonts=True,
                font_dirs=[str(folder) for folder in fonts.folders()],
                font_family="Noto Sans",
                sans_serif_family="Noto Sans",
                serif_family="Noto Sans",
                monospace_family="Noto Sans",
            )
    except ValueError as error:
        raise BadMedia("The SVG cannot be drawn.") from error
    made = work.scratch / "drawn.png"
    with Image.open(io.BytesIO(drawn), formats=("PNG",)) as image:
        if image.size == (width, height):
            made.write_bytes(drawn)
        else:  # another shape than the drawing's own: resvg keeps the ratio, the setting does not
            image.resize((width, height), Image.Resampling.LANCZOS).save(made, "PNG", compress_level=1)
    return made


@contextmanager
def _within(cpu_s: int) -> Iterator[None]:
    """The kernel ends this process (SIGXCPU) if the block takes more processor time: resvg cannot be interrupted.

    It is a child for one task, and its worker says that a limit was met.
    """
    before, hard = resource.getrlimit(resource.RLIMIT_CPU)
    used = resource.getrusage(resource.RUSAGE_SELF)
    most = int(used.ru_utime + used.ru_stime) + 1 + cpu_s
    bounds = [bound for bound in (most, before, hard) if bound != resource.RLIM_INFINITY]
    resource.setrlimit(resource.RLIMIT_CPU, (min(bounds), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_CPU, (before, hard))


def prepared(data: bytes) -> tuple[str, tuple[float, float]]:
    """The SVG with nothing in it that leads elsewhere, and its natural size in pixels. Raises BadMedia."""
    from xml.etree import ElementTree

    try:
        root = ElementTree.fromstring(data)  # noqa: S314 - Expat 2.4+ stops entity bombs; external ones never load
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        raise BadMedia("The SVG is not well-formed XML.") from error
    if _local(root.tag) != "svg":
        raise BadMedia("The file is not an SVG.")
    for element in root.iter():
        if _local(element.tag) in _LINKING:
            for name in [name for name in element.attrib if _local(name) == "href"]:
                if not element.attrib[name].strip().lower().startswith("data:"):
                    del element.attrib[name]
    try:
        return ElementTree.tostring(root, encoding="unicode"), natural_size(root)
    except RecursionError as error:
        raise BadMedia("The SVG is nested too deeply.") from error


def size_of(path: Path) -> tuple[float, float]:
    """The natural size in pixels of a drawing in a file. Raises BadMedia, LimitExceeded."""
    return prepared(_text(path))[1]


def natural_size(root: Element) -> tuple[float, float]:
    """Width and height in pixels at 96 dpi: the attributes, else the view box, else 300 x 150."""
    box = [float(part) for part in re.findall(r"[-+]?\d*\.?\d+(?:[eE][-+]?\d+)?", root.get("viewBox", ""))]
    viewed = (box[2], box[3]) if len(box) == 4 and box[2] > 0 and box[3] > 0 else None
    width, height = _pixels(root.get("width", "")), _pixels(root.get("height", ""))
    if width and height:
        return width, height
    if viewed is None:
        return width or _DEFAULT_SIZE[0], height or _DEFAULT_SIZE[1]
    if width:
        return width, width * viewed[1] / viewed[0]
    if height:
        return height * viewed[0] / viewed[1], height
    return viewed


def _pixels(length: str) -> float | None:
    found = _LENGTH.match(length)
    if found is None or found[2] not in _UNITS:
        return None  # percentages: of a page there is none
    return min(float(found[1]) * _UNITS[found[2]], 1e7) or None


def _text(source: Path) -> bytes:
    with source.open("rb") as stream:
        data = stream.read(MAX_TEXT_BYTES + 1)
    if data[:2] == b"\x1f\x8b":
        try:
            with gzip.open(io.BytesIO(data)) as packed:
                data = packed.read(MAX_TEXT_BYTES + 1)
        except (OSError, EOFError, zlib.error) as error:
            raise BadMedia("The compressed SVG is damaged.") from error
    if len(data) > MAX_TEXT_BYTES:
        raise LimitExceeded(f"The SVG has more than {MAX_TEXT_BYTES} bytes of text.")
    return data


def _local(name: Any) -> str:
    """A name without its namespace; "" for comments and instructions."""
    return name.rsplit("}", 1)[-1] if isinstance(name, str) else ""


class Svg:
    """See the module. Implements core.ports.Converter."""

    name = "svg"

    def pairs(self) -> Mapping[Pair, int]:
        return {(MIME, target): 10 for target in TARGETS}

    def missing(self) -> Missing | None:
        if importlib.util.find_spec("resvg_py") is None:
            return Missing(reason="resvg-py is not installed.", remedy="Install resvg-py.")
        return _picture_convert.missing()

    def keys(self, pair: Pair) -> frozenset[str]:
        return _picture_convert.keys(pair[1])

    def convert(self, work: Conversion) -> Mapping[str, Any]:
        resize = wishes(work.settings, same_format=False).resize
        made = to_png(work, resize)
        drawn = wishes({k: v for k, v in work.settings.items() if k != "resize"}, same_format=False)
        return _picture_convert.convert(
            work, drawn, source=made, mime="image/png", target=work.target, target_mime=work.target_mime
        )


CONVERTER = Svg()
