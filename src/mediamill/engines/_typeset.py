"""Set a document on pages: pandoc reads it, typst lays it out, both see one folder and no network.

`compose` sets a tree, `typeset_text` plain text. Layout is our own (A4, one sans family, wide tables on landscape
pages): pandoc reads what a document says, not where it stands. Fonts are those of `mediamill.fonts` and the operator's,
never the machine's, so that pages come out alike everywhere.
"""

from __future__ import annotations

import re
import shutil
import tempfile
import unicodedata
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mediamill import fonts
from mediamill.core.errors import BadMedia, ToolFailed
from mediamill.core.ports import Conversion
from mediamill.engines import _document_tree as trees
from mediamill.engines import _pandoc

if TYPE_CHECKING:
    import typst

PREAMBLE = """\
#set document(title: {title})
#set page(paper: "a4", margin: 2.2cm{flipped})
#set text(font: ({fonts}), size: {size}pt, lang: "{lang}"{dir}, fallback: true)
#set par(justify: false, leading: 0.65em, spacing: 1.1em)
#show raw: set text(font: ({mono}), size: 0.9em)
#show raw.where(block: true): block.with(fill: luma(245), inset: 8pt, radius: 3pt, width: 100%)
#show heading: set block(above: 1.4em, below: 0.8em)
#show link: set text(fill: rgb("#0b4f8a"))
#set table(inset: 5pt, stroke: 0.5pt + luma(170))
#show table.cell.where(y: 0): set text(weight: "bold")
#show figure: set block(breakable: true)
#show figure.where(kind: table): set figure.caption(position: top)
#let horizontalrule = line(length: 100%, stroke: 0.5pt + luma(170))
#let endnote(num, contents) = [#stack(dir: ltr, spacing: 3pt, super[#num], contents)]
"""
SLIDES = """\
#set page(paper: "presentation-16-9", margin: 1.8cm)
#set text(size: 18pt)
#show heading.where(level: 2): it => { pagebreak(weak: true); it }
"""
TEXT_PAGE = """\
#set document(title: none)
#set page(paper: "a4", margin: 2cm)
#set text(font: ({mono}), size: 9.5pt, lang: "{lang}", fallback: true)
#set par(leading: 0.5em, spacing: 0pt)
#show raw: set text(font: ({mono}), size: 1em)
"""
FIRST = ("Noto Sans",)
MONO = ("DejaVu Sans Mono",)
LAST = ("Noto Color Emoji",)
NEVER_FIRST = ("Libertinus Serif", "New Computer Modern", "New Computer Modern Math", "DejaVu Sans Mono")
RTL = {"ARABIC": "ar", "HEBREW": "he"}
MAX_PICTURE_PIXELS = 50_000_000
WIDE_TABLE_COLUMNS = 8
_PART = re.compile(r"\.(?:[^\W\d]|$)")


def typeset_text(work: Conversion, text: str, target: Path) -> int:
    """Set plain text in a fixed pitch with its own line and page breaks."""
    if not text.strip():
        raise BadMedia("The document is empty.")
    with room(work) as folder:
        pages = [page for page in text.expandtabs(8).split("\f") if page.strip()]
        body = [TEXT_PAGE.format(mono=_names(MONO), lang=_language(text)[0])]
        for number, page in enumerate(pages):
            (folder / f"{number}.txt").write_text(page.strip("\n"), encoding="utf-8")
            body.append(f'#raw(read("{number}.txt"), block: true)')
        (folder / "main.typ").write_text("\n#pagebreak()\n".join(["\n".join(body[:2]), *body[2:]]), encoding="utf-8")
        _compile(folder, target)
        return pages_of(target)


def pages_of(pdf: Path) -> int:
    """How many pages a PDF of ours has."""
    import pypdfium2  # type: ignore[import-untyped]

    with pypdfium2.PdfDocument(pdf) as document:
        return len(document)


@contextmanager
def room(work: Conversion) -> Iterator[Path]:
    """A folder of its own below scratch; typst sees nothing outside."""
    folder = Path(tempfile.mkdtemp(prefix="typeset-", dir=work.scratch)).resolve()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def compose(work: Conversion, tree: trees.Tree, folder: Path, target: Path, *, slides: bool = False) -> int:
    """Set a tree whose pictures lie in `folder`/media, `folder` being a `room`; returns the number of pages."""
    if not tree["blocks"]:
        raise BadMedia("The document is empty.")
    # What pandoc writes may be refused: for a label that it has left out, or for a picture or formula.
    for plain, linked in ((False, True), (False, False), (True, False)):
        trees.clean(tree, folder / "media", usable, plain=plain, linked=linked)
        _fit(tree)
        body = _pandoc.write(work, tree, ["-t", "typst", "--wrap=none"]).decode()
        body = body.replace(f'"{folder}/', '"')
        (folder / "main.typ").write_text(_preamble(tree) + (SLIDES if slides else "") + body, encoding="utf-8")
        work.report("encode", 0.6)
        try:
            _compile(folder, target)
            break
        except BadMedia:
            if plain:  # without pictures, formulas and links there is nothing left that may be refused
                raise
    return pages_of(target)


def _fit(tree: trees.Tree) -> None:
    """Take care of what pandoc 3.9 writes and typst does not read: words like ".name" behind emphasis, also where the
    name comes after the dot's own word, for emphasis is written as a call, whose part that then is (an empty comment
    parts them); and lists that count from below zero."""
    stack: list[Any] = [tree["blocks"]]
    while stack:
        item = stack.pop()
        if isinstance(item, dict):
            stack.append(item.get("c"))
            if item.get("t") == "OrderedList":
                item["c"][0][0] = max(0, item["c"][0][0])
        elif isinstance(item, list):
            stack.extend(child for child in item if isinstance(child, dict | list))
            for at in reversed(range(len(item))):
                if isinstance(item[at], dict) and item[at].get("t") == "Str" and _PART.match(item[at]["c"]):
                    item.insert(at, {"t": "RawInline", "c": ["typst", "/**/"]})


def _compile(folder: Path, target: Path) -> None:
    import typst

    compiler = typst.Compiler(
        folder / "main.typ",
        root=folder,
        font_paths=_fonts(tuple(fonts.folders())),
        ignore_system_fonts=True,
        package_path=folder / "packages",
        package_cache_path=folder / "packages",
    )
    try:
        compiler.compile(output=target, format="pdf")
    except typst.TypstError as error:
        raise BadMedia("The document holds something that cannot be set on pages.") from error
    except RuntimeError as error:
        raise ToolFailed("The typesetter stopped.", str(error)[-2000:]) from error


@cache
def _fonts(folders: tuple[Path, ...]) -> typst.Fonts:
    """The fonts, read once a process: a second document is set in a fraction of the time."""
    import typst

    return typst.Fonts(include_system_fonts=False, include_embedded_fonts=True, font_paths=list(folders))


def _names(first: tuple[str, ...]) -> str:
    """Families in order: the body's, every script's, the operator's, emoji last so that digits and signs stay text."""
    known = _fonts(tuple(fonts.folders())).families()
    rest = [name for name in sorted(known) if name not in (*first, *NEVER_FIRST, *LAST)]
    return ", ".join(f'"{name}"' for name in (*first, *rest, *LAST) if '"' not in name and "\\" not in name)


def _preamble(tree: trees.Tree) -> str:
    lang, rtl = _language("".join(trees.strings(tree)))
    columns = max((len(node["c"][2]) for node in trees.nodes(tree) if node["t"] == "Table"), default=0)
    title = " ".join(trees.strings({"blocks": tree["meta"].get("title", [])})) if tree["meta"] else ""
    quoted = "".join(c for c in title[:200] if c.isprintable() and c not in '"\\')
    return PREAMBLE.format(
        title=f'"{quoted}"' if quoted else "none",
        flipped=", flipped: true" if columns > WIDE_TABLE_COLUMNS else "",
        fonts=_names(FIRST),
        mono=_names(MONO),
        size=10.5 if columns <= WIDE_TABLE_COLUMNS else max(5.0, 10.5 - 0.45 * (columns - WIDE_TABLE_COLUMNS)),
        lang=lang,
        dir=", dir: rtl" if rtl else "",
    )


def _language(text: str) -> tuple[str, bool]:
    """(language tag, right to left) by the script most letters are of; the tag only steers shaping and direction."""
    counts: Counter[str] = Counter()
    for sign in text[:20_000]:
        if sign.isalpha():
            counts[unicodedata.name(sign, "?").split(" ", 1)[0]] += 1
    script = counts.most_common(1)[0][0] if counts else ""
    known = {"CJK": "zh", "HIRAGANA": "ja", "KATAKANA": "ja", "HANGUL": "ko", "DEVANAGARI": "hi", "GREEK": "el"}
    if script == "CJK" and counts["HIRAGANA"] + counts["KATAKANA"] > counts["CJK"] // 10:
        return "ja", False
    return RTL.get(script) or known.get(script, "en"), script in RTL


def usable(path: Path) -> tuple[Path, float, float] | None:
    """A media file as every writer can show it, with its natural size in inches; rewritten as PNG when it must be."""
    from PIL import Image, UnidentifiedImageError

    if path.suffix.lower() == ".svg" or path.read_bytes()[:256].lstrip().startswith((b"<svg", b"<?xml")):
        return _drawn(path)
    try:
        with Image.open(path) as image:
            width, height = image.size
            if width * height > MAX_PICTURE_PIXELS or not width or not height:
                return None
            image.load()
            if image.format in ("PNG", "JPEG", "GIF"):
                suffix = "." + image.format.lower()
                good = path if path.suffix.lower() == suffix else path.with_name(path.name + suffix)
                if good != path:
                    path.rename(good)
            else:
                good = path.with_name(path.name + ".png")
                image.convert("RGBA" if "A" in image.getbands() else "RGB").save(good)
    except (UnidentifiedImageError, Image.DecompressionBombError, OSError, ValueError, SyntaxError):
        return None
    return good, width / 96, height / 96


def _drawn(path: Path) -> tuple[Path, float, float] | None:
    """An SVG as PNG: no font, link or script of it reaches the page."""
    import resvg_py
    from PIL import Image

    good = path.with_name(path.name + ".png")
    try:
        data = resvg_py.svg_to_bytes(svg_string=path.read_text(encoding="utf-8", errors="replace"), width=1200)
    except ValueError:
        return None
    good.write_bytes(bytes(data))
    with Image.open(good) as image:
        return good, image.width / 192, image.height / 192
