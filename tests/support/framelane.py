"""Calls of the Framelane API against a real server: upload, wait for a job, fetch what it has made."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import httpx

V1 = "/framelane/v1"
MIMES = {
    ".mp4": "video/mp4", ".png": "image/png", ".flac": "audio/flac", ".wav": "audio/wav", ".jpg": "image/jpeg",
    ".webm": "video/webm", ".mov": "video/quicktime", ".gif": "image/gif",
}  # fmt: skip


def good(answer: httpx.Response, status: int) -> Any:
    """The body of an answer that must be of this status."""
    assert answer.status_code == status, answer.text
    return answer.json() if answer.content else None


def put(http: httpx.Client, path: Path) -> str:
    """Upload a file; the URL to name it by."""
    mime = MIMES[path.suffix]
    upload = good(http.post(f"{V1}/uploads", json={"content_type": mime, "filename": path.name}), 201)
    with httpx.Client() as plain:  # without the key
        answer = plain.put(upload["upload_url"], content=path.read_bytes(), headers={"content-type": mime})
    assert answer.status_code == 200, answer.text
    url: str = upload["source_url"]
    return url


def ended(http: httpx.Client, job: Any, timeout_s: float = 120) -> Any:
    """The job once it has ended, long polls one after the other."""
    path, deadline = f"{V1}/{job['kind']}s/{job['id']}", time.monotonic() + timeout_s
    shares = [0]
    while True:
        found = good(http.get(path, params={"wait": 5}), 200)
        shares.append(found["progress_percent"])
        if found["status"] in ("completed", "failed", "cancelled"):
            assert shares == sorted(shares)
            assert found["completed_at"]
            return found
        assert time.monotonic() < deadline, found


def completed(http: httpx.Client, job: Any) -> Any:
    """The job once it has ended well."""
    found = ended(http, job)
    assert found["status"] == "completed", found
    assert (found["progress_percent"], found["error"]) == (100, None)
    return found


def fetched(http: httpx.Client, job: Any, folder: Path, ending: str) -> Path:
    """The result of a job, by its download redirect and without the key."""
    redirect = http.get(f"{V1}/{job['kind']}s/{job['id']}/download")
    assert redirect.status_code == 302, redirect.text
    with httpx.Client() as plain:
        answer = plain.get(redirect.headers["location"])
        assert answer.status_code == 200
        assert plain.get(job["output"]["url"]).content == answer.content
    assert len(answer.content) == job["output"]["size_bytes"]
    path = folder / f"{job['id']}.{ending}"
    path.write_bytes(answer.content)
    return path
