"""Moving bytes to and from a server, and the client's errors. The public face is `mediamill.client`."""

from __future__ import annotations

import base64
import hashlib
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Protocol

import httpx

Progress = Callable[[int, int], None]
"""Called with the bytes done and the bytes there are."""

RESUMABLE_FROM_BYTES = 64 * 1024 * 1024
PIECE_BYTES = 1 << 40
"""Most bytes of one request. All at once: the server keeps what came before a break, and has no pieces to join."""
_CHUNK_BYTES = 1 << 18
_TRIES = 5
FIRST_PAUSE_S = 0.2
"""Before the second try; doubles each time."""
_TUS = {"Tus-Resumable": "1.0.0"}


class ClientError(Exception):
    """Base of what the client raises; `str()` is for people."""


class Refused(ClientError):
    """The server said no: its problem document, in words. `status` is the HTTP status."""

    def __init__(self, status: int, problem: Mapping[str, Any]) -> None:
        field = problem.get("field")
        detail = str(problem.get("detail") or problem.get("title") or f"The server answered {status}.")
        # "format: …" says enough of options.format.
        named = not field or detail.startswith(str(field)) or f".{field}".endswith("." + detail.partition(": ")[0])
        super().__init__(detail if named else f"{field}: {detail}")
        self.status = status
        self.code = str(problem.get("code") or f"http_{status}")
        self.field = field
        self.remedy = str(problem.get("remedy") or "")
        self.retry_after_s = problem.get("retry_after_s")


class NotFound(Refused):
    """The server knows no such thing."""


class Unreachable(ClientError):
    """No answer, or not a whole one, or the server is broken. `broke_off`: the connection was there and ended."""

    def __init__(self, reason: str, remedy: str = "", *, broke_off: bool = False) -> None:
        super().__init__(reason)
        self.remedy = remedy
        self.broke_off = broke_off


class Downloadable(Protocol):
    """What a download needs to know of a file."""

    def get(self, name: str, /) -> Any: ...


@contextmanager
def answered(url: str) -> Iterator[None]:
    """Words for every way that a connection fails."""
    try:
        yield
    except httpx.ConnectError as error:
        raise Unreachable(
            f"No server answers at {url}.",
            "Start one with `mediamill serve`, or name it with --server or MEDIAMILL_URL.",
        ) from error
    except httpx.TimeoutException as error:
        raise Unreachable(f"{url} did not answer in time.", broke_off=True) from error
    except (httpx.InvalidURL, httpx.UnsupportedProtocol) as error:  # before TransportError, which the latter is too
        raise Unreachable(f"{url!r} is no http(s) address of a server.") from error
    except httpx.TransportError as error:
        raise Unreachable(f"The connection to {url} broke.", broke_off=True) from error


def check(answer: httpx.Response) -> None:
    """Raise what the status says: NotFound, Refused, or Unreachable for a server that broke."""
    if answer.is_success or answer.is_redirect:
        return
    answer.read()
    try:
        problem = answer.json()
    except ValueError:
        problem = {}
    if not isinstance(problem, dict):
        problem = {}
    if answer.status_code >= 500:
        raise Unreachable(f"The server failed: {problem.get('detail') or answer.reason_phrase} ({answer.status_code}).")
    raise (NotFound if answer.status_code == 404 else Refused)(answer.status_code, problem)


class Counted:
    """A file to read from that says how far the reading is."""

    def __init__(self, path: Path, on_progress: Progress | None) -> None:
        self._file = path.open("rb")
        self._all = path.stat().st_size
        self._on_progress = on_progress

    def __enter__(self) -> Counted:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def read(self, size: int = -1) -> bytes:
        found = self._file.read(size)
        if self._on_progress is not None:
            self._on_progress(self._file.tell(), self._all)
        return found

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def fileno(self) -> int:
        return self._file.fileno()

    def __iter__(self) -> Iterator[bytes]:
        while chunk := self.read(65536):
            yield chunk


def resumable(
    http: httpx.Client,
    auth: Mapping[str, str],
    path: Path,
    filename: str,
    mime: str | None,
    on_progress: Progress | None,
) -> str:
    """Upload by tus 1.0, streamed; the id of the stored file. After a break it goes on from what the server has."""
    size = path.stat().st_size
    named = {"filename": filename} | ({"filetype": mime} if mime else {})
    metadata = ",".join(f"{name} {base64.b64encode(value.encode()).decode()}" for name, value in named.items())
    with answered(str(http.base_url)):
        made = http.post(
            "/mill/uploads", headers={**auth, **_TUS, "Upload-Length": str(size), "Upload-Metadata": metadata}
        )
    check(made)
    location = str(made.request.url.join(made.headers["Location"]))
    # The place to send to is on the server that was asked, or its signed address elsewhere: the key goes to the first.
    headers = {**(auth if httpx.URL(location).host == http.base_url.host else {}), **_TUS}
    offset, failures, lost = 0, 0, False
    with path.open("rb") as source:
        while True:
            try:
                if lost:
                    before = offset
                    offset, id = _standing(http, "HEAD", location, headers)
                    lost, failures = False, 0 if offset > before else failures
                else:
                    more = {"Upload-Offset": str(offset), "Content-Type": "application/offset+octet-stream"}
                    more["Content-Length"] = str(min(PIECE_BYTES, size - offset))
                    piece = _piece(source, offset, size, on_progress)
                    offset, id = _standing(http, "PATCH", location, headers | more, piece)
                    failures = 0
            except ClientError as error:
                # 409 and 423: the server still holds on to the piece that broke, or knows better how far it came.
                if not isinstance(error, Unreachable) and getattr(error, "status", 0) not in (409, 423):
                    raise
                failures += 1
                if failures >= _TRIES:
                    raise
                lost = True
                time.sleep(FIRST_PAUSE_S * 2**failures)
                continue
            if on_progress is not None:
                on_progress(offset, size)
            if id is not None:
                return id
            if offset >= size:
                raise Unreachable("The server has every byte, but names no file for them.")


def _piece(source: BinaryIO, offset: int, size: int, on_progress: Progress | None) -> Iterator[bytes]:
    source.seek(offset)
    left = min(PIECE_BYTES, size - offset)
    while left and (chunk := source.read(min(_CHUNK_BYTES, left))):
        left -= len(chunk)
        yield chunk
        if on_progress is not None:
            on_progress(source.tell(), size)


def _standing(
    http: httpx.Client, method: str, location: str, headers: Mapping[str, str], content: Iterator[bytes] | None = None
) -> tuple[int, str | None]:
    """How far an upload is, and the file it has become when it is whole."""
    with answered(str(http.base_url)):
        answer = http.request(method, location, content=content, headers=headers)
    check(answer)
    return int(answer.headers["Upload-Offset"]), answer.headers.get("Mill-File-Id")


def is_stream(target: Path) -> bool:
    """Whether it is a device or a pipe, /dev/null or /dev/stdout say: to be written to, and never to be replaced."""
    return target.exists() and not target.is_file() and not target.is_dir()


def _opened(part: Path, target: Path) -> FileIO:
    try:
        return part.open("w+b", buffering=0)
    except OSError as error:
        error.filename = str(target)  # the name that the caller knows
        raise


def download(
    http: httpx.Client, url: str, file: Downloadable, target: Path, on_progress: Progress | None = None
) -> Path:
    """Save `url` as `target` by way of a file beside it; the checksum is compared when it is known."""
    real = target.resolve()  # where a link leads, as everything else that writes to one takes it
    part = real.with_name(f".{real.name}.{os.getpid()}.part")
    failures = 0
    try:
        with _opened(part, target) as sink:
            arriving = _Arriving(sink, file.get("size_bytes"), on_progress)
            while True:
                try:
                    arriving.receive(http, url)
                    break
                except Unreachable:
                    failures += 1
                    if failures >= _TRIES:
                        raise
                    time.sleep(FIRST_PAUSE_S * 2**failures)
            if (want := file.get("sha256")) is not None:
                sink.seek(0)
                if hashlib.file_digest(sink, "sha256").hexdigest() != want:
                    raise Unreachable("The downloaded bytes are not those that the server stored.")
        part.replace(real)
    finally:
        part.unlink(missing_ok=True)
    return target


@dataclass
class _Arriving:
    """A download under way: what came stays when a connection breaks, as long as the server still has the same."""

    sink: FileIO
    size: int | None
    on_progress: Progress | None
    have: int = 0
    etag: str | None = None

    def receive(self, http: httpx.Client, url: str) -> None:
        """Get what is still missing; a server that cannot go on from there sends all again."""
        headers = {"Accept-Encoding": "identity"}
        if self.have:
            headers |= {"Range": f"bytes={self.have}-"} | ({"If-Range": self.etag} if self.etag else {})
        with answered(url), http.stream("GET", url, headers=headers) as answer:
            if answer.status_code == 416 and self.have == self.size:
                return
            check(answer)
            if answer.status_code != 206:
                self.have = 0
                self.sink.seek(0)
                self.sink.truncate()
            self.etag = answer.headers.get("ETag")
            # In the pieces that come: larger ones would be gathered first, and lost with the connection.
            for chunk in answer.iter_bytes():
                self._keep(chunk)
        if self.size is not None and self.have < self.size:
            raise Unreachable(f"{self.have} of {self.size} bytes came.", broke_off=True)

    def _keep(self, chunk: bytes) -> None:
        view = memoryview(chunk)
        while view:
            view = view[self.sink.write(view) :]
        self.have += len(chunk)
        if self.on_progress is not None:
            self.on_progress(self.have, self.size or self.have)
