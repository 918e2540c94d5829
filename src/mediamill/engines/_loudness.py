"""Loudness by EBU R 128 (ITU-R BS.1770): measured by ffmpeg's `ebur128`, reached by one gain, and by a limiter where
that gain would push peaks too high. What is between the quiet and the loud stays as it was but for those peaks."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from mediamill.core.sound import TRUE_PEAK_DBTP

SILENT_LUFS = -69.0
"""What the measurement says of silence, and of sounds shorter than its window of 0.4 s, is -70."""
MEASURE = "ebur128=peak=sample:framelog=verbose"
"""`verbose` keeps the line a tenth of a second out of the log; ffmpeg 5.1 knows no `quiet` here."""
TOLD = ":metadata=1,aselect=not(mod(n\\,10)),ametadata=mode=print:direct=1:file=pipe\\\\:1"
"""After MEASURE: what is measured so far, for each second of sound, in lines that `Heard` reads."""

_BETWEEN_DB = 3.0
"""How far a true peak may stand above the highest sample, but for made-up signals."""
_CEILING_DBTP = TRUE_PEAK_DBTP - 0.3  # going back to the sound's own rate moves peaks a little
_OVERSAMPLED_HZ = 192000
_NEAR_LU = 0.1
_ROUNDS = 4
_SO_FAR = re.compile(r"lavfi\.r128\.(I|sample_peaks?\w*)=(-?[\d.]+)$")
_HARD_DB = 4.0
"""By how much a limiter must lower peaks for the first gain to fall short."""
_LOUDNESS = re.compile(r"Integrated loudness:\s+I:\s+(-?[\d.]+|-?inf|nan) LUFS")
_PEAK = re.compile(r"Sample peak:\s+Peak:\s+(-?[\d.]+|-?inf|nan) dBFS")


@dataclass(frozen=True, slots=True)
class Measured:
    """Integrated loudness and highest sample."""

    lufs: float
    peak_dbfs: float

    @property
    def silent(self) -> bool:
        """Whether there is nothing that a gain could make louder."""
        return not self.lufs > SILENT_LUFS


@dataclass(slots=True)
class Heard:
    """What a measurement has found so far: the loudness up to each second, and the highest sample."""

    lufs: list[float] = field(default_factory=list)
    peak: float = 0.0

    def __call__(self, line: str) -> None:
        """Read a line of ffmpeg's output, if it is about this."""
        if (found := _SO_FAR.match(line)) is not None:
            value = float(found[2])
            if found[1] == "I":
                self.lufs.append(value)
            else:
                self.peak = max(self.peak, value)

    def rounds(self, target_lufs: float) -> int:
        """How many rounds of the limiter this will need, going by what is heard so far."""
        if not self.lufs or self.peak <= 0 or self.lufs[-1] <= SILENT_LUFS:
            return 0
        found = Measured(self.lufs[-1], 20 * math.log10(self.peak))
        if not needs_limiter(found, target_lufs):
            return 0
        return 2 if found.peak_dbfs + target_lufs - found.lufs > _CEILING_DBTP + _HARD_DB else 1

    def falls_short(self, before: Heard, gain_db: float) -> bool:
        """Whether a limiter takes so much off that there will be another round; `before`: without gain and limiter."""
        at = min(len(self.lufs), len(before.lufs)) - 1
        return at >= 3 and abs(before.lufs[at] + gain_db - self.lufs[at]) > _NEAR_LU


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The filters that bring a sound to a loudness, and what is said of it."""

    filters: tuple[str, ...]
    facts: Mapping[str, Any]


def summary(log: str) -> Measured:
    """The measurement out of ffmpeg's log; silence when it holds none."""
    loudness, peaks = _LOUDNESS.findall(log), _PEAK.findall(log)
    lufs, peak = (float(found[-1]) if found else -70.0 for found in (loudness, peaks))
    return Measured(lufs if lufs == lufs else -70.0, peak if peak == peak else -70.0)


def gain(db: float) -> str:
    """A linear gain."""
    return f"volume={db:.3f}dB:precision=float"


def limiter(rate_hz: int) -> tuple[str, ...]:
    """No true peak above the ceiling: peaks between samples show at four times the rate."""
    limit = 10 ** (_CEILING_DBTP / 20)
    return (
        f"aresample={_OVERSAMPLED_HZ}",
        f"alimiter=limit={limit:.4f}:attack=5:release=50:level=false:latency=true",
        f"aresample={rate_hz}",
    )


def needs_limiter(found: Measured, target_lufs: float) -> bool:
    """Whether the gain alone could push a true peak above the ceiling."""
    return found.peak_dbfs + target_lufs - found.lufs > _CEILING_DBTP - _BETWEEN_DB


def corrected(filters: tuple[str, ...], db: float) -> tuple[str, ...]:
    """The same filters with so much more gain."""
    return (gain(db), *filters)


def plan(
    found: Measured, target_lufs: float, rate_hz: int, measure: Callable[[tuple[str, ...], int], Measured]
) -> Plan:
    """How to reach the target from what was found; `measure` tells what filters would make of the sound, and gets
    the number of the round, from 0."""
    facts: dict[str, Any] = {"target_lufs": target_lufs}
    if found.silent:
        return Plan(filters=(), facts={**facts, "silent": True})
    facts["measured_lufs"] = round(found.lufs, 1)
    gain_db = target_lufs - found.lufs
    if not needs_limiter(found, target_lufs):
        return Plan(filters=(gain(gain_db),), facts={**facts, "gain_db": round(gain_db, 2), "limited": False})
    best: tuple[float, float, float] | None = None  # how far off, gain, loudness
    before: tuple[float, float] | None = None
    for number in range(_ROUNDS):
        reached = measure((gain(gain_db), *limiter(rate_hz)), number)
        off = target_lufs - reached.lufs
        if best is None or abs(off) < abs(best[0]):
            best = off, gain_db, reached.lufs
        if abs(off) <= _NEAR_LU:
            break
        # The harder the limiter works, the less a decibel of gain adds: go by what the last one did.
        slope = 1.0 if before is None else max(0.2, (reached.lufs - before[1]) / (gain_db - before[0]))
        before = gain_db, reached.lufs
        gain_db += off / slope
    assert best is not None
    facts |= {"gain_db": round(best[1], 2), "limited": True, "expected_lufs": round(best[2], 1)}
    return Plan(filters=(gain(best[1]), *limiter(rate_hz)), facts=facts)
