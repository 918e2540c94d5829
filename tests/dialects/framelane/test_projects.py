"""Renders, previews and projects: what is doubtful is told, edits hold all or none, versions count up."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from tests.dialects.framelane.conftest import Caller, ours

CLIP = "https://media.example.net/beach.mp4"
SCENE: dict[str, Any] = {
    "width": 320,
    "height": 180,
    "elements": [
        {"type": "video", "id": "a", "source_url": CLIP, "out_point": 3},
        {"type": "video", "id": "b", "source_url": CLIP, "time": 3, "out_point": 3},
        {
            "type": "text",
            "id": "t",
            "text": "Two days away",
            "time": 1,
            "duration": 2,
            "motion": [{"type": "fade", "time": 1, "duration": 0.5}],
        },
    ],
    "transitions": [{"type": "cross_dissolve", "duration": 0.5, "from_id": "a", "to_id": "b"}],
}


async def project(call: Caller, **given: Any) -> Any:
    return await call.good("POST", "/projects", {"name": "Trip", "render_request": SCENE, **given}, status=201)


async def edit(call: Caller, id: str, *ops: dict[str, Any], **given: Any) -> Any:
    return await call.good("POST", f"/projects/{id}/ops", {"ops": list(ops), **given}, status=200)


async def request_of(call: Caller, id: str) -> Any:
    return (await call.good("GET", f"/projects/{id}?view=full"))["render_request"]


async def test_a_project_kept_by_an_earlier_version_is_drawn_and_edited_as_it_was(call: Caller) -> None:
    """clip and the way out of a loop were taken, and nothing was done with them."""
    made = await project(call)
    loop = {"type": "loop_wiggle", "time": 0, "duration": 1, "reversed": True}
    await call.mill.bench.pool.execute(
        "UPDATE compositions SET request = jsonb_set(jsonb_set(request, '{elements,0,clip}', 'true'),"
        " '{elements,2,motion,0}', (request #> '{elements,2,motion,0}') || $2::jsonb) WHERE id = $1",
        ours(made["id"]), json.dumps(loop),
    )  # fmt: skip
    path = f"/projects/{made['id']}"

    looked = await call.good("POST", f"{path}/preview", {"dry_run": True})
    rendered = await call.good("POST", f"{path}/renders", status=202)
    edited = await edit(call, made["id"], {"op": "shift_element", "id": "t", "by": 0.5})
    after = await call.good("POST", f"{path}/preview", {"dry_run": True})

    told = [(one["code"], one["severity"], one["path"]) for one in looked["violations"]]
    assert told == [
        ("NO_EFFECT", "warning", "elements.0.clip"),
        ("NO_EFFECT", "warning", "elements.2.motion.0.reversed"),
    ]
    assert looked["ok"]
    assert rendered["kind"] == "render"
    assert (edited["ok"], after["violations"]) == (True, [])
    kept = (await request_of(call, made["id"]))["elements"]
    assert kept[0]["clip"] is False
    assert (kept[2]["motion"][0]["type"], kept[2]["motion"][0]["reversed"]) == ("loop_wiggle", False)
    await call.error(
        422, "unsupported_feature", "POST", f"{path}/ops",
        {"ops": [{"op": "set_fields", "id": "a", "fields": {"clip": True}}]},
    )  # fmt: skip


async def test_a_render_is_a_job_of_its_own_kind(call: Caller) -> None:
    made = await call.good("POST", "/renders", {**SCENE, "metadata": {"cut": "2"}}, status=202)

    assert (made["kind"], made["task_type"], made["status"], made["metadata"]) == (
        "render",
        None,
        "queued",
        {"cut": "2"},
    )
    assert made["id"].startswith("render_")
    assert [one["id"] for one in (await call.good("GET", "/renders"))["data"]] == [made["id"]]
    assert (await call.good("GET", "/tasks"))["data"] == []
    assert (await call.good("DELETE", f"/renders/{made['id']}"))["status"] == "cancelled"


async def test_what_does_nothing_is_told_beside_the_job(call: Caller) -> None:
    """In a header, as a job is of one shape wherever it is answered."""
    idle = {"type": "text", "id": "i", "text": "Line", "duration": 1, "border_width": 4}
    many = [{**idle, "id": f"i{n}", "border_width": 3} for n in range(90)]

    plain = await call("POST", "/renders", SCENE)
    told = await call("POST", "/renders", {**SCENE, "elements": [*SCENE["elements"], idle]})
    kept = await project(call, render_request={**SCENE, "elements": [*SCENE["elements"], idle]})
    again = await call("POST", f"/projects/{kept['id']}/renders")
    crowded = await call("POST", "/renders", {"elements": many})

    assert [one.status_code for one in (plain, told, again, crowded)] == [202] * 4
    assert "framelane-violations" not in plain.headers
    assert set(told.json()) == set(plain.json())
    [found] = json.loads(told.headers["framelane-violations"])
    assert set(found) == {"code", "message", "severity", "path"}
    assert (found["code"], found["severity"], found["path"]) == ("NO_EFFECT", "warning", "elements.3.border_width")
    assert json.loads(again.headers["framelane-violations"]) == [found]
    assert len(crowded.headers["framelane-violations"]) <= 4000  # servers in between take no more of headers
    assert 10 < len(json.loads(crowded.headers["framelane-violations"])) < 90


async def test_the_same_render_under_the_same_key_is_one(call: Caller) -> None:
    headers = {"idempotency-key": "cut"}
    answers = await asyncio.gather(*(call("POST", "/renders", SCENE, headers=headers) for _ in range(5)))

    assert sorted(answer.status_code for answer in answers) == [200, 200, 200, 200, 202]


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"width": None}, "width"),
        ({"width": 15}, "width"),
        ({"frame_rate": 241}, "frame_rate"),
        ({"alpha": True}, "alpha"),
        ({"duration": 0}, "duration"),
        ({"background_color": "red"}, "background_color"),
        ({"elements": [{"type": "progress_bar"}]}, "elements.0.type"),
        ({"elements": [{"type": "video", "source_url": "https://a.example/b.avi"}]}, "elements.0.source_url"),
        ({"elements": [{"type": "image", "source_url": "https://a.example/b.png", "id": ""}]}, "elements.0"),
        ({"transitions": [{"type": "fade", "duration": 1, "from_id": "a", "to_id": "b"}]}, "transitions.0.type"),
    ],
)
async def test_a_scene_that_does_not_hold_is_422(call: Caller, change: dict[str, Any], path: str) -> None:
    error = await call.error(422, "invalid_request", "POST", "/renders", {**SCENE, **change})

    assert error["details"]["fields"][0]["path"].startswith(path)


async def test_a_scene_in_a_scene_is_not_supported(call: Caller) -> None:
    await call.error(422, "unsupported_feature", "POST", "/renders", {"elements": [{"type": "composition"}]})


async def test_errors_among_the_violations_forbid_a_render_and_are_told(call: Caller) -> None:
    broken = {**SCENE, "elements": [SCENE["elements"][0], SCENE["elements"][0]]}

    error = await call.error(422, "invalid_request", "POST", "/renders", broken)
    told = await call.good("POST", "/preview", {"render_request": broken, "dry_run": True})

    assert error["details"]["violations"] == told["violations"]
    assert (told["ok"], told["preview"]) == (False, None)
    assert {one["code"] for one in told["violations"]} == {"DUPLICATE_ELEMENT_ID", "DANGLING_TRANSITION"}


async def test_an_empty_scene_is_only_doubtful(call: Caller) -> None:
    told = await call.good("POST", "/preview", {"dry_run": True})

    assert told["ok"] is True
    assert [(one["code"], one["severity"]) for one in told["violations"]] == [("EMPTY_TIMELINE", "warning")]


async def test_a_project_keeps_its_scene_with_every_default(call: Caller) -> None:
    made = await project(call)

    assert (made["version"], made["render_request"]) == (1, None)
    full = await call.good("GET", f"/projects/{made['id']}?view=full")
    assert full["render_request"]["frame_rate"] == 30
    other = await call.good("POST", "/projects?view=full", {})
    assert other["render_request"]["elements"] == []
    await call.good("DELETE", f"/projects/{other['id']}", status=204)
    shown = await call.good("GET", f"/projects/{made['id']}")
    assert shown["render_request"] is None
    summary = shown["summary"]
    assert (summary["duration"], summary["element_count"], summary["transition_count"]) == (6, 3, 1)
    assert summary["elements"][2] == {
        "id": "t",
        "type": "text",
        "time": 1,
        "duration": 2,
        "label": "Two days away",
        "source": None,
    }
    assert [one["id"] for one in (await call.good("GET", "/projects"))["data"]] == [made["id"]]


async def test_a_project_may_begin_empty(call: Caller) -> None:
    answer = await call("POST", "/projects")

    assert answer.status_code == 201
    assert answer.json()["summary"]["element_count"] == 0


async def test_a_batch_of_edits_raises_the_version_by_one(call: Caller) -> None:
    id = (await project(call))["id"]

    done = await edit(
        call,
        id,
        {"op": "set_fields", "id": "t", "fields": {"text": "One day away", "font_size": 40}},
        {"op": "shift_element", "id": "t", "by": 1.5},
        {"op": "trim_element", "id": "a", "in_point": 1},
        {"op": "add_element", "element": {"type": "text", "text": "End", "time": 5, "duration": 1}, "index": 0},
        {"op": "remove_element", "id": "b"},
        if_version=1,
    )

    assert (done["version"], done["ok"]) == (2, True)
    assert done["diff"] == {"added_ids": ["element_4"], "removed_ids": ["b"], "transitions_changed": True}
    assert set(done["changed_ids"]) == {"t", "a", "b", "element_4"}
    request = await request_of(call, id)
    assert [element["id"] for element in request["elements"]] == ["element_4", "a", "t"]
    text = request["elements"][2]
    assert (text["text"], text["font_size"], text["time"], text["motion"][0]["time"]) == ("One day away", 40, 2.5, 2.5)
    assert request["transitions"] == []


async def test_one_wrong_edit_undoes_the_batch(call: Caller) -> None:
    id = (await project(call))["id"]
    before = await request_of(call, id)
    good = {"op": "shift_element", "id": "t", "by": 1}

    await call.error(
        404, "not_found", "POST", f"/projects/{id}/ops", {"ops": [good, {"op": "reorder", "id": "x", "index": 0}]}
    )
    error = await call.error(
        422,
        "invalid_request",
        "POST",
        f"/projects/{id}/ops",
        {"ops": [good, {"op": "trim_element", "id": "t", "in_point": 2}]},
    )
    await call.error(
        422,
        "invalid_request",
        "POST",
        f"/projects/{id}/ops",
        {"ops": [{"op": "trim_element", "id": "a", "in_point": 9}]},
    )

    assert error["details"]["fields"][0]["path"] == "ops.1.in_point"
    assert await request_of(call, id) == before
    assert (await call.good("GET", f"/projects/{id}"))["version"] == 1


async def test_a_stale_version_is_a_conflict_and_of_many_at_once_one_wins(call: Caller) -> None:
    id = (await project(call))["id"]
    body: dict[str, Any] = {"ops": [{"op": "shift_element", "id": "t", "by": 0.25}], "if_version": 1}

    answers = await asyncio.gather(*(call("POST", f"/projects/{id}/ops", body) for _ in range(6)))
    free = await asyncio.gather(*(edit(call, id, body["ops"][0]) for _ in range(6)))

    assert sorted(answer.status_code for answer in answers) == [200] + [409] * 5
    assert sorted(one["version"] for one in free) == [3, 4, 5, 6, 7, 8]
    assert (await request_of(call, id))["elements"][2]["time"] == 1 + 7 * 0.25


@pytest.mark.parametrize(
    ("op", "check"),
    [
        (
            {"op": "swap_source", "id": "a", "source_url": "https://media.example.net/city.mov"},
            ("elements", 0, "source_url"),
        ),
        (
            {"op": "update_transition", "from_id": "a", "to_id": "b", "fields": {"duration": 1}},
            ("transitions", 0, "duration"),
        ),
        ({"op": "reorder", "id": "t", "index": 0}, ("elements", 0, "id")),
    ],
)
async def test_each_edit_changes_what_it_names(call: Caller, op: dict[str, Any], check: tuple[Any, ...]) -> None:
    id = (await project(call))["id"]
    before = await request_of(call, id)

    await edit(call, id, op)

    after = await request_of(call, id)
    for step in check:
        before, after = before[step], after[step]
    assert before != after


async def test_captions_are_retimed_and_transitions_come_and_go(call: Caller) -> None:
    words = [{"text": "Two", "start": 1, "end": 1.5}]
    caption = {
        "type": "text",
        "id": "c",
        "text": "Two",
        "time": 1,
        "duration": 1,
        "word_animation": {"style": "box", "words": words},
    }
    id = (await project(call))["id"]

    await edit(call, id, {"op": "add_element", "element": caption})
    await edit(call, id, {"op": "retime_captions", "id": "c", "words": [{"text": "Two", "start": 1.2, "end": 1.8}]})
    await edit(call, id, {"op": "remove_transition", "from_id": "a", "to_id": "b"})
    done = await edit(
        call,
        id,
        {"op": "add_transition", "transition": {"type": "iris", "duration": 0.4, "from_id": "b", "to_id": "a"}},
    )

    request = await request_of(call, id)
    assert request["elements"][3]["word_animation"]["words"][0]["start"] == 1.2
    assert [one["type"] for one in request["transitions"]] == ["iris"]
    assert done["diff"]["transitions_changed"] is True
    await edit(call, id, {"op": "replace_request", "render_request": {"elements": []}})
    assert (await request_of(call, id))["elements"] == []


async def test_a_project_renders_its_newest_version(call: Caller) -> None:
    id = (await project(call))["id"]
    await edit(call, id, {"op": "set_fields", "id": "t", "fields": {"text": "Now"}})

    made = await call.good("POST", f"/projects/{id}/renders", status=202)

    task = await call.mill.bench.pool.fetchval("SELECT options FROM tasks WHERE id = $1", ours(made["id"]))
    assert "Now" in str(task)


async def test_a_deleted_project_is_gone_and_anothers_is_unknown(call: Caller, stranger: Caller) -> None:
    id = (await project(call))["id"]

    await stranger.error(404, "not_found", "GET", f"/projects/{id}")
    await stranger.error(
        404, "not_found", "POST", f"/projects/{id}/ops", {"ops": [{"op": "remove_element", "id": "a"}]}
    )
    assert (await call("DELETE", f"/projects/{id}")).status_code == 204
    await call.error(404, "not_found", "GET", f"/projects/{id}")
    await call.error(404, "not_found", "DELETE", f"/projects/{id}")
    assert (await call.good("GET", "/projects"))["data"] == []


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"ops": []},
        {"ops": [7]},
        {"ops": [{"op": "explode"}]},
        {"ops": [{"op": "shift_element", "id": "t"}]},
        {"ops": [{"op": "shift_element", "id": "t", "by": -9}]},
        {"ops": [{"op": "set_fields", "id": "t", "fields": {"type": "image"}}]},
        {"ops": [{"op": "set_fields", "id": "t", "fields": {"duration": "soon"}}]},
        {"ops": [{"op": "reorder", "id": "t", "index": 3}]},
        {"ops": [{"op": "swap_source", "id": "t", "source_url": CLIP}]},
        {"ops": [{"op": "retime_captions", "id": "t", "words": []}]},
        {"ops": [{"op": "remove_element", "id": "a"}], "if_version": "1"},
        {"ops": [{"op": "remove_element", "id": "a"}], "author": "me"},
    ],
)
async def test_edits_that_do_not_hold_are_422(call: Caller, body: dict[str, Any]) -> None:
    id = (await project(call))["id"]

    await call.error(422, "invalid_request", "POST", f"/projects/{id}/ops", body)
