"""The kind `ping`: no input, no file, an answer."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from tests.support.images import engines

from mediamill.kinds import Context, ping


def test_a_ping_is_answered_and_makes_nothing(tmp_path: Path) -> None:
    context = Context(inputs=[], scratch=tmp_path, engines=engines(), report=lambda stage, fraction=None: None)

    result = ping.KIND.run(context, ping.Options())

    assert (list(result.outputs), dict(result.details)) == ([], {"pong": True})
    assert list(tmp_path.iterdir()) == []


def test_a_ping_takes_no_options() -> None:
    with pytest.raises(msgspec.ValidationError, match="loud"):
        msgspec.convert({"loud": True}, ping.Options)
