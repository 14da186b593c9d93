"""Batches whose classes are tags: by the model that describes images, into their automatic tags."""
import contextlib
import sqlite3

import pytest
from server import ROOT, once
from test_search import DESCRIBED_WITHIN
from test_text_prompts import photo, start

pytestmark = pytest.mark.skipif(not (ROOT / "build/deps/models/efficientnet_lite0.onnx").exists(), reason="efficientnet_lite0 is not installed: tools/setup models")

NAMES = ("chelsea", "coffee")


def tags(client, image):
    return client.get(f"/images/{image['id']}/metadata").json()["image"]["image_auto_tags"]


def run(client, project, images, classes, **fields):
    done = client.wait("/auto-annotate/batch/" + start(client, project, images, classes, **fields)["job_id"])
    assert done["status"] == "completed" and done["failures"] == [], done
    return done


@pytest.fixture
def photos(owner):
    project = owner.project(classes=())
    return project, {name: owner.upload(project, f"{name}.jpg", photo(name)) for name in NAMES}


def test_tags_by_name(owner, photos):
    project, images = photos
    before = owner.get("/credits/balance").json()["credits_remaining"]
    done = run(owner, project, ["chelsea.jpg", "coffee.jpg"], [("the Cats", "tag"), ("coffee", "tag"), ("gryphon", "tag"), ("dog", "tag")], confidence_threshold=0.2)
    assert done["processed_images"] == 2 and done["total_annotations_added"] == 2 and done["engine"] == "efficientnet_lite0" and done["credits_charged"] == 3
    assert done["error_message"] == "The classification model has no such tags: 'gryphon'"
    assert owner.get("/credits/balance").json()["credits_remaining"] == before - 3
    found = {name: tags(owner, image) for name, image in images.items()}
    assert "cat" in found["chelsea"]["objects"] and "coffee" in found["coffee"]["objects"] and "dog" not in found["chelsea"]["objects"]
    assert found["chelsea"]["attributes"]  # a batch describes what was not yet, so that its tags are not replaced later
    hits = owner.get("/search/by-tags", params={"objects": "coffee", "dataset_name": project["name"]}).json()["results"]
    assert [hit["filename"] for hit in hits] == ["coffee.jpg"]
    assert owner.get(f"/projects/{project['name']}").json()["project"]["classes"] == []  # a tag is no class of annotations
    assert all(owner.get(f"/annotations/{image['id']}").json()["annotations"] == [] for image in images.values())


def test_the_best_tags_of_all(owner, photos):
    project, images = photos
    run(owner, project, ["chelsea.jpg"], [("cat", "tag")])
    known = tags(owner, images["chelsea"])
    done = run(owner, project, ["chelsea.jpg", "coffee.jpg"], [], model_id="efficientnet_lite0", top_k=4, confidence_threshold=0.001)
    assert done["total_annotations_added"] == 8 and done["error_message"] is None
    found = tags(owner, images["chelsea"])
    assert found["objects"][:len(known["objects"])] == known["objects"] and found["attributes"] == known["attributes"]  # they come to those there
    assert len(found["objects"]) == len(set(found["objects"])) and len(found["objects"] + found["scenes"]) >= 4
    assert run(owner, project, ["chelsea.jpg"], [], model_id="efficientnet_lite0", top_k=4, confidence_threshold=0.001)["total_annotations_added"] == 4
    assert tags(owner, images["chelsea"]) == found  # once more is no change
    assert run(owner, project, ["chelsea.jpg"], [], model_id="efficientnet_lite0", confidence_threshold=1)["total_annotations_added"] == 0


@pytest.mark.skipif(not (ROOT / "build/deps/models/nanodet.onnx").exists(), reason="nanodet is not installed: tools/setup models")
def test_tags_and_boxes_in_one_batch(owner, photos):
    project, images = photos
    done = run(owner, project, ["chelsea.jpg"], [("cat", "bbox"), ("wyvern", "bbox"), ("cat", "tag"), ("gryphon", "tag")], confidence_threshold=0.3)
    assert done["engine"] == "nanodet_g+efficientnet_lite0" and done["total_annotations_added"] == 2
    assert done["error_message"] == ("Nothing was looked for under names that the detector does not know: 'wyvern'. "
                                     "The classification model has no such tags: 'gryphon'")
    assert [(a["name"], a["type"]) for a in owner.get(f"/annotations/{images['chelsea']['id']}").json()["annotations"]] == [("cat", "bbox")]
    assert "cat" in tags(owner, images["chelsea"])["objects"]


def test_tags_stay_when_everything_is_described(owner, photos, server):
    """The description that waits, or is being made, does not undo them."""
    project, images = photos
    run(owner, project, ["chelsea.jpg"], [], model_id="efficientnet_lite0", top_k=6, confidence_threshold=0.0005)
    found = tags(owner, images["chelsea"])
    with contextlib.closing(sqlite3.connect(server.folder / "pictograph.db", timeout=60)) as db:
        waits = "SELECT count(*) FROM description_queue WHERE project_id = ?"
        once(lambda: db.execute(waits, [project["id"]]).fetchone()[0], lambda count: count == 0, DESCRIBED_WITHIN)
    assert tags(owner, images["chelsea"]) == found


def test_what_gives_no_tags(owner, photos):
    project, _ = photos
    wrong = start(owner, project, ["chelsea.jpg"], [("cat", "tag"), ("dog", "bbox"), ("cow", None)], 422, model_id="efficientnet_lite0")
    assert [d["loc"] for d in wrong["detail"]] == [["body", "classes", i, "output_type"] for i in (1, 2)]
    assert start(owner, project, ["chelsea.jpg"], [("cat", "tag")], 422, top_k=0)["detail"][0]["loc"] == ["body", "top_k"]
    start(owner, project, ["chelsea.jpg"], [("cat", "tag")], 404, model_id="efficientnet_lite1")
