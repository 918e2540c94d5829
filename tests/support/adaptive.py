"""Packages made in process by the kind `adaptive_video`, and the films they are made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
from tests.support.av import ffmpeg
from tests.support.tools import PlainTools

from mediamill import engines
from mediamill.core.ports import Report
from mediamill.kinds import Context, Input, Output, adaptive_video

H264 = ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-g", "50", "-c:a", "aac")


def halves(path: Path, *codecs: str, seconds: float = 14.0, size: str = "640x360", rate: str = "25") -> Path:
    """A film that is red in its first half and blue in its second, with something that moves, and a tone."""
    half = seconds / 2
    parts = ";".join(
        f"color={colour}:s={size}:r={rate}:d={half}[c{n}];testsrc2=s=96x72:r={rate}:d={half}[m{n}];"
        f"[c{n}][m{n}]overlay=8:8:shortest=1,format=yuv420p[p{n}]"
        for n, colour in enumerate(("red", "blue"))
    )
    graph = f"{parts};[p0][p1]concat=n=2:v=1[v];sine=f=440:r=48000:d={seconds}[a]"
    ffmpeg("-filter_complex", graph, "-map", "[v]", "-map", "[a]", *(codecs or H264), path)
    return path


@dataclass
class Packaged:
    """What came of it. `folder` holds every file under the name that callers see, as it is served."""

    folder: Path
    outputs: Sequence[Output]
    details: Mapping[str, Any]
    early: list[Sequence[Output]] = field(default_factory=list)
    early_bytes: dict[str, bytes] = field(default_factory=dict)
    argvs: list[list[str]] = field(default_factory=list)
    reports: list[tuple[str, float | None]] = field(default_factory=list)

    @property
    def result(self) -> Path:
        """The manifest asked for."""
        [made] = [output for output in self.outputs if output.role == "result"]
        return self.folder / made.filename

    @property
    def hls(self) -> Path:
        return self.folder / str(self.details["manifests"]["hls"])

    @property
    def dash(self) -> Path:
        return self.folder / str(self.details["manifests"]["dash"])


def package(
    source: Path,
    mime: str,
    folder: Path,
    *attached: Input,
    filename: str = "",
    reported: Report | None = None,
    **options: Any,
) -> Packaged:
    """Run the kind, unsandboxed, and lay its files where they can be served."""
    tools = PlainTools()
    scratch, served = folder / "scratch", folder / "served"
    scratch.mkdir(parents=True)
    served.mkdir()
    made = Packaged(folder=served, outputs=(), details={})

    def publish(outputs: Sequence[Output]) -> None:
        made.early.append(outputs)
        for output in outputs:
            made.early_bytes[output.filename] = output.path.read_bytes()
            _lay(output, served)
            output.path.unlink()  # the worker takes them away, too

    def report(stage: str, fraction: float | None = None) -> None:
        made.reports.append((stage, fraction))
        if reported is not None:
            reported(stage, fraction)

    found = engines.open(tools)
    chosen = msgspec.convert(options, adaptive_video.Options)
    given = Input(path=source, mime=mime, filename=filename or source.name)
    context = Context(
        inputs=[given, *attached],
        scratch=scratch,
        engines=found,
        report=report,
        publish=publish,
    )
    result = adaptive_video.KIND.run(context, adaptive_video.KIND.check(chosen, [], found))
    for output in result.outputs:
        _lay(output, served)
    made.outputs, made.details, made.argvs = result.outputs, result.details, tools.argvs
    return made


def _lay(output: Output, served: Path) -> None:
    target = served / output.filename
    assert not target.exists(), f"two files of one package are called {output.filename}"
    target.hardlink_to(output.path)
