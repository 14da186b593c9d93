"""Operator's own models: tiny random ones, exported from the reference code by export_models.py, answer in pictograph-vision what the reference answers."""
import json
import os
import pathlib
import shutil
import struct
import subprocess

import numpy as np
import onnx
import pytest
from PIL import Image, ImageDraw

from export_models import PROMPTS, SIZES, picture
from test_vision import BUILD, ROOT, Worker, constant_model

PYTHON = ROOT / "build" / "deps" / "models-venv" / "bin" / "python"


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """The exported models, made once for each text of the script."""
    script = pathlib.Path(__file__).with_name("export_models.py")
    folder = ROOT / "build" / "operator-models"
    stamp = folder / "stamp"
    if not stamp.exists() or stamp.read_text() != script.read_text():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        subprocess.run([PYTHON, "-W", "ignore", script, folder], check=True, timeout=900)
        stamp.write_text(script.read_text())
    return folder


@pytest.fixture(scope="module")
def expected(models):
    return np.load(models / "expected.npz")


@pytest.fixture(scope="module")
def vision():
    worker = Worker(BUILD / "src/vision/pictograph-vision")
    yield worker
    worker.close()


@pytest.fixture
def place(models, tmp_path):
    """A model folder of one's own with a copy of an exported model."""
    def make(source, name=None, **changes):
        folder = tmp_path / "models" / (name or source)
        shutil.copytree(models / source, folder)
        if changes:
            manifest = json.loads((folder / "manifest.json").read_text())
            manifest.update(changes)
            (folder / "manifest.json").write_text(json.dumps({k: v for k, v in manifest.items() if v is not None}))
        return folder
    return make


def pixels(path, image):
    path.write_bytes(b"PGPIXEL1" + struct.pack("<II", image.shape[1], image.shape[0]) + image.tobytes())
    return str(path)


def mask_of(answer, width, height):
    """Pixels whose centres lie in the polygons, drawn eight times as large."""
    scale, layer = 8, np.zeros((height, width), bool)
    for polygon in answer.get("polygons", []):
        image = Image.new("1", (width * scale, height * scale))
        for i, ring in enumerate(polygon):
            ImageDraw.Draw(image).polygon([(x * scale, y * scale) for x, y in ring], fill=0 if i else 1)
        layer |= np.asarray(image)[scale // 2::scale, scale // 2::scale]
    return layer


def border(mask):
    """Pixels that have a neighbour of the other kind."""
    padded, (height, width) = np.pad(mask, 1, mode="edge"), mask.shape
    shifted = [padded[y:y + height, x:x + width] for y in range(3) for x in range(3)]
    return np.any(shifted, 0) & ~np.all(shifted, 0)


def ask(vision, folder, key, path, prompt):
    points, labels, box = PROMPTS[prompt]
    common = {"image_key": key, "pixels_path": path, "models_path": str(folder)}
    if box:
        return vision.result("segment_box", **common, box={"x": box[0], "y": box[1], "w": box[2] - box[0], "h": box[3] - box[1]})
    return vision.result("segment_point", **common, points=[{"x": x, "y": y, "label": label} for (x, y), label in zip(points, labels)])


@pytest.mark.parametrize("prompt", PROMPTS)
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("role", ["sam", "sam2"])
def test_answers_are_those_of_the_reference(vision, place, expected, tmp_path, role, size, prompt):
    folder = place(role).parent
    width, height = SIZES[size]
    path = pixels(tmp_path / "a.pixels", picture(width, height))
    answer = ask(vision, folder, f"{role} {size} {prompt}", path, prompt)
    truth = expected[f"{role}/{size}/{prompt}/mask"]
    assert answer["engine"] == f"{role}:{role}"
    assert answer["score"] == pytest.approx(float(np.clip(expected[f"{role}/{size}/{prompt}/score"], 0, 1)), abs=2e-3 if size == "same" else 1e-2)
    assert truth.mean() > 0.02 and truth.mean() < 0.98  # there is something to find
    mask = mask_of(answer, width, height)
    assert answer["found"] and (mask & truth).sum() / (mask | truth).sum() > 0.88  # random masks are threads: most of their pixels are border
    wrong = (mask ^ truth) & ~border(truth)  # outlines are simplified by at most half a pixel, and specks are left out
    assert wrong.mean() < 0.005, wrong.sum()


def test_the_second_prompt_runs_the_decoder_only(vision, place, tmp_path):
    folder = place("sam").parent
    path = pixels(tmp_path / "a.pixels", picture(300, 200))
    before = vision.result("status")["images_encoded"]
    first = ask(vision, folder, "twice", path, "click")
    os.unlink(path)  # the key is enough from now on
    second = ask(vision, folder, "twice", path, "box")
    assert not first["cached"] and second["cached"]
    assert vision.result("status")["images_encoded"] >= 1 and before >= 0


def test_models_count_from_the_next_prompt_on(vision, place, tmp_path):
    path = pixels(tmp_path / "a.pixels", picture(300, 200))
    folder = tmp_path / "models"
    assert ask(vision, folder, "next", path, "click")["engine"] == "graph_cut"  # the folder is not even there
    model = place("sam", "mine")
    assert ask(vision, folder, "next", path, "click")["engine"] == "sam:mine"
    manifest = json.loads((model / "manifest.json").read_text())
    (model / "manifest.json").write_text(json.dumps({**manifest, "enabled": False}))
    assert ask(vision, folder, "next", path, "click")["engine"] == "graph_cut"
    (model / "manifest.json").write_text(json.dumps(manifest))
    place("sam2", "another")  # the first by name answers
    assert ask(vision, folder, "next", path, "box")["engine"] == "sam2:another"
    shutil.rmtree(folder)
    assert ask(vision, folder, "next", path, "click")["engine"] == "graph_cut"
    place("sam", "unfinished")
    (folder / "unfinished" / "manifest.json").unlink()
    assert ask(vision, folder, "next", path, "click")["engine"] == "graph_cut"


def test_negative_boxes_stay_background(vision, place, tmp_path):
    folder = place("sam2").parent
    path = pixels(tmp_path / "a.pixels", picture(300, 200))
    answer = vision.result("segment_box", image_key="negative", pixels_path=path, models_path=str(folder), box={"x": 5, "y": 5, "w": 290, "h": 190},
                           negative_boxes=[{"x": 0, "y": 0, "w": 150, "h": 200}])
    assert not mask_of(answer, 300, 200)[:, :149].any()


def test_what_a_detector_finds_is_outlined_by_the_model(vision, place, tmp_path):
    folder = place("sam2").parent
    path = pixels(tmp_path / "a.pixels", picture(300, 200))
    detector = constant_model(tmp_path / "m.onnx", [[30, 20, 40, 30, 1, 0.9, 0, 0]])
    common = {"model_path": detector, "image_key": "find", "pixels_path": path, "words": [{"word": "cat", "shape": "polygon"}]}
    mine, built_in = vision.result("find", **common, models_path=str(folder)), vision.result("find", **common)
    assert mine["engine"] == "tiny+sam2:sam2" and built_in["engine"] == "tiny+graph_cut"
    (found,) = mine["found"]
    box = vision.result("segment_box", image_key="find", pixels_path=path, models_path=str(folder), box={k: found[k] for k in "xywh"})
    assert box["cached"] and found["outlined"] and found["polygons"] == box["polygons"]


def test_a_large_picture_gets_a_bounded_mask(vision, place, tmp_path):
    folder = place("sam2").parent
    path = pixels(tmp_path / "a.pixels", picture(4200, 900))
    answer = ask(vision, folder, "large", path, "click")
    assert answer["found"] and answer["bbox"]["x"] + answer["bbox"]["w"] <= 4200.01


REFUSED = [
    ({"role": "yolo"}, "'role' must be"),
    ({"role": None}, "'role' must be"),
    ({"files": None}, "'files' is missing"),
    ({"files": {"encoder": "encoder.onnx"}}, "'files.decoder' is missing"),
    ({"files": {"encoder": "../encoder.onnx", "decoder": "decoder.onnx"}}, "'files.encoder' must be the name of a file"),
    ({"files": {"encoder": "encoder.onnx", "decoder": "decoder.onnx", "text": "a.onnx"}}, "'text'"),
    ({"files": {"encoder": "nope.onnx", "decoder": "decoder.onnx"}}, "nope.onnx: the file is missing"),
    ({"files": {"encoder": "manifest.json", "decoder": "decoder.onnx"}}, "manifest.json: The model does not run"),
    ({"files": {"encoder": "decoder.onnx", "decoder": "encoder.onnx"}}, "decoder.onnx: it must have one input of the shape 1 x 3 x 128 x 128"),
    ({"files": {"encoder": "encoder.onnx", "decoder": "encoder.onnx"}}, "nothing fits its input 'images'"),
    ({"input_size": 1024}, "1 x 3 x 1024 x 1024"),
    ({"input_size": [128]}, "'input_size' must be"),
    ({"input_size": 1000000}, "'input_size' must be"),
    ({"mean": [1, 2]}, "'mean' must be"),
    ({"std": [0, 1, 1]}, "'std' must be"),
    ({"resize": "crop"}, "'resize' must be"),
    ({"enabled": "no"}, "'enabled' must be"),
    ({"sizes": 3}, "'sizes' is not a member"),
]


@pytest.mark.parametrize("changes, words", REFUSED)
def test_what_is_wrong_is_named(vision, place, tmp_path, changes, words):
    folder = place("sam", "mine", **changes).parent
    path = pixels(tmp_path / "a.pixels", picture(60, 40))
    error = vision.refusal("segment_point", image_key="x", pixels_path=path, models_path=str(folder), points=[{"x": 5, "y": 5}])
    assert error["code"] == "model_unavailable" and "'mine'" in error["message"] and words in error["message"], error
    assert str(tmp_path) not in error["message"]
    (model,) = vision.result("models", models_path=str(folder))["models"]
    assert model["state"] == "broken" and words in model["problem"]


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"role": "sam", "role": "sam"}', "\x00", '{"role": 5}', "x" * 70000])
def test_a_manifest_that_is_none(vision, place, tmp_path, text):
    folder = place("sam", "mine")
    (folder / "manifest.json").write_text(text)
    path = pixels(tmp_path / "a.pixels", picture(60, 40))
    error = vision.refusal("segment_point", image_key="x", pixels_path=path, models_path=str(folder.parent), points=[{"x": 5, "y": 5}])
    assert error["code"] == "model_unavailable" and "manifest.json" in error["message"] and str(tmp_path) not in error["message"]


def test_a_manifest_that_cannot_be_read(vision, place, tmp_path):
    folder = place("sam", "mine")
    (folder / "manifest.json").unlink()
    (folder / "manifest.json").mkdir()
    path = pixels(tmp_path / "a.pixels", picture(60, 40))
    error = vision.refusal("segment_point", image_key="x", pixels_path=path, models_path=str(folder.parent), points=[{"x": 5, "y": 5}])
    assert "manifest.json: it cannot be read" in error["message"] and str(tmp_path) not in error["message"]


def rename(path, old, new):
    model = onnx.load(path)
    for value in [*model.graph.input, *model.graph.output]:
        value.name = new if value.name == old else value.name
    for node in model.graph.node:
        node.input[:] = [new if name == old else name for name in node.input]
        node.output[:] = [new if name == old else name for name in node.output]
    onnx.save(model, path)


@pytest.mark.parametrize("old, new, words", [
    ("point_coords", "points", "its input 'points'"),
    ("iou_predictions", "scores", "no output 'iou_predictions'"),
    ("image_embeddings", "pictures", "its input 'pictures'"),
])
def test_files_with_other_names_are_refused(vision, place, tmp_path, old, new, words):
    folder = place("sam", "mine")
    rename(folder / "decoder.onnx", old, new)
    (model,) = vision.result("models", models_path=str(folder.parent))["models"]
    assert model["state"] == "broken" and "decoder.onnx" in model["problem"] and words in model["problem"]


def test_without_the_runtime_a_model_says_so(place):
    folder = place("sam").parent
    done = subprocess.run([BUILD / "src/vision/pictograph-vision", "models", folder], env={**os.environ, "PICTOGRAPH_ONNXRUNTIME": "/nonexistent/lib.so"},
                          capture_output=True, text=True, check=True)
    (model,) = json.loads(done.stdout)["models"]
    assert model["state"] == "broken" and "ONNX Runtime" in model["problem"]
