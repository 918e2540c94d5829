"""The files of examples/ do what their page says, against a real server."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image
from tests.support.llm import Says, answering_aside, results, turns
from tests.support.server import Server, serving, until

from mediamill.cli import _samples

EXAMPLES = Path(__file__).parents[2] / "examples"


def smaller_picture(messages: Sequence[Mapping[str, Any]]) -> Says:
    """What a model does with the prompt of the schedule."""
    said, turn = results(messages), turns(messages)
    if turn == 0:
        return Says(calls=[("list_files", {"limit": 5})])
    if turn == 1:
        options = {"format": "webp", "resize": {"width": 640}}
        made = {"kind": "convert", "inputs": [{"file": said[0][0]["id"]}], "options": options}
        return Says(calls=[("create_task", made)])
    if turn == 2:
        return Says(calls=[("wait_task", {"id": said[1]["id"]})])
    return Says(text="A picture of 640 pixels.")


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with answering_aside(smaller_picture) as llm:
        settings = {"MEDIAMILL_LLM_BASE_URL": llm.url, "MEDIAMILL_LLM_MODEL": "local/small"}
        with serving(environment=settings) as running:
            yield running


def mediamill(server: Server, folder: Path, *arguments: str) -> str:
    argv = [sys.executable, "-m", "mediamill.cli", *arguments]
    environment = {**os.environ, "MEDIAMILL_URL": server.url, "MEDIAMILL_KEY": server.key}
    done = subprocess.run(argv, cwd=folder, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo's samples, with the scene beside them."""
    folder = tmp_path_factory.mktemp("samples")
    _samples.picture(folder, 640, 400)
    _samples.film(folder, _samples.sound(folder))
    shutil.copy(EXAMPLES / "scene.json", folder)
    return folder


def test_the_scene_is_rendered_with_its_film_picture_title_caption_and_sound(server: Server, samples: Path) -> None:
    mediamill(server, samples, "render", "scene.json", "-o", "out.mp4", "--width", "640", "--height", "360")

    with av.open(str(samples / "out.mp4")) as film:
        [picture], [sound] = film.streams.video, film.streams.audio
        assert (picture.width, picture.height) == (640, 360)
        assert sound.codec_context.name == "aac"
        assert film.duration == pytest.approx(7_000_000, abs=40_000)
        frames = [frame.to_ndarray(format="rgb24").astype(int) for frame in film.decode(picture)]
    assert len(frames) == 175
    assert abs(frames[20] - frames[120]).mean() > 40, "the picture takes the film's place"
    plate = (abs(frames[135] - (194, 65, 12)).max(axis=2) < 30).mean()
    assert 0.002 < plate < 0.05, "the word that is said lies on its plate"


def test_the_scene_has_nothing_doubtful_and_can_be_looked_at(server: Server, samples: Path) -> None:
    task = json.loads(mediamill(server, samples, "preview", "scene.json", "-o", "sheet.jpg", "--json"))

    assert task["details"]["violations"] == []
    with Image.open(samples / "sheet.jpg") as sheet:
        assert np.asarray(sheet).std() > 30


def test_the_schedule_is_taken_and_its_prompt_makes_a_picture(server: Server, samples: Path, tmp_path: Path) -> None:
    mediamill(server, samples, "files", "put", "hills.png")
    with server.client() as client:
        made = client.post("/mill/schedules", json=json.loads((EXAMPLES / "schedule.json").read_text())).json()
        assert made["description"] == "At 08:30, Monday to Friday"
        assert len(made["upcoming"]) == 10

        mediamill(server, tmp_path, "schedule", "run", made["id"])

        def runs() -> list[dict[str, Any]]:
            found = client.get("/mill/prompts", params={"schedule_id": made["id"]}).json()["data"]
            return list(found)

        until(lambda: runs()[0]["finished_at"] is not None, what="the end of the run")
        [run] = runs()
        assert run["status"] == "completed"
        assert run["tags"].count("morning") == 1
        [task] = client.get(f"/mill/prompts/{run['id']}").json()["created"]
        facts = client.get(f"/mill/tasks/{task['id']}").json()["outputs"][0]["file"]["facts"]
        assert facts["width_px"] == 640
