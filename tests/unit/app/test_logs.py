"""What an unforeseen error leaves in the log."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

BREAKS = """
import structlog
from mediamill.app.common import configure_logs
from mediamill.config import load

configure_logs(load(log_json={as_json}))

def who(secret: str) -> None:
    raise RuntimeError("the table is gone")

try:
    who("mill_key_" + "of_a_caller")
except RuntimeError:
    structlog.get_logger().exception("request broke")
"""


@pytest.mark.parametrize("as_json", [True, False])
def test_a_traceback_shows_where_it_broke_and_not_the_key_that_was_asked_about(as_json: bool) -> None:
    code = BREAKS.format(as_json=as_json)
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stderr

    assert "who" in said
    assert "the table is gone" in said
    assert "mill_key_of_a_caller" not in said
    if as_json:
        assert json.loads(said)["exception"][0]["exc_type"] == "RuntimeError"


def test_a_log_that_takes_nothing_breaks_nothing() -> None:
    code = """
import structlog
from mediamill.app.common import configure_logs
from mediamill.config import load

configure_logs(load(log_json=True))
structlog.get_logger().error("request broke", why="x" * 100_000)
print("went on")
"""
    with open("/dev/full", "w") as full:
        said = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=full, text=True, check=False)

    assert said.stdout == "went on\n"


def test_no_word_of_a_caller_moves_the_operators_terminal() -> None:
    code = """
import structlog
from mediamill.app.common import configure_logs
from mediamill.config import load

configure_logs(load(log_json=False))
structlog.get_logger().info("signup", email="a\\x1b]0;owned\\x07@b.example", other="a\\n2026 forged", name="Zo\\u00eb")
"""
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stderr

    assert "\x1b]" not in said
    assert r"a\x1b]0;owned\x07@b.example" in said
    assert "Zoë" in said
    assert said.count("\n") == 1
