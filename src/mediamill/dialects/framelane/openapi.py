"""The dialect's OpenAPI 3.1 document: the helpers that its parts are written with, and the whole."""

from __future__ import annotations

from mediamill import __version__
from mediamill.dialects.framelane._shapes import JOBS, JOBS_PATHS
from mediamill.dialects.framelane.call import Json


def describe() -> Json:
    """The document."""
    return {
        "openapi": "3.1.0",
        "info": {"title": "Framelane API, as Mediamill serves it", "version": __version__},
        "servers": [{"url": "/framelane"}],
        "security": [{"key": []}],
        "paths": {**JOBS_PATHS},
        "components": {"securitySchemes": {"key": {"type": "http", "scheme": "bearer"}}, "schemas": {**JOBS}},
    }
