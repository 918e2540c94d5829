"""The dialect's OpenAPI 3.1 document."""

from __future__ import annotations

from mediamill import __version__
from mediamill.dialects.framelane._shapes import JOBS, JOBS_PATHS
from mediamill.dialects.framelane._shapes_scenes import SCENES, SCENES_PATHS, SCENES_POSTS
from mediamill.dialects.framelane._shapes_workspace import WORKSPACE, WORKSPACE_PATHS
from mediamill.dialects.framelane.call import Json


def describe() -> Json:
    """The document."""
    paths = {path: {**found, **SCENES_POSTS.get(path, {})} for path, found in JOBS_PATHS.items()}
    return {
        "openapi": "3.1.0",
        "info": {"title": "Framelane API, as Mediamill serves it", "version": __version__},
        "servers": [{"url": "/framelane"}],
        "security": [{"key": []}],
        "paths": {**paths, **SCENES_PATHS, **WORKSPACE_PATHS},
        "components": {
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
            "schemas": {**JOBS, **SCENES, **WORKSPACE},
        },
    }
