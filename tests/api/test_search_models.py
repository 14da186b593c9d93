"""A SigLIP 2 of the operator's describes images in place of the built-in model. The numbers of real ones are tests/ml/test_siglip2.py's."""
import json
import shutil
import time

import numpy as np
import pytest
from onnx import helper
from PIL import Image

from conftest import contract
from graphs import save
from server import Client, Server
from test_search import encoded, facts, similar, tagged, wait_described

COLOURS = {"ruby": (230, 20, 20), "brick": (180, 40, 30), "sky": (40, 60, 220), "leaf": (20, 200, 40)}


def colour_model(folder, words=("crimson", "azure"), **manifest):
    """Sees the mean colour of a picture, and two words: red and blue."""
    folder.mkdir(parents=True, exist_ok=True)
    save(folder / "image.onnx", [helper.make_node("GlobalAveragePool", ["pixels"], ["mean"]), helper.make_node("Flatten", ["mean"], ["image_embeds"])],
         [("pixels", [1, 3, 32, 32])], [("image_embeds", [1, 3])], {})
    weight = np.array([[20, -20], [-9, -9], [-20, 20]], np.float32)
    save(folder / "labels.onnx", [helper.make_node("MatMul", ["e", "w"], ["logits"])], [("e", [1, 3])], [("logits", [1, 2])], {"w": weight},
         labels=json.dumps({"objects": list(words), "scenes": []}))
    text = json.dumps({"role": "siglip2", "files": {"image": "image.onnx", "labels": "labels.onnx"}, "input_size": 32, **manifest})
    (folder / "manifest.json").write_text(text)


def wait_tags(client, images, wanted):
    """Until every image has exactly the objects that wanted(name) says."""
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline:
        found = {name: facts(client, image)["image_auto_tags"]["objects"] for name, image in images.items()}
        if all(found[name] == wanted(name) for name in images):
            return
        time.sleep(0.1)
    raise AssertionError(found)


@pytest.fixture
def alone(tmp_path):
    server = Server(tmp_path / "data").start()
    yield server
    assert server.stop() == 0


def test_another_model_describes_everything_anew(alone):
    client = Client(alone.url, alone.key, contract())
    project = client.project()
    images = {name: client.upload(project, f"{name}.jpg", encoded(Image.new("RGB", (64, 48), colour), quality=95))["id"] for name, colour in COLOURS.items()}
    names = {image: name for name, image in images.items()}
    wait_described(client, images.values())
    by_built_in = {names[h["id"]]: h["similarity"] for h in similar(client, images["ruby"], threshold=0)}
    assert "(efficientnet_lite0)" in alone.command("doctor")

    folder = alone.folder / "models" / "mine"
    colour_model(folder)
    wait_tags(client, images, lambda name: {"ruby": ["crimson"], "brick": ["crimson"], "sky": ["azure"], "leaf": []}[name])
    hits = {names[h["id"]]: h["similarity"] for h in similar(client, images["ruby"], threshold=0)}

    def seen(name):
        v = np.array(COLOURS[name]) / 127.5 - 1
        return v / np.linalg.norm(v)
    assert hits["brick"] == pytest.approx(seen("ruby") @ seen("brick"), abs=0.01) and "sky" not in hits or hits["sky"] < 0.5  # below 0 it is no hit
    assert max(hits, key=hits.get) == "brick"
    assert tagged(client, objects=["crimson"])["total"] == 2
    assert "(siglip2:mine)" in alone.command("doctor")
    table = {line.split()[0]: line for line in alone.command("models").splitlines()}
    assert "siglip2" in table["mine"] and "search" in table["mine"] and "in use" in table["mine"] and "ready" in table["efficientnet_lite0"]

    # the same place, another model; what is new meanwhile is described by it, too
    colour_model(folder, words=("Cherry", "ocean"))
    images["new"] = client.upload(project, "new.jpg", encoded(Image.new("RGB", (50, 50), (20, 20, 250)), quality=95))["id"]
    names[images["new"]] = "new"
    wait_tags(client, images, lambda name: {"ruby": ["cherry"], "brick": ["cherry"], "sky": ["ocean"], "new": ["ocean"], "leaf": []}[name])
    assert tagged(client, objects=["crimson"])["total"] == 0
    assert names[similar(client, images["new"], threshold=0.5)[0]["id"]] == "sky"

    # after a restart nothing is done twice, and without the model the built-in one takes over
    alone.stop()
    alone.start()
    assert names[similar(client, images["new"], threshold=0.5)[0]["id"]] == "sky"
    shutil.rmtree(folder)
    wait_tags(client, images, lambda name: [])
    wait_described(client, images.values())
    again = {names[h["id"]]: h["similarity"] for h in similar(client, images["ruby"], threshold=0)}
    assert {name: again[name] for name in by_built_in} == pytest.approx(by_built_in, abs=1e-6)


def test_vectors_of_two_models_are_never_compared(alone):
    client = Client(alone.url, alone.key, contract())
    project = client.project()
    first, second = (client.upload(project, f"{n}.jpg", encoded(Image.new("RGB", (64, 48), (200, 30 + n, 30))))["id"] for n in range(2))
    wait_described(client, (first, second))
    assert similar(client, first, threshold=0)
    colour_model(alone.folder / "models" / "mine", threshold=0.9)
    # whoever asks at once is described by the new model at once; the other one joins when it was, too, and until then is no hit
    deadline = time.monotonic() + 300
    while not (hits := similar(client, first, threshold=0)):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert [h["id"] for h in hits] == [second] and hits[0]["similarity"] > 0.999


def test_a_model_that_does_not_work_is_said(alone):
    client = Client(alone.url, alone.key, contract())
    project = client.project()
    image = client.upload(project, "a.jpg", encoded(Image.new("RGB", (64, 48), (200, 30, 30))))["id"]
    wait_described(client, (image,))
    folder = alone.folder / "models" / "mine"
    colour_model(folder, input_size=48)
    reply = similar(client, image, 503)
    assert reply["error_code"] == "model_unavailable" and "mine" in json.dumps(reply) and "image.onnx" in json.dumps(reply) and "input_size" in json.dumps(reply)
    doctor = alone.command("doctor").splitlines()
    assert any(line.startswith("MISSING") and "search" in line and "mended" in line for line in doctor)
    assert any(line.startswith("BROKEN") and "mine" in line for line in doctor)
    (folder / "manifest.json").write_text("{")
    reply = similar(client, image, 503)
    assert "manifest.json" in json.dumps(reply)
    colour_model(folder)
    wait_tags(client, {"a": image}, lambda name: ["crimson"])
    assert similar(client, image, threshold=0) == []


def test_it_tags_in_batches(alone):
    """By its own words, at the batch's threshold, where its name selects it."""
    client = Client(alone.url, alone.key, contract())
    colour_model(alone.folder / "models" / "mine")
    project = client.project()
    images = {name: client.upload(project, f"{name}.jpg", encoded(Image.new("RGB", (64, 48), colour), quality=95))["id"] for name, colour in COLOURS.items()}
    wait_tags(client, images, lambda name: {"ruby": ["crimson"], "brick": ["crimson"], "sky": ["azure"], "leaf": []}[name])
    batch = {"dataset_name": project["name"], "image_filenames": ["leaf.jpg", "sky.jpg"], "confidence_threshold": 0, "top_k": 2}
    client.post("/auto-annotate/batch", {**batch, "classes": [], "model_id": "efficientnet_lite0"}, 404)  # that one does not describe here
    job = client.post("/auto-annotate/batch", {**batch, "classes": [], "model_id": "siglip2:mine"}, 202).json()
    done = client.wait(f"/auto-annotate/batch/{job['job_id']}")
    assert done["status"] == "completed" and done["engine"] == "siglip2:mine" and done["total_annotations_added"] == 4
    both = {"leaf": {"crimson", "azure"}, "sky": {"crimson", "azure"}, "ruby": {"crimson"}, "brick": {"crimson"}}
    assert {name: set(facts(client, image)["image_auto_tags"]["objects"]) for name, image in images.items()} == both
    (alone.folder / "models" / "mine" / "manifest.json").write_text("{")
    reply = client.post("/auto-annotate/batch", {**batch, "classes": [{"name": "crimson", "output_type": "tag"}]}, 503).json()
    assert reply["error_code"] == "model_unavailable" and "manifest.json" in json.dumps(reply)
