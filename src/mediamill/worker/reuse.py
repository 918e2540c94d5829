"""Answers from earlier results: the same bytes, kind, options and tools give the same files again.

The bytes are copied (linked, on a local disk), so that each file lives and dies by itself.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Awaitable, Callable, Mapping, Sequence, Set
from contextlib import suppress
from importlib import metadata
from pathlib import Path, PurePath
from typing import Any, Protocol

from mediamill import __version__
from mediamill.core.dispatch import Finish, Taken
from mediamill.core.errors import NotFound
from mediamill.core.files import File, NewFile
from mediamill.core.tasks import State, Task

_PREFIX = "MEDIAMILL_"
_END_BYTES = 1 << 16


class Blobs(Protocol):
    """The bytes."""

    async def copy(self, key: str) -> str: ...
    async def delete(self, keys: Sequence[str]) -> None: ...


def tools_of(settings: Sequence[str], weights: Sequence[Path] = ()) -> str:
    """What results depend on beside the request: our version, what is installed, what the operator set, and the models
    that lie in these folders."""
    installed = sorted(f"{found.name}=={found.version}" for found in metadata.distributions())
    chosen = [f"{name}={os.environ.get(_PREFIX + name.upper(), '')}" for name in sorted(settings)]
    there = [line for folder in weights for line in _lying_in(folder)]
    return hashlib.sha256("\n".join([__version__, *installed, *chosen, *there]).encode()).hexdigest()


def _lying_in(folder: Path) -> list[str]:
    """Each file with its size and a hash of its ends: weights are gigabytes, and new ones differ everywhere."""
    found = []
    for path in sorted(folder.rglob("*")):
        with suppress(OSError):  # one that is just being brought
            if not path.is_file() or any(part.startswith(".") for part in path.relative_to(folder).parts):
                continue
            with path.open("rb") as file:
                ends = file.read(_END_BYTES)
                size = file.seek(0, os.SEEK_END)
                file.seek(max(0, size - _END_BYTES))
                ends += file.read()
            found.append(f"{path.relative_to(folder)} {size} {hashlib.sha256(ends).hexdigest()}")
    return found


class Reuse:
    """Finds earlier results. `kinds`: those whose results depend on nothing else. `tools`: as `tools_of` says."""

    def __init__(
        self,
        *,
        find: Callable[[str, bytes], Awaitable[Task | None]],
        blobs: Blobs,
        kinds: Set[str],
        tools: str,
    ) -> None:
        self._find = find
        self._blobs = blobs
        self._kinds = kinds
        self._tools = tools

    def key(self, task: Task, files: Sequence[File]) -> bytes | None:
        """What a result is found by again; None for work that must always be done."""
        if task.kind not in self._kinds or not files or not task.extra.get("reuse", True):
            return None
        if any(file.sha256 is None for file in files):
            return None
        said = {
            "kind": task.kind,
            "options": task.options,
            "inputs": [[file.sha256, file.mime] for file in files],
            "tools": self._tools,
        }
        return hashlib.sha256(json.dumps(said, sort_keys=True, ensure_ascii=False).encode()).digest()

    async def earlier(self, taken: Taken, files: Sequence[File], key: bytes) -> Finish | None:
        """The end of a task whose result is here already; None when the work is to be done."""
        task = taken.task
        found = await self._find(task.project_id, key)
        if found is None or found.details.get("instead_of"):  # another tool stood in then, and may not have to now
            return None
        renamed = _renamed(found, files[0])
        if renamed is None:
            return None
        copies: list[str] = []
        try:
            for _, file, _ in renamed:
                copies.append(await self._blobs.copy(file.blob_key or ""))
        except NotFound:  # it has gone just now
            await self._blobs.delete(copies)
            return None
        outputs = [
            (
                role,
                NewFile(
                    project_id=task.project_id,
                    filename=name,
                    mime=file.mime,
                    claimed_mime=file.claimed_mime,
                    size_bytes=file.size_bytes,
                    sha256=file.sha256,
                    blob_key=copy,
                    facts=file.facts,
                    public=bool(task.extra.get("public", False)),
                    dialect=task.dialect,
                ),
            )
            for (role, file, name), copy in zip(renamed, copies, strict=True)
        ]
        return Finish(
            task_id=task.id,
            fence=taken.fence,
            job_id=taken.job_id,
            state=State.SUCCEEDED,
            details={**_without(found.details, "destination"), "reused_from": found.id},
            outputs=outputs,
            input_facts={
                file.id: before.file.facts
                for file, before in zip(files, found.inputs, strict=False)
                if before.file is not None and not file.facts
            },
        )


def _without(details: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """Where the earlier result was sent is nothing of this one's."""
    return {key: value for key, value in details.items() if key != name}


def _renamed(found: Task, source: File) -> list[tuple[str, File, str]] | None:
    """(role, file, name) of each output, named after the new input; None where files name one another."""
    outputs = [(output.role, output.file) for output in found.outputs if output.file is not None]
    before = found.inputs[0].file if found.inputs else None
    if before is not None and before.filename == source.filename:
        return [(role, file, file.filename) for role, file in outputs]
    if before is None or len(outputs) != 1:
        return None
    [(role, file)] = outputs
    old, new = PurePath(before.filename).stem, PurePath(source.filename).stem
    name = new + file.filename[len(old) :] if old and file.filename.startswith(old) else file.filename
    return [(role, file, name)]
