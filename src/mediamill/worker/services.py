"""HTTP services that the operator has set up, called for children, which have no network and see no key.

Their addresses are the operator's own word, so they may lie in a private network; everything else that goes out is
still guarded.
"""

from __future__ import annotations

import asyncio
import json
import os
import secrets
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any, BinaryIO, Protocol

from mediamill.core.errors import Invalid, MediamillError, SourceRefused, SourceUnreachable
from mediamill.worker.messages import Answered, Call

_MOST_SENT = 2 << 30
_MOST_ANSWERED = 16 << 20
_LONGEST_S = 3600.0
_STEP = 256 << 10
_LATER = frozenset((408, 409, 425, 429))


class Client(Protocol):
    """The outbound client."""

    async def ask(self, method: str, url: str, **request: Any) -> Any: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """Where a service is, and what proves that we may use it."""

    base_url: str
    headers: Mapping[str, str] = field(default_factory=dict)


class Services:
    """Answers calls of children."""

    def __init__(self, client: Client, services: Mapping[str, Service]) -> None:
        self._client = client
        self._services = services

    async def __call__(self, call: Call, file: BinaryIO | None) -> Answered:
        """What the service said. Failures are answers too: the child raises them where it asked."""
        try:
            return Answered(await self._ask(call, file), "", "")
        except SourceUnreachable as error:
            return Answered(None, "SourceUnreachable", str(error))
        except MediamillError as error:
            return Answered(None, "ToolFailed", str(error))

    async def _ask(self, call: Call, file: BinaryIO | None) -> Any:
        service = self._services.get(call.service)
        if service is None:
            raise SourceRefused(f"The service {call.service} is not set up here.")
        if call.method not in ("GET", "POST", "PUT") or not call.path.startswith("/") or "://" in call.path:
            raise SourceRefused("That is no call to a service.")
        headers = {"accept": "application/json", **service.headers}
        size = os.fstat(file.fileno()).st_size if file is not None else 0
        if size > _MOST_SENT:
            raise SourceRefused(f"The file is too large to send: {size} bytes.")
        body: bytes | AsyncIterator[bytes] = b""
        length: int | None = None if call.method == "GET" else 0
        if file is not None and call.form is None:
            headers["content-type"] = call.file[2] if call.file else "application/octet-stream"
            body, length = _read(file), size
        elif call.form is not None:
            boundary = secrets.token_hex(16)
            headers["content-type"] = f"multipart/form-data; boundary={boundary}"
            head, tail = _form(call, boundary, file is not None)
            body, length = _around(head, file, tail), len(head) + size + len(tail)
        elif call.json is not None:
            headers["content-type"] = "application/json"
            body = json.dumps(call.json, ensure_ascii=False).encode()
            length = len(body)
        answer = await self._client.ask(
            call.method,
            service.base_url.rstrip("/") + call.path,
            headers=headers,
            body=body,
            length=length,
            timeout_s=min(_LONGEST_S, call.timeout_s),
            max_bytes=_MOST_ANSWERED,
        )
        return _decoded(call.service, answer.status, answer.body)


def _decoded(service: str, status: int, body: bytes) -> Any:
    try:
        said = json.loads(body) if body else None
    except ValueError:
        said = None
    if status >= 500 or status in _LATER:
        raise SourceUnreachable(f"The service {service} answered {status}{_why(said)}.")
    if not 200 <= status < 300:
        raise SourceRefused(f"The service {service} answered {status}{_why(said)}.")
    if said is None:
        raise SourceRefused(f"The service {service} answered something that is not JSON.")
    return said


def _why(said: Any) -> str:
    """A service's own words, cut short."""
    found = said.get("error", said.get("message", "")) if isinstance(said, dict) else ""
    if isinstance(found, dict):
        found = found.get("message", "")
    text = " ".join(str(found).split())[:300]
    return f": {text}" if text else ""


def _form(call: Call, boundary: str, with_file: bool) -> tuple[bytes, bytes]:
    """What comes before and after the file in a multipart body (RFC 7578)."""
    parts = []
    for name, value in (call.form or {}).items():
        parts.append(f'--{boundary}\r\nContent-Disposition: form-data; name="{_name(name)}"\r\n\r\n{value}\r\n')
    if with_file and call.file is not None:
        field_name, path, mime = call.file
        filename = _name(os.path.basename(path))
        parts.append(
            f'--{boundary}\r\nContent-Disposition: form-data; name="{_name(field_name)}"; filename="{filename}"\r\n'
            f"Content-Type: {mime}\r\n\r\n"
        )
        return "".join(parts).encode(), f"\r\n--{boundary}--\r\n".encode()
    return "".join(parts).encode(), f"--{boundary}--\r\n".encode()


def _name(text: str) -> str:
    if any(ord(letter) < 32 or letter in '"\\' for letter in text):
        raise Invalid("form", "has a name that no form may have")
    return text


async def _read(file: BinaryIO) -> AsyncIterator[bytes]:
    while chunk := await asyncio.to_thread(file.read, _STEP):
        yield chunk


async def _around(head: bytes, file: BinaryIO | None, tail: bytes) -> AsyncIterator[bytes]:
    yield head
    if file is not None:
        async for chunk in _read(file):
            yield chunk
    yield tail
