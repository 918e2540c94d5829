"""What the packages are linked with comes with them, or is part of any Linux: a fresh machine has nothing else."""

from __future__ import annotations

import re
import struct
import sysconfig
from collections.abc import Iterator
from pathlib import Path

PACKAGES = Path(sysconfig.get_path("platlib"))
OF_ANY_LINUX = re.compile(
    r"(lib(c|m|mvec|resolv|dl|rt|util|pthread|gcc_s|stdc\+\+|z|expat)\.so\.\d|ld-linux.*\.so\.\d)$"
)
"""glibc, GCC's own, what packages are unpacked with, and what Python reads XML with."""
STOOD_IN_FOR = {"skia": {"libGL.so.1", "libEGL.so.1"}}
"""engines/_skia.py."""
NEVER_LOADED = ("ai_edge_litert/vendors/", "libecpg", "playwright/driver/node")
"""Plugins for other makers' processors, C programs with SQL in them, and a program that another does for."""


def needed(path: Path) -> Iterator[str]:
    """The libraries that a library asks the loader for (DT_NEEDED of ELF-64)."""
    with path.open("rb") as file:
        if file.read(5) != b"\x7fELF\2":
            return
    data = path.read_bytes()
    sections_at, size, count = (*struct.unpack_from("<Q", data, 40), *struct.unpack_from("<HH", data, 58))
    sections = [struct.unpack_from("<IIQQQQIIQQ", data, sections_at + n * size) for n in range(count)]
    for _, kind, _, _, at, length, names, *_ in sections:
        if kind == 6:  # dynamic
            for tag, value in struct.iter_unpack("<QQ", data[at : at + length]):
                if tag == 1:
                    begin = sections[names][4] + value
                    yield data[begin : data.index(b"\0", begin)].decode()


def test_no_library_is_missed_on_a_fresh_machine() -> None:
    found = [
        path for path in PACKAGES.rglob("*") if path.is_file() and (".so" in path.name or path.stat().st_mode & 64)
    ]
    assert len(found) > 200
    brought = {path.name for path in found}
    missed = {
        (str(path.relative_to(PACKAGES)), name)
        for path in found
        if not any(never in str(path) for never in NEVER_LOADED)
        for name in needed(path)
        if name not in brought
        and not OF_ANY_LINUX.match(name)
        and name not in STOOD_IN_FOR.get(path.name.partition(".")[0], set())
    }
    assert missed == set()
