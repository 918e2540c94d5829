"""Commands against a fake server: what they send, print and save, and with which status they end."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.fake_mill import KEY, FakeMill, cancel, fail, fake_mill, linger

from mediamill import kinds
from mediamill.cli import _exit, _schema, mediamill
from mediamill.cli import run as run_command

Run = Callable[..., int]


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[FakeMill]:
    with fake_mill() as server:
        monkeypatch.setenv("MEDIAMILL_URL", server.url)
        monkeypatch.setenv("MEDIAMILL_KEY", KEY)
        monkeypatch.chdir(tmp_path)
        yield server


def run(*arguments: str) -> int:
    return _exit.run(mediamill, arguments)


@pytest.fixture
def photo(tmp_path: Path) -> str:
    (tmp_path / "photo.png").write_bytes(b"a picture")
    return "photo.png"


def document(capsys: pytest.CaptureFixture[str]) -> Any:
    """All of stdout, which must be one JSON document."""
    return json.loads(capsys.readouterr().out)


def test_run_uploads_waits_and_saves(server: FakeMill, photo: str, tmp_path: Path) -> None:
    status = run("run", "convert", photo, "-o", "small.webp", "--quality", "80", "--resize-width", "320")

    assert status == 0
    assert (tmp_path / "small.webp").read_bytes() == b"RIFF made"
    [task] = server.tasks.values()
    assert task["options"] == {"format": "webp", "quality": 80, "resize": {"width": 320}}
    assert task["inputs"][0]["file"]["filename"] == "photo.png"


def test_run_hands_addresses_on_and_uses_stored_files(server: FakeMill) -> None:
    id = server.store("b.png", b"b")

    assert run("run", "convert", "https://example.org/a.png", "-o", "a.webp") == 0
    assert run("run", "convert", f"file:{id}", "-o", "b.webp") == 0

    assert [task["inputs"][0]["url"] for task in server.tasks.values()] == ["https://example.org/a.png", None]


def test_run_reads_stdin_and_writes_stdout(
    server: FakeMill, monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"piped in")))
    assert run("run", "convert", "-", "-o", "-", "--format", "webp", "--name", "x.png") == 0

    assert capfdbinary.readouterr().out == b"RIFF made"
    assert (server.names["f1"], server.files["f1"]) == ("x.png", b"piped in")


def test_run_saves_every_result_into_a_folder(server: FakeMill, photo: str, tmp_path: Path) -> None:
    server.results = [("a.webp", b"a"), ("../../.b.json", b"b")]

    assert run("run", "convert", photo, "-o", "out/", "--format", "webp") == 0

    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a.webp", "b.json"]


def test_a_file_that_is_there_is_kept_unless_forced(server: FakeMill, photo: str, tmp_path: Path) -> None:
    (tmp_path / "result.webp").write_bytes(b"mine")

    assert run("run", "convert", photo, "--format", "webp") == 2
    assert (tmp_path / "result.webp").read_bytes() == b"mine"
    assert run("run", "convert", photo, "--format", "webp", "--force") == 0
    assert (tmp_path / "result.webp").read_bytes() == b"RIFF made"


@pytest.mark.parametrize(("end", "status"), [(fail, 1), (cancel, 6), (linger, 7)])
def test_the_status_says_how_a_task_ended(
    server: FakeMill, photo: str, end: Callable[[dict[str, Any]], None], status: int
) -> None:
    server.ends = end

    assert run("run", "convert", photo, "-o", "x.webp", "--timeout", "0.01") == status


def test_a_failure_is_told_in_words_and_in_json(
    server: FakeMill, photo: str, capsys: pytest.CaptureFixture[str]
) -> None:
    server.ends = fail

    assert run("run", "convert", photo, "-o", "x.webp", "--json") == 1

    captured = capsys.readouterr()
    assert json.loads(captured.out)["error"]["code"] == "bad_media"
    assert "The picture ends early. (bad_media)" in captured.err


@pytest.mark.parametrize(
    "arguments",
    [
        ["run", "convert", "photo.png"],
        ["run", "convert", "photo.png", "-o", "x.webp", "--quality", "101"],
        ["run", "convert", "photo.png", "-o", "x.webp", "--background", "red"],
        ["run", "convert", "-o", "x.webp"],
        ["run", "convert", "nowhere.png", "-o", "x.webp"],
        ["run", "convert", "photo.png", "-o", "-", "--json", "--format", "webp"],
        ["run", "grind", "photo.png"],
        ["submit", "convert", "--options", "{"],
        ["worker", "--queues", "cpu,disk"],
        ["serve", "--tls-cert", "photo.png"],
        ["no-such-command"],
    ],
)
def test_a_wrong_command_line_sends_nothing(server: FakeMill, photo: str, arguments: list[str]) -> None:
    assert run(*arguments) == 2

    assert server.seen == []


def test_unknown_ids_bad_keys_and_no_server_have_statuses_of_their_own(
    server: FakeMill, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run("get", "t404") == 3
    assert run("files", "get", "f404") == 3
    assert run("ls", "--key", "wrong") == 4
    assert run("ls", "--server", "http://127.0.0.1:9") == 5


def test_an_error_with_json_is_one_document_too(server: FakeMill, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("get", "t404", "--json") == 3

    assert document(capsys)["error"]["code"] == "not_found"


def test_ctrl_c_says_that_the_task_goes_on(
    server: FakeMill, photo: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from mediamill.client import Client

    def interrupted(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Client, "wait", interrupted)

    assert run("run", "convert", photo, "-o", "x.webp") == 130
    assert "mediamill cancel t1" in capsys.readouterr().err


def test_submit_get_wait_cancel_and_retry(server: FakeMill, photo: str, capsys: pytest.CaptureFixture[str]) -> None:
    server.ends = linger
    assert run("submit", "convert", photo, "--options", '{"format": "webp"}', "--metadata", '{"n": 1}') == 0
    assert capsys.readouterr().out == "t1\n"
    assert server.tasks["t1"]["metadata"] == {"n": 1}

    assert run("get", "t1", "--json") == 0
    assert document(capsys)["state"] == "running"
    assert run("cancel", "t1") == 0
    assert run("wait", "t1") == 6
    capsys.readouterr()
    assert run("retry", "t1", "--json") == 0
    assert document(capsys)["retry_of"] == "t1"


def test_cancelling_what_has_ended_is_refused(server: FakeMill, photo: str) -> None:
    assert run("submit", "convert", photo, "--options", '{"format": "webp"}') == 0

    assert run("cancel", "t1") == 4


def test_lists_are_tables_or_documents(server: FakeMill, photo: str, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("one.png", "two\x1b[31m.png"):
        id = server.store(name, b"x")
        run("submit", "convert", f"file:{id}", "--options", '{"format": "webp"}')
    capsys.readouterr()

    assert run("ls", "-n", "1") == 0
    captured = capsys.readouterr()
    assert captured.out.splitlines()[0].split() == ["ID", "KIND", "STATE", "INPUT", "MADE", "TOOK", "CREATED"]
    assert "\x1b[31m" not in captured.out
    assert "1.50 s" in captured.out
    assert "--after c2" in captured.err
    assert run("ls", "--json") == 0
    assert [task["id"] for task in document(capsys)["data"]] == ["t2", "t1"]


def test_files_go_up_and_down_and_away(
    server: FakeMill, photo: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("files", "put", photo) == 0
    assert capsys.readouterr().out == "f1\n"
    assert run("files", "ls") == 0
    assert "photo.png" in capsys.readouterr().out
    assert run("files", "download", "f1", "-o", "back.png") == 0
    assert (tmp_path / "back.png").read_bytes() == b"a picture"
    assert run("files", "rm", "f1") == 0
    assert server.files == {}


def test_a_key_is_made_shown_once_and_revoked(server: FakeMill, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("keys", "create", "ci", "--role", "member") == 0
    assert capsys.readouterr().out == "mm_secret\n"
    assert run("keys", "revoke", "k1") == 0
    assert run("keys", "ls") == 0
    listed = capsys.readouterr().out
    assert "revoked" in listed
    assert "mm_secret" not in listed


def test_version_tells_both_sides(server: FakeMill, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("version", "--json") == 0

    assert document(capsys)["server"] == "9.9.9"


def test_a_local_servers_key_is_found(server: FakeMill, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from mediamill import config

    monkeypatch.delenv("MEDIAMILL_KEY")
    monkeypatch.delenv("MEDIAMILL_DATA", raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "share"))
    assert run("ls") == 4

    config.default_data().mkdir(parents=True)
    (config.default_data() / "admin.key").write_text(KEY + "\n")

    assert run("ls") == 0


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_names_the_program(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("completion", shell) == 0

    assert _exit.COMPLETE_VARIABLE in capsys.readouterr().out


def test_every_kind_has_a_command_whose_flags_do_not_collide() -> None:
    for name in kinds.load():
        flags = [flag for option in run_command.command(name).params for flag in (*option.opts, *option.secondary_opts)]
        assert len(flags) == len(set(flags)), name


def test_help_loads_nothing_heavy() -> None:
    heavy = ["httpx", "pydantic", "msgspec", "asyncio", "PIL", "numpy", "litestar", "mediamill.engines"]
    program = (
        "import sys; from mediamill.cli import mediamill, _exit; _exit.run(mediamill, ['--help']); "
        f"print([name for name in {heavy!r} if name in sys.modules], file=sys.stderr)"
    )

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert done.stderr.strip() == "[]"


def test_nested_schemas_become_flags_and_options_again() -> None:
    schema = {
        "$ref": "#/$defs/Options",
        "$defs": {
            "Options": {
                "properties": {
                    "mode": {"enum": ["fast", "good"]},
                    "box": {"anyOf": [{"$ref": "#/$defs/Box"}, {"type": "null"}], "description": "Where."},
                    "tags": {"type": "array", "items": {"type": "string"}},
                    "points": {"type": "array", "items": {"$ref": "#/$defs/Box"}},
                    "sheet": {"anyOf": [{"type": "integer"}, {"type": "string"}]},
                },
                "required": ["mode"],
            },
            "Box": {"properties": {"width_px": {"type": "integer", "minimum": 1}}, "required": ["width_px"]},
        },
    }

    found = _schema.flags(schema)

    assert [(flag.name, flag.required) for flag in found] == [
        ("--mode", True),
        ("--box-width-px", False),
        ("--tags", False),
        ("--points", False),
        ("--sheet", False),
    ]
    given = {"option__mode": "fast", "option__box__width_px": 7, "option__tags": ("a", "b"), "option__sheet": 2}
    assert _schema.gather(found, given) == {"mode": "fast", "box": {"width_px": 7}, "tags": ["a", "b"], "sheet": 2}


def test_every_command_and_status_is_in_the_guide() -> None:
    guide = (Path(__file__).parents[3] / "docs" / "how-to" / "convert-from-the-command-line.md").read_text()

    names = mediamill.list_commands(mediamill.make_context("mediamill", [], resilient_parsing=True))
    assert [name for name in names if f"`{name}" not in guide and f"mediamill {name}" not in guide] == []
    assert [status for status in _exit.Exit if f"| {status.value} |" not in guide] == []
