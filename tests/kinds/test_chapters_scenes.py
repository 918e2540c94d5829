"""The detectors behind chapters: every hard cut is found, and what only looks like one is not."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path

import pytest
from tests.support.av import ffmpeg, film, tone
from tests.support.tools import PlainTools

from mediamill.core.errors import BadMedia
from mediamill.core.scenes import Cut, Silence
from mediamill.engines import scenes

H264 = ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p")
SIZE = "s=256x144:r=25"
PICTURES = {
    # Its colours are drawn anew each time, whatever the seed, unless they are named.
    "gradient": f"gradients={SIZE}:seed=7:speed=0.02:c0=0xe0a030:c1=0x3070d0",
    "fractal": f"mandelbrot={SIZE}",
    "bars": f"smptehdbars={SIZE}",
    "test": f"testsrc2={SIZE}",
    "rule": f"cellauto={SIZE}:rule=110:seed=5",
    "triangle": f"sierpinski={SIZE}:seed=3",
    "colours": f"rgbtestsrc={SIZE}",
    "blue": f"color=c=0x2040a0:{SIZE}",
    "green": f"color=c=0x20a040:{SIZE}",
}


def cuts(source: Path, reports: list[float] | None = None) -> Sequence[Cut]:
    def report(stage: str, fraction: float | None = None) -> None:
        if reports is not None and fraction is not None:
            reports.append(fraction)

    return scenes.Scenes().cuts(source, "video/mp4", tools=PlainTools(), report=report)


def cut(path: Path, *parts: tuple[str, float], noise: int = 0) -> Path:
    """Pictures one after another with hard cuts between them."""
    inputs = [word for name, s in parts for word in ("-f", "lavfi", "-t", str(s), "-i", PICTURES[name])]
    shown = "".join(f"[{n}:v]setpts=PTS-STARTPTS,format=yuv420p,setsar=1[v{n}];" for n in range(len(parts)))
    joined = "".join(f"[v{n}]" for n in range(len(parts)))
    grain = f",noise=alls={noise}:allf=t" if noise else ""
    ffmpeg(*inputs, "-filter_complex", f"{shown}{joined}concat=n={len(parts)}:v=1{grain}", *H264, path)
    return path


def filtered(path: Path, source: str, filters: str, seconds: float = 4.0) -> Path:
    ffmpeg("-f", "lavfi", "-t", str(seconds), "-i", source, "-vf", filters, *H264, path)
    return path


def test_a_cut_from_a_gradient_to_a_fractal_is_found(tmp_path: Path) -> None:
    [found] = cuts(cut(tmp_path / "film.mp4", ("gradient", 2), ("fractal", 2)))

    assert found.at_s == pytest.approx(2, abs=0.05)
    assert found.change > 0.5


@pytest.mark.parametrize(
    "names",
    [
        ("test", "gradient", "fractal", "rule", "bars"),
        ("rule", "triangle", "rule", "fractal", "triangle"),  # pictures that never rest, in two colours
        ("blue", "green", "blue", "colours", "bars"),  # as bright as each other
        ("bars", "test", "colours", "gradient", "blue"),
    ],
)
def test_every_hard_cut_is_found_to_the_picture(names: tuple[str, ...], tmp_path: Path) -> None:
    lengths = (1.6, 2.0, 1.2, 1.8, 1.4)
    source = cut(tmp_path / "film.mp4", *zip(names, lengths, strict=True), noise=6)

    found = [one.at_s for one in cuts(source)]

    assert found == pytest.approx([1.6, 3.6, 4.8, 6.6], abs=0.05)


def test_a_pan_a_zoom_and_grain_are_no_cuts(tmp_path: Path) -> None:
    ffmpeg(
        *("-f", "lavfi", "-i", "cellauto=s=1600x400:rule=30:seed=9,gblur=4", "-frames:v", "1"),
        *("-vf", "hue=h=40:s=2", tmp_path / "wall.png"),
    )
    still = ("-loop", "1", "-framerate", "25", "-t", "4", "-i", tmp_path / "wall.png")
    ffmpeg(*still, "-vf", "crop=256:144:x='t*300':y=100", *H264, tmp_path / "pan.mp4")
    ffmpeg(*still, "-vf", "zoompan=z='1+0.05*in':d=1:s=256x144:fps=25", *H264, tmp_path / "zoom.mp4")
    filtered(tmp_path / "grain.mp4", PICTURES["bars"], "noise=alls=60:allf=t")

    assert {name: cuts(tmp_path / f"{name}.mp4") for name in ("pan", "zoom", "grain")} == {
        "pan": [],
        "zoom": [],
        "grain": [],
    }


def test_a_flash_is_no_cut(tmp_path: Path) -> None:
    white = "drawbox=c=white:t=fill:enable='between(n,50,52)'"

    assert cuts(filtered(tmp_path / "film.mp4", PICTURES["gradient"], white)) == []


def test_a_slow_change_of_light_is_no_cut(tmp_path: Path) -> None:
    assert cuts(filtered(tmp_path / "film.mp4", PICTURES["test"], "eq=brightness='0.4*sin(t)':eval=frame")) == []


def test_a_fade_through_black_is_one_cut_in_its_middle(tmp_path: Path) -> None:
    parts = "[0:v]setpts=PTS-STARTPTS,fade=out:st=1.5:d=0.5[a];[1:v]setpts=PTS-STARTPTS,fade=in:st=0:d=0.5[b]"
    inputs = [word for name in ("bars", "gradient") for word in ("-f", "lavfi", "-t", "2", "-i", PICTURES[name])]
    graph = f"{parts};[a]format=yuv420p,setsar=1[c];[b]format=yuv420p,setsar=1[d];[c][d]concat=n=2:v=1"
    ffmpeg(*inputs, "-filter_complex", graph, *H264, tmp_path / "film.mp4")

    [found] = cuts(tmp_path / "film.mp4")

    assert found.at_s == pytest.approx(2, abs=0.12)


def test_a_film_that_begins_and_ends_in_black_has_no_cut_there(tmp_path: Path) -> None:
    faded = "fade=in:st=0:d=1,fade=out:st=3:d=1"

    assert cuts(filtered(tmp_path / "film.mp4", PICTURES["gradient"], faded)) == []


def test_a_cut_to_and_fro_changes_less_than_one_into_another_place(tmp_path: Path) -> None:
    talk = [("test", 1.0), ("bars", 1.0)] * 4
    found = cuts(cut(tmp_path / "film.mp4", *talk, ("fractal", 4)))

    assert len(found) == 8
    assert max(found, key=lambda one: one.change).at_s == pytest.approx(8, abs=0.05)


def test_times_hold_where_pictures_come_at_uneven_times(tmp_path: Path) -> None:
    steady = cut(tmp_path / "steady.mp4", ("test", 3), ("bars", 3))
    # Every other picture of the first second is left out, and the file keeps the odd times.
    uneven = "select='gt(t,1)+not(mod(n,2))'"
    ffmpeg("-i", steady, "-vf", uneven, "-fps_mode", "vfr", *H264, tmp_path / "film.mp4")

    assert [one.at_s for one in cuts(tmp_path / "film.mp4")] == pytest.approx([3], abs=0.08)


def test_progress_follows_the_pictures(tmp_path: Path) -> None:
    reports: list[float] = []
    cuts(film(tmp_path / "film.mp4", *H264, seconds=4), reports)

    assert reports == sorted(reports)
    assert reports[-1] == 1.0
    # Those seen, and the work on those that FFmpeg holds ready: fourteen of a hundred, read and not looked at.
    seen = [number * 4 / 100 for number in range(len(reports) - 1)]
    assert len(seen) == 25
    assert all(0 <= fraction - share <= 0.11 for fraction, share in zip(reports, seen, strict=False))
    assert max(later - before for before, later in itertools.pairwise(reports)) <= 0.05


def test_a_sound_has_no_cuts(tmp_path: Path) -> None:
    with pytest.raises(BadMedia, match="no video track"):
        cuts(tone(tmp_path / "tone.mp4", "-c:a", "aac", seconds=1))


def silences(source: Path, mime: str = "audio/wav") -> Sequence[Silence]:
    return scenes.Silences().silences(source, mime, tools=PlainTools(), report=lambda stage, fraction=None: None)


def test_silences_have_their_times(tmp_path: Path) -> None:
    gaps = "1-between(t,2,3)-between(t,5,5.2)-between(t,8,10)"
    ffmpeg("-f", "lavfi", "-i", f"aevalsrc='0.3*sin(2000*t)*({gaps})':s=16000:d=10", tmp_path / "sound.wav")

    found = silences(tmp_path / "sound.wav")

    assert [(round(one.start_s, 1), round(one.end_s, 1)) for one in found] == [(2, 3), (8, 10)]


def test_a_silent_sound_is_one_silence_and_a_loud_one_has_none(tmp_path: Path) -> None:
    ffmpeg("-f", "lavfi", "-t", "3", "-i", "anullsrc=r=8000", tmp_path / "still.wav")

    [one] = silences(tmp_path / "still.wav")

    assert (one.start_s, one.end_s) == (0, pytest.approx(3, abs=0.05))
    assert silences(tone(tmp_path / "tone.wav")) == []
    with pytest.raises(BadMedia, match="no sound track"):
        silences(film(tmp_path / "film.mp4", *H264, tone_hz=None), "video/mp4")
