"""Run the kinds `image` and `audio` on files, unsandboxed, with the engines of the install."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
from tests.support.tools import PlainTools

from mediamill import engines, kinds
from mediamill.core import formats
from mediamill.kinds import Context, Hint, Input, Output


@dataclass
class Done:
    """What a task left behind."""

    outputs: Sequence[Output]
    details: Mapping[str, Any]
    argvs: list[list[str]]
    reports: list[tuple[str, float | None]] = field(default_factory=list)

    @property
    def result(self) -> Output:
        """The file that was asked for."""
        [found] = [output for output in self.outputs if output.role == "result"]
        return found

    def role(self, role: str) -> Output:
        """The one other file of that role."""
        [found] = [output for output in self.outputs if output.role == role]
        return found


def run(kind_name: str, source: Path, scratch: Path, *more: Path, mime: str | None = None, **options: Any) -> Done:
    """Check the options as the server does, then do the work. `more`: what the options name, in order."""
    tools = PlainTools()
    installed = engines.open(tools)
    kind = kinds.named(kind_name)
    files = [source, *more]
    mimes = [mime or _mime(source), *map(_mime, more)]
    wished = msgspec.convert(options, kind.options)
    checked = kind.check(wished, [Hint(mime=mimes[0], filename=source.name)], installed)
    assert len(kind.attachments(checked)) == len(more)
    reports: list[tuple[str, float | None]] = []
    scratch.mkdir(exist_ok=True)
    context = Context(
        inputs=[Input(path=path, mime=mime, filename=path.name) for path, mime in zip(files, mimes, strict=True)],
        scratch=scratch,
        engines=installed,
        report=lambda stage, fraction=None: reports.append((stage, fraction)),
    )
    result = kind.run(context, checked)
    return Done(outputs=result.outputs, details=result.details, argvs=tools.argvs, reports=reports)


def _mime(path: Path) -> str:
    found = formats.by_filename(path.name)
    assert found is not None
    return found.mime
