"""`mediamill runs` against a real server whose language model is the test's own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest
from tests.support.llm import Says, answering_aside
from tests.support.server import serving

Cli = Callable[..., str]


@pytest.fixture(scope="module")
def cli() -> Iterator[Cli]:
    """Runs `mediamill runs …`; what it prints."""
    with answering_aside(lambda messages: Says(text="Hello\nyou.")) as llm:
        settings = {"MEDIAMILL_LLM_BASE_URL": llm.url, "MEDIAMILL_LLM_MODEL": "local/small"}
        with serving(environment=settings) as server:
            environment = {**os.environ, "MEDIAMILL_URL": server.url, "MEDIAMILL_KEY": server.key}

            def call(*arguments: str, status: int = 0) -> str:
                argv = [sys.executable, "-m", "mediamill.cli", "runs", *arguments]
                done = subprocess.run(argv, capture_output=True, text=True, env=environment, timeout=60)
                assert done.returncode == status, done.stderr
                return done.stdout

            yield call


def test_a_run_is_started_shown_and_listed(cli: Cli) -> None:
    said = cli("start", "Say hello.", "--tag", "greeting", "--wait", "30")
    id = said.split()[0]
    assert said.splitlines()[0].split() == [id, "completed"]
    assert "  Hello\n  you.\n" in said
    assert "120 tokens" in said
    assert "attempt 1  succeeded" in said

    shown = cli("show", id, "--steps")
    assert "local/small" in shown
    assert json.loads(cli("show", id, "--json"))["output"]["text"] == "Hello\nyou."
    listed = cli("ls", "--tag", "greeting", "--status", "completed")
    assert listed.splitlines()[0].split()[:3] == ["ID", "STATUS", "PROMPT"]
    assert [line.split()[0] for line in listed.splitlines()[1:]] == [id]
    assert id in cli()


def test_a_delayed_run_is_put_off_ended_and_repeated(cli: Cli) -> None:
    id = cli("start", "Say hello.", "--delay", "1h", "--ttl", "10m").strip()
    assert cli("reschedule", id, "2h").split()[:3] == [id, "delayed", "until"]
    assert cli("cancel", id).split() == [id, "canceled"]
    assert json.loads(cli("cancel", id, "--json"))["status"] == "canceled"
    new = cli("replay", id).split()[0]
    assert json.loads(cli("show", new, "--json"))["retry_of"] == id


def test_what_cannot_be_done_says_so(cli: Cli) -> None:
    assert cli("show", "t1", status=3) == ""
    assert cli("start", "x", "--ttl", "soon", status=4) == ""
    done = cli("start", "Say hello.", "--idempotency-key", "k", "--wait", "30").split()[0]
    assert cli("start", "Other.", "--idempotency-key", "k").strip() == done
    assert cli("reschedule", done, "1h", status=4) == ""
