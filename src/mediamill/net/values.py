"""What goes into the client and what comes out of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from ipaddress import IPv4Address, IPv6Address

    Address = IPv4Address | IPv6Address


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much one exchange may take. A server that stays under `min_rate` over a whole `rate_window_s` is cut off."""

    max_bytes: int = 2 * 1024**3
    connect_timeout_s: float = 10.0
    """Resolving the name, connecting and the TLS handshake, each."""
    read_timeout_s: float = 30.0
    """Silence while the answer is read, and the time until its headers are complete."""
    total_timeout_s: float = 3600.0
    """The whole fetch with its redirects."""
    max_redirects: int = 5
    min_rate: float = 1024.0
    """Bytes a second."""
    rate_window_s: float = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """A file that is now on disk. Everything but `size_bytes` and `sha256` is the server's word: check before use."""

    size_bytes: int
    sha256: str
    final_url: str
    """Where the bytes came from after redirects."""
    content_type: str | None
    """Media type without parameters, lower case."""
    filename: str | None
    """A base name that is safe as a last path segment."""
    etag: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a server said to a POST. `headers` has lower-case names; `body` is the first 16 KiB at most."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    took_s: float


class Resolver(Protocol):
    """Names to addresses. Asked once per connection."""

    async def resolve(self, host: str) -> Sequence[Address]:
        """Every address of an ASCII host name, the preferred first. Raises SourceUnreachable when there is none."""
