"""Cutting out and making larger by a real server: the networks run in the sandboxed child, without a network."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.support import models as kept
from tests.support import vision
from tests.support.av import ffmpeg
from tests.support.server import serving

from mediamill.client import Client
from mediamill.engines import _face


def test_networks_run_in_the_sandbox_and_capabilities_name_them(tmp_path: Path) -> None:
    folder = kept.folder(*_face.MODELS, "selfie", "waifu2x")
    still = ("-loop", "1", "-i", vision.PICTURES / "astronaut.jpg", "-vf", "scale=256:256", "-r", "10", "-t", "0.6")
    ffmpeg(*still, *vision.H264, tmp_path / "talk.mp4")
    with serving(environment={"MEDIAMILL_MODELS": str(folder)}) as server, Client(server.url, key=server.key) as mill:
        for kind, source, engine in (
            ("remove_background", vision.PICTURES / "astronaut.jpg", "mediapipe-selfie"),
            ("remove_background", vision.PICTURES / "cup.jpg", "u2netp"),
            ("remove_background", tmp_path / "talk.mp4", "mediapipe-selfie"),
            ("super_resolution", vision.PICTURES / "cup.jpg", "waifu2x-photo"),
        ):
            task = mill.create(kind, [{"file": mill.upload(source)["id"]}], {})
            task = mill.wait(task["id"], timeout_s=120)
            assert task["state"] == "succeeded", task
            assert task["details"]["engine"] == engine
        offered = {one["name"]: one for one in mill.capabilities()["kinds"]}
    assert [one["name"] for one in offered["remove_background"]["engines"]] == ["mediapipe-selfie", "u2netp"]
    assert offered["remove_background"]["engines"][0]["licence"] == "Apache-2.0"
    assert "pictures a second" in offered["remove_background"]["engines"][0]["speed"]


@pytest.mark.parametrize(("word", "kind"), [("matte", "remove_background"), ("upscale", "super_resolution")])
def test_kinds_have_shorter_names_as_commands(word: str, kind: str) -> None:
    from mediamill.cli import _kinds

    assert _kinds.shorter()[word] == kind
    command = _kinds.local(word)
    assert command is not None
    assert command.name == kind
