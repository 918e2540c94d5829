"""A task of a kind in a process of its own, as a worker's child does one, which looks at what has been used whenever
the kind says how far it is: `python -m tests.support.progress KIND OPTIONS SOURCE FOLDER` writes the looks as JSON.

A process of its own has nothing of the tests in it: threads of a library that spin after their work are not counted
with the task's.
"""

from __future__ import annotations

import contextlib
import importlib
import itertools
import json
import os
import resource
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
from tests.support.tools import PlainTools

from mediamill import engines, processors
from mediamill.core import formats
from mediamill.engines._processor import program_s
from mediamill.kinds import Context, Hint, Input, named

_TICKS = os.sysconf("SC_CLK_TCK")
_EVERY_S = 0.02
"""Looking is work too: what is said sooner after the last is not looked at, as the worker does not pass it on."""
_ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What was said, and the share of all work that was done by then."""

    said: float
    true: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """All that was said of a task, and the looks at it."""

    said: list[float]
    looks: list[Look]
    used_s: float
    wall_s: float

    def middle(self) -> list[Look]:
        """Without the very beginning and end."""
        return [look for look in self.looks if 0.02 < look.said < 0.98]

    def still(self) -> float:
        """The largest share of the work during which nothing new was said."""
        at = [0.0, *(look.true for look in self.looks), 1.0]
        return max(later - before for before, later in itertools.pairwise(at))


class Others:
    """What all others use of the machine's processors from now on."""

    def __init__(self) -> None:
        self._used, self._whole = _of_all()

    def share(self, own_s: float) -> float:
        """Of all that there was, when so many processor seconds were our own. Time a host kept for itself counts."""
        used, whole = _of_all()
        return (used - self._used - own_s * _TICKS) / max(1, whole - self._whole)


def _of_all() -> tuple[int, int]:
    """Ticks in use and ticks in all, of all processors: /proc/stat, proc(5)."""
    user, nice, system, idle, waiting, *rest = map(int, Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9])
    used = user + nice + system + sum(rest)
    return used, used + idle + waiting


def used_s() -> float:
    """Processor seconds of this process and of all programs that ran or run below it, finer than the system's ticks
    where it can be: of a task of a quarter of a second, one is 4 %."""
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    total = time.process_time() + ended.ru_utime + ended.ru_stime
    below = _children("self")
    while below:
        pid = below.pop()
        with contextlib.suppress(OSError):  # it has ended just now
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            total += program_s(int(pid)) + sum(map(int, fields[13:15])) / _TICKS  # and those of its that have ended
            below += _children(pid)
    return total


def _children(pid: str) -> list[str]:
    found: list[str] = []
    for thread in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(OSError):
            found += (thread / "children").read_text().split()
    return found


def looked(kind: str, options: dict[str, Any], source: Path, folder: Path) -> Seen:
    """Run it in a process of its own, with two processors."""
    done = subprocess.run(
        [sys.executable, "-m", __name__, kind, json.dumps(options), str(source), str(folder)],
        check=True,
        capture_output=True,
        cwd=_ROOT,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "OPENBLAS_NUM_THREADS": "1"},
    )
    return msgspec.json.decode(done.stdout, type=Seen)


def run(kind: str, options: dict[str, Any], source: Path, folder: Path) -> Seen:
    """Run it here and look."""
    chosen, installed = named(kind), engines.open(PlainTools())
    known = formats.by_filename(source.name)
    assert known is not None
    checked = chosen.check(msgspec.convert(options, chosen.options), [Hint(mime=known.mime)], installed)
    given = Input(path=source, mime=known.mime, filename=source.name)
    # A child does one task after another, and finds out the facts of a file first: what it loads for that, it has then.
    assert installed.probe(source, known.mime).known()
    importlib.import_module("numpy")
    said: list[float] = []
    looks: list[tuple[float, float]] = []
    last_s = 0.0

    def report(stage: str, fraction: float | None = None) -> None:
        nonlocal last_s
        if fraction is None:
            return
        said.append(fraction)
        if time.monotonic() - last_s >= _EVERY_S:
            looks.append((fraction, used_s()))
            last_s = time.monotonic()

    before_s, began_s = used_s(), time.monotonic()
    chosen.run(Context(inputs=[given], scratch=folder, engines=installed, report=report), checked)
    whole_s, wall_s = used_s() - before_s, time.monotonic() - began_s
    return Seen(
        said=said,
        looks=[Look(said=fraction, true=(used - before_s) / whole_s) for fraction, used in looks],
        used_s=whole_s,
        wall_s=wall_s,
    )


if __name__ == "__main__":
    processors.count = lambda: 2  # type: ignore[assignment]  # a cached one else
    sys.stdout.buffer.write(msgspec.json.encode(run(sys.argv[1], json.loads(sys.argv[2]), *map(Path, sys.argv[3:5]))))
