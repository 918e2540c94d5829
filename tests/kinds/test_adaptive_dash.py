"""The DASH manifest of packages: read as XML and by a parser, its ranges and indexes checked against the files."""

from __future__ import annotations

import struct
from pathlib import Path
from xml.etree import ElementTree as Xml

import pytest
from mpegdash.parser import MPEGDASHParser  # type: ignore[import-untyped]  # the package ships no types
from tests.support import hls_rules
from tests.support.adaptive import Packaged, halves, package

from mediamill.engines import _adaptive_boxes

NAMES = {"d": "urn:mpeg:dash:schema:mpd:2011"}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Packaged:
    folder = tmp_path_factory.mktemp("dash")
    return package(halves(folder / "film.mp4", seconds=14), "video/mp4", folder / "made", format="dash")


def representations(path: Path) -> list[Xml.Element]:
    return Xml.parse(path).findall(".//d:Representation", NAMES)


def test_the_result_is_the_manifest_and_a_parser_reads_it(made: Packaged) -> None:
    assert made.result.name == "film.mpd"
    assert [output.mime for output in made.outputs if output.role == "result"] == ["application/dash+xml"]
    found = MPEGDASHParser.parse(str(made.result))
    assert found.type == "static"
    assert found.media_presentation_duration == "PT14.000S"
    pictures, sounds = found.periods[0].adaptation_sets
    assert [one.height for one in pictures.representations] == [360, 240]
    assert sounds.representations[0].codecs == "mp4a.40.2"


def test_both_manifests_are_made_of_the_same_files(made: Packaged) -> None:
    dash = {one.findtext("d:BaseURL", "", NAMES) for one in representations(made.dash)}
    master = hls_rules.master(made.hls)
    playlists = [variant.playlist for variant in master.variants] + [playlist for _, playlist in master.media]

    assert dash == {part.file.name for playlist in playlists for part in playlist.parts}


def test_elements_stand_in_the_order_of_the_schema(made: Packaged) -> None:
    """ISO/IEC 23009-1: what all representations share comes before what a set adds, its representations last."""
    order = ["AudioChannelConfiguration", "Label", "Role", "BaseURL", "SegmentBase", "Representation"]
    for parent in Xml.parse(made.dash).iter():
        places = [order.index(name) for child in parent if (name := child.tag.split("}")[1]) in order]
        assert places == sorted(places)


def test_the_index_lists_the_segments_of_the_hls_playlists(made: Packaged) -> None:
    master = hls_rules.master(made.hls)
    playlists = [variant.playlist for variant in master.variants] + [playlist for _, playlist in master.group("AUDIO")]
    by_file = {playlist.parts[0].file.name: playlist for playlist in playlists}
    for one in representations(made.dash):
        name = one.findtext("d:BaseURL", "", NAMES)
        content = (made.folder / name).read_bytes()
        base = one.find("d:SegmentBase", NAMES)
        assert base is not None
        first, last = map(int, base.attrib["indexRange"].split("-"))
        init = base.find("d:Initialization", NAMES)
        assert init is not None
        assert init.attrib["range"] == f"0-{len(by_file[name].init) - 1}"
        size, box, _, _, scale, start, offset, _, count = struct.unpack_from(">I4sIIIIIHH", content, first)
        assert (size, box, start, offset) == (last - first + 1, b"sidx", 0, 0)
        at = last + 1
        for number, part in enumerate(by_file[name].parts):
            bytes_, ticks, sap = struct.unpack_from(">III", content, first + 32 + 12 * number)
            assert (at, bytes_, sap) == (part.offset, part.size, 0x90000000)
            assert abs(ticks / scale - part.duration_s) < 0.0001
            at += bytes_
        assert count == len(by_file[name].parts)
        assert at == len(content)


def test_bandwidths_carry_every_segment(made: Packaged) -> None:
    master = hls_rules.master(made.hls)
    playlists = [variant.playlist for variant in master.variants] + [playlist for _, playlist in master.group("AUDIO")]
    by_file = {playlist.parts[0].file.name: playlist for playlist in playlists}
    for one in representations(made.dash):
        parts = by_file[one.findtext("d:BaseURL", "", NAMES)].parts
        worst = max(part.size * 8 / part.duration_s for part in parts if part.duration_s >= 3)
        assert int(one.attrib["bandwidth"]) >= worst * 0.999


def test_an_index_without_room_for_all_lets_neighbours_share(tmp_path: Path, made: Packaged) -> None:
    argv = next(argv for argv in made.argvs if argv.count("libx264") == 2)
    from tests.support.av import ffmpeg

    short = tmp_path / "short.mp4"
    ffmpeg(
        *("-f", "lavfi", "-i", "testsrc2=s=64x64:r=10:d=40", "-c:v", "libx264", "-g", "10", "-sc_threshold", "0"),
        *("-metadata", "comment=" + "." * 60, "-movflags", argv[argv.index("-movflags") + 1], "-f", "mp4", short),
    )
    track = _adaptive_boxes.read(short)
    parts = _adaptive_boxes.segments(track, least_s=0.9)
    assert len(parts) == 40

    first, last = _adaptive_boxes.write_index(track, parts)

    content = short.read_bytes()
    [count] = struct.unpack_from(">H", content, first + 30)
    sizes = [struct.unpack_from(">I", content, first + 32 + 12 * n)[0] for n in range(count)]
    assert count < 40
    assert last + 1 + sum(sizes) == len(content)
    assert sum(1 for _ in _adaptive_boxes.read(short).fragments) == 40
