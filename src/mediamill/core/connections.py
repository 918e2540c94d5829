"""Connections: where a project's own buckets are, and who is asking there."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime

from mediamill.core.errors import Invalid
from mediamill.core.ids import ConnectionId, ProjectId

SCHEME = "s3://"
KINDS = ("s3",)
MOST_KEY_BYTES = 1024
_BUCKET = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_-]|\.(?!\.)){1,61}[A-Za-z0-9]")


@dataclass(frozen=True, slots=True, kw_only=True)
class NewConnection:
    """Credentials for an S3 endpoint, as a caller gives them."""

    name: str
    endpoint: str
    region: str
    access_key_id: str
    secret_access_key: str
    kind: str = "s3"
    is_default: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """What is to be another; None leaves it as it is."""

    name: str | None = None
    endpoint: str | None = None
    region: str | None = None
    access_key_id: str | None = None
    secret_access_key: str | None = None
    is_default: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """A connection as it is shown: its secret is sealed in the store and never in here."""

    id: ConnectionId
    project_id: ProjectId
    kind: str
    name: str
    endpoint: str
    region: str
    access_key_id: str
    is_default: bool
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """What is needed to speak to an endpoint, its secret opened. Held while it is used, written nowhere."""

    endpoint: str
    region: str
    access_key_id: str
    secret_access_key: str

    def __repr__(self) -> str:
        return f"Access({self.endpoint!r})"  # a secret does not get into a log by way of a record


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """An object of a bucket. The key of a destination may end in a slash: the file's own name comes after it."""

    bucket: str
    key: str

    @property
    def url(self) -> str:
        """As callers write it."""
        return f"{SCHEME}{self.bucket}/{self.key}"

    @property
    def name(self) -> str:
        """The last part of the key."""
        return self.key.rsplit("/", 1)[-1]

    def holding(self, filename: str) -> Place:
        """This place, or for a folder the one in it of that name."""
        return Place(bucket=self.bucket, key=self.key + filename) if not self.name else self

    def beside(self, filename: str) -> Place:
        """The place of a further file, in the same folder."""
        folder, slash, _ = self.key.rpartition("/")
        return Place(bucket=self.bucket, key=folder + slash + filename)


def is_bucket_url(url: str) -> bool:
    """Whether a URL names an object of a bucket."""
    return url[: len(SCHEME)].lower() == SCHEME


def read_place(url: str, *, field: str = "url", folder: bool = False) -> Place:
    """The place that s3://bucket/key names; nothing in it is percent-decoded, as in other S3 tools.

    folder: whether the key may end in a slash or be missing. Raises Invalid.
    """
    if not is_bucket_url(url):
        raise Invalid(field, "must start with s3://.")
    bucket, _, key = url[len(SCHEME) :].partition("/")
    if not _BUCKET.fullmatch(bucket):
        raise Invalid(field, "has a bucket name that S3 does not allow.")
    last = key.rsplit("/", 1)[-1]
    if not last and not folder:
        raise Invalid(field, "must name an object: s3://bucket/key.")
    parts = key.removesuffix("/").split("/") if key else []
    if any(part in ("", ".", "..") for part in parts):
        raise Invalid(field, "must have no empty part, and none that is . or ..")
    if len(key.encode("utf-8", "replace")) > MOST_KEY_BYTES or not key.isprintable():
        raise Invalid(field, f"must have a key of at most {MOST_KEY_BYTES} bytes without control characters.")
    return Place(bucket=bucket, key=key)
