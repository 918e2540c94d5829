"""What the tests over HTTP share."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest
from tests.support.server import Server


@pytest.fixture
def http(server: Server) -> Iterator[httpx.Client]:
    """A client of the server, the module's own where it has one."""
    with server.client() as client:
        yield client
