"""Imports from V7 and Roboflow against stand-ins (sources.py)."""
import concurrent.futures
import os
import resource
import signal
import time

import pytest
from conftest import contract
from server import Client, Server
from sources import ROBOFLOW_KEY, V7_KEY, Sources, coco_archive
from test_tools import use

FINAL = ("completed", "error", "cancelled")


@pytest.fixture(scope="module")
def sources():
    made = Sources()
    yield made
    made.close()


@pytest.fixture(autouse=True)
def fresh(sources):
    """No test leaves its knobs to the next one."""
    sources.page, sources.limited, sources.limited_files, sources.broken, sources.slow, sources.silent, sources.export_waits, sources.echo_key = 3, 0, 0, 0, 0.0, 0.0, 1, False
    sources.seen.clear()


@pytest.fixture(scope="module")
def place(tmp_path_factory, sources):
    running = Server(tmp_path_factory.mktemp("connectors") / "data").start(**sources.settings)
    yield running
    assert running.stop() == 0


@pytest.fixture(scope="module")
def owner(place):
    return Client(place.url, place.key, contract())


@pytest.fixture(scope="module")
def role(owner):
    organization = owner.get("/organizations/me").json()["organization"]["id"]

    def client(name):
        body = {"organization_id": organization, "name": f"test {name}", "role": name}
        return Client(owner.url, owner.post("//api/v1/api-keys/", body, 201).json()["full_key"], contract())

    return client


def v7_row(sources, number):
    d = sources.v7_sets[number]
    return {"id": str(number), "name": d["name"], "slug": d["slug"], "image_count": len(d["items"])}


def start(client, provider, key, rows, expect=202):
    return client.post("/connectors/import/start", {"provider": provider, "api_key": key, "datasets": rows}, expect).json()


def finish(client, started, timeout=300):
    return client.wait(f"/connectors/import/status/{started['import_id']}", final=FINAL, timeout=timeout)


def images_of(client, name):
    listed = client.get(f"/datasets/by-name/{name}?include_images=true&images_limit=1000").json()["dataset"]["images"]
    return {(i["virtual_folder_path"], i["filename"]): i for i in listed}


def annotations_of(client, image):
    return client.get(f"/annotations/{image['id']}").json()["annotations"]


def nothing_holds(place, *secrets):
    """Neither the data folder nor the log, under any spelling."""
    for path in [place.log, *(p for p in place.folder.rglob("*") if p.is_file())]:
        data = path.read_bytes()
        for secret in secrets:
            assert secret.encode() not in data, f"{path} holds a key of a source"


# --- validate -------------------------------------------------------------------------------------------------------------


def test_validate_v7(owner, sources):
    sources.v7_set(100, "Looked at", 4)
    reply = owner.post("/connectors/validate", {"provider": "v7", "api_key": V7_KEY}).json()
    assert reply["valid"] and reply["workspace"] == "the-team" and reply["error"] is None
    row = next(d for d in reply["datasets"] if d["id"] == "100")
    assert row == {"id": "100", "name": "Looked at", "slug": "looked-at", "image_count": 4, "version": None}


def test_validate_roboflow(owner, sources):
    sources.roboflow_project("looked", "Looked At", 2)
    reply = owner.post("/connectors/validate", {"provider": "roboflow", "api_key": ROBOFLOW_KEY}).json()
    assert reply["valid"] and reply["workspace"] == "the-workspace"
    assert {"id": "the-workspace/looked", "name": "Looked At", "slug": "looked", "image_count": 2, "version": None} in reply["datasets"]


def test_tools(owner, sources):
    """The same by an agent, over MCP."""
    sources.v7_set(110, "By an agent", 2)
    told = use(owner, "validate_connector", {"provider": "v7", "api_key": V7_KEY})
    row = next(d for d in told["datasets"] if d["id"] == "110")
    assert told["valid"] and row == {"id": "110", "name": "By an agent", "slug": "by-an-agent", "image_count": 2}
    done = use(owner, "import_from_connector", {"provider": "v7", "api_key": V7_KEY, "datasets": [row]})
    assert (done["status"], done["imported_images"]) == ("completed", 2) and len(images_of(owner, "By an agent")) == 2
    assert [d["loc"] for d in use(owner, "validate_connector", {"provider": "x", "api_key": V7_KEY}, failed=True)["detail"]] == [["arguments", "provider"]]
    assert use(owner, "import_from_connector", {"provider": "v7", "api_key": "wrong", "datasets": [row]}, failed=True)["error_code"] == "provider_auth_failed"


@pytest.mark.parametrize("provider", ["v7", "roboflow"])
def test_rejected_key(owner, place, sources, provider):
    sources.echo_key = True
    for wrong in ("wrong-secret-of-the-source", "with\nline", "with blank"):
        reply = owner.post("/connectors/validate", {"provider": provider, "api_key": wrong}).json()
        assert not reply["valid"] and reply["workspace"] == "" and reply["datasets"] == [] and reply["error"]
        assert wrong not in reply["error"]
        sources.v7_set(101, "Refused", 1)
        body = start(owner, provider, wrong, [{"id": "101", "name": "Refused", "slug": "refused"}], 401)
        assert body["error_code"] == "provider_auth_failed" and wrong not in str(body)
    nothing_holds(place, "wrong-secret-of-the-source")


def test_a_crash_leaves_no_key_on_the_disk(sources, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    server = Server(tmp_path / "data")
    usual = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (usual[1], usual[1]))
    try:
        server.start(**sources.settings)
    finally:
        resource.setrlimit(resource.RLIMIT_CORE, usual)
    os.kill(server.process.pid, signal.SIGQUIT)  # dumps core, and no sanitizer takes it
    _, status = os.waitpid(server.process.pid, 0)
    assert os.WTERMSIG(status) == signal.SIGQUIT and not os.WCOREDUMP(status)


def test_source_misbehaves(owner, place, sources, tmp_path):
    sources.broken = 1000
    began = time.monotonic()
    assert owner.post("/connectors/validate", {"provider": "v7", "api_key": V7_KEY}, 502).json()["error_code"] == "upstream_error"
    assert time.monotonic() - began < 25
    sources.broken = 0
    sources.limited = 1  # one pause of a second, then it works
    assert owner.post("/connectors/validate", {"provider": "roboflow", "api_key": ROBOFLOW_KEY}).json()["valid"]


def test_a_host_without_an_address_is_named_at_once(tmp_path):
    host = "x" * 64 + ".example"  # no name can have such a part, so that no resolver is asked
    server = Server(tmp_path / "data").start(PICTOGRAPHD_CONNECTORS_V7_URL=f"http://{host}/api")
    try:
        began = time.monotonic()
        reply = Client(server.url, server.key, contract()).post("/connectors/validate", {"provider": "v7", "api_key": V7_KEY}, 502).json()
        assert host in reply["message"] and time.monotonic() - began < 20
    finally:
        server.stop()


def test_source_is_down_when_an_import_starts(owner, sources):
    sources.broken = 1000
    try:
        assert start(owner, "v7", V7_KEY, [{"id": "101", "name": "Down", "slug": "down"}], 502)["error_code"] == "upstream_error"
    finally:
        sources.broken = 0


def test_source_does_not_answer(owner, sources):
    """Both calls give up before their clients do, at 30 s."""
    def ask(path, **more):
        began = time.monotonic()
        body = Client(owner.url, owner.key, owner.contract).post(path, {"provider": "v7", "api_key": V7_KEY, **more}, 504).json()
        return body["error_code"] == "upstream_timeout" and time.monotonic() - began < 28

    sources.silent = 25
    try:
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            both = [pool.submit(ask, "/connectors/validate"), pool.submit(ask, "/connectors/import/start", datasets=[{"id": "1", "name": "n", "slug": "s"}])]
            assert all(one.result() for one in both)
    finally:
        sources.silent = 0


# --- limits ---------------------------------------------------------------------------------------------------------------


def test_limits(owner, place):
    ask = lambda images, size: owner.post("/connectors/check-limits", {"total_images": images, "estimated_size_bytes": size}).json()  # noqa: E731
    fits = ask(10, 1000)
    assert fits["allowed"] and fits["exceeded"] is None and fits["images_after_import"] == fits["current_images"] + 10
    place.command("org", "set-tier", "--org", "Acme", "--tier", "free")
    try:
        assert ask(10001, 0)["exceeded"] == "images" and ask(0, 10737418241)["exceeded"] == "storage"
        both = ask(2**62, 2**62)
        assert both["exceeded"] == "both" and not both["allowed"] and both["image_limit"] == 10000
    finally:
        place.command("org", "set-tier", "--org", "Acme", "--tier", "enterprise")
    owner.post("/connectors/check-limits", {"total_images": -1, "estimated_size_bytes": "x"}, 422)


# --- V7 -------------------------------------------------------------------------------------------------------------------

RING = [{"x": 1, "y": 1}, {"x": 40, "y": 1}, {"x": 40, "y": 40}, {"x": 1, "y": 40}]
HOLE = [{"x": 10, "y": 10}, {"x": 20, "y": 10}, {"x": 20, "y": 20}]
V7_ALL = [
    {"id": "a-box", "annotation_class_id": 1, "data": {"bounding_box": {"x": 2, "y": 3, "w": 20.5, "h": 10}, "inference": {"confidence": 0.75}}},
    {"id": "a-polygon", "annotation_class_id": 2, "data": {"polygon": {"paths": [RING, HOLE]}, "bounding_box": {"x": 1, "y": 1, "w": 39, "h": 39}}},
    {"id": "an-old-polygon", "name": "shape", "polygon": {"path": RING}},
    {"id": "a-line", "name": "kerb", "line": {"path": [{"x": 0, "y": 5}, {"x": 60, "y": 6}]}},
    {"id": "a-point", "name": "beak", "keypoint": {"x": 7.5, "y": 8}},
    {"id": "a-skeleton", "name": "hand", "skeleton": {"nodes": [{"name": "thumb", "x": 3, "y": 4, "occluded": True}, {"name": "palm", "x": 5, "y": 6, "occluded": False}]}},
    {"id": "a-cuboid", "name": "crate", "cuboid": {"front": {"x": 10, "y": 10, "w": 10, "h": 10}, "back": {"x": 15, "y": 5, "w": 10, "h": 10}}},
    {"id": "a-tag", "name": "blurred", "tag": {}},
    {"id": "an-ellipse", "name": "disc", "ellipse": {"angle": 0.5, "center": {"x": 5, "y": 5}, "radius": {"x": 3, "y": 2}}},
    {"id": "a-mask", "name": "area", "mask": {}},
    {"id": "a-raster", "name": "", "raster_layer": {"dense_rle": [0, 10], "mask_annotation_ids_mapping": {}, "total_pixels": 10}},
    {"id": "a-table", "name": "t", "table": {"bounding_box": {"x": 1, "y": 1, "w": 1, "h": 1}, "cells": []}},
    {"id": "a-string", "name": "t", "string": {"sources": []}},
    {"id": "a-graph", "name": "t", "graph": {"nodes": [], "edges": []}},
    {"id": "a-video", "name": "t", "frames": {"0": {}}},
    {"id": "a-broken-box", "name": "t", "bounding_box": {"x": "no", "y": 1, "w": 1, "h": 1}},
    {"id": "of-tomorrow", "name": "t", "hologram": {}},
]


def test_v7_every_kind(owner, place, sources):
    sources.v7_classes = [{"id": 1, "name": "cell", "annotation_types": ["bounding_box"], "metadata": {"_color": "rgba(255,46,0,1.0)"}, "datasets": [{"id": 110}]},
                          {"id": 2, "name": "shape", "annotation_types": ["polygon", "attributes"], "metadata": {"_color": "nonsense\u0000"}, "datasets": [{"id": 110}]},
                          {"id": 3, "name": "blurred", "annotation_types": ["tag"], "metadata": {}, "datasets": [{"id": 110}]},
                          {"id": 4, "name": "of another dataset", "annotation_types": ["polygon"], "metadata": {}, "datasets": [{"id": 1}]}]
    sources.v7_set(110, "Every kind", 1, V7_ALL, folder="/plates/day one")
    started = start(owner, "v7", V7_KEY, [v7_row(sources, 110)])
    assert started["status"] == "started" and started["datasets"][0]["status"] == "pending" and started["datasets"][0]["project_id"] == ""
    job = finish(owner, started)
    assert job["status"] == "completed" and job["progress"] == 100 and job["error_message"] is None and job["current_dataset"] == "" and job["provider"] == "v7"
    assert job["datasets"] == [{"name": "Every kind", "dataset_name": "Every kind", "project_id": job["datasets"][0]["project_id"], "status": "completed",
                                "imported": 1, "images_imported": 1, "failed": 0, "total_images": 1}]
    image = images_of(owner, "Every kind")["/plates/day one", "image 0.jpg"]
    assert (image["status"], image["annotation_count"]) == ("complete", 8)
    got = {a["id"] if a["id"].startswith("a") and len(a["id"]) < 30 else a["attributes"][0]["node"]: a for a in annotations_of(owner, image)}
    assert got["a-box"]["bounding_box"] == {"x": 2, "y": 3, "w": 20.5, "h": 10} and got["a-box"]["confidence"] == 0.75 and got["a-box"]["name"] == "cell"
    assert got["a-polygon"]["polygon"] == {"paths": [RING, HOLE]} and got["a-polygon"]["name"] == "shape"
    assert got["an-old-polygon"]["polygon"] == {"paths": [RING]}
    assert got["a-line"]["type"] == "polyline" and len(got["a-line"]["polyline"]["path"]) == 2
    assert got["a-point"]["keypoint"] == {"x": 7.5, "y": 8}
    assert got["thumb"]["keypoint"] == {"x": 3, "y": 4} and got["thumb"]["attributes"] == [{"skeleton": "a-skeleton", "node": "thumb", "occluded": "true"}]
    assert got["palm"]["name"] == "hand"
    assert got["a-cuboid"]["bounding_box"] == {"x": 10, "y": 5, "w": 15, "h": 15}
    assert {row["kind"]: row["count"] for row in job["left_out"]} == {k: 1 for k in ("tag", "ellipse", "mask", "raster_layer", "table", "string", "graph", "video", "broken", "other")}
    classes = {c["name"]: c for c in owner.get("/projects/Every kind").json()["project"]["classes"]}
    assert set(classes) == {"cell", "shape", "kerb", "beak", "hand", "crate"}
    assert classes["cell"]["color"] == "rgba(255,46,0,1.0)" and classes["kerb"]["type"] == "polyline" and classes["shape"]["color"].startswith("#")
    nothing_holds(place, V7_KEY)


def test_paging_rate_limit_and_broken_images(owner, place, sources):
    items = sources.v7_set(120, "Paged", 8)
    sources.files[f"v7-{items[2]['id']}"] = b"\xff\xd8 this is no JPEG"
    del sources.files[f"v7-{items[5]['id']}"]
    items[6]["slots"][0]["type"] = "video"
    items[7]["archived"] = True
    sources.limited_files = 1
    sources.limited = 0
    job = finish(owner, start(owner, "v7", V7_KEY, [v7_row(sources, 120)]))
    assert job["status"] == "completed" and (job["imported_images"], job["failed_images"], job["total_images"]) == (4, 3, 7)
    failed = {f["filename"]: f["reason"] for f in job["failures"]}
    assert set(failed) == {"image 2.jpg", "image 5.jpg", "image 6.jpg"} and "video" in failed["image 6.jpg"]
    assert all(f["dataset_name"] == "Paged" for f in job["failures"])
    assert len(sources.took("/items?")) == 3 and len(images_of(owner, "Paged")) == 4
    sources.v7_set(121, "Limited", 2)
    sources.limited = 0
    row = v7_row(sources, 121)
    started = start(owner, "v7", V7_KEY, [row])
    with sources.lock:
        sources.limited = 3
    assert finish(owner, started)["imported_images"] == 2


def test_names(owner, sources):
    """Two projects of one name, two images of one name, names that are none here, several files in one item."""
    items = sources.v7_set(130, "Twice/named?", 3)
    items[1]["name"] = items[0]["name"]
    items[2].update(name="pair", path="/../x//./y", slots=[{"slot_name": s, "type": "image", "file_name": f"{s}.jpg", "upload_id": items[i]["id"]} for i, s in enumerate("lr")])
    sources.v7_annotations[items[2]["id"]] = [{"id": "of l", "name": "c", "bounding_box": {"x": 1, "y": 1, "w": 2, "h": 2}, "slot_names": ["l"]},
                                              {"id": "of r", "name": "c", "bounding_box": {"x": 1, "y": 1, "w": 0, "h": 2}, "context_keys": {"slot_names": ["r"]}}]
    for name in ("Twice-named-", "Twice-named--2", "Twice-named--3"):
        job = finish(owner, start(owner, "v7", V7_KEY, [v7_row(sources, 130)]))
        assert job["status"] == "completed" and job["datasets"][0]["name"] == name and job["imported_images"] == 4, job
    images = images_of(owner, "Twice-named-")
    assert set(images) == {("/", "image 0.jpg"), ("/", f"image 0-{items[1]['id']}.jpg"), ("/x/y/pair", "l.jpg"), ("/x/y/pair", "r.jpg")} or \
        set(images) == {("/", "image 0.jpg"), ("/", f"image 0-{items[0]['id']}.jpg"), ("/x/y/pair", "l.jpg"), ("/x/y/pair", "r.jpg")}
    assert [a["id"] for a in annotations_of(owner, images["/x/y/pair", "l.jpg"])] == ["of l"]
    right = annotations_of(owner, images["/x/y/pair", "r.jpg"])
    assert [a["id"] for a in right] == ["of r"] and right[0]["bounding_box"]["w"] == 1


def test_two_datasets_and_refusals(owner, place, sources, role):
    sources.v7_set(140, "First of two", 2)
    sources.v7_set(141, "Second of two", 0)
    rows = [v7_row(sources, 140), v7_row(sources, 141)]
    job = finish(owner, start(role("member"), "v7", V7_KEY, rows))
    assert job["status"] == "completed" and [d["imported"] for d in job["datasets"]] == [2, 0] and job["total_images"] == 2
    viewer = role("viewer")
    assert viewer.get(f"/connectors/import/status/{job['import_id']}").json()["status"] == "completed"
    start(viewer, "v7", V7_KEY, rows, 403)
    viewer.post(f"/connectors/import/cancel/{job['import_id']}", None, 403)
    viewer.post("/connectors/validate", {"provider": "v7", "api_key": V7_KEY}, 403)
    viewer.post("/connectors/check-limits", {"total_images": 1, "estimated_size_bytes": 1}, 403)
    nobody = Client(owner.url, None, contract())
    for method, path in (("POST", "/connectors/validate"), ("POST", "/connectors/check-limits"), ("POST", "/connectors/import/start"),
                         ("GET", f"/connectors/import/status/{job['import_id']}"), ("POST", f"/connectors/import/cancel/{job['import_id']}")):
        nobody.call(method, path, 401, json={} if method == "POST" else None)
    assert start(owner, "v7", V7_KEY, [{"id": "999", "name": "gone", "slug": "gone"}], 404)["error_code"] == "not_found"
    assert "twice" in str(start(owner, "v7", V7_KEY, [rows[0], rows[0]], 422)["detail"])
    wrong = owner.post("/connectors/import/start", {"provider": "other", "datasets": [], "extra": 1}, 422).json()["detail"]
    assert {tuple(e["loc"]) for e in wrong} == {("body", "provider"), ("body", "api_key"), ("body", "datasets"), ("body", "extra")}
    owner.post("/connectors/validate", {"provider": "v7", "api_key": ""}, 422)
    cancelled = owner.post(f"/connectors/import/cancel/{job['import_id']}").json()
    assert cancelled == owner.get(f"/connectors/import/status/{job['import_id']}").json() and cancelled["status"] == "completed"
    other = Client(owner.url, place.command("org", "create", "--org", "Other", "--email", "other@example.org").strip(), contract())
    other.get(f"/connectors/import/status/{job['import_id']}", 404)
    other.post(f"/connectors/import/cancel/{job['import_id']}", None, 404)
    owner.get("/connectors/import/status/not-a-uuid", 404)


def test_plan_is_full(owner, place, sources):
    sources.v7_set(150, "Too many", 1)
    sources.v7_sets[150]["items"] = sources.v7_sets[150]["items"] * 10001
    place.command("org", "set-tier", "--org", "Acme", "--tier", "free")
    try:
        body = start(owner, "v7", V7_KEY, [v7_row(sources, 150)], 402)
        assert body["error_code"] == "tier_limit_exceeded" and body["detail"]["limit"] == "images"
    finally:
        place.command("org", "set-tier", "--org", "Acme", "--tier", "enterprise")
        sources.v7_sets.pop(150)


def test_cancel_does_not_wait_for_the_source(owner, place, sources):
    sources.v7_set(160, "Slow", 12)
    started = start(owner, "v7", V7_KEY, [v7_row(sources, 160)])
    sources.slow = 0.3
    while owner.get(f"/connectors/import/status/{started['import_id']}").json()["imported_images"] < 2:
        time.sleep(0.05)
    sources.slow = 20
    time.sleep(0.5)
    running = owner.get(f"/connectors/import/status/{started['import_id']}").json()
    assert running["status"] == "processing" and running["current_dataset"] == "Slow" and 0 < running["progress"] < 100
    began = time.monotonic()
    job = owner.post(f"/connectors/import/cancel/{started['import_id']}").json()
    assert job["status"] == "cancelled" and time.monotonic() - began < 15, "it waited for the source"
    assert job["completed_at"] and len(images_of(owner, "Slow")) == job["imported_images"] >= 2
    assert owner.get(f"/connectors/import/status/{started['import_id']}").json() == job
    nothing_holds(place, V7_KEY)


def test_restart_in_the_middle(owner, place, sources):
    sources.v7_set(170, "Interrupted", 9, [{"id": "b", "name": "cell", "bounding_box": {"x": 1, "y": 1, "w": 5, "h": 5}}])
    sources.slow = 0.4
    started = start(owner, "v7", V7_KEY, [v7_row(sources, 170)])
    while owner.get(f"/connectors/import/status/{started['import_id']}").json()["imported_images"] < 3:
        time.sleep(0.05)
    place.kill()
    nothing_holds(place, V7_KEY)
    place.start(**sources.settings)
    job = finish(owner, started)
    before = job["imported_images"]
    assert job["status"] == "error" and "with the key" in job["error_message"] and 3 <= before < 9
    sources.slow = 0
    sources.seen.clear()
    again = start(owner, "v7", V7_KEY, [v7_row(sources, 170)])
    assert again["import_id"] != started["import_id"] and again["datasets"][0]["project_id"] == job["datasets"][0]["project_id"]
    done = finish(owner, again)
    assert done["status"] == "completed" and done["imported_images"] == done["total_images"] == 9 and done["datasets"][0]["name"] == "Interrupted"
    assert len(sources.took("/uploads/")) == 9 - before
    images = images_of(owner, "Interrupted")
    assert len(images) == 9 and all(i["annotation_count"] == 1 for i in images.values())
    # what is complete is not gone on with
    assert finish(owner, start(owner, "v7", V7_KEY, [v7_row(sources, 170)]))["datasets"][0]["name"] == "Interrupted-2"


def test_project_deleted_while_it_fills(owner, sources):
    sources.v7_set(180, "Deleted meanwhile", 9)
    sources.slow = 0.4
    started = start(owner, "v7", V7_KEY, [v7_row(sources, 180)])
    while owner.get(f"/connectors/import/status/{started['import_id']}").json()["imported_images"] < 1:
        time.sleep(0.05)
    owner.delete("/projects/Deleted meanwhile", json={})
    job = finish(owner, started)
    assert job["status"] == "error" and "deleted" in job["error_message"] and job["datasets"][0]["project_id"] == ""


def test_key_is_revoked_in_the_middle(owner, sources):
    sources.v7_set(191, "Revoked", 18)
    sources.slow = 0.3
    started = start(owner, "v7", V7_KEY, [v7_row(sources, 191)])
    while owner.get(f"/connectors/import/status/{started['import_id']}").json()["imported_images"] < 1:
        time.sleep(0.05)
    sources.revoked = True
    try:
        job = finish(owner, started)
    finally:
        sources.revoked = False
    assert job["status"] == "error" and "rejected the key" in job["error_message"] and job["imported_images"] < 18 and V7_KEY not in str(job)
    done = finish(owner, start(owner, "v7", V7_KEY, [v7_row(sources, 191)]))
    assert (done["status"], done["imported_images"], done["datasets"][0]["name"]) == ("completed", 18, "Revoked")


def test_source_is_down_for_a_moment(owner, sources):
    sources.v7_set(190, "Goes down", 3)
    started = start(owner, "v7", V7_KEY, [v7_row(sources, 190)])
    with sources.lock:
        sources.broken = 2  # repeated with growing pauses
    assert finish(owner, started)["imported_images"] == 3


# --- Roboflow -------------------------------------------------------------------------------------------------------------

ROBOFLOW_ALL = [
    {"label": "cat", "x": "30", "y": "20", "width": "20", "height": "10"},
    {"type": "bbox", "label": "cat", "x": 10, "y": 10, "width": 4, "height": 6},
    {"type": "polygon", "label": "shape", "x": "20", "y": "20", "width": "38", "height": "38", "points": [[1, 1], [39, 1], ["39", "39"]]},
    {"type": "keypoint", "label": "person", "x": 20, "y": 20, "width": 10, "height": 10, "keypoints": [{"id": 0, "x": 18, "y": 19}, {"id": 1, "x": 0, "y": 0}]},
    {"type": "line", "label": "kerb", "points": [[1, 2], [3, 4]]},
    {"type": "classification", "label": "outdoor"},
    {"label": "broken", "x": "nan", "y": 1, "width": 1, "height": 1},
]


def test_roboflow_every_kind(owner, place, sources):
    entries = sources.roboflow_project("every-kind", "Every Kind RF", 4, ROBOFLOW_ALL, classes={"cat": 2, "shape": 1})
    keys = list(entries)
    entries[keys[1]]["annotation"].update(width=32, height=24)  # measured on half the size
    entries[keys[2]]["annotation"] = None
    entries[keys[2]]["name"] = "no extension"
    entries[keys[3]]["annotation"] = {"label": "outdoor"}
    job = finish(owner, start(owner, "roboflow", ROBOFLOW_KEY, [{"id": "the-workspace/every-kind", "name": "x", "slug": "every-kind", "version": None}]))
    assert job["status"] == "completed" and job["imported_images"] == 4, job
    images = images_of(owner, "Every Kind RF")
    assert set(images) == {("/", "0.jpg"), ("/", "1.jpg"), ("/", "no extension.jpg"), ("/", "3.jpg")}
    got = annotations_of(owner, images["/", "0.jpg"])
    assert [a["type"] for a in got] == ["bbox", "bbox", "polygon", "bbox", "keypoint", "polyline"]
    assert got[0]["bounding_box"] == {"x": 20, "y": 15, "w": 20, "h": 10}
    assert got[2]["polygon"]["paths"] == [[{"x": 1, "y": 1}, {"x": 39, "y": 1}, {"x": 39, "y": 39}]]
    assert got[4]["keypoint"] == {"x": 18, "y": 19} and got[4]["attributes"] == [{"object": got[3]["id"], "keypoint": "0"}] and got[4]["name"] == "person"
    assert annotations_of(owner, images["/", "1.jpg"])[0]["bounding_box"] == {"x": 40, "y": 30, "w": 40, "h": 20}
    assert annotations_of(owner, images["/", "no extension.jpg"]) == []
    assert {row["kind"]: row["count"] for row in job["left_out"]} == {"classification": 3, "broken": 2}
    classes = {c["name"]: c for c in owner.get("/projects/Every Kind RF").json()["project"]["classes"]}
    assert set(classes) == {"cat", "shape", "person", "kerb"} and classes["cat"]["color"] == "#C7FC00"
    assert len(sources.took("/search")) == 2 and all("api_key=rfKey%2Bfor%2Fthe%3Dtests" in p for p in sources.took("/search"))
    assert not any("api_key" in p for p in sources.took("/signed/"))
    nothing_holds(place, ROBOFLOW_KEY, "rfKey%2Bfor%2Fthe%3Dtests")


def test_roboflow_addresses(owner, sources, tmp_path):
    """What a source names as the address of an image is fetched by http and https alone."""
    secret = tmp_path / "secret.jpg"
    secret.write_bytes(b"not yours")
    entries = sources.roboflow_project("addresses", "Addresses", 4)
    keys = list(entries)
    entries[keys[0]]["url"] = f"file://{secret}"
    entries[keys[1]]["url"] = "ftp://127.0.0.1/x.jpg"
    entries[keys[2]]["url"] = "http://127.0.0.1:1/refused.jpg"
    job = finish(owner, start(owner, "roboflow", ROBOFLOW_KEY, [{"id": "the-workspace/addresses", "name": "x", "slug": "x"}]))
    assert job["status"] == "completed" and (job["imported_images"], job["failed_images"]) == (1, 3)


def test_roboflow_version(owner, place, sources):
    sources.roboflow_project("versioned", "Versioned", 3)
    sources.projects["versioned"]["versions"][2] = coco_archive({"train": ("a.jpg", [[1, 2, 10, 10]]), "valid": ("a.jpg", [[5, 5, 6, 6], [9, 9, 3, 3]])})
    row = {"id": "the-workspace/versioned", "name": "x", "slug": "versioned", "version": 2}
    job = finish(owner, start(owner, "roboflow", ROBOFLOW_KEY, [row]))
    assert job["status"] == "completed" and job["imported_images"] == 2, job
    images = images_of(owner, "Versioned")
    assert {folder for folder, _ in images} == {"/train", "/valid"}
    got = annotations_of(owner, images["/valid", "a.jpg"])
    assert [a["bounding_box"] for a in got] == [{"x": 5, "y": 5, "w": 6, "h": 6}, {"x": 9, "y": 9, "w": 3, "h": 3}] and got[0]["name"] == "cat"
    gone = finish(owner, start(owner, "roboflow", ROBOFLOW_KEY, [{**row, "version": 9}]))
    assert gone["status"] == "error" and gone["datasets"][0]["status"] == "error"
    nothing_holds(place, ROBOFLOW_KEY)
