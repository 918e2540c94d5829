"""Nudity and sexual content by a small network, with onnxruntime on the CPU: 9 to 15 ms a picture.

The model is the MobileNetV2 of nsfwjs (MIT), turned into ONNX by tools/nsfw_model.py. It shares a picture out among
five classes and knows nothing of violence or gore. Why this one: docs/why/nsfw.md.
"""

from __future__ import annotations

import importlib.util
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from mediamill import processors
from mediamill.core.errors import BadMedia, ToolFailed
from mediamill.core.ports import Missing, Report, Tools
from mediamill.core.safety import Category, Judge, Sample, Sampling, Scores
from mediamill.engines import _av, _ffmpeg
from mediamill.engines._expected import Course
from mediamill.engines._processor import program_s, slowness, used_s

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
_PICTURE_S = 0.025
"""Processor seconds to judge a picture."""
_IMPORT_S, _LOAD_S, _FIRST_S = 0.025, 0.155, 0.035
"""To load the library, and the model; and to read and judge the first picture, of which memory is taken."""
_DOUBT = 1.5
"""Pictures after which what they took counts for as much as what was expected."""
_BEGIN_S, _AHEAD = 0.07, 0.5
"""Processor seconds that FFmpeg takes to begin, and how many pictures it is ahead of one that was waited for."""
_WAITED_S = 0.002


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

    def picture(self, path: Path, report: Report, *, began_s: float) -> Scores:
        import numpy as np
        from PIL import Image, UnidentifiedImageError

        slow = slowness()
        load_s = slow * (_LOAD_S + _IMPORT_S * ("onnxruntime" not in sys.modules))
        course = Course(report, "work", done_s=used_s() - began_s, now_s=load_s, later_s=slow * _FIRST_S)
        with course.looking():
            network = _Network(self._model)
            course.at(slow * _FIRST_S)
            try:
                with Image.open(path, formats=["PNG"]) as image:
                    upright = image.convert("RGBA").resize((network.side, network.side), Image.Resampling.BILINEAR)
            except (OSError, UnidentifiedImageError, ValueError) as error:
                raise BadMedia("The picture cannot be read.") from error
            flat = Image.new("RGBA", upright.size, "white")
            flat.alpha_composite(upright)
            return network.judge([np.asarray(flat.convert("RGB"))])[0]

    def film(self, source: Path, mime: str, *, duration_s: float | None, tools: Tools, report: Report) -> Sampling:
        began_s = used_s()
        network = _Network(self._model)
        found = _av.read(source, mime)
        if found.video is None:
            raise BadMedia("The file has no video track, only sound.")
        length_s = duration_s or found.duration_s
        keyframes = bool(length_s) and mime != "image/gif" and _by_keyframes(source, mime, found.video, length_s or 0.0)
        course = None
        if length_s:
            second_s = EVERY_S * _reading_s(source, found.video, length_s, keyframes=keyframes)
            course = _Course(report, began_s, max(1.0, length_s / EVERY_S), second_s)
        return _looked(network, source, mime, found.video, length_s, tools, course, keyframes=keyframes)


def _by_keyframes(source: Path, mime: str, video: _av.Video, length_s: float) -> bool:
    """Whether a film is long, and its keyframes near enough to each other. Counts them without decoding any."""
    if length_s <= ALL_UP_TO_S:
        return False
    with _av.opened(source, mime) as container:
        count = sum(packet.is_keyframe for packet in container.demux(container.streams[video.index]) if packet.size)
    return count * SPARSEST_S >= length_s


@dataclass(slots=True)
class _Course:
    """How much of a film is looked at, by processor time: what is used, and what is to come by the cost so far."""

    report: Report
    began_s: float
    pictures: float
    second_s: float
    """What was expected of reading a picture."""
    picture_s: float = 0.0
    """What it was found to take."""
    pid: int = 0
    known_s: float = 0.0
    judging_s: float = 0.0
    reached: float = 0.0

    def read(self, pictures: int, pid: int, waited: bool) -> None:
        """So many pictures are read. `pid`: that of FFmpeg; `waited`: it was not far ahead, and had read no more."""
        self.pid = pid
        if waited:
            taken_s = max(0.0, self._reading_s() - _BEGIN_S)
            self.picture_s = (_DOUBT * self.second_s + taken_s) / (_DOUBT + pictures + _AHEAD)

    def at(self, read: int, judged: int) -> None:
        """So many pictures are read and judged. Some are shown again and judged once."""
        reading_s = self._reading_s()
        judge_s = (_DOUBT * _PICTURE_S + self.judging_s) / (_DOUBT + judged)
        to_come_s = max(0.0, _BEGIN_S + self.pictures * (self.picture_s or self.second_s) - reading_s)
        if read >= self.pictures:
            to_come_s = 0.0
        to_come_s += max(0.0, self.pictures - judged) * judge_s
        done_s = used_s() - self.began_s + reading_s
        self.reached = max(self.reached, min(0.99, done_s / (done_s + to_come_s)))
        self.report("work", self.reached)

    def _reading_s(self) -> float:
        with suppress(OSError):  # it has ended
            self.known_s = program_s(self.pid)
        return self.known_s


def _looked(
    network: _Network,
    source: Path,
    mime: str,
    video: _av.Video,
    length_s: float | None,
    tools: Tools,
    course: _Course | None,
    *,
    keyframes: bool,
) -> Sampling:
    samples: list[Sample] = []
    distinct = 0
    before: NDArray[np.uint8] | None = None
    waiting: list[NDArray[np.uint8]] = []
    shown: list[int] = []  # for each second, which of the distinct pictures it shows
    judged: list[Scores] = []
    done = 0  # of those that are shown, how many are judged
    for picture, pid, waited in _frames(source, mime, video, network.side, tools, keyframes=keyframes):
        if before is None or not (picture == before).all():
            waiting.append(picture)
            distinct += 1
            before = picture
        shown.append(distinct - 1)
        if course is not None:
            course.read(len(shown), pid, waited)
        if len(waiting) == _BATCH:
            before_s = used_s()
            judged += network.judge(waiting)
            waiting.clear()
            if course is not None:
                course.judging_s += used_s() - before_s
        if not waiting:
            done = len(shown)
        if course is not None:
            course.at(len(shown), done)
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
    return 0.002 * megapixels + 0.0036 * megabits


def _frames(
    source: Path, mime: str, video: _av.Video, side: int, tools: Tools, *, keyframes: bool
) -> Iterator[tuple[NDArray[np.uint8], int, bool]]:
    """One (side, side, 3) RGB picture for each second begun, with FFmpeg's process id and whether it was waited for."""
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
            asked_s = time.monotonic()
            while len(block := _whole(piped.stdout, size)) == size:
                waited = time.monotonic() - asked_s > _WAITED_S
                yield np.frombuffer(block, np.uint8).reshape(side, side, 3), piped.pid, waited
                asked_s = time.monotonic()
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
        options.intra_op_num_threads = min(_THREADS, processors.count())
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
