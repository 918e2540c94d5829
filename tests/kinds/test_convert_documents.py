"""Documents come out as what was asked for, with their headings, tables, pictures and every script in them."""

from __future__ import annotations

import base64
import zipfile
from pathlib import Path

import pytest
from tests.support import documents as recipes
from tests.support.documents import Bench

from mediamill.core import formats
from mediamill.core.errors import BadMedia, LimitExceeded
from mediamill.engines import document_probe, pandoc, pdf, typeset

PANDOC, TYPESET, PDF = pandoc.CONVERTER, typeset.CONVERTER, pdf.CONVERTER


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The same document in every type that pandoc reads, and as PDF."""
    bench = Bench(tmp_path_factory.mktemp("documents"))
    first = bench.file("fox.docx", recipes.docx())
    found = {"docx": first}
    for name in ("odt", "rtf", "epub", "html", "md", "txt"):
        found[name] = bench.file(f"fox.{name}", bench.convert(PANDOC, first, name).read_bytes())
    found["pdf"] = bench.file("fox.pdf", bench.convert(TYPESET, first, "pdf").read_bytes())
    return found


def _lost(text: str) -> list[str]:
    """The scripts that are not in the text; PDF viewers may hand right-to-left words back to front."""
    words = {name: sample.split()[0] for name, sample in recipes.SCRIPTS.items()}
    return [name for name, word in words.items() if word not in text and word[::-1] not in text]


def _pictures(path: Path) -> int:
    import pypdfium2  # type: ignore[import-untyped]
    import pypdfium2.raw as raw  # type: ignore[import-untyped]

    with pypdfium2.PdfDocument(path) as document:
        return sum(1 for page in document for _ in page.get_objects(filter=[raw.FPDF_PAGEOBJ_IMAGE]))


def _fonts(path: Path) -> set[str]:
    import pikepdf

    with pikepdf.open(path) as document:
        return {
            str(item.get("/BaseFont"))
            for item in document.objects
            if isinstance(item, pikepdf.Dictionary) and item.get("/Type") == "/Font"
        }


@pytest.mark.parametrize("name", ["docx", "odt", "rtf", "epub", "html", "md", "txt"])
def test_every_type_is_set_as_pdf_with_table_and_every_script(made: dict[str, Path], bench: Bench, name: str) -> None:
    out = bench.convert(TYPESET, made[name], "pdf")
    text = recipes.pdf_text(out)
    assert _lost(text) == []
    assert "cell 11" in " ".join(text.split())
    assert bench.details["pages"] >= 1


@pytest.mark.parametrize("name", ["docx", "odt", "rtf", "epub", "html"])
def test_pictures_reach_the_pdf_a_bitmap_too(made: dict[str, Path], bench: Bench, name: str) -> None:
    assert _pictures(bench.convert(TYPESET, made[name], "pdf")) >= 2


def test_the_fonts_that_come_along_are_used_not_boxes(made: dict[str, Path]) -> None:
    used = " ".join(_fonts(made["pdf"]))
    for family in ("NotoSans-", "NotoSansArabic", "NotoSansHebrew", "NotoSansDevanagari", "NotoHan", "NotoHangul"):
        assert family in used


@pytest.mark.parametrize("name", ["docx", "odt", "rtf", "html", "md", "epub", "txt"])
def test_a_pdf_becomes_a_document_with_its_text(made: dict[str, Path], bench: Bench, name: str) -> None:
    out = bench.convert(PDF, made["pdf"], name)
    again = bench.file(f"again.{name}", out.read_bytes())
    text = bench.convert(PANDOC, again, "txt").read_text() if name != "txt" else out.read_text()
    assert _lost(text) == []
    assert "cell 11" in " ".join(text.split())


def test_a_pdf_becomes_a_docx_with_headings_a_table_and_pictures(made: dict[str, Path], bench: Bench) -> None:
    import docx

    document = docx.Document(str(bench.convert(PDF, made["pdf"], "docx")))
    assert "Foxes of the world" in [p.text for p in document.paragraphs if p.style and "Heading" in str(p.style.name)]
    assert [cell.text for cell in document.tables[0].rows[1].cells] == ["cell 10", "cell 11", "cell 12"]
    assert len(document.inline_shapes) == 2


def test_markdown_keeps_lists_notes_formulas_and_code(bench: Bench) -> None:
    source = bench.file("a.md", recipes.markdown())
    text = recipes.pdf_text(bench.convert(TYPESET, source, "pdf"))
    for piece in ("Foxes", "one", "two", "The note itself", 'print("fox")', "ant"):
        assert piece in text
    html = bench.convert(PANDOC, source, "html").read_text()
    assert "<math" in html
    assert "<table>" in html
    assert "<title>Foxes of the world</title>" in html


def test_html_with_open_tags_is_read_and_its_scripts_are_not(bench: Bench) -> None:
    source = bench.file("a.html", recipes.html())
    out = bench.convert(TYPESET, source, "pdf")
    text = recipes.pdf_text(out)
    assert "scripted" not in text
    assert "color" not in text
    assert _lost(text) == []
    assert _pictures(out) == 1
    markdown = bench.convert(PANDOC, source, "md").read_text()
    assert "| fox  | 4    |" in markdown


def test_text_keeps_its_lines_spaces_and_page_breaks(bench: Bench) -> None:
    source = bench.file("a.txt", "first line\n    indented\n\tby tab\n\fsecond page\n" + "word " * 60)
    out = bench.convert(TYPESET, source, "pdf")
    first, second = recipes.pdf_text(out).split("\f")
    assert first.splitlines()[0] == "first line"
    assert second.startswith("second page")
    assert bench.details["pages"] == 2


@pytest.mark.parametrize("codec", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "cp1252"])
def test_text_is_read_whatever_its_encoding(bench: Bench, codec: str) -> None:
    source = bench.file("a.txt", "naïve façade, señor, 40 €".encode(codec))
    assert "naïve façade, señor, 40 €" in recipes.pdf_text(bench.convert(TYPESET, source, "pdf"))


def test_a_dot_and_a_word_behind_emphasis_are_text(bench: Bench) -> None:
    text = "*element*.addElement, **a**._b, [c](https://example.org).d ~~e~~.é *f*.5 and *g*.<i>x</i>\n\n.start"
    out = bench.convert(TYPESET, bench.file("a.md", text.encode()), "pdf")

    found = " ".join(recipes.pdf_text(out).split())
    assert found == "element.addElement, a._b, c.d e.é f.5 and g.x .start"
    assert b"example.org" in out.read_bytes()  # set at the first attempt, for the second one drops links


@pytest.mark.parametrize("target", ["pdf", "docx", "html", "txt"])
def test_a_line_break_between_paragraphs_is_no_fault(target: str, bench: Bench) -> None:
    source = bench.file("a.md", b"one\n\n<br>\n\ntwo\n\n<br/>\n")

    out = bench.convert(TYPESET if target == "pdf" else PANDOC, source, target)

    if target == "pdf":
        assert recipes.pdf_text(out).split() == ["one", "two"]


@pytest.mark.parametrize("outer", ["q", "kbd", "mark"])
@pytest.mark.parametrize("inner", ["button", "video", "audio", "map", "progress"])
def test_words_in_elements_that_are_no_text_stay(outer: str, inner: str, bench: Bench) -> None:
    html = f"<p><{outer}>a <{inner}>b<source src=x></{inner}> <img src=x alt=c></{outer}></p><ol start=-3><li>d</ol>"

    found = recipes.pdf_text(bench.convert(TYPESET, bench.file("a.html", html.encode()), "pdf"))

    assert [letter for letter in found if letter in "abcd"] == ["a", "b", "c", "d"]


def test_a_link_to_a_place_that_is_lost_costs_no_picture(bench: Bench) -> None:
    pixel = base64.b64encode(recipes.picture()).decode()
    html = f'<p><a href="#x">a</a> <code id=x>b</code> <img src="data:image/png;base64,{pixel}"></p>'

    out = bench.convert(TYPESET, bench.file("a.html", html.encode()), "pdf")

    assert recipes.pdf_text(out).split()[0] == "a"
    assert _pictures(out) == 1


@pytest.mark.parametrize("outer", ["q", "kbd", "mark"])
def test_blocks_within_words_are_read(outer: str, bench: Bench) -> None:
    html = f"<{outer}><ins>a <p>b</p> <ul><li>c</ul></ins> d</{outer}> <mark>e</mark>"

    found = recipes.pdf_text(bench.convert(TYPESET, bench.file("a.html", html.encode()), "pdf"))

    assert [letter for letter in found if letter in "abcde"] == ["a", "b", "c", "d", "e"]


@pytest.mark.parametrize("mark", ["<![m>", "<![>", "<![ 1]]>", "<![CDATA[x]]>", "<![if IE]>", "<!x>", "<!["])
def test_html_with_marks_that_nobody_knows_is_read(mark: str, bench: Bench) -> None:
    source = bench.file("a.html", f"<p>before {mark} <b>after</b></p>".encode())

    assert "before" in recipes.pdf_text(bench.convert(TYPESET, source, "pdf"))


def test_slides_are_one_wide_page_each(bench: Bench) -> None:
    source = bench.file("a.pptx", recipes.pptx())
    out = bench.convert(TYPESET, source, "pdf")
    assert bench.details["pages"] == 2
    assert "Быстрая лисица" in recipes.pdf_text(out)
    picture = bench.convert(TYPESET, source, "png", dpi=36)
    from PIL import Image

    with Image.open(picture) as image:
        assert image.width > image.height


def test_right_to_left_text_is_set_from_the_right(bench: Bench) -> None:
    from PIL import Image

    source = bench.file("a.md", recipes.SCRIPTS["Arabic"])
    with Image.open(bench.convert(TYPESET, source, "png", dpi=72)) as image:
        ink = image.convert("L").point(lambda value: 255 if value < 128 else 0).getbbox()
        assert ink is not None
        assert ink[0] > image.width / 2


def test_a_wide_table_turns_the_page(bench: Bench) -> None:
    import pypdfium2

    columns = 14
    row = "|" + "|".join(f"c{n}" for n in range(columns)) + "|\n"
    source = bench.file("a.md", row + "|" + "---|" * columns + "\n" + row)
    with pypdfium2.PdfDocument(bench.convert(TYPESET, source, "pdf")) as document:
        width, height = document[0].get_size()
    assert width > height


def test_the_probe_finds_pages_and_titles(made: dict[str, Path]) -> None:
    probe = document_probe.PROBER.probe
    assert probe(made["pdf"], "application/pdf").pages == 2
    for name in ("docx", "epub", "html"):
        assert probe(made[name], formats.find(name).mime).title == "Foxes of the world"  # type: ignore[union-attr]


def test_a_pdf_is_packed_and_still_says_the_same(made: dict[str, Path], bench: Bench) -> None:
    out = bench.convert(PDF, made["pdf"], "pdf")
    assert out.stat().st_size < made["pdf"].stat().st_size
    assert recipes.pdf_text(out) == recipes.pdf_text(made["pdf"])


def test_photos_in_a_pdf_are_written_anew_only_when_asked(bench: Bench) -> None:
    source = bench.file("a.pdf", recipes.photo_pdf())
    whole = bench.convert(PDF, source, "pdf")
    assert whole.stat().st_size > 100_000
    small = bench.convert(PDF, source, "pdf", quality=40)
    assert bench.details["pictures"] == 1
    assert small.stat().st_size < whole.stat().st_size / 2
    assert _pictures(small) == 1


@pytest.mark.parametrize("name", ["docx", "odt", "epub", "pptx", "rtf", "pdf"])
def test_noise_is_bad_media_and_says_no_path(bench: Bench, name: str) -> None:
    source = bench.file(f"a.{name}", b"\x00\x13noise" * 200)
    with pytest.raises(BadMedia) as caught:
        bench.convert(PDF if name == "pdf" else TYPESET, source, "png")
    assert "/" not in str(caught.value)


@pytest.mark.parametrize("name", ["docx", "txt", "html", "md", "pdf"])
def test_an_empty_file_is_bad_media(bench: Bench, name: str) -> None:
    with pytest.raises(BadMedia):
        bench.convert(PDF if name == "pdf" else TYPESET, bench.file(f"a.{name}", b""), "png")


@pytest.mark.parametrize("target", ["png", "txt", "docx", "pdf"])
def test_a_locked_pdf_is_named_as_such(bench: Bench, target: str) -> None:
    source = bench.file("a.pdf", recipes.locked_pdf())
    with pytest.raises(BadMedia, match="protected by a password"):
        bench.convert(PDF, source, target)


def test_a_zip_bomb_is_refused_before_it_is_read(bench: Bench) -> None:
    bomb = recipes.zipped({"word/document.xml": b"<a/>" * (40 << 20 >> 2), "[Content_Types].xml": "<Types/>"})
    with pytest.raises(LimitExceeded):
        bench.convert(TYPESET, bench.file("a.docx", bomb), "pdf")
    assert bench.tools.argvs == []


def test_a_package_that_lacks_its_body_is_bad_media(bench: Bench, made: dict[str, Path]) -> None:
    entries = {"[Content_Types].xml": "<Types/>"}
    with pytest.raises(BadMedia):
        bench.convert(PANDOC, bench.file("a.docx", recipes.zipped(entries)), "txt")


def test_entities_that_grow_are_not_let_grow(bench: Bench, made: dict[str, Path]) -> None:
    laughs = '<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "ha">' + "".join(
        f'<!ENTITY {b} "{f"&{a};" * 20}">' for a, b in zip("abcdefgh", "bcdefghi", strict=True)
    )
    with zipfile.ZipFile(made["docx"]) as package:
        entries = {name: package.read(name) for name in package.namelist()}
    body = entries["word/document.xml"].decode()
    entries["word/document.xml"] = (laughs + "]>" + body.split("?>", 1)[1].replace("after the break", "&i;")).encode()
    with pytest.raises((BadMedia, LimitExceeded)):
        bench.convert(PANDOC, bench.file("a.docx", recipes.zipped(entries)), "txt")


LEAKS = (
    '<img src="file:///etc/passwd"><img src="/etc/passwd"><img src="http://127.0.0.1:1/x.png">'
    '<iframe src="/etc/passwd"></iframe><object data="/etc/passwd"></object><embed src="/etc/passwd">'
    '<link rel=stylesheet href="file:///etc/passwd"><p>kept</p>'
)


@pytest.mark.parametrize("target", ["pdf", "docx", "odt", "md", "txt", "epub"])
def test_html_reads_no_other_file_and_no_address(bench: Bench, target: str) -> None:
    out = bench.convert(TYPESET if target == "pdf" else PANDOC, bench.file("a.html", LEAKS), target)
    data = out.read_bytes()
    if target in ("docx", "odt", "epub"):
        with zipfile.ZipFile(out) as package:
            data = b"".join(package.read(name) for name in package.namelist())
    assert b"root:" not in data
    assert b"127.0.0.1" not in data


def test_markdown_cannot_speak_to_the_typesetter(bench: Bench) -> None:
    source = bench.file(
        "a.md",
        "---\ntemplate: '@preview/x:1.0.0'\nheader-includes: '#panic()'\n---\n\nkept `#panic()`{=typst}\n\n"
        '```{=typst}\n#read("/etc/passwd")\n```\n\n[x]{typst:text:fill="panic()"} [gone](#nowhere) @nobody\n\n'
        "![p](/etc/passwd) ![q](../../x.png)\n",
    )
    text = recipes.pdf_text(bench.convert(TYPESET, source, "pdf"))
    assert "kept" in text
    assert "root:" not in text


def test_every_program_is_started_in_its_own_sandbox_with_a_bounded_heap(made: dict[str, Path], bench: Bench) -> None:
    bench.convert(TYPESET, made["docx"], "pdf")
    bench.convert(PANDOC, made["docx"], "odt")
    for argv in bench.tools.argvs:
        assert "--sandbox" in argv
        assert argv[1].startswith("+RTS")
        assert argv[2].startswith("-M")
