"""The built-in detector: its ONNX file computes what the tfjs graph of the package says, worked out here once more by PyTorch straight from the
graph's own nodes; pictograph-vision reads its output as the published post-processing does; graphs that the converter does not know are refused."""
import base64
import copy
import json
import pathlib
import struct
import sys

import numpy as np
import onnxruntime
import pytest
import torch
from PIL import Image
from skimage import data
from test_operator_models import models, place  # noqa: F401 (fixtures)
from test_vision import BUILD, Worker
from torch.nn import functional

ROOT = pathlib.Path(__file__).resolve().parents[2]
SOURCE = ROOT / "build/deps/models-source/nanodet"
MODEL = ROOT / "build/deps/models/nanodet.onnx"
SIDE, BINS = 416, 11
sys.path.insert(0, str(ROOT / "tools/models"))
pytestmark = pytest.mark.skipif(not MODEL.exists(), reason="nanodet is not installed: tools/setup models")


@pytest.fixture(scope="module")
def session():
    return onnxruntime.InferenceSession(str(MODEL), providers=["CPUExecutionProvider"])


@pytest.fixture(scope="module")
def vision():
    worker = Worker(BUILD / "src/vision/pictograph-vision")
    yield worker
    worker.close()


# ---- the graph, by PyTorch ----

def weights_of(model):
    raw, offset, out = (SOURCE / "nanodet.bin").read_bytes(), 0, {}
    for spec in model["weightsManifest"][0]["weights"]:
        kind = np.float16 if "quantization" in spec else np.dtype(spec["dtype"])
        count = int(np.prod(spec["shape"]))
        array = np.frombuffer(raw, kind, count, offset).reshape(spec["shape"])
        offset += array.nbytes
        out[spec["name"]] = torch.from_numpy(array.astype(np.float32 if array.dtype.kind == "f" else np.int64))
    assert offset == len(raw)
    return out


def strides(node, key):
    return [int(v) for v in node["attr"][key]["list"]["i"]][1:3]


def pad(x, paddings, value=0.0):
    return functional.pad(x, [int(v) for pair in reversed(paddings.tolist()) for v in pair], value=float(value))


def scatter(_node, places, shape, values, otherwise):
    out = torch.full([int(v) for v in shape.reshape(-1)], int(otherwise))
    for place, value in zip(places.reshape(-1), values.reshape(-1)):
        out[place] = value
    return out


def planes(x):
    return x.permute(0, 3, 1, 2)


def rows(x):
    return x.permute(0, 2, 3, 1)


RUN = {
    "Transpose": lambda n, x, perm: x.permute(perm.tolist()),
    "Conv2D": lambda n, x, w: rows(functional.conv2d(planes(x), w.permute(3, 2, 0, 1), stride=strides(n, "strides"))),
    "MaxPool": lambda n, x: rows(functional.max_pool2d(planes(x), strides(n, "ksize"), strides(n, "strides"))),
    "ResizeBilinear": lambda n, x, size: rows(functional.interpolate(planes(x), size.tolist(), mode="bilinear", align_corners=False)),
    "LeakyRelu": lambda n, x: functional.leaky_relu(x, n["attr"]["alpha"]["f"]),
    "Pad": lambda n, x, p: pad(x, p), "PadV2": lambda n, x, p, v: pad(x, p, v),
    "Add": lambda n, a, b: a + b, "AddV2": lambda n, a, b: a + b, "Sigmoid": lambda n, x: torch.sigmoid(x), "Identity": lambda n, x: x,
    "ConcatV2": lambda n, *x: torch.cat(x[:-1], int(x[-1])),
    "SplitV": lambda n, x, sizes, axis: torch.split(x, sizes.tolist(), int(axis)),
    "Reshape": lambda n, x, shape: x.reshape(shape.tolist()), "SparseToDense": scatter,
}


def run_graph(image):
    """image: float32 [3, 416, 416], BGR, 0 to 255. The probabilities and distances, [3549, 124]."""
    model = json.loads((SOURCE / "nanodet.json").read_text())
    values, nodes = weights_of(model), [n for n in model["modelTopology"]["node"] if n["op"] != "Const"]
    mean, deviation = np.float32([103.53, 116.28, 123.675]), np.float32([57.375, 57.12, 58.395])
    while nodes:
        left = []
        for node in nodes:
            inputs = [name.split(":") for name in node.get("input", [])]
            if node["op"] == "Placeholder":
                values[node["name"]] = torch.from_numpy((image - mean[:, None, None]) / deviation[:, None, None])[None]
            elif all(name in values for name, *_ in inputs):
                taken = [values[name] if not isinstance(values[name], tuple) else values[name][int(port[0]) if port else 0] for name, *port in inputs]
                values[node["name"]] = RUN[node["op"]](node, *taken)
            else:
                left.append(node)
        assert len(left) < len(nodes)
        nodes = left
    return torch.cat([torch.cat([values["Identity" + a], values["Identity" + b]], 2) for a, b in (("", "_3"), ("_1", "_4"), ("_2", "_5"))], 1)[0].numpy()


def letterbox(image):
    scale = min(SIDE / image.width, SIDE / image.height)
    out = np.full((SIDE, SIDE, 3), 114, np.float32)
    small = np.asarray(image.resize((round(image.width * scale), round(image.height * scale)), Image.BILINEAR))
    out[:small.shape[0], :small.shape[1]] = small
    return out[:, :, ::-1].transpose(2, 0, 1).copy(), scale


def photo(name):
    picture = getattr(data, name)()
    return Image.fromarray(picture[0] if isinstance(picture, tuple) else picture).convert("RGB")


@pytest.mark.parametrize("name", ["chelsea", "coffee", "noise"])
def test_the_file_computes_what_the_graph_says(session, name):
    random = np.random.default_rng(5)
    image = random.uniform(0, 255, (3, SIDE, SIDE)).astype(np.float32) if name == "noise" else letterbox(photo(name))[0]
    expected, found = run_graph(image), session.run(None, {"images": image[None]})[0][0]
    assert found.shape == expected.shape == (3549, 124)
    worst = np.abs(found - expected).max(0)
    print(f"{name}: worst difference {worst[:80].max():.1e} of probabilities, {worst[80:].max():.1e} of logits; best probability {expected[:, :80].max():.2f}")
    assert worst[:80].max() < 1e-4 and worst[80:].max() < 1e-3


# ---- post-processing, as published ----

def published(output, names, image, scale, floor=0.05, overlap=0.6):
    """Boxes of each class, surest first: [(name, probability, x0, y0, x1, y1)]."""
    logits = output[:, 80:].reshape(-1, 4, BINS)
    likely = np.exp(logits - logits.max(2, keepdims=True))
    distance = (likely / likely.sum(2, keepdims=True) * np.arange(BINS)).sum(2)
    points = np.concatenate([np.stack([(np.tile(np.arange(n), n) + 0.5) * s, (np.repeat(np.arange(n), n) + 0.5) * s, np.full(n * n, s)], 1)
                             for s in (8, 16, 32) for n in [SIDE // s]])
    distance *= points[:, 2:]
    boxes = np.concatenate([points[:, :2] - distance[:, :2], points[:, :2] + distance[:, 2:]], 1) / scale
    boxes = np.clip(boxes, 0, [image.width, image.height] * 2)
    out = []
    for c, name in enumerate(names):
        order = [i for i in np.argsort(-output[:, c], kind="stable") if output[i, c] >= floor]
        kept = []
        for i in order:
            shared = np.clip(np.minimum(boxes[i, 2:], boxes[kept, 2:]) - np.maximum(boxes[i, :2], boxes[kept, :2]), 0, None).prod(1)
            areas = (boxes[kept, 2:] - boxes[kept, :2]).prod(1) + (boxes[i, 2:] - boxes[i, :2]).prod() - shared
            if not len(kept) or (shared / areas).max() <= overlap:
                kept.append(i)
        out += [(name, float(output[i, c]), *boxes[i]) for i in kept]
    return sorted(out, key=lambda d: -d[1])


def pixels_of(image, folder):
    path = folder / "pixels"
    path.write_bytes(b"PGPIXEL1" + struct.pack("<II", *image.size) + image.tobytes())
    return str(path)


@pytest.mark.parametrize("name", ["chelsea", "astronaut", "coffee", "stereo_motorcycle"])
def test_the_worker_reads_it_as_published(session, vision, tmp_path, name):
    image, names = photo(name), json.loads(session.get_modelmeta().custom_metadata_map["class_names"])
    side = SIDE / max(image.size)
    small = image.resize((round(image.width * side), round(image.height * side)), Image.BILINEAR)  # as large as the input: scaling is not at stake here
    tensor, scale = letterbox(small)
    expected = published(session.run(None, {"images": tensor[None]})[0][0], names, small, scale)
    found = vision.result("detect", model_path=str(MODEL), pixels_path=pixels_of(small, tmp_path), confidence_threshold=0.05, max_detections=10000)["detections"]
    assert len(found) == len(expected) and len(found) > 3
    for f in found:
        same = [e for e in expected if e[0] == f["name"] and abs(e[1] - f["confidence"]) < 1e-4
                and max(abs(e[2] - f["x"]), abs(e[3] - f["y"]), abs(e[4] - f["x"] - f["w"]), abs(e[5] - f["y"] - f["h"])) < 0.05]
        assert same, f


# ---- finding by words ----

def find(vision, image, folder, *words, **more):
    return vision.result("find", model_path=str(MODEL), pixels_path=pixels_of(image, folder), words=[{"word": w, "shape": s} for w, s in words], **more)


def test_words_find_things(vision, tmp_path):
    answer = find(vision, photo("chelsea"), tmp_path, ("kittens", "polygon"), ("unicorn", "box"), ("cat", "line"), ("a cat", "point"), image_key="chelsea")
    assert [w["class"] for w in answer["words"]] == ["cat", None, "cat", "cat"] and answer["engine"] == "nanodet_g+graph_cut" and not answer["cached"]
    assert answer["words"][0]["best"] > 0.5 and answer["words"][1]["best"] is None
    polygon, line, point = answer["found"]
    assert (polygon["word"], line["word"], point["word"]) == (0, 2, 3) and polygon["confidence"] == answer["words"][0]["best"]
    assert len(polygon["polygons"][0][0]) >= 3 and len(line["line"]) >= 2
    x, y = point["inside_point"]
    assert polygon["x"] <= x <= polygon["x"] + polygon["w"] and polygon["y"] <= y <= polygon["y"] + polygon["h"]
    again = find(vision, photo("chelsea"), tmp_path, ("dog", "box"), image_key="chelsea", confidence_threshold=0)
    assert again["cached"] and again["engine"] == "nanodet_g" and all(f["confidence"] >= 0.05 for f in again["found"])


def test_thresholds_and_limits(vision, tmp_path):
    image = photo("coffee")
    cups = find(vision, image, tmp_path, ("cup", "box"), confidence_threshold=0.05)["found"]
    assert len(cups) > 2 and [c["confidence"] for c in cups] == sorted((c["confidence"] for c in cups), reverse=True)
    assert find(vision, image, tmp_path, ("cup", "box"), confidence_threshold=0.05, max_detections=2)["found"] == cups[:2]
    high = find(vision, image, tmp_path, ("cup", "box"), confidence_threshold=0.99)
    assert high["found"] == [] and high["words"][0]["best"] == cups[0]["confidence"]


def test_an_operators_segmenter_draws_the_outlines(vision, place, tmp_path):  # noqa: F811
    folder = place("sam").parent
    answer = find(vision, photo("chelsea"), tmp_path, ("cat", "polygon"), image_key="chelsea sam", models_path=str(folder))
    assert answer["engine"] == "nanodet_g+sam:sam" and len(answer["found"]) == 1 and answer["found"][0]["polygons"]


@pytest.mark.parametrize("params", [{"words": []}, {"words": [{"word": "cat", "shape": "blob"}]}, {"words": [{}]}, {"words": [{"word": "cat"}] * 201},
                                    {"words": [{"word": "cat"}], "confidence_threshold": 2}, {"words": [{"word": "cat"}], "max_detections": 0}])
def test_searches_that_are_refused(vision, tmp_path, params):
    pixels = pixels_of(photo("chelsea"), tmp_path)
    assert vision.refusal("find", model_path=str(MODEL), pixels_path=pixels, **params)["code"] == "validation_error"


# ---- the converter ----

@pytest.fixture(scope="module")
def graph():
    return json.loads((SOURCE / "nanodet.json").read_text())


def change_operation(model):
    next(n for n in model["modelTopology"]["node"] if n["op"] == "LeakyRelu")["op"] = "Selu"


def change_padding(model):
    next(n for n in model["modelTopology"]["node"] if n["op"] == "Conv2D")["attr"]["padding"]["s"] = base64.b64encode(b"SAME").decode()


def change_grid(model):
    next(n for n in model["modelTopology"]["node"] if n["op"] == "ResizeBilinear")["attr"]["half_pixel_centers"]["b"] = False


def change_reference(model):
    next(n for n in model["modelTopology"]["node"] if n["op"] == "Sigmoid")["input"] = ["nobody"]


def change_type(model):
    model["weightsManifest"][0]["weights"][0]["dtype"] = "complex64"


def change_length(model):
    model["weightsManifest"][0]["weights"].pop()


@pytest.mark.parametrize("change", [change_operation, change_padding, change_grid, change_reference, change_type, change_length])
def test_unknown_graphs_are_refused(graph, tmp_path, change):
    import nanodet
    import tfjs
    model = copy.deepcopy(graph)
    change(model)
    (tmp_path / "nanodet.json").write_text(json.dumps(model))
    (tmp_path / "nanodet.bin").symlink_to(SOURCE / "nanodet.bin")
    with pytest.raises(tfjs.UnknownGraph):
        nanodet.convert(str(tmp_path / "nanodet.json"))
