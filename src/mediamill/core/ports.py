"""The small doors between rooms: Protocols of a few methods each, one capability apiece."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, ClassVar, Protocol, TypeVar

from mediamill.core.media import Facts

Pair = tuple[str, str]
"""(canonical MIME in, canonical MIME out)"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Missing:
    """Why a capability is off here, and what an operator does to have it."""

    reason: str
    remedy: str


class Report(Protocol):
    """Where the work stands; cheap to call often, ticks are coalesced on their way to the store."""

    def __call__(self, stage: str, fraction: float | None = None) -> None:
        """`stage` is one of probe, fetch, work, encode, store, …; `fraction` in [0, 1] of that whole task."""


class Rising:
    """Reports that never go back, though the work may begin anew."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self._reached = 0.0

    def __call__(self, stage: str, fraction: float | None = None) -> None:
        if fraction is not None:
            fraction = self._reached = max(self._reached, fraction)
        self._report(stage, fraction)


class ToolRun(Protocol):
    """The finished run of a tool."""

    @property
    def stdout(self) -> bytes: ...

    @property
    def stderr_tail(self) -> str: ...


class Piped(Protocol):
    """A running program that its starter feeds or reads. Both pipes are unbuffered; close `stdin` to say the end."""

    @property
    def stdin(self) -> IO[bytes] | None: ...

    @property
    def stdout(self) -> IO[bytes] | None: ...

    @property
    def pid(self) -> int: ...


class Tools(Protocol):
    """The one way to start a program: argv only, own process group, limits, sandboxed to the job's folders."""

    def run(
        self,
        argv: Sequence[str | Path],
        *,
        name: str,
        stdin: bytes | None = None,
        stdout_limit_bytes: int = 1_000_000,
        on_line: Any = None,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        ok: Sequence[int] = (0,),
        timeout_s: float | None = None,
    ) -> ToolRun:
        """Run to the end. `on_line(str)` gets each stdout line as it comes (progress).

        Raises ToolFailed with the stderr tail (exit status not in `ok`), TimedOut, LimitExceeded.
        """

    def spawn(
        self,
        argv: Sequence[str | Path],
        *,
        name: str,
        stdin: bool = False,
        stdout: bool = False,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        ok: Sequence[int] = (0,),
        timeout_s: float | None = None,
    ) -> AbstractContextManager[Piped]:
        """A running program with raw pipes, for frames. Leaving the block closes them, waits and judges the end.

        An exception in the block kills the program; a BrokenPipeError or EOFError that its death caused is replaced by
        the reason of that death. Raises what `run` raises.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversion:
    """One conversion to do. `source` is read-only; write `target` and nothing else outside `scratch`.

    settings: the convert kind's options for this pair as plain JSON values, defaults not filled in; an absent key
    means the converter's own documented default.
    """

    source: Path
    source_mime: str
    target: Path
    target_mime: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    scratch: Path
    tools: Tools
    report: Report


class Converter(Protocol):
    """One backend that turns some formats into others. Found by scanning `engines/`: a module constant CONVERTER.

    The module must import in a few milliseconds: heavy libraries are imported inside `convert` and `missing`.
    """

    name: str

    def pairs(self) -> Mapping[Pair, int]:
        """Every pair it can do when its tools are there, with its rank for it: the lowest available rank wins."""

    def missing(self) -> Missing | None:
        """Why it cannot work on this install (tool not found), or None."""

    def keys(self, pair: Pair) -> frozenset[str]:
        """The settings keys (top level: "resize", "quality", …) that act on this pair; others are ignored."""

    def convert(self, work: Conversion) -> Mapping[str, Any]:
        """Do it; returns facts about the processing ({"pages": 3}). Raises BadMedia, ToolFailed, LimitExceeded."""


class Prober(Protocol):
    """Reads facts from a file. Found by scanning `engines/`: a module constant PROBER. Runs in the sandboxed child."""

    def families(self) -> Iterable[str]:
        """The format families it reads: image, video, audio, document, sheet, archive, font."""

    def probe(self, path: Path, mime: str) -> Facts:
        """Raises BadMedia when the bytes cannot be read as `mime`."""


class Engine:
    """Base of what a module of `engines/` lists in PROVIDES: one backend of a port, which is a subclass of this one.

    The ports stand in `core/` beside what they speak of. The module must import in a few milliseconds.
    """

    name: ClassVar[str] = ""
    rank: ClassVar[int] = 100
    """Of those available for a port, the lowest is asked first."""
    licence: ClassVar[str] = ""
    """SPDX expression of the engine and of what it carries, for capabilities."""
    speed: ClassVar[str] = ""
    """What was measured of it and where, in words, for capabilities; empty where nothing was."""

    def missing(self) -> Missing | None:
        """Why it cannot work on this install, or None. Asked in the server too, so it starts nothing."""
        return None


E = TypeVar("E", bound=Engine)


class Remote(Protocol):
    """HTTP services that the operator has set up. The worker makes the call and adds the key; a child has no network
    and sees no secret."""

    def __call__(
        self,
        service: str,
        path: str,
        *,
        json: Any = None,
        form: Mapping[str, str] | None = None,
        file: tuple[str, Path, str] | None = None,
        method: str = "POST",
        timeout_s: float = 120.0,
    ) -> Any:
        """The decoded JSON answer of `path` below the service's base URL.

        service: "llm", "stt", "assemblyai". file: (form field, path in scratch or among the inputs, MIME type), sent
        as multipart with `form`; with method PUT or no form, as the bare body. Raises ToolFailed for an answer that
        says no, SourceUnreachable (retryable) when there is none, LimitExceeded when the file is too large to send.
        """


class Engines(Protocol):
    """The backends of this install, as kinds see them."""

    def offering(self, port: type[E]) -> Sequence[E]:
        """Every available engine of a port, the best first."""

    def lacking(self, port: type[Engine]) -> Missing | None:
        """Why no engine of a port is available, with the remedy; None when there is one."""

    def converter(self, pair: Pair) -> Converter | Missing | None:
        """The best available converter; Missing when only absent tools could; None when nothing ever could."""

    def converters(self, pair: Pair) -> Sequence[Converter]:
        """Every available converter of a pair, the best first."""

    def conversions(self) -> Mapping[Pair, str]:
        """Every pair that works on this install, with the name of the engine that does it."""

    def absent(self) -> Mapping[str, Missing]:
        """Engines that are off here, by name."""

    def probe(self, path: Path, mime: str) -> Facts:
        """Facts of a file by the right prober; empty facts for types nobody probes. Raises BadMedia."""

    def tools(self) -> Tools:
        """The process runner."""
