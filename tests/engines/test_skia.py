"""Skia is there on a machine that has no OpenGL."""

from __future__ import annotations

import ctypes
import platform
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from mediamill.engines import _skia

LOADS = """
from mediamill.engines._skia import skia
surface = skia().Surface(8, 8)
surface.getCanvas().clear(0xFFFF0000)
print(surface.toarray()[0, 0].tolist())
print(*(line.split(maxsplit=5)[5].strip() for line in open("/proc/self/maps") if "libGL" in line or "libEGL" in line))
"""


def test_skia_draws_and_no_opengl_of_this_machine_is_loaded() -> None:
    drawn, loaded = subprocess.run(
        [sys.executable, "-c", LOADS], check=True, capture_output=True, text=True
    ).stdout.splitlines()

    assert drawn == "[0, 0, 255, 255]"
    assert {place.partition(" ")[0] for place in loaded.replace("(deleted)", "").split()} == {
        "/memfd:libGL.so.1",
        "/memfd:libEGL.so.1",
    }


def test_every_function_of_an_empty_library_returns_0(tmp_path: Path) -> None:
    if platform.machine() not in _skia._RETURN_0:
        pytest.skip("no code for this machine")
    functions = [f"gl{number}".encode() for number in range(200)]
    path = tmp_path / "empty.so"
    path.write_bytes(_skia.empty(b"libempty.so.7", functions, *_skia._RETURN_0[platform.machine()]))

    library = ctypes.CDLL(str(path))

    assert [library[name.decode()]() for name in functions] == [0] * len(functions)
    with pytest.raises(AttributeError):
        _ = library["gl200"]


def test_a_library_is_for_its_machine_alone() -> None:
    made = _skia.empty(b"libempty.so.7", [b"gl"], *_skia._RETURN_0["aarch64"])

    assert struct.unpack_from("<H", made, 18) == (183,)
    assert bytes.fromhex("000080d2c0035fd6") in made
