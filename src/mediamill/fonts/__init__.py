"""The fonts that make a bare machine able to set any common script. Licence: the SIL Open Font License, see OFL.txt."""

from __future__ import annotations

import os
from pathlib import Path


def folder() -> Path:
    """The folder with the font files that come with Mediamill."""
    return Path(__file__).parent


def folders() -> list[Path]:
    """Every folder to search: ours, then the operator's (`MEDIAMILL_FONTS`, one or more, parted by ":")."""
    given = (Path(part) for part in os.environ.get("MEDIAMILL_FONTS", "").split(os.pathsep) if part)
    return [folder(), *(path for path in given if path.is_dir())]
