"""What tests over HTTP do again and again: something to send, sending it, and waiting for what becomes of it."""

from __future__ import annotations

import io
import json
import re
import wave
from typing import Any

import httpx
import numpy as np
from PIL import Image
from tests.support.server import until


def noise(seconds: int) -> bytes:
    """A WAV that takes an encoder its time."""
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(44100)
        file.writeframes(np.random.default_rng(1).integers(-9000, 9000, 88200 * seconds, np.int16).tobytes())
    return out.getvalue()


def picture(size: tuple[int, int] = (64, 48), colour: tuple[int, int, int] = (200, 30, 30)) -> bytes:
    """A PNG of one colour."""
    out = io.BytesIO()
    Image.new("RGB", size, colour).save(out, "PNG")
    return out.getvalue()


def stored(http: httpx.Client, content: bytes, name: str = "red.png") -> str:
    """The id of a file that came in a form."""
    made = http.post("/mill/files", files={"file": (name, content)})
    assert made.status_code == 201, made.text
    return str(made.json()["id"])


def upload(http: httpx.Client, content: bytes, name: str = "in.png") -> str:
    """The id of a file that was registered, and then put at its signed URL."""
    made = http.post("/mill/files", json={"filename": name, "size_bytes": len(content)}).raise_for_status().json()
    http.put(made["links"]["upload"], content=content).raise_for_status()
    return str(made["id"])


def unsigned(shown: Any) -> Any:
    """What was answered, its signed links without their signatures: these are made anew for each answer."""
    return json.loads(re.sub(r"\?expires=\d+&signature=\w+", "", json.dumps(shown)))


def run_ended(http: httpx.Client, id: str) -> dict[str, Any]:
    """A run once it has ended."""
    found: dict[str, Any] = http.get(f"/mill/runs/{id}", params={"wait": 30}).raise_for_status().json()
    return found


def ended(http: httpx.Client, path: str) -> Any:
    """What lies at an Ittybit path, once its status is a last one."""
    found: dict[str, Any] = {}

    def over() -> bool:
        found.update(http.get(path).raise_for_status().json())
        return found["status"] in ("succeeded", "failed", "cancelled")

    until(over, timeout_s=90, what=path)
    return found
