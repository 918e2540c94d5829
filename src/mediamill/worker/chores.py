"""What must be done now and then: files whose time has come, bytes nobody refers to, rows that have had their day."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Protocol

import structlog

log = structlog.get_logger()

_ORPHAN_AGE = timedelta(hours=24)
_ORPHANS_EVERY = timedelta(hours=6)


class Blobs(Protocol):
    """The bytes."""

    async def delete(self, keys: Sequence[str]) -> None: ...
    def older_than(self, instant: datetime) -> AsyncIterator[list[str]]: ...


class Files(Protocol):
    """The file table."""

    async def expire(self, most: int = 500) -> Sequence[str]: ...
    async def unused(self, keys: Sequence[str]) -> Sequence[str]: ...


class Uploads(Protocol):
    """The upload tables."""

    async def expire(self, most: int = 500) -> tuple[int, Sequence[str]]: ...


class Deliveries(Protocol):
    """The delivery table."""

    async def prune(self, days: float) -> int: ...


class Retention(Protocol):
    """How long events and tasks are kept."""

    async def forget(self, older_s: float) -> int: ...


def expire_files(files: Files, blobs: Blobs) -> Callable[[], Awaitable[None]]:
    """Forget expired files and their bytes."""

    async def chore() -> None:
        while keys := await files.expire():
            await blobs.delete(keys)
            log.info("files expired", count=len(keys))

    return chore


def expire_uploads(uploads: Uploads, blobs: Blobs) -> Callable[[], Awaitable[None]]:
    """Forget resumable uploads that nobody went on with in time, and their bytes."""

    async def chore() -> None:
        while (found := await uploads.expire())[0]:
            count, keys = found
            await blobs.delete(keys)
            log.info("uploads expired", count=count)

    return chore


def remove_orphans(files: Files, blobs: Blobs) -> Callable[[], Awaitable[None]]:
    """Remove bytes that no file has referred to for a day: a crash between storing and recording leaves such."""
    due = datetime.now(UTC) + timedelta(minutes=10)

    async def chore() -> None:
        nonlocal due
        now = datetime.now(UTC)
        if now < due:
            return
        due = now + _ORPHANS_EVERY
        async for keys in blobs.older_than(now - _ORPHAN_AGE):
            orphans = await files.unused(keys)
            if orphans:
                await blobs.delete(orphans)
                log.info("orphaned bytes removed", count=len(orphans))

    return chore


def forget_deliveries(deliveries: Deliveries, days: float) -> Callable[[], Awaitable[None]]:
    """Forget deliveries that ended so many days ago."""

    async def chore() -> None:
        while await deliveries.prune(days):
            continue

    return chore


def forget_history(retention: Retention, days: float | None) -> Callable[[], Awaitable[None]]:
    """Forget events and tasks that ended so many days ago; None keeps them."""

    async def chore() -> None:
        while days is not None and await retention.forget(days * 86400.0):
            continue

    return chore
