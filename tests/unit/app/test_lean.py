"""Parts of libraries that nobody here uses are not loaded, and are there for who asks."""

from __future__ import annotations

import asyncio
import importlib
import subprocess
import sys
from typing import Any

import pytest

from mediamill.app._later import Later
from mediamill.app._lean import without_optional


def said_by(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def test_the_queue_is_used_without_its_command_line() -> None:
    code = "import sys, mediamill.app.worker; print([n for n in sys.modules if n.startswith('pgqueuer.adapters.cli')])"

    assert said_by(code) == "[]"


def test_who_wants_the_whole_queue_package_gets_it() -> None:
    code = "import mediamill.app, pgqueuer; from pgqueuer import PgQueuer, qm; print(pgqueuer.run, PgQueuer, qm)"

    assert "pgqueuer.core.applications.PgQueuer" in said_by(code)


def test_an_optional_part_that_is_left_out_is_told_of_as_one_that_is_not_installed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Missing(ImportError):
        pass

    monkeypatch.delitem(sys.modules, "a_made_up_plugin", raising=False)
    without_optional("a_made_up_plugin", Missing, "it")
    try:
        with pytest.raises(Missing, match="it"):
            assert importlib.import_module("a_made_up_plugin").Plugin
        assert not hasattr(sys.modules["a_made_up_plugin"], "__file__")
    finally:
        del sys.modules["a_made_up_plugin"]


async def test_an_app_is_built_once_when_it_is_first_asked() -> None:
    built = []

    def build() -> Any:
        built.append(1)

        async def app(scope: Any, receive: Any, send: Any) -> None:
            await send(scope)

        return app

    later, heard = Later(build), []

    async def send(message: Any) -> None:
        heard.append(message)

    assert not built
    await asyncio.gather(*(later({"n": n}, None, send) for n in range(3)))

    assert built == [1]
    assert sorted(message["n"] for message in heard) == [0, 1, 2]
