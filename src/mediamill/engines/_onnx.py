"""ONNX networks that the operator put beside the models: found, opened on the best processor there is, and described.

They lie in a folder of their own for each purpose (`matting`, `upscaling`) in the models folder. A file of the same
name ending in `.json` may say how the network wants its pictures; what it does not say is read off the network's name
and its shapes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mediamill import models, processors
from mediamill.core.errors import ToolFailed
from mediamill.core.ports import Missing
from mediamill.engines._lacking import lacking

PROVIDERS = (
    *("TensorrtExecutionProvider", "CUDAExecutionProvider", "ROCMExecutionProvider", "MIGraphXExecutionProvider"),
    *("DmlExecutionProvider", "CoreMLExecutionProvider", "OpenVINOExecutionProvider", "CPUExecutionProvider"),
)
"""Those that onnxruntime may bring, the best first. The wheel of the install brings the last."""
_MOST_THREADS = 8


def find(purpose: str) -> Path | None:
    """The network for a purpose: the first by name."""
    folder = models.folder() / purpose
    try:
        found = sorted(path for path in folder.glob("*.onnx") if path.is_file())
    except OSError:
        return None
    return found[0] if found else None


def missing(purpose: str) -> Missing | None:
    """Why there is none, or None."""
    if find(purpose) is None:
        return Missing(
            reason=f"no ONNX network lies in the folder {purpose} of the models folder.",
            remedy=f"Put one there (docs/how-to/vision.md): mediamill models path, then {purpose}/NAME.onnx.",
        )
    return lacking("onnxruntime", "cv2")


@dataclass(frozen=True, slots=True)
class Network:
    """A network, open. told: what the file beside it says. provider: what runs it."""

    name: str
    told: Mapping[str, Any]
    session: Any
    provider: str
    shape: Sequence[Any]
    """Of its input: numbers, or words where it takes what comes."""

    @property
    def licence(self) -> str | None:
        """As the operator states it; nobody else can."""
        licence = self.told.get("licence") or self.told.get("license")
        return licence if isinstance(licence, str) else None

    def run(self, given: Any) -> Any:
        """Its first answer. Raises ToolFailed."""
        try:
            return self.session.run([self.session.get_outputs()[0].name], {self.session.get_inputs()[0].name: given})[0]
        except Exception as error:  # its errors are of a dozen classes that derive from Exception alone
            raise ToolFailed(f"The network {self.name} failed.") from error


def open_network(path: Path) -> Network:
    """Raises ToolFailed for a file that is no network of pictures."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = min(_MOST_THREADS, processors.count())
    # Threads that wait by spinning take processors from the filters and coders beside them.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    there = onnxruntime.get_available_providers()
    wanted = [provider for provider in PROVIDERS if provider in there]
    try:
        session = onnxruntime.InferenceSession(str(path), options, providers=wanted)
    except Exception as error:  # see above
        raise ToolFailed(f"The network {path.stem} cannot be loaded.") from error
    given = session.get_inputs()
    if len(given) != 1 or len(given[0].shape) != 4 or given[0].type not in ("tensor(float)", "tensor(float16)"):
        raise ToolFailed(f"The network {path.stem} does not take one picture in floats.")
    return Network(path.stem, _told(path), session, session.get_providers()[0], given[0].shape)


def _told(path: Path) -> Mapping[str, Any]:
    beside = path.with_suffix(".json")
    if not beside.is_file():
        return {}
    try:
        told = json.loads(beside.read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:
        raise ToolFailed(f"{beside.name} beside the network cannot be read as JSON.") from error
    if not isinstance(told, dict):
        raise ToolFailed(f"{beside.name} beside the network is no JSON object.")
    return told
