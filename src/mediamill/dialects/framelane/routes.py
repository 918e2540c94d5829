"""Every route of this dialect."""

from __future__ import annotations

from mediamill.dialects import App, Site
from mediamill.dialects.framelane import (
    capabilities,
    imports,
    previews,
    projects,
    renders,
    tasks,
    uploads,
    webhooks,
    workspace,
)
from mediamill.dialects.framelane.edge import Edge
from mediamill.dialects.framelane.openapi import describe

DOCUMENT = "/openapi.json"
ROUTES = [
    *capabilities.ROUTES,
    *tasks.ROUTES,
    *renders.ROUTES,
    *previews.ROUTES,
    *projects.ROUTES,
    *uploads.ROUTES,
    *imports.ROUTES,
    *webhooks.ROUTES,
    *workspace.ROUTES,
]


def build(site: Site) -> App:
    """The app of this dialect."""
    return Edge(site, ROUTES, {DOCUMENT: describe()})
