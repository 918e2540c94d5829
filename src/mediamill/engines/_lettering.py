"""Text as a picture, in any script: shaped and laid out by Pango (in libvips' wheel), in the fonts that come with
Mediamill and the operator's."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from html import escape
from pathlib import Path
from typing import Any

from mediamill.core.errors import LimitExceeded
from mediamill.engines._picture import libvips

FAMILY = "Noto Sans"
_MAX_PX = 100_000_000
"""Letters times the square of their size: Pango draws the whole text at once, however much of it can be seen."""
_SETTING = "FONTCONFIG_FILE"


def lettered(
    text: str, *, font: str | None, size_px: float, colour: tuple[int, int, int], width_px: int | None, scratch: Path
) -> Any:
    """The text as a Pillow picture in RGBA, cut to the ink; None for text that leaves no mark.

    Lines break at `width_px` where it is given, and at newlines. Raises LimitExceeded, pyvips.Error.
    """
    from PIL import Image

    if len(text) * size_px**2 > _MAX_PX:
        raise LimitExceeded("A text is too long to be drawn in letters of this size.")
    vips = libvips()
    # Markup is our own; what the caller wrote is escaped, and what XML has no word for left out.
    plain = "".join(letter for letter in text if letter in "\n\t" or unicodedata.category(letter) not in _NO_TEXT)
    if not plain.strip():
        return None
    rgb = "#{:02x}{:02x}{:02x}".format(*colour)
    points = round(size_px * 1024)
    markup = f"<span face='{escape(_family(font))}' size='{points}' foreground='{rgb}'>{escape(plain)}</span>"
    options = {} if width_px is None else {"width": width_px, "wrap": "word-char"}
    with _our_fonts(scratch):
        made = vips.Image.text(markup, dpi=72, rgba=True, **options)
        drawn = made.write_to_memory()
    return Image.frombuffer("RGBA", (made.width, made.height), drawn, "raw", "RGBA", 0, 1)


_NO_TEXT = frozenset({"Cc", "Cs", "Cn"})
"""Control characters, halves of others, and what is no character."""


def _family(font: str | None) -> str:
    """A family's name as Pango reads it: a list, of which the last is what every unknown one becomes."""
    name = "".join(letter for letter in font or "" if letter.isalnum() or letter in " -_")[:100].strip()
    return f"{name}, {FAMILY}" if name and name != FAMILY else FAMILY


@contextmanager
def _our_fonts(scratch: Path) -> Iterator[None]:
    """Fontconfig asks the environment once a process, at the first text: no font of the machine's gets in."""
    from mediamill import fonts

    before = os.environ.get(_SETTING)
    file = scratch / "fonts.conf"
    folders = "".join(f"<dir>{escape(str(folder.absolute()))}</dir>" for folder in fonts.folders())
    emoji = "<alias binding='same'><family>emoji</family><prefer><family>Noto Color Emoji</family></prefer></alias>"
    cache = f"<cachedir>{escape(str((scratch / 'font-cache').absolute()))}</cachedir>"
    # No second look at the folders: the file and the cache go away with the task, the process may do another.
    file.write_text(
        f"<?xml version='1.0'?><!DOCTYPE fontconfig SYSTEM 'fonts.dtd'><fontconfig>{folders}{cache}{emoji}"
        "<config><rescan><int>0</int></rescan></config></fontconfig>",
        encoding="utf-8",
    )
    os.environ[_SETTING] = str(file.absolute())
    try:
        yield
    finally:
        if before is None:
            del os.environ[_SETTING]
        else:
            os.environ[_SETTING] = before
