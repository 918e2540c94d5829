"""The children of a worker: how many for each queue, and what they are given."""

from __future__ import annotations

import os
import pkgutil
from collections.abc import Mapping
from pathlib import Path

from mediamill import config, engines
from mediamill.config import Settings
from mediamill.worker.children import Children

_LATE = ("_compose", "_look")
"""Parts of engines that are NumPy and OpenCV through and through, whose import starts threads: their children do it."""
PRELOAD = (
    "mediamill.kinds.convert",
    "mediamill.kinds.optimise",
    *(
        f"mediamill.engines.{name}"
        for _, name, _ in pkgutil.iter_modules(engines.__path__)
        if not name.startswith(_LATE)
    ),
    "PIL.Image",
)
"""Imported once, before children are forked, which share the memory of it: every engine (each child would import all,
7 MB) and what small image work would wait for. Nothing that starts a thread."""


def children_of(settings: Settings, slots: Mapping[str, int], scratch: Path) -> dict[str, Children]:
    """A pool for each queue, of so many slots; all from one fork server."""
    found: dict[str, Children] = {}
    for queue, count in slots.items():
        found[queue] = Children(
            slots=count,
            folder=scratch / queue,
            # Half of them: the others come with the work, for some 10 ms each, and 5 MB each until then.
            warm=(count + 1) // 2 if queue == "cpu" else 1,
            recycle_after_tasks=settings.child_tasks,
            recycle_above_bytes=settings.child_bytes,
            require_sandbox=settings.require_sandbox,
            preload=PRELOAD,
            readable=_readable(),
            programs=_programs(),
            environment=_tool_environment(),
            beside=next(iter(found.values()), None),
        )
    return found


def weights() -> list[Path]:
    """Folders of models."""
    from mediamill import models
    from mediamill.engines import whisper

    return [path for path in (*models.folders(), whisper.folder()) if path is not None]


def _readable() -> list[Path]:
    """Folders children may read besides the system and the interpreter."""
    from mediamill import fonts
    from mediamill.engines import office as suite

    found = [*fonts.folders(), *weights()]
    if (office := suite.folder()) is not None:
        found.append(office.parent)  # its program folder and what lies beside it: filters, settings, fonts
    return [path for path in found if path.exists()]


def _programs() -> list[Path]:
    """Folders of programs children may start besides the system's: an operator's own FFMPEG."""
    value = os.environ.get(f"{config.PREFIX}FFMPEG")
    return [Path(value).resolve().parent] if value and Path(value).exists() else []


def _tool_environment() -> dict[str, str]:
    from mediamill.engines import office as suite

    names = [f"{config.PREFIX}{name.upper()}" for name in config.for_engines()]
    found = {name: os.environ[name] for name in names if name in os.environ}
    if (office := suite.folder()) is not None:  # found here: a child sees too little of the machine to look for it
        found[suite.SETTING] = str(office / "soffice")
    return found
