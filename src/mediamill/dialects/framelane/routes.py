"""Every route of this dialect."""

from __future__ import annotations

from mediamill.dialects import App, Site
from mediamill.dialects.framelane import previews, projects, renders, tasks, uploads, webhooks, workspace
from mediamill.dialects.framelane.edge import Edge
from mediamill.dialects.framelane.openapi import describe

DOCUMENT = "/openapi.json"


def build(site: Site) -> App:
    """The app of this dialect."""
    return Edge(
        site,
        [
            *tasks.ROUTES,
            *renders.ROUTES,
            *uploads.ROUTES,
            *previews.ROUTES,
            *projects.ROUTES,
            *webhooks.ROUTES,
            *workspace.ROUTES,
        ],
        {DOCUMENT: describe()},
    )
