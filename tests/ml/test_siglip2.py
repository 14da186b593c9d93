"""An operator's SigLIP 2: tiny random ones, exported by the script of docs/models.md, describe pictures in pictograph-vision as the reference does."""
import base64
import json

import numpy as np
import onnx
import pytest

from export_models import SIZES, WORDS, picture
from test_operator_models import expected, models, pixels, place, vision  # noqa: F401 (fixtures)

ALL = {**SIZES, "exact": (64, 64)}
LABELS = [word.lower() for kind in ("objects", "scenes") for word in WORDS[kind]]


def describe(vision, folder, path, **more):
    answer = vision.result("describe", pixels_path=path, models_path=str(folder), **more)
    text = answer["embedding"]
    return np.frombuffer(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)), "<f4"), answer


@pytest.mark.parametrize("size", ALL)
@pytest.mark.parametrize("name", ["siglip2", "naflex"])
def test_the_embedding_is_that_of_the_reference(vision, place, expected, tmp_path, name, size):
    folder = place(name).parent
    found, answer = describe(vision, folder, pixels(tmp_path / "a.pixels", picture(*ALL[size])))
    truth = expected[f"{name}/{size}/embedding"]
    assert answer["engine"] == f"siglip2:{name}" and answer["model"].startswith(f"siglip2:{name}:")
    assert found.shape == truth.shape and abs(np.linalg.norm(found) - 1) < 1e-5
    if size == "exact":
        assert abs(found - truth).max() < 1e-5
    else:  # two resamplings differ by a level here and there
        assert found @ truth > 0.9995


@pytest.mark.parametrize("threshold", [0.3, 0.5, 0.69, 0.9])
@pytest.mark.parametrize("name", ["siglip2", "naflex"])
def test_words_are_those_that_the_reference_is_sure_of(vision, place, expected, tmp_path, name, threshold):
    folder = place(name, threshold=threshold).parent
    _, answer = describe(vision, folder, pixels(tmp_path / "a.pixels", picture(64, 64)))
    probabilities = dict(zip(LABELS, expected[f"{name}/exact/probabilities"]))
    assert all(abs(p - threshold) > 1e-4 for p in probabilities.values())
    for kind in ("objects", "scenes"):
        sure = [word.lower() for word in WORDS[kind] if probabilities[word.lower()] >= threshold]
        assert answer[kind] == sorted(sure, key=lambda word: -probabilities[word])
    assert "square" in answer["attributes"]


@pytest.mark.parametrize("name", ["siglip2", "naflex"])
def test_classifying_says_how_sure_the_reference_is(vision, place, expected, tmp_path, name):
    path = pixels(tmp_path / "a.pixels", picture(64, 64))
    answer = vision.result("classify", pixels_path=path, models_path=str(place(name).parent), confidence_threshold=0, top_k=100)
    found = {f["class"]: f for f in answer["found"]}
    assert answer["engine"] == f"siglip2:{name}" and [f["class"] for f in answer["found"]] == sorted(found, key=lambda word: -found[word]["confidence"])
    assert {word: f["category"] for word, f in found.items()} == {word.lower(): kind for kind in ("scenes", "objects") for word in WORDS[kind]}
    assert all(abs(found[word]["confidence"] - p) < 1e-4 for word, p in zip(LABELS, expected[f"{name}/exact/probabilities"]))


def test_an_image_tower_alone_gives_attributes_only(vision, place, tmp_path):
    folder = place("siglip2", files={"image": "image.onnx"}).parent
    _, answer = describe(vision, folder, pixels(tmp_path / "a.pixels", picture(64, 64)))
    assert answer["objects"] == answer["scenes"] == [] and answer["attributes"]


def test_a_model_is_known_by_what_its_files_hold(vision, place, tmp_path):
    path = pixels(tmp_path / "a.pixels", picture(64, 64))
    folder = place("siglip2", "mine")
    first = describe(vision, folder.parent, path)[1]["model"]
    assert vision.result("answerers", models_path=str(folder.parent))["search"] == {"engine": "siglip2:mine", "model": first, "problem": None}
    manifest = (folder / "manifest.json").read_text()
    (folder / "manifest.json").write_text(json.dumps({**json.loads(manifest), "mean": [1, 2, 3]}))
    assert describe(vision, folder.parent, path)[1]["model"] != first
    (folder / "manifest.json").write_text(manifest)
    assert describe(vision, folder.parent, path)[1]["model"] == first  # whenever it was written


def test_without_one_the_built_in_model_describes(vision, place, tmp_path):
    path = pixels(tmp_path / "a.pixels", picture(64, 64))
    folder = place("siglip2", "mine", enabled=False).parent
    assert vision.result("answerers", models_path=str(folder))["search"] == {"engine": None, "model": None, "problem": None}
    assert vision.refusal("describe", pixels_path=path, models_path=str(folder))["code"] == "model_unavailable"


def relabel(path, labels):
    model = onnx.load(path)
    del model.metadata_props[:]
    if labels is not None:
        model.metadata_props.add(key="labels", value=labels)
    onnx.save(model, path)


@pytest.mark.parametrize("labels, words", [
    (None, "no metadata 'labels'"),
    ("{", "are no JSON"),
    ("[]", "must be {"),
    ('{"objects": ["a"]}', "must be {"),
    ('{"objects": ["a"], "scenes": [5]}', "a label must be a text"),
    ('{"objects": ["a"], "scenes": [""]}', "a label must be a text"),
    (json.dumps({"objects": ["x" * 121], "scenes": []}), "a label must be a text"),
    (json.dumps({"objects": ["a"] * 4001, "scenes": []}), "more than 4000"),
    (json.dumps({"objects": ["a"] * 7, "scenes": []}), "a logit for each of its labels"),
])
def test_labels_that_are_none(vision, place, labels, words):
    folder = place("siglip2", "mine")
    relabel(folder / "labels.onnx", labels)
    (model,) = vision.result("models", models_path=str(folder.parent))["models"]
    assert model["state"] == "broken" and "labels.onnx" in model["problem"] and words in model["problem"], model


@pytest.mark.parametrize("changes, words", [
    ({"files": {"labels": "labels.onnx"}}, "'files.image' is missing"),
    ({"files": {"image": "image.onnx", "encoder": "image.onnx"}}, "'encoder'"),
    ({"files": {"image": "labels.onnx"}}, "labels.onnx: it must have one input of the shape 1 x 3 x 64 x 64"),
    ({"files": {"image": "image.onnx", "labels": "image.onnx"}}, "image.onnx: it has no metadata 'labels'"),
    ({"files": {"image": "gone.onnx"}}, "gone.onnx: the file is missing"),
    ({"input_size": 224}, "1 x 3 x 224 x 224"),
    ({"threshold": 0}, "'threshold' must be"),
    ({"threshold": "much"}, "'threshold' must be"),
    ({"role": "sam", "files": {"encoder": "image.onnx", "decoder": "labels.onnx"}, "threshold": 0.5}, "'threshold' is nothing that the role 'sam' knows"),
])
def test_what_is_wrong_is_named(vision, place, tmp_path, changes, words):
    folder = place("siglip2", "mine", **changes).parent
    error = vision.refusal("describe", pixels_path=pixels(tmp_path / "a.pixels", picture(60, 40)), models_path=str(folder), model_path="unused.onnx")
    assert error["code"] == "model_unavailable" and words in error["message"] and str(tmp_path) not in error["message"], error
