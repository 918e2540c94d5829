"""Scenes made to hurt: whatever is asked for, the answer is a field that is wrong, a failed task or a film."""

from __future__ import annotations

import json
import math
import random
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.support import scenes
from tests.support.scenes import at, run

from mediamill import kinds
from mediamill.core import compositions, looks
from mediamill.core.errors import Failed, Invalid

ODD: list[Any] = [
    None, True, -1, 0, 1e-9, 1e9, 1e300, math.nan, math.inf, -math.inf, "", "nan", "1e999", "50%", "-9999999%", "12px",
    "0.5rad", "#12345", "#GGGGGG", "file:///etc/passwd", "http://127.0.0.1/x.mp4", "a\0b", "\ud800", "x" * 20000,
    [], {}, [[]], [None], {"type": "video"}, 2**70, -(2**70),
]  # fmt: skip
SCENES = 200
RUN = 40
"""How many of them are drawn too, those that are taken."""


@pytest.fixture(scope="module")
def media(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("media")
    scenes.counting(folder / "count.mp4", frames=12)
    scenes.flat(folder / "green.png", (0, 255, 0))
    scenes.tone(folder / "tone.wav", seconds=0.4)
    (folder / "lie.mp4").write_bytes(b"\0\0\0\x20ftypisom" + b"\xff" * 500)
    return folder


def element(chance: random.Random, number: int) -> dict[str, Any]:
    """One element, mostly sound, with now and then a field that is not."""
    kind = chance.choice(("video", "image", "audio", "text"))
    made: dict[str, Any] = {"type": kind, "id": "abcdef"[number if chance.random() < 0.97 else 0]}
    if kind == "text":
        made |= {"text": chance.choice(("Hill", "مرحبا 🎉", "\u202e\u0301" * 20, " ")), "duration": 0.3}
        if chance.random() < 0.3:
            words = [{"text": "Hill", "start": chance.random() / 2, "end": 0.5 + chance.random()}]
            made["word_animation"] = {"style": chance.choice(looks.CAPTION_STYLES), "words": words}
    elif kind == "image":
        made |= {"source_url": at("green.png"), "duration": 0.3, "id": made["id"] or "i"}
    else:
        made["source_url"] = at(chance.choice(("count.mp4", "lie.mp4")) if kind == "video" else "tone.wav")
        made["out_point"] = chance.choice((0.2, 0.4, 5))
    if kind != "audio" and chance.random() < 0.5:
        name = chance.choice(sorted(looks.MOTIONS))
        made["motion"] = [
            {
                "type": name,
                "time": chance.random() * 0.3,
                "duration": chance.choice((0.01, 0.3, 9)),
                "reversed": looks.MOTIONS[name].exit and chance.random() < 0.5,
                "scope": "character" if kind == "text" and looks.MOTIONS[name].character else "element",
            }
        ]
    if kind in ("video", "image") and chance.random() < 0.5:
        made["effects"] = [{"type": chance.choice(looks.EFFECTS), "intensity": chance.choice((0, 1, 100))}]
    for name in chance.sample(sorted(compositions.ELEMENTS[kind]), chance.choice((0, 0, 0, 0, 0, 0, 1, 2))):
        made[name] = chance.choice(ODD)
    if chance.random() < 0.4 and kind != "audio":
        made |= {
            "width": chance.choice((0, 1, -5, "9999%", "0.1%", 1e8)), "x": chance.choice((-1e8, "50%", 1e8)),
            "z_rotation": chance.choice((33, "3rad", 1e8)), "x_rotation": chance.choice((0, 90, 89.99, 1e7)),
            "x_scale": chance.choice(("0%", "-100%", "100000%", "100%")), "border_radius": chance.choice((0, 1e8, -3)),
            "border_width": chance.choice((0, 1e8)), "border_color": "#ff0000", "shadow_color": "#00000080",
            "shadow_blur": chance.choice((0, 3, 1e8)), "shadow_x": chance.choice((0, -1e8)),
        }  # fmt: skip
    return made


def scene(number: int) -> dict[str, Any]:
    """The n-th scene."""
    chance = random.Random(number)
    made: dict[str, Any] = {
        "width": chance.choice((16, 64, 64, 65)), "height": chance.choice((16, 36, 36, 37)), "frame_rate": 10,
        "duration": 0.4, "output_format": chance.choice(("mp4", "mp4", "webm", "gif", "png")),
        "elements": [element(chance, place) for place in range(chance.choice((1, 2, 2, 5)))],
        "transitions": [
            {
                "type": chance.choice(looks.TRANSITIONS), "duration": chance.choice((0.1, 0.4, 100)),
                "from_id": "a", "to_id": chance.choice(("b", "b", "b", "b", None, "a", "zz")),
            }
            for _ in range(chance.choice((0, 1, 1, 2)))
        ],
    }  # fmt: skip
    for name in chance.sample(sorted(made), chance.choice((0, 0, 0, 0, 0, 1))):
        made[name] = chance.choice(ODD)
    return made


@pytest.mark.parametrize("number", range(SCENES))
def test_a_made_scene_is_read_or_refused_with_a_field(number: int) -> None:
    try:
        composition = compositions.parse(scene(number))
    except Invalid:
        return
    compositions.violations(composition)
    again = compositions.filled(compositions.filled(scene(number)))
    json.dumps(again, allow_nan=False)  # what was filled in is JSON, and fills in as itself
    assert again == compositions.filled(scene(number))


def test_made_scenes_are_drawn_or_fail_for_a_reason(tmp_path: Path, media: Path) -> None:
    drawn = failed = 0
    for number in range(SCENES):
        request = scene(number)
        try:
            composition = compositions.parse(request)
            if any(one.severity == "error" for one in compositions.violations(composition)):
                continue
            run("render", {**compositions.options(compositions.filled(request))}, tmp_path / str(number), media)
        except (Invalid, msgspec.ValidationError):
            continue
        except Failed:
            failed += 1
            continue
        drawn += 1
        if drawn + failed >= RUN:
            break

    assert drawn > 10
    assert failed > 3


def test_thousands_of_elements_and_huge_canvases_are_refused_or_drawn(tmp_path: Path, media: Path) -> None:
    many = [{"type": "text", "text": "x", "duration": 1, "time": n} for n in range(compositions.MAX_ELEMENTS + 1)]
    with pytest.raises(Invalid) as refused:
        compositions.parse({"elements": many})
    assert refused.value.field == "elements"

    still = {"width": 64, "height": 36, "elements": many[:-1], "output_format": "png"}
    assert run("render", compositions.options(compositions.filled(still)), tmp_path, media).rgba().shape == (36, 64, 4)

    with pytest.raises(Invalid):
        compositions.parse({"width": 10**6, "height": 10**6})


def test_too_many_clips_at_once_fail_the_task(tmp_path: Path, media: Path) -> None:
    crowd = [{"type": "video", "source_url": at("count.mp4"), "out_point": 0.3, "width": 20} for _ in range(30)]

    with pytest.raises(Failed, match="clips"):
        run("render", {"width": 64, "height": 36, "elements": crowd}, tmp_path, media)


def test_options_say_what_the_request_says(media: Path) -> None:
    request = compositions.filled({"elements": [{"type": "text", "text": "x", "duration": 1}], "metadata": {"a": "b"}})

    options = msgspec.convert(compositions.options(request), kinds.named("render").options)

    assert compositions.parse(msgspec.to_builtins(options)) == compositions.parse(request)
