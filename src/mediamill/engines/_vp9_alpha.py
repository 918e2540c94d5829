"""VP9 with transparency, as browsers read it: two streams, one of colours and one of transparency, each coded in a
thread of its own. FFmpeg codes them one after the other, and a film waits for the sum of both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, Any, ClassVar, cast

from mediamill.core.errors import ToolFailed
from mediamill.engines import _frames, _matroska

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

OPTIONS: Mapping[str, str] = {
    # libvpx's good deadline takes four times as long for a third less, rows shared out to threads a sixth more than
    # tiles, and pictures held back for a look ahead that this deadline does not take, 100 MB (docs/why/vision.md).
    **{"crf": "30", "b": "0", "deadline": "realtime", "cpu-used": "6", "lag-in-frames": "0", "auto-alt-ref": "0"},
    **{"tile-columns": "2"},
}
ALPHA_OPTIONS: Mapping[str, str] = {"cpu-used": "8", "color_range": "tv"}
"""Two speeds more: a sixth less processor time for the transparency, for 0.1 dB of it and a twentieth more bytes."""
KEY_EVERY = 128
"""Pictures after which one stands for itself, in both streams: players begin there when somebody skips."""
_WIDE_PX = 960
"""For so many columns a thread more is of use."""
_GREY = 128


class Coder:
    """Implements _frames.Coder for "yuva420p"."""

    demuxer: ClassVar[str] = "matroska"

    def __init__(self) -> None:
        self._head = b""

    def steps(self, size: tuple[int, int], rate: Fraction | None, colours: Mapping[str, str]) -> Sequence[_frames.Step]:
        self._head = _matroska.head(_matroska.Track(codec="V_VP9", size=size, rate=rate, colours=colours, alpha=True))
        colour, alpha = _Stream(size, rate, colours), _Stream(size, rate, ALPHA_OPTIONS)

        def code_colour(frame: _frames.Frame) -> None:
            frame.note = colour.coded(frame.number, frame.made.planes[:3])

        def code_alpha(frame: _frames.Frame) -> None:
            frame.note = frame.note, alpha.coded(frame.number, frame.made.planes[3:])

        return code_colour, code_alpha

    def packed(self, frame: _frames.Frame) -> bytes:
        colour, alpha = frame.note
        head, self._head = self._head, b""
        return head + _matroska.picture(colour, frame.time_s, key=frame.number % KEY_EVERY == 0, alpha=alpha)


class _Stream:
    """One encoder, of pictures of one size. Planes that are not given are grey."""

    def __init__(self, size: tuple[int, int], rate: Fraction | None, colours: Mapping[str, str]) -> None:
        import av
        import numpy as np

        width, height = size
        self._context: Any = av.CodecContext.create("libvpx-vp9", "w")
        self._context.width, self._context.height, self._context.pix_fmt = width, height, "yuv420p"
        self._context.time_base = 1 / (rate or Fraction(30))
        self._context.thread_count = max(1, width // _WIDE_PX)
        self._context.options = {**OPTIONS, "g": str(KEY_EVERY), **colours}
        self._frame = av.VideoFrame(width, height, "yuv420p")
        self._planes: list[NDArray[np.uint8]] = []
        for n, plane in enumerate(self._frame.planes):
            w, h = (width, height) if n == 0 else (-(-width // 2), -(-height // 2))
            samples = np.frombuffer(cast(bytes, plane), np.uint8)[: h * plane.line_size].reshape(h, plane.line_size)
            samples.fill(_GREY)
            self._planes.append(samples[:, :w])

    def coded(self, number: int, planes: Sequence[NDArray[np.uint8]]) -> bytes:
        """The picture, coded: libvpx copies what it is given and, looking ahead at nothing, holds nothing back."""
        import av
        import numpy as np
        from av.video.frame import PictureType

        for given, onto in zip(planes, self._planes, strict=False):
            np.copyto(onto, given)
        self._frame.pts = number
        self._frame.pict_type = PictureType.NONE if number % KEY_EVERY else PictureType.I
        try:
            return b"".join(map(bytes, self._context.encode(self._frame)))
        except av.FFmpegError as error:
            raise ToolFailed("The film's pictures could not be coded.", str(error)) from error
