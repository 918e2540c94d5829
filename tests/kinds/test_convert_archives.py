"""Archives turned into each other: what comes out is unpacked by plain unpackers; hostile ones are refused."""

from __future__ import annotations

import gzip
import io
import os
import stat
import struct
import tarfile
import zipfile
from pathlib import Path

import py7zr
import pytest
from tests.support.sheets import MODIFIED_S, TREE, archive, convert, unpack

from mediamill.core import formats
from mediamill.core.errors import BadMedia, Failed, LimitExceeded
from mediamill.engines import _archive_guard
from mediamill.engines.archive_probe import PROBER
from mediamill.engines.archives import CONVERTER

ZIP, TAR, GZIP, SEVEN = "application/zip", "application/x-tar", "application/gzip", "application/x-7z-compressed"
TYPES = (ZIP, TAR, GZIP, SEVEN)


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("archives")
    return {mime: archive(folder / f"source{formats.suffix(mime)}", mime) for mime in TYPES}


def tar_of(path: Path, *entries: tuple[tarfile.TarInfo, bytes]) -> Path:
    with tarfile.open(path, "w") as made:
        for entry, data in entries:
            entry.size = entry.size or len(data)
            made.addfile(entry, io.BytesIO(data))
    return path


def zip_of(path: Path, *entries: tuple[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as made:
        for name, data in entries:
            info = zipfile.ZipInfo("x")
            info.filename = name
            info.compress_type = zipfile.ZIP_DEFLATED
            made.writestr(info, data)
    return path


@pytest.mark.parametrize("wanted", TYPES)
@pytest.mark.parametrize("given", TYPES)
def test_every_archive_becomes_every_archive_with_its_files_and_folders(
    given: str, wanted: str, sources: dict[str, Path], tmp_path: Path
) -> None:
    made, details = convert(CONVERTER, sources[given], given, wanted, tmp_path)

    found = unpack(made, wanted, tmp_path / "out")
    assert {name: found.get(name, b"missing") for name in TREE} == TREE
    assert details["entries"] == len(TREE)
    assert details["unpacked_bytes"] == sum(len(data or b"") for data in TREE.values())
    assert PROBER.probe(made, wanted).entries == len(TREE)


@pytest.mark.parametrize("wanted", TYPES)
@pytest.mark.parametrize("given", TYPES)
def test_times_and_permissions_are_kept(given: str, wanted: str, sources: dict[str, Path], tmp_path: Path) -> None:
    made, _ = convert(CONVERTER, sources[given], given, wanted, tmp_path)

    back, _ = convert(CONVERTER, made, wanted, TAR, tmp_path)
    with tarfile.open(back) as tar:
        entry = tar.getmember("docs/deep/er/data.bin")
    assert entry.mtime == MODIFIED_S
    assert stat.S_IMODE(entry.mode) == 0o755


@pytest.mark.parametrize("wanted", [ZIP, GZIP, SEVEN])
def test_level_trades_size(wanted: str, tmp_path: Path) -> None:
    words = b" ".join(str(number * number).encode() for number in range(40_000))
    source = archive(tmp_path / "words.tar", TAR, {"words": words})

    sizes = [convert(CONVERTER, source, TAR, wanted, tmp_path, level=level)[0].stat().st_size for level in (0, 1, 9)]

    assert sizes[0] > len(words) > sizes[1] > sizes[2]


def test_two_entries_of_one_name_are_both_kept(tmp_path: Path) -> None:
    one, two = tarfile.TarInfo("a/same.txt"), tarfile.TarInfo("./a//same.txt")
    source = tar_of(tmp_path / "twice.tar", (one, b"first"), (two, b"second"))

    for wanted in TYPES:
        made, details = convert(CONVERTER, source, TAR, wanted, tmp_path)
        found = unpack(made, wanted, tmp_path / wanted.replace("/", "-"))
        assert (found["a/same.txt"], found["a/same (2).txt"]) == (b"first", b"second")
        assert details["renamed_duplicates"] == 1


def test_names_in_other_encodings_are_read_as_their_writers_meant(tmp_path: Path) -> None:
    utf8_unflagged = zip_of(tmp_path / "mac.zip", ("x" * len("grüße.txt".encode()), b"1"))
    data = utf8_unflagged.read_bytes().replace(b"x" * len("grüße.txt".encode()), "grüße.txt".encode())
    utf8_unflagged.write_bytes(data)
    latin1 = tmp_path / "old.tar"
    with tarfile.open(latin1, "w", format=tarfile.GNU_FORMAT, encoding="latin-1") as made:
        made.addfile(tarfile.TarInfo("grüße.txt"))

    for source, given in ((utf8_unflagged, ZIP), (latin1, TAR)):
        made_zip, _ = convert(CONVERTER, source, given, ZIP, tmp_path)
        assert zipfile.ZipFile(made_zip).namelist() == ["grüße.txt"]


def test_a_gzip_of_one_file_is_an_archive_of_one_entry(tmp_path: Path) -> None:
    source = tmp_path / "table.csv.gz"
    with source.open("wb") as stream, gzip.GzipFile("table.csv", "wb", fileobj=stream) as packed:
        packed.write(b"a,b\n1,2\n" * 2000)

    made, _ = convert(CONVERTER, source, GZIP, ZIP, tmp_path)
    again, _ = convert(CONVERTER, source, GZIP, GZIP, tmp_path, level=9)

    assert zipfile.ZipFile(made).namelist() == ["table.csv"]
    assert gzip.decompress(again.read_bytes()) == b"a,b\n1,2\n" * 2000
    assert PROBER.probe(source, GZIP).entries == 1


@pytest.mark.parametrize(
    "name", ["../up.txt", "a/../../up.txt", "/etc/passwd", "C:\\x.txt", "c:x", "..\\up", "\\\\host\\x"]
)
@pytest.mark.parametrize("given", [ZIP, TAR])
def test_names_that_leave_the_folder_are_refused(given: str, name: str, tmp_path: Path) -> None:
    path = tmp_path / "evil"
    source = zip_of(path, (name, b"x")) if given == ZIP else tar_of(path, (tarfile.TarInfo(name), b"x"))

    with pytest.raises(BadMedia, match=r"absolute|outside"):
        convert(CONVERTER, source, given, TAR, tmp_path)
    with pytest.raises(BadMedia, match=r"absolute|outside"):
        PROBER.probe(source, given)


def test_a_7z_whose_name_climbs_is_refused(tmp_path: Path) -> None:
    source = tmp_path / "evil.7z"
    with py7zr.SevenZipFile(source, "w", header_encryption=False) as made:
        made.set_encoded_header_mode(False)
        made.writestr(b"x", "aa/b.txt")
    data = source.read_bytes()
    climbed = data.replace("aa/b.txt".encode("utf-16-le"), "../b.txt".encode("utf-16-le"))
    assert climbed != data
    header = climbed[32 + struct.unpack_from("<Q", climbed, 12)[0] :]
    import zlib

    start = climbed[12:28] + struct.pack("<I", zlib.crc32(header))
    source.write_bytes(climbed[:8] + struct.pack("<I", zlib.crc32(start)) + start + climbed[32:])

    with pytest.raises(BadMedia, match="outside"):
        convert(CONVERTER, source, SEVEN, ZIP, tmp_path)


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE])
def test_links_and_devices_in_a_tar_are_refused(kind: bytes, tmp_path: Path) -> None:
    entry = tarfile.TarInfo("thing")
    entry.type, entry.linkname = kind, "/etc/passwd"
    source = tar_of(tmp_path / "evil.tar", (entry, b""))

    with pytest.raises(BadMedia, match="link or a device"):
        convert(CONVERTER, source, TAR, ZIP, tmp_path)


def test_links_in_zip_and_7z_are_refused(tmp_path: Path) -> None:
    zipped = tmp_path / "evil.zip"
    with zipfile.ZipFile(zipped, "w") as made:
        info = zipfile.ZipInfo("thing")
        info.create_system, info.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
        made.writestr(info, "/etc/passwd")
    seven = tmp_path / "evil.7z"
    (tmp_path / "elsewhere").write_bytes(b"x")
    (tmp_path / "thing").symlink_to("elsewhere")
    with py7zr.SevenZipFile(seven, "w") as made_7z:
        made_7z.write(tmp_path / "thing", "thing")

    for source, given in ((zipped, ZIP), (seven, SEVEN)):
        with pytest.raises(BadMedia, match="link or a device"):
            convert(CONVERTER, source, given, TAR, tmp_path)


def test_locked_archives_are_named_as_such(tmp_path: Path) -> None:
    seven, hidden = tmp_path / "locked.7z", tmp_path / "hidden.7z"
    for path, header in ((seven, False), (hidden, True)):
        with py7zr.SevenZipFile(path, "w", password="secret", header_encryption=header) as made:
            made.writestr(b"x" * 100, "a.txt")
    zipped = bytearray(zip_of(tmp_path / "locked.zip", ("a.txt", b"x")).read_bytes())
    zipped[6] |= 1
    zipped[zipped.find(b"PK\1\2") + 8] |= 1
    (tmp_path / "locked.zip").write_bytes(zipped)

    for path, given in ((seven, SEVEN), (hidden, SEVEN), (tmp_path / "locked.zip", ZIP)):
        with pytest.raises(BadMedia, match="password"):
            convert(CONVERTER, path, given, TAR, tmp_path)


def test_bombs_stop_at_the_ratio(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(_archive_guard, "RATIO_FROM_BYTES", 1024**2)
    zeros = bytes(8 * 1024**2)
    flat = tar_of(tmp_path / "zeros.tar", (tarfile.TarInfo("zeros"), zeros))
    packed = tmp_path / "zeros.tar.gz"
    packed.write_bytes(gzip.compress(flat.read_bytes()))
    seven = archive(tmp_path / "zeros.7z", SEVEN, {"zeros": zeros})
    lone = tmp_path / "zeros.gz"
    lone.write_bytes(gzip.compress(zeros))

    bombs = [(zip_of(tmp_path / "b.zip", ("zeros", zeros)), ZIP), (packed, GZIP), (seven, SEVEN), (lone, GZIP)]
    for path, given in bombs:
        for wanted in (ZIP, GZIP):
            with pytest.raises(LimitExceeded, match="200 times"):
                convert(CONVERTER, path, given, wanted, tmp_path)


def test_a_zip_that_understates_its_sizes_is_damaged(tmp_path: Path) -> None:
    data = bytearray(zip_of(tmp_path / "liar.zip", ("zeros", bytes(5_000_000))).read_bytes())
    for signature, at in ((b"PK\3\4", 22), (b"PK\1\2", 24)):
        struct.pack_into("<I", data, data.find(signature) + at, 10)
    (tmp_path / "liar.zip").write_bytes(data)

    for wanted in TYPES:
        with pytest.raises(BadMedia):
            convert(CONVERTER, tmp_path / "liar.zip", ZIP, wanted, tmp_path)


def test_too_many_entries_are_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(_archive_guard, "ENTRIES", 10)
    source = zip_of(tmp_path / "many.zip", *((str(number), b"") for number in range(11)))
    tar = tar_of(tmp_path / "many.tar", *((tarfile.TarInfo(str(number)), b"") for number in range(11)))

    for path, given in ((source, ZIP), (tar, TAR)):
        with pytest.raises(LimitExceeded, match="entries"):
            convert(CONVERTER, path, given, TAR, tmp_path)


def test_a_tar_header_that_would_fill_memory_is_refused(tmp_path: Path) -> None:
    record = tarfile.TarInfo("pax")
    record.type, record.size = tarfile.XHDTYPE, 3 * 1024**3
    path = tmp_path / "pax.tar"
    path.write_bytes(record.tobuf(tarfile.GNU_FORMAT) + bytes(1024))

    with pytest.raises(LimitExceeded, match="header"):
        convert(CONVERTER, path, TAR, ZIP, tmp_path)


@pytest.mark.parametrize("given", TYPES)
def test_a_chain_of_headers_or_noise_is_damaged(given: str, tmp_path: Path) -> None:
    noise = tmp_path / "noise"
    noise.write_bytes(os.urandom(5000))

    with pytest.raises(BadMedia):
        convert(CONVERTER, noise, given, ZIP, tmp_path)
    with pytest.raises(BadMedia):
        PROBER.probe(noise, given)


@pytest.mark.parametrize("given", TYPES)
def test_damage_anywhere_is_an_error_of_ours_or_harmless(given: str, sources: dict[str, Path], tmp_path: Path) -> None:
    whole = sources[given].read_bytes()
    hurt = tmp_path / "hurt"
    refused = 0
    for step in range(60):
        data = bytearray(whole)
        if step % 3 == 0:
            data = data[: len(data) * step // 60]
        else:
            for spot in range(4):
                data[(step * 7919 + spot * 104729) % len(data)] ^= 1 << (step + spot) % 8
        hurt.write_bytes(data)
        try:
            convert(CONVERTER, hurt, given, TAR, tmp_path)
        except Failed:
            refused += 1

    assert refused >= 20


def test_a_plain_tar_has_no_level(tmp_path: Path) -> None:
    assert CONVERTER.keys((ZIP, TAR)) == frozenset()
    assert CONVERTER.keys((TAR, ZIP)) == {"level"}
    assert CONVERTER.missing() is None
