"""Timelines for tests: made from small media, rendered and previewed by the kinds, their frames looked at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import av
import msgspec
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from tests.support.av import ffmpeg
from tests.support.tools import PlainTools

from mediamill import engines, kinds
from mediamill.core import compositions, formats
from mediamill.core.compositions import Material, Render
from mediamill.kinds import Context, Input, Output

Picture = NDArray[np.uint8]
HOST = "https://media.example/"


@dataclass
class Made:
    """What the kind left behind."""

    output: Output
    details: Mapping[str, Any]
    argvs: list[list[str]]
    reports: list[tuple[str, float | None]] = field(default_factory=list)

    @property
    def path(self) -> Path:
        return self.output.path

    def pictures(self) -> list[Picture]:
        """Every frame as (height, width, 3) RGB."""
        return pictures(self.path)

    def picture(self, number: int = 0) -> Picture:
        """One frame as (height, width, 3) RGB."""
        return self.pictures()[number]

    def rgba(self) -> Picture:
        """A still with its transparency."""
        return np.array(Image.open(self.path).convert("RGBA"))


def job(request: Mapping[str, Any], media: Path, scratch: Path) -> Render:
    """A timeline to render, its sources below `media`."""
    composition = compositions.parse(request)
    materials = {}
    for url in compositions.sources(composition):
        found = formats.by_filename(url)
        assert found is not None
        materials[url] = Material(path=media / url.removeprefix(HOST), mime=found.mime)
    return Render(scene=composition, materials=materials, scratch=scratch, tools=PlainTools(), report=lambda *_: None)


def run(kind: str, request: Mapping[str, Any], folder: Path, media: Path) -> Made:
    """Run the kind, unsandboxed. Sources are named HOST + the name of a file in `media`."""
    chosen = kinds.named(kind)
    tools = PlainTools()
    installed = engines.open(tools)
    options = chosen.check(msgspec.convert(dict(request), chosen.options), [], installed)
    inputs = []
    for source in chosen.attachments(options):
        path = media / (source.url or "").removeprefix(HOST)
        found = formats.by_filename(path.name)
        inputs.append(Input(path=path, mime=found.mime if found else "text/plain", filename=path.name))
    folder.mkdir(exist_ok=True, parents=True)
    reports: list[tuple[str, float | None]] = []

    def report(stage: str, fraction: float | None = None) -> None:
        reports.append((stage, fraction))

    result = chosen.run(Context(inputs=inputs, scratch=folder, engines=installed, report=report), options)
    [made] = [output for output in result.outputs if output.role == "result"]
    return Made(output=made, details=result.details, argvs=tools.argvs, reports=reports)


def pictures(path: Path) -> list[Picture]:
    """Every frame of a film or picture as RGB."""
    if path.suffix in (".png", ".jpg"):
        return [np.array(Image.open(path).convert("RGB"))]
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24").astype(np.uint8) for frame in container.decode(video=0)]


def light(picture: Picture) -> Picture:
    """The light of a picture as films have it (BT.709), once for each of three channels."""
    found = 16 + picture[:, :, :3] @ (np.array([0.2126, 0.7152, 0.0722]) * 219 / 255)
    return np.repeat(found[:, :, None], 3, axis=2)


def lights(film: Path) -> list[Picture]:
    """The same of a film's frames, as it is stored: what a decoder makes of it is its own."""
    with av.open(str(film)) as container:
        frames = [frame.to_ndarray()[: frame.height] for frame in container.decode(video=0)]
    return [np.repeat(luma[:, :, None], 3, axis=2) for luma in frames]


def samples(path: Path) -> NDArray[np.float32]:
    """The sound as (channels, n) in -1..1 at its own rate."""
    with av.open(str(path)) as container:
        parts = [frame.to_ndarray().astype(np.float32) for frame in container.decode(audio=0)]
    return np.concatenate(parts, axis=1)


def clip(path: Path, *, colour: str = "0x808080", size: str = "64x36", rate: int = 30, seconds: float = 1.0) -> Path:
    """A clip of one colour without sound."""
    source = f"color={colour}:s={size}:r={rate}:d={seconds},format=yuv420p"
    return _film(path, ["-f", "lavfi", "-i", source])


def counting(path: Path, *, size: str = "64x36", rate: int = 30, frames: int = 60) -> Path:
    """A clip whose n-th frame is grey of luma 15 + 3 n, so that a frame tells its number."""
    source = f"nullsrc=s={size}:r={rate}:d={frames / rate},geq=lum='16+3*N':cb=128:cr=128,format=yuv420p"
    return _film(path, ["-f", "lavfi", "-i", source], "-qp", "4")


def tone(path: Path, *, hertz: int = 440, seconds: float = 1.0) -> Path:
    """A tone at an eighth of full scale."""
    ffmpeg("-f", "lavfi", "-i", f"sine=frequency={hertz}:sample_rate=48000:duration={seconds}", path)
    return path


def _film(path: Path, source: Sequence[str], *more: str) -> Path:
    codec = ("-c:v", "libvpx-vp9", "-lossless", "1") if path.suffix == ".webm" else ("-c:v", "libx264", "-g", "15")
    tags = ("-color_primaries", "bt709", "-color_trc", "bt709", "-colorspace", "bt709", "-color_range", "tv")
    ffmpeg(*source, "-pix_fmt", "yuv420p", *codec, *more, *tags, path)
    return path


def flat(path: Path, colour: Sequence[int], size: tuple[int, int] = (40, 20)) -> Path:
    """A picture of one colour."""
    Image.new("RGBA", size, (*colour, 255)[:4]).save(path)
    return path


def scene(*elements: Mapping[str, Any], **request: Any) -> dict[str, Any]:
    """A request of 64 x 36 at 30 frames a second."""
    return {"width": 64, "height": 36, **request, "elements": list(elements)}


def at(name: str) -> str:
    """The URL of a file of the media folder."""
    return HOST + name
