"""Media: an original and what was made of it, kept together; and where in it a file has its place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from mediamill.core.files import File
from mediamill.core.ids import ProjectId


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a file belongs. No `media_id`: a media is made for it."""

    media_id: str | None = None
    filename: str | None = None
    folder: str | None = None
    ref: str | None = None
    metadata: Mapping[str, Any] | None = None
    original: bool = True
    created_by: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """A file as its media shows it. `failed`: its bytes were to be fetched, and will not come."""

    file: File
    failed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldList:
    """One page of files, and how many there are in all (counted up to a bound)."""

    items: Sequence[Held]
    total: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Media:
    """The record of a media; its files oldest first."""

    id: str
    project_id: ProjectId
    title: str | None
    alt: str | None
    metadata: Mapping[str, Any] | None
    files: Sequence[Held]
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class MediaList:
    """One page of media, and how many there are in all (counted up to a bound)."""

    items: Sequence[Media]
    total: int


MOST_COUNTED = 10_000
"""Totals stop here."""
