"""Pages as pictures: the right page at the right size, in each type, with ink on it."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image
from tests.support import documents as recipes
from tests.support.documents import Bench

from mediamill.core.errors import BadMedia, LimitExceeded
from mediamill.engines import pdf, typeset

PDF, TYPESET = pdf.CONVERTER, typeset.CONVERTER


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


@pytest.fixture
def pages(bench: Bench) -> Path:
    """A PDF of three A4 pages, each with its own word."""
    text = bench.file("a.txt", "one\fsecond and longer\fthird, the longest of them all")
    return bench.file("a.pdf", bench.convert(TYPESET, text, "pdf").read_bytes())


def _ink(image: Image.Image) -> int:
    return sum(image.convert("L").histogram()[:128])


@pytest.mark.parametrize(
    ("target", "format", "mode"),
    [
        ("png", "PNG", "RGB"),
        ("jpeg", "JPEG", "RGB"),
        ("webp", "WEBP", "RGB"),
        ("ppm", "PPM", "RGB"),
        ("pgm", "PPM", "L"),
        ("pbm", "PPM", "1"),
    ],
)
@pytest.mark.parametrize("name", ["pdf", "txt"])
def test_a_page_is_drawn_in_each_type(
    bench: Bench, pages: Path, name: str, target: str, format: str, mode: str
) -> None:
    made = bench.convert(PDF if name == "pdf" else TYPESET, pages.with_suffix(f".{name}"), target)
    with Image.open(made) as image:
        assert (image.format, image.mode) == (format, mode)
        assert image.size == (1241, 1754)
        assert _ink(image) > 50
    assert bench.details["pages"] == 3


def test_page_and_dpi_choose_what_is_drawn(bench: Bench, pages: Path) -> None:
    ink = []
    for page in (1, 2, 3):
        with Image.open(bench.convert(PDF, pages, "png", page=page, dpi=72)) as image:
            assert image.size == (596, 842)
            ink.append(_ink(image))
    assert ink == sorted(set(ink))


def test_a_page_beyond_the_end_is_said_so(bench: Bench, pages: Path) -> None:
    with pytest.raises(BadMedia, match="no page 4: the document has 3"):
        bench.convert(PDF, pages, "png", page=4)


@pytest.mark.parametrize(
    ("wish", "size"),
    [
        ({"width": 300}, (300, 424)),
        ({"height": 421}, (298, 421)),
        ({"width": 200, "height": 200}, (200, 200)),
        ({"max_width": 100, "max_height": 5000}, (100, 141)),
    ],
)
def test_resize_acts_on_a_page(bench: Bench, pages: Path, wish: dict[str, int], size: tuple[int, int]) -> None:
    with Image.open(bench.convert(PDF, pages, "png", dpi=72, resize=wish)) as image:
        assert image.size == size


def test_background_is_what_lies_under_the_page(bench: Bench, pages: Path) -> None:
    with Image.open(bench.convert(PDF, pages, "png", dpi=36, background="#336699")) as image:
        assert image.getpixel((2, 2)) == (0x33, 0x66, 0x99)


def test_lower_quality_is_smaller(bench: Bench, pages: Path) -> None:
    sizes = [bench.convert(PDF, pages, "jpeg", quality=q).stat().st_size for q in (95, 30)]
    assert sizes[0] > sizes[1]


def test_a_page_too_large_to_draw_is_refused(bench: Bench) -> None:
    source = bench.file("a.pdf", recipes.blank_pdf(14_000, 14_000))
    with pytest.raises(LimitExceeded):
        bench.convert(PDF, source, "png", dpi=600)


def test_a_scan_becomes_a_document_with_its_picture(bench: Bench) -> None:
    import docx

    source = bench.file("a.pdf", recipes.photo_pdf())
    document = docx.Document(str(bench.convert(PDF, source, "docx")))
    assert len(document.inline_shapes) == 1
    with pytest.raises(BadMedia, match="its pages are pictures"):
        bench.convert(PDF, source, "txt")
