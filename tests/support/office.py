"""Stand-ins for LibreOffice: a tool runner that plays its program, and a library with LibreOfficeKit's tables."""

from __future__ import annotations

import ctypes
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from tests.support.tools import Done, PlainTools

from mediamill.engines import _office_kit as kit

TEXT = ctypes.c_char_p
LOAD = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p, TEXT)
SAVE = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, TEXT, TEXT, TEXT)
WHY = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p)
START = ctypes.CFUNCTYPE(ctypes.c_void_p, TEXT, TEXT)


@dataclass
class Suite(PlainTools):
    """Plays LibreOffice: `pages` is the file it makes, None when it cannot read; other programs really run.

    `seen` keeps the profile and the list of fonts that a run was given, `environment` its variables.
    """

    pages: bytes | None = None
    seen: Path = Path()
    environment: Mapping[str, str] = field(default_factory=dict)

    def run(self, argv: Sequence[str | Path], *, name: str, **options: Any) -> Done:
        if name != "LibreOffice":
            return super().run(argv, name=name, **options)
        words = [str(word) for word in argv]
        self.argvs.append(words)
        self.environment = options["env"]
        shutil.copytree(options["cwd"], self.seen, dirs_exist_ok=True)
        if self.pages is not None:
            path_of(words[7]).write_bytes(self.pages)
        return Done(b"", "")


def path_of(url: str) -> Path:
    """The path of a file URL."""
    return Path(unquote(urlsplit(url).path))


class Kit:
    """A library as LibreOffice's: the same entry, the same tables, functions that copy. A missing file cannot be read,
    and nothing can be saved as `never`."""

    def __init__(self, *, starts: bool = True) -> None:
        self.profile = self.options = ""
        self._source = Path()
        self._kept: list[Any] = []
        office = self._object(4, {kit._GET_ERROR: WHY(self._why), kit._DOCUMENT_LOAD: LOAD(self._load)})
        self._document = self._object(2, {kit._SAVE_AS: SAVE(self._save)})
        self._said = ctypes.create_string_buffer(b"It cannot be done.")
        self._start = START(lambda folder, profile: self._started(profile, office if starts else None))

    def __getattr__(self, name: str) -> Any:
        if name != "libreofficekit_hook_2":
            raise AttributeError(name)
        return Entry(self._start)

    def _started(self, profile: bytes, office: int | None) -> int | None:
        self.profile = profile.decode()
        return office

    def _object(self, size: int, functions: Mapping[int, Any]) -> int:
        table = (ctypes.c_void_p * (size + 1))()
        table[0] = ctypes.sizeof(table)
        for place, function in functions.items():
            table[1 + place] = ctypes.cast(function, ctypes.c_void_p).value
        this = (ctypes.c_void_p * 1)(ctypes.addressof(table))
        self._kept += [table, this, *functions.values()]
        return ctypes.addressof(this)

    def _why(self, office: int) -> int:
        return ctypes.addressof(self._said)

    def _load(self, office: int, url: bytes) -> int | None:
        self._source = path_of(url.decode())
        return self._document if self._source.exists() else None

    def _save(self, document: int, url: bytes, format: bytes, options: bytes) -> int:
        self.options = options.decode()
        if format == b"never":
            return 0
        shutil.copyfile(self._source, path_of(url.decode()))
        return 1


@dataclass
class Entry:
    """A function as ctypes shows it: its types can be set."""

    call: Callable[[bytes, bytes], int | None]
    restype: Any = None
    argtypes: Any = None

    def __call__(self, folder: bytes, profile: bytes) -> int | None:
        return self.call(folder, profile)
