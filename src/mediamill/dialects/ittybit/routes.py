"""The dialect's app: every route behind the edge, and what needs no key beside it."""

from __future__ import annotations

from mediamill.dialects import App, Site
from mediamill.dialects.ittybit import (
    automations,
    connections,
    events,
    files,
    jobs,
    keys,
    media,
    runs,
    signatures,
    tasks,
    webhooks,
)
from mediamill.dialects.ittybit.edge import Edge
from mediamill.dialects.ittybit.transfer import Transfer


def build(site: Site) -> App:
    """The dialect's app, served below /ittybit and where its claims hold."""
    transfer = Transfer(site)
    rooms = (
        tasks, runs, automations, webhooks, events, connections, keys, files, media, signatures, jobs,
    )  # fmt: skip
    routes = [route for room in rooms for route in room.ROUTES]
    return Edge(site, routes, {"cdn": transfer, "delivery": transfer})
