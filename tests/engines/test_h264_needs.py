"""What pictures of H.264 lean on: all that lean on nothing that was cut short come out bit for bit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from tests.support.av import ffmpeg

from mediamill.engines import _h264_needs

CODERS = {
    "as a rule": "bframes=3:b-adapt=0",
    "one to refer to": "ref=1:bframes=8:weightp=2:b-adapt=0:direct=temporal",
    "many": "ref=5:bframes=5:weightb=1:b-adapt=2",
    "slices": "ref=1:bframes=5:weightp=2:b-adapt=0:slices=3:direct=temporal",
    "short groups": "keyint=20:bframes=6:b-adapt=0",
    "strict": "bframes=6:b-pyramid=strict:b-adapt=0:ref=2",
}


def coded(path: Path, settings: str) -> Path:
    source = "testsrc2=s=128x72:r=30:d=2,noise=alls=8:allf=t,fade=in:0:15"
    how = ("-pix_fmt", "yuv420p", "-c:v", "libx264", "-preset", "veryfast", "-x264-params", settings)
    ffmpeg("-f", "lavfi", "-i", source, *how, path)
    return path


def read(path: Path) -> tuple[bytes, list[bytes], list[int]]:
    with av.open(str(path)) as container:
        track = container.streams.video[0]
        packets = [packet for packet in container.demux(track) if packet.pts is not None]
        extradata = track.codec_context.extradata or b""
        return extradata, [bytes(packet) for packet in packets], [packet.pts or 0 for packet in packets]


def decoded(path: Path, lost: set[int]) -> dict[int, tuple[Any, bool]]:
    """The pixels of every picture, and whether they are said to be damaged; of those lost only headers are given."""
    found = {}
    with av.open(str(path)) as container:
        track = container.streams.video[0]
        decoder = track.codec_context
        for number, packet in enumerate(container.demux(track)):
            given: Any = packet if packet.size else None
            if number in lost:
                given = av.Packet(_h264_needs.shortened(decoder.extradata or b"", memoryview(packet)))
                given.pts, given.dts, given.time_base = packet.pts, packet.dts, packet.time_base
            for frame in decoder.decode(given):
                found[frame.pts or 0] = frame.to_ndarray(), frame.is_corrupt
    return found


@pytest.mark.parametrize("name", CODERS)
def test_what_leans_on_nothing_lost_is_whole(name: str, tmp_path: Path) -> None:
    path = coded(tmp_path / "film.mp4", CODERS[name])
    extradata, packets, moments = read(path)
    whole = decoded(path, set())

    found = _h264_needs.needs(extradata, [memoryview(packet) for packet in packets])

    spare = [number for number, one in enumerate(found) if one.spare]
    assert len(spare) >= 4
    for lost in (set(spare[:1]), set(spare[1::2]), set(spare)):
        partly = decoded(path, lost)
        bad = _h264_needs.tainted(found, lost)
        assert len(bad) < len(packets)
        for number, moment in enumerate(moments):
            if number not in bad:
                pixels, damaged = partly[moment]
                assert not damaged, number
                assert np.array_equal(pixels, whole[moment][0]), number


def test_a_picture_needs_itself_and_what_that_needs(tmp_path: Path) -> None:
    extradata, packets, _ = read(coded(tmp_path / "film.mp4", CODERS["as a rule"]))
    found = _h264_needs.needs(extradata, [memoryview(packet) for packet in packets])
    needed = _h264_needs.closure(found, len(packets) - 1)

    assert len(packets) - 1 in needed
    assert all(one <= needed for one in (found[number].refers for number in needed))
    assert len(needed) < len(packets) * 2 / 3


@pytest.mark.parametrize("settings", ["interlaced=1:bframes=3", "bframes=3:open-gop=1:keyint=12:min-keyint=12"])
def test_of_what_is_not_understood_nothing_is_told(settings: str, tmp_path: Path) -> None:
    extradata, packets, _ = read(coded(tmp_path / "film.mp4", settings))
    views = [memoryview(packet) for packet in packets]
    start = 12 if "open" in settings else 0

    with pytest.raises(_h264_needs.NotTold):
        _h264_needs.needs(extradata, views[start:])


def test_damage_is_no_surprise(tmp_path: Path) -> None:
    extradata, packets, _ = read(coded(tmp_path / "film.mp4", CODERS["many"]))
    chance = np.random.default_rng(3)
    for _ in range(60):
        harmed = [bytearray(packet) for packet in packets[:20]]
        for packet in harmed:
            for at in chance.integers(0, min(40, len(packet)), 2):
                packet[at] = int(chance.integers(256))
        told = bytearray(extradata)
        told[int(chance.integers(len(told)))] ^= 1 << int(chance.integers(8))
        try:
            found = _h264_needs.needs(bytes(told), [memoryview(bytes(packet)) for packet in harmed])
        except _h264_needs.NotTold:
            continue
        assert all(number < len(found) for one in found for number in one.refers)
