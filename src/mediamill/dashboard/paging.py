"""Pages of a list and the filter of the table, to and from the address bar."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import urlencode

from litestar.params import Parameter

from mediamill.core.errors import Invalid
from mediamill.core.tasks import Filter, Page, State, Task
from mediamill.dashboard.render import Req, label
from mediamill.web.cursors import read_cursor, write_cursor

ROWS = 50
CursorWord = Annotated[str | None, Parameter(max_length=200)]
_NAMES = ("state", "kind", "dialect", "q")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ends:
    """The queries of the pages before and after this one; None where there is none."""

    newer: str | None
    older: str | None


def page_of(after: str | None, before: str | None) -> Page:
    """The page that an address asks for. Raises Invalid."""
    return Page(limit=ROWS, after=read_cursor("after", after), before=read_cursor("before", before))


def ends_of(page: Page, items: Sequence[Any], more: bool, words: Mapping[str, str]) -> Ends:
    """What lies beyond a page. items: with `created_at` and `id`; words: the filter, kept on the way."""
    if not items:
        return Ends(newer=None, older=None)
    backward = page.before is not None and page.after is None
    first, last = items[0], items[-1]
    newer = write_cursor(first.created_at, first.id) if (more if backward else page.after is not None) else None
    older = write_cursor(last.created_at, last.id) if (backward or more) else None
    return Ends(
        newer=urlencode({**words, "before": newer}) if newer else None,
        older=urlencode({**words, "after": older}) if older else None,
    )


def words_of(request: Req) -> dict[str, str]:
    """The filter of an address, as comma lists; what is empty is left out."""
    asked = request.query_params
    found = {name: ",".join(filter(None, asked.getall(name, []))) for name in _NAMES}
    return {name: text.replace("\0", "")[:500] for name, text in found.items() if text.strip()}


def filter_of(words: Mapping[str, str]) -> Filter:
    """The filter that words stand for. Raises Invalid."""
    try:
        states = [State(word) for word in _split(words["state"])] if "state" in words else None
    except ValueError:
        raise Invalid("state", f"must be of {', '.join(State)}.") from None
    return Filter(
        states=states,
        kinds=_split(words["kind"]) if "kind" in words else None,
        dialects=_split(words["dialect"]) if "dialect" in words else None,
        text=words["q"].strip() if "q" in words else None,
    )


def fits(task: Task, filter: Filter) -> bool:
    """Whether a task belongs into a table with this filter; the same rule as the store's."""
    text = (filter.text or "").lower()
    return (
        (filter.states is None or task.state in filter.states)
        and (filter.kinds is None or task.kind in filter.kinds)
        and (filter.dialects is None or task.dialect in filter.dialects)
        and (not text or text in label(task).lower() or text in (task.id, task.kind))
    )


def _split(words: str) -> list[str]:
    return [word.strip() for word in words.split(",") if word.strip()]
