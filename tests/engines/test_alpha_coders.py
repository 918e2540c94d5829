"""The coders of films with transparency make what ffmpeg would make of the same pictures, and say what it would say."""

from __future__ import annotations

import base64
import subprocess
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray
from tests.support import vision
from tests.support.av import ffmpeg
from tests.support.browser import browsing
from tests.support.tools import PlainTools

from mediamill.core.errors import ToolFailed
from mediamill.engines import _ffmpeg, _frames, _vp9_alpha

OWN = (
    *("-c:v", "libvpx-vp9", "-pix_fmt", "yuva420p", "-auto-alt-ref", "0", "-crf", "30", "-b:v", "0"),
    *("-deadline", "realtime", "-cpu-used", "6", "-lag-in-frames", "0", "-tile-columns", "2"),
)


def front(frame: _frames.Frame) -> None:
    """A disc of the picture, with a soft edge, that goes from left to right; black and clear around it."""
    y, u, v, alpha = frame.made.planes
    height, width = y.shape
    down, across = np.mgrid[0:height, 0:width]
    far = np.hypot(down - height / 2, across - width * (0.3 + 0.01 * frame.number))
    alpha[...] = np.clip((height / 3 - far) * 40, 0, 255).astype(np.uint8)
    for plane, given, blank in zip((y, u, v), frame.given.planes, (16, 128, 128), strict=True):
        scale = -(-height // plane.shape[0])
        plane[...] = np.where(alpha[::scale, ::scale] > 0, given, np.uint8(blank))


def source(path: Path, size: str, *options: str, length_s: float = 0.8) -> Path:
    picture = f"testsrc2=s={size}:r=25:d={length_s}"
    ffmpeg("-f", "lavfi", "-i", picture, *options, *vision.H264[:-2], "-pix_fmt", "yuv420p", path)
    return path


def made(given: Path, target: Path, *, coder: bool = True, step: _frames.Step = front) -> Path:
    word: Any = target.suffix[1:]
    codes: dict[str, Any] = {"coder": _vp9_alpha.Coder()} if coder else {"encoder": OWN}
    _frames.pump(
        _frames.Job(
            source=given,
            mime="video/mp4",
            target=target,
            container=word,
            made="yuva420p",
            tools=PlainTools(),
            report=lambda stage, fraction=None: None,
            **codes,
        ),
        [step],
    )
    return target


def raw(path: Path) -> NDArray[Any]:
    """Every picture, one after the other, as numbers."""
    argv: list[str | Path] = [_ffmpeg.binary(), "-v", "error", "-c:v", "libvpx-vp9", "-i", path]
    told = ("-fps_mode", "passthrough", "-f", "rawvideo", "-pix_fmt", "yuva420p", "-")
    data = subprocess.run([*argv, *told], check=True, capture_output=True).stdout
    return np.frombuffer(data, np.uint8).astype(np.int32).reshape(20, -1)


@pytest.mark.parametrize("size", [(320, 192), (214, 90), (126, 62)])
def test_vp9_is_what_ffmpeg_makes(size: tuple[int, int], tmp_path: Path) -> None:
    given = source(tmp_path / "in.mp4", f"{size[0]}x{size[1]}")
    ours, theirs = made(given, tmp_path / "ours.webm"), made(given, tmp_path / "theirs.webm", coder=False)
    one, other = raw(ours), raw(theirs)
    # the same encoder, perhaps of another version
    assert np.abs(one - other).mean() < 0.5
    assert one[:, -size[0] * size[1] :].max() == 255
    assert ours.stat().st_size < 1.2 * theirs.stat().st_size


def test_players_are_told_of_the_transparency(tmp_path: Path) -> None:
    given = source(tmp_path / "in.mp4", "128x64", "-colorspace", "bt709", "-color_primaries", "bt709")
    ours, theirs = made(given, tmp_path / "o.webm"), made(given, tmp_path / "t.webm", coder=False)
    assert b"V_VP9" in ours.read_bytes()
    with av.open(str(ours)) as one, av.open(str(theirs)) as other:
        pairs = [(container.streams.video[0], container.duration) for container in (one, other)]
        (own, length), (its, expected) = pairs
        assert own.average_rate == its.average_rate == 25
        assert (own.time_base, own.language) == (its.time_base, its.language)
        assert length == expected
        context, wanted = own.codec_context, its.codec_context
        assert (context.colorspace, context.color_range) == (wanted.colorspace, wanted.color_range)
        told = {name.lower(): value for name, value in own.metadata.items()}
        assert told.get("alpha_mode") == "1"


def test_both_streams_begin_anew_at_the_same_pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_vp9_alpha, "KEY_EVERY", 8)
    given = source(tmp_path / "in.mp4", "64x64")
    with av.open(str(made(given, tmp_path / "out.webm"))) as container:
        keys = []
        for packet in container.demux(video=0):
            if packet.size:
                transparency = bytes(packet.get_sidedata("matroska_block_additional"))[8:]
                assert bool(transparency[0] & 4) is not packet.is_keyframe  # VP9, 6.2: frame_type
                keys.append(packet.is_keyframe)
    assert keys == [number % 8 == 0 for number in range(20)]


def test_pictures_that_come_as_they_like_keep_their_times(tmp_path: Path) -> None:
    some = ("-vf", "select='not(mod(n,3))+eq(n,10)'", "-fps_mode", "vfr")
    given = source(tmp_path / "in.mp4", "64x64", *some, length_s=2)
    before, after = vision.times(given), vision.times(made(given, tmp_path / "out.webm"))
    assert len(set(np.diff(before).round(3))) > 1
    assert after == pytest.approx(before, abs=0.001)


def test_a_step_that_fails_ends_the_film(tmp_path: Path) -> None:
    def step(frame: _frames.Frame) -> None:
        front(frame)
        if frame.number == 5:
            raise ValueError("no more")

    given = source(tmp_path / "in.mp4", "64x64")
    with pytest.raises(ValueError, match="no more"):
        made(given, tmp_path / "out.webm", step=step)


def test_what_libav_will_not_code_is_a_failure_of_the_tool(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_vp9_alpha, "OPTIONS", {**_vp9_alpha.OPTIONS, "threads": "many"})
    plane = np.zeros((64, 64), np.uint8)
    picture = _frames.Picture(plane, (plane, plane[::2, ::2], plane[::2, ::2], plane))

    def code() -> None:
        for step in _vp9_alpha.Coder().steps((64, 64), None, {}):
            step(_frames.Frame(0, 0.0, picture, picture))

    with pytest.raises(ToolFailed):
        code()


SHOWN = """async (data) => {
  const film = document.createElement("video");
  film.muted = true;
  film.src = "data:video/webm;base64," + data;
  await new Promise((done, failed) => { film.onloadeddata = done; film.onerror = () => failed(film.error.message); });
  film.currentTime = 0.5;
  await new Promise((done) => { film.onseeked = done; });
  const canvas = document.createElement("canvas");
  canvas.width = film.videoWidth; canvas.height = film.videoHeight;
  const ink = canvas.getContext("2d");
  const alpha = (x, y) => ink.getImageData(x, y, 1, 1).data[3];
  const inside = () => alpha(Math.round(canvas.width * 0.42), canvas.height / 2);
  // A browser that has much to do says that it is there before it has the picture.
  for (const until = Date.now() + 10_000; inside() === 0 && Date.now() < until;) {
    ink.drawImage(film, 0, 0);
    await new Promise((later) => { setTimeout(later, 20); });
  }
  return [film.duration, alpha(4, 4), inside()];
}"""


def test_a_browser_shows_what_is_behind(tmp_path: Path) -> None:
    data = base64.b64encode(made(source(tmp_path / "in.mp4", "192x96"), tmp_path / "out.webm").read_bytes())
    with browsing() as browser:
        length_s, around, inside = browser.new_page().evaluate(SHOWN, data.decode())
    assert length_s == pytest.approx(0.8, abs=0.05)
    assert (around, inside) == (0, 255)
