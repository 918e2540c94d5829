"""Projects (tenants) and the keys that speak for them."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from mediamill.core.ids import KeyId, ProjectId


class Role(StrEnum):
    """What a key may do beyond its project's tasks and files: an admin also manages keys and projects."""

    ADMIN = "admin"
    MEMBER = "member"


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """A key as stored: only its hash is kept; `hint` is its first characters, for people."""

    id: KeyId
    project_id: ProjectId
    name: str
    role: Role
    hint: str
    created_at: datetime
    last_used_at: datetime | None
    revoked_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who is asking: the project every read and write is confined to."""

    project_id: ProjectId
    key_id: KeyId
    role: Role


NOBODY = Caller(project_id=ProjectId(""), key_id=KeyId(""), role=Role.MEMBER)
"""Who asks where no key is needed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """A tenant."""

    id: ProjectId
    name: str
    created_at: datetime


def new_secret(prefix: str = "mill_") -> str:
    """A fresh key: 40 characters after its prefix, 160 bits."""
    return prefix + secrets.token_hex(24)[:40]


def hash_secret(secret: str) -> bytes:
    """What is stored of a key. Keys are long and random, so one round of SHA-256 is enough (no password stretching)."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()
