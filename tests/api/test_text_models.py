"""A SAM 3 of the operator's answers words and batches by class names. The numbers of real ones are tests/ml/test_sam3.py's."""
import json
import shutil

import numpy as np
import pytest
from onnx import TensorProto, helper

from conftest import contract, picture
from graphs import save
from server import Client, Server
from test_text_prompts import ask, start


def unicorn_model(folder, **manifest):
    """Sees in every picture one thing that begins with the letter u, surely, and another less surely."""
    folder.mkdir(parents=True)
    save(folder / "encoder.onnx", [helper.make_node("GlobalAveragePool", ["pixels"], ["fpn"])], [("pixels", [1, 3, 64, 64])], [("fpn", [1, 3, 1, 1])], {})
    save(folder / "text.onnx", [helper.make_node("Cast", ["input_ids"], ["f"], to=TensorProto.FLOAT), helper.make_node("Unsqueeze", ["f", "axis"], ["text_features"])],
         [("input_ids", [1, 8], TensorProto.INT64)], [("text_features", [1, 8, 1])], {"axis": np.array([2])})
    masks = np.full((1, 2, 16, 16), -9, np.float32)
    masks[0, 0, 4:8, 4:12] = 9
    masks[0, 1, 8:12, 2:6] = 9
    boxes = np.array([[[4 / 16, 4 / 16, 12 / 16, 8 / 16], [2 / 16, 8 / 16, 6 / 16, 12 / 16]]], np.float32)
    save(folder / "decoder.onnx",
         [helper.make_node("Gather", ["text_features", "first"], ["word"], axis=1), helper.make_node("Squeeze", ["word", "last"], ["number"]),
          helper.make_node("Sub", ["number", "four"], ["more"]), helper.make_node("Mul", ["more", "eight"], ["sure"]),
          helper.make_node("Add", ["sure", "each"], ["pred_logits"]), helper.make_node("Identity", ["b"], ["pred_boxes"]), helper.make_node("Identity", ["m"], ["pred_masks"])],
         [("fpn", [1, 3, 1, 1]), ("text_features", [1, 8, 1])], [("pred_logits", [1, 2]), ("pred_boxes", [1, 2, 4]), ("pred_masks", [1, 2, 16, 16])],
         {"first": np.array([1]), "last": np.array([2]), "four": np.array([4], np.float32), "eight": np.array([8], np.float32),
          "each": np.array([[0, -7.5]], np.float32), "b": boxes, "m": masks})
    vocabulary = {"<|startoftext|>": 0, "<|endoftext|>": 1, "u": 5, "u</w>": 5, "c": 2}
    (folder / "tokenizer.json").write_text(json.dumps({"model": {"type": "BPE", "end_of_word_suffix": "</w>", "vocab": vocabulary, "merges": []}}))
    (folder / "manifest.json").write_text(json.dumps({"role": "sam3", "input_size": 64, "files": {
        "encoder": "encoder.onnx", "text": "text.onnx", "decoder": "decoder.onnx", "tokenizer": "tokenizer.json"}, **manifest}))


@pytest.fixture(params=["with the detector", "without"])
def alone(request, tmp_path):
    more = {} if request.param == "with the detector" else {"PICTOGRAPHD_BUILTIN_MODELS": str(tmp_path)}
    server = Server(tmp_path / "data").start(**more)
    server.has_detector = not more
    yield server
    assert server.stop() == 0


def near(box, x, y, w, h):
    return all(abs(a - b) < 8 for a, b in zip((box["x"], box["y"], box["w"], box["h"]), (x, y, w, h)))


def test_any_word(alone):
    client = Client(alone.url, alone.key, contract())
    project = client.project(classes=())
    image = client.upload(project, "a.jpg", picture(320, 240))
    if alone.has_detector:
        assert ask(client, project, "a.jpg", "unicorn")["status"] == "no_detection"
    else:
        ask(client, project, "a.jpg", "unicorn", 503)
    folder = alone.folder / "models" / "mine"
    unicorn_model(folder)
    reply = ask(client, project, "a.jpg", "Unicorns", confidence_threshold=0.3)
    assert reply["status"] == "success" and reply["engine"] == "sam3:mine" and reply["score"] == pytest.approx(1 / (1 + np.exp(-8)), abs=1e-4)
    first, second = reply["annotations"]
    assert first["type"] == "polygon" and first["name"] == "Unicorns" and near(first["bounding_box"], 80, 60, 160, 60)
    assert second["confidence"] == pytest.approx(1 / (1 + np.exp(-0.5)), abs=1e-3) and near(second["bounding_box"], 40, 120, 80, 60)
    (only,) = ask(client, project, "a.jpg", "unicorn", confidence_threshold=0.9, output_type="bbox")["annotations"]
    assert only["type"] == "bbox" and only["bounding_box"] == pytest.approx({"x": 80, "y": 60, "w": 160, "h": 60}, abs=0.01)
    assert len(ask(client, project, "a.jpg", "unicorn", max_detections=1)["annotations"]) == 1
    assert ask(client, project, "a.jpg", "cat")["status"] == "no_detection"
    doctor = alone.command("doctor").splitlines()
    assert any("text, classes" in line and "sam3:mine: any word" in line for line in doctor)
    assert any(line.startswith("mine") and "sam3" in line and "text" in line and "in use" in line for line in alone.command("models").splitlines())

    job = start(client, project, ["a.jpg"], [("unicorn", None), ("urn", "keypoint"), ("cat", "bbox")], confidence_threshold=0.9)
    done = client.wait(f"/auto-annotate/batch/{job['job_id']}")
    assert done["status"] == "completed" and done["engine"] == "sam3:mine" and done["total_annotations_added"] == 2
    polygon, point = client.get(f"/annotations/{image['id']}").json()["annotations"]
    assert (polygon["name"], polygon["type"], point["name"], point["type"]) == ("unicorn", "polygon", "urn", "keypoint")

    shutil.rmtree(folder)
    if alone.has_detector:
        assert ask(client, project, "a.jpg", "cat", output_type="bbox")["engine"] == "nanodet_g"
    else:
        ask(client, project, "a.jpg", "cat", 503)


def test_one_that_does_not_work_is_said_and_costs_nothing(alone):
    client = Client(alone.url, alone.key, contract())
    project = client.project()
    client.upload(project, "a.jpg", picture(64, 48))
    folder = alone.folder / "models" / "mine"
    unicorn_model(folder)
    (folder / "tokenizer.json").write_text('{"model": {"type": "Unigram"}}')
    balance = client.get("/credits/balance").json()["credits_remaining"]
    reply = ask(client, project, "a.jpg", "unicorn", 503)
    assert reply["error_code"] == "model_unavailable" and "tokenizer.json" in json.dumps(reply) and "CLIP" in json.dumps(reply)
    assert client.get("/credits/balance").json()["credits_remaining"] == balance
    (folder / "manifest.json").write_text('{"role": "sam3"}')
    for reply in (ask(client, project, "a.jpg", "unicorn", 503), start(client, project, ["a.jpg"], [("unicorn", "bbox")], 503)):
        assert "mine" in json.dumps(reply) and "'files' is missing" in json.dumps(reply)
    assert any(line.startswith("BROKEN") and "mine" in line for line in alone.command("doctor").splitlines())
