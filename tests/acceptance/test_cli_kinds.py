"""Kinds as commands against a real server: sandboxed children, real media, files that are looked at."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image
from tests.support.av import film, pitch_hz

from mediamill.cli import demo
from mediamill.client import Client

Cli = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="module")
def mill() -> Iterator[Client]:
    with demo.server() as mill:
        yield mill


@pytest.fixture
def cli(mill: Client, tmp_path: Path) -> Cli:
    """Runs `mediamill …` in a folder that holds a film and a picture."""
    film(tmp_path / "film.mp4", size="320x180", seconds=2)
    Image.new("RGB", (200, 100), (0, 0, 60)).save(tmp_path / "flat.png")
    key = mill._auth["Authorization"].removeprefix("Bearer ")
    environment = {**os.environ, "MEDIAMILL_URL": mill.url, "MEDIAMILL_KEY": key}

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        argv = [sys.executable, "-m", "mediamill.cli", *arguments]
        return subprocess.run(
            argv, cwd=tmp_path, env=environment, capture_output=True, timeout=120, check=False, text=True
        )

    return run


def test_a_poster_a_sprite_and_text_in_the_sandbox(cli: Cli, tmp_path: Path) -> None:
    poster = cli("image", "film.mp4", "-o", "poster.webp", "--start", "1", "--width", "50%")
    sprite = cli("image", "film.mp4", "-o", "sheet/", "--sprite-interval", "0.5", "--format", "png")
    layers = json.dumps([{"kind": "text", "text": "مطحنة Mill 製粉", "font_size": 24, "color": "#FFEE00"}])
    signed = cli("image", "flat.png", "-o", "signed.png", "--layers", layers)

    assert [done.returncode for done in (poster, sprite, signed)] == [0, 0, 0], poster.stderr + sprite.stderr
    with Image.open(tmp_path / "poster.webp") as made:
        assert made.size == (160, 90)
    assert sorted(path.name for path in (tmp_path / "sheet").iterdir()) == ["film.png", "film.vtt"]
    assert "film.png#xywh=160,0,160,90" in (tmp_path / "sheet" / "film.vtt").read_text()
    with Image.open(tmp_path / "signed.png") as made:
        yellow = (np.asarray(made.convert("RGB"))[..., :2] > 180).all(axis=2)
    assert yellow.sum() > 200


def test_a_films_sound_at_a_loudness_with_its_waveform(cli: Cli, tmp_path: Path) -> None:
    done = cli("audio", "film.mp4", "-o", "sound/", "--format", "opus", "--loudness", "-20", "--waveform-points", "40")

    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in (tmp_path / "sound").iterdir()) == ["film.json", "film.opus"]
    assert pitch_hz(tmp_path / "sound" / "film.opus") == pytest.approx(440, abs=2)
    assert json.loads((tmp_path / "sound" / "film.json").read_text())["length"] <= 40


def test_a_moment_beyond_the_end_says_so(cli: Cli) -> None:
    done = cli("image", "film.mp4", "-o", "poster.jpg", "--start", "99")

    assert done.returncode == 1
    assert "range_empty" in done.stderr


def test_a_film_is_made_smaller(cli: Cli, tmp_path: Path) -> None:
    done = cli("video", "film.mp4", "-o", "small.mp4", "--width", "160")

    assert done.returncode == 0, done.stderr
    with av.open(str(tmp_path / "small.mp4")) as container:
        assert (container.streams.video[0].width, container.streams.video[0].height) == (160, 90)


@pytest.mark.parametrize("named", ["stream", "stream/", "deep/stream/play.m3u8", "play.mpd"])
def test_a_package_is_saved_whole(cli: Cli, tmp_path: Path, named: str) -> None:
    done = cli("adaptive_video", "film.mp4", "-o", named)

    assert done.returncode == 0, done.stderr
    given = tmp_path / named
    manifest = given if given.suffix else given / "film.m3u8"
    if given.suffix == ".mpd":
        named_in_it = re.findall("<BaseURL>([^<]+)</BaseURL>", manifest.read_text())
        assert named_in_it
        assert all((manifest.parent / name).is_file() for name in named_in_it)
        return
    with av.open(str(manifest)) as container:  # which reads the files that it names
        assert sum(1 for _ in container.decode(video=0)) == 50
    assert (manifest.parent / "film.mpd").is_file()


@pytest.mark.parametrize("named", ["-", "stream.mp4", "flat.png", "taken"])
def test_a_package_that_would_not_be_whole_is_refused_before_the_work(
    cli: Cli, mill: Client, tmp_path: Path, named: str
) -> None:
    (tmp_path / "taken").write_text("something else")
    before = [task["id"] for task in mill.tasks()["data"]]

    refused = cli("adaptive_video", "film.mp4", "-o", named)

    assert refused.returncode == 2
    assert "Give -o a folder" in refused.stderr
    assert [task["id"] for task in mill.tasks()["data"]] == before


def test_a_package_is_whole_when_it_is_fetched_later(cli: Cli, mill: Client, tmp_path: Path) -> None:
    made = json.loads(cli("adaptive_video", "film.mp4", "-o", "first", "--json").stdout)

    again = cli("get", made["id"], "-o", "later")
    streamed = cli("get", made["id"], "-o", "-")

    assert again.returncode == 0, again.stderr
    assert sorted(p.name for p in (tmp_path / "later").iterdir()) == sorted(
        p.name for p in (tmp_path / "first").iterdir()
    )
    assert (streamed.returncode, streamed.stdout) == (2, "")
    assert "of use together only" in streamed.stderr


def test_a_scene_in_a_file_is_rendered_with_the_files_beside_it(cli: Cli, tmp_path: Path) -> None:
    scene = {
        "width": 320, "height": 180, "duration": 1,
        "elements": [
            {"type": "image", "id": "flat", "source_url": "flat.png", "duration": 1, "width": "25%", "z_index": 1},
            {"type": "text", "text": "مطحنة Mill 製粉", "duration": 1, "font_size": 32, "y": "80%"},
            {"type": "video", "source_url": "film.mp4", "out_point": 1},
        ],
    }  # fmt: skip
    (tmp_path / "scene.json").write_text(json.dumps(scene))

    made = cli("render", "scene.json", "-o", "out.mp4")
    looked = cli("preview", "scene.json", "-o", "frame.png", "--at", "0.5")

    assert made.returncode == 0, made.stderr
    assert looked.returncode == 0, looked.stderr
    with av.open(str(tmp_path / "out.mp4")) as film_made:
        frames = [frame.to_ndarray(format="rgb24") for frame in film_made.decode(video=0)]
    assert len(frames) == 30
    assert frames[0].shape == (180, 320, 3)
    seen = np.asarray(Image.open(tmp_path / "frame.png").convert("RGB")).astype(int)
    assert np.abs(seen - frames[15]).mean() < 6
    assert seen[90, 160, 2] < 100  # the flat picture, in front of the film


def test_a_scene_may_not_name_files_outside_its_folder(cli: Cli, tmp_path: Path) -> None:
    scene = {"elements": [{"type": "video", "source_url": "../../secret.mp4", "out_point": 1}]}
    (tmp_path / "scene.json").write_text(json.dumps(scene))

    refused = cli("render", "scene.json", "-o", "out.mp4")

    assert refused.returncode == 2
    assert "beside the scene" in refused.stderr
