"""A file: stored bytes with media facts. Its bytes are a blob, found by key."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from mediamill.core.ids import FileId, ProjectId


class FileState(StrEnum):
    """Whether the bytes are here."""

    AWAITING = "awaiting"  # registered, the upload has not come yet
    READY = "ready"
    GONE = "gone"  # deleted or expired; kept only so that its id is never reused


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """`mime` is the claimed type until the bytes are here, then the sniffed one (`claimed_mime` keeps the claim)."""

    id: FileId
    project_id: ProjectId
    filename: str
    mime: str
    claimed_mime: str | None
    size_bytes: int
    sha256: str | None
    blob_key: str | None
    state: FileState
    facts: Mapping[str, Any]
    public: bool
    dialect: str
    created_at: datetime
    updated_at: datetime
    expires_at: datetime | None
    media_id: str | None = None
    """The media it belongs to: an original and what was made of it."""
    task_id: str | None = None
    """The task that made it, or that is to fetch it."""
    made_by: str | None = None
    """The kind of that task."""
    folder: str | None = None
    ref: str | None = None
    original: bool = False
    metadata: Mapping[str, Any] | None = None
    created_by: str | None = None

    @property
    def ready(self) -> bool:
        """Whether the bytes are here."""
        return self.state is FileState.READY


@dataclass(frozen=True, slots=True, kw_only=True)
class NewFile:
    """A file to register. With `blob_key` its bytes are here already; without, they are awaited."""

    project_id: str
    filename: str
    mime: str
    size_bytes: int
    dialect: str = "mill"
    claimed_mime: str | None = None
    sha256: str | None = None
    blob_key: str | None = None
    facts: Mapping[str, Any] | None = None
    public: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class FileList:
    """One page of files; `more` says whether others follow in the direction of travel."""

    items: Sequence[File]
    more: bool


def safe_name(name: str) -> str:
    """A base name that is safe to print in a header and to save: no folders, no control characters, ≤ 200 bytes; "file"
    where nothing is left."""
    base = name.replace("\\", "/").rsplit("/", 1)[-1]
    base = "".join(c for c in base if c.isprintable() and c not in '<>:"|?*\x7f').strip(". ")
    while len(base.encode()) > 200:
        stem, dot, extension = base.rpartition(".")
        base = f"{stem[:-1]}{dot}{extension}" if dot and len(extension) <= 16 and stem else base[:-1]
    return base or "file"
