"""Resumable uploads by tus 1.0.0, with creation (also with upload, and of unknown length), expiration, termination and
checksum.  Source: https://tus.io/protocols/resumable-upload
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping
from email.utils import format_datetime
from http import HTTPStatus
from typing import Any

import msgspec
from litestar import MediaType, Request, Response, Router, delete, patch, post, route
from litestar.datastructures import State as AppState
from litestar.enums import HttpMethod
from litestar.exceptions import HTTPException
from litestar.openapi import ResponseSpec

from mediamill.core.access import Caller
from mediamill.core.errors import Invalid, MediamillError, Rejected
from mediamill.core.uploads import Upload
from mediamill.dialects import Answer, Site
from mediamill.dialects.mill.errors import MEDIA_TYPE, Problem
from mediamill.service.uploads import CHECKSUMS, Body, Checksum, ChecksumMismatch, TakenOver

_VERSION = "1.0.0"
_EXTENSIONS = "creation,creation-with-upload,creation-defer-length,expiration,termination,checksum"
_OFFSET_STREAM = "application/offset+octet-stream"
_METADATA_LETTERS = 4096
_MOST = 2**63 - 1
_CHECKSUM_MISMATCH = 460
"""The protocol's own status."""

Req = Request[Any, Any, AppState]
Words = Callable[[Any], Answer]


class Unspoken(Rejected):
    """Not the protocol, or not the version of it, that is spoken here. `status` is what the protocol wants said."""

    code = "not_tus"

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


def router(site: Site, problems: Mapping[int, ResponseSpec], worded: Words, http: Words) -> Router:
    """The routes below /uploads. `worded` and `http` put our errors and Litestar's into the dialect's words."""
    uploads = site.service.uploads
    about = {
        "tus-version": _VERSION,
        "tus-extension": _EXTENSIONS,
        "tus-max-size": str(site.settings.max_upload_bytes),
        "tus-checksum-algorithm": ",".join(CHECKSUMS),
    }
    shown: Any = {"responses": problems, "tags": ["uploads"]}

    def check_version(request: Req) -> None:
        if request.method != "OPTIONS" and request.headers.get("tus-resumable") != _VERSION:
            raise Unspoken(412, f"The header Tus-Resumable: {_VERSION} is needed.")

    async def receive(request: Req, caller: Caller, id: str, offset: int, length: int | None = None) -> Upload:
        return await uploads.receive(
            caller, id, offset, _body(request), length=length, checksum=_read_checksum(request)
        )

    async def add(request: Req, caller: Caller, upload_id: str) -> Response[None]:
        if request.headers.get("content-type") != _OFFSET_STREAM:
            raise Unspoken(415, f"The content type must be {_OFFSET_STREAM}.")
        offset = _number(request, "Upload-Offset")
        if offset is None:
            raise Unspoken(400, "The header Upload-Offset is needed.")
        upload = await receive(request, caller, upload_id, offset, _number(request, "Upload-Length"))
        return _answer(204, _progress(upload))

    async def remove(caller: Caller, upload_id: str) -> Response[None]:
        await uploads.delete(caller, upload_id)
        return _answer(204)

    async def look(caller: Caller, upload_id: str) -> Response[None]:
        upload = await uploads.get(caller, upload_id)
        said = {"upload-length": str(upload.length)} if upload.length is not None else {"upload-defer-length": "1"}
        if upload.metadata:
            said["upload-metadata"] = upload.metadata
        return _answer(200, {**_progress(upload), **said, "cache-control": "no-store"})

    @route(["/", "/{upload_id:str}"], http_method=[HttpMethod.OPTIONS], status_code=204, include_in_schema=False)
    async def describe_uploads() -> Response[None]:
        """What of the protocol is spoken here."""
        return _answer(204, about)

    @post("/", **shown, operation_id="createUpload", request_max_body_size=None)
    async def create_upload(request: Req, caller: Caller) -> Response[bytes]:
        """Begin an upload of Upload-Length bytes (or Upload-Defer-Length: 1); a body is taken as its first bytes."""
        length = _number(request, "Upload-Length")
        deferred = request.headers.get("upload-defer-length")
        if (length is None) != (deferred == "1") or deferred not in (None, "1"):
            raise Unspoken(400, "Either Upload-Length or Upload-Defer-Length: 1 is needed.")
        raw = request.headers.get("upload-metadata", "")
        said = _read_metadata(raw)
        upload = await uploads.create(
            caller,
            filename=said.get("filename") or said.get("name") or "file",
            mime=said.get("filetype") or said.get("type") or None,
            length=length,
            metadata=raw,
        )
        if request.headers.get("content-type") == _OFFSET_STREAM:
            upload = await receive(request, caller, upload.id, 0)
        location = f"{site.links(request.scope).origin}/mill/uploads/{upload.id}"
        said = {"tus-resumable": _VERSION, "location": location, **_progress(upload)}
        return Response(b"", status_code=201, media_type=MediaType.TEXT, headers=said)

    @route("/{upload_id:str}", **shown, http_method=[HttpMethod.HEAD], status_code=200, operation_id="getUpload")
    async def get_upload(caller: Caller, upload_id: str) -> Response[None]:
        """How far the upload is: Upload-Offset, and Mill-File-Id once it is a file."""
        return await look(caller, upload_id)

    @patch("/{upload_id:str}", **shown, status_code=204, operation_id="continueUpload", request_max_body_size=None)
    async def continue_upload(request: Req, caller: Caller, upload_id: str) -> Response[None]:
        """Add the body at Upload-Offset. What came before a broken connection is kept."""
        return await add(request, caller, upload_id)

    @delete("/{upload_id:str}", **shown, operation_id="deleteUpload", status_code=204)
    async def delete_upload(caller: Caller, upload_id: str) -> Response[None]:
        """Forget the upload, its bytes, and the file it has become."""
        return await remove(caller, upload_id)

    @post("/{upload_id:str}", include_in_schema=False, request_max_body_size=None)
    async def override(request: Req, caller: Caller, upload_id: str) -> Response[None]:
        """For clients that can send nothing but POST: the method is in X-HTTP-Method-Override."""
        match request.headers.get("x-http-method-override", "").upper():
            case "PATCH":
                return await add(request, caller, upload_id)
            case "DELETE":
                return await remove(caller, upload_id)
            case "HEAD":
                return await look(caller, upload_id)
        raise Unspoken(405, "An upload goes on with PATCH.")

    def refuse(answer: Answer) -> Response[bytes]:
        headers = {**answer.headers, "tus-resumable": _VERSION, "tus-version": _VERSION}
        return Response(answer.body, status_code=answer.status, media_type=answer.media_type, headers=headers)

    def refuse_ours(_: Req, error: MediamillError) -> Response[bytes]:
        if isinstance(error, Unspoken):
            return refuse(_problem(error.status, HTTPStatus(error.status).phrase, error))
        if isinstance(error, ChecksumMismatch):
            return refuse(_problem(_CHECKSUM_MISMATCH, "Checksum Mismatch", error))
        answer = refuse(worded(error))
        if isinstance(error, TakenOver):
            answer.headers["connection"] = "close"  # the rest of the body is not wanted
        return answer

    def refuse_theirs(_: Req, error: HTTPException) -> Response[bytes]:
        return refuse(http(error))

    return Router(
        path="/uploads",
        route_handlers=[
            describe_uploads,
            create_upload,
            get_upload,
            continue_upload,
            delete_upload,
            override,
        ],
        before_request=check_version,
        exception_handlers={MediamillError: refuse_ours, HTTPException: refuse_theirs},
    )


def _answer(status: int, headers: Mapping[str, str] | None = None) -> Response[None]:
    return Response(None, status_code=status, headers={"tus-resumable": _VERSION, **(headers or {})})


def _problem(status: int, title: str, error: Rejected) -> Answer:
    body = Problem(title=title, status=status, detail=str(error), code=error.code)
    return Answer(status=status, media_type=MEDIA_TYPE, body=msgspec.json.encode(body), headers={})


def _progress(upload: Upload) -> dict[str, str]:
    said = {
        "upload-offset": str(upload.received),
        "upload-expires": format_datetime(upload.expires_at, usegmt=True),
    }
    if upload.file_id is not None:
        said["mill-file-id"] = upload.file_id
    return said


def _number(request: Req, header: str) -> int | None:
    said = request.headers.get(header.lower())
    if said is None:
        return None
    if not (said.isascii() and said.isdigit() and len(said) <= 19 and int(said) <= _MOST):
        raise Unspoken(400, f"{header} is not a number of bytes.")
    return int(said)


def _read_metadata(raw: str) -> dict[str, str]:
    """Upload-Metadata: pairs of a name and base64, with commas between. Raises Invalid."""
    if len(raw) > _METADATA_LETTERS:
        raise Invalid("Upload-Metadata", f"is longer than {_METADATA_LETTERS} letters.")
    found = {}
    for pair in filter(None, (part.strip() for part in raw.split(","))):
        name, _, value = pair.partition(" ")
        found[name] = _base64("Upload-Metadata", value.strip()).decode("utf-8", "replace")
    return found


def _read_checksum(request: Req) -> Checksum | None:
    said = request.headers.get("upload-checksum")
    if said is None:
        return None
    algorithm, _, value = said.strip().partition(" ")
    if algorithm not in CHECKSUMS:
        raise Unspoken(400, f"Upload-Checksum takes {', '.join(CHECKSUMS)}.")
    return Checksum(algorithm, _base64("Upload-Checksum", value.strip()))


def _base64(field: str, value: str) -> bytes:
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        raise Invalid(field, "holds what is not base64.") from None


def _body(request: Req) -> Body:
    """The request's bytes, one message of the server's at a time."""
    over = False

    async def more() -> bytes | None:
        nonlocal over
        while not over:
            message: Any = await request.receive()
            if message["type"] == "http.disconnect":
                return None
            over = not message.get("more_body", False)
            if chunk := message.get("body", b""):
                return bytes(chunk)
        return b""

    return more
