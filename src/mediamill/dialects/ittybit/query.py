"""What the query of a list asks for, and what its answer says of the pages beside it."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mediamill.core.errors import NotFound
from mediamill.core.tasks import Cursor, Page
from mediamill.dialects.ittybit.call import Around, Call, Reply
from mediamill.dialects.ittybit.errors import invalid

DEFAULT = 20
MOST = 100
MOST_PAGE = 1_000_000
_NUMBER = re.compile(r"[0-9]{1,9}", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Numbered:
    """A page by its number."""

    page: int
    limit: int

    @property
    def skip(self) -> int:
        """How many rows come before it."""
        return (self.page - 1) * self.limit


def limit_of(call: Call) -> int:
    """How many to show. Raises a 400 Fault."""
    return _number(call, "limit", DEFAULT, MOST)


def numbered(call: Call) -> Numbered:
    """The page of a list that is paged by number. Raises a 400 Fault."""
    return Numbered(page=_number(call, "page", 1, MOST_PAGE), limit=limit_of(call))


def ascending(call: Call) -> bool:
    """The order asked for. Raises a 400 Fault."""
    order = call.query.get("order", "desc")
    if order not in ("asc", "desc"):
        raise invalid("order must be one of asc, desc.")
    return order == "asc"


async def window(call: Call, place: Callable[[str], Awaitable[Cursor]]) -> Page:
    """The page of a list that is paged by cursor. `place` finds what an id stands for, or raises NotFound."""
    limit, up = limit_of(call), ascending(call)
    after, before = call.query.get("after"), call.query.get("before")
    if after is not None and before is not None:
        raise invalid("after and before must not be given together.")
    found: dict[str, Cursor] = {}
    for name, id in (("after", after), ("before", before)):
        if id is not None:
            try:
                found[name] = await place(id)
            except NotFound:
                raise invalid(f"{name} must be the id of an item of this list.") from None
    return Page(limit=limit, ascending=up, after=found.get("after"), before=found.get("before"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """How a page by cursor was asked for. back: by what comes after it."""

    limit: int
    back: bool = False


def cursor_around(call: Call, page: Page, ids: Sequence[str], more: bool) -> Around:
    """What a page by cursor says of the pages beside it."""
    return around(call, Window(limit=page.limit, back=page.before is not None), ids, more)


def around(call: Call, window: Window, ids: Sequence[str], more: bool) -> Around:
    """Headers of a page by cursor: Limit, Has-More and the links to the pages beside it, which keep every filter."""
    kept = {name: value for name, value in call.query.items() if name not in ("after", "before")}
    links: dict[str, str | None] = {"self": call.url(query=call.query)}
    if ids and window.back:
        links["next"] = call.url(query={**kept, "after": ids[-1]})
        if more:
            links["prev"] = call.url(query={**kept, "before": ids[0]})
    elif ids and more:
        links["next"] = call.url(query={**kept, "after": ids[-1]})
    said = [f'<{url}>; rel="{rel}"' for rel, url in links.items() if rel != "self"]
    headers = {"limit": str(window.limit), "has-more": "true" if more else "false"}
    if said:
        headers["link"] = ", ".join(said)
    return Around(limit=window.limit, headers=headers, links=links)


def small(call: Call, newest_first: Sequence[dict[str, Any]]) -> Reply:
    """A list that is all here, as its page by cursor."""
    limit, items = limit_of(call), list(newest_first)
    if ascending(call):
        items = items[::-1]
    after, before = call.query.get("after"), call.query.get("before")
    if after is not None and before is not None:
        raise invalid("after and before must not be given together.")
    places = {item["id"]: n for n, item in enumerate(items)}
    for name, id in (("after", after), ("before", before)):
        if id is not None and id not in places:
            raise invalid(f"{name} must be the id of an item of this list.")
    if before is not None:
        rest = items[: places[before]]
        shown = rest[-limit:]
    else:
        rest = items[places[after] + 1 :] if after is not None else items
        shown = rest[:limit]
    window = Window(limit=limit, back=before is not None)
    return Reply(body=shown, around=around(call, window, [item["id"] for item in shown], len(rest) > limit))


def number_around(call: Call, asked: Numbered, total: int) -> Around:
    """Headers and links of a page by number."""
    pages = max(1, -(-total // asked.limit))
    kept = {name: value for name, value in call.query.items() if name not in ("page", "limit")}

    def at(page: int) -> str:
        return call.url(query={**kept, "page": str(page), "limit": str(asked.limit)})

    links: dict[str, str | None] = {
        "self": at(asked.page),
        "first": at(1),
        "prev": at(asked.page - 1) if asked.page > 1 else None,
        "next": at(asked.page + 1) if asked.page < pages else None,
        "last": at(pages),
    }
    said = ", ".join(f'<{url}>; rel="{rel}"' for rel, url in links.items() if url)
    headers = {"links": said, "limit": str(asked.limit), "has-more": "true" if asked.page < pages else "false"}
    return Around(limit=asked.limit, headers=headers, links=links, total=total, page=asked.page, pages=pages)


def _number(call: Call, name: str, default: int, most: int) -> int:
    given = call.query.get(name)
    if given is None:
        return default
    number = int(given) if _NUMBER.fullmatch(given) else 0
    if not 1 <= number <= most:
        raise invalid(f"{name} must be an integer from 1 to {most}.")
    return number


def text(body: Mapping[str, Any], name: str, *, most: int = 1024, where: str = "") -> str | None:
    """A string of a body, or None where it is absent or null. Raises a 400 Fault."""
    found = body.get(name)
    if found is None:
        return None
    if not isinstance(found, str) or not found.strip() or len(found) > most:
        raise invalid(f"{where}{name} must be a string of 1 to {most} characters.")
    return found


def mapping(body: Mapping[str, Any], name: str, *, where: str = "") -> dict[str, Any] | None:
    """An object of a body, or None where it is absent or null. Raises a 400 Fault."""
    found = body.get(name)
    if found is not None and not isinstance(found, dict):
        raise invalid(f"{where}{name} must be an object.")
    return found
