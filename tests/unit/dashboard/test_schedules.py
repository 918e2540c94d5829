"""Schedules in the templates, and their form to and from what the service takes."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from tests.support.runs import prompt, schedule
from tests.support.tasks import at

from mediamill.core.errors import Invalid
from mediamill.core.tasks import Origin, State
from mediamill.dashboard import files, traces
from mediamill.dashboard.firings import Cell, Firing, Line, cell, foresee, in_zone, name_of
from mediamill.dashboard.render import Renderer
from mediamill.dashboard.schedule_form import EXAMPLES, field_of, read_values, values_of

HOSTILE = '<script>alert("x")</script>'
NOW = datetime(2026, 11, 22, 14, 0, tzinfo=UTC)
FORM = {"prompt": "Do it.", "cron": "0 9 * * *", "zone": "UTC", "identifier": "prompt", "overlap": "queue"}


@pytest.fixture(scope="module")
def renderer() -> Renderer:
    made = Renderer()
    made.add(preview_of=files.preview_of, known=files.known, named=name_of, **traces.WORDS)
    return made


def line(**given: Any) -> Line:
    cells = [
        Cell(id="t1", word="completed", at=at(0), took_s=1.0),
        Cell(id="t2", word="timed_out", at=at(9), took_s=3.0),
    ]
    found = schedule(**given)
    return Line(schedule=found, words=HOSTILE, next=Firing(at=at(0), there="Mon 23 Nov, 08:30"), cells=cells)


def test_titles_prompts_and_rules_stay_text(renderer: Renderer) -> None:
    for shown in (line(title=HOSTILE, zone=HOSTILE), line(title="", prompt=HOSTILE)):
        row = renderer.piece("_schedule.html", "row", shown, NOW)

        assert "&lt;script&gt;" in row
        assert "<script" not in row


def test_the_strip_leads_to_each_run_and_says_how_it_went_without_colours(renderer: Renderer) -> None:
    strip = renderer.piece("_schedule.html", "strip", line().cells)

    assert strip.index("/ui/prompts/t1") < strip.index("/ui/prompts/t2")
    assert "timed out, 2026-05-01 12:00:09 UTC" in strip


@pytest.mark.parametrize(("enabled", "offered"), [(True, "pause"), (False, "resume"), (None, "pause")])
def test_a_row_offers_to_pause_or_to_resume(renderer: Renderer, enabled: bool | None, offered: str) -> None:
    row = renderer.piece("_schedule.html", "row", line(enabled=enabled), NOW)

    assert f"/ui/schedules/s1/{offered}?" in row
    assert "/ui/schedules/s1/run" in row


def test_a_cell_counts_from_the_instant_that_was_due() -> None:
    run = prompt(state=State.FAILED, started_at=at(2), finished_at=at(5), origin=Origin(due_at=at(1)))

    assert cell(run, at(9)) == Cell(id="t1", word="failed", at=at(1), took_s=3.0)


@pytest.mark.parametrize(
    ("instant", "zone", "shown"),
    [
        (datetime(NOW.year, 7, 1, 6, 30, tzinfo=UTC), "Europe/Madrid", "08:30"),
        (datetime(NOW.year, 12, 1, 7, 30, tzinfo=UTC), "Europe/Madrid", "08:30"),
        (datetime(2100, 1, 1, 0, 0, tzinfo=UTC), "Asia/Tokyo", "Fri 1 Jan 2100, 09:00"),
        (datetime(2100, 1, 1, 0, 0, tzinfo=UTC), "Gone/Away", "Fri 1 Jan 2100, 00:00"),
    ],
)
def test_an_instant_is_shown_on_the_clocks_of_its_zone(instant: datetime, zone: str, shown: str) -> None:
    assert in_zone(instant, zone).endswith(shown)


def test_a_rule_is_foreseen_before_it_is_saved(renderer: Renderer) -> None:
    found = foresee("30 8 * * MON-FRI", "Europe/Madrid", NOW)

    assert found.words == "At 08:30, Monday to Friday"
    assert [firing.at.hour for firing in found.firings] == [7] * 10
    assert "2026-11-23T07:30:00.000000Z" in renderer.piece("_schedule.html", "foreseen", found, NOW)


@pytest.mark.parametrize(("rule", "zone", "field"), [("61 * * * *", "UTC", "cron"), ("0 * * * *", HOSTILE, "zone")])
def test_a_rule_that_is_none_says_why(renderer: Renderer, rule: str, zone: str, field: str) -> None:
    found = foresee(rule, zone, NOW)

    assert (found.field, found.firings) == (field, ())
    assert "<script" not in renderer.piece("_schedule.html", "foreseen", found, NOW)


def test_every_example_is_a_rule_that_comes() -> None:
    for rule in EXAMPLES:
        assert len(foresee(rule, "UTC", NOW).firings) == 10, rule


def test_the_form_says_again_what_a_schedule_holds() -> None:
    settings = {
        "max_attempts": 2, "max_cost_cents": 1.5, "ttl_s": 90.0, "tags": ["a", "b"], "metadata": {"x": [1]},
        "priority": -3,
    }  # fmt: skip
    found = schedule(settings=settings, model="m", missed="all", missed_limit=7, external_id="e")

    given = read_values(values_of(found))

    assert given == {
        "title": "Digest", "prompt": "Say what is new.", "cron": "30 8 * * MON-FRI", "zone": "Europe/Madrid",
        "identifier": "prompt", "overlap": "queue", "missed": "all", "missed_limit": 7, "model": "m",
        "external_id": "e", "dedup_key": None, "settings": settings,
    }  # fmt: skip


def test_what_is_left_empty_is_not_sent() -> None:
    given = read_values({**FORM, "missed": "last", "max_steps": "", "ttl": " ", "tags": " , "})

    assert given["settings"] == {}
    assert given["missed_limit"] == 100
    assert given["model"] is None


def test_a_ttl_may_be_a_duration_or_seconds() -> None:
    assert read_values({**FORM, "ttl": "1h30m"})["settings"]["ttl_s"] == 5400
    assert read_values({**FORM, "ttl": "90.5"})["settings"]["ttl_s"] == 90.5


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("prompt", " "), ("max_steps", "many"), ("max_cost_cents", "1,5"), ("ttl", "soon"), ("metadata", "{"),
        ("metadata", "[1]"), ("missed_limit", "all"), ("metadata", '{"a": NaN}'), ("metadata", '{"a": 1e400}'),
        ("metadata", "[" * 3000),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_said_at_its_control(name: str, text: str) -> None:
    with pytest.raises(Invalid) as refused:
        read_values({**FORM, name: text})

    assert field_of(refused.value) == name


@pytest.mark.parametrize(
    ("field", "control"), [("settings.tags.3", "tags"), ("settings.ttl_s", "ttl"), ("zone", "zone"), ("cron", "cron")]
)
def test_refusals_of_the_service_find_their_control(field: str, control: str) -> None:
    assert field_of(Invalid(field, "no.")) == control
