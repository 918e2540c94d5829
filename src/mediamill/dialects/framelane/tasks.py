"""/v1/tasks: list, create by type, read, cancel, download."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any

import msgspec

from mediamill.core.errors import Invalid, NotFound
from mediamill.core.tasks import MOST_BYTES, NewTask, Origin, Source, Task
from mediamill.dialects.framelane import ids, jobs
from mediamill.dialects.framelane.call import NAME, Call, Json, Reply, Route
from mediamill.dialects.framelane.errors import fields, invalid
from mediamill.dialects.framelane.jobs import TYPES

LONGEST_URL = 2083
MOST_METADATA = 100
LONGEST_KEY = 255
UPLOAD_S = 3600.0
"""How long an upload may take to come."""
_OPTIONS: Mapping[str, Mapping[str, str]] = {
    "remove_background": {"output_format": "format"},
    "gaze_redirect": {"intensity": "intensity"},
    "super_resolution": {"scale": "scale", "scale_factor": "scale"},
    "transcribe": {
        name: name
        for name in (
            *("language", "speech_model", "word_timings", "speaker_labels", "speakers_expected", "word_boost"),
            *("sentiment_analysis", "entity_detection", "auto_highlights", "content_safety", "iab_categories"),
        )
    },
}
"""By type, the fields of a request and the options of ours; what stands first wins."""
PATIENT = Origin(hold="upload", ttl_s=UPLOAD_S)
"""A job may be made before its upload has come; it gives up when the upload's URL has run out."""
NO_UPLOAD = "there is no such upload"
_OWN = re.compile(r"/v1/media/(asset_[0-9A-Z]{26})(?:\.[A-Za-z0-9]{1,8})?", re.ASCII)


def fields_of(type: str) -> Mapping[str, str]:
    """Of a type's options, the fields of a request that they come from."""
    return {ours: name for name, ours in reversed(list(_OPTIONS[type].items()))}


async def list_tasks(call: Call) -> Reply:
    """Tasks of every type, or of one."""
    word = call.query.get("type")
    if word is not None and word not in TYPES:
        raise invalid("type", f"must be one of {', '.join(TYPES)}")
    return await jobs.list_jobs(call, [word] if word is not None else list(TYPES))


def creator(type: str) -> Callable[[Call], Awaitable[Reply]]:
    """The call that makes a task of a type."""

    async def create(call: Call) -> Reply:
        body = call.body()
        url = read_url(body, "source_url", required=True)
        options: Json = {}
        asked: dict[str, str] = {}
        for name, ours in _OPTIONS[type].items():
            if body.get(name) is not None and ours not in options:
                options[ours], asked[ours] = body[name], name
        if type == "transcribe":
            options["audio_url"] = url
        new = NewTask(
            kind=type,
            inputs=[source_of(call, url)],
            options=options,
            dialect=NAME,
            extra=extra_of(call, body),
            metadata=metadata_of(body),
            idempotency_key=key_of(call),
            origin=PATIENT,
        )
        return await accept(call, new, asked)

    return create


async def accept(
    call: Call, new: NewTask, asked: Mapping[str, str] | None = None, *, headers: Mapping[str, str] | None = None
) -> Reply:
    """Write a job: 202 for a new one, 200 for one that was asked for before. asked: of options, the fields that gave
    them, where one has several names. headers: what is told beside it."""
    task, fresh = await create(call, new, asked)
    shown = jobs.write_job(task, call.links)
    return Reply(
        body=shown, status=202 if fresh else 200, headers={"location": call.url(path_of(task)), **(headers or {})}
    )


async def create(call: Call, new: NewTask, asked: Mapping[str, str] | None = None) -> tuple[Task, bool]:
    """(the task, whether it is new). What is refused is named by the field of the request that it came from."""
    new = replace(new, options=_plain(new.options))
    try:
        return await call.site.service.tasks.create(call.caller, new)
    except NotFound as error:
        if error.noun == "file":
            raise invalid(_places(new.options).get(f"file:{error.id}", "source_url"), NO_UPLOAD) from None
        raise
    except Invalid as error:
        given = {**(fields_of(new.kind) if new.kind in _OPTIONS else {}), **(asked or {})}
        head, dot, rest = error.field.removeprefix("options.").partition(".")
        if error.field.startswith("options") and head in given:
            error.field = given[head] + dot + rest
        elif new.kind not in _OPTIONS and head == "inputs":
            places, number = list(_places(new.options).values()), rest.partition(".")[0]
            if number.isdigit() and int(number) < len(places):
                error.field = places[int(number)]
        raise


def _places(options: Mapping[str, Any]) -> dict[str, str]:
    """Of every file that a scene names, in order, where it is named first."""
    found: dict[str, str] = {}
    if url := options.get("background_image_url"):
        found[url] = "background_image_url"
    for number, element in enumerate(options.get("elements", ())):
        for name in ("source_url", "lut_url"):
            if url := element.get(name):
                found.setdefault(url, f"elements.{number}.{name}")
    return found


def path_of(task: Task) -> str:
    """Where a job is read."""
    word = jobs.word_of(task)
    return f"/v1/{word}s/{ids.write(word, task.id)}"


def source_of(call: Call, url: str, field: str = "source_url") -> Source:
    """An upload of ours by its own URL, or any other."""
    if url.startswith(call.links.base + "/") or url.startswith(call.links.origin + "/"):
        path = "/" + url.split("://", 1)[1].split("/", 1)[1].split("?", 1)[0]
        path = path[path.find("/v1/media/") :] if "/v1/media/" in path else path
        if (match := _OWN.fullmatch(path)) is not None:
            try:
                return Source(file=ids.read("asset", match[1]))
            except NotFound:
                raise invalid(field, NO_UPLOAD) from None
    return Source(url=url)


def read_url(body: Mapping[str, Any], name: str, *, required: bool = False) -> str:
    """An absolute http(s) URL of the body, "" where there is none and none is required. Raises a 422 Fault."""
    value = body.get(name)
    if value is None and not required:
        return ""
    if not isinstance(value, str):
        raise invalid(name, "is required: a URL" if value is None else "must be a string")
    if not 1 <= len(value) <= LONGEST_URL or not value.lower().startswith(("http://", "https://")):
        raise invalid(name, f"must be an absolute http(s) URL of at most {LONGEST_URL} characters")
    return value


def metadata_of(body: Mapping[str, Any]) -> Json:
    """The caller's key-values, string to string. Raises a 422 Fault."""
    given = body.get("metadata")
    if given is None:
        return {}
    if not isinstance(given, dict):
        raise invalid("metadata", "must be an object")
    wrong = [(f"metadata.{key[:80]}", "must be a string") for key, value in given.items() if not isinstance(value, str)]
    if wrong:
        raise fields(wrong)
    if len(given) > MOST_METADATA:
        raise invalid("metadata", f"may have {MOST_METADATA} keys")
    return given


def extra_of(call: Call, body: Mapping[str, Any]) -> Json:
    """What is said again: the webhook of this job, and a digest of the body, which tells one request from another."""
    found: Json = {"webhook_progress": True, **source_bound(call)}
    if webhook := read_url(body, "webhook_url"):
        found |= {"webhook_url": webhook, "webhook_origin": call.links.origin, "webhook_only": True}
    if "idempotency-key" in call.headers:
        encoder = msgspec.json.Encoder(order="deterministic")
        found["asked"] = hashlib.sha256(encoder.encode(_plain(body))).hexdigest()
    return found


def source_bound(call: Call) -> Json:
    """How large a source may be, for those who fetch it."""
    return {MOST_BYTES: call.site.settings.framelane_max_bytes}


def _plain(value: Any) -> Any:
    """The same JSON with one spelling for each number: 2 and 2.0 are the same."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, Mapping):
        return {name: _plain(part) for name, part in value.items()}
    return [_plain(part) for part in value] if isinstance(value, list) else value


def key_of(call: Call) -> str | None:
    """The idempotency key, bound to its route."""
    given = call.headers.get("idempotency-key")
    if given is None:
        return None
    if not 1 <= len(given) <= LONGEST_KEY:
        raise invalid("Idempotency-Key", f"must be 1 to {LONGEST_KEY} characters")
    return hashlib.sha256(f"{call.path} {given}".encode()).hexdigest()


async def get_task(call: Call) -> Reply:
    """One task."""
    return await jobs.get_job(call, "task")


async def cancel_task(call: Call) -> Reply:
    """Stop it."""
    return await jobs.cancel_job(call, "task")


async def download_task(call: Call) -> Reply:
    """Where its result is."""
    return await jobs.download(call, "task")


ROUTES = [
    Route("GET", "/v1/tasks", list_tasks),
    *(Route("POST", f"/v1/tasks/{path}", creator(type)) for type, path in TYPES.items()),
    Route("GET", "/v1/tasks/{}", get_task),
    Route("DELETE", "/v1/tasks/{}", cancel_task, json=False),
    Route("GET", "/v1/tasks/{}/download", download_task),
]
