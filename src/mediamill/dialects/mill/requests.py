"""What a request says: its key, its JSON body, the page and the filter its query asks for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Any, TypeVar

import msgspec
from litestar import Litestar, Request
from litestar.datastructures import State as AppState
from litestar.params import HeaderParameter, Parameter
from litestar.routes import HTTPRoute

from mediamill.core import tasks as core
from mediamill.core import webhooks
from mediamill.core.errors import Invalid, MediamillError, TooLarge
from mediamill.service.tasks import invalid_option
from mediamill.web.cursors import read_cursor, write_cursor

JSON_BYTES = 1 << 20
Req = Request[Any, Any, AppState]
Limit = Annotated[int, Parameter(ge=1, le=100, description="Rows of the page.")]
CursorWord = Annotated[str | None, Parameter(description="A cursor from `next` or `prev`.", max_length=200)]
Order = Annotated[str, Parameter(pattern="^(asc|desc)$", description="By age: newest or oldest first.")]
Wait = Annotated[float | None, Parameter(ge=0, le=60, description="Seconds to wait for the end.")]
IdempotencyKey = Annotated[str | None, HeaderParameter(name="Idempotency-Key", max_length=255, min_length=1)]
T = TypeVar("T")


class Malformed(MediamillError):
    """The body cannot be read as JSON at all."""

    code = "malformed"


class NotJson(MediamillError):
    """The body says that it is something else than JSON."""

    code = "unsupported_media_type"


class Queries:
    """Which query parameters each path takes. One of another name is refused: a filter with a slip in its name would
    answer with everything."""

    def __init__(self) -> None:
        self._known: dict[Any, frozenset[str]] = {}

    def learn(self, app: Litestar) -> None:
        """Look at all paths of the app."""
        for route in app.routes:
            if isinstance(route, HTTPRoute):
                for handler, model in route.route_handler_map.values():
                    self._known[handler] = frozenset(found.field_alias for found in model.expected_query_params)

    def check(self, request: Req) -> None:
        """Raises Invalid for a parameter that the path of the request does not take."""
        known = self._known[request.scope["route_handler"]]
        for name in request.query_params:
            if name not in known:
                there = f"; there are {', '.join(sorted(known))}" if known else ", nor is any other"
                raise Invalid(name[:80], f"is no query parameter here{there}.")


def secret_of(request: Req) -> str | None:
    """The key that was sent, in either header."""
    scheme, _, secret = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and secret.strip():
        return secret.strip()
    return request.headers.get("x-api-key")


async def read_body(request: Req, shape: type[T]) -> T:
    """The JSON body as a struct. Raises NotJson, TooLarge, Malformed, and Invalid with the field.

    Read here and not by Litestar: callers are told 401 before their body is looked at, and all faults are worded alike.
    """
    kind = request.content_type[0].lower()
    if kind and kind != "application/json" and not (kind.startswith("application/") and kind.endswith("+json")):
        raise NotJson(f"The body must be application/json, not {kind[:100]}.")
    raw = bytearray()
    async for chunk in request.stream():
        raw += chunk
        if len(raw) > JSON_BYTES:
            raise TooLarge(f"A JSON body may have {JSON_BYTES} bytes.")
    try:
        return msgspec.json.decode(raw, type=shape)
    except msgspec.ValidationError as error:
        raise invalid_option(error, "") from None
    except RecursionError:
        raise Malformed("The body is nested too deeply.") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Malformed(f"The body is not JSON: {error}.") from None


def page_of(limit: int, after: str | None, before: str | None, order: str = "desc") -> core.Page:
    """The page a query asks for."""
    if order not in ("desc", "asc"):
        raise Invalid("order", "must be desc or asc.")
    return core.Page(
        limit=limit,
        ascending=order == "asc",
        after=read_cursor("after", after),
        before=read_cursor("before", before),
    )


def cursor_of(item: Any) -> str:
    """The cursor of a thing in a list by age."""
    return write_cursor(item.created_at, item.id)


def ends(
    page: core.Page | webhooks.EventPage | webhooks.DeliveryPage,
    items: Sequence[T],
    more: bool,
    cursor: Callable[[T], str] = cursor_of,
) -> tuple[str | None, str | None]:
    """(next, prev) cursors of a page."""
    if not items:
        return None, None
    backward = page.before is not None and page.after is None
    following = True if backward else more
    preceding = more if backward else page.after is not None
    return cursor(items[-1]) if following else None, cursor(items[0]) if preceding else None


def filter_of(
    state: str | None, kind: str | None, dialect: str | None, run_id: str | None, q: str | None
) -> core.Filter:
    """The filter a query asks for."""
    states = None
    if state is not None:
        try:
            states = [core.State(word) for word in _split(state)]
        except ValueError:
            raise Invalid("state", f"must be of {', '.join(core.State)}.") from None
    return core.Filter(
        states=states,
        kinds=_split(kind) if kind is not None else None,
        dialects=_split(dialect) if dialect is not None else None,
        run_id=run_id,
        text=q.strip() or None if q is not None else None,
    )


def _split(words: str) -> list[str]:
    return [word.strip() for word in words.split(",") if word.strip()]
