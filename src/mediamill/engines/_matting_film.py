"""A film without its background, by any network that makes masks. The picture's own planes go on untouched: nothing is
turned into RGB and back but the small picture that the network sees."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from mediamill.core.errors import NoSubject
from mediamill.core.matting import FilmCut, FilmFormat
from mediamill.engines import _frames, _matting, _vp9_alpha

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Network = Callable[["NDArray[np.float32]"], "NDArray[np.float32]"]
"""(side, side, 3) RGB of 0 to 1 → (side, side) of 0 to 1."""

CODERS: Mapping[FilmFormat, Callable[[], _frames.Coder]] = {"webm": _vp9_alpha.Coder}
ENCODERS: Mapping[FilmFormat, tuple[str, ...]] = {
    # With one step for the whole film the encoder need not try many for every slice: a fifth of the processor time,
    # the same faithfulness, and fewer bytes.
    "mov": ("-c:v", "prores_ks", "-profile:v", "4444", "-pix_fmt", "yuva444p10le", "-alpha_bits", "8", "-q:v", "1"),
}
_MATRICES = {
    "bt709": ((1.1644, 0.0, 1.7927), (1.1644, -0.2132, -0.5329), (1.1644, 2.1124, 0.0)),
    "smpte170m": ((1.1644, 0.0, 1.5960), (1.1644, -0.3918, -0.8130), (1.1644, 2.0172, 0.0)),
}
_BLACK, _GREY = 16, 128


def cut(work: FilmCut, network: Network, side: int, *, sure: float = _matting.SURE) -> dict[str, Any]:
    """Write the target. Raises NoSubject when no picture of the film has anything in front, and what pumping does."""
    _, video = _frames.film(work.source, work.source_mime)
    given = "yuva420p" if video.alpha else "yuv420p"
    matrix = video.matrix or ("bt709" if video.rgb or video.height_px >= 720 else "smpte170m")
    look = Look(network, side, matrix, sure)
    job = _frames.Job(
        source=work.source,
        mime=work.source_mime,
        target=work.target,
        container=work.format,
        encoder=ENCODERS.get(work.format, ()),
        coder=CODERS[work.format]() if work.format in CODERS else None,
        given=given,
        made="yuva420p",
        tools=work.tools,
        report=work.report,
    )
    pumped = _frames.pump(job, [look, Edges(video.width_px, video.height_px), Lay()])
    if not look.seen:
        work.target.unlink(missing_ok=True)
        raise NoSubject("No picture of the film has anything in it that could be told from the background.")
    return {"frames": pumped.frames, "frames_with_subject": look.seen, **pumped.details}


class Look:
    """The first step: the mask of each picture, held steady. Every step leaves what the next needs in the note."""

    def __init__(self, network: Network, side: int, matrix: str, sure: float = _matting.SURE) -> None:
        import numpy as np

        self._network, self._side, self._sure = network, side, sure
        weights = np.array(_MATRICES.get(matrix, _MATRICES["bt709"]), np.float64) / 255
        self._rgb = np.column_stack([weights, -weights @ (_BLACK, _GREY, _GREY)]).astype(np.float32)
        self._steady = _matting.Steady()
        self.seen = 0

    def __call__(self, frame: _frames.Frame) -> None:
        import cv2
        import numpy as np

        small = _smaller(frame.given.planes[:3], (self._side, self._side))
        coded = cv2.merge(small).astype(np.float32)
        rgb = np.asarray(cv2.transform(coded, self._rgb), np.float32)
        mask = _matting.without_specks(self._network(np.clip(rgb, 0, 1, out=rgb)))
        frame.note = self._steady(mask, small[0] * np.float32(1 / 219))
        self.seen += _matting.has_subject(frame.note[0], self._sure)


class Edges:
    """The second step: how the matte follows from the colours, worked out at a middling size (see _matting)."""

    def __init__(self, width: int, height: int) -> None:
        scale = min(1.0, _matting.WORK_PX / max(width, height))
        self._size = max(1, round(width * scale)), max(1, round(height * scale))
        self._radius = max(2, round(max(self._size) / 128))

    def __call__(self, frame: _frames.Frame) -> None:
        import cv2
        import numpy as np

        small = _smaller(frame.given.planes[:3], self._size)
        given, hold = frame.note
        mask = np.asarray(cv2.resize(given, self._size, interpolation=cv2.INTER_LINEAR), np.float32)
        frame.note = _matting.windows(_matting.firm(mask), _matting.channels(small), self._radius), hold


class Lay:
    """The third step: the planes, with the matte as their transparency.

    What Cb and Cr bring to the matte is worked out at their own, halved size. What is clear is painted black, so that
    no player that knows no transparency shows it, and no one can get it back.
    """

    def __init__(self) -> None:
        self._whole: list[NDArray[np.float32]] = []
        self._halved: list[NDArray[np.float32]] = []
        self._begun = False

    def __call__(self, frame: _frames.Frame) -> None:
        import cv2
        import numpy as np

        y, u, v = frame.given.planes[:3]
        to_y, to_u, to_v, to_a = frame.made.planes
        (by_y, by_u, by_v, constant), hold = frame.note
        frame.note = None
        if not self._whole:
            # Made once: to be given megabytes anew by the system takes longer than to work them out.
            self._whole = [np.empty(y.shape, np.float32) for _ in range(4)]
            self._halved = [np.empty(u.shape, np.float32) for _ in range(3)]
        coloured, slope, colour = self._halved
        _enlarge(constant, coloured)
        for plane, by in ((u, by_u), (v, by_v)):
            _enlarge(by * np.float32(1 / 255), slope)
            np.copyto(colour, plane)
            cv2.accumulateProduct(slope, colour, coloured)
        matte, before, slope, light = self._whole
        _enlarge(coloured, matte)
        _enlarge(by_y * np.float32(1 / 255), slope)
        np.copyto(light, y)
        cv2.accumulateProduct(slope, light, matte)
        if hold is not None and self._begun:
            _enlarge(hold, slope)
            cv2.accumulateProduct(slope, cv2.subtract(before, matte, dst=before), matte)
        self._whole[:2], self._begun = [before, matte], True
        to_a[...] = _matting.to_bytes(matte)
        if len(frame.given.planes) > 3:
            to_a[...] = cv2.multiply(to_a, frame.given.planes[3], scale=1 / 255)
        # Colours go on a little beyond the edge, or the encoder would smear black into it.
        kept = cv2.dilate(cv2.resize(to_a, u.shape[::-1], interpolation=cv2.INTER_AREA), np.ones((5, 5), np.uint8))
        for plane, made in ((u, to_u), (v, to_v)):
            made.fill(_GREY)
            cv2.copyTo(plane, kept, made)
        to_y.fill(_BLACK)
        cv2.copyTo(y, cv2.resize(kept, y.shape[::-1], interpolation=cv2.INTER_NEAREST), to_y)


def _smaller(planes: Sequence[NDArray[np.uint8]], size: tuple[int, int]) -> list[NDArray[np.uint8]]:
    """Planes at a size (width, height): halved, which is quick, as often as it goes, then sampled. Parts of pixels
    weighed exactly come within half a level of this, at five times the time."""
    import cv2
    import numpy as np

    made = []
    for plane in planes:
        height, width = plane.shape
        while width % 2 == height % 2 == 0 and width >= 2 * size[0] and height >= 2 * size[1]:
            height, width = height // 2, width // 2
            plane = np.asarray(cv2.resize(plane, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
        near = width <= _NEAR * size[0] and height <= _NEAR * size[1]
        kernel = cv2.INTER_LINEAR if near else cv2.INTER_AREA
        made.append(np.asarray(cv2.resize(plane, size, interpolation=kernel), np.uint8))
    return made


_NEAR = 2.5
"""So many pixels become one, at most, where one is sampled between two: beyond, too many would not be looked at."""


def _enlarge(plane: NDArray[np.float32], onto: NDArray[np.float32]) -> None:
    import cv2

    cv2.resize(plane, onto.shape[::-1], dst=onto, interpolation=cv2.INTER_LINEAR)
