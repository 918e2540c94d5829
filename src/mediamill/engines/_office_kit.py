"""LibreOffice as a library: opens one document, saves it as another, ends. A program of its own, started by `office`.

LibreOfficeKit and not the command `soffice`, which wants a socket in /tmp and does not start where it cannot have one,
and ends with 0 whether or not it could read the document. Standard library only: it runs with `-I -S`.
Source: LibreOfficeKit.h, whose tables of functions only ever grow at their ends.
"""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

LIBRARIES = ("libmergedlo.so", "libsofficeapp.so")
"""Where LibreOffice keeps it: the first in builds that merge their libraries, as nearly all do."""
DONE, UNREADABLE, UNWRITTEN, BROKEN = 0, 3, 4, 5
"""Exit statuses."""

_HOOK = "libreofficekit_hook_2"
_GET_ERROR, _DOCUMENT_LOAD = 2, 3  # places in LibreOfficeKitClass, after nSize
_SAVE_AS = 1  # in LibreOfficeKitDocumentClass


def library(folder: Path) -> Path | None:
    """The library in LibreOffice's program folder."""
    return next((path for name in LIBRARIES if (path := folder / name).is_file()), None)


def convert(
    kit: Any, folder: str, profile: str, source: str, target: str, format: str, options: str
) -> tuple[int, str]:
    """(exit status, what LibreOffice says of it). `kit` is the loaded library; `profile`, `source`, `target` are URLs;
    `format` is the target's extension, which chooses the filter by the kind of document that `source` is."""
    start = getattr(kit, _HOOK)
    start.restype, start.argtypes = ctypes.c_void_p, [ctypes.c_char_p, ctypes.c_char_p]
    office = start(folder.encode(), profile.encode())
    if not office:
        return BROKEN, "LibreOffice did not start."
    why = _method(office, _GET_ERROR, ctypes.c_char_p)
    load = _method(office, _DOCUMENT_LOAD, ctypes.c_void_p, ctypes.c_char_p)
    document = load(office, source.encode())
    if not document:
        return UNREADABLE, _text(why(office))
    text = ctypes.c_char_p
    save = _method(document, _SAVE_AS, ctypes.c_int, text, text, text)
    if not save(document, target.encode(), format.encode(), options.encode()):
        return UNWRITTEN, _text(why(office))
    return DONE, ""


def _method(this: int, place: int, result: Any, *arguments: Any) -> Callable[..., Any]:
    """A function of an object whose first field points to a table: its size, then the functions."""
    table = ctypes.cast(this, ctypes.POINTER(ctypes.c_void_p))[0]
    assert table is not None
    found = ctypes.cast(table, ctypes.POINTER(ctypes.c_void_p))[1 + place]
    assert found is not None
    method: Callable[..., Any] = ctypes.CFUNCTYPE(result, ctypes.c_void_p, *arguments)(found)
    return method


def _text(said: bytes | None) -> str:
    return (said or b"").decode("utf-8", "replace")


def main() -> None:
    """The arguments are those of `convert`, without `kit`."""
    found = library(Path(sys.argv[1]))
    status, said = BROKEN, "There is no LibreOffice here."
    if found is not None:
        try:
            kit = ctypes.CDLL(str(found), mode=os.RTLD_LAZY)
            status, said = convert(kit, *sys.argv[1:])
        except (OSError, AttributeError) as error:  # another machine's build, or one without the kit
            said = str(error)
    if said:
        os.write(2, said.encode() + b"\n")
    os._exit(status)  # its threads and its own way out take longer than the work, and crash now and then


if __name__ == "__main__":
    main()
