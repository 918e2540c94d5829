"""The first preview frame of a long scene as a client of Framelane's API waits for it: request to the picture's bytes.
`python -m benchmarks.framelane`."""

from __future__ import annotations

import http.client
import json
import statistics
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from benchmarks._server import KEY, Server, percentile, serving
from benchmarks.render import HIGH, WIDE, material, scene
from tests.support.av import ffmpeg

V1 = "/framelane/v1"
MIMES = {"one.mp4": "video/mp4", "two.mp4": "video/mp4", "logo.png": "image/png"}
RUNS, SCENES = 15, 5
LATE, STEPS = 49.2, 6


def films(folder: Path) -> None:
    """Clips as cameras and editors make them, in place of the noisy ones."""
    for name, source in (("one.mp4", "testsrc2"), ("two.mp4", "mandelbrot")):
        ffmpeg(
            "-f", "lavfi", "-i", f"{source}=s={WIDE}x{HIGH}:r=30", "-t", "6", "-pix_fmt", "yuv420p", "-c:v", "libx264",
            "-preset", "veryfast", "-g", "60", folder / name,
        )  # fmt: skip


def uploaded(server: Server, folder: Path) -> dict[str, str]:
    """The files of the scene, put as a client puts them: the URL of each."""
    found = {}
    for name, mime in MIMES.items():
        made = server.call("POST", f"{V1}/uploads", {"content_type": mime, "filename": name})
        request = urllib.request.Request(made["upload_url"], method="PUT", data=(folder / name).read_bytes())
        urllib.request.urlopen(request, timeout=120).close()
        found[name] = made["source_url"]
    return found


def minute(urls: dict[str, str]) -> dict[str, Any]:
    """A minute of the clips in turn, a logo and a title."""
    request = scene(60)
    clips = [
        {"type": "video", "id": f"c{n}", "source_url": urls[("one.mp4", "two.mp4")[n % 2]], "time": n * 5,
         "out_point": 5.5}
        for n in range(12)
    ]  # fmt: skip
    others = [one for one in request["elements"] if one["type"] != "video"]
    for one in others:
        if one["type"] == "image":
            one["source_url"] = urls["logo.png"]
    cuts = [
        {"type": "cross_dissolve", "duration": 1, "from_id": f"c{n}", "to_id": f"c{n + 1}"}
        for n in range(len(clips) - 1)
    ]
    return {**request, "elements": [*clips, *others], "transitions": cuts}


def titled(request: dict[str, Any], number: int) -> dict[str, Any]:
    """The same scene with another title."""
    elements = [{**one, "text": f"{number} days away"} if one["type"] == "text" else one for one in request["elements"]]
    return {**request, "elements": elements}


def frame_ms(server: Server, connection: http.client.HTTPConnection, request: dict[str, Any], at: float) -> float:
    """From the request to the last byte of the picture."""
    body = json.dumps({"render_request": request, "at": at}).encode()
    begun = time.perf_counter()
    headers = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"}
    connection.request("POST", f"{V1}/preview", body, headers)
    answer = connection.getresponse()
    told = json.loads(answer.read())
    assert answer.status == 200, told
    link = urlsplit(told["preview"]["url"])
    connection.request("GET", f"{link.path}?{link.query}")
    picture = connection.getresponse().read()
    took = (time.perf_counter() - begun) * 1000
    assert picture.startswith(b"\x89PNG") or picture.startswith(b"\xff\xd8")
    return took


def main() -> None:
    """Print the times."""
    with tempfile.TemporaryDirectory() as name, serving() as server:
        folder = Path(name)
        material(folder)
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=120)
        print("frame of a 60 s scene of twelve 1080p clips, over HTTP")
        noisy = minute(uploaded(server, folder))
        films(folder)
        plain = minute(uploaded(server, folder))
        for what, request in (("films, a key frame every 2 s", plain), ("noise, a key frame every 6 s", noisy)):
            first = frame_ms(server, connection, request, 1.0)
            times = [frame_ms(server, connection, request, 2.5 + 3.7 * n) for n in range(RUNS)]
            usual, most = statistics.median(times), percentile(times, 0.95)
            print(f"  {what}: first {first:.0f} ms, then median {usual:.0f} ms, 95 of 100 {most:.0f} ms")
            # Somebody at work: the same late moment with other titles, then the frames behind it one after the other.
            late = [LATE] * STEPS + [LATE + n / 30 for n in range(1, STEPS)]
            near = [frame_ms(server, connection, titled(request, n), at) for n, at in enumerate(late)]
            again, beside = statistics.median(near[1:STEPS]), statistics.median(near[STEPS:])
            print(
                f"    at {LATE} s {near[0]:.0f} ms, with other titles {again:.0f} ms, the next frames {beside:.0f} ms"
            )
        # What has been drawn by now is another scene; the bytes of this one are new to the server each time.
        new = [frame_ms(server, connection, minute(uploaded(server, folder)), 1.0) for _ in range(SCENES)]
        print(f"  the first frame of a new scene of films: {', '.join(f'{ms:.0f}' for ms in new)} ms")


if __name__ == "__main__":
    main()
