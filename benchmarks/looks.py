"""Milliseconds that each look takes on a 1080p frame, and how many plain products of two frames that is.

    PYTHONPATH=src python benchmarks/looks.py [--rounds 5] [--threads 1] [--only NAME ...]

The best round of each counts; maps and tables that a film asks for on every frame are made before. The product
(`cv2.multiply` of two opaque RGBA frames) is timed beside every look, so that other work on the machine moves both, and
processor time stands beside that of the clock, which such work moves less. Goal: most within 15 ms on four quiet cores.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.support import looks

from mediamill.engines import _look
from mediamill.engines._look import Moment

H, W = 1080, 1920
GOAL_MS = 15.0


def works() -> Iterator[tuple[str, str, Callable[[int], Any]]]:
    """Every look as a function of the number of a round."""
    a, b = looks.lake(H, W), looks.town(H, W)
    before = np.roll(a, 40, axis=1)
    half = cv2.convertScaleAbs(b, alpha=0.5)

    def moment(k: int) -> Moment:
        return Moment(t=1 + k / 30, frame=30 + k, length_s=4, earlier=lambda _: before)

    for name, effect in _look.EFFECTS.items():
        yield "effect", name, lambda k, effect=effect: effect(a, moment(k), 1.0, {})  # type: ignore[misc]
    for name, transition in _look.TRANSITIONS.items():
        yield "transition", name, lambda k, cut=transition: cut(a, b, 0.4 + 0.02 * (k % 10), moment(k))  # type: ignore[misc]
    for name, blend in _look.BLENDS.items():
        yield "blend, opaque", name, lambda k, blend=blend: blend(a, b)  # type: ignore[misc]
        yield "blend, half", name, lambda k, blend=blend: blend(a, half)  # type: ignore[misc]
    for name in ("explode", "evaporate", "glitch_pop", "loop_shimmer"):
        motion = _look.MOTIONS[name]
        yield "motion", name, lambda k, motion=motion: _look.apply_pieces(a, motion(0.5, moment(k)), moment(k))  # type: ignore[misc]
    pose = _look.MOTIONS["blur"](0.5, Moment())
    yield "motion", "blur", lambda k: _look.apply_blur(a, pose, H)


def best_ms(work: Callable[[int], Any], rounds: int) -> tuple[float, float]:
    """By the clock, and of the processors."""
    work(0)
    times, spent = [], []
    for number in range(1, rounds + 1):
        began, before = time.perf_counter(), time.process_time()
        work(number)
        spent.append(time.process_time() - before)
        times.append(time.perf_counter() - began)
    return min(times) * 1000, min(spent) * 1000


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=4)
    parser.add_argument("--only", nargs="*")
    asked = parser.parse_args()
    cv2.setNumThreads(asked.threads)
    one, other = looks.lake(H, W), looks.town(H, W)
    found = []
    for kind, name, work in works():
        if asked.only and name not in asked.only:
            continue
        product, _ = best_ms(lambda _: cv2.multiply(one, other, scale=1 / 255), asked.rounds)
        took, spent = best_ms(work, asked.rounds)
        found.append((took, spent, kind, name, took / product))
    for took, spent, kind, name, ratio in sorted(found, reverse=True):
        print(f"{took:7.1f} ms  {spent:7.1f} ms of processors  {ratio:5.1f} products  {kind:14} {name}")
    within = sum(took <= GOAL_MS for took, *_ in found)
    print(
        f"median {statistics.median(took for took, *_ in found):.1f} ms; {within} of {len(found)} within {GOAL_MS:g} ms"
    )


if __name__ == "__main__":
    main()
