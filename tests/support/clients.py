"""Published clients in folders of their own, each by its locked file."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def client_folder(name: str) -> Path:
    """Where requirements/test-NAME.txt is installed; that is done now if the set-up has not."""
    folder = Path(sys.prefix) / "clients" / name
    if not any(folder.glob("*.dist-info")):
        locked = ROOT / "requirements" / f"test-{name}.txt"
        # Whichever of the two is here; .venv has pip from the start.
        pip = [sys.executable, "-m", "pip", "install"]
        if subprocess.run([*pip, "--help"], capture_output=True).returncode:
            uv = shutil.which("uv", path=str(Path(sys.executable).parent)) or shutil.which("uv")
            assert uv is not None, "neither pip nor uv is installed here"
            pip = [uv, "pip", "install", "-p", sys.executable]
        argv = [*pip, "-q", "--require-hashes", "--no-deps", "--target", str(folder), "-r", str(locked)]
        done = subprocess.run(argv, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr[-2000:]
    return folder
