"""Speak to a Mediamill server from Python: create tasks, follow them, move files.

    with Client("http://127.0.0.1:8484", key) as mill:
        file = mill.upload(Path("photo.png"))
        task = mill.wait(mill.create("convert", [file["id"]], {"format": "webp"})["id"])
        mill.download(task["outputs"][0]["file"], Path("photo.webp"))

Values are the server's JSON as it came, typed as dictionaries; fields this client does not know are kept. Creating
carries an idempotency key, so it is repeated safely when a connection breaks. Not safe to share between threads.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, NotRequired, TypedDict, cast

import httpx

from mediamill import _transfer
from mediamill._accounts import AccountCalls
from mediamill._prompts import PromptCalls, path_of, query_of
from mediamill._transfer import ClientError, NotFound, Progress, Refused, Unreachable

__all__ = [
    "Client",
    "ClientError",
    "Delivery",
    "Endpoint",
    "File",
    "Key",
    "NotFound",
    "Output",
    "Page",
    "Progress",
    "Refused",
    "Task",
    "Unreachable",
    "WaitedTooLong",
]

DEFAULT_URL = "http://127.0.0.1:8484"
FINAL = frozenset({"succeeded", "failed", "cancelled"})
State = Literal["waiting", "ingesting", "delayed", "queued", "running", "succeeded", "failed", "cancelled"]

_LONG_POLL_S = 30
"""Well under the 60 s that the server allows and that proxies cut at."""


class File(TypedDict):
    """A stored file. `links["download"]` is signed: it needs no key and ends after a while."""

    id: str
    filename: str
    mime: str
    size_bytes: int | None
    state: Literal["awaiting", "ready", "gone"]
    sha256: str | None
    facts: dict[str, Any]
    created_at: str
    updated_at: str
    expires_at: str | None
    links: dict[str, str | None]


class Output(TypedDict):
    """One file that a task made; `role` is "result" for the one that was asked for."""

    role: str
    file: File | None


class Task(TypedDict):
    """One thing asked of one kind."""

    id: str
    kind: str
    state: State
    stage: str | None
    progress: float
    options: dict[str, Any]
    metadata: dict[str, Any] | None
    inputs: list[dict[str, Any]]
    outputs: list[Output]
    details: dict[str, Any]
    error: dict[str, Any] | None
    attempt: int
    max_attempts: int
    retry_of: str | None
    created_at: str
    started_at: str | None
    finished_at: str | None
    links: dict[str, str]
    attempts: NotRequired[list[dict[str, Any]]]


class Key(TypedDict):
    """An access key; `secret` only in the answer that made it."""

    id: str
    name: str
    role: Literal["admin", "member"]
    hint: str
    created_at: str
    last_used_at: str | None
    revoked_at: str | None
    secret: NotRequired[str]


class Endpoint(TypedDict):
    """Where webhooks go; `secret` only in the answers that made or changed it."""

    id: str
    url: str
    types: list[str]
    name: str
    state: Literal["active", "paused", "disabled"]
    reason: str | None
    created_at: str
    updated_at: str
    secret: NotRequired[str]


class Delivery(TypedDict):
    """An event on its way to one address; `log` where one delivery is read."""

    id: str
    event_id: str
    type: str
    endpoint_id: str | None
    task_id: str | None
    url: str
    state: Literal["pending", "delivered", "failed", "disabled"]
    attempts: int
    next_attempt_at: str | None
    status: int | None
    error: str | None
    created_at: str
    updated_at: str
    log: NotRequired[list[dict[str, Any]]]


class Page(TypedDict):
    """One page of a list; `next` and `prev` are cursors."""

    data: list[dict[str, Any]]
    next: str | None
    prev: str | None


class WaitedTooLong(ClientError):
    """The task had not ended when the time to wait was over. It goes on."""


class Client(AccountCalls, PromptCalls):
    """A connection to one server with one key. `timeout_s` is for each answer, not for whole transfers or waits."""

    def __init__(
        self,
        url: str = DEFAULT_URL,
        key: str | None = None,
        *,
        timeout_s: float = 30.0,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        from mediamill import __version__

        self.url = url.rstrip("/")
        with _transfer.answered(self.url):
            self._http = httpx.Client(
                base_url=self.url,
                headers={"User-Agent": f"mediamill/{__version__}"},
                timeout=httpx.Timeout(timeout_s, connect=5.0),
                transport=transport or httpx.HTTPTransport(retries=1),
            )
        self._auth = {"Authorization": f"Bearer {key}"} if key else {}

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let the connections go."""
        self._http.close()

    # tasks

    def create(
        self,
        kind: str,
        inputs: Sequence[str | Mapping[str, Any]],
        options: Mapping[str, Any] | None = None,
        *,
        priority: int = 0,
        not_before: str | None = None,
        max_attempts: int | None = None,
        metadata: Mapping[str, Any] | None = None,
        idempotency_key: str | None = None,
    ) -> Task:
        """The new task. An input is a file's id, an http(s) URL, or the wire's own {"file": …} or {"url": …}."""
        body: dict[str, Any] = {
            "kind": kind,
            "inputs": [_input(given) for given in inputs],
            "options": dict(options or {}),
            "priority": priority,
        }
        extra = {"not_before": not_before, "max_attempts": max_attempts, "metadata": metadata}
        body |= {name: value for name, value in extra.items() if value is not None}
        headers = {"Idempotency-Key": idempotency_key or uuid.uuid4().hex}
        return cast(Task, self._send("POST", "/mill/tasks", json=body, headers=headers, repeatable=True))

    def task(self, id: str, *, wait_s: int = 0) -> Task:
        """The task as it stands, with its attempts; after its end or `wait_s` (0 to 60) seconds."""
        query = {"wait": wait_s} if wait_s else None
        return cast(Task, self._send("GET", path_of("tasks", id), params=query, patience_s=wait_s))

    def tasks(self, **filters: Any) -> Page:
        """A page of tasks. Filters as on the wire: limit, after, before, order, state, kind, dialect, run_id, q."""
        return cast(Page, self._send("GET", "/mill/tasks", params=query_of(filters)))

    def cancel(self, id: str) -> Task:
        """Ask for the end of a task; it is cancelled once its worker has let go."""
        return cast(Task, self._send("POST", path_of("tasks", id, "cancel"), repeatable=True))

    def retry(self, id: str) -> Task:
        """A new task like the failed or cancelled one."""
        return cast(Task, self._send("POST", path_of("tasks", id, "retry")))

    def events(self, id: str) -> Iterator[Task]:
        """The task at each of its changes, ending with its final state or when the stream breaks off."""
        headers = self._auth | {"Accept": "text/event-stream"}
        with (
            _transfer.answered(self.url),
            self._http.stream("GET", path_of("tasks", id, "events"), headers=headers) as r,
        ):
            _transfer.check(r)
            data: list[str] = []
            for line in r.iter_lines():
                if line.startswith("data:"):
                    data.append(line[5:].removeprefix(" "))
                elif not line and data:
                    yield cast(Task, json.loads("\n".join(data)))
                    data = []

    def wait(self, id: str, *, timeout_s: float | None = None, on_change: Callable[[Task], None] | None = None) -> Task:
        """The task once it has ended, however it ended; raises WaitedTooLong.

        `on_change` is called with each state of progress. A broken connection is taken up again.
        """
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        failures = 0
        while True:
            left = None if deadline is None else max(0.0, deadline - time.monotonic())
            try:
                task = self._followed(id, left, on_change)
            except Unreachable:
                failures += 1
                if failures > 5 or (deadline is not None and time.monotonic() >= deadline):
                    raise
                time.sleep(min(_transfer.FIRST_PAUSE_S * 2**failures, 5.0))
                continue
            failures = 0
            if task["state"] in FINAL:
                return task
            if deadline is not None and time.monotonic() >= deadline:
                raise WaitedTooLong(f"Task {id} is still {task['state']} after {timeout_s:g} s; it goes on.")

    def _followed(self, id: str, left_s: float | None, on_change: Callable[[Task], None] | None) -> Task:
        """The task after one long poll, or after one stream of events when somebody wants to see them."""
        if on_change is not None and left_s is None:
            for task in self.events(id):
                on_change(task)
                if task["state"] in FINAL:
                    return self.task(id)
            return self.task(id)
        # With a deadline, short polls: a stream that stays silent could not be left in time.
        wait_s = _LONG_POLL_S if left_s is None else int(min(left_s, 1.0 if on_change else _LONG_POLL_S))
        task = self.task(id, wait_s=wait_s)
        if on_change is not None:
            on_change(task)
        if task["state"] not in FINAL and not wait_s and left_s:
            time.sleep(min(left_s, 0.25))
        return task

    # files

    def upload(
        self, path: Path, *, filename: str | None = None, mime: str | None = None, on_progress: Progress | None = None
    ) -> File:
        """Store a file, streamed from disk; large ones in resumable pieces. `on_progress(done_bytes, all_bytes)`."""
        name = filename or path.name
        if path.stat().st_size > _transfer.RESUMABLE_FROM_BYTES:
            id = _transfer.resumable(self._http, self._auth, path, name, mime, on_progress)
            return self.file(id)
        with _transfer.Counted(path, on_progress) as stream:
            parts = {"file": (name, stream, mime) if mime else (name, stream)}
            return cast(File, self._send("POST", "/mill/files", files=parts, patience_s=600))

    def fetch(self, url: str, *, filename: str | None = None) -> Task:
        """Have the server store what lies at an address; the task's output is the file."""
        body = {"url": url} | ({"filename": filename} if filename else {})
        return cast(Task, self._send("POST", "/mill/files", json=body))

    def file(self, id: str) -> File:
        """A stored file, with fresh links."""
        return cast(File, self._send("GET", path_of("files", id)))

    def files(self, **filters: Any) -> Page:
        """A page of files; limit, after, before, order."""
        return cast(Page, self._send("GET", "/mill/files", params=query_of(filters)))

    def remove(self, id: str) -> None:
        """Delete a stored file."""
        self._send("DELETE", path_of("files", id))

    def download(self, file: File, target: Path, *, on_progress: Progress | None = None) -> Path:
        """Save a file's bytes as `target`, whole or not at all; taken up again where a connection broke.

        A device or a pipe is written to as the bytes come.
        """
        if _transfer.is_stream(target):
            with target.open("wb") as sink:
                for chunk in self.read(file):
                    sink.write(chunk)
            return target
        return _transfer.download(self._http, self._download_url(file), file, target, on_progress)

    def read(self, file: File) -> Iterator[bytes]:
        """A file's bytes, piece by piece."""
        with _transfer.answered(self.url), self._http.stream("GET", self._download_url(file)) as answer:
            _transfer.check(answer)
            yield from answer.iter_bytes()

    def _download_url(self, file: File) -> str:
        url = file["links"].get("download") or self.file(file["id"])["links"].get("download")
        if url is None:
            raise Refused(409, {"code": "conflict", "detail": f"File {file['id']} is {file['state']}: no bytes yet."})
        return url

    # keys and the server itself

    def keys(self) -> list[Key]:
        """The keys of the server; secrets are never shown again."""
        return cast(list[Key], self._send("GET", "/mill/keys")["data"])

    def create_key(self, name: str, role: Literal["admin", "member"], *, project_id: str | None = None) -> Key:
        """A new key, with its secret."""
        body = {"name": name, "role": role} | ({"project_id": project_id} if project_id else {})
        return cast(Key, self._send("POST", "/mill/keys", json=body))

    def revoke_key(self, id: str) -> None:
        """Make a key worthless."""
        self._send("DELETE", path_of("keys", id))

    def connections(self) -> list[dict[str, Any]]:
        """The project's connections to buckets, the newest 100; their secrets are masked."""
        return cast(list[dict[str, Any]], self._send("GET", "/mill/connections", params={"limit": 100})["data"])

    def create_connection(self, name: str, **given: Any) -> dict[str, Any]:
        """Keep credentials: endpoint, region, access_key_id, secret_access_key and is_default."""
        return self._send("POST", "/mill/connections", json={"name": name, **given})

    def remove_connection(self, id: str) -> None:
        """Forget a connection and its secret."""
        self._send("DELETE", path_of("connections", id))

    # webhooks

    def endpoints(self) -> list[Endpoint]:
        """The project's webhook endpoints."""
        return cast(list[Endpoint], self._send("GET", "/mill/endpoints")["data"])

    def create_endpoint(self, url: str, types: Sequence[str] = ("*",), *, name: str = "") -> Endpoint:
        """A new endpoint, with the secret that signs what it is sent."""
        body = {"url": url, "types": list(types), "name": name}
        return cast(Endpoint, self._send("POST", "/mill/endpoints", json=body))

    def change_endpoint(self, id: str, **changes: Any) -> Endpoint:
        """An endpoint with another url, types, name or state ("active", "paused")."""
        return cast(Endpoint, self._send("PATCH", path_of("endpoints", id), json=changes, repeatable=True))

    def rotate_endpoint(self, id: str, *, overlap_s: float = 86_400.0) -> Endpoint:
        """An endpoint with a new secret; the old one signs as well for a while."""
        return cast(Endpoint, self._send("POST", path_of("endpoints", id, "rotate"), json={"overlap_s": overlap_s}))

    def remove_endpoint(self, id: str) -> None:
        """Forget an endpoint and its deliveries."""
        self._send("DELETE", path_of("endpoints", id))

    def test_endpoint(self, id: str) -> Delivery:
        """Send an endpoint a test; read the delivery again to see how it was answered."""
        return cast(Delivery, self._send("POST", path_of("endpoints", id, "test")))

    def deliveries(self, endpoint_id: str | None = None, **filters: Any) -> Page:
        """A page of deliveries, of one endpoint or of all: limit, after, before, order, state; task_id, event_id."""
        path = "/mill/deliveries" if endpoint_id is None else path_of("endpoints", endpoint_id, "deliveries")
        return cast(Page, self._send("GET", path, params=query_of(filters)))

    def delivery(self, id: str) -> Delivery:
        """A delivery with the log of its attempts."""
        return cast(Delivery, self._send("GET", path_of("deliveries", id)))

    def replay_delivery(self, id: str) -> Delivery:
        """The same event to the same address once more."""
        return cast(Delivery, self._send("POST", path_of("deliveries", id, "replay")))

    def replay_events(self, endpoint_id: str, **span: Any) -> int:
        """Tell an endpoint events again: first, last (ids of events), since, until (instants), types, missed."""
        body = {name: value for name, value in span.items() if value is not None}
        count = 0
        while True:
            found = self._send("POST", path_of("endpoints", endpoint_id, "replay"), json=body, patience_s=60)
            count += int(found["count"])
            if found["next"] is None:
                return count
            body["first"] = found["next"]

    def follow_events(self, after: str | None = None) -> Iterator[tuple[str, bytes]]:
        """(id, body of the webhook) of each event of the project as it happens; ends when the stream breaks off.

        after: an event's id, to go on where an earlier stream broke off; from now on when there is none.
        """
        headers = self._auth | {"Accept": "text/event-stream"} | ({"Last-Event-ID": after} if after else {})
        with _transfer.answered(self.url), self._http.stream("GET", "/mill/events/follow", headers=headers) as r:
            _transfer.check(r)
            id = ""
            for line in r.iter_lines():
                if line.startswith("id: "):
                    id = line[4:]
                elif line.startswith("data: "):
                    yield id, line[6:].encode()

    def capabilities(self) -> dict[str, Any]:
        """Kinds, conversions and formats of this server, and what is absent with its remedy."""
        return self._send("GET", "/mill/capabilities")

    def version(self) -> dict[str, Any]:
        """The server's version."""
        return self._send("GET", "/mill/version")

    def ready(self) -> bool:
        """True once database, storage and a worker are there."""
        with _transfer.answered(self.url):
            return self._http.get("/mill/ready").status_code == 200

    def _send(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str] | None = None,
        repeatable: bool | None = None,
        patience_s: float = 0.0,
        **content: Any,
    ) -> dict[str, Any]:
        """The answer's JSON, {} when it has none. Sent again once when that cannot do it twice."""
        timeout = self._http.timeout
        if patience_s:
            timeout = httpx.Timeout(timeout.read or 30.0, read=(timeout.read or 30.0) + patience_s)
        again = method == "GET" if repeatable is None else repeatable
        while True:
            try:
                with _transfer.answered(self.url):
                    answer = self._http.request(
                        method, path, headers=self._auth | dict(headers or {}), timeout=timeout, **content
                    )
            except Unreachable as error:
                if not again or not error.broke_off:
                    raise
                again = False
                continue
            _transfer.check(answer)
            found: dict[str, Any] = answer.json() if answer.content else {}
            return found


def _input(given: str | Mapping[str, Any]) -> dict[str, Any]:
    if not isinstance(given, str):
        return dict(given)
    return {"url": given} if given.startswith(("http://", "https://")) else {"file": given}
