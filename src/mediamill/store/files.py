"""Files: registering, the end of an upload, deletion and expiry. Their bytes are the business of `blobs`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import asyncpg

from mediamill import queue
from mediamill.core import formats
from mediamill.core.dispatch import FILE_JOB
from mediamill.core.errors import Conflict, NotFound
from mediamill.core.files import File, FileList, NewFile
from mediamill.core.ids import new_id
from mediamill.core.tasks import Page
from mediamill.store import rows
from mediamill.store.automations import on_new_medium
from mediamill.store.awaited import came
from mediamill.store.text import clean, dumps

_INSERT = """
INSERT INTO files (id, project_id, filename, mime, claimed_mime, size_bytes, sha256, blob_key, state, facts, public,
                   dialect, expires_at)
SELECT id, project_id, filename, mime, claimed_mime, size_bytes, sha256, blob_key,
       CASE WHEN blob_key IS NULL THEN 'awaiting' ELSE 'ready' END, facts, public, dialect,
       clock_timestamp() + lifetime_s * interval '1 second'
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::bigint[], $7::text[], $8::text[],
            $9::jsonb[], $10::boolean[], $11::text[], $12::float8[])
AS f (id, project_id, filename, mime, claimed_mime, size_bytes, sha256, blob_key, facts, public, dialect, lifetime_s)
RETURNING *
"""
_LIVE = "state <> 'gone' AND (expires_at IS NULL OR expires_at > now())"
_GET = f"SELECT * FROM files WHERE id = $1 AND ($2::text IS NULL OR project_id = $2) AND {_LIVE}"
_GET_MANY = f"SELECT * FROM files WHERE id = ANY($1::text[]) AND {_LIVE}"
_UPLOADED = f"""
UPDATE files SET state = 'ready', blob_key = $2, size_bytes = $3, sha256 = $4, mime = $5,
                 claimed_mime = coalesce(claimed_mime, mime),
                 facts = $6::jsonb, updated_at = clock_timestamp()
WHERE id = $1 AND state = 'awaiting' AND {_LIVE} RETURNING *
"""
_DELETE = f"""
WITH gone AS (
    SELECT id, blob_key FROM files
    WHERE id = $2 AND ($1::text IS NULL OR project_id = $1) AND {_LIVE} FOR UPDATE
)
UPDATE files f SET state = 'gone', blob_key = NULL, facts = '{{}}', updated_at = clock_timestamp()
FROM gone WHERE f.id = gone.id RETURNING f.id, gone.blob_key
"""
_EXPIRED = """
WITH due AS (
    SELECT id, blob_key FROM files WHERE state <> 'gone' AND expires_at <= now()
    ORDER BY expires_at LIMIT $1 FOR UPDATE SKIP LOCKED
)
UPDATE files f SET state = 'gone', blob_key = NULL, facts = '{}', updated_at = clock_timestamp()
FROM due WHERE f.id = due.id RETURNING f.id, due.blob_key
"""
_FACTS = "UPDATE files SET facts = $2::jsonb WHERE id = $1 AND facts = '{}'"
_ANNOUNCE = """
INSERT INTO events (project_id, file_id, type) SELECT $1, $2, 'file.ready' WHERE EXISTS (
    SELECT FROM endpoints e WHERE e.project_id = $1 AND e.state = 'active' AND 'file.ready' = ANY(e.types))
"""
_STILL_USED = """
SELECT blob_key FROM files WHERE blob_key = ANY($1::text[])
UNION SELECT blob_key FROM upload_parts WHERE blob_key = ANY($1::text[])
"""


async def insert_files(connection: Any, new: Sequence[tuple[str, NewFile, float | None]]) -> list[File]:
    """Write (id, file, lifetime in seconds or None) rows in the transaction of `connection`."""
    if not new:
        return []
    table = [
        (
            id,
            f.project_id,
            f.filename,
            f.mime,
            f.claimed_mime,
            f.size_bytes,
            f.sha256,
            f.blob_key,
            dumps(dict(f.facts or {})),
            f.public,
            f.dialect,
            lifetime_s,
        )
        for id, f, lifetime_s in new
    ]
    found = await connection.fetch(_INSERT, *[list(column) for column in zip(*table, strict=True)])
    return [rows.file(row) for row in found]


async def ask_for_facts(connection: Any, file: File) -> None:
    """Have a worker look for the facts of a file whose bytes are here, in the transaction of `connection`.

    Not here: what a stranger sent is only ever parsed in a confined child. Tasks go first, and note what they see.
    """
    if file.ready and not file.facts and formats.family(file.mime) in formats.PROBED:
        await queue.enqueue(connection, [queue.Entry("io", f"{FILE_JOB}{file.id}", priority=-50)])


async def arrived(connection: Any, file: File) -> None:
    """What follows when a caller's file is here, in the transaction of `connection`."""
    if file.ready:
        await came(connection, [file.id])
    await ask_for_facts(connection, file)
    await on_new_medium(connection, file)
    if file.ready:
        await announce(connection, file)


async def announce(connection: Any, file: File) -> None:
    """Tell those who want to hear of new files; where nobody does, nothing is written."""
    await connection.execute(_ANNOUNCE, file.project_id, file.id)


class Files:
    """The file table."""

    def __init__(self, pool: asyncpg.Pool[Any]) -> None:
        self._pool = pool

    async def create(self, new: NewFile, lifetime_s: float | None) -> File:
        """Register a file; see NewFile for whether its bytes are here."""
        async with self._pool.acquire() as connection, connection.transaction():
            [file] = await insert_files(connection, [(new_id("file"), new, lifetime_s)])
            await arrived(connection, file)
        return file

    async def get(self, id: str, project_id: str | None) -> File:
        """A live file; project None is for holders of a signed URL. Raises NotFound."""
        row = await self._pool.fetchrow(_GET, clean(id), project_id)
        if row is None:
            raise NotFound("file", id)
        return rows.file(row)

    async def dialect_of(self, id: str) -> str | None:
        """The dialect a file was made in, even when it is gone; None for one that never was."""
        found: str | None = await self._pool.fetchval("SELECT dialect FROM files WHERE id = $1", id)
        return found

    async def get_many(self, ids: Sequence[str]) -> list[File | None]:
        """Live files by id, in order; None for unknown ids. Not confined to a project."""
        found = {row["id"]: rows.file(row) for row in await self._pool.fetch(_GET_MANY, [clean(id) for id in ids])}
        return [found.get(id) for id in ids]

    async def list(self, project_id: str, page: Page) -> FileList:
        """One page of a project's live files."""
        sql, arguments = rows.list_files(project_id, page)
        found = [rows.file(row) for row in await self._pool.fetch(sql, *arguments)]
        return FileList(items=rows.in_order(found, page), more=len(found) > page.limit)

    async def uploaded(
        self, id: str, *, blob_key: str, size_bytes: int, sha256: str, mime: str, facts: Mapping[str, Any]
    ) -> File:
        """The bytes have come. Raises Conflict when they had come before, NotFound when the file is gone."""
        async with self._pool.acquire() as connection, connection.transaction():
            row = await connection.fetchrow(_UPLOADED, id, blob_key, size_bytes, sha256, mime, dumps(dict(facts)))
            if row is not None:
                file = rows.file(row)
                await arrived(connection, file)
                return file
        await self.get(id, None)
        raise Conflict("The file has its bytes already.")

    async def probed(self, id: str, facts: Mapping[str, Any], job_id: int) -> None:
        """Facts that were asked for have been looked for; those that are there already stay."""
        async with self._pool.acquire() as connection, connection.transaction():
            await connection.execute(_FACTS, id, dumps(dict(facts)))
            await queue.complete(connection, [job_id])

    async def delete(self, project_id: str | None, id: str) -> str | None:
        """Forget a file; the blob key to remove, if any. Raises NotFound."""
        async with self._pool.acquire() as connection, connection.transaction():
            row = await connection.fetchrow(_DELETE, project_id, clean(id))
            if row is None:
                raise NotFound("file", id)
            await came(connection, [row["id"]])
        key: str | None = row["blob_key"]
        return key

    async def expire(self, most: int = 500) -> Sequence[str]:
        """Forget files whose time has come; the blob keys to remove."""
        async with self._pool.acquire() as connection, connection.transaction():
            gone = await connection.fetch(_EXPIRED, most)
            await came(connection, [row["id"] for row in gone])
        return [row["blob_key"] for row in gone if row["blob_key"]]

    async def unused(self, keys: Sequence[str]) -> Sequence[str]:
        """Those of the blob keys that no file and no unfinished upload refers to."""
        used = {row["blob_key"] for row in await self._pool.fetch(_STILL_USED, list(keys))}
        return [key for key in keys if key not in used]
