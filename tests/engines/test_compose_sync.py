"""Ten minutes on a tiny canvas: flashes and beeps of a source stay together, and the length is exact."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
from tests.support import scenes
from tests.support.av import ffmpeg
from tests.support.scenes import at, run

MINUTES = 10


def test_sound_and_picture_are_in_step_after_ten_minutes(tmp_path: Path) -> None:
    # Every 100 s a white flash and a beep of a fifth of a second, at 25 frames a second; the timeline has 10.
    length_s = MINUTES * 60
    flash = "drawbox=c=white:t=fill:enable='lt(mod(t,100),0.2)'"
    beep = "if(lt(mod(t,100),0.2),0.5*sin(2*PI*1000*t),0)"
    ffmpeg(
        "-f", "lavfi", "-i", f"color=black:s=16x16:r=25:d={length_s},{flash}",
        "-f", "lavfi", "-i", f"aevalsrc='{beep}':s=44100:d={length_s}",
        "-pix_fmt", "yuv420p", "-c:v", "libx264", "-preset", "ultrafast", "-c:a", "aac", tmp_path / "long.mp4",
    )  # fmt: skip
    request = {
        "width": 16, "height": 16, "frame_rate": 10, "duration": length_s,
        "elements": [{"type": "video", "source_url": at("long.mp4"), "out_point": length_s}],
    }  # fmt: skip

    made = run("render", request, tmp_path / "made", tmp_path)

    with av.open(str(made.path)) as film:
        bright = [float(frame.to_ndarray()[:16].mean()) > 100 for frame in film.decode(video=0)]
        rate = film.streams.audio[0].rate
    assert len(bright) == length_s * 10
    sound = np.abs(scenes.samples(made.path)[0])
    assert abs(len(sound) / rate - length_s) < 0.05
    loud = sound > 0.1
    for second in range(0, length_s, 100):
        shown_s = bright.index(True, second * 10) / 10
        heard_s = (int(np.argmax(loud[second * rate :])) + second * rate) / rate
        assert abs(shown_s - second) <= 0.1
        assert abs(heard_s - shown_s) <= 0.1, second
