"""The query of a request, strictly read: what is not known is refused by name, so that nothing is silently ignored."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, quote

from mediamill.core.tasks import Cursor, Filter, Page, State
from mediamill.dialects.turbofiles.errors import Fault
from mediamill.dialects.turbofiles.paging import PROFILE, Window, read_window
from mediamill.dialects.turbofiles.wire import KINDS, ROLES, Fields

_FIELDS = re.compile(r"fields\[(tasks|files)\]")
_MOST_PARAMETERS = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """What a query asks for; each part has its default where the parameter is absent or not allowed."""

    include: Sequence[str] = ROLES
    fields: Fields = field(default_factory=dict)
    window: Window = field(default_factory=Window)
    filter: Filter = field(default_factory=lambda: Filter(kinds=KINDS))
    kept: Sequence[tuple[str, str]] = ()
    """Parameters that links to other pages repeat."""


def read_query(raw: bytes, allowed: Iterable[str] = ()) -> Query:
    """The query string as what it asks for. Raises a 400 Fault that names the parameter.

    allowed: of `include`, `fields`, `page`, `sort`, `filter`.
    """
    given = _given(raw)
    if not given:
        return Query()
    allowed = set(allowed)
    pages: dict[str, str] = {}
    include: Sequence[str] = ROLES
    fields: dict[str, frozenset[str]] = {}
    filter = Filter(kinds=KINDS)
    ascending = False
    for name, value in given.items():
        if name == "include" and "include" in allowed:
            include = _include(value)
        elif "fields" in allowed and (match := _FIELDS.fullmatch(name)):
            fields[match[1]] = frozenset(_words(value))
        elif name == "sort" and "sort" in allowed:
            ascending = _sort(value)
        elif name == "filter[status]" and "filter" in allowed:
            filter = _statuses(value)
        elif name.startswith("page[") and "page" in allowed:
            pages[name] = value
        else:
            raise Fault(400, "invalid_parameter", f"{name or 'An empty name'} is no parameter here.", parameter=name)
    return Query(
        include=include,
        fields=fields,
        window=read_window(pages, ascending=ascending),
        filter=filter,
        kept=[(name, value) for name, value in given.items() if not name.startswith("page[")],
    )


def page_of(query: Query) -> Page:
    """The window as the core takes it."""
    window = query.window
    after, before = window.after, window.before
    return Page(
        limit=window.size,
        ascending=window.ascending,
        after=Cursor(at=after.at, id=after.id) if after else None,
        before=Cursor(at=before.at, id=before.id) if before else None,
    )


def page_url(url: str, query: Query, cursors: Mapping[str, str] | None) -> str | None:
    """A link to another page of the same list; None for None."""
    if cursors is None:
        return None
    pairs = [("page[size]", str(query.window.size)), *cursors.items(), *query.kept]
    return url + "?" + "&".join(f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in pairs)


def _given(raw: bytes) -> dict[str, str]:
    given: dict[str, str] = {}
    try:
        pairs = parse_qsl(raw.decode("latin-1"), keep_blank_values=True, max_num_fields=_MOST_PARAMETERS)
    except ValueError:
        raise Fault(400, "invalid_parameter", "There are too many parameters.", parameter="") from None
    for name, value in pairs:
        if name in given:
            raise Fault(400, "invalid_parameter", f"{name} is given more than once.", parameter=name)
        given[name] = value
    return given


def _words(value: str) -> list[str]:
    return [word.strip() for word in value.split(",") if word.strip()]


def _include(value: str) -> Sequence[str]:
    words = _words(value)
    for word in words:
        if word not in ROLES:
            raise Fault(400, "invalid_parameter", f"{word} is no relationship of a task.", parameter="include")
    return [role for role in ROLES if role in words]


def _sort(value: str) -> bool:
    if value not in ("created_at", "-created_at"):
        raise Fault(
            400,
            "invalid_parameter",
            "Lists are sorted by created_at or -created_at.",
            parameter="sort",
            links={"type": [f"{PROFILE}/unsupported-sort"]},
        )
    return value == "created_at"


_BEFORE = (State.WAITING, State.INGESTING, State.DELAYED, State.QUEUED)


def _statuses(value: str) -> Filter:
    words = set(_words(value))
    if not words or not words <= {"PENDING", "PROCESSING", "COMPLETED", "FAILED"}:
        raise Fault(
            400,
            "invalid_parameter",
            "filter[status] takes PENDING, PROCESSING, COMPLETED and FAILED.",
            parameter="filter[status]",
        )
    states: list[State] = []
    if words & {"PENDING", "PROCESSING"}:
        states += _BEFORE
    if "PROCESSING" in words:
        states.append(State.RUNNING)
    if "COMPLETED" in words:
        states.append(State.SUCCEEDED)
    if "FAILED" in words:
        states += (State.FAILED, State.CANCELLED)
    # A task between two attempts is queued again, and PROCESSING all the same.
    started = None if {"PENDING", "PROCESSING"} <= words else "PROCESSING" in words
    return Filter(kinds=KINDS, states=states, started=started)
