"""Options in a file: what a kind without inputs takes in their place, such as the scene of a render.

Files that it names beside itself are uploaded; nothing outside its folder is, whoever wrote it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mediamill.cli import _show
from mediamill.cli._exit import Exit, Stop

if TYPE_CHECKING:
    from mediamill.client import Client


def read(name: str) -> dict[str, Any]:
    """The object in a JSON file."""
    try:
        found = json.loads(Path(name).read_bytes())
    except OSError as error:
        raise Stop(Exit.USAGE, f"{name}: {error.strerror}.", code="no_such_file") from error
    except ValueError as error:
        raise Stop(Exit.USAGE, f"{name} is not JSON: {error}.", code="not_json") from error
    if not isinstance(found, dict):
        raise Stop(Exit.USAGE, f"{name} holds no JSON object.", code="not_json")
    return found


def uploaded(mill: Client, options: Any, folder: Path, *, meter: _show.Meter) -> Any:
    """The same options, where every *_url that names a file of the folder is `file:ID` of an upload."""
    return _walk(mill, options, folder.resolve(), meter, {})


def _walk(mill: Client, value: Any, folder: Path, meter: _show.Meter, known: dict[Path, str]) -> Any:
    if isinstance(value, list):
        return [_walk(mill, one, folder, meter, known) for one in value]
    if not isinstance(value, dict):
        return value
    made = {}
    for key, one in value.items():
        path = _local(one, folder) if key.endswith("_url") else None
        if path is None:
            made[key] = _walk(mill, one, folder, meter, known)
            continue
        if path not in known:
            sent = mill.upload(path, filename=path.name, on_progress=meter.bytes("upload"))
            known[path] = f"file:{sent['id']}"
        made[key] = known[path]
    return made


def _local(value: Any, folder: Path) -> Path | None:
    """The file of the folder that a value names, if it does."""
    if not isinstance(value, str) or "://" in value or value.startswith("file:"):
        return None
    path = (folder / value).resolve()
    if not path.is_relative_to(folder) or not path.is_file():
        raise Stop(Exit.USAGE, f"{value}: no such file beside the scene.", code="no_such_file")
    return path
