"""Word 97, PowerPoint 97 and OpenDocument slides are read without an office suite, and by one where there is one.

The files in tests/support/old were written by LibreOffice 7.4 from the recipes of tests/support/documents.py.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.support import documents as recipes
from tests.support.documents import Bench

from mediamill.core.errors import BadMedia, ToolFailed
from mediamill.engines import office, pandoc, typeset

OLD = Path(__file__).parents[1] / "support" / "old"
PANDOC, TYPESET, OFFICE = pandoc.CONVERTER, typeset.CONVERTER, office.CONVERTER

FAKE = """#!/bin/sh
printf '%s\\n' "$@" > "$HOME/../argv"
cp "$HOME/profile/user/registrymodifications.xcu" "$HOME/fonts.conf" "$HOME/.."
for last; do :; done
while [ "$1" != --outdir ]; do shift; done
[ -s "$last" ] && cp "$HOME/../given.pdf" "$2/source.pdf"
exit 0
"""


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


def test_without_an_office_suite_the_packages_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(office.SETTING, "/nowhere/soffice")
    missing = OFFICE.missing()
    assert missing is not None
    for package in ("libreoffice-writer-nogui", "libreoffice-calc-nogui", "libreoffice-impress-nogui", office.SETTING):
        assert package in missing.remedy


def test_office_files_go_to_the_office_suite_first() -> None:
    for pair, rank in OFFICE.pairs().items():
        other = TYPESET.pairs().get(pair)
        if other is not None and not pair[0].endswith("rtf"):
            assert rank < other


@pytest.fixture
def suite(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> Bench:
    """A stand-in for LibreOffice that notes how it was called, and where its PDF should come from."""
    program = bench.file("soffice", FAKE)
    program.chmod(0o755)
    monkeypatch.setenv(office.SETTING, str(program))
    (bench.folder / "scratch-1").mkdir()
    (bench.folder / "scratch-1" / "given.pdf").write_bytes(recipes.blank_pdf(200, 300))
    (bench.folder / "scratch-1").rename(bench.folder / "kept")
    return bench


def test_a_run_has_its_own_profile_with_macros_and_links_off(suite: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    source = suite.file("a.docx", recipes.docx())
    _prepared(suite, monkeypatch)
    out = suite.convert(OFFICE, source, "png", dpi=72)
    scratch = out.parent
    argv = (scratch / "argv").read_text().splitlines()
    assert f"-env:UserInstallation={(scratch / 'office' / 'profile').as_uri()}" in argv
    settings = (scratch / "registrymodifications.xcu").read_text()
    for name in ("DisableMacrosExecution", "BlockUntrustedRefererLinks", "Link"):
        assert name in settings
    assert "mediamill/fonts" in (scratch / "fonts.conf").read_text()
    assert suite.details["pages"] == 1


def test_a_run_that_makes_nothing_is_bad_media(suite: Bench) -> None:
    program = Path(office.program() or "")
    program.write_text("#!/bin/sh\nexit 0\n")
    with pytest.raises(BadMedia):
        suite.convert(OFFICE, suite.file("a.docx", recipes.docx()), "pdf")


def test_a_run_that_breaks_is_a_failed_tool(suite: Bench) -> None:
    Path(office.program() or "").write_text("#!/bin/sh\nexit 3\n")
    with pytest.raises(ToolFailed):
        suite.convert(OFFICE, suite.file("a.docx", recipes.docx()), "pdf")


def _prepared(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put the stand-in's PDF where it looks for it as soon as the scratch folder is there."""
    run = bench.tools.run

    def placed(argv: list[str], **options: object) -> object:
        (bench.folder / "scratch-1" / "given.pdf").write_bytes((bench.folder / "kept" / "given.pdf").read_bytes())
        return run(argv, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(bench.tools, "run", placed)
