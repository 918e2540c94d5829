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
from mediamill.cli import Commands, _exit, _kinds, _schema, mediamill

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


def test_a_kind_is_a_command_of_its_own(server: FakeMill, photo: str, tmp_path: Path) -> None:
    layers = [{"kind": "text", "text": "Hello", "left": 4}]

    status = run("image", photo, "-o", "small.webp", "--width", "50%", "--layers", json.dumps(layers))

    assert status == 0
    assert (tmp_path / "small.webp").read_bytes() == b"RIFF made"
    [task] = server.tasks.values()
    assert task["kind"] == "image"
    assert task["options"] == {"format": "webp", "width": "50%", "layers": layers}


def test_a_number_or_a_word_of_json_is_taken_for_what_it_is(server: FakeMill, photo: str) -> None:
    assert run("audio", photo, "-o", "a.mp3", "--loudness", "-16") == 0
    assert run("audio", photo, "-o", "b.mp3", "--loudness", "true", "--waveform-points", "50") == 0

    loud, true = (task["options"] for task in server.tasks.values())
    assert (loud["loudness"], true["loudness"], true["waveform"]) == (-16, True, {"points": 50})


def test_a_kind_that_only_the_server_has_is_a_command_too(
    server: FakeMill, photo: str, capsys: pytest.CaptureFixture[str]
) -> None:
    schema = {"properties": {"depth": {"type": "integer", "description": "How deep."}}}
    server.kinds = [{"name": "dream", "summary": "Dream of it.", "inputs": [1, 1], "options": schema}]

    assert run("dream", photo, "-o", "dream.webp", "--depth", "3") == 0
    assert run("run", "dream", photo, "-o", "dream.webp", "--depth", "4") == 0
    assert run("dreams", photo) == 2

    assert [task["options"] for task in server.tasks.values()] == [{"depth": 3}, {"depth": 4}]
    assert "No such command 'dreams'" in capsys.readouterr().err


def test_an_unknown_command_without_a_server_is_a_wrong_command_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEDIAMILL_URL", "http://127.0.0.1:9")

    assert run("dream", "photo.png") == 2


def test_help_lists_every_kind_in_a_section_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--help") == 0

    commands, listed = capsys.readouterr().out.split("\nKinds")
    shorter = {name: getattr(kind, "command", None) for name, kind in kinds.load().items()}
    lines = [f"  {name}, {short} " if short else f"  {name} " for name, short in shorter.items()]
    assert [line for line in lines if line not in listed] == []
    assert "  serve " in commands
    assert "  serve " not in listed


def test_kinds_and_their_options_complete(monkeypatch: pytest.MonkeyPatch) -> None:
    from click.shell_completion import ShellComplete

    complete = ShellComplete(mediamill, {}, "mediamill", _exit.COMPLETE_VARIABLE)

    assert "image" in [item.value for item in complete.get_completions([], "im")]
    assert "--sprite-columns" in [item.value for item in complete.get_completions(["image"], "--sprite")]
    assert "jpeg" in [item.value for item in complete.get_completions(["image", "--format"], "j")]


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

    asked = ("GET", "/mill/capabilities")  # whether the server knows a kind that this program does not
    assert [call for call in server.seen if call[:2] != asked] == []


def test_unknown_ids_bad_keys_and_no_server_have_statuses_of_their_own(
    server: FakeMill, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run("get", "t404") == 3
    assert run("files", "get", "f404") == 3
    assert run("ls", "--key", "wrong") == 4
    assert run("ls", "--server", "http://127.0.0.1:9") == 5


def test_who_has_no_key_is_told_where_one_is(server: FakeMill, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("ls", "--key", "wrong") == 4

    assert "Remedy: Name one with --key or MEDIAMILL_KEY." in capsys.readouterr().err


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
        command = _kinds.local(name)
        assert command is not None
        flags = [flag for option in command.params for flag in (*option.opts, *option.secondary_opts)]
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

    assert isinstance(mediamill, Commands)
    assert [name for name in mediamill.own() if f"`{name}" not in guide and f"mediamill {name}" not in guide] == []
    assert [status for status in _exit.Exit if f"| {status.value} |" not in guide] == []
