"""Word 97, PowerPoint 97 and OpenDocument slides are read without an office suite.

The files in tests/support/old were written by LibreOffice 7.4 from the recipes of tests/support/documents.py.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.support import documents as recipes
from tests.support.documents import Bench

from mediamill.core.errors import BadMedia
from mediamill.engines import pandoc, typeset

OLD = Path(__file__).parents[1] / "support" / "old"
PANDOC, TYPESET = pandoc.CONVERTER, typeset.CONVERTER


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_a_word_97_file_gives_its_text_and_tables(bench: Bench) -> None:
    text = bench.convert(PANDOC, OLD / "words.doc", "md").read_text()
    for sample in recipes.SCRIPTS.values():
        assert sample in text
    assert "| cell 10 | cell 11 | cell 12 |" in text
    assert "after the break" in text


def test_a_word_97_file_is_drawn(bench: Bench) -> None:
    from PIL import Image

    with Image.open(bench.convert(TYPESET, OLD / "words.doc", "png", dpi=72)) as image:
        assert sum(image.convert("L").histogram()[:128]) > 500


@pytest.mark.parametrize("name", ["slides.ppt", "slides.odp"])
def test_slides_keep_their_titles_and_order(bench: Bench, name: str) -> None:
    text = bench.convert(PANDOC, OLD / name, "md").read_text()
    assert text.index("## First") < text.index("Быстрая лисица") < text.index("## Second")
    bench.convert(TYPESET, OLD / name, "pdf")
    assert bench.details["pages"] == 2


def test_open_slides_keep_their_table(bench: Bench) -> None:
    assert "| a   | b   |" in bench.convert(PANDOC, OLD / "slides.odp", "md").read_text()


@pytest.mark.parametrize("name", ["doc", "ppt", "odp"])
def test_noise_is_bad_media(bench: Bench, name: str) -> None:
    with pytest.raises(BadMedia):
        bench.convert(PANDOC, bench.file(f"a.{name}", b"noise" * 300), "txt")


@pytest.mark.parametrize("name", ["words.doc", "slides.ppt"])
def test_a_file_cut_short_is_bad_media(bench: Bench, name: str) -> None:
    data = (OLD / name).read_bytes()
    for share in (0.1, 0.5):
        source = bench.file(name, data[: int(len(data) * share)])
        with pytest.raises(BadMedia):
            bench.convert(PANDOC, source, "txt")
