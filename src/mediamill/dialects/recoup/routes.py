"""Every route of the dialect."""

from __future__ import annotations

from mediamill.dialects import App, Site
from mediamill.dialects.recoup import batches, details, schedules, timezones, triggers
from mediamill.dialects.recoup.edge import Edge
from mediamill.dialects.recoup.listing import Shelf
from mediamill.dialects.recoup.tasks import Tasks


def build(site: Site) -> App:
    """The dialect as an ASGI app."""
    tasks = Tasks(Shelf(site.service.schedules, site.service.prompts))
    routes = [*tasks.routes(), *details.ROUTES, *triggers.ROUTES, *batches.ROUTES, *schedules.ROUTES, *timezones.ROUTES]
    return Edge(site, routes)
