"""The OpenAPI document: Litestar's view of the routes, with the bodies that they read and write themselves."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import msgspec
from litestar import Litestar
from litestar.openapi import OpenAPIConfig
from litestar.openapi.spec import Components, Reference, SecurityScheme, Server

from mediamill import __version__
from mediamill.dialects.mill import accounts, events, following, kept, project, prompt_bodies, runs, schedules, wire
from mediamill.dialects.mill.errors import Problem
from mediamill.web.capabilities import Capabilities

_TEXT = {"type": "string"}
_LOCATION = {"Location": {"description": "Where it is.", "schema": {"type": "string", "format": "uri"}}}
_LINK = {"Link": {"description": "RFC 8288: rel next and prev.", "schema": _TEXT}}
_HEADERS: Mapping[tuple[str, str], Any] = {
    ("createTask", "200"): _LOCATION,
    ("createTask", "201"): _LOCATION,
    ("retryTask", "201"): _LOCATION,
    ("createFile", "201"): _LOCATION,
    ("createFile", "202"): _LOCATION,
    ("readFile", "302"): _LOCATION,
    ("createSchedule", "201"): _LOCATION,
    ("runSchedule", "201"): _LOCATION,
    ("createPrompt", "200"): _LOCATION,
    ("createPrompt", "201"): _LOCATION,
    ("replayPrompt", "201"): _LOCATION,
    ("listTasks", "200"): _LINK,
    ("listFiles", "200"): _LINK,
}
_FORM = {
    "type": "object",
    "properties": {"file": {"type": "string", "format": "binary", "description": "At least one byte."}},
    "required": ["file"],
}
_BODIES: Mapping[str, Mapping[str, Any]] = {
    "createTask": {"application/json": {"$ref": "#/components/schemas/TaskIn"}},
    "createFile": {"multipart/form-data": _FORM, "application/json": {"$ref": "#/components/schemas/FileIn"}},
    "createUpload": {"application/offset+octet-stream": {"type": "string", "format": "binary"}},
    "continueUpload": {"application/offset+octet-stream": {"type": "string", "format": "binary"}},
    "createKey": {"application/json": {"$ref": "#/components/schemas/KeyIn"}},
    "changeAccount": {"application/json": {"$ref": "#/components/schemas/AccountChange"}},
    "createOrganisation": {"application/json": {"$ref": "#/components/schemas/OrganisationIn"}},
    "createRun": {"application/json": {"$ref": "#/components/schemas/RunIn"}},
    "createPrompt": {"application/json": {"$ref": "#/components/schemas/PromptIn"}},
    "createPrompts": {"application/json": {"$ref": "#/components/schemas/BatchIn"}},
    "reschedulePrompt": {"application/json": {"$ref": "#/components/schemas/DelayIn"}},
    "tagPrompt": {"application/json": {"$ref": "#/components/schemas/TagsIn"}},
    "describePrompt": {"application/json": {"$ref": "#/components/schemas/MetadataIn"}},
    "changeProject": {"application/json": {"$ref": "#/components/schemas/ProjectIn"}},
    "createEndpoint": {"application/json": {"$ref": "#/components/schemas/EndpointIn"}},
    "changeEndpoint": {"application/json": {"$ref": "#/components/schemas/EndpointChange"}},
    "rotateEndpoint": {"application/json": {"$ref": "#/components/schemas/RotateIn"}},
    "replayEvents": {"application/json": {"$ref": "#/components/schemas/ReplayIn"}},
    "createSchedule": {"application/json": {"$ref": "#/components/schemas/ScheduleIn"}},
    "changeSchedule": {"application/json": {"$ref": "#/components/schemas/ScheduleChange"}},
    "createConnection": {"application/json": {"$ref": "#/components/schemas/ConnectionIn"}},
    "changeConnection": {"application/json": {"$ref": "#/components/schemas/ConnectionChange"}},
    "createAutomation": {"application/json": {"$ref": "#/components/schemas/AutomationIn"}},
    "changeAutomation": {"application/json": {"$ref": "#/components/schemas/AutomationChange"}},
    "startAutomation": {"application/json": {"$ref": "#/components/schemas/StartIn"}},
}


def _header(name: str, description: str, *, required: bool = False, **schema: Any) -> dict[str, Any]:
    return {
        "name": name,
        "in": "header",
        "required": required,
        "description": description,
        "schema": schema or {"type": "string"},
    }


_TUS = _header("Tus-Resumable", "The protocol's version.", required=True, type="string", const="1.0.0")
_OFFSET = _header("Upload-Offset", "Where the bytes belong.", required=True, type="integer", minimum=0)
_LENGTH = _header("Upload-Length", "Bytes of the whole.", type="integer", minimum=0)
_CHECKSUM = _header("Upload-Checksum", "Algorithm and base64 of the bytes of this request.")
_PARAMETERS: Mapping[str, Any] = {
    "createUpload": [
        _TUS,
        _LENGTH,
        _header("Upload-Defer-Length", "1 when the length is not known yet.", type="integer", const=1),
        _header("Upload-Metadata", "Pairs of a name and base64: filename, filetype."),
        _CHECKSUM,
    ],
    "getUpload": [_TUS],
    "continueUpload": [_TUS, _OFFSET, _LENGTH, _CHECKSUM],
    "deleteUpload": [_TUS],
}
_STRUCTS = (
    wire.TaskIn,
    wire.FileIn,
    wire.KeyIn,
    wire.TaskOut,
    wire.TaskPage,
    wire.FileOut,
    wire.FilePage,
    wire.KeyOut,
    wire.KeyPage,
    wire.Ready,
    wire.Health,
    wire.Version,
    *events.SHAPES,
    *following.SHAPES,
    *kept.SHAPES,
    *runs.SHAPES,
    *prompt_bodies.SHAPES,
    *project.SHAPES,
    *accounts.SHAPES,
    *schedules.SHAPES,
    Capabilities,
    Problem,
)


def config() -> OpenAPIConfig:
    """What Litestar is told. The document itself is served by a route of ours: its own would be HTML pages."""
    schemes: dict[str, SecurityScheme | Reference] = {
        "bearer": SecurityScheme(type="http", scheme="bearer"),
        "key": SecurityScheme(type="apiKey", name="X-Api-Key", security_scheme_in="header"),
    }
    return OpenAPIConfig(
        title="Mediamill",
        version=__version__,
        path="/.openapi",
        servers=[Server(url="/mill")],
        components=Components(security_schemes=schemes),
        security=[{"bearer": []}, {"key": []}],
        use_handler_docstrings=True,
    )


class Described:
    """The document of an app, made when it is first asked for: 2 MB and half a second, for most in vain."""

    def __init__(self, app: Litestar) -> None:
        self._app = app
        self._one = asyncio.Lock()
        self._made: bytes | None = None

    async def __call__(self) -> bytes:
        """The document; made in a thread, because others are waiting for answers."""
        async with self._one:
            if self._made is None:
                self._made = await asyncio.to_thread(document, self._app)
            return self._made


def document(app: Litestar) -> bytes:
    """The document of an app. Schemas are msgspec's own, which say exactly what it will read and write."""
    made: dict[str, Any] = app.openapi_schema.to_schema()
    _, schemas = msgspec.json.schema_components(_STRUCTS, ref_template="#/components/schemas/{name}")
    made["components"]["schemas"] = dict(sorted(schemas.items()))
    for operations in made["paths"].values():
        for operation in operations.values():
            name = operation["operationId"]
            if name in _BODIES:
                content = {kind: {"schema": schema} for kind, schema in _BODIES[name].items()}
                operation["requestBody"] = {"required": name != "createUpload", "content": content}
            operation["parameters"] = [*operation.get("parameters", []), *_PARAMETERS.get(name, [])]
            for status, answer in operation["responses"].items():
                if name.endswith("Upload") and status < "300":
                    answer.pop("content", None)
                if headers := _HEADERS.get((name, status)):
                    answer["headers"] = headers
    return msgspec.json.encode(made)
