"""Rows to records, and the one query behind every list: keyset pages, never an offset, never a count."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, TypeVar

from mediamill.core.files import File, FileState
from mediamill.core.ids import FileId, ProjectId, RunId, TaskId
from mediamill.core.tasks import (
    LAZY,
    NO_ORIGIN,
    Attempt,
    Cursor,
    Failure,
    Filter,
    Input,
    Origin,
    Output,
    Page,
    Stage,
    State,
    Task,
)
from mediamill.store.text import clean

Row = Mapping[str, Any]
T = TypeVar("T")

_LIVE = "f.state <> 'gone' AND (f.expires_at IS NULL OR f.expires_at > now())"
TASK = f"""
t.id, t.project_id, t.run_id, t.kind, t.dialect, t.state, t.stage, t.progress, t.options, t.extra, t.metadata,
t.priority, t.not_before, t.attempt, t.attempts_left, t.max_attempts, t.cancel_requested, t.error, t.details,
t.retry_of, t.parent_id, t.place, t.ref, t.created_at, t.updated_at, t.started_at, t.finished_at,
t.identifier, t.schedule_id, t.due_at, t.caller_id, t.root_id, t.depth, t.batch_id, t.tags, t.ttl_s,
t.expires_at, t.hold,
CASE WHEN t.inputs = '[]' THEN t.inputs ELSE (
    SELECT jsonb_agg(
        jsonb_build_object('url', x.i ->> 'url', 'connection', x.i ->> 'connection', 'file', to_jsonb(f)) ORDER BY x.n
    )
    FROM jsonb_array_elements(t.inputs) WITH ORDINALITY AS x (i, n)
    LEFT JOIN files f ON f.id = x.i ->> 'file' AND {_LIVE}
) END AS inputs,
CASE WHEN t.outputs = '[]' THEN t.outputs ELSE (
    SELECT jsonb_agg(jsonb_build_object('role', x.o ->> 'role', 'file', to_jsonb(f)) ORDER BY x.n)
    FROM jsonb_array_elements(t.outputs) WITH ORDINALITY AS x (o, n)
    LEFT JOIN files f ON f.id = x.o ->> 'file' AND {_LIVE}
) END AS outputs
"""
TASK_WITH_ATTEMPTS = f"""{TASK},
(SELECT coalesce(jsonb_agg(to_jsonb(a) ORDER BY a.number), '[]') FROM attempts a WHERE a.task_id = t.id) AS attempts
"""


def instant(value: datetime | str | None) -> datetime | None:
    """An instant out of a column or out of JSON."""
    # A column of its own comes as a datetime, one inside to_jsonb as ISO text.
    return datetime.fromisoformat(value) if isinstance(value, str) else value


def _at(value: datetime | str) -> datetime:
    found = instant(value)
    assert found is not None
    return found


def failure(value: Row | None) -> Failure | None:
    """An `error` column."""
    return Failure(**value) if value else None


def file(row: Row) -> File:
    """A row of `files`, or its to_jsonb."""
    return File(
        id=FileId(row["id"]),
        project_id=ProjectId(row["project_id"]),
        filename=row["filename"],
        mime=row["mime"],
        claimed_mime=row["claimed_mime"],
        size_bytes=row["size_bytes"],
        sha256=row["sha256"],
        blob_key=row["blob_key"],
        state=FileState(row["state"]),
        facts=row["facts"],
        public=row["public"],
        dialect=row["dialect"],
        media_id=row["media_id"],
        task_id=row["task_id"],
        made_by=row["made_by"],
        folder=row["folder"],
        ref=row["ref"],
        original=row["original"],
        metadata=row["metadata"],
        created_by=row["created_by"],
        created_at=_at(row["created_at"]),
        updated_at=_at(row["updated_at"]),
        expires_at=instant(row["expires_at"]),
    )


def _attempt(row: Row) -> Attempt:
    started_at = _at(row["started_at"])
    return Attempt(
        number=row["number"],
        worker=row["worker"],
        state=row["state"],
        stage=row["stage"],
        stages=[Stage(name=name, started_at=started_at + timedelta(seconds=s)) for name, s in row["stages"]],
        started_at=started_at,
        finished_at=instant(row["finished_at"]),
        error=failure(row["error"]),
        log=row["log"],
    )


def _input(row: Row) -> Input:
    found = file(row["file"]) if row["file"] else None
    return Input(file=found, url=row.get("url"), connection=row.get("connection"))


def task(row: Row) -> Task:
    """A row selected by TASK or TASK_WITH_ATTEMPTS."""
    return Task(
        id=TaskId(row["id"]),
        project_id=ProjectId(row["project_id"]),
        run_id=RunId(row["run_id"]),
        kind=row["kind"],
        dialect=row["dialect"],
        state=State(row["state"]),
        stage=row["stage"],
        progress=row["progress"],
        options=row["options"],
        extra=row["extra"],
        metadata=row["metadata"],
        priority=row["priority"],
        not_before=row["not_before"],
        attempt=row["attempt"],
        attempts_left=row["attempts_left"],
        max_attempts=row["max_attempts"],
        cancel_requested=row["cancel_requested"],
        error=failure(row["error"]),
        details=row["details"],
        inputs=[_input(i) for i in row["inputs"]],
        outputs=[Output(file=file(o["file"]) if o["file"] else None, role=o["role"]) for o in row["outputs"]],
        attempts=[_attempt(a) for a in row.get("attempts") or ()],
        retry_of=row["retry_of"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
        started_at=row["started_at"],
        finished_at=row["finished_at"],
        parent_id=row["parent_id"],
        place=row["place"],
        ref=row["ref"],
        origin=_origin(row),
        expires_at=row["expires_at"],
    )


def _origin(row: Row) -> Origin:
    if row["identifier"] is None and row["caller_id"] is None and not row["tags"] and row["ttl_s"] is None:
        return NO_ORIGIN
    return Origin(**{name: row[name] for name in Origin.__dataclass_fields__})


class Arguments:
    """Numbers the parameters of a query as they are named."""

    def __init__(self) -> None:
        self.values: list[Any] = []

    def __call__(self, value: Any) -> str:
        self.values.append(value)
        return f"${len(self.values)}"


def _window(page: Page, alias: str, put: Arguments, word: str | None = None) -> tuple[list[str], str]:
    """(conditions, direction) of the rows a page is cut from; see `in_order` for its second half.

    word: the column that the walked index has before the date, held to `w.word`.
    """
    backwards = page.before is not None and page.after is None
    descending = not page.ascending
    conditions = []
    # The column goes into the comparison, so that the index is entered at the cursor and not at the word's first row.
    left, right = (f"{alias}.{word}, ", "w.word, ") if word else ("", "")

    def beyond(cursor: Cursor, sign: str) -> str:
        place = f"({right}{put(cursor.at)}::timestamptz, {put(cursor.id)}::text)"
        return f"({left}{alias}.created_at, {alias}.id) {sign} {place}"

    if page.after is not None:
        conditions.append(beyond(page.after, "<" if descending else ">"))
    if page.before is not None:
        conditions.append(beyond(page.before, ">" if descending else "<"))
    return conditions, "DESC" if descending != backwards else "ASC"


def in_order(found: Sequence[T], page: Page) -> list[T]:
    """Cut the one row too many that tells whether there are more, and turn a backward walk round."""
    kept = list(found[: page.limit])
    return kept[::-1] if page.before is not None and page.after is None else kept


_SEARCHED = 20_000
"""How many of the newest rows a search by text looks at: it has no index of its own."""


def list_tasks(project_id: str, page: Page, filter: Filter) -> tuple[str, list[Any]]:
    """The query of one page and its arguments; it asks for one row more than the page shows."""
    put = Arguments()
    driver = "state" if filter.states is not None else "kind" if filter.kinds is not None else None
    window, direction = _window(page, "t", put, driver)
    order = f"t.created_at {direction}, t.id {direction}"
    conditions, words = _matching(project_id, filter, put)
    conditions += window
    # What is left out is walked over, too: by number, one walk by date is the shorter way.
    for column, values in words if page.skip else words[1:]:
        conditions.append(_one_of(column, values, put))
    where = " AND ".join(conditions)
    limit = put(page.limit + 1 + page.skip)
    if words and not page.skip:
        # One short index walk for each word, merged: a filter that matches little must not read the whole project.
        column, values = words[0]
        # A cursor bounds the word on its side already; saying so twice would let the index start at the wrong one.
        bounds = [f"t.{column} {sign}= w.word" for sign in "><" if not any(f") {sign} (" in part for part in window)]
        source = (
            f"SELECT t.* FROM unnest({put(list(values))}::text[]) AS w (word) CROSS JOIN LATERAL ("
            # Not "=": the planner would take the word for a constant, and walk the whole project by date in the
            # hope of finding it. As a range it has to be ordered by, which only the word's own index can do.
            f"SELECT t.* FROM tasks t WHERE {' AND '.join([where, *bounds])} "
            f"ORDER BY t.{column} {direction}, {order} "
            f"LIMIT {put(_SEARCHED) if filter.text else limit}) t"
        )
    else:
        source = (
            f"SELECT t.* FROM tasks t WHERE {where} ORDER BY {order} LIMIT {put(_SEARCHED) if filter.text else limit}"
        )
    found = ""
    if filter.text:
        text = clean(filter.text)
        pattern = text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
        found = f"WHERE t.id = {put(text)} OR t.label ILIKE {put(f'%{pattern}%')} OR t.kind = {put(text)}"
    if page.skip:
        # Here and not below, where what is left out would be joined with its files first.
        source = f"SELECT t.* FROM ({source}) t ORDER BY {order} LIMIT {limit} OFFSET {put(page.skip)}"
    return f"SELECT {TASK} FROM ({source}) t {found} ORDER BY {order} LIMIT {limit}", put.values


def count_tasks(project_id: str, filter: Filter, most: int) -> tuple[str, list[Any]]:
    """How many tasks such a list has, up to `most`; a search by text is not counted by its text."""
    put = Arguments()
    conditions, words = _matching(project_id, filter, put)
    conditions += [_one_of(column, values, put) for column, values in words]
    where = " AND ".join(conditions)
    return f"SELECT count(*) FROM (SELECT 1 FROM tasks t WHERE {where} LIMIT {put(most)}) t", put.values


def _one_of(column: str, values: Sequence[str], put: Arguments) -> str:
    return f"t.{column} = ANY({put(list(values))}::text[])"


def _matching(project_id: str, filter: Filter, put: Arguments) -> tuple[list[str], list[tuple[str, Sequence[str]]]]:
    """(conditions, words by column of which one must be there) of a filter."""
    conditions = [f"t.project_id = {put(project_id)}"]
    if filter.run_id is not None:
        conditions.append(f"t.run_id = {put(clean(filter.run_id))}")
    if filter.dialects is not None:
        conditions.append(f"t.dialect = ANY({put([clean(word) for word in filter.dialects])}::text[])")
    if filter.started is not None:
        conditions.append(f"(t.finished_at IS NOT NULL OR (t.started_at IS NOT NULL) = {put(filter.started)}::boolean)")
    if filter.attempted is not None:
        conditions.append(f"(t.attempt > 0) = {put(filter.attempted)}::boolean")
    if filter.lazy is not None:
        conditions.append(f"(t.extra ? '{LAZY}') = {put(filter.lazy)}::boolean")
    if filter.storing is not None:
        conditions.append(f"(t.state = 'running' AND coalesce(t.stage, '') = 'store') = {put(filter.storing)}::boolean")
    words: list[tuple[str, Sequence[str]]] = []
    if filter.states is not None:
        words.append(("state", [state.value for state in filter.states]))
    if filter.kinds is not None:
        words.append(("kind", [clean(word) for word in filter.kinds]))
    return conditions, words


def list_plain(table: str, columns: str, project_id: str, page: Page) -> tuple[str, list[Any]]:
    """As `list_tasks`, for a table that only has a project's rows in the order they were made."""
    put = Arguments()
    conditions = [f"x.project_id = {put(project_id)}"]
    window, direction = _window(page, "x", put)
    where = " AND ".join(conditions + window)
    order = f"x.created_at {direction}, x.id {direction}"
    return f"SELECT {columns} FROM {table} x WHERE {where} ORDER BY {order} LIMIT {put(page.limit + 1)}", put.values


def list_files(project_id: str, page: Page) -> tuple[str, list[Any]]:
    """As `list_tasks`, for the live files of a project."""
    put = Arguments()
    conditions = [f"f.project_id = {put(project_id)}", _LIVE]
    window, direction = _window(page, "f", put)
    where = " AND ".join(conditions + window)
    order = f"f.created_at {direction}, f.id {direction}"
    return f"SELECT f.* FROM files f WHERE {where} ORDER BY {order} LIMIT {put(page.limit + 1)}", put.values


def list_runs(
    project_id: str, page: Page, columns: str, states: Sequence[str] | None, created_by: str | None
) -> tuple[str, list[Any]]:
    """As `list_tasks`, for the runs of a project; `columns` of `r`."""
    put = Arguments()
    conditions = [f"r.project_id = {put(project_id)}"]
    if created_by is not None:
        conditions.append(f"r.created_by = {put(clean(created_by))}")
    window, direction = _window(page, "r", put, "state" if states is not None else None)
    where = " AND ".join(conditions + window)
    order = f"r.created_at {direction}, r.id {direction}"
    limit = put(page.limit + 1)
    source = f"SELECT r.* FROM runs r WHERE {where} ORDER BY {order} LIMIT {limit}"
    if states is not None:  # as in list_tasks: a short index walk for each word, merged
        bounds = [f"r.state {sign}= w.word" for sign in "><" if not any(f") {sign} (" in part for part in window)]
        source = (
            f"SELECT r.* FROM unnest({put(list(states))}::text[]) AS w (word) CROSS JOIN LATERAL ("
            f"SELECT r.* FROM runs r WHERE {' AND '.join([where, *bounds])} "
            f"ORDER BY r.state {direction}, {order} LIMIT {limit}) r"
        )
    return f"SELECT {columns} FROM ({source}) r ORDER BY {order} LIMIT {limit}", put.values
