"""What the world uploads, on one running server: every task ends by name, nothing gets stuck, nobody dies."""

from __future__ import annotations

import json
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.support import bad_files
from tests.support.bad_files import HOSTILE_NAMES, Bad, good_picture
from tests.support.server import Server, serving

LIMITS = {
    "MEDIAMILL_TASK_WALL_S": "20",
    "MEDIAMILL_TASK_MEMORY_BYTES": str(1 << 30),
    "MEDIAMILL_TASK_OUTPUT_BYTES": str(64 << 20),
    "MEDIAMILL_TASK_SCRATCH_BYTES": str(128 << 20),
    "MEDIAMILL_MAX_UPLOAD_BYTES": str(8 << 20),
}
FAMILIES = {"input", "tool", "limit", "source", "internal"}
PLACES = re.compile(r"/(tmp|work|root|home|usr|proc|var|etc)\b|scratch|site-packages|Traceback|\.py\b")
"""What a message would hold if it told where things lie here."""


@pytest.fixture(scope="module")
def strict() -> Iterator[Server]:
    """A server with limits that small files can reach."""
    with serving(environment=LIMITS) as running:
        yield running


@dataclass(frozen=True, slots=True)
class Outcome:
    """refused: the problem that upload or creation answered; else the task as it ended."""

    bad: Bad
    refused: dict[str, Any] | None
    task: dict[str, Any] | None
    answers: list[int]

    @property
    def succeeded(self) -> bool:
        return self.task is not None and self.task["state"] == "succeeded"

    @property
    def error(self) -> dict[str, Any]:
        assert self.task is not None
        found: dict[str, Any] = self.task["error"]
        return found


def worker_pid(server: Server) -> int:
    """The worker that `serve` keeps."""
    children = Path(f"/proc/{server.process.pid}/task/{server.process.pid}/children").read_text().split()
    [pid] = [int(pid) for pid in children if b"worker" in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")]
    return pid


def upload(http: httpx.Client, filename: str, content: bytes, mime: str) -> httpx.Response:
    """Registered by JSON, then sent to the signed URL: a name travels in it as it is."""
    body = {"filename": filename, "mime": mime, "size_bytes": len(content)}
    made = http.post("/mill/files", json=body)
    if made.status_code != 201:
        return made
    sent = http.put(made.json()["links"]["upload"], content=content)
    return made if sent.status_code == 200 else sent


def push(http: httpx.Client, bad: Bad) -> Outcome:
    """Upload it and have it converted, to the end."""
    stored = upload(http, bad.filename, bad.content, bad.mime)
    if stored.status_code != 201:
        return Outcome(bad, stored.json(), None, [stored.status_code])
    body = {
        "kind": "convert",
        "inputs": [{"file": stored.json()["id"]}],
        "options": {"format": bad.to},
        "max_attempts": 1,
    }
    made = http.post("/mill/tasks", params={"wait": 45}, json=body)
    answers = [stored.status_code, made.status_code]
    if made.status_code != 201:
        return Outcome(bad, made.json(), None, answers)
    return Outcome(bad, None, made.json(), answers)


@pytest.fixture(scope="module")
def outcomes(strict: Server) -> list[Outcome]:
    """All of the bad files, four at a time, with good ones between; then the worker is still the one it was."""
    before = worker_pid(strict)
    with strict.client() as http, ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda bad: push(http, bad), bad_files.all_of_them()))
    assert worker_pid(strict) == before
    return found


def test_there_are_enough_of_them_in_every_family(outcomes: list[Outcome]) -> None:
    assert len(outcomes) >= 300
    assert len({outcome.bad.label for outcome in outcomes}) == len(outcomes)


def test_no_answer_is_a_server_error_and_none_is_told_in_the_log(strict: Server, outcomes: list[Outcome]) -> None:
    assert {status for outcome in outcomes for status in outcome.answers} <= {201, 409, 413, 422}
    log = strict.log.read_text(errors="replace")
    assert "request broke" not in log
    assert "worker ended" not in log
    assert "task broke the worker's own code" not in log


def test_every_task_is_final(strict: Server, outcomes: list[Outcome]) -> None:
    stuck = [o.bad.label for o in outcomes if o.task is not None and o.task["state"] not in ("succeeded", "failed")]
    assert stuck == []
    with strict.client() as http:
        for state in ("queued", "running", "ingesting", "delayed", "waiting"):
            assert http.get("/mill/tasks", params={"state": state}).json()["data"] == []


def test_what_no_decoder_may_accept_is_refused_or_fails(outcomes: list[Outcome]) -> None:
    assert [outcome.bad.label for outcome in outcomes if outcome.bad.must_fail and outcome.succeeded] == []


def test_every_failure_has_class_code_stage_and_message(outcomes: list[Outcome]) -> None:
    for outcome in outcomes:
        if outcome.task is None or outcome.succeeded:
            continue
        error = outcome.error
        assert error["class"] in FAMILIES, outcome.bad.label
        assert re.fullmatch(r"[a-z_]+", error["code"]), outcome.bad.label
        assert error["message"].strip(), outcome.bad.label


def test_bad_media_is_the_callers_fault_and_never_ours(outcomes: list[Outcome]) -> None:
    blamed = {o.bad.label: (o.error["class"], o.error["code"], o.error["message"]) for o in outcomes if failed(o)}
    ours = {label: why for label, why in blamed.items() if why[0] not in ("input", "limit")}
    assert ours == {}


def failed(outcome: Outcome) -> bool:
    return outcome.task is not None and outcome.task["state"] == "failed"


def test_no_message_tells_where_things_lie(outcomes: list[Outcome]) -> None:
    told = [json.dumps(outcome.refused) for outcome in outcomes if outcome.refused]
    told += [outcome.error["message"] for outcome in outcomes if failed(outcome)]
    assert [message for message in told if PLACES.search(message)] == []


def test_what_succeeded_has_a_result_of_its_type(outcomes: list[Outcome]) -> None:
    good = [outcome.task for outcome in outcomes if outcome.succeeded and outcome.task is not None]
    assert good
    for task in good:
        [output] = task["outputs"]
        assert output["file"]["size_bytes"] > 0
        assert output["file"]["mime"] == task["options"]["format"]


def test_scratch_is_empty_afterwards(strict: Server, outcomes: list[Outcome]) -> None:
    left = [path for path in (strict.data / "scratch").rglob("*") if path.is_file()]
    assert left == []


def test_a_file_of_no_bytes_is_refused_in_each_way_to_upload(strict: Server) -> None:
    with strict.client() as http:
        form = http.post("/mill/files", files={"file": ("none.png", b"", "image/png")})
        registered = http.post("/mill/files", json={"filename": "none.png", "size_bytes": 0})
    assert (form.status_code, form.json()["field"]) == (422, "file")
    assert (registered.status_code, registered.json()["field"]) == (422, "size_bytes")


def test_more_bytes_than_allowed_are_refused_in_each_way_to_upload(strict: Server) -> None:
    most = int(LIMITS["MEDIAMILL_MAX_UPLOAD_BYTES"])
    with strict.client() as http:
        form = http.post("/mill/files", files={"file": ("much.bin", bytes(most + 1))})
        registered = http.post("/mill/files", json={"filename": "much.bin", "size_bytes": most + 1})
        link = http.post("/mill/files", json={"filename": "a.bin", "size_bytes": 10}).json()["links"]["upload"]
        longer, shorter = http.put(link, content=bytes(11)), http.put(link, content=bytes(9))
        right = http.put(link, content=b"a" * 10)
        again = http.put(link, content=b"b" * 10)
    assert (form.status_code, registered.status_code) == (413, 413)
    assert {longer.status_code, shorter.status_code} <= {400, 413, 422}
    assert (right.status_code, again.status_code) == (200, 409)


def test_the_type_is_told_by_the_bytes_whatever_is_claimed(strict: Server) -> None:
    with strict.client() as http:
        stored = http.post("/mill/files", files={"file": ("song.mp3", good_picture(), "audio/mpeg")}).json()
    assert stored["mime"] == "image/png"


@pytest.mark.parametrize("name", HOSTILE_NAMES, ids=range(len(HOSTILE_NAMES)))
def test_no_name_is_more_than_a_name(strict: Server, name: str) -> None:
    with strict.client() as http:
        form = http.post("/mill/files", files={"file": (name, good_picture(), "image/png")})
        stored = upload(http, name[:500], good_picture(), "image/png")
        assert (form.status_code, stored.status_code) == (201, 201)
        file = stored.json()
        body = {"kind": "convert", "inputs": [{"file": file["id"]}], "options": {"format": "webp"}}
        task = http.post("/mill/tasks", params={"wait": 30}, json=body).json()
        assert task["state"] == "succeeded", task["error"]
        output = task["outputs"][0]["file"]
        shown = http.get(output["links"]["download"])
    for said in (form.json()["filename"], file["filename"], output["filename"]):
        assert said
        assert len(said.encode()) <= 210
        assert not set(said) & set('/\\<>:"|?*')
        assert not [c for c in said if unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp")]
        assert said not in (".", "..")
    assert output["filename"].endswith(".webp")
    assert shown.content[:4] == b"RIFF"
    assert shown.headers["content-disposition"].startswith("attachment;")
    assert "set-cookie" not in shown.headers


def test_one_poisoned_picture_among_fifty_spoils_no_other(strict: Server) -> None:
    pictures = [good_picture(n) for n in range(50)]
    pictures[23] = pictures[23][:60]

    def convert(numbered: tuple[int, bytes]) -> str:
        number, content = numbered
        outcome = push(http, Bad(str(number), f"{number}.png", content, "webp", must_fail=number == 23))
        assert outcome.task is not None
        return str(outcome.task["state"])

    with strict.client() as http, ThreadPoolExecutor(8) as pool:
        states = list(pool.map(convert, enumerate(pictures)))
    assert Counter(states) == {"succeeded": 49, "failed": 1}
    assert states[23] == "failed"
