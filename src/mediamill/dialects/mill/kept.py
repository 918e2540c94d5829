"""Bodies of connections and automations."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from mediamill.core import automations, connections
from mediamill.dialects.mill import wire

MASK = "****"
Name = Annotated[str, Meta(min_length=1, max_length=200)]
Endpoint = Annotated[
    str, Meta(max_length=1024, description="Like https://s3.eu-central-1.amazonaws.com; buckets are in its path.")
]
Region = Annotated[str, Meta(min_length=1, max_length=64, description="Where it has none: auto or us-east-1.")]
KeyPart = Annotated[str, Meta(min_length=1, max_length=1024)]


class ConnectionIn(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Credentials for an S3 endpoint."""

    name: Name
    endpoint: Endpoint
    region: Region
    access_key_id: KeyPart
    secret_access_key: Annotated[str, Meta(min_length=1, max_length=1024, description="Kept sealed, never shown.")]
    kind: Literal["s3"] = "s3"
    is_default: Annotated[bool, Meta(description="Whether s3:// URLs that name no connection use it.")] = False


class ConnectionChange(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """What is to be another."""

    name: Name | None = None
    endpoint: Endpoint | None = None
    region: Region | None = None
    access_key_id: KeyPart | None = None
    secret_access_key: KeyPart | None = None
    is_default: bool | None = None


class ConnectionOut(msgspec.Struct, kw_only=True):
    """A connection; its secret is masked."""

    id: str
    kind: Literal["s3"]
    name: str
    endpoint: str
    region: str
    access_key_id: str
    secret_access_key: str
    is_default: bool
    created_at: datetime
    updated_at: datetime


class ConnectionPage(msgspec.Struct, kw_only=True):
    """One page; next and prev are cursors for `after` and `before`."""

    data: list[ConnectionOut]
    next: str | None
    prev: str | None


def write_connection(found: connections.Connection) -> ConnectionOut:
    """A connection as JSON."""
    return ConnectionOut(
        id=found.id,
        kind="s3",
        name=found.name,
        endpoint=found.endpoint,
        region=found.region,
        access_key_id=found.access_key_id,
        secret_access_key=MASK,
        is_default=found.is_default,
        created_at=found.created_at,
        updated_at=found.updated_at,
    )


StatusWord = Literal["active", "paused"]


class Trigger(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """What starts an automation by itself: a new video, sound or picture, however its bytes came."""

    kind: Literal["event"] = "event"
    event: Literal["media.created"] = "media.created"


class AutomationIn(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A workflow to keep; its tasks are written as those of a run, and take the start's input where they name none."""

    workflow: Annotated[list[dict[str, Any]], Meta(min_length=1, max_length=100, description="As `tasks` of a run.")]
    name: Annotated[str, Meta(max_length=200)] | None = None
    description: Annotated[str, Meta(max_length=2000)] | None = None
    status: StatusWord = "active"
    trigger: Trigger | None = None


class AutomationChange(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """What is to be another; what is not named stays."""

    workflow: (
        Annotated[list[dict[str, Any]], Meta(min_length=1, max_length=100, description="As `tasks` of a run.")]
        | UnsetType
    ) = UNSET
    name: Annotated[str, Meta(max_length=200)] | UnsetType | None = UNSET
    description: Annotated[str, Meta(max_length=2000)] | UnsetType | None = UNSET
    status: StatusWord | UnsetType = UNSET
    trigger: Trigger | UnsetType | None = UNSET


class StartIn(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """What to start it with."""

    input: wire.SourceIn | None = None
    metadata: Annotated[dict[str, Any], Meta(description="Yours; of the run, given back as it came.")] | None = None


class AutomationOut(msgspec.Struct, kw_only=True):
    """An automation. problem: why its trigger could not start it the last time it should have."""

    id: str
    name: str | None
    description: str | None
    dialect: str
    workflow: list[dict[str, Any]]
    status: StatusWord
    trigger: Trigger | None
    problem: str | None
    created_at: datetime
    updated_at: datetime


class AutomationPage(msgspec.Struct, kw_only=True):
    """One page; next and prev are cursors for `after` and `before`."""

    data: list[AutomationOut]
    next: str | None
    prev: str | None


def write_automation(found: automations.Automation) -> AutomationOut:
    """An automation as JSON."""
    return AutomationOut(
        id=found.id,
        name=found.name,
        description=found.description,
        dialect=found.dialect,
        workflow=[dict(item) for item in found.workflow],
        status=found.status.value,
        trigger=Trigger() if found.trigger is not None else None,
        problem=found.problem,
        created_at=found.created_at,
        updated_at=found.updated_at,
    )


SHAPES: tuple[type[msgspec.Struct], ...] = (
    ConnectionIn,
    ConnectionChange,
    ConnectionOut,
    ConnectionPage,
    AutomationIn,
    AutomationChange,
    StartIn,
    AutomationOut,
    AutomationPage,
)
