"""Cancel while the result is being encoded or stored: nothing runs on, nothing is kept, and it is said so at once.

Nothing here hangs on how fast the machine is: a program that encodes is stopped by SIGSTOP before it can end, and the
bucket lets nothing through until it is told to.
"""

from __future__ import annotations

import io
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image
from tests.support import bucket
from tests.support.bucket import Bucket
from tests.support.calls import unsigned
from tests.support.children import in_company
from tests.support.framelane import V1, good, put
from tests.support.images import ffmpeg
from tests.support.programs import descendants, held, running_tools
from tests.support.server import Server, serving, until

WITHIN_S = 1.0
GONE = ("cancelled", None, None)


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("film") / "film.mp4"
    pictures = ("-f", "lavfi", "-i", "testsrc2=s=320x180:r=25:d=20,noise=alls=20:allf=t")
    ffmpeg(*pictures, "-c:v", "libx264", "-preset", "ultrafast", path)
    return path


def encodes(pid: int) -> bool:
    """Whether it is the FFmpeg that writes a film, and has begun to."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        written = [Path(os.readlink(entry)) for entry in Path(f"/proc/{pid}/fd").iterdir()]
        return b"264" in b"".join(words) and any(path.suffix == ".mp4" and _begun(path) for path in written)
    except OSError:  # it has ended
        return False


def _begun(path: Path) -> bool:
    return "work" in path.parts and path.is_file() and path.stat().st_size > 0


@pytest.mark.parametrize("kind", ["task", "render"])
def test_cancel_while_the_result_is_encoded_leaves_nothing(
    http: httpx.Client, server: Server, film: Path, kind: str
) -> None:
    source = put(http, film)
    before = files(http)
    if kind == "task":
        job = good(http.post(f"{V1}/tasks/super-resolution", json={"source_url": source, "scale": 4}), 202)
    else:
        scene = {"width": 640, "height": 360, "duration": 600, "elements": [{"type": "video", "source_url": source}]}
        job = good(http.post(f"{V1}/renders", json=scene), 202)
    pid = held(server.process.pid, chosen=encodes)

    began = time.monotonic()
    stopped = good(http.delete(f"{V1}/{kind}s/{job['id']}"), 200)
    until(lambda: not Path(f"/proc/{pid}").exists(), timeout_s=in_company(WITHIN_S), what="the end of the encoder")

    assert time.monotonic() - began < in_company(WITHIN_S)
    assert (stopped["status"], stopped["output"], stopped["error"]) == GONE
    assert not running_tools(descendants(server.process.pid))
    assert http.get(f"{V1}/{kind}s/{job['id']}/download").status_code == 409
    assert files(http) == before
    assert good(http.get(f"{V1}/{kind}s/{job['id']}"), 200) == stopped


@pytest.fixture(scope="module")
def s3() -> Iterator[Bucket]:
    with bucket.running() as running:
        yield running


@pytest.fixture(scope="module")
def stored_away(s3: Bucket) -> Iterator[Server]:
    with serving(environment={"MEDIAMILL_BLOBS_URL": s3.url, **s3.environment, "MEDIAMILL_SLOTS": "1"}) as running:
        yield running


@pytest.mark.parametrize("side", [256, 2200], ids=["at one go", "in parts"])
def test_cancel_while_the_result_is_stored_leaves_nothing(stored_away: Server, s3: Bucket, side: int) -> None:
    """A result of 200 kB goes to the bucket in one request, one of 14 MB in several."""
    picture = io.BytesIO()
    Image.fromarray(np.random.default_rng(3).integers(0, 255, (side, side, 3), np.uint8)).save(picture, "PNG")
    with stored_away.client() as http:
        given = good(http.post("/mill/files", files={"file": ("noise.png", picture.getvalue())}), 201)
        before, objects = files(http), s3.objects()
        with s3.shut() as waiting:
            body = {"kind": "convert", "inputs": [{"file": given["id"]}], "options": {"format": "bmp"}}
            place = good(http.post("/mill/tasks", json=body), 201)["links"]["self"]
            until(lambda: waiting() > 0, timeout_s=60, what="the result on its way to the bucket")

            began = time.monotonic()
            stopped = good(http.post(f"{place}/cancel"), 200)
            until(lambda: waiting() == 0, timeout_s=in_company(WITHIN_S), what="the end of the sending")

            assert time.monotonic() - began < in_company(WITHIN_S)
            assert (stopped["state"], stopped["outputs"]) == ("cancelled", [])
        assert files(http) == before
        assert s3.objects() == objects
        assert told(http.get(place).json()) == told(stopped)
        after = good(http.post("/mill/tasks", params={"wait": 30}, json={"kind": "ping"}), 201)
        assert after["state"] == "succeeded"  # the slot goes on


def told(task: Any) -> Any:
    """All of a task but the facts of its inputs, which are found out beside it."""
    shown = unsigned(task)
    for source in shown["inputs"]:
        for name in ("facts", "updated_at"):
            source["file"].pop(name, None)
    return shown


def files(http: httpx.Client) -> set[str]:
    return {file["id"] for file in good(http.get("/mill/files", params={"limit": 100}), 200)["data"]}
