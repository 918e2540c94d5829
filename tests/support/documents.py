"""Recipes for documents that the tests convert: made here, in many scripts, with headings, tables, pictures, notes."""

from __future__ import annotations

import subprocess
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any

from tests.support.tools import PlainTools

from mediamill.core import formats
from mediamill.core.ports import Conversion, Converter

SCRIPTS = {
    "Latin": "The quick brown fox, naïve façade",
    "Greek": "Η γρήγορη αλεπού",
    "Cyrillic": "Быстрая лисица",
    "Arabic": "الثعلب البني السريع",
    "Hebrew": "השועל החום המהיר",
    "Hindi": "तेज़ भूरी लोमड़ी",
    "Chinese": "敏捷的棕色狐狸",
    "Japanese": "すばやい茶色の狐",
    "Korean": "빠른 갈색 여우",
    "Emoji": "🦊 🎉",
}


@dataclass
class Bench:
    """Converts files of a test's folder."""

    folder: Path
    tools: PlainTools = field(default_factory=PlainTools)
    details: Mapping[str, Any] = field(default_factory=dict)
    runs: int = 0

    def file(self, name: str, data: bytes | str) -> Path:
        path = self.folder / name
        path.write_bytes(data.encode() if isinstance(data, str) else data)
        return path

    def convert(self, converter: Converter, source: Path, target: str, **settings: Any) -> Path:
        """The file made; its facts are in `details`."""
        mime = formats.by_filename(source.name)
        wanted = formats.find(target)
        assert mime is not None
        assert wanted is not None
        assert (mime.mime, wanted.mime) in converter.pairs()
        self.runs += 1
        scratch = self.folder / f"scratch-{self.runs}"
        scratch.mkdir()
        made = scratch / f"result{wanted.suffix}"
        self.details = converter.convert(
            Conversion(
                source=source,
                source_mime=mime.mime,
                target=made,
                target_mime=wanted.mime,
                settings=settings,
                scratch=scratch,
                tools=self.tools,
                report=lambda stage, fraction=None: None,
            )
        )
        return made


def picture(colour: str = "#cc2244", size: tuple[int, int] = (240, 120), format: str = "PNG") -> bytes:
    """A picture of one colour."""
    from PIL import Image

    out = BytesIO()
    Image.new("RGB", size, colour).save(out, format)
    return out.getvalue()


def docx() -> bytes:
    """A Word document: a title, a paragraph a script, a list, a table with a head, two pictures, a page break."""
    import docx as word
    from docx.shared import Inches

    document = word.Document()
    document.core_properties.title = "Foxes of the world"
    document.add_heading("Foxes of the world", 1)
    for name, text in SCRIPTS.items():
        document.add_heading(name, 2)
        document.add_paragraph(text)
    document.add_paragraph("first point", style="List Bullet")
    document.add_paragraph("second point", style="List Bullet")
    table = document.add_table(rows=3, cols=3)
    for row in range(3):
        for column in range(3):
            table.cell(row, column).text = f"cell {row}{column}"
    document.add_picture(BytesIO(picture()), width=Inches(3))
    document.add_picture(BytesIO(picture("#2244cc", format="BMP")))
    document.add_page_break()  # type: ignore[no-untyped-call]
    document.add_paragraph("after the break")
    out = BytesIO()
    document.save(out)
    return out.getvalue()


def markdown() -> str:
    """Markdown with what people write: front matter, headings, table, list, code, note, formula, link, scripts."""
    scripts = "\n\n".join(f"## {name}\n\n{text}" for name, text in SCRIPTS.items())
    return f"""---
title: Foxes of the world
---

# Foxes

Some *soft* and **strong** words, a [link](https://example.org), a note[^1], a formula $x^2 + 1$ and `code()`.
- one
- two

| name | legs |
|------|-----:|
| fox  |    4 |
| ant  |    6 |

```python
print("fox")
```

{scripts}

[^1]: The note itself.
"""


def html() -> str:
    """HTML as browsers accept it: tags left open, a picture inside, scripts that must not act."""
    import base64

    data = base64.b64encode(picture()).decode()
    scripts = "".join(f"<h2>{name}</h2><p>{text}" for name, text in SCRIPTS.items())
    return f"""<!doctype html><html><head><meta charset=utf-8><title>Foxes</title><style>p {{color: red}}</style>
<script>document.write("scripted")</script></head><body><h1>Foxes of the world</h1><p>One<p>Two
<table><tr><th>name<th>legs<tr><td>fox<td>4<tr><td>ant<td>6</table><ul><li>one<li>two</ul>
<img src="data:image/png;base64,{data}" alt="a fox" width=240>{scripts}</body></html>"""


def zipped(entries: Mapping[str, bytes | str]) -> bytes:
    """A zip package of these entries."""
    out = BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as package:
        for name, data in entries.items():
            package.writestr(name, data)
    return out.getvalue()


def pdf_text(path: Path) -> str:
    """All text of a PDF, pages parted by form feeds."""
    import pypdfium2  # type: ignore[import-untyped]

    with pypdfium2.PdfDocument(path) as document:
        return "\f".join(page.get_textpage().get_text_range() for page in document)


def pptx() -> bytes:
    """Two slides: a heading with text, a heading with a table, written by pandoc."""
    import pypandoc  # type: ignore[import-untyped,unused-ignore]

    text = "## First\n\n- one fox\n- Быстрая лисица\n\n## Second\n\n| a | b |\n|---|---|\n| 1 | 2 |\n"
    argv = [pypandoc.get_pandoc_path(), "-f", "markdown", "-t", "pptx", "-o", "-"]
    return subprocess.run(argv, input=text.encode(), capture_output=True, check=True).stdout


def photo_pdf() -> bytes:
    """A PDF of one page that is one picture, kept without loss; nothing but noise packs worse."""
    import numpy
    import pikepdf

    shape = (300, 300, 3)
    smooth = numpy.add.outer(numpy.linspace(0, 150, 300), numpy.linspace(0, 80, 300))[..., None]
    noise = numpy.random.default_rng(7).normal(0, 12, shape)
    pixels = numpy.clip(smooth + noise, 0, 255).astype("uint8")
    document = pikepdf.new()
    page = document.add_blank_page(page_size=(300, 300))
    stream = pikepdf.Stream(document, pixels.tobytes())
    stream.update({"/Type": pikepdf.Name.XObject, "/Subtype": pikepdf.Name.Image, "/Width": 300, "/Height": 300})
    stream.update({"/ColorSpace": pikepdf.Name.DeviceRGB, "/BitsPerComponent": 8})
    page.Resources = pikepdf.Dictionary(XObject=pikepdf.Dictionary(Im0=stream))
    page.Contents = pikepdf.Stream(document, b"q 300 0 0 300 0 0 cm /Im0 Do Q")
    return _saved(document)


def locked_pdf() -> bytes:
    """A PDF that asks for a password."""
    import pikepdf

    document = pikepdf.new()
    document.add_blank_page()
    return _saved(document, encryption=pikepdf.Encryption(owner="a", user="b"))


def blank_pdf(width: int, height: int) -> bytes:
    """One page of this size in points."""
    import pikepdf

    document = pikepdf.new()
    document.add_blank_page(page_size=(width, height))
    return _saved(document)


def _saved(document: Any, **options: Any) -> bytes:
    out = BytesIO()
    document.save(out, **options)
    return out.getvalue()
