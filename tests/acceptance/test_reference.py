"""Where the reference points to, a server answers."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from tests.support.server import Server

from mediamill import dialects
from mediamill.dialects import Dialect

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "api.md"


@pytest.mark.parametrize("dialect", dialects.load(), ids=lambda dialect: dialect.name)
def test_every_dialect_serves_the_document_that_the_page_names(dialect: Dialect, server: Server) -> None:
    path = dialect.prefix + dialect.document
    assert f"`GET {path}`" in PAGE.read_text()

    with server.client() as client:
        answer = client.get(path)

    assert answer.status_code == 200
    assert answer.json()["openapi"].startswith("3.1")
    assert answer.json()["paths"]


def test_what_stands_outside_every_dialect_is_there(server: Server) -> None:
    said = re.findall(r"`(?:GET )?(/(?:metrics|ui))`", PAGE.read_text())

    with server.client(follow_redirects=True) as client:
        assert {path: client.get(path).status_code for path in said} == {"/metrics": 200, "/ui": 200}
