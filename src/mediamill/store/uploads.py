"""Resumable uploads: how far they are, and the parts their bytes came in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import asyncpg

from mediamill.core.errors import Conflict, NotFound
from mediamill.core.files import File, NewFile
from mediamill.core.ids import new_id
from mediamill.core.uploads import NewUpload, Part, Upload
from mediamill.store.files import arrived, insert_files
from mediamill.store.text import clean

_CREATE = """
INSERT INTO uploads (id, project_id, filename, mime, length, metadata, expires_at)
VALUES ($1, $2, $3, $4, $5, $6, clock_timestamp() + $7::float8 * interval '1 second') RETURNING *
"""
_GET = "SELECT * FROM uploads WHERE id = $1 AND project_id = $2 AND expires_at > now()"
# The offset is the condition: of two requests that bring the same bytes, one finds it moved.
_APPEND = """
WITH moved AS (
    UPDATE uploads SET received = received + $4, length = coalesce(length, $7),
                       expires_at = clock_timestamp() + $8::float8 * interval '1 second'
    WHERE id = $1 AND project_id = $2 AND received = $3 AND file_id IS NULL AND expires_at > now()
    RETURNING *
), kept AS (
    INSERT INTO upload_parts (upload_id, start, blob_key, size_bytes, sha256) SELECT id, $3, $5, $4, $6 FROM moved
)
SELECT * FROM moved
"""
_LENGTH = "UPDATE uploads SET length = $3 WHERE id = $1 AND project_id = $2 AND length IS NULL AND received <= $3"
_PARTS = "SELECT blob_key, size_bytes, sha256 FROM upload_parts WHERE upload_id = $1 ORDER BY start"
_LOCK = "SELECT file_id FROM uploads WHERE id = $1 AND expires_at > now() FOR UPDATE"
_FINISH = """
UPDATE uploads SET file_id = $2, expires_at = clock_timestamp() + $3::float8 * interval '1 second' WHERE id = $1
"""
_DROP_PARTS = "DELETE FROM upload_parts WHERE upload_id = $1"
# A part that comes in the same moment goes by the foreign key; its bytes are then an orphan like any other.
_DELETE = """
WITH gone AS (DELETE FROM uploads WHERE id = $1 AND project_id = $2 RETURNING id),
     parts AS (DELETE FROM upload_parts p USING gone WHERE p.upload_id = gone.id RETURNING p.blob_key)
SELECT id, ARRAY(SELECT blob_key FROM parts) AS keys FROM gone
"""
_EXPIRE = """
WITH due AS (
    SELECT id FROM uploads WHERE expires_at <= now() ORDER BY expires_at LIMIT $1 FOR UPDATE SKIP LOCKED
), parts AS (
    DELETE FROM upload_parts p USING due WHERE p.upload_id = due.id RETURNING p.blob_key
), gone AS (
    DELETE FROM uploads u USING due WHERE u.id = due.id RETURNING u.id
)
SELECT count(*) AS n, ARRAY(SELECT blob_key FROM parts) AS keys FROM gone
"""


def _upload(row: Mapping[str, Any]) -> Upload:
    return Upload(
        id=row["id"],
        project_id=row["project_id"],
        filename=row["filename"],
        mime=row["mime"],
        metadata=row["metadata"],
        length=row["length"],
        received=row["received"],
        file_id=row["file_id"],
        expires_at=row["expires_at"],
    )


class Uploads:
    """The upload tables."""

    def __init__(self, pool: asyncpg.Pool[Any]) -> None:
        self._pool = pool

    async def create(self, new: NewUpload, keep_s: float) -> Upload:
        """Begin an upload."""
        row = await self._pool.fetchrow(
            _CREATE,
            new_id("upload"),
            new.project_id,
            clean(new.filename),
            clean(new.mime) if new.mime is not None else None,
            new.length,
            clean(new.metadata),
            keep_s,
        )
        assert row is not None  # an insert returns its row
        return _upload(row)

    async def get(self, project_id: str, id: str) -> Upload:
        """One that has not expired. Raises NotFound."""
        row = await self._pool.fetchrow(_GET, clean(id), project_id)
        if row is None:
            raise NotFound("upload", id)
        return _upload(row)

    async def append(self, upload: Upload, part: Part, *, length: int | None, keep_s: float) -> Upload:
        """Add a part at the offset `upload` was seen at. Raises Conflict when it has moved since, NotFound."""
        row = await self._pool.fetchrow(
            _APPEND,
            upload.id,
            upload.project_id,
            upload.received,
            part.size_bytes,
            part.key,
            part.sha256,
            length,
            keep_s,
        )
        if row is None:
            now = await self.get(upload.project_id, upload.id)
            raise Conflict(f"The upload has moved on to offset {now.received}.")
        return _upload(row)

    async def set_length(self, project_id: str, id: str, length: int) -> Upload:
        """Say the length of one that was begun without; a known length stays."""
        await self._pool.execute(_LENGTH, id, project_id, length)
        return await self.get(project_id, id)

    async def parts(self, id: str) -> list[Part]:
        """The parts so far, in order."""
        rows = await self._pool.fetch(_PARTS, id)
        return [Part(key=row["blob_key"], size_bytes=row["size_bytes"], sha256=row["sha256"]) for row in rows]

    async def finish(self, id: str, new: NewFile, *, lifetime_s: float | None, keep_s: float) -> File | None:
        """Make the file of a whole upload and let go of its parts; None when another request has. Raises NotFound."""
        async with self._pool.acquire() as connection, connection.transaction():
            row = await connection.fetchrow(_LOCK, id)
            if row is None:
                raise NotFound("upload", id)
            if row["file_id"] is not None:
                return None
            [file] = await insert_files(connection, [(new_id("file"), new, lifetime_s)])
            await arrived(connection, file)
            await connection.execute(_FINISH, id, file.id, keep_s)
            await connection.execute(_DROP_PARTS, id)
            return file

    async def delete(self, project_id: str, id: str) -> Sequence[str]:
        """Forget an upload; the blob keys to remove. Raises NotFound."""
        row = await self._pool.fetchrow(_DELETE, clean(id), project_id)
        if row is None:
            raise NotFound("upload", id)
        keys: list[str] = row["keys"]
        return keys

    async def expire(self, most: int = 500) -> tuple[int, Sequence[str]]:
        """Forget uploads whose time has come: how many, and the blob keys to remove."""
        row = await self._pool.fetchrow(_EXPIRE, most)
        assert row is not None  # a count always comes
        return row["n"], row["keys"]
