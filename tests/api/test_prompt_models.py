"""A manifest in the data folder changes who answers; pictographd models and doctor say so. The numbers of real models are tests/ml/test_operator_models.py's."""
import concurrent.futures
import json
import os
import pathlib
import shutil
import signal
import time

import numpy as np
import pytest
from onnx import helper

from conftest import contract, picture
from graphs import save
from server import Client, Server


def square_model(folder, **manifest):
    """A SAM that sees the same rectangle in every picture."""
    folder.mkdir(parents=True)
    save(folder / "encoder.onnx", [helper.make_node("GlobalAveragePool", ["image"], ["image_embeddings"])],
         [("image", [1, 3, 64, 64])], [("image_embeddings", [1, 3, 1, 1])], {})
    masks = np.full((1, 1, 16, 16), -8, np.float32)
    masks[..., 4:8, 4:12] = 8
    save(folder / "decoder.onnx", [helper.make_node("Identity", ["m"], ["low_res_masks"]), helper.make_node("Identity", ["s"], ["iou_predictions"])],
         [("image_embeddings", [1, 3, 1, 1]), ("point_coords", [1, "n", 2]), ("point_labels", [1, "n"])],
         [("low_res_masks", [1, 1, 16, 16]), ("iou_predictions", [1, 1])], {"m": masks, "s": np.array([[0.875]], np.float32)})
    (folder / "manifest.json").write_text(json.dumps({"role": "sam", "files": {"encoder": "encoder.onnx", "decoder": "decoder.onnx"}, "input_size": 64, **manifest}))


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    running = Server(tmp_path_factory.mktemp("operator") / "data").start()
    yield running
    assert running.stop() == 0


@pytest.fixture(scope="module")
def client(alone):
    return Client(alone.url, alone.key, contract())


@pytest.fixture(scope="module")
def project(client):
    made = client.project()
    client.upload(made, "a.jpg", picture(320, 240))
    return made


def point(client, project, expect=200):
    return client.post("/auto-annotate/sam3/point", {"dataset_name": project["name"], "image_filename": "a.jpg", "x": 100, "y": 100}, expect).json()


def test_a_manifest_changes_who_answers(alone, client, project):
    folder = alone.folder / "models" / "squares"
    assert point(client, project)["engine"] == "graph_cut"
    square_model(folder)
    reply = point(client, project)
    assert reply["engine"] == "sam:squares" and reply["status"] == "success" and reply["score"] == 0.875
    box = reply["annotation"]["bounding_box"]
    for got, want in zip((box["x"], box["y"], box["w"], box["h"]), (80, 80, 160, 80)):
        assert abs(got - want) < 8
    box = client.post("/auto-annotate/sam3/box", {"dataset_name": project["name"], "image_filename": "a.jpg", "name": "a",
                                                  "box": {"x": 5, "y": 5, "w": 200, "h": 200}}).json()
    assert box["engine"] == "sam:squares"
    assert "sam:squares" in alone.command("models") and "in use" in alone.command("models")
    assert [line for line in alone.command("doctor").splitlines() if line.startswith("prompts") and "point" in line and "sam:squares" in line]
    shutil.rmtree(folder)
    assert point(client, project)["engine"] == "graph_cut"


def test_a_model_that_does_not_work_fails_loudly_and_costs_nothing(alone, client, project):
    folder = alone.folder / "models" / "broken"
    square_model(folder, input_size=1024)
    balance = client.get("/credits/balance").json()["recent_history"][0]["balance_after"]
    error = point(client, project, 503)
    assert error["error_code"] == "model_unavailable" and "broken" in json.dumps(error) and "encoder.onnx" in json.dumps(error)
    assert client.get("/credits/balance").json()["recent_history"][0]["balance_after"] == balance
    table = alone.command("models")
    assert "broken: encoder.onnx" in table and "input_size" in table
    doctor = alone.command("doctor")
    assert "model broken" in doctor and "manifest.json" in doctor and str(alone.folder) in doctor
    (folder / "manifest.json").write_text((folder / "manifest.json").read_text().replace("1024", "64"))
    assert point(client, project)["engine"] == "sam:broken"
    shutil.rmtree(folder)


def test_a_session_begins_with_a_prompt_that_is_answered(alone, client):
    project = client.project()
    client.upload(project, "a.jpg", picture(320, 240))
    square_model(alone.folder / "models" / "broken", input_size=1024)
    point(client, project, 503)
    shutil.rmtree(alone.folder / "models" / "broken")
    assert [point(client, project)["credits_charged"] for _ in range(2)] == [3, 1]


def vision_workers(server):
    return [int(pid) for thread in pathlib.Path(f"/proc/{server.process.pid}/task").glob("*/children") for pid in thread.read_text().split()
            if "pictograph-vision" in pathlib.Path(f"/proc/{pid}/cmdline").read_text()]


def test_who_asks_again_while_the_first_runs(alone, client, project):
    """The worker stands still: twelve wait for the first answer, up to 25 s each; one more is told to come again at once."""
    point(client, project)  # the worker runs
    key = {"Idempotency-Key": "again"}

    def ask():
        own = Client(alone.url, alone.key, contract())
        return own.call("POST", "/auto-annotate/sam3/point", json={"dataset_name": project["name"], "image_filename": "a.jpg", "x": 100, "y": 100}, headers=key)

    for pid in vision_workers(alone):
        os.kill(pid, signal.SIGSTOP)
    with concurrent.futures.ThreadPoolExecutor(14) as pool:
        asked = [pool.submit(ask) for _ in range(14)]
        refused = next(concurrent.futures.as_completed(asked, 20)).result()
        for pid in vision_workers(alone):
            os.kill(pid, signal.SIGCONT)
        replies = [a.result(60) for a in asked]
    assert refused.status_code == 503 and refused.json()["error_code"] == "idempotency_in_progress" and int(refused.headers["Retry-After"]) > 0
    assert sorted(r.status_code for r in replies) == [200] * 13 + [503]
    assert sum(r.headers.get("Idempotency-Replayed") == "true" for r in replies) == 12


def test_whose_key_is_revoked_meanwhile_gets_the_credits_back(alone, client, project):
    """The worker is stopped while the key goes."""
    square_model(alone.folder / "models" / "broken", input_size=1024)
    point(client, project, 503)  # the worker runs
    organization = client.get("/organizations/me").json()["organization"]["id"]
    made = client.post("//api/v1/api-keys/", {"organization_id": organization, "name": "short", "role": "member"}, 201).json()
    balance = client.get("/credits/balance").json()["credits_remaining"]
    workers = vision_workers(alone)
    for pid in workers:
        os.kill(pid, signal.SIGSTOP)
    try:
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            answer = pool.submit(point, Client(alone.url, made["full_key"], contract()), project, None)
            deadline = time.monotonic() + 20
            while client.get("/credits/balance").json()["credits_remaining"] == balance and time.monotonic() < deadline:
                time.sleep(0.02)
            assert client.get("/credits/balance").json()["credits_remaining"] < balance
            client.delete(f"//api/v1/api-keys/{made['id']}", 204)
            for pid in workers:
                os.kill(pid, signal.SIGCONT)
            answer.result(60)
    finally:
        shutil.rmtree(alone.folder / "models" / "broken")
    assert client.get("/credits/balance").json()["credits_remaining"] == balance
