"""A resumable upload: bytes that come in as many requests as the network makes of them, and end as one file."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class NewUpload:
    """An upload to begin. `length` may be said later; `metadata` is given back as it came."""

    project_id: str
    filename: str
    mime: str | None
    length: int | None
    metadata: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """`received` bytes of `length` are here; `file_id` names the file that a whole upload has become."""

    id: str
    project_id: str
    filename: str
    mime: str | None
    metadata: str
    length: int | None
    received: int
    file_id: str | None
    expires_at: datetime

    @property
    def whole(self) -> bool:
        """Whether every byte has come."""
        return self.received == self.length


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Some of an upload's bytes, stored under a key."""

    key: str
    size_bytes: int
    sha256: str
