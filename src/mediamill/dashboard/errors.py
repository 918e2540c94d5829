"""Errors as pages: the title of a status, and the status of each error."""

from __future__ import annotations

from mediamill.core import errors as e
from mediamill.dialects import Errors

TITLES = {
    400: "That cannot be read",
    401: "Sign in first",
    403: "Not allowed",
    404: "Not here",
    405: "Not this way",
    409: "Not any more",
    413: "Too large",
    422: "That does not fit",
    429: "Too fast",
    500: "Something broke",
    503: "Not just now",
}
UNKNOWN = "There is no page at this address."
_STATUS = {
    e.Rejected: 400,
    e.Invalid: 422,
    e.NotFound: 404,
    e.Conflict: 409,
    e.Denied: 403,
    e.Unauthorized: 401,
    e.TooLarge: 413,
    e.LimitReached: 429,
    e.Failed: 500,
    e.DatabaseAway: 503,
    e.Misconfigured: 500,
}
ERRORS: Errors = {error: (status, TITLES[status]) for error, status in _STATUS.items()}
