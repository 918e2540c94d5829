"""What the tests of matting and upscaling share: photographs, films made of them, tiny networks, looks at results."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import msgspec
import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from PIL import Image
from tests.support.av import ffmpeg
from tests.support.tools import PlainTools

from mediamill import engines
from mediamill.core import formats
from mediamill.kinds import Context, Hint, Input, Result, named

PICTURES = Path(__file__).parents[1] / "media" / "pictures"
H264 = ("-c:v", "libx264", "-preset", "ultrafast", "-crf", "12", "-pix_fmt", "yuv420p")
Bytes = NDArray[np.uint8]


@dataclass
class Done:
    """What a kind made, and what it said on its way."""

    result: Result
    fractions: list[float] = field(default_factory=list)

    @property
    def path(self) -> Path:
        return self.result.outputs[0].path

    @property
    def details(self) -> Any:
        return self.result.details

    @property
    def filename(self) -> str:
        return self.result.outputs[0].filename


def run(kind: str, source: Path, scratch: Path, mime: str | None = None, **options: Any) -> Done:
    """Run a kind as the worker would, unsandboxed."""
    found = formats.by_filename(source.name)
    typed = mime or (found.mime if found else "application/octet-stream")
    installed = engines.open(PlainTools())
    doing = named(kind)
    asked = doing.check(msgspec.convert(options, doing.options), [Hint(mime=typed, filename=source.name)], installed)
    scratch.mkdir(exist_ok=True)
    said: list[float] = []

    def report(stage: str, fraction: float | None = None) -> None:
        if fraction is not None:
            said.append(fraction)

    given = Input(path=source, mime=typed, filename=source.name)
    context = Context(inputs=[given], scratch=scratch, engines=installed, report=report)
    return Done(doing.run(context, asked), said)


def photo(name: str) -> Bytes:
    """One of the photographs, (height, width, 3)."""
    with Image.open(PICTURES / f"{name}.jpg") as image:
        return np.asarray(image.convert("RGB"))


def film(path: Path, pictures: Sequence[Bytes], *options: str, rate: int = 25, sound: bool = False) -> Path:
    """A film of pictures (height, width, 3), with a tone if asked for."""
    raw = path.with_suffix(".raw")
    raw.write_bytes(b"".join(picture.tobytes() for picture in pictures))
    height, width = pictures[0].shape[:2]
    given = ("-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}", "-r", str(rate), "-i", raw)
    tone = ("-f", "lavfi", "-i", f"sine=f=440:d={len(pictures) / rate}") if sound else ()
    ffmpeg(*given, *tone, *(options or H264), path)
    raw.unlink()
    return path


def frames(path: Path) -> list[Bytes]:
    """Every picture with its transparency, (height, width, 4)."""
    made = []
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        if stream.codec_context.name == "vp9":  # libav's own decoder leaves transparency out
            decoder = av.CodecContext.create("libvpx-vp9", "r")
            for packet in container.demux(stream):
                made += [frame.to_ndarray(format="rgba") for frame in decoder.decode(packet)]
        else:
            made = [frame.to_ndarray(format="rgba") for frame in container.decode(stream)]
    return [picture.astype(np.uint8) for picture in made]


def times(path: Path) -> list[float]:
    """When each picture is shown."""
    with av.open(str(path)) as container:
        return [float(frame.time) for frame in container.decode(video=0) if frame.time is not None]


def rate(path: Path) -> Fraction | None:
    with av.open(str(path)) as container:
        return container.streams.video[0].average_rate


def sounds(path: Path) -> list[float]:
    """How long each sound track is, in seconds, as decoded."""
    with av.open(str(path)) as container:
        return [
            sum(frame.samples / frame.sample_rate for frame in container.decode(stream))
            for stream in list(container.streams.audio)
        ]


def overlap(one: Bytes, other: Bytes) -> float:
    """What two mattes share of what either shows."""
    a, b = one.astype(float), other.astype(float)
    return float(np.minimum(a, b).sum() / max(1.0, np.maximum(a, b).sum()))


def grey(picture: Bytes) -> NDArray[np.float64]:
    return np.asarray(picture[..., :3] @ np.array([0.299, 0.587, 0.114]), np.float64)


def ssim(one: Bytes, other: Bytes) -> float:
    """How alike two pictures are in structure (Wang and others), by brightness, the edge left out."""
    import cv2

    a, b = grey(one), grey(other)

    def mean(plane: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(cv2.GaussianBlur(plane, (11, 11), 1.5), np.float64)

    ma, mb = mean(a), mean(b)
    va, vb, both = mean(a * a) - ma * ma, mean(b * b) - mb * mb, mean(a * b) - ma * mb
    found = ((2 * ma * mb + 6.5025) * (2 * both + 58.5225)) / ((ma * ma + mb * mb + 6.5025) * (va + vb + 58.5225))
    return float(found[8:-8, 8:-8].mean())


def gmsd(one: Bytes, other: Bytes) -> float:
    """How unevenly edges differ (Xue and others, 2014): 0 for the same picture. It follows what people say of sharpness
    and artefacts better than SSIM, and needs no network, so it can be worked out anywhere."""
    import cv2

    kernel = np.array([[1, 0, -1]] * 3, np.float64) / 3

    def edges(picture: Bytes) -> NDArray[np.float64]:
        small = np.asarray(cv2.blur(grey(picture), (2, 2)), np.float64)[::2, ::2]
        return np.hypot(cv2.filter2D(small, -1, kernel), cv2.filter2D(small, -1, kernel.T))

    a, b = edges(one), edges(other)
    return float(((2 * a * b + 170) / (a * a + b * b + 170)).std())


def _save(path: Path, graph: onnx.GraphProto) -> Path:
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)])
    model.ir_version = 8
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(model, str(path))
    return path


def red_network(path: Path, *, side: int | str = 32, logits: bool = False) -> Path:
    """A network of U²-Net's shape that takes for the front whatever is redder than green. Two answers, as U²-Net has
    seven; with `logits` without the last step, as BiRefNet's are."""
    weights = np.zeros((1, 3, 1, 1), np.float32)
    weights[0, 0], weights[0, 1] = 20, -20
    nodes = [helper.make_node("Conv", ["seen", "weights"], ["sums"])]
    nodes += [helper.make_node("Sigmoid", ["sums"], ["mask"]), helper.make_node("Identity", ["sums"], ["further"])]
    shape: list[str | int | None] = ["n", 1, side, side]
    outputs = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
        for name in (("sums", "mask") if logits else ("mask", "further"))
    ]
    given = [helper.make_tensor_value_info("seen", TensorProto.FLOAT, ["n", 3, side, side])]
    return _save(path, helper.make_graph(nodes, "red", given, outputs, [numpy_helper.from_array(weights, "weights")]))


def doubling_network(path: Path, *, side: int | str = "side", factor: int = 2) -> Path:
    """A network that makes every pixel a square of pixels."""
    nodes = [
        helper.make_node(
            "Resize",
            ["seen", "", "scales"],
            ["made"],
            mode="nearest",
            nearest_mode="floor",
            coordinate_transformation_mode="asymmetric",
        )
    ]
    scales = numpy_helper.from_array(np.array([1, 1, factor, factor], np.float32), "scales")
    given = [helper.make_tensor_value_info("seen", TensorProto.FLOAT, [1, 3, side, side])]
    made = [helper.make_tensor_value_info("made", TensorProto.FLOAT, None)]
    return _save(path, helper.make_graph(nodes, "doubling", given, made, [scales]))
