"""Material for the kinds that look for meaning: neutral pictures, a tiny model, texts with known topics, films with
known cuts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from PIL import Image, ImageDraw, ImageFilter
from tests.support.tools import PlainTools

from mediamill.core.ports import Engine, Remote
from mediamill.core.speech import Listening, Transcriber, Transcript, Turn
from mediamill.engines import Installed, av_probe, heif, image_probe, jxl, raster, svg
from mediamill.kinds import Context, Input, Kind, Result

SIDE = 224
_RANDOM = 20261122


@dataclass
class Done:
    """What a kind handed back, and what it said on its way."""

    result: Result
    reports: list[tuple[str, float | None]] = field(default_factory=list)
    argvs: list[list[str]] = field(default_factory=list)

    @property
    def text(self) -> str:
        [output] = self.result.outputs
        return output.path.read_text(encoding="utf-8")

    @property
    def json(self) -> Any:
        return msgspec.json.decode(self.text)

    @property
    def details(self) -> Mapping[str, Any]:
        return self.result.details


class Said(Transcriber):
    """Implements core.speech.Transcriber: has heard what it is told."""

    name = "told"
    quality = "full"

    def __init__(self, *turns: tuple[float, float, str], languages: Sequence[str] = ("en",)) -> None:
        self._turns = [Turn(start_s=start_s, end_s=end_s, text=text) for start_s, end_s, text in turns]
        self._languages = tuple(languages)

    def transcribe(self, work: Listening) -> Transcript:
        for step in range(11):
            work.report("work", step / 10)
        end_s = max((turn.end_s for turn in self._turns), default=0.0)
        return Transcript(
            turns=tuple(self._turns),
            languages=self._languages,
            engine=self.name,
            quality=self.quality,
            duration_s=end_s,
        )


def nobody(service: str, path: str, **request: Any) -> Any:
    """A worker without services."""
    raise AssertionError(f"{service} was called")


def run(
    kind: Kind[Any],
    source: Path,
    mime: str,
    scratch: Path,
    *,
    others: Sequence[Engine] = (),
    remote: Remote = nobody,
    **options: Any,
) -> Done:
    """Run a kind with the picture and film readers and the engines given, unsandboxed."""
    tools = PlainTools()
    converters = (raster.CONVERTER, heif.CONVERTER, jxl.CONVERTER, svg.CONVERTER)
    installed = Installed(converters, (image_probe.PROBER, av_probe.PROBER), tools, tuple(others))
    reports: list[tuple[str, float | None]] = []
    scratch.mkdir(exist_ok=True)
    context = Context(
        inputs=[Input(path=source, mime=mime, filename=source.name)],
        scratch=scratch,
        engines=installed,
        report=lambda stage, fraction=None: reports.append((stage, fraction)),
        remote=remote,
    )
    checked = kind.check(msgspec.convert(options, kind.options), [], installed)
    return Done(kind.run(context, checked), reports, tools.argvs)


def tiny_model(path: Path, *, classes: int = 5, side: int = 16) -> Path:
    """An ONNX network of the right shape that calls red pictures porn, blue ones sexy, and the others neutral."""
    weights = np.zeros((3, classes), np.float32)
    weights[0, min(3, classes - 1)] = 20
    weights[1, 2] = 20
    weights[2, classes - 1] = 20
    graph = helper.make_graph(
        [
            helper.make_node("GlobalAveragePool", ["seen"], ["means"]),
            helper.make_node("Flatten", ["means"], ["flat"], axis=1),
            helper.make_node("Gemm", ["flat", "weights", "bias"], ["sums"]),
            helper.make_node("Softmax", ["sums"], ["shares"]),
        ],
        "tiny",
        [helper.make_tensor_value_info("seen", TensorProto.FLOAT, ["n", 3, side, side])],
        [helper.make_tensor_value_info("shares", TensorProto.FLOAT, ["n", classes])],
        [
            numpy_helper.from_array(weights, "weights"),
            numpy_helper.from_array(np.eye(classes, dtype=np.float32)[2] * 5, "bias"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)])
    model.ir_version = 8
    onnx.save(model, str(path))
    return path


def _grey(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(_RANDOM + seed)


def _picture(pixels: NDArray[Any]) -> Image.Image:
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8), "RGB") if pixels.ndim == 3 else _grey_one(pixels)


def _grey_one(pixels: NDArray[Any]) -> Image.Image:
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8), "L").convert("RGB")


def landscape() -> Image.Image:
    """Sky, sun, mountains and a meadow with some grain."""
    y, x = np.mgrid[0:300, 0:400].astype(np.float64)
    sky = np.stack([120 + y / 4, 170 + y / 5, 240 - y / 8], -1)
    ridge = 150 + 40 * np.sin(x / 40) + 15 * np.sin(x / 11)
    hills = np.where((y > ridge)[..., None], np.array([90.0, 100, 110]), sky)
    meadow = np.where((y > 220 + 10 * np.sin(x / 60))[..., None], np.array([70.0, 140, 60]), hills)
    picture = _picture(meadow + _grey().normal(0, 6, meadow.shape))
    ImageDraw.Draw(picture).ellipse((300, 30, 350, 80), fill=(255, 240, 170))
    return picture.filter(ImageFilter.GaussianBlur(0.8))


def face() -> Image.Image:
    """A drawn face, clothed, in front of a wall."""
    picture = Image.new("RGB", (320, 400), (150, 160, 175))
    draw = ImageDraw.Draw(picture)
    draw.rectangle((40, 300, 280, 400), fill=(30, 50, 110))
    draw.rectangle((135, 250, 185, 310), fill=(215, 170, 140))
    draw.ellipse((90, 80, 230, 270), fill=(225, 180, 150))
    draw.pieslice((80, 60, 240, 220), 180, 360, fill=(60, 40, 25))
    for left in (120, 175):
        draw.ellipse((left, 150, left + 26, 168), fill="white")
        draw.ellipse((left + 8, 152, left + 19, 166), fill=(70, 50, 30))
    draw.arc((125, 195, 195, 240), 20, 160, fill=(150, 60, 60), width=5)
    return picture.filter(ImageFilter.GaussianBlur(1.2))


def page() -> Image.Image:
    """Lines of text on paper."""
    picture = Image.new("RGB", (420, 300), "white")
    draw = ImageDraw.Draw(picture)
    for line in range(14):
        draw.text((20, 14 + line * 20), f"{line + 1}. The quick brown fox jumps over the lazy dog again.", fill="black")
    return picture


def noise() -> Image.Image:
    return _picture(_grey(1).integers(0, 256, (240, 320, 3)))


def gradient() -> Image.Image:
    y, x = np.mgrid[0:240, 0:320].astype(np.float64)
    return _picture(np.stack([255 * x / 320, 255 * y / 240, 255 - 255 * x / 320], -1))


def skin() -> Image.Image:
    """Nothing but a skin-like colour with soft shading: the classic slip of detectors that count such pixels."""
    y, x = np.mgrid[0:240, 0:320].astype(np.float64)
    shade = 20 * np.sin(x / 90) + 15 * np.cos(y / 70)
    return _picture(np.array([222.0, 180, 155]) + shade[..., None])


def chart() -> Image.Image:
    picture = Image.new("RGB", (360, 240), "white")
    draw = ImageDraw.Draw(picture)
    for number, height in enumerate((60, 120, 90, 170, 140, 30)):
        draw.rectangle((30 + number * 52, 210 - height, 66 + number * 52, 210), fill=(60, 90 + 20 * number, 200))
    draw.line((20, 210, 350, 210), fill="black", width=2)
    draw.line((20, 20, 20, 210), fill="black", width=2)
    return picture


def bricks() -> Image.Image:
    picture = Image.new("RGB", (320, 240), (190, 185, 175))
    draw = ImageDraw.Draw(picture)
    shades = _grey(2).integers(-15, 15, 400)
    for row in range(12):
        for column in range(-1, 8):
            left = column * 44 + (row % 2) * 22
            red = 160 + int(shades[row * 9 + column])
            draw.rectangle((left, row * 20, left + 40, row * 20 + 16), fill=(red, 75, 60))
    return picture


NEUTRAL: Mapping[str, Callable[[], Image.Image]] = {
    made.__name__: made for made in (landscape, face, page, noise, gradient, skin, chart, bricks)
}
