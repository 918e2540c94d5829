"""The document of the dialect is sound, and served to everyone."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from tests.dialects.turbofiles.conftest import Caller

from mediamill.core.errors import MediamillError
from mediamill.dialects import status_of
from mediamill.dialects.turbofiles.errors import ERRORS, Fault, write_error
from mediamill.dialects.turbofiles.openapi import describe


def references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for name, inner in value.items():
            if name == "$ref":
                yield inner
            else:
                yield from references(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from references(inner)


async def test_the_document_is_served_without_a_token(call: Caller) -> None:
    answer = await call.mill.http.get("/turbofiles/v1/openapi.json")

    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    assert answer.json() == describe()


async def test_every_reference_leads_to_something() -> None:
    document = describe()

    for reference in references(document):
        found: Any = document
        for step in reference.removeprefix("#/").split("/"):
            found = found[step]
        assert found


async def test_every_path_of_the_document_is_a_route(call: Caller) -> None:
    for path, item in describe()["paths"].items():
        methods = {name.upper() for name in item if name != "parameters"} | {"OPTIONS"}
        methods |= {"HEAD"} if "GET" in methods else set()
        wrong = await call("PUT", re.sub(r"\{\w+\}", "x", path))
        assert wrong.status_code == 405, path
        assert set(wrong.headers["allow"].split(", ")) == methods, path
        asked = await call("OPTIONS", re.sub(r"\{\w+\}", "x", path))
        assert (asked.status_code, set(asked.headers["allow"].split(", "))) == (204, methods)


def leaves(base: type[MediamillError]) -> Iterator[type[MediamillError]]:
    yield base
    for child in base.__subclasses__():
        yield from leaves(child)


async def test_every_error_has_a_row() -> None:
    for error in leaves(MediamillError):
        if error.__module__ == "mediamill.core.errors" and error is not MediamillError:
            status, reason = status_of(error, ERRORS)
            assert 400 <= status <= 500
            assert re.fullmatch(r"[a-z_]+", reason)


async def test_what_nobody_foresaw_says_nothing_of_itself() -> None:
    answer = write_error(MediamillError("/home/me/secret.py broke"))

    assert answer.status == 500
    assert b"secret" not in answer.body
    assert b'"internal_error"' in answer.body


async def test_an_error_says_where_with_one_member_at_most() -> None:
    assert Fault(400, "x", "y", pointer="").source == {"pointer": ""}
    assert Fault(400, "x", "y").source == {}
