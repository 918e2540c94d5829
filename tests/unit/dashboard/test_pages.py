"""What the templates make of a task, and the words for values."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

import pytest
from tests.support.tasks import at, attempt, failure, file, output, task

from mediamill.core.tasks import Filter, Input, Stage, State, Task
from mediamill.dashboard import files
from mediamill.dashboard.paging import fits
from mediamill.dashboard.render import Renderer, fact, facts, size, span, stamp
from mediamill.dashboard.tasks import again, curls
from mediamill.dashboard.timeline import WIDTH, timeline

HOSTILE = '<script>alert("x")</script>.png'


@pytest.fixture(scope="module")
def renderer() -> Renderer:
    made = Renderer()
    made.add(preview_of=files.preview_of, known=files.known)
    return made


def summary(renderer: Renderer, shown: Task) -> str:
    return renderer.piece("_task.html", "summary", shown, at(60))


def test_names_messages_and_logs_stay_text(renderer: Renderer) -> None:
    attempts = [attempt(1, 1, 2, "failed", log=HOSTILE, error=failure(HOSTILE))]
    shown = task(
        state=State.FAILED, error=failure(HOSTILE), attempts=attempts, details={HOSTILE: HOSTILE},
        metadata={"m": HOSTILE}, inputs=[Input(file=file(filename=HOSTILE, facts={"title": HOSTILE}), url=HOSTILE)],
        outputs=[output(filename=HOSTILE)],
        started_at=at(1), finished_at=at(2),
    )  # fmt: skip

    pieces = [
        renderer.piece("_task.html", "row", shown, at(3)),
        summary(renderer, shown),
        renderer.piece("_task.html", "files", shown),
        renderer.piece("_task.html", "attempts", shown),
        renderer.piece("_task.html", "details", shown, {"o." + HOSTILE: HOSTILE}),
    ]

    for piece in pieces:
        assert "alert" in piece
        assert "<script" not in piece


def test_a_failed_task_shows_its_error_and_the_tools_last_lines(renderer: Renderer) -> None:
    attempts = [attempt(1, 1, 2, "failed", log="old lines"), attempt(2, 3, 4, "failed", log="moov atom not found")]
    shown = summary(renderer, task(state=State.FAILED, error=failure(), attempts=attempts, attempt=2))

    for part in ("It broke.", "tool_failed", "tool error", "in encode", "moov atom not found", "Retry"):
        assert part in shown
    assert "old lines" not in shown


@pytest.mark.parametrize(
    ("state", "offered", "not_offered"),
    [
        (State.RUNNING, "cancel", "retry"),
        (State.DELAYED, "cancel", "retry"),
        (State.FAILED, "retry", "cancel"),
        (State.CANCELLED, "retry", "cancel"),
        (State.SUCCEEDED, "download", "cancel"),
    ],
)
def test_a_row_offers_what_its_state_allows(renderer: Renderer, state: State, offered: str, not_offered: str) -> None:
    shown = renderer.piece("_task.html", "row", task(state=state, outputs=[output()]), at(5)).lower()

    assert f'title="{offered}"' in shown
    assert f'title="{not_offered}"' not in shown


def test_no_piece_has_inline_scripts_or_styles(renderer: Renderer) -> None:
    shown = task(state=State.RUNNING, progress=0.4, attempts=[attempt(1, 1, None, "running")], outputs=[output()])
    for name, arguments in {"row": (shown, at(2)), "summary": (shown, at(2)), "files": (shown,), "attempts": (shown,),
                            "timeline": (timeline(shown, at(2)),)}.items():  # fmt: skip
        assert not re.search(r"\sstyle=|\son\w+=|javascript:", renderer.piece("_task.html", name, *arguments)), name


def test_a_gone_output_is_said_to_be_gone(renderer: Renderer) -> None:
    gone = output()
    shown = task(state=State.SUCCEEDED, outputs=[type(gone)(file=None, role="result")])

    assert "The file is gone" in renderer.piece("_task.html", "files", shown)


# --- the timeline


def bars(shown: Task, now_s: float) -> list[tuple[str, float]]:
    return [(bar.word, round(bar.took_s, 3)) for bar in timeline(shown, at(now_s)).bars]


def test_waits_and_attempts_follow_one_another() -> None:
    attempts = [attempt(1, 2, 3, "failed"), attempt(2, 7, 10)]
    shown = task(state=State.SUCCEEDED, attempts=attempts, finished_at=at(10))

    assert bars(shown, 99) == [("wait", 2), ("failed", 1), ("wait", 4), ("succeeded", 3)]


def test_stages_fill_their_attempt_from_the_first_on() -> None:
    stages = [Stage(name="probe", started_at=at(1)), Stage(name="encode", started_at=at(1.5))]
    shown = task(state=State.SUCCEEDED, attempts=[attempt(1, 1, 4, stages=stages)], finished_at=at(4))

    assert [(bar.name, bar.took_s) for bar in timeline(shown, at(9)).stages] == [("probe", 0.5), ("encode", 2.5)]


def test_what_still_waits_or_runs_reaches_to_now() -> None:
    assert bars(task(), 5) == [("wait", 5)]
    assert bars(task(state=State.RUNNING, attempts=[attempt(1, 1, None, "running")]), 5) == [
        ("wait", 1),
        ("running", 4),
    ]
    assert bars(task(state=State.DELAYED, attempts=[attempt(1, 1, 2, "failed")]), 5)[-1] == ("wait", 3)
    assert bars(task(state=State.CANCELLED, finished_at=at(3)), 5) == [("wait", 3)]


def test_only_what_goes_on_says_since_when(renderer: Renderer) -> None:
    stages = [Stage(name="probe", started_at=at(1)), Stage(name="encode", started_at=at(2))]
    going = timeline(task(state=State.RUNNING, attempts=[attempt(1, 1, None, "running", stages=stages)]), at(5))
    over = timeline(task(state=State.SUCCEEDED, attempts=[attempt(1, 1, 4, stages=stages)], finished_at=at(4)), at(5))

    assert [bar.since for bar in (*going.bars, *going.stages)] == [None, at(1), None, at(2)]
    assert going.since == at(0)
    assert renderer.piece("_task.html", "timeline", going).count("data-since") == 3
    assert "data-since" not in renderer.piece("_task.html", "timeline", over)


def test_bars_stay_within_the_drawing_even_when_clocks_differ() -> None:
    shown = task(state=State.SUCCEEDED, attempts=[attempt(1, -1, 20)], finished_at=at(10))

    for bar in timeline(shown, at(10)).bars:
        assert bar.x >= 0
        assert bar.x + bar.width <= WIDTH
        assert bar.took_s >= 0


# --- words


@pytest.mark.parametrize(
    ("count", "words"), [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (5 << 20, "5.0 MiB"), (300 << 30, "300 GiB")]
)
def test_sizes(count: int, words: str) -> None:
    assert size(count) == words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.0421, "42 ms"), (0.9999, "1.0 s"), (59.99, "1 min 0 s"), (75, "1 min 15 s"), (7300, "2 h 1 min"),
     (300000, "3 d 11 h")],
)  # fmt: skip
def test_spans(seconds: float, words: str) -> None:
    assert span(seconds) == words


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("duration_s", 6.0, ("duration", "6.0 s")),
        ("has_alpha", True, ("has alpha", "yes")),
        ("frame_rate", 29.97002997, ("frame rate", "29.97")),
        ("sample_rate_hz", 44100, ("sample rate", "44\u202f100 Hz")),
        ("ignored_settings", ["crf", "fps"], ("ignored settings", "crf, fps")),
    ],
)
def test_facts_in_words(name: str, value: Any, words: tuple[str, str]) -> None:
    assert fact(name, value) == words


def test_width_and_height_are_one_fact_and_come_first() -> None:
    assert facts({"has_alpha": False, "height_px": 3, "width_px": 4})[0] == ("dimensions", "4 × 3 px")


def test_stamps_have_microseconds_and_a_z() -> None:
    assert stamp(datetime(2026, 1, 2, tzinfo=UTC)) == "2026-01-02T00:00:00.000000Z"


# --- asking again


def test_a_curl_is_quoted_for_the_shell() -> None:
    shown = task(inputs=[Input(file=None, url="https://h/it's.png")], options={"format": "a'b"})

    command = curls(shown, "http://h")[0][1]

    assert """'"'"'""" in command
    assert "$MEDIAMILL_KEY" in command


def test_asking_again_fills_the_form_in() -> None:
    query = again(task(options={"format": "image/webp", "resize": {"width": 5}}))

    assert query == "kind=convert&o.format=image%2Fwebp&o.resize.width=5&file=f1"


@pytest.mark.parametrize(
    ("filter", "fit"),
    [
        (Filter(), True),
        (Filter(states=[State.QUEUED]), True),
        (Filter(states=[State.FAILED]), False),
        (Filter(kinds=["ping"]), False),
        (Filter(dialects=["other"]), False),
        (Filter(text="ONE.p"), True),
        (Filter(text="two"), False),
        (Filter(text="t1"), True),
    ],
)
def test_a_live_row_is_taken_by_the_tables_own_rule(filter: Filter, fit: bool) -> None:
    assert fits(task(), filter) is fit
