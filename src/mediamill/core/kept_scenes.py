"""A composition: a scene that is kept and edited."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from mediamill.core.ids import ProjectId

Author = Literal["user", "agent"]


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptScene:
    """The record. `request` is filled in (`compositions.filled`); `author` is who made this version. dropped: dotted
    paths of what an earlier version of the program took for it and this one leaves out (`compositions.brought`)."""

    id: str
    project_id: ProjectId
    name: str
    version: int
    request: Mapping[str, Any]
    author: Author
    created_at: datetime
    updated_at: datetime
    dropped: Sequence[str] = ()
