"""The dialect's app: every route behind the edge, and what needs no key beside it."""

from __future__ import annotations

from mediamill.dialects import App, Site
from mediamill.dialects.ittybit import tasks
from mediamill.dialects.ittybit.edge import Edge


def build(site: Site) -> App:
    """The dialect's app, served below /ittybit and where its claims hold."""
    return Edge(site, [*tasks.ROUTES], {})
