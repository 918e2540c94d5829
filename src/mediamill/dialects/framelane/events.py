"""What webhooks say, and how they are signed: `Framelane-Signature: t=<seconds>,v1=<hex>`."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping, Sequence
from datetime import datetime

from mediamill.core.files import File
from mediamill.core.runs import Run
from mediamill.core.tasks import Task
from mediamill.core.webhooks import Event
from mediamill.dialects import Links
from mediamill.dialects.framelane import ids, jobs
from mediamill.dialects.framelane.call import Json
from mediamill.dialects.framelane.uploads import write_asset
from mediamill.service.signing import Signer

SECRET_PREFIX = "whsec_"  # noqa: S105 - what stands before every secret, and is part of the key
_WORDS = {
    "completed": "task.succeeded",
    "failed": "task.failed",
    "cancelled": "task.cancelled",
    "progress": "task.progress",
}
_ENDINGS = {type: word for word, type in _WORDS.items()}
READY = "asset.ready"
EVENTS: Mapping[str, tuple[str, ...]] = {
    **{f"render.{word}": (f"{jobs.RENDER} {type}",) for word, type in _WORDS.items()},
    **{f"task.{word}": tuple(f"{kind} {type}" for kind in jobs.TYPES) for word, type in _WORDS.items()},
    READY: (" file.ready",),
}
"""The events there are; of each, the kinds and the types of ours that it stands for."""


def scope_of(events: Sequence[str]) -> tuple[list[str], list[str]]:
    """(types, the kinds with them) that an endpoint of these events wants."""
    only = [pair for event in events for pair in EVENTS[event]]
    return sorted({pair.partition(" ")[2] for pair in only}), only


def write_event(event: Event, subject: Task | Run | File | None, links: Links) -> Json | None:
    """An event; None for one that is not told here."""
    data: Json
    if isinstance(subject, Task) and jobs.worded(subject) and event.type in _ENDINGS:
        word, data = f"{jobs.word_of(subject)}.{_ENDINGS[event.type]}", jobs.write_job(subject, links)
    elif isinstance(subject, File) and event.type == "file.ready":
        word, data = READY, write_asset(subject, links)
    else:
        return None
    at_ms = int(event.created_at.timestamp() * 1000)
    return {
        "id": ids.numbered("evt", at_ms, event.id),
        "type": word,
        "created_at": jobs.instant(event.created_at),
        "workspace_id": ids.workspace(event.project_id),
        "data": data,
    }


def sign_event(secrets: Sequence[bytes], id: str, at: datetime, body: bytes) -> Mapping[str, str]:
    """The header that vouches for a webhook; the newest secret alone signs."""
    if not secrets:
        return {}
    seconds = int(at.timestamp())
    mac = hmac.new(shown(secrets[0]).encode(), f"{seconds}.".encode() + body, hashlib.sha256)
    return {"framelane-signature": f"t={seconds},v1={mac.hexdigest()}"}


def shown(secret: bytes) -> str:
    """A secret as its owner sees it, which is the key as well."""
    return SECRET_PREFIX + base64.b64encode(secret).decode()


def address_secret(signer: Signer, project_id: str) -> bytes:
    """The workspace's default secret: it signs what is told to the address that a job names."""
    return hashlib.sha256(signer.seal("framelane webhooks", project_id).encode()).digest()[:24]
