"""The models folder of the tests: fetched once for a checkout, by the product's own command, and kept in `.mill`."""

from __future__ import annotations

import fcntl
import os
from functools import cache
from pathlib import Path

import pytest

from mediamill import models
from mediamill.models import fetch

ROOT = Path(__file__).parents[2]
NAMED = os.environ.get(models.SETTING)
"""The operator's folder."""
NONE = ROOT / ".mill" / "no-models"
"""What engines see that no test has given any: what lies in somebody's home is not to change what they do."""


@cache
def folder(*names: str) -> Path:
    """A folder that holds the models of those names (their first letters will do): the operator's when it has them."""
    wanted = [model for name, model in models.manifest().items() if name.startswith(names)]
    if NAMED and not models.lacking(wanted, Path(NAMED)):
        return Path(NAMED)
    kept = ROOT / ".mill" / "models"
    kept.mkdir(parents=True, exist_ok=True)
    with (kept.parent / "models.lock").open("w") as lock:  # the other workers of pytest want them too
        fcntl.flock(lock, fcntl.LOCK_EX)
        fetch.fetch(wanted, kept)
    return kept


def folder_or_skip(*names: str) -> Path:
    """The same for models without which the product goes on, in packages that somebody may take down."""
    try:
        return folder(*names)
    except fetch.NotFetched as error:
        pytest.skip(str(error))
