"""Nudity and sexual content by a small network, with onnxruntime on the CPU: 9 to 15 ms a picture.

The model is the MobileNetV2 of nsfwjs (MIT), turned into ONNX by tools/nsfw_model.py. It shares a picture out among
five classes and knows nothing of violence or gore. Why this one: docs/why/nsfw.md.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from mediamill.core.errors import BadMedia, ToolFailed
from mediamill.core.ports import Missing, Report, Tools
from mediamill.core.safety import Category, Judge, Sample, Sampling, Scores
from mediamill.engines import _av, _ffmpeg

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MODEL = Path(__file__).parent / "data" / "nsfw_mobilenet_v2.onnx"
CLASSES = ("drawing", "hentai", "neutral", "porn", "sexy")
SUGGESTIVE = 0.6
"""What "sexy" (bare skin and poses, no more) counts for in `sexual`: alone it is mild, never more."""
EVERY_S = 1.0
ALL_UP_TO_S = 120.0
"""Longer films are looked at by their keyframes, which are four times quicker to read."""
SPARSEST_S = 12.0
"""Keyframes further apart than this on average leave too much unseen; then every second is decoded after all."""
_BATCH = 4
"""A batch of 16 is no quicker by the picture and holds 300 MB more."""
_THREADS = 2
_LOAD_S, _PICTURE_S = 0.25, 0.025
"""Processor seconds to load the model, and to judge a picture."""


def scores(classes: Mapping[str, float]) -> Scores:
    """The model's classes as categories: both kinds of pornography show bare bodies and acts; "sexy" suggests them."""
    explicit = classes["porn"] + classes["hentai"]
    categories: dict[Category, float] = {
        "nudity": min(1.0, explicit),
        "sexual": min(1.0, explicit + SUGGESTIVE * classes["sexy"]),
    }
    return Scores(categories=categories, classes=classes)


class Nsfw(Judge):
    """See the module. `model` is an ONNX file: (n, 3, side, side) RGB in [0, 1] to (n, 5) shares of CLASSES."""

    name: ClassVar[str] = "nsfwjs-mobilenet-v2"
    rank: ClassVar[int] = 10
    licence: ClassVar[str] = "MIT"
    judges = ("nudity", "sexual")

    def __init__(self, model: Path = MODEL) -> None:
        self._model = model

    def missing(self) -> Missing | None:
        if importlib.util.find_spec("onnxruntime") is None:
            return Missing(reason="onnxruntime is not installed.", remedy="Install onnxruntime.")
        if not self._model.is_file():
            return Missing(
                reason="its model file is not in this install.",
                remedy="Install the whole of Mediamill, or make the model anew with tools/nsfw_model.py.",
            )
        return _ffmpeg.missing()

    def picture(self, path: Path) -> Scores:
        import numpy as np
        from PIL import Image, UnidentifiedImageError

        network = _Network(self._model)
        try:
            with Image.open(path, formats=["PNG"]) as image:
                upright = image.convert("RGBA").resize((network.side, network.side), Image.Resampling.BILINEAR)
        except (OSError, UnidentifiedImageError, ValueError) as error:
            raise BadMedia("The picture cannot be read.") from error
        flat = Image.new("RGBA", upright.size, "white")
        flat.alpha_composite(upright)
        return network.judge([np.asarray(flat.convert("RGB"))])[0]

    def film(self, source: Path, mime: str, *, duration_s: float | None, tools: Tools, report: Report) -> Sampling:
        network = _Network(self._model)
        found = _av.read(source, mime)
        if found.video is None:
            raise BadMedia("The file has no video track, only sound.")
        length_s = duration_s or found.duration_s
        keyframes = bool(length_s) and mime != "image/gif" and _by_keyframes(source, mime, found.video, length_s or 0.0)
        return _looked(network, source, mime, found.video, length_s, tools, report, keyframes=keyframes)


def _by_keyframes(source: Path, mime: str, video: _av.Video, length_s: float) -> bool:
    """Whether a film is long, and its keyframes near enough to each other. Counts them without decoding any."""
    if length_s <= ALL_UP_TO_S:
        return False
    with _av.opened(source, mime) as container:
        count = sum(packet.is_keyframe for packet in container.demux(container.streams[video.index]) if packet.size)
    return count * SPARSEST_S >= length_s


def _looked(
    network: _Network,
    source: Path,
    mime: str,
    video: _av.Video,
    length_s: float | None,
    tools: Tools,
    report: Report,
    *,
    keyframes: bool,
) -> Sampling:
    samples: list[Sample] = []
    distinct = 0
    before: NDArray[np.uint8] | None = None
    waiting: list[NDArray[np.uint8]] = []
    shown: list[int] = []  # for each second, which of the distinct pictures it shows
    judged: list[Scores] = []
    second_s = _PICTURE_S + EVERY_S * _reading_s(source, video, length_s, keyframes=keyframes)
    for picture in _frames(source, mime, video, network.side, tools, keyframes=keyframes):
        if before is None or not (picture == before).all():
            waiting.append(picture)
            distinct += 1
            before = picture
        shown.append(distinct - 1)
        if len(waiting) == _BATCH:
            judged += network.judge(waiting)
            waiting.clear()
        if length_s:
            # FFmpeg is a picture ahead of what is shown, and its start is among the first.
            done_s, whole_s = (_LOAD_S + count * second_s for count in (len(shown) + 1, length_s / EVERY_S))
            report("work", min(0.99, done_s / whole_s))
    if waiting:
        judged += network.judge(waiting)
    if not shown:
        raise BadMedia("The video holds no picture that can be read.")
    for number, which in enumerate(shown):
        start_s = number * EVERY_S
        end_s = start_s + EVERY_S
        if length_s and number == len(shown) - 1:
            end_s = max(length_s, start_s)
        samples.append(Sample(start_s=start_s, end_s=end_s, scores=judged[which]))
    return Sampling(samples=samples, how="keyframes" if keyframes else "every second", distinct=distinct)


def _reading_s(source: Path, video: _av.Video, length_s: float | None, *, keyframes: bool) -> float:
    """About how many processor seconds a second of film takes to decode, by the size of its pictures and its bits."""
    if keyframes:
        return _PICTURE_S
    megapixels = video.width_px * video.height_px * float(video.frame_rate or 25) / 1e6
    megabits = source.stat().st_size * 8 / 1e6 / length_s if length_s else 0.0
    return 0.0038 * megapixels + 0.0026 * megabits


def _frames(
    source: Path, mime: str, video: _av.Video, side: int, tools: Tools, *, keyframes: bool
) -> Iterator[NDArray[np.uint8]]:
    """One (side, side, 3) RGB picture for each second begun."""
    import numpy as np

    filters = f"fps=fps={1 / EVERY_S:g}:start_time=0:round=up,scale={side}:{side}:flags=area,setsar=1"
    argv: list[str | Path] = [
        *(_ffmpeg.binary(), "-hide_banner", "-nostdin", "-v", "error"),
        *(("-skip_frame", "nokey") if keyframes else ()),
        *_ffmpeg.input_args(source, mime),
        *("-map", f"0:{video.index}", "-vf", filters, "-f", "rawvideo", "-pix_fmt", "rgb24", "pipe:1"),
    ]
    size = side * side * 3
    try:
        with tools.spawn(argv, name="ffmpeg", stdout=True) as piped:
            assert piped.stdout is not None
            while len(block := _whole(piped.stdout, size)) == size:
                yield np.frombuffer(block, np.uint8).reshape(side, side, 3)
    except ToolFailed as error:
        raise _ffmpeg.named(error, mime) from error


def _whole(stream: Any, size: int) -> bytes:
    """`size` bytes of a raw pipe, fewer only at its end."""
    parts = bytearray()
    while len(parts) < size and (chunk := stream.read(size - len(parts))):
        parts += chunk
    return bytes(parts)


class _Network:
    """The model, loaded: 0.2 s and 40 MB, given back with this object."""

    def __init__(self, model: Path) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = min(_THREADS, os.cpu_count() or 1)
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        try:
            self._session = onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # its errors are of a dozen classes that derive from Exception alone
            raise ToolFailed("The model for nsfw cannot be loaded.") from error
        [given], [made] = self._session.get_inputs(), self._session.get_outputs()
        if len(given.shape) != 4 or given.shape[1] != 3 or given.shape[2] != given.shape[3]:
            raise ToolFailed("The model for nsfw takes pictures of another shape.")
        if made.shape[-1] != len(CLASSES):
            raise ToolFailed("The model for nsfw knows other classes.")
        self._given: str = given.name
        self.side: int = given.shape[2]

    def judge(self, pictures: Sequence[NDArray[np.uint8]]) -> list[Scores]:
        """Of (side, side, 3) RGB pictures."""
        import numpy as np

        batch = np.stack(pictures).transpose(0, 3, 1, 2).astype(np.float32) / np.float32(255)
        [shares] = self._session.run(None, {self._given: batch})
        return [scores(dict(zip(CLASSES, map(float, row), strict=True))) for row in shares]


PROVIDES = (Nsfw(),)
