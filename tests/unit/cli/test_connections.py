"""`mediamill connections` against a fake server."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator

import pytest
from tests.support.fake_mill import KEY, FakeMill, fake_mill

from mediamill.cli import _exit, mediamill

ADD = ("connections", "add", "ours", "--endpoint", "https://s3.example.com", "--region", "auto", "--key-id", "AKIA")


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeMill]:
    with fake_mill() as server:
        monkeypatch.setenv("MEDIAMILL_URL", server.url)
        monkeypatch.setenv("MEDIAMILL_KEY", KEY)
        yield server


def run(*arguments: str) -> int:
    return _exit.run(mediamill, arguments)


def test_a_secret_is_read_from_standard_input_and_never_shown(
    server: FakeMill, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("s3cret\n"))

    assert run(*ADD, "--default") == 0
    assert capsys.readouterr().out == "c1\n"
    assert run("connections", "ls") == 0
    listed = capsys.readouterr().out

    assert server.secrets == ["s3cret"]
    assert server.connections["c1"]["is_default"] is True
    assert "https://s3.example.com" in listed
    assert "default" in listed
    assert "s3cret" not in listed


def test_without_a_secret_nothing_is_sent(
    server: FakeMill, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(""))

    assert run(*ADD) == 2
    assert "standard input" in capsys.readouterr().err
    assert server.connections == {}


def test_connections_are_forgotten(
    server: FakeMill, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("s3cret\n"))
    run(*ADD)
    capsys.readouterr()

    assert run("connections", "rm", "c1", "--json") == 0
    assert json.loads(capsys.readouterr().out) == {"removed": ["c1"]}
    assert run("connections", "rm", "c1") == 3
    assert server.connections == {}
