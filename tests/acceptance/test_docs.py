"""What the docs tell people to type does what they say: every `sh` and `python` block of a guide, in order."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mediamill.cli import _samples, demo
from mediamill.client import Client

ROOT = Path(__file__).parents[2]
HOW_TO = (
    "convert-from-the-command-line.md",
    "framelane.md",
    "images-and-audio.md",
    "prompt-runs.md",
    "recoup.md",
    "render.md",
    "schedules.md",
    "understanding.md",
    "video.md",
)
GUIDES = [
    ROOT / "docs" / "quickstart.md",
    *(ROOT / "docs" / "how-to" / name for name in HOW_TO),
]


@pytest.fixture(scope="module")
def mill() -> Iterator[Client]:
    with demo.server() as mill:
        yield mill


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files that the guides speak of."""
    folder = tmp_path_factory.mktemp("samples")
    _samples.picture(folder, 480, 300).rename(folder / "photo.png")
    _samples.letter(folder)
    _samples.film(folder, _samples.sound(folder, 5.0), seconds=5)
    return folder


@pytest.fixture
def folder(samples: Path, tmp_path: Path) -> Path:
    """A reader's folder, with programs of these names."""
    shutil.copytree(samples, tmp_path, dirs_exist_ok=True)
    (tmp_path / "bin").mkdir()
    for name, words in {"mediamill": "-m mediamill.cli", "python3": ""}.items():
        program = tmp_path / "bin" / name
        program.write_text(f'#!/bin/sh\nexec "{sys.executable}" {words} "$@"\n')
        program.chmod(0o755)
    return tmp_path


@pytest.mark.parametrize("guide", GUIDES, ids=lambda guide: guide.name)
def test_the_blocks_of_a_guide_run(guide: Path, mill: Client, folder: Path) -> None:
    key = mill._auth["Authorization"].removeprefix("Bearer ")
    environment = {**os.environ, "PATH": f"{folder / 'bin'}:{os.environ['PATH']}", "HOME": str(folder)}
    environment |= {"MEDIAMILL_URL": mill.url, "MEDIAMILL_KEY": key}
    ran, curl = 0, shutil.which("curl") is not None
    for language, block in re.findall(r"```(sh|python)\n(.*?)```", guide.read_text(), flags=re.DOTALL):
        begun = re.findall(r"^\. \./(\S+)", block, flags=re.MULTILINE)
        if not curl and ("curl " in block or not all((folder / name).exists() for name in begun)):
            continue
        program = ["sh", "-euc", block] if language == "sh" else [sys.executable, "-c", block]
        done = subprocess.run(
            program, cwd=folder, env=environment, capture_output=True, text=True, timeout=120, check=False
        )
        assert done.returncode == 0, f"{block}\n{done.stdout}\n{done.stderr}"
        ran += 1
    assert ran > 1 or not curl


def test_the_answer_in_the_readme_is_one_that_the_server_gives(mill: Client, folder: Path) -> None:
    readme = (ROOT / "README.md").read_text()
    request = re.search(r"```http\n(\S+) (\S+)\n.*?\n\n(\{.*?)```", readme, flags=re.DOTALL)
    shown = re.search(r"```json\n(.*?)```", readme, flags=re.DOTALL)
    assert request is not None
    assert shown is not None
    method, path, body = request[1], request[2], json.loads(request[3])
    file = mill.upload(folder / "photo.png", filename="hills.png")

    answer = mill._send(method, path, json=body | {"inputs": [{"file": file["id"]}]})

    assert differences(json.loads(shown[1]), answer) == []


def differences(shown: Any, found: Any, place: str = "") -> list[str]:
    """Where the shown answer has a field that the real one lacks, or another value where a value is no id or time."""
    if isinstance(shown, dict):
        if not isinstance(found, dict):
            return [place]
        return [
            fault
            for name, value in shown.items()
            for fault in (
                [f"{place}.{name}"] if name not in found else differences(value, found[name], f"{place}.{name}")
            )
        ]
    if isinstance(shown, list):
        return [
            fault
            for number, value in enumerate(shown)
            for fault in differences(value, found[number], f"{place}[{number}]")
        ]
    if isinstance(shown, str) and ("…" in shown or re.match(r"\d{4}-\d\d-\d\dT", shown)):
        return [] if isinstance(found, str) else [place]
    if isinstance(shown, int | float) and not isinstance(shown, bool):
        return [] if isinstance(found, int | float) else [place]
    return [] if shown == found or place.endswith("engine") else [f"{place}: {shown!r} is {found!r}"]
