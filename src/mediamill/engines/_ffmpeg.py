"""FFmpeg as a child process: where it is, what it may open, how far it is, and what its complaints mean."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from mediamill.core.errors import BadMedia, Failed, LimitExceeded, OutOfSpace, ToolFailed
from mediamill.core.ports import Conversion, Missing, Report, Tools
from mediamill.engines._av import DEMUXERS, MAX_PIXELS, PROTOCOLS, unreadable

SETTING = "MEDIAMILL_FFMPEG"
"""The setting that names another ffmpeg program than the one in the imageio-ffmpeg wheel."""


@cache
def binary() -> Path:
    """The ffmpeg program: the one the setting names, else the wheel's. Raises FileNotFoundError."""
    named = os.environ.get(SETTING)
    if named:
        path = Path(named).absolute()
        if not os.access(path, os.X_OK):
            raise FileNotFoundError(f"{SETTING} names no program: {named}")
        return path
    # The package's own look-up imports it and runs the program to see whether it works: 60 ms in every child.
    found = importlib.util.find_spec("imageio_ffmpeg")
    for folder in (found.submodule_search_locations or ()) if found else ():
        for path in sorted(Path(folder, "binaries").glob("ffmpeg*")):
            if path.is_file() and os.access(path, os.X_OK):
                return path.absolute()
    raise FileNotFoundError("The package imageio-ffmpeg holds no program for this machine.")


def missing() -> Missing | None:
    """Why there is no ffmpeg here, or None."""
    try:
        binary()
    except FileNotFoundError as error:
        return Missing(
            reason=str(error), remedy=f"Install imageio-ffmpeg for this platform or set {SETTING} to an ffmpeg program."
        )
    return None


SHORTEST_S = 0.001
"""A shorter span rounds to nothing in most time bases, and nothing means "to the end"."""


def input_args(
    path: Path,
    mime: str,
    *,
    start_s: float | None = None,
    duration_s: float | None = None,
    decoder: str | None = None,
) -> list[str]:
    """Everything before and with `-i`: only local files, only the demuxers of the sniffed type, a span if asked for.

    `-t` stands before the input because a palette needs the end of its own stretch, not of the whole file.
    """
    args = ["-protocol_whitelist", PROTOCOLS, "-format_whitelist", DEMUXERS[mime], "-max_pixels", str(MAX_PIXELS)]
    if start_s:
        args += ["-ss", seconds(start_s)]
    if duration_s is not None:
        args += ["-t", seconds(max(duration_s, SHORTEST_S))]
    if decoder is not None:
        args += ["-c:v", decoder]
    return [*args, "-i", url(path)]


def seconds(value: float) -> str:
    """A time as ffmpeg reads it, never in scientific notation."""
    return f"{value:.6f}".rstrip("0").rstrip(".")


def url(path: Path) -> str:
    """A path that can be neither a flag nor a protocol, whatever its name."""
    return f"file:{path.absolute()}"


class Progress:
    """Turns the lines of `-progress pipe:1` into reports that never go back."""

    def __init__(self, report: Report, duration_s: float | None, span: tuple[float, float] = (0.0, 1.0)) -> None:
        self._report = report
        self._duration_s = duration_s
        self._from, self._to = span
        self._reached = 0.0
        self.out_s = 0.0
        """How many seconds have been written."""

    def __call__(self, line: str) -> None:
        name, _, value = line.strip().partition("=")
        if name == "out_time_us" and value.lstrip("-").isdigit():
            self.out_s = max(self.out_s, int(value) / 1_000_000)
            if self._duration_s:
                self._advance(self.out_s / self._duration_s)
        elif name == "progress" and value == "end":
            self._advance(1.0)

    def _advance(self, fraction: float) -> None:
        reached = min(1.0, max(self._reached, fraction))
        if reached > self._reached:
            self._reached = reached
            self._report("encode", self._from + (self._to - self._from) * reached)


def run(
    work: Conversion,
    args: Sequence[str],
    *,
    duration_s: float | None,
    span: tuple[float, float] = (0.0, 1.0),
    what: str = "video",
) -> float:
    """Run ffmpeg with `args` (inputs, filters, codecs, output); returns the seconds written, by its own count.

    Raises BadMedia, LimitExceeded or ToolFailed, worded for callers; ffmpeg's own last lines ride along as the cause.
    """
    progress = Progress(work.report, duration_s, span)
    argv: list[str | Path] = [
        *(binary(), "-hide_banner", "-nostdin", "-y", "-v", "warning"),
        *("-progress", "pipe:1", "-stats_period", "0.1", "-nostats"),
        *args,
    ]
    try:
        done = work.tools.run(argv, name="ffmpeg", on_line=progress, cwd=work.scratch)
    except ToolFailed as error:
        raise named(error, work.source_mime, what) from error
    if "Output file is empty" in done.stderr_tail:
        raise BadMedia(f"There is no {what} in the part that was asked for.")
    return progress.out_s


_UNREADABLE = (
    "Error opening input",
    "Invalid data found when processing input",
    "not on whitelist",
    "Could not find codec parameters",
    "Decode error rate",
    "Picture size",
    "matches no streams",
    "does not contain any stream",
    "Cannot determine format of input",
    "Output file is empty",
)
_TOO_LARGE = ("dimensions too large", "Failed initializing scaling graph", "incorrect parameters such as bit_rate")
_NO_THREAD = "pthread_create() failed"
_TOO_MUCH = ("Cannot allocate memory", "File too large")
_FULL = ("No space left on device", "Disk quota exceeded")


def named(error: ToolFailed, mime: str, what: str = "video") -> Failed:
    """The narrowest error for what ffmpeg said last."""
    tail = error.stderr_tail
    if any(sign in tail for sign in _TOO_MUCH):
        return LimitExceeded(f"The {what} needs more memory or disk than this task may use.")
    if _NO_THREAD in tail:
        tiles = ", one for each of its tiles" if mime == "image/heic" else ""
        return LimitExceeded(f"The {what} needs more threads than a task may have{tiles}.")
    if any(sign in tail for sign in _FULL):
        return OutOfSpace()  # the bounds of a task are kept by other means: it is the machine's disk
    if any(sign in tail for sign in _TOO_LARGE):
        return LimitExceeded(f"The {what} cannot be written at this size: the target's codec has a limit.")
    if any(sign in tail for sign in _UNREADABLE):
        return unreadable(mime)
    return ToolFailed(f"The {what} could not be converted: the encoder stopped.", tail)


_filters: dict[Path, frozenset[str]] = {}


def filters(tools: Tools) -> frozenset[str]:
    """The names of the filters this ffmpeg has; asked once a process."""
    program = binary()
    if program not in _filters:
        listing = tools.run([program, "-hide_banner", "-filters"], name="ffmpeg").stdout.decode(errors="replace")
        _filters[program] = frozenset(parts[1] for line in listing.splitlines() if len(parts := line.split()) > 2)
    return _filters[program]
