"""The TurboFiles API v1: JSON:API 1.1 over files and conversion tasks (docs/reference/turbofiles.md)."""

from __future__ import annotations

import re
from collections.abc import Mapping

from mediamill.dialects import Dialect
from mediamill.dialects.turbofiles.errors import write_error
from mediamill.dialects.turbofiles.negotiation import mentions
from mediamill.dialects.turbofiles.routes import build
from mediamill.dialects.turbofiles.wire import NAME, write_task

# Paths below /v1 that are nobody else's, for ids are of letters and digits here and have a prefix elsewhere; the rest
# are ours when the request speaks JSON:API.
_OURS = re.compile(
    r"/v1/(files|users/me|tasks/[^/]*/(relationships|input|output)|tasks/(?=[a-z]*[0-9])[a-z0-9]{9,})(/.*)?", re.ASCII
)


def claims(path: str, headers: Mapping[bytes, bytes]) -> bool:
    """Whether a path without our prefix is meant for us: the published clients know no prefix."""
    if not path.startswith("/v1/"):
        return False
    if _OURS.fullmatch(path):
        return True
    return any(mentions(headers.get(name, b"").decode("latin-1")) for name in (b"accept", b"content-type"))


DIALECT = Dialect(
    name=NAME,
    prefix="/turbofiles",
    build=build,
    claims=claims,
    write_task=write_task,
    write_error=write_error,
    document="/v1/openapi.json",
    keeps_claims=True,
)
