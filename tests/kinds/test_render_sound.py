"""The sound of the kind `render` at transitions: it crosses over where the pictures do, as loud as before."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.support import scenes
from tests.support.av import ffmpeg
from tests.support.scenes import at, run, scene

RATE = 48_000


@pytest.fixture(scope="module")
def media(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Clips of 3 s, the one with hiss on the left alone, the other on the right; one with a tone; one without sound."""
    folder = tmp_path_factory.mktemp("media")
    for name, sound in (
        ("left.mov", f"anoisesrc=a=0.3:r={RATE}:seed=1,pan=stereo|c0=c0|c1=0*c0"),
        ("right.mov", f"anoisesrc=a=0.3:r={RATE}:seed=2,pan=stereo|c0=0*c0|c1=c0"),
        ("tone.mov", f"sine=frequency=400:sample_rate={RATE},pan=stereo|c0=c0|c1=c0"),
    ):
        picture = ("-f", "lavfi", "-i", "color=gray:s=64x36:r=30:d=3", "-f", "lavfi", "-t", "3", "-i", sound)
        ffmpeg(*picture, "-c:v", "libx264", "-pix_fmt", "yuv420p", "-c:a", "pcm_s16le", folder / name)
    scenes.clip(folder / "mute.mp4", seconds=3)
    return folder


def clip(name: str, **fields: Any) -> dict[str, Any]:
    return {"type": "video", "id": name, "source_url": at(name), **fields}


def levels(folder: Path, media: Path, *elements: dict[str, Any], type: str = "cross_dissolve") -> NDArray[np.float64]:
    """Root mean square of (left, right) in every tenth of a second, where a transition of 1 s lies between the two."""
    change = {"type": type, "duration": 1, "from_id": elements[0]["id"], "to_id": elements[1]["id"]}
    # ProRes stands beside plain samples: nothing is coded away.
    made = run("render", scene(*elements, transitions=[change], format="mov", alpha=True), folder, media)
    heard = scenes.samples(made.path).reshape(-1, 2)
    tenth = RATE // 10
    parts = heard[: len(heard) // tenth * tenth].reshape(-1, tenth, 2).astype(np.float64) / 32768
    found: NDArray[np.float64] = np.sqrt((parts**2).mean(axis=1))
    return found


def test_sounds_cross_over_with_equal_power(tmp_path: Path, media: Path) -> None:
    found = levels(
        tmp_path, media, clip("left.mov", out_point=2), clip("right.mov", time=2, in_point=1, out_point=3), type="cube"
    )

    left, right = found.T
    full = left[:10].mean()
    middle = (np.arange(15, 25) - 14.5) / 10
    assert left[15:25] == pytest.approx(full * np.cos(middle * np.pi / 2), abs=0.04 * full)
    assert right[15:25] == pytest.approx(full * np.sin(middle * np.pi / 2), abs=0.04 * full)
    assert np.hypot(left, right) == pytest.approx(full, rel=0.05)
    assert left[25:].max() == right[:15].max() == 0


def test_they_cross_over_as_far_as_their_files_reach(tmp_path: Path, media: Path) -> None:
    found = levels(tmp_path / "a", media, clip("left.mov"), clip("right.mov", time=3, in_point=1, out_point=3))
    hard = levels(tmp_path / "b", media, clip("left.mov"), clip("right.mov", time=3, out_point=2), type="dip_to_black")

    assert np.hypot(*found.T) == pytest.approx(found[0, 0], rel=0.05)
    assert (found[:25, 1].max(), found[30:, 0].max()) == (0, 0)
    assert (hard[:30, 1].max(), hard[30:, 0].max()) == (0, 0)
    assert np.hypot(*hard.T) == pytest.approx(hard[0, 0], rel=0.05)


def test_one_sound_that_goes_on_keeps_its_height(tmp_path: Path, media: Path) -> None:
    first, second = clip("tone.mov", out_point=1.5), {**clip("tone.mov", time=1.5, in_point=1.5), "id": "again"}

    found = levels(tmp_path, media, first, second)

    assert found == pytest.approx(found[0, 0], rel=0.02)


def test_fades_and_volumes_of_their_own_hold(tmp_path: Path, media: Path) -> None:
    going = clip("left.mov", out_point=2, volume=50, fade_out_duration=0.4)
    coming = clip("right.mov", time=2, in_point=1, out_point=3)

    found = levels(tmp_path, media, going, coming)

    left, right = found.T
    assert left[10:16] == pytest.approx(right[-5:].mean() / 2, rel=0.06)
    assert left[19] < 0.2 * left[10]
    assert left[20:].max() == 0
    assert (right[:15].max(), right[15] > 0) == (0, True)


def test_a_clip_beside_a_silent_one_is_heard_in_its_own_time(tmp_path: Path, media: Path) -> None:
    found = levels(tmp_path, media, clip("left.mov", out_point=2), clip("mute.mp4", time=2, in_point=0.5, out_point=2))

    assert found[:20, 0] == pytest.approx(found[0, 0], rel=0.06)
    assert found[20:].max() == 0
