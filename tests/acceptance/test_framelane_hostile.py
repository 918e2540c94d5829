"""Scenes made to hurt a running server: each is refused clearly, drawn, or fails; nothing breaks, hangs or swells."""

from __future__ import annotations

import json
import math
import os
import random
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.support import scenes
from tests.support.framelane import V1, good, put
from tests.support.server import Server, serving, until

REQUESTS = 200
MOST_BYTES = 1 << 30
"""Memory of a task; what a process of one holds stays below it."""
WALL_S = 6.0
CODES = {
    *("invalid_request", "unsupported_feature", "invalid_source", "source_not_found", "source_too_large"),
    *("codec_unsupported", "timeout"),
}
OVER = ("completed", "failed", "cancelled")
NUMBERS = [
    math.nan,
    math.inf,
    -math.inf,
    1e308,
    -1e308,
    5e-324,
    2**70,
    -(2**70),
    1e9,
    -1,
    0,
    True,
    "1e999",
    None,
    [],
    {},
]
ADDRESSES = [
    "http://127.0.0.1:1/a.mp4", "http://10.0.0.1/a.mp4", "http://169.254.169.254/a.mp4", "http://[::1]/a.mp4",
    "http://0x7f000001/a.mp4", "http://localhost/a.mp4", "file:///etc/passwd.mp4", "file:f0mwrx", "s3://bucket/a.mp4",
    "gopher://a.example/a.mp4", "https://nowhere.invalid/a.mp4", "https://a.example/" + "a" * 3000 + ".mp4",
    "https://u:p@a.example/a.mp4", "https://a.example\\@10.0.0.1/a.mp4", "http://a.example:99999/a.mp4", "//a/a.mp4",
]  # fmt: skip
LETTERS = [
    "\u202e" * 4000, "\u2066\u2067\u202d" * 2000, "\U0001f468\u200d\U0001f469\u200d\U0001f467\u200d\U0001f466" * 300,
    "e" + "\u0301" * 5000, "\u1f3ff" * 50, "\ud800", "a\0b", "\U000e0041" * 3000, "\ufdfd" * 400, "\n" * 5000,
    "W" * 9999, "<b>&amp;%s{}$(id)`id`", "\u0645\u0631\u062d\u0628\u0627 abc " * 400,
]  # fmt: skip
Make = Callable[[random.Random, dict[str, str]], Any]


def text(**more: Any) -> dict[str, Any]:
    return {"type": "text", "text": "Hill", "duration": 0.2, **more}


def small(*elements: Any, **more: Any) -> dict[str, Any]:
    return {"width": 64, "height": 36, "frame_rate": 10, "duration": 0.3, **more, "elements": list(elements)}


def huge(chance: random.Random, source: dict[str, str]) -> Any:
    side = chance.choice((8192, 8192, 8192, 4096, 8193, 10**6))
    return small(
        text(font_size=chance.choice((8192, 9000, 100)), width="99999%"),
        width=side, height=chance.choice((side, 16)), frame_rate=chance.choice((240, 30, 30, 241)),
        duration=chance.choice((0.2, 0.2, 21600, 21601)), output_format=chance.choice(("mp4", "png", "gif", "webm")),
    )  # fmt: skip


def many(chance: random.Random, source: dict[str, str]) -> Any:
    count = chance.choice((30, 1000, 1000, 1001, 5000))
    clip = {"type": "video", "source_url": source["clip"], "out_point": 0.2}
    one = chance.choice((text(), clip, text(blend_mode="overlay", shadow_color="#000000", shadow_blur=50)))
    return small(*[one] * count)


def numbers(chance: random.Random, source: dict[str, str]) -> Any:
    made = text(effects=[])
    for name in chance.sample(("time", "duration", "x", "z_rotation", "font_size", "opacity", "tracking", "width"), 2):
        made[name] = chance.choice(NUMBERS)
    whole = chance.choice(("duration", "width", "frame_rate", "height"))
    return small(made, **({whole: chance.choice(NUMBERS)} if chance.random() < 0.3 else {}))


def cycles(chance: random.Random, source: dict[str, str]) -> Any:
    names = [f"e{n}" for n in range(chance.choice((2, 3, 50)))]
    pairs = list(zip(names, [*names[1:], names[0]], strict=True)) * chance.choice((1, 5))
    cuts = [{"type": "iris", "duration": chance.choice((0.1, 1e6)), "from_id": a, "to_id": b} for a, b in pairs]
    return small(*[text(id=name, time=n * 0.01) for n, name in enumerate(names)], transitions=cuts)


def dangling(chance: random.Random, source: dict[str, str]) -> Any:
    ends = [chance.choice(("a", "b", "zz", "", None, "a" * 20000, 7)) for _ in range(2)]
    cut = {"type": chance.choice(("iris", "nothing")), "duration": 1, "from_id": ends[0], "to_id": ends[1]}
    return small(text(id="a"), text(id=chance.choice(("a", "b"))), transitions=[cut] * chance.choice((1, 1001)))


def sources(chance: random.Random, source: dict[str, str]) -> Any:
    kind = chance.choice(("video", "audio", "image"))
    mixed = {"id": "i", "duration": 0.2} if kind == "image" else {"out_point": 0.2}
    url = chance.choice([*ADDRESSES, *[*source.values()] * 4, source["clip"].replace("asset_0", "asset_7")])
    more = {"lut_url": chance.choice((source["lie"], None, None, ADDRESSES[0]))} if kind != "audio" else {}
    behind = {"background_image_url": chance.choice([None, None, None, ADDRESSES[1], source["clip"], source["lie"]])}
    return small({"type": kind, "source_url": url, **mixed, **more}, **behind)


def times(chance: random.Random, source: dict[str, str]) -> Any:
    far = chance.choice((1e9, 999999, 5e-324, 0.2))
    moved = [{"type": "fade", "time": far, "duration": chance.choice((1e-9, 1e9))}]
    clip = {
        "type": "video", "source_url": source["clip"], "time": chance.choice((0, far)), "in_point": far,
        "out_point": chance.choice((None, far * 2, 1e9)), "speed": chance.choice((0.25, 4)),
    }  # fmt: skip
    made = small(clip, text(time=chance.choice((0, far)), duration=far, motion=moved))
    if chance.random() < 0.5:
        del made["duration"]
    return made


def nested(chance: random.Random, source: dict[str, str]) -> Any:
    depth = chance.choice((100, 5000, 100_000))
    return chance.choice((
        '{"elements": ' + "[" * depth + "]" * depth + "}",
        '{"metadata": ' + '{"a":' * depth + "1" + "}" * depth + "}",
        "[" * depth,
        '{"elements": [{"type": {"a": ["video"]}, "text": [["x"]]}]}',
    ))  # fmt: skip


def long(chance: random.Random, source: dict[str, str]) -> Any:
    words = [{"text": "w" * 100, "start": n / 100, "end": n / 100 + 0.01} for n in range(chance.choice((5000, 5001)))]
    return small(chance.choice((
        text(text="long words " * 100_000),
        text(text="x" * 9_000_000),
        text(text="Hill " * 1900, font_size=chance.choice((1, 400)), motion=[]),
        text(word_animation={"style": "fly_in", "words": words}),
        text(text="x" * 600, motion=[{"type": "fade", "time": 0, "duration": 1, "scope": "character"}]),
        text(id="i" * 2_000_000),
    )))  # fmt: skip


def letters(chance: random.Random, source: dict[str, str]) -> Any:
    return small(
        text(
            text=chance.choice(LETTERS),
            font_family=chance.choice(("Inter", "Inter", *LETTERS)),
            x_rotation=chance.choice((0, 89.999)),
        )
    )


def lists(chance: random.Random, source: dict[str, str]) -> Any:
    count = chance.choice((64, 64, 64, 65, 300))
    motion = {"type": chance.choice(("explode", "loop_orbit", "ken_burns_in")), "time": 0, "duration": 0.2}
    effect = {"type": chance.choice(("echo", "camera_lens_blur", "displacement_map")), "intensity": 100}
    picture = {"type": "image", "id": "p", "source_url": source["picture"], "duration": 0.3, "blend_mode": "soft_light"}
    return small({**picture, "motion": [motion] * count, "effects": [effect] * chance.choice((0, 32, 32, count))})


def confused(chance: random.Random, source: dict[str, str]) -> Any:
    made = small(text(), {"type": "image", "id": "p", "source_url": source["picture"], "duration": 0.3})
    target = chance.choice((made, *made["elements"]))
    for name in chance.sample(sorted(target), 2):
        target[name] = chance.choice([*NUMBERS, "x", [[]], {"a": {}}, made["elements"][:1]])
    return made


MAKERS: list[Make] = [
    huge, many, numbers, cycles, dangling, sources, times, nested, long, letters, lists, confused,
]  # fmt: skip


def looked_at(number: int) -> bool:
    """Whether the n-th scene is previewed rather than rendered; each maker has both."""
    return number // len(MAKERS) % 2 == 1


def body_of(number: int, source: dict[str, str]) -> bytes:
    """The n-th request, the same in every run."""
    chance = random.Random(number)
    made = MAKERS[number % len(MAKERS)](chance, source)
    if isinstance(made, str):
        return made.encode()
    if looked_at(number):
        look = {"at": chance.choice((0, 0.1, 1e9))} if chance.random() < 0.8 else {"window": {"start": 0, "end": 0.2}}
        made = {"render_request": made, **look}
    return json.dumps(made).encode()


class Scales(threading.Thread):
    """Weighs every process below another, again and again."""

    def __init__(self, root: int) -> None:
        super().__init__(daemon=True)
        self.root = root
        self.most = 0
        self._over = threading.Event()

    def run(self) -> None:
        while not self._over.wait(0.1):
            self.most = max([self.most, *map(resident, below(self.root))])

    def stop(self) -> int:
        self._over.set()
        self.join()
        return self.most


def below(root: int) -> set[int]:
    parents = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                stat = Path("/proc", name, "stat").read_text()
            except OSError:
                continue  # it has ended
            parents[int(name)] = int(stat.rpartition(")")[2].split()[1])
    found = {root}
    while more := {one for one, parent in parents.items() if parent in found} - found:
        found |= more
    return found


def resident(process: int) -> int:
    try:
        return int(Path("/proc", str(process), "statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, IndexError):
        return 0


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    settings = {
        "MEDIAMILL_TASK_WALL_S": str(WALL_S),
        "MEDIAMILL_TASK_MEMORY_BYTES": str(MOST_BYTES),
        "MEDIAMILL_TASK_SCRATCH_BYTES": str(1 << 28),
        "MEDIAMILL_RETRY_FIRST_S": "0.01",
    }
    with serving(environment=settings) as running:
        yield running


@pytest.fixture(scope="module")
def source(server: Server, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("media")
    scenes.clip(folder / "clip.mp4", seconds=0.5)
    scenes.flat(folder / "picture.png", (0, 255, 0))
    (folder / "lie.mp4").write_bytes(b"\0\0\0\x20ftypisom" + b"\xff" * 500)
    with server.client() as http:
        return {path.stem: put(http, path) for path in sorted(folder.iterdir())}


def test_two_hundred_hostile_requests_break_nothing(server: Server, source: dict[str, str]) -> None:
    scales = Scales(server.process.pid)
    scales.start()
    with server.client(limits=httpx.Limits(max_connections=6)) as http, ThreadPoolExecutor(6) as hands:

        def sent(number: int) -> httpx.Response:
            path = "preview" if looked_at(number) else "renders"
            return http.post(f"{V1}/{path}", content=body_of(number, source), timeout=90)

        answers = list(hands.map(sent, range(REQUESTS)))
        jobs = [answer.json()["id"] for answer in answers if answer.status_code == 202]
        for job in jobs:
            until(
                lambda id=job: http.get(f"{V1}/renders/{id}", params={"wait": 20}).json()["status"] in OVER,  # type: ignore[misc]
                timeout_s=180,
                what=f"the end of {job}",
            )
        ended = [good(http.get(f"{V1}/renders/{job}"), 200) for job in jobs]
        sound = good(http.post(f"{V1}/preview", json={"render_request": small(text()), "at": 0}), 200)

    most = scales.stop()
    statuses = Counter(answer.status_code for answer in answers)
    assert set(statuses) <= {200, 202, 400, 413, 422}, statuses
    refused = [answer.json()["error"] for answer in answers if answer.status_code >= 400]
    assert {error["code"] for error in refused} <= CODES
    assert all(error["message"] and "/tmp" not in error["message"] for error in refused)
    failed = [job["error"] for job in ended if job["status"] == "failed"]
    assert {error["code"] for error in failed} <= CODES, failed
    assert all("Traceback" not in error["message"] and "/tmp" not in error["message"] for error in failed)
    assert min(statuses[200], statuses[202], statuses[422], len(failed)) >= 5, (statuses, len(failed))
    assert most <= MOST_BYTES, most
    assert sound["preview"]["url"]
    assert "request broke" not in server.log.read_text(errors="replace")
    assert "request failed" not in server.log.read_text(errors="replace")
