"""Media and the files in them. A file that a task made joins the media of what it was made from, as the task ends."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import asyncpg

from mediamill.core.errors import NotFound
from mediamill.core.files import NewFile
from mediamill.core.ids import ProjectId, new_id
from mediamill.core.media_groups import MOST_COUNTED, Held, HeldList, Media, MediaList, Place
from mediamill.store import rows
from mediamill.store.automations import on_new_medium
from mediamill.store.files import announce, arrived, ask_for_facts, insert_files
from mediamill.store.text import clean, dumps

_LIVE = "f.state <> 'gone' AND (f.expires_at IS NULL OR f.expires_at > now())"
_HELD = f"""
SELECT f.*, (SELECT k.state FROM tasks k WHERE k.id = f.task_id AND f.state = 'awaiting') AS task_state
FROM files f WHERE f.project_id = $1 AND f.media_id IS NOT NULL AND {_LIVE}
"""
_COUNT = f"""
SELECT count(*) FROM (
    SELECT 1 FROM files f WHERE f.project_id = $1 AND f.media_id IS NOT NULL AND {_LIVE} LIMIT {MOST_COUNTED}
) x
"""
_COUNT_MEDIA = f"SELECT count(*) FROM (SELECT 1 FROM media WHERE project_id = $1 LIMIT {MOST_COUNTED}) x"
_FILES_OF = f"""
SELECT f.*, (SELECT k.state FROM tasks k WHERE k.id = f.task_id AND f.state = 'awaiting') AS task_state
FROM files f WHERE f.media_id = ANY($1::text[]) AND {_LIVE} ORDER BY f.created_at, f.id
"""
_BY_NAME = """
SELECT f.* FROM files f
WHERE f.project_id = $1 AND f.filename = $2 AND f.folder IS NOT DISTINCT FROM $3 AND f.media_id IS NOT NULL
      AND f.state = 'ready' AND (f.expires_at IS NULL OR f.expires_at > now())
ORDER BY f.created_at DESC, f.id DESC LIMIT 1
"""
_ADD_MEDIA = """
INSERT INTO media (id, project_id, title, alt, metadata) VALUES ($1, $2, $3, $4, $5::jsonb) RETURNING *
"""
_PLACE = """
UPDATE files SET media_id = $2, folder = $3, ref = $4, metadata = $5::jsonb, original = $6, created_by = $7
WHERE id = $1 RETURNING *
"""
# A package of many files goes with the one that was asked for.
_DELETE = f"""
WITH wanted AS (
    SELECT f.* FROM files f WHERE f.project_id = $1 AND {_LIVE} AND f.media_id IS NOT NULL
    AND (f.id = $2 OR f.media_id = $3)
), gone AS (
    SELECT id, blob_key FROM wanted
    UNION SELECT f.id, f.blob_key FROM files f JOIN wanted w ON f.task_id = w.task_id
    WHERE f.media_id IS NULL AND f.state <> 'gone'
)
UPDATE files f SET state = 'gone', blob_key = NULL, facts = '{{}}', updated_at = clock_timestamp()
FROM gone WHERE f.id = gone.id RETURNING gone.blob_key
"""
_OUTPUT = f"""
SELECT f.* FROM tasks t, jsonb_array_elements(t.outputs) AS o JOIN files f ON f.id = o ->> 'file'
WHERE t.id = $1 AND f.filename = $2 AND f.state = 'ready' AND {_LIVE}
ORDER BY o ->> 'role' <> 'result' LIMIT 1
"""
_ENDED = "SELECT id, project_id, run_id, kind, inputs, outputs FROM tasks WHERE id = ANY($1::text[]) ORDER BY id"
_LOCK = "SELECT id, media_id, state FROM files WHERE id = ANY($1::text[]) ORDER BY id FOR UPDATE"
_JOIN = """
UPDATE files f SET
    media_id = $2, task_id = $3, made_by = $4, created_by = coalesce(f.created_by, $5), original = $6,
    filename = coalesce($7, f.filename), folder = coalesce($8, f.folder), ref = coalesce($9, f.ref)
WHERE id = $1
"""
_MADE = "UPDATE files SET task_id = $2, made_by = $3 WHERE id = ANY($1::text[])"
_FIRST = "UPDATE files SET media_id = $2, original = true WHERE id = $1 AND media_id IS NULL"
_FILL = """
UPDATE files f SET
    state = 'ready', blob_key = r.blob_key, size_bytes = r.size_bytes, sha256 = r.sha256, mime = r.mime,
    claimed_mime = r.claimed_mime, facts = r.facts, updated_at = clock_timestamp(),
    filename = CASE WHEN $3 THEN r.filename ELSE f.filename END
FROM files r WHERE f.id = $1 AND r.id = $2 AND f.state = 'awaiting' RETURNING f.id
"""
_DROP = "DELETE FROM files WHERE id = ANY($1::text[]) AND media_id IS NULL"
_ALONE = """
SELECT f.* FROM files f WHERE f.id = $1 AND NOT EXISTS (
    SELECT 1 FROM files o WHERE o.media_id = f.media_id AND o.id <> f.id AND o.state = 'ready'
)
"""
_REPOINT = "UPDATE tasks SET inputs = $2::jsonb, outputs = $3::jsonb WHERE id = $1"


async def join(connection: Any, placed: Mapping[str, Mapping[str, Any]]) -> None:
    """Put what ended tasks made into media, in the transaction of their end. placed: what each task's dialect wants, by
    task: `filename`, `folder`, `ref`, and `file`, the awaited file that the result is to become.
    """
    for row in await connection.fetch(_ENDED, list(placed)):
        await _join(connection, row, placed[row["id"]])


async def _join(connection: Any, row: Any, wanted: Mapping[str, Any]) -> None:
    result = next((o["file"] for o in row["outputs"] if o["role"] == "result"), None)
    if result is None:
        return
    others = [o["file"] for o in row["outputs"] if o["file"] != result]
    source = row["inputs"][0] if row["inputs"] else {}
    fetched = source.get("file")
    copied = row["kind"] == "ingest" and source.get("url") is not None
    locked = await connection.fetch(_LOCK, [id for id in (fetched, wanted.get("file")) if id])
    held = {file["id"]: file for file in locked if file["state"] != "gone"}
    awaited = held.get(wanted.get("file"))
    if awaited is not None and awaited["state"] == "awaiting":
        await connection.fetchval(_FILL, awaited["id"], result, "filename" not in wanted)
        await connection.execute("DELETE FROM files WHERE id = $1", result)
        result = awaited["id"]
    media = awaited["media_id"] if awaited is not None else None
    if copied:
        # The same bytes twice: what was fetched is let go of, and the copy stands for it.
        await connection.execute(_DROP, [fetched])
        inputs = [{**source, "file": result}, *row["inputs"][1:]]
        outputs = [{**o, "file": result} if o["role"] == "result" else o for o in row["outputs"]]
        await connection.execute(_REPOINT, row["id"], dumps(inputs), dumps(outputs))
    elif fetched in held:
        media = media or held[fetched]["media_id"]
    if media is None:
        media = new_id("media")
        await connection.fetchrow(_ADD_MEDIA, media, row["project_id"], None, None, None)
    if fetched and not copied:
        await connection.execute(_FIRST, fetched, media)
    await connection.execute(
        _JOIN,
        result,
        media,
        row["id"],
        row["kind"],
        row["run_id"],
        copied,
        wanted.get("filename"),
        wanted.get("folder"),
        wanted.get("ref"),
    )
    if others:
        await connection.execute(_MADE, others, row["id"], row["kind"])
    if copied and awaited is not None:
        # What was waited for is here; automations start with the first that a media holds.
        await announce(connection, rows.file(await connection.fetchrow("SELECT * FROM files WHERE id = $1", result)))
        if (first := await connection.fetchrow(_ALONE, result)) is not None:
            await on_new_medium(connection, rows.file(first))


class MediaTable:
    """The media table, and the files that are in a media."""

    def __init__(self, pool: asyncpg.Pool[Any]) -> None:
        self._pool = pool

    async def add(self, project_id: str, title: str | None, alt: str | None, metadata: Any) -> Media:
        """A new media without files."""
        row = await self._pool.fetchrow(
            _ADD_MEDIA, new_id("media"), project_id, _text(title), _text(alt), _json(metadata)
        )
        return _media(row, [])

    async def get(self, project_id: str, id: str) -> Media:
        """One media with its files. Raises NotFound."""
        row = await self._pool.fetchrow("SELECT * FROM media WHERE project_id = $1 AND id = $2", project_id, clean(id))
        if row is None:
            raise NotFound("media", id)
        return (await self._filled([row]))[0]

    async def list(self, project_id: str, *, limit: int, skip: int, ascending: bool = False) -> MediaList:
        """One page of a project's media."""
        way = "ASC" if ascending else "DESC"
        found = await self._pool.fetch(
            f"SELECT * FROM media WHERE project_id = $1 ORDER BY created_at {way}, id {way} LIMIT $2 OFFSET $3",
            project_id,
            limit,
            skip,
        )
        return MediaList(items=await self._filled(found), total=await self._pool.fetchval(_COUNT_MEDIA, project_id))

    async def change(self, project_id: str, id: str, changes: Mapping[str, Any]) -> Media:
        """Write `title`, `alt`, `metadata`, those that are there. Raises NotFound."""
        row = await _changed(self._pool, "media", project_id, id, changes)
        if row is None:
            raise NotFound("media", id)
        return (await self._filled([row]))[0]

    async def delete(self, project_id: str, id: str) -> Sequence[str]:
        """Forget a media and its files; the blob keys to remove. Raises NotFound."""
        async with self._pool.acquire() as connection, connection.transaction():
            gone = await connection.fetchval(
                "DELETE FROM media WHERE project_id = $1 AND id = $2 RETURNING id", project_id, clean(id)
            )
            if gone is None:
                raise NotFound("media", id)
            found = await connection.fetch(_DELETE, project_id, None, gone)
        return [row["blob_key"] for row in found if row["blob_key"]]

    async def place(self, new: NewFile, place: Place, lifetime_s: float | None) -> Held:
        """A new file in a media of the project, made when the place names none. Raises NotFound."""
        async with self._pool.acquire() as connection, connection.transaction():
            media = place.media_id
            if media is None:
                media = new_id("media")
                await connection.fetchrow(_ADD_MEDIA, media, new.project_id, None, None, None)
            elif not await connection.fetchval(
                "SELECT true FROM media WHERE project_id = $1 AND id = $2 FOR SHARE", new.project_id, clean(media)
            ):
                raise NotFound("media", media)
            [file] = await insert_files(connection, [(new_id("file"), new, lifetime_s)])
            row = await connection.fetchrow(
                _PLACE,
                file.id,
                media,
                _text(place.folder),
                _text(place.ref),
                _json(place.metadata),
                place.original,
                place.created_by,
            )
            await (arrived if place.media_id is None else ask_for_facts)(connection, file)
        return _held(row)

    async def fetched_by(self, id: str, task_id: str) -> None:
        """Note which task is to fetch an awaited file."""
        await self._pool.execute("UPDATE files SET task_id = $2 WHERE id = $1 AND task_id IS NULL", id, task_id)

    async def abandon(self, project_id: str, id: str, *, made_media: str | None) -> None:
        """Take back a file whose bytes could not be fetched, and the media that was made for it if it is empty."""
        async with self._pool.acquire() as connection, connection.transaction():
            await connection.execute(_DELETE, project_id, id, None)
            if made_media is not None:
                await connection.execute(
                    f"DELETE FROM media WHERE project_id = $1 AND id = $2 "
                    f"AND NOT EXISTS (SELECT 1 FROM files f WHERE f.media_id = $2 AND {_LIVE})",
                    project_id,
                    made_media,
                )

    async def file(self, project_id: str, id: str) -> Held:
        """One file of a media. Raises NotFound."""
        row = await self._pool.fetchrow(f"{_HELD} AND f.id = $2", project_id, clean(id))
        if row is None:
            raise NotFound("file", id)
        return _held(row)

    async def files(self, project_id: str, *, limit: int, skip: int, ascending: bool = False) -> HeldList:
        """One page of the files of a project's media."""
        way = "ASC" if ascending else "DESC"
        found = await self._pool.fetch(
            f"{_HELD} ORDER BY f.created_at {way}, f.id {way} LIMIT $2 OFFSET $3", project_id, limit, skip
        )
        return HeldList(items=[_held(row) for row in found], total=await self._pool.fetchval(_COUNT, project_id))

    async def change_file(self, project_id: str, id: str, changes: Mapping[str, Any]) -> Held:
        """Write `filename`, `folder`, `ref`, `metadata`, those that are there. Raises NotFound."""
        await self.file(project_id, id)
        await _changed(self._pool, "files", project_id, id, changes)
        return await self.file(project_id, id)

    async def delete_file(self, project_id: str, id: str) -> Sequence[str]:
        """Forget a file, and what came in one package with it; the blob keys to remove. Raises NotFound."""
        found = await self._pool.fetch(_DELETE, project_id, clean(id), None)
        if not found:
            raise NotFound("file", id)
        return [row["blob_key"] for row in found if row["blob_key"]]

    async def by_name(self, project_id: str, folder: str | None, filename: str) -> Held:
        """The newest file of that name in that folder. Raises NotFound."""
        row = await self._pool.fetchrow(_BY_NAME, project_id, clean(filename), _text(folder))
        if row is None:
            raise NotFound("file", filename)
        return _held(row)

    async def output(self, task_id: str, filename: str) -> Held:
        """What a task made under that name, of whatever project. Raises NotFound."""
        row = await self._pool.fetchrow(_OUTPUT, clean(task_id), clean(filename))
        if row is None:
            raise NotFound("file", filename)
        return _held(row)

    async def _filled(self, found: Sequence[Any]) -> Sequence[Media]:
        files: dict[str, Any] = {row["id"]: [] for row in found}
        if files:
            for row in await self._pool.fetch(_FILES_OF, list(files)):
                files[row["media_id"]].append(_held(row))
        return [_media(row, files[row["id"]]) for row in found]


_COLUMNS = {"title": "text", "alt": "text", "metadata": "jsonb", "filename": "text", "folder": "text", "ref": "text"}


async def _changed(pool: Any, table: str, project_id: str, id: str, changes: Mapping[str, Any]) -> Any:
    names = [name for name in _COLUMNS if name in changes]
    sets = [f"{name} = ${n + 3}::{_COLUMNS[name]}" for n, name in enumerate(names)]
    values = [_json(changes[name]) if name == "metadata" else _text(changes[name]) for name in names]
    return await pool.fetchrow(
        f"UPDATE {table} SET {', '.join([*sets, 'updated_at = clock_timestamp()'])} "
        "WHERE project_id = $1 AND id = $2 RETURNING *",
        project_id,
        clean(id),
        *values,
    )


def _text(value: str | None) -> str | None:
    return clean(value) if value is not None else None


def _json(value: Any) -> str | None:
    return dumps(value) if value is not None else None


def _held(row: Any) -> Held:
    task = row.get("task_state")
    return Held(file=rows.file(row), failed=task in ("failed", "cancelled"))


def _media(row: Any, files: Sequence[Held]) -> Media:
    return Media(
        id=row["id"],
        project_id=ProjectId(row["project_id"]),
        title=row["title"],
        alt=row["alt"],
        metadata=row["metadata"],
        files=files,
        created_at=row["created_at"],
        updated_at=row["updated_at"],
    )
