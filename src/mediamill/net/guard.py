"""Connections only to judged addresses. This is where the promise of the room is kept, whoever calls."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from ipaddress import ip_address
from itertools import chain, zip_longest
from typing import TYPE_CHECKING, Any

import httpcore

from mediamill.core.errors import SourceRefused, SourceUnreachable
from mediamill.net.addresses import Network, refusal

if TYPE_CHECKING:
    from mediamill.net.values import Address, Resolver

_READ_BYTES = 256 * 1024
"""What the loop takes from a socket at once. httpcore asks for 64 KiB, for which each of them would be cut up."""
_MAX_TRIES = 4  # addresses tried for one connection; a name with hundreds must not buy hundreds of timeouts


class SystemResolver:
    """Resolves as the machine does (hosts file, DNS), on threads of its own.

    getaddrinfo cannot be cancelled; a slow name server of an attacker's must not fill the loop's shared threads.
    """

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(max_workers=8, thread_name_prefix="resolve")

    async def resolve(self, host: str) -> Sequence[Address]:
        """Every address, in the order of RFC 6724. Raises SourceUnreachable."""
        loop = asyncio.get_running_loop()
        try:
            rows = await loop.run_in_executor(self._threads, _getaddrinfo, host)
        except (OSError, UnicodeError) as error:
            raise SourceUnreachable(f"The host {host} could not be resolved.") from error
        return list(dict.fromkeys(ip_address(row) for row in rows))

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)


def _getaddrinfo(host: str) -> list[str]:
    return [str(row[4][0]) for row in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)]


class Guard(httpcore.AsyncNetworkBackend):
    """The network as httpcore sees it: `connect_tcp` resolves once, judges all, connects to what it judged."""

    def __init__(self, resolver: Resolver, *, allow: Sequence[Network], refuse: Sequence[Network]) -> None:
        self._resolver = resolver
        self._allow = tuple(allow)
        self._refuse = tuple(refuse)
        self._network = httpcore.AnyIOBackend()

    def refusal(self, address: Address) -> str | None:
        """Why an address must not be connected to, or None."""
        return refusal(address, allow=self._allow, refuse=self._refuse)

    async def addresses(self, host: str) -> Sequence[Address]:
        """The judged addresses of a host. Raises SourceRefused when one of them is forbidden: a name that points both
        out and in is an attack or a mistake, and taking only its good half would make the attack a matter of luck."""
        try:
            found: Sequence[Address] = [ip_address(host)]
        except ValueError:
            found = await self._resolver.resolve(host)
        if not found:
            raise SourceUnreachable(f"The host {host} has no address.")
        for address in found:
            reason = self.refusal(address)
            if reason is not None:
                raise SourceRefused(f"The host {host} is not a public address ({reason}).")
        return found

    async def tries(self, host: str) -> Sequence[Address]:
        """The judged addresses to try for one connection, in order."""
        return _both_families(await self.addresses(host))[:_MAX_TRIES]

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - httpcore's signature
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """`timeout` seconds for the name and again for all its addresses together."""
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(timeout):
                tries = await self.tries(host)
        except TimeoutError as error:
            raise SourceUnreachable(f"The host {host} could not be resolved in time.") from error
        deadline = loop.time() + timeout if timeout is not None else None
        failure: httpcore.ConnectError | httpcore.ConnectTimeout | None = None
        for left, address in zip(range(len(tries), 0, -1), tries, strict=True):
            share = max(0.0, deadline - loop.time()) / left if deadline is not None else None
            try:
                return _Wide(await self._network.connect_tcp(str(address), port, share, local_address, socket_options))
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
        assert failure is not None, "at least one address was tried"
        raise failure


class _Wide(httpcore.AsyncNetworkStream):
    """A stream that is read in long pieces: a quarter of the steps that a large file would take."""

    def __init__(self, inner: httpcore.AsyncNetworkStream) -> None:
        self._inner = inner

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109 - httpcore's
        return await self._inner.read(max(max_bytes, _READ_BYTES), timeout)

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109 - httpcore's
        await self._inner.write(buffer, timeout)

    async def aclose(self) -> None:
        await self._inner.aclose()

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109 - httpcore's signature
    ) -> httpcore.AsyncNetworkStream:
        return _Wide(await self._inner.start_tls(ssl_context, server_hostname, timeout))

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)


def _both_families(addresses: Sequence[Address]) -> list[Address]:
    """The two families by turns, as RFC 8305 4 asks: a machine without IPv6 reaches IPv4 within the tries it has."""
    first = [a for a in addresses if a.version == addresses[0].version]
    second = [a for a in addresses if a.version != addresses[0].version]
    return [a for a in chain.from_iterable(zip_longest(first, second)) if a is not None]
