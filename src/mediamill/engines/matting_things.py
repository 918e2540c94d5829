"""A thing before a plain background, cut out by its colours alone: OpenCV's GrabCut, begun from the picture's rim.

It knows nothing of things. Where the rim shows the background and the middle shows the thing it does well; before a
background of many colours it often goes wrong, so what it makes is called a best effort.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from mediamill.core.errors import NoSubject, ToolFailed
from mediamill.core.matting import Care, FilmCut, Matter, PictureCut
from mediamill.core.ports import Missing
from mediamill.engines import _matting_picture
from mediamill.engines._lacking import lacking
from mediamill.engines._processor import slowness, used_s

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_SIDE = 480
_ROUNDS = (1.0, 0.52, 0.9, 0.97)
"""What each takes of the one before it, the first of what is guessed."""
_BEGIN_S, _RIM_S, _ROUND_S = 0.03, 0.25e-6, 1.4e-6
"""Processor seconds to begin, to look at the colours, and of the first round, for a pixel: that takes half as much to
twice as much, as the picture is."""
_SAMPLED, _WHOLE = 5, 1.05
"""So it is tried first with every fifth row and column alone, 2 % of all; the whole takes so much more for a pixel."""
_RIM = 0.04
"""The part of each side that is taken for background."""
_LEAST, _MOST = 0.01, 0.9
"""Of the picture that the thing may fill; beyond, the colours told nothing apart."""
_COLOURS = 5


class Objects(Matter):
    """See the module."""

    name = "grabcut"
    rank: ClassVar[int] = 200
    licence = "Apache-2.0"
    speed: ClassVar[str] = "a picture in 0.3 to 1 s on 4 cores of x86-64"
    care: ClassVar[Care] = "best_effort"
    films: ClassVar[bool] = False

    def missing(self) -> Missing | None:
        return lacking("cv2")

    def picture(self, work: PictureCut) -> Mapping[str, Any]:
        steps = _matting_picture.Steps()
        return _matting_picture.cut(work, lambda rgb: _mask(rgb, steps), again=False, steps=steps)

    def film(self, work: FilmCut) -> Mapping[str, Any]:
        raise ToolFailed("Colours alone do not tell a thing from its background all through a film.")


def _mask(rgb: NDArray[np.float32], steps: _matting_picture.Steps) -> NDArray[np.float32]:
    """Raises NoSubject where the colours tell nothing."""
    import cv2
    import numpy as np

    scale = min(1.0, _SIDE / max(rgb.shape[:2]))
    size = max(8, round(rgb.shape[1] * scale)), max(8, round(rgb.shape[0] * scale))
    slow, pixels = slowness(), size[0] * size[1]
    round_s = slow * _ROUND_S * pixels
    steps.tell(slow * (_BEGIN_S + _RIM_S * pixels), _rounds_s(0, round_s))
    bgr = (cv2.resize(rgb, size, interpolation=cv2.INTER_AREA)[..., ::-1] * 255).astype(np.uint8).copy()
    apart = _distance(bgr)
    middle = apart[size[1] // 8 : -size[1] // 8 or None, size[0] // 8 : -size[0] // 8 or None]
    edge = float(np.percentile(apart, 50)) + 12.0
    if float(middle.max(initial=0.0)) < edge:
        raise NoSubject("The picture has one colour all over; there is nothing to cut out.")
    marks = np.where(apart > edge, cv2.GC_PR_FGD, cv2.GC_PR_BGD).astype(np.uint8)
    rim = max(1, round(min(size) * _RIM))
    # The lower rim is left open: things stand on something, and people and busts are cut by it.
    marks[:rim], marks[:, :rim], marks[:, -rim:] = cv2.GC_BGD, cv2.GC_BGD, cv2.GC_BGD
    if not (marks == cv2.GC_PR_FGD).any():
        raise NoSubject("Nothing in the picture stands apart from its rim by its colour.")
    back, front = np.zeros((1, 65)), np.zeros((1, 65))
    round_s = _first_s(bgr, marks)
    cv2.setRNGSeed(1)
    for number, share in enumerate(_ROUNDS):
        steps.tell(round_s * share, _rounds_s(number + 1, round_s * share))
        began_s = used_s()
        cv2.grabCut(bgr, marks, (0, 0, 1, 1), back, front, 1, cv2.GC_EVAL if number else cv2.GC_INIT_WITH_MASK)
        round_s = used_s() - began_s
    steps.tell(0.0, 0.0)
    found = ((marks == cv2.GC_FGD) | (marks == cv2.GC_PR_FGD)).astype(np.uint8)
    opened = cv2.morphologyEx(found, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    found = _largest(np.asarray(opened, np.uint8))
    if not _LEAST <= float(found.mean()) <= _MOST:
        raise NoSubject("Nothing in the picture stands apart from its rim by its colour.")
    return np.asarray(cv2.GaussianBlur(found.astype(np.float32), (5, 5), 0), np.float32)


def _first_s(bgr: NDArray[np.uint8], marks: NDArray[np.uint8]) -> float:
    """Processor seconds of the first round, by one of every fifth row and column."""
    import cv2
    import numpy as np

    small = [np.ascontiguousarray(plane[::_SAMPLED, ::_SAMPLED]) for plane in (bgr, marks)]
    if not (small[1] == cv2.GC_PR_FGD).any():
        return 0.0
    began_s = used_s()
    cv2.grabCut(small[0], small[1], (0, 0, 1, 1), np.zeros((1, 65)), np.zeros((1, 65)), 1, cv2.GC_INIT_WITH_MASK)
    return (used_s() - began_s) * _SAMPLED**2 * _WHOLE


def _rounds_s(number: int, before_s: float) -> float:
    """What the rounds from a number on take when the one before took so long."""
    taken_s = 0.0
    for share in _ROUNDS[number:]:
        before_s *= share
        taken_s += before_s
    return taken_s


def _distance(bgr: NDArray[np.uint8]) -> NDArray[np.float32]:
    """How far each pixel's colour lies from the nearest of the rim's main colours."""
    import cv2
    import numpy as np

    lab = cv2.cvtColor(bgr, cv2.COLOR_BGR2LAB).astype(np.float32)
    rim = max(1, round(min(bgr.shape[:2]) * _RIM))
    samples = np.concatenate([lab[:rim].reshape(-1, 3), lab[:, :rim].reshape(-1, 3), lab[:, -rim:].reshape(-1, 3)])
    until = (cv2.TERM_CRITERIA_EPS + cv2.TERM_CRITERIA_MAX_ITER, 20, 1.0)
    cv2.setRNGSeed(1)
    count = min(_COLOURS, len(samples))
    _, _, centres = cv2.kmeans(samples, count, np.empty(0, np.int32), until, 2, cv2.KMEANS_PP_CENTERS)
    return np.asarray(np.min([np.linalg.norm(lab - centre, axis=-1) for centre in centres], axis=0), np.float32)


def _largest(found: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Without specks (what is less than a twentieth of the largest piece) and without holes: what a thing encloses
    mostly belongs to it, as coffee to its cup."""
    import cv2
    import numpy as np

    count, labels, stats, _ = cv2.connectedComponentsWithStats(found)
    if count < 2:
        return found
    areas = stats[:, cv2.CC_STAT_AREA].astype(np.int64)
    areas[0] = 0
    kept = (areas >= 0.05 * areas.max())[np.asarray(labels)] & (found > 0)
    count, labels, _, _ = cv2.connectedComponentsWithStats((~kept).astype(np.uint8), connectivity=4)
    outside = np.asarray(labels)
    edge = np.unique(np.concatenate([outside[0], outside[-1], outside[:, 0], outside[:, -1]]))
    whole: NDArray[np.uint8] = (kept | ~np.isin(outside, edge)).astype(np.uint8)
    return whole


PROVIDES = (Objects(),)
