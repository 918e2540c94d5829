"""What workers import before they fork children: what makes them quick, and nothing that starts a thread or weighs."""

from __future__ import annotations

import subprocess
import sys

LOOK = """
import importlib, os, sys
from mediamill.app.children import PRELOAD
for name in PRELOAD:
    importlib.import_module(name)
heavy = {"cv2", "numpy", "skia", "onnxruntime", "ncnn", "ai_edge_litert", "openai", "av"} & set(sys.modules)
print(len(os.listdir("/proc/self/task")), *sorted(heavy))
"""


def test_no_thread_runs_and_no_heavy_library_is_loaded_when_children_are_forked() -> None:
    done = subprocess.run([sys.executable, "-c", LOOK], capture_output=True, text=True, timeout=60, check=True)

    assert done.stdout.split() == ["1"]
