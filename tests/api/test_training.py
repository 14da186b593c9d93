"""A whole small run: export, training, model, batch annotation by that model; then everything that can be refused, cancelled or killed."""
import contextlib
import hashlib
import json
import os
import random
import re
import signal
import sqlite3
import subprocess
import time

import pytest
from conftest import contract
from PIL import Image, ImageDraw
from server import BIN, Client, Server, once
from test_tools import use
import io

SMALL = {"epochs": 8, "batch_size": 4, "image_size": 64, "model_size": "nano"}


def scene(seed, size=96):
    """A dark scene with one or two bright squares, and their boxes."""
    rng = random.Random(seed)
    image = Image.new("RGB", (size, size), (rng.randrange(40), rng.randrange(40), rng.randrange(40)))
    boxes = []
    for _ in range(1 + seed % 2):
        w = rng.randrange(20, 40)
        x, y = rng.randrange(size - w), rng.randrange(size - w)
        ImageDraw.Draw(image).rectangle([x, y, x + w - 1, y + w - 1], fill=(220, 200, 40))
        boxes.append({"x": x, "y": y, "w": w, "h": w})
    out = io.BytesIO()
    image.save(out, "JPEG", quality=90)
    return out.getvalue(), boxes


def fill(client, count=12):
    project = client.project(classes=("square",))
    for i in range(count):
        data, boxes = scene(i)
        image = client.upload(project, f"{i:02}.jpg", data)
        client.post(f"/annotations/{image['id']}", {"annotations": [{"id": str(k), "name": "square", "type": "bbox", "bounding_box": b} for k, b in enumerate(boxes)]})
    client.post("/exports/", {"dataset_name": project["name"], "name": "e"}, 202)
    assert client.wait(f"/exports/{project['name']}/e", "export")["status"] == "completed"
    return project


@pytest.fixture(scope="module")
def filled(owner):
    return fill(owner)


def start(client, project, config=SMALL, expect=202, **fields):
    body = {"dataset_name": project["name"], "export_name": "e", "pipeline_type": "yolox", "config": config, **fields}
    reply = client.post("/training/", body, expect).json()
    return reply["training_run"] if expect == 202 else reply


@pytest.fixture(scope="module")
def trained(owner, filled):
    before = owner.get("/credits/balance").json()["credits_remaining"]
    run = start(owner, filled)
    assert run["status"] in ("pending", "queued", "running") and run["progress"] == 0 and run["metrics"] == {} and run["config"] == SMALL and "config_ignored" not in run
    assert owner.get("/credits/balance").json()["credits_remaining"] <= before - run["credits_charged"] and run["credits_charged"] == 10 * run["estimated_minutes"]
    done = owner.wait(f"/training/{run['id']}", "training_run")
    assert done["status"] == "completed", done
    return done


def test_a_run_ends_in_a_model(owner, filled, trained):
    assert trained["progress"] == 100 and trained["current_epoch"] == 8 and trained["total_epochs"] == 8 and trained["training_time_seconds"] >= 1
    used = -(-trained["training_time_seconds"] // 60)
    assert trained["credits_refunded"] == trained["credits_charged"] - 10 * used or trained["credits_refunded"] == 0
    model = owner.get(f"/models/{trained['model_id']}").json()["model"]
    assert (model["status"], model["model_type"], model["training_run_id"]) == ("ready", "object_detection", trained["id"])
    assert model["class_mapping"] == {"0": "square"} and model["input_size"] == [64, 64]
    signed = owner.get(f"/models/{model['id']}/download").json()
    weights = owner.fetch(signed["download_url"]).content
    assert hashlib.md5(weights).hexdigest() == signed["md5"] and len(weights) == model["file_size"]
    import onnx
    onnx.checker.check_model(onnx.load_from_string(weights))
    assert trained["id"] in [r["id"] for r in owner.get(f"/training/?dataset_name={filled['name']}&status=completed").json()["training_runs"]]
    assert model["id"] in [m["id"] for m in owner.get("/models/?model_type=object_detection").json()["models"]]
    assert owner.get("/models/?model_type=classification").json()["models"] == []


def test_batch_annotation_by_the_model(owner, with_role, filled, trained):
    images = [owner.upload(filled, f"new{i}.jpg", scene(100 + i)[0]) for i in range(3)]
    owner.patch("/batch/images/update", {"dataset_name": filled["name"], "image_ids": [images[0]["id"]], "updates": {"status": "review"}})
    job = owner.post("/auto-annotate/batch", {"dataset_name": filled["name"], "image_filenames": [i["filename"] for i in images] * 2, "model_id": trained["model_id"],
                                              "classes": [{"name": "square", "output_type": "bbox"}], "confidence_threshold": 0.0}, 202).json()
    assert job["estimated_credits"] == 3 and job["total_images"] == 3
    done = owner.wait(f"/auto-annotate/batch/{job['job_id']}")
    assert done["status"] == "completed" and done["processed_images"] == 3 and done["failures"] == [] and done["progress"] == 100 and done["credits_charged"] == 3
    first = owner.get(f"/annotations/{images[0]['id']}").json()
    assert first["annotations"] and first["status"] == "in_progress"  # review stays review
    for a in first["annotations"]:
        assert a["name"] == "square" and a["type"] == "bbox" and 0 <= a["confidence"] <= 1 and a["bounding_box"]["w"] > 0
    with_role("viewer").post(f"/auto-annotate/batch/{job['job_id']}/cancel", expect=403)
    assert owner.post(f"/auto-annotate/batch/{job['job_id']}/cancel").json()["status"] == "completed"  # a final state never changes


def test_a_public_model_serves_every_organization(server, owner, stranger, trained):
    model, project = trained["model_id"], stranger.project()
    stranger.upload(project, "theirs.jpg", scene(7)[0])
    batch = {"dataset_name": project["name"], "image_filenames": ["theirs.jpg"], "model_id": model, "classes": [{"name": "square", "output_type": "bbox"}]}

    def hidden():
        for tail in ("", "/download", "/download?format=pth"):
            stranger.get(f"/models/{model}{tail}", 404)
        stranger.post("/auto-annotate/batch", batch, 404)
        assert model not in [m["id"] for m in stranger.get("/models/").json()["models"]]

    hidden()
    server.command("model", "publish", "--model", model)
    assert stranger.get(f"/models/{model}").json()["model"]["visibility"] == "public"
    assert model in [m["id"] for m in stranger.get("/models/").json()["models"]]
    stranger.fetch(stranger.get(f"/models/{model}/download").json()["download_url"])
    stranger.get(f"/models/{model}/download?format=pth", 422)  # it is there, so what is wrong is said
    done = stranger.wait(f"/auto-annotate/batch/{stranger.post('/auto-annotate/batch', batch, 202).json()['job_id']}")
    assert done["status"] == "completed" and done["processed_images"] == 1 and done["failures"] == []
    stranger.delete(f"/models/{model}", 404)
    server.command("model", "withdraw", "--model", model)
    hidden()
    owner.get(f"/models/{model}/download")
    assert "There is no model" in server.command("model", "publish", "--model", project["id"], check=False).stderr


def test_tools(owner, filled, trained):
    """Watching, stopping and fetching by an agent, over MCP."""
    assert use(owner, "get_training_status", {"run_id": trained["id"]})["model_id"] == trained["model_id"]
    got = use(owner, "download_model", {"model_id": trained["model_id"], "output_path": "~/m.onnx"})
    assert got["output_path"] == "~/m.onnx" and hashlib.md5(owner.fetch(got["download_url"]).content).hexdigest() == got["md5"]
    run = start(owner, filled, config={**SMALL, "epochs": 10000})
    assert use(owner, "cancel_training", {"run_id": run["id"]})["status"] == "cancelled"
    assert owner.get(f"/training/{run['id']}").json()["training_run"]["status"] == "cancelled"
    for name, arguments in (("get_training_status", {"run_id": filled["id"]}), ("cancel_training", {"run_id": "first"}), ("download_model", {"model_id": filled["id"], "output_path": "m"})):
        assert use(owner, name, arguments, failed=True)["error_code"] == "not_found"
    assert [d["loc"] for d in use(owner, "download_model", {"model_id": trained["model_id"]}, failed=True)["detail"]] == [["arguments", "output_path"]]


def test_what_a_batch_refuses(owner, with_role, filled, trained):
    ask = {"dataset_name": filled["name"], "image_filenames": ["00.jpg"], "model_id": trained["model_id"], "classes": [{"name": "square", "output_type": "bbox"}]}
    assert owner.post("/auto-annotate/batch", {**ask, "classes": [{"name": "dog"}]}, 422).json()["detail"][0]["loc"] == ["body", "classes", 0, "name"]
    owner.post("/auto-annotate/batch", {**ask, "image_filenames": ["nope.jpg"]}, 404)
    owner.post("/auto-annotate/batch", {**ask, "image_filenames": []}, 422)
    owner.post("/auto-annotate/batch", {**ask, "model_id": "5f0c2c6e-8f0b-4d29-9d4b-1f8a6d1f0a11"}, 404)
    owner.post("/auto-annotate/batch", {**ask, "dataset_name": "nope"}, 404)
    with_role("viewer").post("/auto-annotate/batch", ask, 403)
    owner.get("/auto-annotate/batch/5f0c2c6e-8f0b-4d29-9d4b-1f8a6d1f0a11", 404)


def test_archived_models_stay_readable(owner, filled, trained):
    model = owner.get(f"/models/{trained['model_id']}").json()["model"]
    run = start(owner, filled)
    other = owner.wait(f"/training/{run['id']}", "training_run")["model_id"]
    owner.delete(f"/models/{other}", 204)
    assert owner.get(f"/models/{other}").json()["model"]["status"] == "archived"
    owner.get(f"/models/{other}/download", 409)
    listed = [m["id"] for m in owner.get("/models/?limit=500").json()["models"]]
    assert other not in listed and model["id"] in listed
    assert other in [m["id"] for m in owner.get("/models/?status=archived").json()["models"]]


def test_refused_runs(owner, filled, jpeg):
    owner.post("/training/", {"dataset_name": filled["name"], "export_name": "nope", "pipeline_type": "yolox"}, 404)
    start(owner, filled, config={"epochs": 0}, expect=422)
    start(owner, filled, config={"epochs": "many"}, expect=422)
    for field, bad in (("model_size", "huge"), ("model_size", 7), ("model_size", "nano\x00"), ("precision", "float16"), ("learning_rate", 11), ("start_size", 8), ("validation_fraction", 1), ("mosaic", "yes"),
                       ("mixup", 2), ("horizontal_flip", -1), ("vertical_flip", []), ("seed", "x"), ("max_seconds", 7201), ("image_size", 31), ("batch_size", 0)):
        reply = start(owner, filled, config={**SMALL, field: bad}, expect=422)
        assert reply["detail"][0]["loc"] == ["body", "config", field], reply
    both = start(owner, filled, config={"model_size": "huge", "precision": "float16", "odd": 1, "mosaic": None}, expect=422)
    assert [d["loc"][-1] for d in both["detail"]] == ["model_size", "precision"]
    body = {"dataset_name": filled["name"], "export_name": "e", "pipeline_type": "yolox", "gpu_type": "toaster", "config": {"epochs": "many", "learning_rate": 11, "image_size": 31, "mosaic": 2, "precision": 8}}
    told = sorted(d["loc"][-1] for d in owner.post("/training/", body, 422).json()["detail"])
    assert told == ["epochs", "gpu_type", "image_size", "learning_rate", "mosaic", "precision"], told
    large = start(owner, filled, config={**SMALL, "note": "x" * 70000}, expect=422)
    assert [d["loc"] for d in large["detail"]] == [["body", "config"]]
    small = owner.project(classes=("cell",))
    for i in range(4):
        image = owner.upload(small, f"{i}.jpg", jpeg)
        owner.post(f"/annotations/{image['id']}", {"annotations": [{"id": "1", "name": "cell", "type": "bbox", "bounding_box": {"x": 1, "y": 1, "w": 9, "h": 9}}]})
    owner.post("/exports/", {"dataset_name": small["name"], "name": "e"}, 202)
    owner.wait(f"/exports/{small['name']}/e", "export")
    assert start(owner, small, expect=422)["error_code"] == "dataset_too_small"


def test_an_export_without_images_is_refused(owner, filled):
    owner.post("/exports/", {"dataset_name": filled["name"], "name": "labels", "include_images": False}, 202)
    owner.wait(f"/exports/{filled['name']}/labels", "export")
    reply = start(owner, filled, export_name="labels", expect=422)
    assert reply["detail"][0]["loc"] == ["body", "export_name"] and "include_images" in reply["message"]


@pytest.fixture(scope="module")
def weights(owner, server, filled, tmp_path_factory):
    """YOLOX nano as PyTorch keeps it, in the operator's folder."""
    import torch
    folder = tmp_path_factory.mktemp("weights")
    signed = owner.get(f"/exports/{filled['name']}/e/download").json()["download_url"]
    (folder / "e.zip").write_bytes(owner.fetch(signed).content)
    (folder / "RUN.json").write_text(json.dumps({"data": str(folder / "e.zip"), "output": str(folder / "out"), "config": {**SMALL, "epochs": 1}}))
    subprocess.run([BIN / "pictograph-train", folder / "RUN.json"], check=True, stdout=subprocess.DEVNULL, timeout=600)
    data = (folder / "out" / "checkpoint.safetensors").read_bytes()
    size = int.from_bytes(data[:8], "little")
    model = {}
    for name, entry in json.loads(data[8:8 + size]).items():
        if name.startswith("weights/"):
            begin, end = entry["data_offsets"]
            model[name[len("weights/"):]] = torch.frombuffer(bytearray(data[8 + size + begin:8 + size + end]), dtype=torch.float32).reshape(entry["shape"])
    place = server.folder / "models" / "weights"
    place.mkdir(parents=True)
    torch.save({"model": model}, place / "nano.pth")
    return place / "nano.pth"


def test_a_run_begins_from_the_operators_weights(owner, server, filled, weights):
    assert any("weights to train" in line and line.endswith("nano.pth") for line in server.command("doctor").splitlines())
    run = start(owner, filled, config={**SMALL, "epochs": 1, "weights": weights.name})
    assert run["config"]["weights"] == "nano.pth"
    done = owner.wait(f"/training/{run['id']}", "training_run")
    assert done["status"] == "completed" and done["metrics"]["learning_rate"] == 0.01, done  # the rate of runs that do not begin at random


def test_weights_are_a_name_in_the_operators_folder(owner, server, filled, weights):
    (weights.parent / "link.pth").symlink_to("/etc/shadow")
    (weights.parent / "folder").mkdir()
    (weights.parent / ".hidden").write_bytes(weights.read_bytes())
    for name in ("/etc/shadow", "/nonexistent", "../../pictograph.db", "..", ".", "", "other.pth", "link.pth", "folder", ".hidden", "./nano.pth", "folder/../nano.pth",
                 str(weights), "nano.pth\0", 7, ["nano.pth"]):
        reply = start(owner, filled, config={**SMALL, "weights": name}, expect=422)
        assert reply["detail"][0]["loc"] == ["body", "config", "weights"] and "config.weights" in reply["message"], name
    # Of two members one is checked, and no other reaches the trainer.
    body = {"dataset_name": filled["name"], "export_name": "e", "pipeline_type": "yolox", "config": {**SMALL, "epochs": 1, "weights": "nano.pth", "w": "/etc/shadow"}}
    twice = json.dumps(body).replace('"w":', '"weights":')
    run = owner.call("POST", "/training/", 202, data=twice, headers={"Content-Type": "application/json"}).json()["training_run"]
    assert owner.wait(f"/training/{run['id']}", "training_run")["status"] == "completed"
    (weights.parent / "link.pth").unlink()


def test_a_hopeless_run_fails_at_once_and_what_it_did_not_use_comes_back(owner, server, filled, weights):
    before = owner.get("/credits/balance").json()["credits_remaining"]
    run = start(owner, filled, config={**SMALL, "epochs": 10000, "epoch": 3, "model_size": "tiny", "weights": "nano.pth", "mosaic": None, "lr": 1})
    assert run["estimated_minutes"] > 1 and run["config_ignored"] == ["epoch", "lr"]
    failed = owner.wait(f"/training/{run['id']}", "training_run")
    assert failed["status"] == "failed" and "another model size" in failed["error_message"]
    assert failed["config_ignored"] == ["epoch", "lr"] and "models/weights/nano.pth" in failed["error_message"] and str(server.folder) not in failed["error_message"]
    assert len([line for line in server.log.read_text().splitlines() if run["id"] in line and "job_started" in line]) == 1  # no second try
    assert failed["model_id"] is None and failed["completed_at"] and failed["progress"] < 100
    assert failed["credits_charged"] - failed["credits_refunded"] == 10  # the minute that was started, and one try only
    assert owner.get("/credits/balance").json()["credits_remaining"] == before - 10
    assert owner.get("/credits/history?limit=1").json()["entries"][0]["operation"] == "training_refund_a10g"


def test_no_trainer_no_run(tmp_path):
    programs = tmp_path / "programs"
    programs.mkdir()
    for program in BIN.iterdir():
        if program.name != "pictograph-train":
            (programs / program.name).symlink_to(program)
    bare = Server(tmp_path / "data").start(PICTOGRAPHD_PROGRAMS=str(programs))
    try:
        owner = Client(bare.url, bare.key, contract())
        project = fill(owner, 6)
        before = owner.get("/credits/balance").json()["credits_remaining"]
        body = {"dataset_name": project["name"], "export_name": "e", "pipeline_type": "yolox", "config": SMALL}
        assert "trainer" in owner.post("/training/", body, 503).json()["message"]
        assert owner.get("/training/").json()["training_runs"] == [] and owner.get("/credits/balance").json()["credits_remaining"] == before
        (bare.folder / "config.toml").write_text(f'programs = "{programs}"\n')
        line = next(line for line in bare.command("doctor").splitlines() if "pictograph-train" in line)
        assert line.startswith("MISSING") and line.endswith("build it with 'make build'")
    finally:
        bare.stop()


def test_cancelling_gives_credits_back(owner, server, with_role, filled):
    before = owner.get("/credits/balance").json()["credits_remaining"]
    run = start(owner, filled, config={**SMALL, "epochs": 10000}, gpu_type="h100")
    owner.wait(f"/training/{run['id']}", "training_run", final=("running",))
    waiting = start(owner, filled)  # one runs at a time: it is charged, and cancelled before it starts
    waiting = owner.post(f"/training/{waiting['id']}/cancel").json()["training_run"]
    assert waiting["status"] == "cancelled" and waiting["started_at"] is None and waiting["credits_refunded"] == waiting["credits_charged"] > 0
    assert owner.get("/credits/history?limit=2").json()["entries"][0]["operation"] == "training_refund_a10g"
    assert owner.get("/credits/balance").json()["credits_remaining"] == before - run["credits_charged"]
    time.sleep(1)
    with_role("viewer").post(f"/training/{run['id']}/cancel", expect=403)
    cancelled = owner.post(f"/training/{run['id']}/cancel").json()["training_run"]
    assert cancelled["status"] == "cancelled"  # the answer waits for that
    assert cancelled["credits_refunded"] == cancelled["credits_charged"] - 120  # one started minute
    assert owner.get("/credits/balance").json()["credits_remaining"] == before - 120
    assert owner.get("/credits/history?limit=1").json()["entries"][0]["operation"] == "training_refund_h100"
    assert owner.post(f"/training/{run['id']}/cancel").json()["training_run"] == cancelled
    once((server.folder / "work" / run["id"]).exists, lambda there: not there)  # its data and checkpoints


def test_a_run_survives_its_export(owner):
    project = fill(owner, 6)
    run = start(owner, project)
    owner.delete(f"/exports/{project['name']}/e", 204)
    assert owner.wait(f"/training/{run['id']}", "training_run")["status"] == "completed"


def test_a_run_ends_cancelled_with_its_project(owner):
    project = fill(owner, 6)
    before = owner.get("/credits/balance").json()["credits_remaining"]
    run = start(owner, project, config={**SMALL, "epochs": 10000}, gpu_type="h100")
    owner.wait(f"/training/{run['id']}", "training_run", final=("running",))
    owner.delete(f"/projects/{project['name']}")
    done = owner.wait(f"/training/{run['id']}", "training_run")
    assert done["status"] == "cancelled" and done["model_id"] is None
    assert owner.get("/credits/balance").json()["credits_remaining"] == before - 120  # one started minute


def test_no_credits_no_run(stranger, server):
    project = fill(stranger, 6)
    balance = stranger.get("/credits/balance").json()["credits_remaining"]
    server.command("credits", "grant", "--org", "Other", "--amount", str(-balance))
    reply = start(stranger, project, expect=402)
    assert reply["error_code"] == "insufficient_credits" and reply["detail"]["remaining"] == 0 and reply["detail"]["required"] >= 10
    assert "required" not in reply and reply["detail"]["operation"] == "training_a10g_per_minute"
    server.command("credits", "grant", "--org", "Other", "--amount", str(balance))


def trainer_of(server):
    """Process id of the trainer that a server runs now."""
    children = subprocess.run(["pgrep", "-P", str(server.process.pid), "-f", "pictograph-train"], capture_output=True, text=True).stdout.split()
    return int(children[0]) if children else None


def test_a_killed_run_goes_on(tmp_path):
    victim = Server(tmp_path / "data").start()
    try:
        owner = Client(victim.url, victim.key, contract())
        project = fill(owner, 8)
        with contextlib.closing(sqlite3.connect(victim.folder / "pictograph.db", timeout=30)) as db, db:
            db.executescript("CREATE TABLE seen (status TEXT); CREATE TRIGGER see AFTER UPDATE OF status ON training_runs BEGIN INSERT INTO seen VALUES (NEW.status); END")
        run = start(owner, project, config={**SMALL, "epochs": 70})

        def reach(epoch):
            deadline = time.monotonic() + 120
            while (now := owner.get(f"/training/{run['id']}").json()["training_run"])["current_epoch"] < epoch:
                assert now["status"] in ("pending", "queued", "running") and time.monotonic() < deadline, now
                time.sleep(0.1)
            return now["current_epoch"]

        epoch = reach(3)
        os.kill(trainer_of(victim), signal.SIGKILL)  # under a server that lives
        reach(epoch + 5)
        victim.kill()
        checkpoint, hour = victim.folder / "work" / run["id"] / "checkpoint.safetensors", 3600
        os.utime(checkpoint, (time.time(), checkpoint.stat().st_mtime - hour))
        with contextlib.closing(sqlite3.connect(victim.folder / "pictograph.db", timeout=60)) as db, db:  # as if it had lain still for an hour
            db.execute("UPDATE training_runs SET started_at = started_at - ?", [hour * 1000])
            assert [s for s, in db.execute("SELECT status FROM seen ORDER BY rowid LIMIT 2")] == ["queued", "running"]
        victim.start()
        done = owner.wait(f"/training/{run['id']}", "training_run")
        assert done["status"] == "completed" and done["model_id"], done
        assert 1 < done["training_time_seconds"] < hour / 2, "the pause is billed"
        victim.stop()
        with contextlib.closing(sqlite3.connect(victim.folder / "pictograph.db", timeout=60)) as db, db:  # killed before the job's row was gone
            db.execute("INSERT INTO jobs (id, kind, organization_id, payload, created_at) VALUES (?, 'training', '', ?, 0)", [run["id"], json.dumps({"run_id": run["id"]})])
        (victim.folder / "work" / run["id"]).mkdir(exist_ok=True)
        victim.start()
        deadline = time.monotonic() + 60
        while "pictograph_jobs_pending 0\npictograph_jobs_running 0" not in re.sub("# .*\n", "", owner.get("//metrics").text):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert [m["id"] for m in owner.get("/models/").json()["models"]] == [done["model_id"]], "it was trained again"
        assert owner.get(f"/training/{run['id']}").json()["training_run"] == done
        assert not (victim.folder / "work" / run["id"]).exists()
    finally:
        victim.stop()
