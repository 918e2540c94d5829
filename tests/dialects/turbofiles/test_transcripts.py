"""Whole conversations, request by request, as they stand in transcripts/*.json.

In an answer `<name>` takes a value the first time and must hold the same again; `<any>`, `<instant>` and `<integer>`
take what they say.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from tests.dialects.turbofiles.conftest import PNG, Caller

TRANSCRIPTS = sorted((Path(__file__).parent / "transcripts").glob("*.json"))
NAME = re.compile(r"<(\w+)>")


@pytest.mark.parametrize("transcript", TRANSCRIPTS, ids=lambda path: path.stem)
async def test_a_transcript_is_replayed(call: Caller, transcript: Path) -> None:
    known = {"base": "http://mill.test/turbofiles"}
    for step in json.loads(transcript.read_text())["steps"]:
        if "request" in step:
            request, wanted = filled(step["request"], known), step["answer"]
            answer = await call(request["method"], request["path"], request.get("body"))
            assert answer.status_code == wanted["status"], answer.text
            if "body" in wanted:
                match(answer.json(), wanted["body"], known, "$")
            for name, value in filled(wanted.get("headers", {}), known).items():
                assert answer.headers[name] == value
        elif "upload" in step:
            put = await call.mill.http.put(known["upload"], content=PNG, headers={"content-type": "image/png"})
            assert put.status_code == 200
        elif "work" in step:
            work = filled(step["work"], known)
            mime = work.get("mime", "image/webp")
            await call.mill.succeed(work["task"], work["content"].encode(), mime=mime)
        else:
            got = await call.mill.http.get(known["download"])
            assert (got.text, got.headers["content-type"]) == (step["content"], step["content-type"])


def filled(value: Any, known: dict[str, str]) -> Any:
    """A value with its names put in."""
    if isinstance(value, str):
        return NAME.sub(lambda found: known[found[1]], value)
    if isinstance(value, list):
        return [filled(inner, known) for inner in value]
    if isinstance(value, dict):
        return {name: filled(inner, known) for name, inner in value.items()}
    return value


def match(found: Any, wanted: Any, known: dict[str, str], at: str) -> None:
    """Names are learnt in the order of the answer, so that ids come before the links that hold them."""
    if isinstance(wanted, dict):
        assert set(found) == set(wanted), at
        for name in sorted(wanted, key=lambda name: name != "data"):
            match(found[name], wanted[name], known, f"{at}.{name}")
    elif isinstance(wanted, list):
        assert len(found) == len(wanted), at
        for n, (one, other) in enumerate(zip(found, wanted, strict=True)):
            match(one, other, known, f"{at}[{n}]")
    elif wanted == "<any>":
        return
    elif wanted == "<instant>":
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", found), at
    elif wanted == "<integer>":
        assert isinstance(found, int), at
    elif isinstance(wanted, str) and (name := NAME.fullmatch(wanted)) and name[1] not in known:
        assert isinstance(found, str), at
        known[name[1]] = found
    else:
        assert found == filled(wanted, known), at
