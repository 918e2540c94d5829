"""One folder per wire dialect, each with `DIALECT`; the folder is scanned, nothing else is edited to add one.

A dialect reads requests, calls the service and words what comes back. It never asks which kind it holds.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from mediamill.config import Settings
from mediamill.core.access import Caller
from mediamill.core.errors import MediamillError
from mediamill.core.files import File
from mediamill.core.ports import Engines
from mediamill.core.runs import Run
from mediamill.core.tasks import Task
from mediamill.core.webhooks import Event
from mediamill.service import Service
from mediamill.service.automations import Plan
from mediamill.service.signing import Signer
from mediamill.web.table import Receive

Scope = MutableMapping[str, Any]
App = Callable[[Scope, Callable[[], Awaitable[Any]], Callable[[Any], Awaitable[None]]], Awaitable[None]]
Errors = Mapping[type[MediamillError], tuple[int, str]]


@dataclass(frozen=True, slots=True)
class Links:
    """Absolute URLs as the caller reaches us. `origin` is scheme and host, `base` the dialect's root."""

    origin: str
    base: str
    signer: Signer
    upload_s: float
    download_s: float

    def upload(self, file: File) -> str:
        """Where the bytes of a registered file are PUT; no key needed."""
        until = file.expires_at.timestamp() if file.expires_at else None
        return f"{self.origin}/upload/{file.id}?{self.signer.query('upload', file.id, self.upload_s, until=until)}"

    def download(self, file: File) -> str:
        """Where the bytes of a file are read; no key needed. A public file's link carries no signature."""
        if file.public:
            return f"{self.origin}/download/{file.id}"
        until = file.expires_at.timestamp() if file.expires_at else None
        return (
            f"{self.origin}/download/{file.id}?{self.signer.query('download', file.id, self.download_s, until=until)}"
        )


@dataclass(frozen=True, slots=True)
class Site:
    """What dialects need besides the service."""

    service: Service
    settings: Settings
    signer: Signer
    engines: Engines
    health: Callable[[], Awaitable[Mapping[str, str]]]
    """Checks by name: "ok", or what is wrong."""

    def links(self, scope: Any) -> Links:
        """The links of answers to this request."""
        origin = self.settings.public_url
        if origin is None:
            headers = dict(scope["headers"])
            host = headers.get(b"host", b"").decode("latin-1") or "localhost"
            origin = f"{scope['scheme']}://{host}"
        origin = origin.rstrip("/")
        return Links(
            origin=origin,
            base=origin + str(scope.get("root_path") or ""),
            signer=self.signer,
            upload_s=self.settings.upload_url_s,
            download_s=self.settings.download_url_s,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A request of a known caller, where routes are a table (web/table.py). `ids` are the parts of its path that are
    not fixed; the query holds the first value of each name."""

    site: Site
    caller: Caller
    links: Links
    method: str
    path: str
    ids: Sequence[str]
    query: Mapping[str, str]
    headers: Mapping[str, str]
    raw: bytes
    """The body, where the route takes JSON."""
    receive: Receive
    scope: Scope


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A finished HTTP answer, for what stands outside a dialect's own app (signed URLs)."""

    status: int
    media_type: str
    body: bytes
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """A wire dialect. `claims(path, headers)` says whether a path without our prefix is meant for it."""

    name: str
    prefix: str
    build: Callable[[Site], App]
    claims: Callable[[str, Mapping[bytes, bytes]], bool]
    write_task: Callable[[Task, Links], Any]
    """The task as JSON in this dialect; None when it cannot be worded."""
    write_error: Callable[[MediamillError], Answer]
    write_event: Callable[[Event, Task | Run | File | None, Links], Any] | None = None
    """What a webhook says of an event, as JSON; the subject is the task, run or file. None: it cannot be worded.
    A dialect without this has its webhooks worded by the native one."""
    sign_event: Callable[[Sequence[bytes], str, datetime, bytes], Mapping[str, str]] | None = None
    """The headers that vouch for a webhook: of (secrets, newest first; event id; instant; body). Without this they are
    those of Standard Webhooks."""
    address_secret: Callable[[Signer, str], bytes] | None = None
    """Of (signer, project): the secret that signs what is told to an address that a task names. With this such an
    address is told events, signed; without it, the task and no more."""
    address: Callable[[str, File], str] | None = None
    """Of (origin, stored file): where its bytes are read without a key, as long as they are kept. Without this there is
    no such address."""
    document: str = "/openapi.json"
    """Where below the prefix its OpenAPI document is read."""
    plan: Plan | None = None
    """How its workflows become runs; None: it keeps no automations."""
    keeps_claims: bool = False
    """Whether an upload stays of the type it was declared to be when its bytes are nothing like it."""
    most_bytes: Callable[[Settings], int] | None = None
    """The most that an upload may have, where that is less than for all."""
    patience_s: float = 0.0
    """How long a receiver of webhooks has to answer, where the operator gives them less."""


def load() -> list[Dialect]:
    """Every dialect, found by scanning this folder."""
    found = []
    for module in pkgutil.iter_modules(__path__):
        if module.ispkg:
            found.append(importlib.import_module(f"{__name__}.{module.name}").DIALECT)
    return found


def status_of(error: MediamillError, table: Errors) -> tuple[int, str]:
    """The row of the error's class or nearest ancestor."""
    for ancestor in type(error).__mro__:
        if ancestor in table:
            return table[ancestor]
    return 500, "internal_error"
