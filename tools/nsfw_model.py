"""Make the ONNX model that the kind `nsfw` runs, from the weights that the npm package nsfwjs carries.

    npm pack nsfwjs@4.3.0
    python tools/nsfw_model.py nsfwjs-4.3.0.tgz src/mediamill/engines/data/nsfw_mobilenet_v2.onnx

Needs numpy and onnx, which Mediamill itself does not. The weights stay the 8-bit numbers they are in the package and
are turned into floats by the graph, exactly as tfjs does it (value = number * scale + min), so the file stays small.
The same archive gives the same file, byte for byte, with the versions of onnx and protobuf it was made with.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import re
import sys
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

FOLDER = "package/dist/models/mobilenet_v2/"
LABELS = ("drawing", "hentai", "neutral", "porn", "sexy")  # the order of nsfwjs's own NSFW_CLASSES
OPSET = 13


def bundled(javascript: str) -> Any:
    """The JSON value that a minified browser bundle exports."""
    begin = javascript.index(".exports=", javascript.index("({1:[function(")) + len(".exports=")
    if javascript[begin] == '"':
        return json.loads(javascript[begin : javascript.index('"', begin + 1) + 1])
    words = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\],:]|![01]|[A-Za-z_$][\w$]*|-?[\d.]+(?:e-?\d+)?')
    said: list[str] = []
    depth = 0
    for found in words.finditer(javascript, begin):
        word = found.group()
        depth += (word in "{[") - (word in "}]")
        if word in ("!0", "!1"):
            word = "true" if word == "!0" else "false"
        elif re.fullmatch(r"-?\.\d.*", word):
            word = word.replace(".", "0.", 1)
        elif re.fullmatch(r"[A-Za-z_$][\w$]*", word) and word not in ("null", "true", "false"):
            word = f'"{word}"'
        said.append(word)
        if depth == 0:
            break
    return json.loads("".join(said))


class Graph:
    """The nodes and numbers of the model, gathered layer by layer. Pictures lie channels first."""

    def __init__(self, manifest: list[dict[str, Any]], weights: bytes) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.numbers: list[onnx.TensorProto] = []
        self._weights: dict[str, tuple[np.ndarray[Any, Any], float, float]] = {}
        at = 0
        for spec in (spec for group in manifest for spec in group["weights"]):
            quantised, shape = spec["quantization"], spec["shape"]
            if quantised["dtype"] != "uint8":
                raise SystemExit(f"{spec['name']}: weights of type {quantised['dtype']} are not expected")
            count = int(np.prod(shape))
            values = np.frombuffer(weights, np.uint8, count, at).reshape(shape)
            self._weights[spec["name"]] = (values, quantised["scale"], quantised["min"])
            at += count
        if at != len(weights):
            raise SystemExit(f"{len(weights) - at} bytes of weights are left over")

    def node(self, kind: str, inputs: list[str], output: str, **attributes: Any) -> str:
        self.nodes.append(helper.make_node(kind, inputs, [output], name=output, **attributes))
        return output

    def number(self, name: str, values: Any) -> str:
        self.numbers.append(numpy_helper.from_array(np.asarray(values), name))
        return name

    def vector(self, name: str) -> str:
        """A short weight, as floats."""
        values, scale, least = self._weights[name]
        return self.number(name, (values.astype(np.float64) * scale + least).astype(np.float32))

    def matrix(self, name: str, axes: tuple[int, ...]) -> str:
        """A long weight: its 8-bit numbers, with the nodes that make floats of them."""
        values, scale, least = self._weights[name]
        stored = self.number(f"{name}/8bit", np.ascontiguousarray(values.transpose(axes)))
        floats = self.node("Cast", [stored], f"{name}/cast", to=TensorProto.FLOAT)
        scaled = self.node("Mul", [floats, self.number(f"{name}/scale", np.float32(scale))], f"{name}/scaled")
        return self.node("Add", [scaled, self.number(f"{name}/min", np.float32(least))], name)


def layer(graph: Graph, kind: str, config: dict[str, Any], inputs: list[str]) -> str:
    """One Keras layer; returns the name of what it gives."""
    name, [first, *_] = config["name"], inputs
    if config.get("data_format", "channels_last") != "channels_last" or (config.get("use_bias") and "Conv" in kind):
        raise SystemExit(f"{name}: a layer of a shape that is not expected")
    match kind:
        case "ZeroPadding2D":
            (top, bottom), (left, right) = config["padding"]
            pads = graph.number(f"{name}/pads", np.array([0, 0, top, left, 0, 0, bottom, right], np.int64))
            return graph.node("Pad", [first, pads], name)
        case "Conv2D" | "DepthwiseConv2D":
            deep = kind == "DepthwiseConv2D"
            axes = (2, 3, 0, 1) if deep else (3, 2, 0, 1)
            kernel = graph.matrix(f"{name}/{'depthwise_' * deep}kernel", axes)
            channels = graph._weights[f"{name}/{'depthwise_' * deep}kernel"][0].shape[2]
            return graph.node(
                "Conv",
                [first, kernel],
                name,
                kernel_shape=config["kernel_size"],
                strides=config["strides"],
                group=channels if deep else 1,
                auto_pad="SAME_UPPER" if config["padding"] == "same" else "VALID",
            )
        case "BatchNormalization":
            parts = [graph.vector(f"{name}/{part}") for part in ("gamma", "beta", "moving_mean", "moving_variance")]
            return graph.node("BatchNormalization", [first, *parts], name, epsilon=config["epsilon"])
        case "ReLU":
            least = graph.number(f"{name}/least", np.float32(0))
            return graph.node(
                "Clip", [first, least, graph.number(f"{name}/most", np.float32(config["max_value"]))], name
            )
        case "Add":
            return graph.node("Add", inputs, name)
        case "AveragePooling2D":
            return graph.node("AveragePool", [first], name, kernel_shape=config["pool_size"], strides=config["strides"])
        case "Flatten":
            last = graph.node("Transpose", [first], f"{name}/channels_last", perm=[0, 2, 3, 1])
            return graph.node("Flatten", [last], name, axis=1)
        case "Dense":
            kernel = graph.matrix(f"{name}/kernel", (0, 1))
            sums = graph.node("Gemm", [first, kernel, graph.vector(f"{name}/bias")], f"{name}/sums")
            return graph.node({"relu": "Relu", "softmax": "Softmax"}[config["activation"]], [sums], name)
        case "Dropout":
            return first
    raise SystemExit(f"{name}: nothing here knows the layer {kind}")


def model(topology: dict[str, Any], manifest: list[dict[str, Any]], weights: bytes) -> onnx.ModelProto:
    """The whole network: (n, 3, 224, 224) RGB in [0, 1] to (n, 5) shares of LABELS."""
    graph = Graph(manifest, weights)
    made: dict[str, str] = {}
    for one in topology["model_config"]["config"]["layers"]:
        if one["class_name"] == "InputLayer":
            made[one["name"]] = "picture"
            continue
        inputs = [made[name] for name, *_ in one["inbound_nodes"][0]]
        made[one["name"]] = layer(graph, one["class_name"], one["config"], inputs)
    last = graph.nodes[-1]
    last.output[0] = "shares"
    made_graph = helper.make_graph(
        graph.nodes,
        "nsfw_mobilenet_v2",
        [helper.make_tensor_value_info("picture", TensorProto.FLOAT, ["n", 3, 224, 224])],
        [helper.make_tensor_value_info("shares", TensorProto.FLOAT, ["n", len(LABELS)])],
        graph.numbers,
    )
    whole = helper.make_model(made_graph, opset_imports=[helper.make_opsetid("", OPSET)], producer_name="mediamill")
    whole.ir_version = 8
    facts = {
        "labels": ",".join(LABELS),
        "origin": "npm package nsfwjs 4.3.0, dist/models/mobilenet_v2",
        "licence": "MIT, Copyright (c) 2019 Infinite Red, Inc.",
    }
    helper.set_model_props(whole, facts)
    onnx.checker.check_model(whole, full_check=True)
    return whole


def main() -> int:
    """Write the model and print its size and SHA-256."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("archive", type=Path, help="nsfwjs-4.3.0.tgz")
    parser.add_argument("target", type=Path)
    asked = parser.parse_args()
    with tarfile.open(asked.archive) as archive:

        def text(name: str) -> str:
            member = archive.extractfile(FOLDER + name)
            if member is None:
                raise SystemExit(f"{name} is not in the archive")
            return member.read().decode()

        described = bundled(text("model.min.js"))
        weights = base64.b64decode(bundled(text("group1-shard1of1.min.js")))
    made = model(described["modelTopology"], described["weightsManifest"], weights).SerializeToString(
        deterministic=True
    )
    asked.target.write_bytes(made)
    print(len(made), "bytes, sha256", hashlib.sha256(made).hexdigest())  # noqa: T201 - a tool speaks to its user
    return 0


if __name__ == "__main__":
    sys.exit(main())
