"""A package that plays while the rest of it is still being encoded, through a running server."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import httpx
from tests.support.av import ffmpeg
from tests.support.server import Server

from mediamill.dialects.ittybit import ids


def film(folder: Path) -> Path:
    path = folder / "in.mp4"
    picture = "testsrc2=s=640x480:r=25:d=20,noise=alls=8:allf=t"
    encoding = ("-c:v", "libx264", "-preset", "ultrafast", "-g", "50", "-pix_fmt", "yuv420p", "-c:a", "aac")
    ffmpeg("-f", "lavfi", "-i", picture, "-f", "lavfi", "-i", "sine=d=20", *encoding, path)
    return path


def test_the_first_rung_can_be_played_while_the_others_are_made(server: Server, tmp_path: Path) -> None:
    with server.client() as http:
        content = film(tmp_path).read_bytes()
        file = http.post("/mill/files", json={"filename": "in.mp4", "size_bytes": len(content)}).json()
        http.put(file["links"]["upload"], content=content).raise_for_status()
        body = {"kind": "adaptive_video", "inputs": [{"file": file["id"]}]}
        task = http.post("/mill/tasks", json=body).raise_for_status().json()

        early = shown_early(http, task["id"])
        folder = f"/ittybit/cdn/{ids.project(task['project_id'])}/{ids.write('task', task['id'])}"
        manifest = f"{folder}/{early['filename']}"
        check_playable(http, manifest)
        before = http.get(manifest).content
        ended = http.get(f"/mill/tasks/{task['id']}", params={"wait": 60}).json()

        assert ended["state"] == "succeeded", ended["error"]
        roles = [output["role"] for output in ended["outputs"]]
        assert roles.count("early") == 1
        assert roles.count("result") == 1
        assert http.get(manifest).content == before
        [result] = [output["file"] for output in ended["outputs"] if output["role"] == "result"]
        check_playable(http, f"{folder}/{result['filename']}")


def shown_early(http: httpx.Client, id: str) -> dict[str, Any]:
    """The manifest that is there before the task has ended."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with http.stream("GET", f"/mill/tasks/{id}/events") as events:
            for line in events.iter_lines():
                if not line.startswith("data:"):
                    continue
                task = httpx.Response(200, content=line.removeprefix("data:")).json()
                found = [output["file"] for output in task["outputs"] if output["role"] == "early"]
                if found:
                    assert task["state"] == "running"
                    return dict(found[0])
                assert task["state"] in ("queued", "running")
    raise AssertionError("nothing was shown early")


def check_playable(http: httpx.Client, manifest: str) -> None:
    """Every playlist and every media file that a manifest leads to is there, without a key."""
    answer = httpx.get(urljoin(str(http.base_url), manifest))
    assert answer.headers["content-type"].startswith("application/vnd.apple.mpegurl")
    lines = answer.text.splitlines()
    assert lines[0] == "#EXTM3U"
    named = [line for line in lines if line and not line.startswith("#")]
    assert named
    for name in named:
        if name.endswith(".m3u8"):
            check_playable(http, urljoin(manifest, name))
        else:
            part = httpx.get(urljoin(str(http.base_url), urljoin(manifest, name)), headers={"range": "bytes=0-99"})
            assert (part.status_code, len(part.content)) == (206, 100)
