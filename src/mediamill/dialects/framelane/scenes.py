"""Scenes as they come: checked, told what is doubtful in them, and made into a task."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping, Sequence
from typing import Any

from mediamill.core import compositions
from mediamill.core.compositions import Violation
from mediamill.core.tasks import KEPT_S, LAZY, NewTask
from mediamill.dialects.framelane.call import NAME, Call, Json
from mediamill.dialects.framelane.errors import Fault
from mediamill.dialects.framelane.jobs import LINK_S
from mediamill.dialects.framelane.tasks import PATIENT, extra_of, key_of, metadata_of, source_bound, source_of

_MOST_HEADER_BYTES = 4000


def filled(raw: Mapping[str, Any]) -> Json:
    """The request with every default. Raises Invalid, Unsupported."""
    metadata_of(raw)
    return compositions.filled(raw)


def doubts(request: Mapping[str, Any], dropped: Sequence[str] = ()) -> list[Json]:
    """Its violations. dropped: see KeptScene."""
    found = [*compositions.violations(compositions.parse(request)), *compositions.dropped(dropped)]
    return [write_violation(one) for one in found]


def write_violation(violation: Violation) -> Json:
    """As it is answered."""
    return {
        "code": violation.code,
        "message": violation.message,
        "severity": violation.severity,
        "path": violation.path,
    }


def sound(found: Sequence[Json]) -> bool:
    """Whether it may be rendered."""
    return not any(one["severity"] == "error" for one in found)


def told(found: Sequence[Json]) -> dict[str, str]:
    """The header that tells warnings beside a job, which has no place for them: as many as it may hold."""
    shown: list[Json] = []
    for one in found:
        if len(json.dumps([*shown, one])) > _MOST_HEADER_BYTES:
            break
        shown.append(one)
    return {"framelane-violations": json.dumps(shown)} if shown else {}


def new_render(call: Call, request: Mapping[str, Any], body: Mapping[str, Any], found: Sequence[Json]) -> NewTask:
    """A render of a filled-in request. `body`: what was sent, for its key and webhook. found: its violations. Raises a
    422 Fault."""
    if not sound(found):
        first = next(one for one in found if one["severity"] == "error")
        said = f"{first['path']}: {first['message']}" if first["path"] else first["message"]
        raise Fault(422, "invalid_request", said, {"violations": list(found)})
    options = compositions.options(_with_uploads(call, request))
    if request.get("output_filename"):
        options["output_filename"] = request["output_filename"]
    extra = extra_of(call, body)
    if not request.get("ingest_external"):
        extra[LAZY] = True
    return NewTask(
        kind="render",
        options=options,
        dialect=NAME,
        extra=extra,
        metadata=metadata_of(request),
        idempotency_key=key_of(call),
        origin=PATIENT,
    )


def new_preview(call: Call, request: Mapping[str, Any], mode: Mapping[str, Any]) -> NewTask:
    """A look at a filled-in request."""
    options = {**compositions.options(_with_uploads(call, request)), **mode}
    return NewTask(kind="preview", options=options, dialect=NAME, extra={**source_bound(call), KEPT_S: LINK_S})


def _with_uploads(call: Call, request: Mapping[str, Any]) -> Json:
    """The same scene with our own uploads named by their ids: they are read where they lie, and not fetched."""
    made = copy.deepcopy(dict(request))

    def named(url: str | None, field: str) -> str | None:
        file = source_of(call, url, field).file if url else None
        return f"file:{file}" if file is not None else url

    made["background_image_url"] = named(made["background_image_url"], "background_image_url")
    for number, element in enumerate(made["elements"]):
        for name in ("source_url", "lut_url"):
            if element.get(name):
                element[name] = named(element[name], f"elements.{number}.{name}")
    return made
