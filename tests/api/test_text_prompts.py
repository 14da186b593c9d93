"""Text prompts and batches by class names, with the built-in detector on photographs that scikit-image's wheel carries."""
import contextlib
import io
import json
import os
import signal
import sqlite3
import subprocess
import time

import pytest
from conftest import contract
from PIL import Image
from server import ROOT, Client, Server, once
from skimage import data

pytestmark = pytest.mark.skipif(not (ROOT / "build/deps/models/nanodet.onnx").exists(), reason="nanodet is not installed: tools/setup models")


def photo(name, kind="JPEG"):
    picture = getattr(data, name)()
    out = io.BytesIO()
    Image.fromarray(picture[0] if isinstance(picture, tuple) else picture).convert("RGB").save(out, kind, quality=95)
    return out.getvalue()


@pytest.fixture(scope="module")
def photos(owner):
    project = owner.project(classes=())
    images = {name: owner.upload(project, f"{name}.jpg", photo(name)) for name in ("chelsea", "astronaut", "coffee")}
    images["motorcycle"] = owner.upload(project, "motorcycle.png", photo("stereo_motorcycle", "PNG"), content_type="image/png")
    return project, images


@pytest.fixture
def alone(tmp_path):
    """A server that one test has to itself, and its owner's client."""
    server = Server(tmp_path / "data").start()
    yield server, Client(server.url, server.key, contract())
    server.stop()


def ask(client, project, image, text, expect=200, **fields):
    return client.post("/auto-annotate/sam3/text", {"dataset_name": project["name"], "image_filename": image, "text_prompt": text, **fields}, expect).json()


def overlap(a, b):
    w = min(a["x"] + a["w"], b["x"] + b["w"]) - max(a["x"], b["x"])
    h = min(a["y"] + a["h"], b["y"] + b["h"]) - max(a["y"], b["y"])
    shared = max(w, 0) * max(h, 0)
    return shared / (a["w"] * a["h"] + b["w"] * b["h"] - shared)


# ---- prompts ----

def test_a_word_finds_things(owner, photos):
    project, images = photos
    reply = ask(owner, project, "chelsea.jpg", "cat", output_type="bbox")
    assert reply["status"] == "success" and reply["engine"] == "nanodet_g" and reply["image_id"] == images["chelsea"]["id"] and reply["credits_charged"] == 3
    cat = reply["annotations"][0]
    assert cat["type"] == "bbox" and cat["name"] == "cat" and cat["confidence"] == reply["score"] >= 0.3
    assert overlap(cat["bounding_box"], {"x": 0, "y": 0, "w": 440, "h": 298}) > 0.9
    assert owner.get(f"/annotations/{images['chelsea']['id']}").json()["annotations"] == []  # nothing is stored
    assert ask(owner, project, "chelsea.jpg", "dog", output_type="bbox")["credits_charged"] == 1  # the same session


def test_polygons_lie_in_their_boxes(owner, photos):
    project, _ = photos
    box = ask(owner, project, "motorcycle.png", "motorbikes", output_type="bbox")["annotations"][0]
    polygon = ask(owner, project, "motorcycle.png", "motorbikes")["annotations"][0]
    assert ask(owner, project, "motorcycle.png", "motorbike")["engine"] == "nanodet_g+graph_cut"
    assert polygon["type"] == "polygon" and polygon["confidence"] == box["confidence"] and polygon["name"] == "motorbikes"
    outer, inner = box["bounding_box"], polygon["bounding_box"]
    assert inner["x"] >= outer["x"] - 2 and inner["y"] >= outer["y"] - 2 and inner["w"] <= outer["w"] + 4 and inner["h"] <= outer["h"] + 4
    assert all(len(ring) >= 3 for ring in polygon["polygon"]["paths"])


@pytest.mark.parametrize("text", ["person", "People", "the humans", "women"])
def test_synonyms_mean_their_class(owner, photos, text):
    reply = ask(owner, photos[0], "astronaut.jpg", text, output_type="bbox")
    assert reply["status"] == "success" and reply["annotations"][0]["name"] == text and reply["score"] > 0.6


def test_other_words_find_nothing_and_cost(owner, photos):
    before = owner.get("/credits/balance").json()["credits_remaining"]
    reply = ask(owner, photos[0], "astronaut.jpg", "space suit")
    assert reply["status"] == "no_detection" and reply["annotations"] == [] and reply["score"] is None and reply["credits_charged"] == 1
    assert owner.get("/credits/balance").json()["credits_remaining"] == before - 1
    assert ask(owner, photos[0], "astronaut.jpg", "elephant" * 100)["status"] == "no_detection"
    assert ask(owner, photos[0], "chelsea.jpg", "fire hydrant")["status"] == "no_detection"


def test_thresholds_and_limits(owner, photos):
    every = ask(owner, photos[0], "coffee.jpg", "cup", output_type="bbox", confidence_threshold=0, max_detections=100)
    assert len(every["annotations"]) > 2 and [a["confidence"] for a in every["annotations"]] == sorted((a["confidence"] for a in every["annotations"]), reverse=True)
    assert len(ask(owner, photos[0], "coffee.jpg", "cup", output_type="bbox", confidence_threshold=0, max_detections=1)["annotations"]) == 1
    low = ask(owner, photos[0], "coffee.jpg", "cup", confidence_threshold=0.99)
    assert low["status"] == "below_threshold" and low["annotations"] == [] and low["score"] == every["score"]


def test_a_label_that_was_found_joins_the_classes(owner, photos):
    project, images = photos
    found = ask(owner, project, "astronaut.jpg", "human", output_type="bbox")["annotations"]
    ask(owner, project, "astronaut.jpg", "unicorn")
    owner.post(f"/annotations/{images['astronaut']['id']}", {"annotations": [{**found[0], "name": "unicorn"}]}, 422)
    assert owner.post(f"/annotations/{images['astronaut']['id']}", {"annotations": found}).json()["new_count"] == len(found)
    assert {a["name"] for a in ask(owner, project, "astronaut.jpg", " human\n", output_type="bbox")["annotations"]} == {"human"}  # no class may be called " human"
    assert {"human": "bbox"}.items() <= {c["name"]: c["type"] for c in owner.get(f"/projects/{project['name']}").json()["project"]["classes"]}.items()


def test_prompts_that_are_refused(owner, photos, with_role, anonymous, stranger, jpeg):
    project, _ = photos
    ask(owner, project, "nope.jpg", "cat", 404)
    ask(owner, {"name": "nope"}, "a.jpg", "cat", 404)
    ask(stranger, project, "chelsea.jpg", "cat", 404)
    ask(anonymous, project, "chelsea.jpg", "cat", 401)
    ask(with_role("viewer"), project, "chelsea.jpg", "cat", 403)
    wrong = ask(owner, project, "chelsea.jpg", " ", 422, output_type="tag", confidence_threshold=1.5, max_detections=101, colour="red")
    assert {d["loc"][-1] for d in wrong["detail"]} == {"text_prompt", "output_type", "confidence_threshold", "max_detections", "colour"}
    for folder in ("/a", "/b"):
        owner.upload(project, "twice.jpg", jpeg, folder=folder)
    assert ask(owner, project, "twice.jpg", "cat", 409)["error_code"] == "ambiguous_filename"
    assert ask(owner, project, "/b/twice.jpg", "cat")["annotations"] == []


# ---- batches ----

def start(client, project, images, classes, expect=202, **fields):
    body = {"dataset_name": project["name"], "image_filenames": images, "classes": [{"name": n, **({"output_type": t} if t else {})} for n, t in classes], **fields}
    return client.post("/auto-annotate/batch", body, expect).json()


def test_a_batch_by_class_names(owner):
    project = owner.project(classes=("cell",))
    images = {name: owner.upload(project, f"{name}.jpg", photo(name)) for name in ("chelsea", "astronaut", "coffee")}
    kept = [{"id": "1", "name": "cell", "type": "bbox", "bounding_box": {"x": 1, "y": 2, "w": 3, "h": 4}}]
    for name in ("coffee", "chelsea"):
        owner.post(f"/annotations/{images[name]['id']}", {"annotations": kept})
    before = owner.get("/credits/balance").json()["credits_remaining"]
    job = start(owner, project, ["chelsea.jpg", "astronaut.jpg", "/coffee.jpg", "coffee.jpg", "gone.jpg"],
                [("cat", "bbox"), ("person", None), ("people", "polyline"), ("human", "keypoint"), ("unicorn", "bbox")], confidence_threshold=0.4)
    assert job["total_images"] == 4 and job["estimated_credits"] == 3 and job["failed_images"] == 1
    done = owner.wait(f"/auto-annotate/batch/{job['job_id']}")
    assert done["status"] == "completed" and done["processed_images"] == 3 and done["progress"] == 100 and done["engine"] == "nanodet_g+graph_cut"
    assert done["error_message"] == "Nothing was looked for under names that the detector does not know: 'unicorn'"
    assert done["failures"] == [{"image_filename": "gone.jpg", "image_id": None, "reason": "No image is called so"}]
    assert done["credits_charged"] == 3 and owner.get("/credits/balance").json()["credits_remaining"] == before - 3
    lists = {name: owner.get(f"/annotations/{image['id']}").json()["annotations"] for name, image in images.items()}
    assert sum(len(l) for n, l in lists.items() if n != "coffee") == done["total_annotations_added"]
    assert [a["name"] for a in lists["coffee"]] == ["cell"]  # nothing was found there: it keeps what it had
    assert {(a["name"], a["type"]) for a in lists["chelsea"]} == {("cat", "bbox")}  # replaced
    assert [(a["name"], a["type"]) for a in lists["astronaut"]] == [("person", "polygon"), ("people", "polyline"), ("human", "keypoint")]
    outline, line, point = lists["astronaut"]
    assert len(line["polyline"]["path"]) >= 2 and outline["bounding_box"]["x"] <= point["keypoint"]["x"] <= outline["bounding_box"]["x"] + outline["bounding_box"]["w"]
    classes = {c["name"]: c["type"] for c in owner.get(f"/projects/{project['name']}").json()["project"]["classes"]}
    assert classes == {"cell": classes["cell"], "cat": "bbox", "person": "polygon", "people": "polyline", "human": "keypoint", "unicorn": "bbox"}
    assert all(0.4 <= a["confidence"] <= 1 for n, l in lists.items() if n != "coffee" for a in l)


def test_an_image_that_is_archived_or_damaged_fails_alone(owner, server):
    project = owner.project(classes=())
    images = [owner.upload(project, f"{i}.jpg", photo("chelsea") + bytes([i])) for i in range(2)]
    row = subprocess.run(["sqlite3", server.folder / "pictograph.db", f"SELECT object FROM images WHERE id = '{images[0]['id']}'"], capture_output=True, text=True, check=True)
    path = next(p for p in (server.folder / "objects").rglob("*") if p.is_file() and row.stdout.strip() in str(p).replace("/", ""))
    path.chmod(0o600)
    path.write_bytes(b"\xff\xd8 no picture")
    before = owner.get("/credits/balance").json()["credits_remaining"]
    done = owner.wait("/auto-annotate/batch/" + start(owner, project, ["0.jpg", "1.jpg"], [("cat", "bbox")], model_id="sam3")["job_id"])
    assert done["status"] == "completed" and done["processed_images"] == done["failed_images"] == 1 and done["error_message"] is None
    assert [f["image_filename"] for f in done["failures"]] == ["0.jpg"] and done["failures"][0]["reason"]
    assert owner.get("/credits/balance").json()["credits_remaining"] == before - 3
    assert owner.get(f"/annotations/{images[1]['id']}").json()["annotations"]


def test_batches_that_are_refused(owner, photos, with_role, anonymous, stranger):
    project, _ = photos
    every = [("cat", "bbox")]
    start(owner, project, ["gone.jpg", "nope.jpg"], every, 404)
    start(owner, {"name": "nope"}, ["a.jpg"], every, 404)
    start(stranger, project, ["chelsea.jpg"], every, 404)
    start(anonymous, project, ["chelsea.jpg"], every, 401)
    start(with_role("viewer"), project, ["chelsea.jpg"], every, 403)
    assert [d["loc"] for d in start(owner, project, ["chelsea.jpg"], [("dog", "bbox"), ("x" * 121, "bbox")], 422)["detail"]] == [["body", "classes", 1, "name"]]
    assert start(owner, project, ["chelsea.jpg"], [], 422)["detail"][0]["loc"] == ["body", "classes"]
    assert start(owner, project, [], [], 422)["detail"][0]["loc"] == ["body", "image_filenames"]
    start(owner, project, ["a.jpg"] * 10001, every, 422)
    start(owner, project, ["chelsea.jpg"], every, 422, confidence_threshold=-0.1)


def test_a_balance_too_small(stranger, server):
    project = stranger.project(classes=())
    stranger.upload(project, "a.jpg", photo("chelsea"))
    balance = stranger.get("/credits/balance").json()["credits_remaining"]
    server.command("credits", "grant", "--org", "Other", "--amount", str(2 - balance))
    for reply in (ask(stranger, project, "a.jpg", "cat", 402), start(stranger, project, ["a.jpg"], [("cat", "bbox")], 402)):
        assert reply["detail"]["required"] == 3 and reply["detail"]["remaining"] == 2
    assert stranger.get("/credits/balance").json()["credits_remaining"] == 2
    server.command("credits", "grant", "--org", "Other", "--amount", str(balance - 2))
    stranger.delete(f"/projects/{project['name']}")


def many(client, count):
    """A project of images that each take the segmenter a while."""
    project = client.project(classes=())
    photograph = photo("stereo_motorcycle")
    names = [f"{i}.jpg" for i in range(count)]
    for i, name in enumerate(names):
        client.upload(project, name, photograph + bytes([i]))
    return project, names


def progress(client, job, least):
    deadline = time.monotonic() + 300
    while client.get(f"/auto-annotate/batch/{job['job_id']}").json()["processed_images"] < least:
        assert time.monotonic() < deadline
        time.sleep(0.02)


SLOW = [("motorcycle", "polygon"), ("motorbike", "polygon"), ("bicycle", "polygon"), ("person", "polygon"), ("chair", "polygon")]


def under_way(client, count):
    """A slow batch that has done its first image: (project, job)."""
    project, names = many(client, count)
    job = start(client, project, names, SLOW, confidence_threshold=0.05)
    progress(client, job, 1)
    return project, job


def test_cancelling_stops_and_gives_back(owner):
    before = owner.get("/credits/balance").json()["credits_remaining"]
    _, job = under_way(owner, 30)
    assert owner.get("/credits/balance").json()["credits_remaining"] == before - 30
    done = owner.post(f"/auto-annotate/batch/{job['job_id']}/cancel").json()  # answers once it has stopped
    assert done["status"] == "cancelled" and done["progress"] < 100
    assert 1 <= done["processed_images"] < 30 and done["credits_charged"] == max(3, done["processed_images"])
    assert owner.get("/credits/balance").json()["credits_remaining"] == before - done["credits_charged"]
    assert owner.post(f"/auto-annotate/batch/{job['job_id']}/cancel").json() == done


def vision_worker(server):
    out = subprocess.run(["pgrep", "-P", str(server.process.pid), "-f", "pictograph-vision"], capture_output=True, text=True)
    return [int(pid) for pid in out.stdout.split()]


def labellers(server):
    """The vision workers that a batch has to itself, dead ones too."""
    started = (json.loads(line) for line in server.log.read_text().splitlines() if '"worker_started"' in line)
    return [int(line["pid"]) for line in started if line["worker"] == "labeller"]


def test_a_prompt_does_not_wait_for_a_batch(alone):
    """Whose workers all stand still."""
    server, client = alone
    project, job = under_way(client, 8)
    stopped = once(lambda: labellers(server), lambda pids: len(pids) == min(4, os.cpu_count()))
    for pid in stopped:
        os.kill(pid, signal.SIGSTOP)
    assert ask(client, project, "0.jpg", "motorcycle")["status"] == "success"
    assert client.get(f"/auto-annotate/batch/{job['job_id']}").json()["status"] == "running"
    for pid in stopped:
        os.kill(pid, signal.SIGCONT)
    assert client.wait(f"/auto-annotate/batch/{job['job_id']}")["processed_images"] == 8


def test_killed_workers_and_servers_lose_nothing(alone):
    victim, owner = alone
    project, job = under_way(owner, 12)
    workers = vision_worker(victim)
    assert workers
    for pid in workers:
        os.kill(pid, signal.SIGKILL)
    progress(owner, job, 3)
    victim.kill()
    victim.start()
    done = owner.wait(f"/auto-annotate/batch/{job['job_id']}")
    assert done["status"] == "completed" and done["processed_images"] == 12 and done["failures"] == [] and done["credits_charged"] == 12
    saved = [owner.get(f"/annotations/{i['id']}").json()["annotations"] for i in owner.get(f"/datasets/{project['id']}?include_images=true").json()["dataset"]["images"]]
    assert all(saved) and sum(map(len, saved)) == done["total_annotations_added"]


def test_a_batch_that_cannot_be_read_is_tried_again(alone):
    """Not completed with nothing done: its images are not there to be read for a while."""
    victim, owner = alone
    database = victim.folder / "pictograph.db"
    project = owner.project(classes=())
    owner.upload(project, "a.jpg", photo("chelsea"))
    job = start(owner, project, ["a.jpg"], [("cat", "bbox")])["job_id"]
    assert owner.wait(f"/auto-annotate/batch/{job}")["processed_images"] == 1
    victim.stop()
    with contextlib.closing(sqlite3.connect(database, timeout=60)) as db, db:  # as it was before it ran
        db.execute("UPDATE annotation_batches SET status = 'pending', processed_images = 0, completed_at = NULL")
        db.execute("UPDATE annotation_batch_images SET state = 'pending'")
        db.execute("INSERT INTO jobs (id, kind, organization_id, payload, created_at) VALUES (?, 'batch_annotation', '', ?, 0)", [job, json.dumps({"batch_id": job})])
        db.execute("ALTER TABLE annotation_batch_images RENAME TO hidden")
    victim.start()
    deadline = time.monotonic() + 60
    while victim.log.read_text().count(f'"job_returned","job":"{job}"') < 2:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    with contextlib.closing(sqlite3.connect(database, timeout=30)) as db, db:
        db.execute("ALTER TABLE hidden RENAME TO annotation_batch_images")
    done = owner.wait(f"/auto-annotate/batch/{job}")
    assert (done["status"], done["processed_images"], done["credits_charged"]) == ("completed", 1, 3)


# ---- without the model ----

def test_without_the_model(tmp_path, jpeg):
    bare = Server(tmp_path / "data").start(PICTOGRAPHD_BUILTIN_MODELS=str(tmp_path))
    try:
        owner = Client(bare.url, bare.key, contract())
        project = owner.project()
        owner.upload(project, "a.jpg", jpeg)
        before = owner.get("/credits/balance").json()["credits_remaining"]
        for reply in (ask(owner, project, "a.jpg", "cat", 503), start(owner, project, ["a.jpg"], [("cat", "bbox")], 503)):
            assert reply["error_code"] == "model_unavailable" and "tools/setup models" in reply["detail"]
        assert owner.get("/credits/balance").json()["credits_remaining"] == before
        box = {"dataset_name": project["name"], "image_filename": "a.jpg", "box": {"x": 1, "y": 1, "w": 30, "h": 30}, "name": "x"}
        assert owner.post("/auto-annotate/sam3/box", box).json()["engine"] == "graph_cut"
    finally:
        bare.stop()
    doctor = bare.command("doctor").splitlines()
    assert any("NanoDet" in line for line in doctor)
    assert any("any other word" in line and "SAM 3" in line and "docs/models.md" in line and "docs/training.md" in line for line in doctor)


def test_a_batch_ends_cancelled_with_its_project(alone):
    """The workers stand still until the project is gone: what is left of the batch fails in no time, before the flag is seen."""
    server, client = alone
    project = client.project(classes=())
    image = photo("chelsea")
    for i in range(4):
        client.upload(project, f"{i}.jpg", image)
    names = [f"{i}.jpg" for i in range(4)]
    assert client.wait("/auto-annotate/batch/" + start(client, project, names, [("cat", "bbox")])["job_id"])["processed_images"] == 4  # all workers run
    before = client.get("/credits/balance").json()["credits_remaining"]
    workers = labellers(server)
    for pid in workers:
        os.kill(pid, signal.SIGSTOP)
    job = start(client, project, names, [("cat", "bbox")])
    deadline = time.monotonic() + 60
    while client.get(f"/auto-annotate/batch/{job['job_id']}").json()["status"] != "running":
        assert time.monotonic() < deadline
        time.sleep(0.02)
    client.delete(f"/projects/{project['name']}")
    for pid in workers:
        os.kill(pid, signal.SIGCONT)
    done = client.wait(f"/auto-annotate/batch/{job['job_id']}")
    assert done["status"] == "cancelled" and done["error_message"] is None and done["processed_images"] == 0
    assert client.get("/credits/balance").json()["credits_remaining"] == before
