"""The dialect's app: every route behind the edge, and what needs no key beside it."""

from __future__ import annotations

from mediamill.dialects import App, Site
from mediamill.dialects.ittybit import files, media, signatures, tasks
from mediamill.dialects.ittybit.edge import Edge
from mediamill.dialects.ittybit.transfer import Transfer


def build(site: Site) -> App:
    """The dialect's app, served below /ittybit and where its claims hold."""
    transfer = Transfer(site)
    routes = [*tasks.ROUTES, *files.ROUTES, *media.ROUTES, *signatures.ROUTES]
    return Edge(site, routes, {"cdn": transfer, "delivery": transfer})
