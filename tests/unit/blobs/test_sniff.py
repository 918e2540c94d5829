"""Real files of every format under right, wrong and missing claims; chance signatures; hostile containers."""

from __future__ import annotations

import io
import struct
import time
import zipfile
from pathlib import Path

import pytest
from tests.support.specimens import OPEN_DOCUMENT, OPEN_XML, SPECIMENS, SRT, SVG, compound, zipped

from mediamill.blobs.sniff import sniff
from mediamill.core import formats

DOCX = OPEN_XML + "wordprocessingml.document"
XLSX = OPEN_XML + "spreadsheetml.sheet"

# What a claim may turn a specimen into, beside what it is.
TEXTS = {"text/plain", "text/markdown"}
TABLES = {"text/csv", "text/tab-separated-values", "text/x-psv"}
ALSO: dict[str, set[str]] = {
    "audio/opus": {"audio/ogg"},
    "font/ttf": {"font/otf"},
    "text/html": TEXTS,
    "application/x-subrip": TEXTS,
    "image/svg+xml": TEXTS,
    "text/plain": TEXTS | TABLES,
}


@pytest.fixture(scope="module")
def specimens(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("specimens")
    paths = {}
    for number, (name, (recipe, _)) in enumerate(SPECIMENS.items()):
        paths[name] = folder / f"{number}"  # no extension: nothing but the bytes to go by
        recipe(paths[name])
    return paths


@pytest.mark.parametrize("name", SPECIMENS)
def test_a_file_is_known_by_its_bytes_alone(name: str, specimens: dict[str, Path]) -> None:
    assert sniff(specimens[name]) == SPECIMENS[name][1]


@pytest.mark.parametrize("name", SPECIMENS)
def test_no_claim_makes_a_file_what_it_is_not(name: str, specimens: dict[str, Path]) -> None:
    alone = SPECIMENS[name][1]
    may_be = {alone} | ALSO.get(alone or "", set())
    if alone == "audio/mp4":
        may_be.add("video/mp4")
    if formats.family(alone or "") in ("document", "sheet") and zipfile.is_zipfile(specimens[name]):
        may_be.add("application/zip")
    if name == "nothing":
        may_be |= TEXTS | TABLES
    if name == "xml of another kind":
        may_be.add("text/html")

    for row in formats.FORMATS:
        assert sniff(specimens[name], claimed=row.mime) in may_be, row.mime


def test_every_format_has_a_specimen() -> None:
    by_claim_only = TABLES | {"text/markdown", "application/json"}

    assert {row.mime for row in formats.FORMATS} - {mime for _, mime in SPECIMENS.values()} == by_claim_only


@pytest.mark.parametrize("mime", sorted(TEXTS | TABLES))
def test_text_without_a_signature_is_what_the_claim_or_the_name_says(mime: str) -> None:
    words = b"a,b\tc|d\n1,2\t3|4\n"

    assert sniff(words, claimed=mime) == mime
    assert sniff(words, filename="x" + formats.suffix(mime)) == mime
    assert sniff(words) == "text/plain"


@pytest.mark.parametrize(
    ("words", "claimed", "filename", "found"),
    [
        (b'{"a": 1}', "application/json", None, "application/json"),
        (b"  [1]", "json", None, "application/json"),
        (b'"word"', None, "a.json", "application/json"),
        (b"-1.5", "application/json", None, "application/json"),
        (b"nope", "application/json", None, "text/plain"),
        (b'{"a": 1}', None, None, "text/plain"),
        (b"<!DOCTYPE html><p>404", "application/json", None, "text/html"),
        (b"<!DOCTYPE html><p>404", "text/csv", None, "text/html"),
        (b"<!DOCTYPE html><p>404", "image/png", "a.png", "text/html"),
        (b"<p>fragment</p>", "text/html", None, "text/html"),
        (b"<h1 align=center>Project</h1>\n# md", None, "README.md", "text/markdown"),
        (b"<h1 align=center>Project</h1>\n# md", None, None, "text/plain"),
        (b"no tags", "text/html", None, "text/plain"),
        (b"a,b\n", "text/csv", "x.tsv", "text/csv"),
        (b"a,b\n", "nonsense/type", "x.tsv", "text/tab-separated-values"),
        (b"a,b\n", "image/png", "x.csv", "text/plain"),
        (b"a,b\n", None, "x.csv.exe", "text/plain"),
        (b"WEBVTTX", None, None, "text/plain"),
        (SRT, "text/plain", None, "text/plain"),
        (b"not srt", "application/x-subrip", "a.srt", "text/plain"),
        (b"not vtt", "text/vtt", None, "text/plain"),
        (b"not svg", "image/svg+xml", "a.svg", "text/plain"),
        (b"<html><svg></svg></html>", "image/svg+xml", None, "text/html"),
        (SVG, "image/png", "a.png", "image/svg+xml"),
        (b"BM is a car maker, mostly", None, None, "text/plain"),
        (b"P1 is late again, P2 too", None, None, "text/plain"),
        (b"true story", None, None, "text/plain"),
        (b"OTTO was here", None, None, "text/plain"),
        (b"RIFFs and raffs and WAVEs", None, None, None),
        ("Hi".encode("utf-16"), None, None, "text/plain"),
        ("Hello there".encode("utf-16"), "mp3", None, "text/plain"),
        (b"", "text/csv", None, "text/csv"),
        (b"", "image/png", None, None),
        (b"", None, None, None),
        (b"\x1b[31mred\x1b[0m\n", None, None, "text/plain"),
        (b"words\0more", "text/plain", "a.txt", None),
        (b"\xff\xfe\x00\xd8", None, None, None),
    ],
)  # fmt: skip
def test_words_and_claims(words: bytes, claimed: str | None, filename: str | None, found: str | None) -> None:
    assert sniff(words, claimed=claimed, filename=filename) == found


def test_a_letter_cut_by_the_end_of_the_head_is_still_text() -> None:
    assert sniff("é".encode() * 40_000) == "text/plain"
    assert sniff(b"a" + "é".encode() * 40_000) == "text/plain"


def test_an_open_file_is_left_where_it_stood(specimens: dict[str, Path]) -> None:
    with specimens["docx"].open("rb") as file:
        file.seek(7)
        assert sniff(file) == DOCX
        assert file.tell() == 7


def test_a_claim_may_ask_for_the_zip_under_an_office_file(specimens: dict[str, Path]) -> None:
    assert sniff(specimens["docx"], claimed="application/zip") == "application/zip"
    assert sniff(specimens["odt"], claimed="zip") == "application/zip"
    assert sniff(specimens["xlsx"], claimed=DOCX) == XLSX
    assert sniff(specimens["zip"], claimed=DOCX) == "application/zip"


def test_sound_in_mp4_and_ogg_may_be_called_by_its_container(specimens: dict[str, Path]) -> None:
    assert sniff(specimens["mp4 with sound only"], filename="a.mp4") == "video/mp4"
    assert sniff(specimens["mp4 with sound only"], filename="a.m4a") == "audio/mp4"
    assert sniff(specimens["mp4"], claimed="audio/mp4") == "video/mp4"
    assert sniff(specimens["ogg opus"], claimed="audio/ogg") == "audio/ogg"
    assert sniff(specimens["ogg vorbis"], claimed="audio/opus") == "audio/ogg"


def test_an_old_targa_needs_a_claim_and_a_sane_header(specimens: dict[str, Path]) -> None:
    old = specimens["tga"].read_bytes()[:-26]

    assert sniff(old) is None
    assert sniff(old, claimed="image/x-tga") == "image/x-tga"
    assert sniff(old, filename="a.tga") == "image/x-tga"
    assert sniff(bytes(1000), claimed="image/x-tga") is None


def test_a_sound_behind_an_id3_tag_is_looked_at_past_the_tag(specimens: dict[str, Path]) -> None:
    tag = b"ID3\x04\0\0\0\0\x0f\x76" + bytes(15 * 128 + 118)

    assert sniff(tag + specimens["mp3 without tags"].read_bytes()) == "audio/mpeg"
    assert sniff(tag + specimens["aac"].read_bytes()) == "audio/aac"
    assert sniff(tag + specimens["flac"].read_bytes()) == "audio/flac"
    big = b"ID3\x04\0\0\0\x0f\0\0" + bytes(15 * 128 * 128)  # a cover picture longer than the head
    assert sniff(big + specimens["mp3 without tags"].read_bytes()) == "audio/mpeg"
    assert sniff(tag) is None


def test_an_mp3_behind_junk_needs_a_claim(specimens: dict[str, Path]) -> None:
    cut = b"\0\x01\x02\xff\xe0" + specimens["mp3 without tags"].read_bytes()

    assert sniff(cut) is None
    assert sniff(cut, claimed="mp3") == "audio/mpeg"


def test_a_pdf_behind_junk_needs_a_claim(specimens: dict[str, Path]) -> None:
    late = b"junk\n" + specimens["pdf"].read_bytes()

    assert sniff(late, claimed="application/pdf") == "application/pdf"


def test_an_old_tar_without_ustar_is_known_by_its_checksum() -> None:
    block = bytearray(b"one.txt".ljust(100, b"\0") + b"0000644\0" * 3 + b"00000000005\0" * 2 + b" " * 8 + b"0")
    block = block.ljust(512, b"\0")
    block[148:156] = b"%06o\0 " % sum(block)

    assert sniff(bytes(block) + bytes(1024)) == "application/x-tar"
    block[0] ^= 1
    assert sniff(bytes(block) + bytes(1024)) is None


def test_a_zip64_directory_is_found(tmp_path: Path) -> None:
    path = tmp_path / "many"
    entries = {"[Content_Types].xml": b"", "word/document.xml": b"", **{f"m/{n}": b"" for n in range(66_000)}}
    zipped(entries, method=zipfile.ZIP_STORED)(path)

    assert b"PK\x06\x06" in path.read_bytes()[-200:]
    assert sniff(path) == DOCX


def test_a_deflated_mimetype_entry_is_read(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("mimetype", OPEN_DOCUMENT + "text")

    assert sniff(buffer.getvalue()) == OPEN_DOCUMENT + "text"


@pytest.mark.parametrize("name", [n for n, (_, mime) in SPECIMENS.items() if mime])
def test_a_file_cut_anywhere_never_breaks_the_reader(name: str, specimens: dict[str, Path]) -> None:
    whole = specimens[name].read_bytes()

    for end in [*range(0, min(len(whole), 600), 7), len(whole) // 2, len(whole) - 1]:
        for claim in (None, SPECIMENS[name][1]):
            found = sniff(whole[:end], claimed=claim)
            assert found is None or formats.family(found)


def test_flipped_bytes_never_break_the_reader(specimens: dict[str, Path]) -> None:
    for name in ("docx", "doc", "mp4", "m4a", "ogg opus", "mkv", "mp3", "ico", "wma", "tga", "odt", "7z", "mov"):
        whole = bytearray(specimens[name].read_bytes()[:100_000])
        for at in [*range(8, min(len(whole), 700), 3), *range(max(0, len(whole) - 60), len(whole))]:
            kept = whole[at]
            whole[at] = 0xFF if kept != 0xFF else 0
            sniff(bytes(whole), claimed=SPECIMENS[name][1])
            whole[at] = kept


def _box_swarm() -> bytes:
    trak = struct.pack(">I4s", 8 + 16 * 8, b"trak") + struct.pack(">I4s", 16, b"mdia") * 8 + bytes(64)
    body = trak * 20_000
    return b"\0\0\0\x10ftypisom\0\0\0\0" + struct.pack(">I4s", 8 + len(body), b"moov") + body


def _mimetype_swarm() -> bytes:
    row = b"PK\x01\x02" + bytes(24) + struct.pack("<HHH", 8, 0, 0) + bytes(8) + bytes(4) + b"mimetype"
    rows = row * 80_000
    end = b"PK\x05\x06" + struct.pack("<HHHHIIH", 0, 0, 65535, 65535, len(rows), 30, 0)
    return b"PK\x03\x04" + bytes(26) + rows + end


def _ole_loop() -> bytes:
    header = bytearray(512)
    header[:8] = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
    header[30:32] = struct.pack("<H", 9)
    return bytes(header) + bytes(512 * 40)  # sector 0 is directory, table and its own successor


@pytest.mark.parametrize(
    "evil",
    [
        pytest.param(_box_swarm(), id="a movie of 20,000 tracks"),
        pytest.param(_mimetype_swarm(), id="80,000 mimetype entries"),
        pytest.param(_ole_loop(), id="a directory that follows itself"),
        pytest.param(b"P1" + b" " * 100_000, id="blanks after P1"),
        pytest.param(b"P1" + b"#\n" * 50_000, id="comments after P1"),
        pytest.param(b"<!--" * 30_000, id="comments that open"),
        pytest.param(b"<!-- -->" * 20_000 + SVG, id="comments that close"),
        pytest.param(b"<!DOCTYPE a [" + b"] " * 60_000, id="a doctype that never ends"),
        pytest.param(b"<?" + b"? " * 60_000, id="an instruction that never ends"),
        pytest.param(b"\n" * 120_000, id="blank lines"),
        pytest.param(b"1" * 120_000, id="digits"),
        pytest.param(b"1\n" * 60_000, id="numbered lines"),
        pytest.param(b"\xff\xfb" * 60_000, id="sync bits"),
        pytest.param(b"OggS" + b"\0\x02" * 60_000, id="pages"),
        pytest.param(b"\0\0\0\x10ftypisom\0\0\0\0" + b"\0\0\0\x08free" * 60_000, id="free boxes"),
    ],
)
@pytest.mark.parametrize("claimed", [None, "mp3", "docx", "csv", "svg"])
def test_hostile_bytes_cost_little_time(evil: bytes, claimed: str | None) -> None:
    started = time.process_time()

    sniff(evil, claimed=claimed)

    assert time.process_time() - started < 1.0


def test_a_storage_with_a_word_stream_inside_is_no_word_document(tmp_path: Path) -> None:
    path = tmp_path / "nested"
    compound(["Other"], ["WordDocument", "Workbook"])(path)

    assert sniff(path) is None
