"""Callers' own buckets: sources are read from them, results are written to them, with the credentials of a connection.

Through obstore, as our own bytes, with two differences. An endpoint that a caller names is as hostile as a URL: every
connection goes through the guarded tunnel, which judges each address and pins it. And nothing of this machine's own
environment may reach it: obstore reads AWS_* by itself, tokens and encryption keys included, so a worker drops those
variables (`forget_environment`) once its own store is open. Why: docs/why/secrets.md.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
from collections.abc import AsyncIterable, AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from mediamill.core.connections import Access, Place
from mediamill.core.errors import (
    DestinationAway,
    DestinationFailed,
    Failed,
    Misconfigured,
    SourceRefused,
    SourceTooLarge,
    SourceUnreachable,
)

if TYPE_CHECKING:
    from obstore.store import S3Store

_READ_BYTES = 1 << 20
_PART_BYTES = 8 << 20
_MOST_PARTS = 10_000  # what S3 takes
_AT_ONCE = 3
_SILENT_S = 60.0
"""A bucket that sends or takes nothing for so long is away."""
_RETRIES = 3

Progress = Callable[[int, int | None], None]


class Way(Protocol):
    """An open tunnel."""

    @property
    def url(self) -> str: ...
    async def __aenter__(self) -> Way: ...
    async def __aexit__(self, *given: object) -> None: ...


class Net(Protocol):
    """The guarded client."""

    async def check_host(self, url: str) -> None: ...
    def tunnel(self) -> Way: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """An object that is now on disk. `filename` is the last part of its key."""

    size_bytes: int
    sha256: str
    content_type: str | None
    filename: str | None


def forget_environment() -> None:
    """Drop what obstore would read of the environment by itself. For a process that has its own store open."""
    for name in [name for name in os.environ if name.upper().startswith("AWS_")]:
        del os.environ[name]


class Buckets:
    """Reads from and writes to buckets of callers."""

    def __init__(self, net: Net, *, total_s: float) -> None:
        """total_s: the longest that one transfer may take."""
        self._net = net
        self._total_s = total_s

    async def fetch(
        self,
        access: Access,
        place: Place,
        target: Path,
        *,
        on_progress: Progress | None = None,
        max_bytes: int,
    ) -> Fetched:
        """The object, written to `target`; nothing is left there when it raises.

        Raises SourceRefused (not there, not allowed, too large), SourceUnreachable (may work later).
        """
        import obstore

        try:
            async with asyncio.timeout(self._total_s):
                await self._net.check_host(access.endpoint)
                async with self._net.tunnel() as way:
                    found = await obstore.get_async(_store(access, place, way), place.key)
                    size = int(found.meta["size"])
                    if size > max_bytes:
                        raise SourceTooLarge(f"The source is larger than the limit of {max_bytes} bytes.")
                    digest = await _write(found.stream(min_chunk_size=_READ_BYTES), target, size, on_progress)
                    kind = found.attributes.get("Content-Type")
        except BaseException as error:
            target.unlink(missing_ok=True)  # noqa: ASYNC240 - here and now: a cancel must not leave it behind
            raised = _worded(error, place, SourceRefused, SourceUnreachable)
            if raised is error:
                raise
            raise raised from error
        return Fetched(size_bytes=size, sha256=digest, content_type=_media_type(kind), filename=place.name)

    async def push(
        self,
        access: Access,
        place: Place,
        chunks: AsyncIterable[bytes],
        *,
        size_bytes: int,
        mime: str,
        on_progress: Progress | None = None,
    ) -> None:
        """Write the bytes there, over whatever was there before. An object is there whole or not at all.

        Raises DestinationFailed, DestinationAway (may work later).
        """
        import obstore

        sent = 0

        async def counted() -> AsyncIterator[bytes]:
            nonlocal sent
            async for chunk in chunks:
                yield chunk
                sent += len(chunk)
                if on_progress is not None:
                    on_progress(sent, size_bytes)

        try:
            async with asyncio.timeout(self._total_s):
                await self._net.check_host(access.endpoint)
                async with self._net.tunnel() as way:
                    await obstore.put_async(
                        _store(access, place, way),
                        place.key,
                        counted(),
                        attributes={"Content-Type": mime},
                        use_multipart=size_bytes > _PART_BYTES,
                        chunk_size=max(_PART_BYTES, -(-size_bytes // (_MOST_PARTS - 1))),
                        max_concurrency=_AT_ONCE,
                    )
        except BaseException as error:
            raised = _worded(error, place, DestinationFailed, DestinationAway)
            if raised is error:
                raise
            raise raised from error


def _store(access: Access, place: Place, way: Way) -> S3Store:
    """A store of one bucket. Credentials come by a callback: those are never joined with any from elsewhere."""
    from obstore.store import S3Store

    if left := sorted(name for name in os.environ if name.upper().startswith("AWS_")):
        raise Misconfigured(left[0], "would be sent to an endpoint that a caller has named.", "")

    def credentials() -> Any:
        return {
            "access_key_id": access.access_key_id,
            "secret_access_key": access.secret_access_key,
            "token": None,
            "expires_at": None,
        }

    return S3Store(
        place.bucket,
        endpoint=access.endpoint,
        region=access.region,
        virtual_hosted_style_request=False,
        credential_provider=credentials,
        client_options={
            "allow_http": True,
            "proxy_url": way.url,
            # A connection is used once, so that none of another request's bytes can be taken for an answer to this.
            "pool_max_idle_per_host": "0",
            "timeout": "24h",  # of a whole transfer: the tunnel ends those that stand still
            "connect_timeout": "15s",
            "user_agent": "mediamill",
        },
        retry_config={"max_retries": _RETRIES},
    )


async def _write(stream: Any, target: Path, size: int, on_progress: Progress | None) -> str:
    digest, received = hashlib.sha256(), 0

    def put(file: Any, chunk: Any) -> None:
        digest.update(chunk)
        file.write(chunk)

    with target.open("xb", buffering=0) as file:
        async for chunk in stream:
            await asyncio.to_thread(put, file, chunk)
            received += len(chunk)
            if received > size:
                raise SourceRefused("The bucket sent more than it said.")
            if on_progress is not None:
                on_progress(received, size)
    if received != size:
        raise SourceUnreachable("The bucket's answer broke off.")
    return digest.hexdigest()


def _worded(error: BaseException, place: Place, refused: type[Failed], away: type[Failed]) -> BaseException:
    """What went wrong in our words. The library's own name the URL, headers and the endpoint's text: for logs only."""
    from obstore.exceptions import BaseError, InvalidPathError, PermissionDeniedError, UnauthenticatedError

    match error:
        case SourceRefused() | SourceUnreachable() if not isinstance(error, refused | away):
            return (refused if isinstance(error, SourceRefused) else away)(str(error))
        case FileNotFoundError():
            return refused(f"There is no {place.url}, or no bucket of that name.")
        case PermissionDeniedError() | UnauthenticatedError():
            return refused(f"The bucket does not let this connection at {place.url}.")
        case InvalidPathError():
            return refused(f"The bucket cannot hold a key like that of {place.url}.")
        case TimeoutError():
            return away(f"The bucket {place.bucket} took too long.")
        case BaseError():
            status = _status(error)
            if status is not None and 400 <= status < 500 and status not in (408, 425, 429):
                return refused(f"The bucket {place.bucket} answered {status}.")
            return away(f"The bucket {place.bucket} {f'answered {status}' if status else 'could not be reached'}.")
    return error


def _status(error: BaseException) -> int | None:
    """The status of the endpoint's answer, which obstore tells in its text alone."""
    found = re.search(r"status code: (\d{3})", str(error))
    return int(found.group(1)) if found else None


def _media_type(value: Any) -> str | None:
    word = str(value or "").split(";", 1)[0].strip().lower()
    return word or None
