"""Films made by the kind `video` from material made here, and ways to look at them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import av
import msgspec
import numpy as np
from numpy.typing import NDArray
from tests.support.tools import PlainTools

from mediamill import engines
from mediamill.core import formats
from mediamill.core.media import Facts
from mediamill.engines.av_probe import PROBER
from mediamill.kinds import Context, Hint, Input, Output
from mediamill.kinds import video as kind


@dataclass
class Film:
    """What the kind left behind."""

    path: Path
    mime: str
    filename: str
    details: Mapping[str, Any]
    argvs: list[list[str]]
    reports: list[tuple[str, float | None]] = field(default_factory=list)
    outputs: Sequence[Output] = ()

    @property
    def facts(self) -> Facts:
        return PROBER.probe(self.path, self.mime)


def given(path: Path, mime: str | None = None, filename: str | None = None) -> Input:
    """A file as a kind gets it; its type by its extension."""
    found = formats.by_filename(path.name)
    named = mime or (found.mime if found else "application/octet-stream")
    return Input(path=path, mime=named, filename=filename or path.name)


def make(source: Path | Input, scratch: Path, *attached: Path | Input, **options: Any) -> Film:
    """Run the kind, unsandboxed, as the worker would: checked, with what its options name attached."""
    tools = PlainTools()
    installed = engines.open(tools)
    reports: list[tuple[str, float | None]] = []

    def report(stage: str, fraction: float | None = None) -> None:
        reports.append((stage, fraction))

    first, *others = (one if isinstance(one, Input) else given(one) for one in (source, *attached))
    asked = msgspec.convert(options, kind.Options)
    checked = kind.KIND.check(asked, [Hint(mime=first.mime, filename=first.filename)], installed)
    assert len(kind.KIND.attachments(checked)) == len(others)
    scratch.mkdir(exist_ok=True)
    context = Context(inputs=[first, *others], scratch=scratch, engines=installed, report=report)
    result = kind.KIND.run(context, checked)
    [made] = [output for output in result.outputs if output.role == "result"]
    return Film(
        path=made.path,
        mime=made.mime,
        filename=made.filename,
        details=result.details,
        argvs=tools.argvs,
        reports=reports,
        outputs=result.outputs,
    )


def pictures(path: Path) -> list[NDArray[np.uint8]]:
    """Every picture of the film as (height, width, 3) RGB."""
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24").astype(np.uint8) for frame in container.decode(video=0)]


def times(path: Path) -> list[float]:
    """When each picture is shown, in seconds."""
    with av.open(str(path)) as container:
        return [float(frame.time) for frame in container.decode(video=0) if frame.time is not None]


def spot(image: NDArray[np.uint8], x: int, y: int, reach: int = 2) -> tuple[int, ...]:
    """The mean colour around a point."""
    part = image[max(0, y - reach) : y + reach + 1, max(0, x - reach) : x + reach + 1]
    return tuple(int(value) for value in part.reshape(-1, 3).mean(axis=0))


def psnr(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> float:
    """How alike two pictures are, in decibels; above 30 the eye finds little."""
    error = float(np.mean((one.astype(np.float32) - other.astype(np.float32)) ** 2))
    return 99.0 if error == 0 else float(10 * np.log10(255**2 / error))


def tracks(path: Path) -> list[tuple[str, str]]:
    """(kind, codec) of every track."""
    with av.open(str(path)) as container:
        return [(s.type, s.codec_context.name) for s in container.streams if s.codec_context is not None]


def words(path: Path, number: int = 0) -> list[tuple[float, str]]:
    """The cues of a subtitle track: when they begin and what they say, without their markup."""
    found = []
    with av.open(str(path)) as container:
        stream = container.streams.subtitles[number]
        for packet in container.demux(stream):
            if packet.pts is None or packet.time_base is None:
                continue
            content = bytes(packet)
            text = content[2:] if stream.codec_context.name == "mov_text" else content
            if text:
                found.append((round(float(packet.pts * packet.time_base), 3), text.decode(errors="replace")))
    return found
