"""Skia, which sets letters and blends pictures, without OpenGL, which its package is linked with and nothing here uses.

A machine without a screen has no libGL and no libEGL, and the package could not be loaded there. So before it, two
empty libraries of these names are: each function that Skia wants of them is there, does nothing and returns 0. They are
made here, in memory, as small as the loader takes them (the System V ABI's ELF-64, chapters 4 and 5), and are used
wherever Skia is, so that it is the same everywhere.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import importlib.util
import itertools
import os
import platform
import re
import struct
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

_LIBRARIES = ("libGL.so.1", "libEGL.so.1")
_THEIRS = re.compile(rb"(gl|glX|egl)[A-Z]")
_RETURN_0 = {"x86_64": (62, "31c0c3"), "aarch64": (183, "000080d2c0035fd6")}
"""The machine's number, and a function for it: xor eax, eax; ret and mov x0, 0; ret."""
_PAGE = 1 << 16
_HEADER, _SEGMENT, _SECTION, _SYMBOL = "<16sHHIQQQIHHHHHH", "<IIQQQQQQ", "<IIQQQQIIQQ", "<IBBHQQ"
_DYNAMIC_SYMBOLS, _FUNCTION = 11, 0x12
_HASH, _NAMES, _SYMBOLS, _NAMES_BYTES, _SYMBOL_BYTES, _NAME = 4, 5, 6, 10, 11, 14


@cache
def skia() -> Any:
    """The package. Raises ImportError."""
    found = importlib.util.find_spec("skia")
    machine = _RETURN_0.get(platform.machine())
    if found is not None and found.origin is not None and machine is not None:
        with contextlib.suppress(OSError):  # a system that forbids this may have the real ones
            _stand_in(sorted(set(_wanted(Path(found.origin)))), *machine)
    return importlib.import_module("skia")


def _stand_in(functions: Sequence[bytes], machine: int, code: str) -> None:
    """Make the empty libraries, and have the loader know them by their names."""
    with contextlib.ExitStack() as until_both_are_loaded:  # the loader takes files of one path for the same
        for name in _LIBRARIES:
            file = os.memfd_create(name, os.MFD_CLOEXEC)
            until_both_are_loaded.callback(os.close, file)
            os.write(file, empty(name.encode(), functions, machine, code))
            ctypes.CDLL(f"/proc/self/fd/{file}")


def _wanted(path: Path) -> Iterator[bytes]:
    """The functions of OpenGL that a library looks for when it is loaded."""
    with path.open("rb") as file:
        header = struct.unpack(_HEADER, file.read(struct.calcsize(_HEADER)))
        file.seek(header[6])
        table = file.read(header[11] * header[12])
        sections = list(struct.iter_unpack(_SECTION, table))
        for _, kind, _, _, at, size, link, *_ in sections:
            if kind != _DYNAMIC_SYMBOLS:
                continue
            file.seek(at)
            symbols = file.read(size)
            file.seek(sections[link][4])
            names = file.read(sections[link][5])
            for name_at, _, _, defined, _, _ in struct.iter_unpack(_SYMBOL, symbols):
                name = names[name_at : names.index(b"\0", name_at)]
                if not defined and _THEIRS.match(name):
                    yield name


def empty(soname: bytes, functions: Sequence[bytes], machine: int, code: str) -> bytes:
    """A shared object of that name, in which each function is the code."""
    names = b"\0" + b"".join(name + b"\0" for name in (soname, *functions))
    starts = list(itertools.accumulate((len(name) + 1 for name in (soname, *functions)), initial=1))
    symbols_at = struct.calcsize(_HEADER) + 4 * struct.calcsize(_SEGMENT)
    names_at = symbols_at + struct.calcsize(_SYMBOL) * (1 + len(functions))
    hash_at = -(-(names_at + len(names)) // 8) * 8
    count = 1 + len(functions)
    chain = [*range(2, count), 0] if functions else []
    hashes = struct.pack(f"<{3 + count}I", 1, count, min(1, len(functions)), 0, *chain)  # all in one bucket
    code_at = -(-(hash_at + len(hashes)) // 16) * 16
    symbols = bytes(struct.calcsize(_SYMBOL)) + b"".join(
        struct.pack(_SYMBOL, start, _FUNCTION, 0, 1, code_at, 0) for start in starts[1:-1]
    )
    end = code_at + len(bytes.fromhex(code))
    dynamic = struct.pack(
        "<14Q",
        *(_HASH, hash_at, _NAMES, names_at, _SYMBOLS, symbols_at, _NAMES_BYTES, len(names)),
        *(_SYMBOL_BYTES, struct.calcsize(_SYMBOL), _NAME, starts[0], 0, 0),
    )
    header = struct.pack(_HEADER, b"\x7fELF\2\1\1", 3, machine, 1, 0, 64, 0, 0, 64, 56, 4, 64, 0, 0)
    segments = (
        struct.pack(_SEGMENT, 1, 5, 0, 0, 0, end, end, _PAGE),
        # What is dynamic is written to by older loaders.
        struct.pack(_SEGMENT, 1, 6, _PAGE, _PAGE, _PAGE, len(dynamic), len(dynamic), _PAGE),
        struct.pack(_SEGMENT, 2, 6, _PAGE, _PAGE, _PAGE, len(dynamic), len(dynamic), 8),
        struct.pack(_SEGMENT, 0x6474E551, 6, 0, 0, 0, 0, 0, 16),
    )
    made = bytearray(_PAGE + len(dynamic))
    for at, part in (
        (0, header + b"".join(segments)),
        (symbols_at, symbols),
        (names_at, names),
        (hash_at, hashes),
        (code_at, bytes.fromhex(code)),
        (_PAGE, dynamic),
    ):
        made[at : at + len(part)] = part
    return bytes(made)
