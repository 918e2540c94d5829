"""The client: fetch a source to disk, post a webhook, check a URL. Over httpcore, which does HTTP and nothing else."""

from __future__ import annotations

import asyncio
import os
import re
import ssl
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager, contextmanager
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from mediamill import __version__
from mediamill.core.errors import (
    AddressRefused,
    Invalid,
    SourceNotFound,
    SourceRefused,
    SourceTooLarge,
    SourceUnreachable,
)
from mediamill.net import names, urls
from mediamill.net.addresses import Network
from mediamill.net.behind import STEP_BYTES, Behind
from mediamill.net.sink import Sink
from mediamill.net.values import Answer, Fetched, Limits, Resolver

if TYPE_CHECKING:
    import httpcore

    from mediamill.net.tunnel import Tunnel

USER_AGENT = f"mediamill/{__version__}"

_REDIRECTS = frozenset((301, 302, 303, 307, 308))
_TRY_LATER = frozenset((408, 425, 429))
_ANSWER_BYTES = 16 * 1024
_MEDIA_TYPE = re.compile(r"[a-z0-9!#$&^_.+-]{1,127}/[a-z0-9!#$&^_.+-]{1,127}")  # RFC 6838 4.2
_OURS = frozenset(("host", "connection", "content-length", "transfer-encoding", "accept-encoding", "upgrade", "te"))

Progress = Callable[[int, int | None], None]
"""(bytes received, bytes in all if known)"""


class Client:
    """Outbound HTTP. Every exchange has a connection of its own: nothing of one request can reach the next.

    allow_networks: private networks the operator opens. refuse_networks: public ones the operator shuts.
    trust: the TLS settings; the machine's certificates, else the bundled ones, when None.
    """

    def __init__(
        self,
        *,
        allow_networks: Sequence[Network] = (),
        refuse_networks: Sequence[Network] = (),
        limits: Limits | None = None,
        resolver: Resolver | None = None,
        user_agent: str = USER_AGENT,
        trust: ssl.SSLContext | None = None,
    ) -> None:
        from mediamill.net.guard import Guard, SystemResolver

        system = SystemResolver()  # starts no thread until it is asked
        self._system = system
        self._guard = Guard(resolver or system, allow=allow_networks, refuse=refuse_networks)
        self._limits = limits or Limits()
        self._user_agent = user_agent
        self._trust = trust

    def check_url(self, url: str) -> None:
        """What can be said without a look-up, as Invalid("url", …). A URL that passes may still be refused later."""
        try:
            target = urls.parse(url)
        except urls.BadUrl as error:
            raise Invalid("url", str(error)) from error
        address = ip_address("127.0.0.1") if _is_local_name(target.host) else target.address
        reason = self._guard.refusal(address) if address is not None else None
        if reason is not None:
            raise AddressRefused("url", f"must be a public address, not {reason}")

    async def fetch(
        self,
        url: str,
        target: Path,
        *,
        on_progress: Progress | None = None,
        max_bytes: int | None = None,
    ) -> Fetched:
        """The file behind a URL, written to `target`; nothing is left there when it raises.

        Raises SourceRefused (address, redirect, status, size), SourceUnreachable (may work later).
        """
        limits = self._limits
        try:
            async with asyncio.timeout(limits.total_timeout_s):
                here = asked = _parse(url)
                for _ in range(limits.max_redirects + 1):
                    async with self._exchange("GET", here, {"accept": "*/*"}) as response:
                        if response.status not in _REDIRECTS:
                            _check_status(response.status)
                            most = limits.max_bytes if max_bytes is None else max_bytes
                            return await self._store(response, asked, here, target, on_progress, most)
                        here = _redirected(here, response)
        except TimeoutError as error:
            raise SourceUnreachable(f"The source took longer than {limits.total_timeout_s:g} s.") from error
        raise SourceRefused(f"The source redirects more than {limits.max_redirects} times.")

    async def post(self, url: str, *, body: bytes, headers: Mapping[str, str], timeout_s: float) -> Answer:
        """Post `body` once; whatever status comes back is an answer, redirects too. Nothing is followed or tried again.

        Raises SourceRefused for an address or URL never allowed, SourceUnreachable when there is no answer,
        Invalid for a header that HTTP does not allow.
        """
        from mediamill.net import posting

        _refuse_ours(headers)
        started = time.monotonic()
        try:
            async with asyncio.timeout(timeout_s):
                target = _parse(url)
                if target.scheme == "https" and self._trust is None:
                    self._trust = await asyncio.to_thread(_system_trust)
                heard = await posting.post(
                    self._guard,
                    target,
                    posting.written(target, self._headers(target, headers, len(body)), body),
                    connect_timeout_s=self._limits.connect_timeout_s,
                    trust=self._trust,
                    most_bytes=_ANSWER_BYTES,
                )
        except TimeoutError as error:
            raise SourceUnreachable(f"The address gave no answer within {timeout_s:g} s.") from error
        return Answer(
            status=heard.status,
            headers=_read_headers(heard.headers),
            body=bytes(heard.body),
            took_s=time.monotonic() - started,
        )

    async def ask(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        timeout_s: float,
        body: bytes | AsyncIterator[bytes] = b"",
        length: int | None = None,
        max_bytes: int = _ANSWER_BYTES,
    ) -> Answer:
        """As `post`, with any method, a body of `length` bytes and an answer of `max_bytes` at most, cut there."""
        _refuse_ours(headers)
        started = time.monotonic()
        try:
            async with (
                asyncio.timeout(timeout_s),
                self._exchange(method, _parse(url), headers, body=body, length=length) as response,
            ):
                head = bytearray()
                async for chunk in response.aiter_stream():
                    head += chunk
                    if len(head) >= max_bytes:
                        break
                return Answer(
                    status=response.status,
                    headers=_read_headers(response.headers),
                    body=bytes(head[:max_bytes]),
                    took_s=time.monotonic() - started,
                )
        except TimeoutError as error:
            raise SourceUnreachable(f"The address gave no answer within {timeout_s:g} s.") from error

    async def check_host(self, url: str) -> None:
        """Resolve and judge the host of a URL. Raises SourceRefused, SourceUnreachable; a connection judges anew."""
        try:
            async with asyncio.timeout(self._limits.connect_timeout_s):
                await self._guard.addresses(_parse(url).host)
        except TimeoutError as error:
            raise SourceUnreachable("The host could not be resolved in time.") from error

    def tunnel(self) -> Tunnel:
        """A guarded way out for a library that makes its own connections."""
        from mediamill.net.tunnel import Tunnel

        return Tunnel(
            self._guard, connect_timeout_s=self._limits.connect_timeout_s, silent_s=self._limits.read_timeout_s
        )

    async def close(self) -> None:
        """Let go of the resolver's threads. Exchanges under way are not ended; cancel their tasks for that."""
        self._system.close()

    @asynccontextmanager
    async def _exchange(
        self,
        method: str,
        target: urls.Target,
        headers: Mapping[str, str],
        body: bytes | AsyncIterator[bytes] = b"",
        length: int | None = None,
    ) -> AsyncIterator[httpcore.Response]:
        """One request on a fresh connection and the head of its answer; every failure under its name in our tree."""
        import httpcore

        limits = self._limits
        if target.scheme == "https" and self._trust is None:
            self._trust = await asyncio.to_thread(_system_trust)
        url = httpcore.URL(scheme=target.scheme, host=target.host, port=target.port, target=target.path)
        request = httpcore.Request(
            method,
            url,
            headers=self._headers(target, headers, length),
            content=body,
            extensions={
                "timeout": {
                    "connect": limits.connect_timeout_s,
                    "read": limits.read_timeout_s,
                    "write": limits.read_timeout_s,
                }
            },
        )
        connection = httpcore.AsyncHTTPConnection(
            url.origin, ssl_context=self._trust, http1=True, network_backend=self._guard
        )
        # Each read has its timeout; this one is for heads that come a byte at a time.
        head_timeout_s = 3 * limits.connect_timeout_s + limits.read_timeout_s
        with _named(target.host):
            try:
                try:
                    async with asyncio.timeout(head_timeout_s):
                        response = await connection.handle_async_request(request)
                except TimeoutError as error:
                    raise SourceUnreachable(f"The host {target.host} did not answer in time.") from error
                try:
                    yield response
                finally:
                    await response.aclose()
            finally:
                await connection.aclose()

    def _headers(self, target: urls.Target, more: Mapping[str, str], length: int | None) -> list[tuple[bytes, bytes]]:
        rows = {"host": target.authority, "user-agent": self._user_agent}
        rows |= {name.lower(): value for name, value in more.items()}
        rows |= {"accept-encoding": "identity", "connection": "close"}
        if length is not None:
            rows["content-length"] = str(length)
        try:
            return [(name.encode("ascii"), value.encode("latin-1")) for name, value in rows.items()]
        except UnicodeEncodeError as error:
            raise Invalid("headers", "must hold only what an HTTP header may") from error

    async def _store(
        self,
        response: httpcore.Response,
        asked: urls.Target,
        here: urls.Target,
        target: Path,
        on_progress: Progress | None,
        max_bytes: int,
    ) -> Fetched:
        headers = _read_headers(response.headers)
        content_type = _media_type(headers.get("content-type", ""))
        gunzip = _is_gzip_coded(headers.get("content-encoding", ""), content_type)
        length = headers.get("content-length", "")
        total = int(length) if length.isascii() and length.isdigit() else None
        if total is not None and total > max_bytes:
            raise SourceTooLarge(f"The source is larger than the limit of {max_bytes} bytes.")
        sink = Sink(target, max_bytes=max_bytes, gunzip=gunzip)
        try:
            sink.open()  # not on a thread: a cancel must not meet a file that is still to be made
            pieces = self._pieces(response, None if "transfer-encoding" in headers else total)
            await self._drain(pieces, sink, on_progress, None if gunzip else total, max_bytes)
            await asyncio.to_thread(sink.finish)
        except BaseException:
            sink.discard()
            raise
        disposition = headers.get("content-disposition", "")
        return Fetched(
            size_bytes=sink.size_bytes,
            sha256=sink.sha256,
            final_url=here.url,
            content_type=content_type,
            filename=names.from_disposition(disposition) or names.from_paths(asked.path, here.path),
            etag=headers.get("etag"),
        )

    async def _pieces(self, response: httpcore.Response, length: int | None) -> AsyncIterator[bytes]:
        """The body. With the first piece httpcore has handed out all it held; the rest of a known length then comes
        straight from the connection, for a third of the processor time."""
        import httpcore

        came = 0
        async with aclosing(cast("AsyncGenerator[bytes, None]", aiter(cast("Any", response.stream)))) as body:
            async for piece in body:
                came += len(piece)
                yield piece
                if length is not None:
                    break
            connection = response.extensions["network_stream"]
            while length is not None and came < length:
                piece = await connection.read(STEP_BYTES, self._limits.read_timeout_s)
                if not piece:
                    raise httpcore.RemoteProtocolError("it ended before its length")
                piece = piece[: length - came]
                came += len(piece)
                yield piece

    async def _drain(
        self,
        pieces: AsyncIterator[bytes],
        sink: Sink,
        on_progress: Progress | None,
        total: int | None,
        max_bytes: int,
    ) -> None:
        """The body into the sink, a megabyte at a time, each written and hashed while the next is coming."""
        limits = self._limits
        received = marked = 0
        marked_at = time.monotonic()
        batch: list[bytes] = []
        waiting = 0

        async with Behind() as behind:
            async for chunk in pieces:
                batch.append(chunk)
                waiting += len(chunk)
                received += len(chunk)
                if received > max_bytes:
                    raise SourceTooLarge(f"The source is larger than the limit of {max_bytes} bytes.")
                elapsed_s = time.monotonic() - marked_at
                if elapsed_s >= limits.rate_window_s:
                    if received - marked < limits.min_rate * elapsed_s:
                        raise SourceUnreachable(f"The source sends less than {limits.min_rate:g} bytes a second.")
                    marked, marked_at = received, time.monotonic()
                if waiting >= STEP_BYTES:
                    await behind.call(sink.write, batch)
                    batch, waiting = [], 0
                    if on_progress is not None:
                        on_progress(received, total)
            await behind.call(sink.write, batch)
            await behind.rest()
        if on_progress is not None:
            on_progress(received, total)


def _refuse_ours(headers: Mapping[str, str]) -> None:
    for name in headers:
        if name.lower() in _OURS:
            raise Invalid(f"headers.{name}", "is set by Mediamill")


def _is_local_name(host: str) -> bool:
    return host == "localhost" or host.endswith(".localhost")  # RFC 6761 6.3: always loopback


def _parse(url: str) -> urls.Target:
    try:
        return urls.parse(url)
    except urls.BadUrl as error:
        raise SourceRefused(f"The URL {error}.") from error


def _redirected(here: urls.Target, response: httpcore.Response) -> urls.Target:
    location = next((value for name, value in response.headers if name.lower() == b"location"), None)
    if location is None:
        raise SourceRefused(f"The source answered {response.status} without saying where to.")
    try:
        return urls.follow(here, _text(location))
    except urls.BadUrl as error:
        raise SourceRefused(f"The source redirects to a URL that {error}.") from error


def _check_status(status: int) -> None:
    if status in (200, 203):
        return
    if status >= 500 or status in _TRY_LATER:
        raise SourceUnreachable(f"The source answered {status}.")
    if status in (404, 410):
        raise SourceNotFound(f"The source answered {status}.")
    raise SourceRefused(f"The source answered {status}.")


def _is_gzip_coded(coding: str, content_type: str | None) -> bool:
    """Whether the body must be unpacked. We ask for none, but stores serve what was uploaded with a coding as it is."""
    coding = coding.strip().lower()
    if coding in ("", "identity"):
        return False
    if coding not in ("gzip", "x-gzip"):
        raise SourceRefused("The source insists on a content coding that was not asked for.")
    # A .gz served with both the type and the coding of gzip was packed once: browsers keep it packed as well.
    return content_type not in ("application/gzip", "application/x-gzip")


def _media_type(header: str) -> str | None:
    found = header.split(";", 1)[0].strip().lower()
    return found if _MEDIA_TYPE.fullmatch(found) else None


@contextmanager
def _named(host: str) -> Iterator[None]:
    """What goes wrong in an exchange with a host, under its name in our tree."""
    import httpcore

    try:
        yield
    except httpcore.LocalProtocolError as error:
        raise Invalid("headers", "must hold only what an HTTP header may") from error
    except httpcore.TimeoutException as error:
        raise SourceUnreachable(f"The host {host} did not answer in time.") from error
    except (httpcore.NetworkError, ssl.SSLError) as error:
        if _cause(error, ssl.SSLCertVerificationError):
            raise SourceRefused(f"The TLS certificate of {host} is not valid for it.") from error
        raise SourceUnreachable(f"The connection to {host} failed.") from error
    except httpcore.ProtocolError as error:
        raise SourceUnreachable(f"The answer of {host} broke off or is not HTTP.") from error


def _read_headers(rows: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """An answer's headers, their names in small letters."""
    return {_text(name).lower(): _text(value) for name, value in rows}


def _text(value: bytes) -> str:
    """Header bytes as text: UTF-8 when they are, as servers send it, else the Latin-1 of old."""
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return value.decode("latin-1")


def _cause(error: BaseException | None, kind: type[BaseException]) -> bool:
    while error is not None:
        if isinstance(error, kind):
            return True
        error = error.__cause__
    return False


def _system_trust() -> ssl.SSLContext:
    """The machine's certificates; the bundled ones where it has none (a bare container)."""
    import certifi

    paths = ssl.get_default_verify_paths()
    found = paths.cafile or (paths.capath and any(os.scandir(paths.capath)))
    trust = ssl.create_default_context(cafile=None if found else certifi.where())
    trust.minimum_version = ssl.TLSVersion.TLSv1_2  # RFC 8996; some builds leave it to the machine's OpenSSL settings
    return trust
