"""Office files by LibreOffice: with stand-ins everywhere, and by the real one, confined, where there is one."""

from __future__ import annotations

import asyncio
import http.server
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from tests.support import documents as recipes
from tests.support import sheets
from tests.support.documents import Bench
from tests.support.office import Kit, Suite
from tests.support.tools import PlainTools

from mediamill.core import formats
from mediamill.core.errors import BadMedia, ToolFailed
from mediamill.engines import Installed, office, typeset
from mediamill.engines import _document_files as files
from mediamill.engines import _office_kit as kit
from mediamill.kinds import Context, Input
from mediamill.kinds._conversion import convert
from mediamill.worker.children import Children, Done, Job, Limits

OFFICE = office.CONVERTER
OLD = Path(__file__).parents[1] / "support" / "old"
LIMITS = Limits(wall_s=120, cpu_s=120, memory_bytes=1 << 30, output_bytes=1 << 28, scratch_bytes=1 << 29, processes=32)


@pytest.fixture
def suite(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Suite:
    """A LibreOffice of one page, the only one that is found."""
    program = tmp_path / "suite" / "program"
    program.mkdir(parents=True)
    for name in ("soffice", kit.LIBRARIES[0]):
        (program / name).write_bytes(b"no library at all")
    monkeypatch.setenv(office.SETTING, str(program / "soffice"))
    return Suite(pages=recipes.blank_pdf(200, 300), seen=tmp_path / "seen")


@pytest.fixture
def bench(tmp_path: Path, suite: Suite) -> Bench:
    return Bench(tmp_path, suite)


def test_without_libreoffice_the_packages_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(office.SETTING, "/nowhere/soffice")
    missing = OFFICE.missing()
    assert missing is not None
    for package in ("libreoffice-writer-nogui", "libreoffice-calc-nogui", "libreoffice-impress-nogui", office.SETTING):
        assert package in missing.remedy


def test_a_soffice_without_its_library_is_none(suite: Suite, tmp_path: Path) -> None:
    (tmp_path / "suite" / "program" / kit.LIBRARIES[0]).unlink()
    assert OFFICE.missing() is not None


def test_a_link_on_the_path_leads_to_the_program_s_folder(
    suite: Suite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "suite" / "program" / "soffice").chmod(0o755)
    (tmp_path / "bin" / "soffice").symlink_to(tmp_path / "suite" / "program" / "soffice")
    monkeypatch.delenv(office.SETTING)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    assert office.folder() == tmp_path / "suite" / "program"


def test_office_files_go_to_libreoffice_first() -> None:
    for pair, rank in OFFICE.pairs().items():
        other = typeset.CONVERTER.pairs().get(pair)
        if other is not None and not pair[0].endswith("rtf"):
            assert rank < other


def test_a_run_has_its_own_profile_with_macros_and_links_off(bench: Bench, suite: Suite) -> None:
    bench.convert(OFFICE, bench.file("a.docx", recipes.docx()), "png", dpi=72)
    settings = (suite.seen / "profile" / "user" / "registrymodifications.xcu").read_text()
    for name in ("DisableMacrosExecution", "BlockUntrustedRefererLinks", "Link"):
        assert name in settings
    assert "mediamill/fonts" in (suite.seen / "fonts.conf").read_text()
    assert bench.details["pages"] == 1
    room = bench.folder / "scratch-1" / "office"
    assert suite.environment["HOME"] == suite.environment["TMPDIR"] == str(room)
    assert suite.argvs[0][5] == (room / "profile").as_uri()
    assert not room.exists()


def test_a_run_that_makes_nothing_is_bad_media(bench: Bench, suite: Suite) -> None:
    suite.pages = None
    with pytest.raises(BadMedia):
        bench.convert(OFFICE, bench.file("a.docx", recipes.docx()), "pdf")


def test_a_library_that_cannot_be_loaded_is_a_failed_tool(suite: Suite, tmp_path: Path) -> None:
    with pytest.raises(ToolFailed):
        Bench(tmp_path).convert(OFFICE, recipes_file(tmp_path), "pdf")


def test_where_libreoffice_breaks_the_next_engine_does_it(suite: Suite, tmp_path: Path) -> None:
    made = tmp_path / "work"
    made.mkdir()
    given = Input(path=recipes_file(tmp_path), mime=files.DOCX, filename="a.docx")
    here = Installed((OFFICE, typeset.CONVERTER), (), PlainTools())
    ctx = Context(inputs=[given], scratch=made, engines=here, report=lambda stage, fraction=None: None)
    result = convert(ctx, files.PDF, {})
    assert (result.details["engine"], result.details["instead_of"]) == ("typeset", ["office"])
    assert "after the break" in recipes.pdf_text(result.outputs[0].path)


def test_what_cannot_be_read_is_not_tried_again(suite: Suite, tmp_path: Path) -> None:
    suite.pages = None
    given = Input(path=recipes_file(tmp_path), mime=files.DOCX, filename="a.docx")
    here = Installed((OFFICE, typeset.CONVERTER), (), suite)
    ctx = Context(inputs=[given], scratch=tmp_path, engines=here, report=lambda stage, fraction=None: None)
    with pytest.raises(BadMedia):
        convert(ctx, files.PDF, {})


def test_the_kit_opens_and_saves(tmp_path: Path) -> None:
    source, made = recipes_file(tmp_path), tmp_path / "made.pdf"
    library = Kit()
    urls = (source.as_uri(), made.as_uri())
    assert kit.convert(library, "/program", "file:///profile", *urls, "pdf", "options") == (kit.DONE, "")
    assert made.read_bytes() == source.read_bytes()
    assert (library.profile, library.options) == ("file:///profile", "options")


def test_the_kit_says_what_went_wrong(tmp_path: Path) -> None:
    source, nothing = recipes_file(tmp_path).as_uri(), (tmp_path / "nothing").as_uri()
    said = "It cannot be done."
    assert kit.convert(Kit(), "/program", "", nothing, nothing, "pdf", "") == (kit.UNREADABLE, said)
    assert kit.convert(Kit(), "/program", "", source, nothing, "never", "") == (kit.UNWRITTEN, said)
    status, _ = kit.convert(Kit(starts=False), "/program", "", source, nothing, "pdf", "")
    assert status == kit.BROKEN


def test_the_kit_s_program_names_a_missing_library(tmp_path: Path) -> None:
    run = subprocess.run(
        [sys.executable, "-I", "-S", kit.__file__, tmp_path, *("x",) * 5], capture_output=True, check=False
    )
    assert run.returncode == kit.BROKEN
    assert b"no LibreOffice" in run.stderr


def recipes_file(folder: Path) -> Path:
    path = folder / "a.docx"
    path.write_bytes(recipes.docx())
    return path


def linked(url: str) -> bytes:
    """A page whose picture lies elsewhere."""
    text = "urn:oasis:names:tc:opendocument:xmlns:"
    return (
        f'<office:document xmlns:office="{text}office:1.0" xmlns:text="{text}text:1.0" xmlns:draw="{text}drawing:1.0" '
        f'xmlns:xlink="http://www.w3.org/1999/xlink" office:version="1.2" '
        'office:mimetype="application/vnd.oasis.opendocument.text"><office:body><office:text><text:p>before'
        f'<draw:frame draw:name="p" text:anchor-type="as-char" xmlns:svg="{text}svg-compatible:1.0" svg:width="5cm" '
        f'svg:height="5cm"><draw:image xlink:href="{url}" xlink:type="simple"/></draw:frame></text:p></office:text>'
        "</office:body></office:document>"
    ).encode()


if (REAL := office.folder()) is not None:
    # What follows needs the real one.

    async def converted(children: Children, source: Path, target: str, into: Path) -> Done:
        given = formats.by_filename(source.name)
        assert given is not None
        async with children.slot() as slot:
            shutil.copyfile(source, slot.inputs / f"0{given.suffix}")
            inputs = [(f"0{given.suffix}", given.mime, source.name)]
            options = {"format": target}
            done = await slot.run(
                Job(kind="convert", options=options, inputs=inputs, limits=LIMITS, probe=False),
                lambda stage, fraction: None,
            )
            shutil.copyfile(done.outputs[0].path, into)
            return done

    def confined(folder: Path, slots: int = 1) -> Children:
        assert REAL is not None
        return Children(slots=slots, folder=folder / "slots", readable=[REAL.parent])

    async def test_the_real_one_converts_in_a_confined_child(tmp_path: Path) -> None:
        docx, pptx = recipes_file(tmp_path), tmp_path / "a.pptx"
        pptx.write_bytes(recipes.pptx())
        made = tmp_path / "made"
        children = confined(tmp_path)
        await children.start()
        try:
            for source, target, said in (
                (docx, "pdf", "Быстрая лисица"),
                (pptx, "pdf", "Second"),
                (OLD / "words.doc", "pdf", "cell 12"),
                (OLD / "slides.odp", "pdf", "Second"),
            ):
                assert (await converted(children, source, target, made)).details["engine"] == "office"
                assert said in recipes.pdf_text(made)
            await converted(children, OLD / "words.doc", "docx", tmp_path / "again.docx")
            await converted(children, tmp_path / "again.docx", "pdf", made)
            assert "after the break" in recipes.pdf_text(made)
            done = await converted(children, sheets.xlsx(tmp_path / "a.xlsx"), "png", made)
            assert (done.details["engine"], made.read_bytes()[:4]) == ("office", b"\x89PNG")
        finally:
            await children.close()

    async def test_the_real_one_does_several_at_once(tmp_path: Path) -> None:
        source = recipes_file(tmp_path)
        children = confined(tmp_path, slots=4)
        await children.start()
        try:
            made = [tmp_path / f"{number}.pdf" for number in range(4)]
            await asyncio.gather(*(converted(children, source, "pdf", path) for path in made))
        finally:
            await children.close()
        assert all("after the break" in recipes.pdf_text(path) for path in made)

    async def test_the_real_one_fetches_nothing_and_refuses_noise(tmp_path: Path) -> None:
        asked: list[str] = []

        class Answer(http.server.BaseHTTPRequestHandler):
            def handle(self) -> None:
                asked.append("asked")

        server = http.server.HTTPServer(("127.0.0.1", 0), Answer)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        children = confined(tmp_path)
        await children.start()
        try:
            source = tmp_path / "a.doc"
            source.write_bytes(linked(f"http://127.0.0.1:{server.server_port}/p.png"))
            await converted(children, source, "pdf", tmp_path / "made.pdf")
            assert "before" in recipes.pdf_text(tmp_path / "made.pdf")
            broken = tmp_path / "b.docx"
            broken.write_bytes(recipes.docx()[:9000])
            with pytest.raises(BadMedia):
                await converted(children, broken, "pdf", tmp_path / "made.pdf")
        finally:
            await children.close()
            server.shutdown()
            thread.join()
            server.server_close()
        assert asked == []
