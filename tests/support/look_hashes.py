"""Perceptual hashes of one frame of every look: `python -m tests.support.look_hashes` writes them to a file."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from tests.support import looks

from mediamill.core import looks as names

FILE = Path(__file__).parents[1] / "engines" / "look_hashes.json"
FAMILIES: Mapping[str, Sequence[str]] = {
    "effects": names.EFFECTS,
    "transitions": names.TRANSITIONS,
    "motions": tuple(names.MOTIONS),
    "blend_modes": names.BLEND_MODES,
}
TOLERANCE = 8
"""Of `distance`, in levels. A change of rounding moves it by one or two, another look by dozens."""


def of(family: str, name: str) -> str:
    """Mean colours on an 8 x 8 grid and the amount of fine detail of each on a 4 x 4 grid, in hex."""
    seen = looks.shown(looks.sample(family, name))
    colours = cv2.resize(seen, (8, 8), interpolation=cv2.INTER_AREA)
    edges: Any = np.abs(cv2.Laplacian(seen, cv2.CV_32F))
    detail = np.rint(np.clip(cv2.resize(edges, (4, 4), interpolation=cv2.INTER_AREA), 0, 255)).astype(np.uint8)
    return f"{colours.tobytes().hex()}-{detail.tobytes().hex()}"


def distance(one: str, other: str) -> float:
    """How far two hashes are from each other: the worst difference of a mean colour or of a detail, in levels."""
    first, second = (np.frombuffer(bytes.fromhex(text.replace("-", "")), np.uint8).astype(int) for text in (one, other))
    return float(np.abs(first - second).max())


def main() -> None:
    found = {family: {name: of(family, name) for name in known} for family, known in FAMILIES.items()}
    FILE.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
