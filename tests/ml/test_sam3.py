"""An operator's SAM 3: a tiny random one, exported by the script of docs/models.md, finds in pictograph-vision what the reference finds."""
import json
import subprocess

import numpy as np
import pytest
from skimage.measure import label

from export_models import PHRASES, SIZES, picture, sam3_picture
from test_operator_models import border, expected, mask_of, models, pixels, place, rename, vision  # noqa: F401 (fixtures)
from test_vision import BUILD, constant_model

ALL = {**SIZES, "exact": (112, 112)}
SURE = 0.02


def find(vision, folder, path, words, **more):
    more = {"image_key": path, "confidence_threshold": SURE, "floor": SURE, "max_detections": 100, "any_word": True, **more}
    return vision.result("find", pixels_path=path, models_path=str(folder), words=words, **more)


def specks(mask):
    """Parts and holes that an outline may leave out: it does below a five-hundredth of the mask, which is a pixel of the model's or two."""
    least, found = max(12, mask.sum() / 150), np.zeros_like(mask)
    for value in (True, False):
        parts = label(mask == value, connectivity=1)
        small = np.bincount(parts.ravel()) <= least
        small[0] = False
        found |= small[parts]
    return found


def iou(a, b):
    return (a & b).sum() / max(1, (a | b).sum())


@pytest.mark.parametrize("size", ALL)
def test_what_is_found_is_what_the_reference_finds(vision, place, expected, tmp_path, size):
    folder = place("sam3").parent
    width, height = ALL[size]
    path = pixels(tmp_path / "a.pixels", sam3_picture(size, width, height))
    answer = find(vision, folder, path, [{"word": phrase, "shape": "polygon"} for phrase in PHRASES])
    assert answer["engine"] == "sam3:sam3" and [word["class"] for word in answer["words"]] == PHRASES
    for word, phrase in enumerate(PHRASES):
        scores, boxes, masks = (expected[f"sam3/{size}/{phrase}/{kind}"] for kind in ("scores", "boxes", "masks"))
        things = [thing for thing in answer["found"] if thing["word"] == word]
        assert [thing["confidence"] for thing in things] == pytest.approx(sorted(scores[scores >= SURE], reverse=True), abs=1e-4)
        assert answer["words"][word]["best"] == pytest.approx(scores.max(), abs=1e-4)
        limits = np.array([width, height, width, height])
        corners = np.clip(boxes, 0, limits)
        for thing in things:
            box = np.array([thing["x"], thing["y"], thing["x"] + thing["w"], thing["y"] + thing["h"]])
            query = np.argmin(abs(corners - box).max(1))
            assert abs(corners[query] - box).max() < 0.03
            assert thing["confidence"] == pytest.approx(scores[query], abs=1e-4)
            mask, truth = mask_of(thing, width, height), masks[query]
            counted = ~(specks(mask) | specks(truth))
            wrong = (mask ^ truth) & ~border(truth) & counted  # outlines are simplified by at most half a pixel
            assert counted.mean() > 0.5 and thing["outlined"] and iou(mask & counted, truth & counted) > 0.9 and wrong.mean() < 0.01, \
                (phrase, query, counted.mean(), iou(mask & counted, truth & counted), wrong.mean())


def test_phrases_differ(expected):
    """The numbers above depend on the phrase, or they would show nothing of the text's way."""
    a, b = (expected[f"sam3/exact/{phrase}/scores"] for phrase in PHRASES[:2])
    assert abs(a - b).max() > 0.01


def test_tokens_are_those_of_the_tokenizers_library(vision, models):
    wrong = {}
    pairs = json.loads((models / "tokens.json").read_text())
    for phrase, tokens in pairs:
        found = vision.result("tokens", tokenizer_path=str(models / "sam3" / "tokenizer.json"), phrase=phrase)["tokens"]
        if found != tokens:
            wrong[phrase] = (found, tokens)
    assert len(pairs) > 300 and not wrong


def test_thresholds_limits_and_shapes(vision, place, expected, tmp_path):
    folder = place("sam3").parent
    path = pixels(tmp_path / "a.pixels", picture(112, 112))
    scores = expected["sam3/exact/cat/scores"]
    above = float(np.sort(scores)[-3:].mean())  # between the best and the third
    answer = find(vision, folder, path, [{"word": "cat", "shape": "box"}], confidence_threshold=above)
    assert len(answer["found"]) == (scores >= above).sum() and "polygons" not in answer["found"][0]
    assert len(find(vision, folder, path, [{"word": "cat", "shape": "point"}], max_detections=2)["found"]) == 2
    nothing = find(vision, folder, path, [{"word": "cat"}], confidence_threshold=1)
    assert nothing["found"] == [] and nothing["words"][0]["best"] == pytest.approx(scores.max(), abs=1e-4)
    assert nothing["cached"]  # the image was encoded by the first question
    shapes = find(vision, folder, path, [{"word": "cat", "shape": shape} for shape in ("point", "line", "polygon", "box")], max_detections=1)["found"]
    assert [set(thing) & {"inside_point", "line", "polygons"} for thing in shapes] == [{"inside_point"}, {"line"}, {"polygons"}, set()]


def test_a_trained_model_keeps_its_own_words(vision, place, tmp_path):
    folder = place("sam3").parent
    path = pixels(tmp_path / "a.pixels", picture(112, 112))
    detector = constant_model(tmp_path / "m.onnx", [[30, 20, 40, 30, 1, 0.9, 0, 0]])
    answer = find(vision, folder, path, [{"word": "cat"}, {"word": "zebra"}], model_path=detector, any_word=False)
    assert answer["engine"] == "tiny" and [word["class"] for word in answer["words"]] == ["cat", None]
    assert vision.result("answerers", models_path=str(folder))["text"] == {"engine": "sam3:sam3", "model": None, "problem": None}
    (folder / "sam3" / "manifest.json").unlink()
    assert find(vision, folder, path, [{"word": "cat"}], model_path=detector)["engine"] == "tiny"


def test_points_and_boxes_are_not_its_part(vision, place, tmp_path):
    folder = place("sam3").parent
    path = pixels(tmp_path / "a.pixels", picture(112, 112))
    assert vision.result("segment_point", image_key="p", pixels_path=path, models_path=str(folder), points=[{"x": 50, "y": 50}])["engine"] == "graph_cut"


@pytest.mark.parametrize("file, old, new, words", [
    ("decoder.onnx", "fpn_1", "level", "decoder.onnx: nothing fits its input 'level'"),
    ("decoder.onnx", "text_features", "words", "decoder.onnx: nothing fits its input 'words'"),
    ("decoder.onnx", "pred_masks", "masks", "decoder.onnx: it has no output 'pred_masks'"),
    ("decoder.onnx", "pred_logits", "logits", "decoder.onnx: it has no output 'pred_logits'"),
    ("text.onnx", "input_ids", "tokens", "text.onnx: nothing fits its input 'tokens'"),
    ("text.onnx", "text_features", "features", "text.onnx: it has no output 'text_features'"),
])
def test_files_with_other_names_are_refused(vision, place, file, old, new, words):
    folder = place("sam3", "mine")
    rename(folder / file, old, new)
    (model,) = vision.result("models", models_path=str(folder.parent))["models"]
    assert model["state"] == "broken" and words in model["problem"], model


FILES = {"encoder": "encoder.onnx", "text": "text.onnx", "decoder": "decoder.onnx", "tokenizer": "tokenizer.json"}


@pytest.mark.parametrize("changes, words", [
    ({"files": {key: name for key, name in FILES.items() if key != "tokenizer"}}, "'files.tokenizer' is missing"),
    ({"files": {**FILES, "tokenizer": "gone.json"}}, "gone.json: the file is missing"),
    ({"files": {**FILES, "tokenizer": "manifest.json"}}, "manifest.json: it is no tokenizer of CLIP's kind"),
    ({"files": {**FILES, "tokenizer": "text.onnx"}}, "text.onnx: it is no JSON"),
    ({"files": {**FILES, "text": "encoder.onnx"}}, "encoder.onnx: nothing fits its input 'pixel_values'"),
    ({"files": {**FILES, "image": "encoder.onnx"}}, "'image'"),
    ({"input_size": 1008}, "1 x 3 x 1008 x 1008"),
])
def test_what_is_wrong_is_named(vision, place, tmp_path, changes, words):
    folder = place("sam3", "mine", **changes).parent
    error = vision.refusal("find", pixels_path=pixels(tmp_path / "a.pixels", picture(60, 40)), models_path=str(folder), words=[{"word": "cat"}], any_word=True,
                           model_path="unused.onnx")
    assert error["code"] == "model_unavailable" and words in error["message"] and str(tmp_path) not in error["message"], error


def test_the_program_prints_tokens(models):
    done = subprocess.run([BUILD / "src/vision/pictograph-vision", "tokens", models / "sam3" / "tokenizer.json", "cat"], capture_output=True, text=True, check=True)
    assert len(json.loads(done.stdout)["tokens"]) == 3
