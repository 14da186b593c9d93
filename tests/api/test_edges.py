"""Answers that the contract declares and no feature's own test needs: plans that are full, balances that are empty, and the edges of signed addresses."""
import base64
import hmac
import sqlite3
import time
import uuid

import pytest
import requests
from conftest import contract, picture, refuse_as_not_owner
from server import Client, Server


@pytest.fixture(scope="module")
def poor(server):
    """An organization of the smallest plan, with images up to its cap and no credits; (client, project, image)."""
    name = "Poor"
    client = Client(server.url, server.command("org", "create", "--org", name, "--email", "poor@example.org").strip(), contract())
    project = client.project()
    image = client.upload(project, "a.jpg", picture())
    target = client.post("/images/upload-url", {"dataset_id": project["id"], "filename": "late.jpg", "content_type": "image/jpeg"}).json()
    client.put_object(target["upload_url"], picture())
    server.command("org", "set-tier", "--org", name, "--tier", "free")
    server.command("credits", "grant", "--org", name, "--amount", "-1000000")
    cap = client.get("/organizations/me").json()["organization"]["max_images"]
    with sqlite3.connect(server.folder / "pictograph.db", timeout=30) as db:
        assert db.execute("UPDATE organizations SET image_count = ? WHERE name = ?", (cap, name)).rowcount == 1
    return client, project, image, target


def refused(reply):
    assert reply.status_code == 402, reply.text
    return reply.json()["detail"]


def test_a_full_plan(poor):
    client, project, image, target = poor
    assert "limit" in refused(client.call("POST", "/images/upload-url", json={"dataset_id": project["id"], "filename": "b.jpg", "content_type": "image/jpeg"}))
    refused(client.call("POST", "/images/upload", data={"dataset_id": project["id"]}, files={"file": ("b.jpg", picture())}))
    refused(client.call("POST", "/images/register", data={"dataset_id": project["id"], "filename": "late.jpg", "gcs_path": target["gcs_path"]}))
    # a taken name does not matter before there is room
    refused(client.call("POST", "/images/upload-url", json={"dataset_id": project["id"], "filename": "a.jpg", "content_type": "image/jpeg"}))
    refused(client.call("POST", "/images/upload", data={"dataset_id": project["id"]}, files={"file": ("a.jpg", picture())}))
    refused(client.call("POST", "/images/register", data={"dataset_id": project["id"], "filename": "a.jpg", "gcs_path": target["gcs_path"]}))
    refused(client.call("POST", "/batch/images/copy", json={"dataset_name": project["name"], "image_ids": [image["id"]], "target_folder_path": "/x"}))


def test_an_empty_balance(poor):
    client, project, *_ = poor
    where = {"dataset_name": project["name"], "image_filename": "a.jpg"}
    detail = refused(client.call("POST", "/auto-annotate/sam3/point", json={**where, "x": 5, "y": 5}))
    assert detail["required"] == 3 and detail["remaining"] == 0 and "upgrade_url" in detail
    refused(client.call("POST", "/auto-annotate/sam3/box", json={**where, "box": {"x": 2, "y": 2, "w": 28, "h": 28}, "name": "cell"}))
    assert client.get("/credits/history").json()["entries"][0]["operation"] == "adjustment", "nothing was taken"


@pytest.fixture(scope="module")
def signed(owner):
    """A good signed address and its parts."""
    project = owner.project()
    owner.upload(project, "a.jpg", picture())
    return owner.get(f"/datasets/by-name/{project['name']}/download").json()["items"][0]["image_url"]


def fetch(owner, url, expect, method="GET", **kwargs):
    reply = requests.request(method, url, timeout=30, **kwargs)
    owner.contract.check(method, url[len(owner.url):].split("?")[0], reply)
    assert reply.status_code == expect, reply.text[:300]
    return reply


def test_edges_of_signed_downloads(owner, server, signed):
    etag = fetch(owner, signed, 200).headers["ETag"]
    assert not fetch(owner, signed, 304, headers={"If-None-Match": etag}).content
    fetch(owner, signed, 416, headers={"Range": "bytes=99999999-"})
    fetch(owner, signed.replace("expires=", "expires=x"), 422)
    fetch(owner, signed.split("?")[0], 422)
    path, _, query = signed.partition("?")
    fetch(owner, path[:-8] + "AAAAAAAA?" + query, 403)
    files = [f for f in (server.folder / "objects").glob("*/*/*")]
    hidden = [(f, f.with_suffix(".away")) for f in files]
    for f, away in hidden:
        f.rename(away)
    try:
        fetch(owner, signed, 404)  # the object is gone
    finally:
        for f, away in hidden:
            away.rename(f)


def test_a_signed_address_expires(owner, server, signed):
    """The same address as the server would have signed it a day ago."""
    token, _, query = signed.rpartition("/")[2].partition("?")
    expires = dict(part.split("=") for part in query.split("&"))["expires"]

    def signature(at):
        key = hmac.new((server.folder / "secret.key").read_bytes(), b"pictograph signed object address 1\0", "sha256").digest()
        return base64.urlsafe_b64encode(hmac.new(key, f"{token}\0{at}".encode(), "sha256").digest()).decode().rstrip("=")

    assert signed.endswith(f"signature={signature(expires)}"), "signed otherwise than this test does"
    past = int(time.time()) - 1
    reply = fetch(owner, f"{signed.partition('?')[0]}?expires={past}&signature={signature(past)}", 403)
    assert reply.json()["error_code"] == "signature_expired" and "ask for a fresh one" in reply.json()["detail"]


def test_edges_of_signed_uploads(owner, server, image):
    project, _ = image

    def target(name):
        return owner.post("/images/upload-url", {"dataset_id": project["id"], "filename": name, "content_type": "image/jpeg"}).json()

    kind = {"Content-Type": "image/jpeg"}
    made = target("x.jpg")
    fetch(owner, made["upload_url"], 415, "PUT", data=b"x", headers={"Content-Type": "image/png"})
    fetch(owner, made["upload_url"] + "x", 422, "PUT", data=b"x", headers=kind)
    fetch(owner, made["upload_url"].split("?")[0], 422, "PUT", data=b"x", headers=kind)
    fetch(owner, made["upload_url"], 200, "PUT", data=picture(), headers=kind)
    fetch(owner, made["upload_url"], 200, "PUT", data=picture(), headers=kind)  # may be repeated until it is registered
    owner.call("POST", "/images/register", 201, data={"dataset_id": project["id"], "filename": "x.jpg", "gcs_path": made["gcs_path"]})
    fetch(owner, made["upload_url"], 409, "PUT", data=picture(), headers=kind)
    forgotten = target("y.jpg")
    with sqlite3.connect(server.folder / "pictograph.db", timeout=30) as db:
        db.execute("DELETE FROM uploads WHERE id = ?", (forgotten["gcs_path"].split("/")[1],))
    fetch(owner, forgotten["upload_url"], 404, "PUT", data=picture(), headers=kind)


def test_slow_and_broken_puts(tmp_path):
    from test_every_operation import Answer, dial, read_all
    server = Server(tmp_path / "data").start(PICTOGRAPHD_BODY_TIMEOUT="1")
    try:
        owner = Client(server.url, server.key, contract())
        url = owner.post("/images/upload-url", {"dataset_id": owner.project()["id"], "filename": "a.jpg", "content_type": "image/jpeg"}).json()["upload_url"]
        path = url[len(server.url):]
        for lines, status in ((b"Content-Length: 1000\r\n", 408), (b"Content-Length: 10\r\nContent-Length: 11\r\n", 400)):
            with dial(server) as s:
                s.sendall(b"PUT " + path.encode() + b" HTTP/1.1\r\nHost: x\r\nContent-Type: image/jpeg\r\n" + lines + b"\r\nabc")
                answer = Answer(read_all(s), None)
            contract().check("PUT", path.split("?")[0], answer)
            assert answer.status_code == status
        assert not list((server.folder / "objects").glob("*/*/*")), "nothing is kept of it"
    finally:
        server.stop()


def test_single_uploads(owner, image):
    project, _ = image
    file = {"file": ("a.jpg", picture())}
    owner.call("POST", "/images/upload", 409, data={"dataset_id": project["id"]}, files=file)
    owner.call("POST", "/images/upload", 422, data={"dataset_id": project["id"]}, files={"file": ("a.jpg", b"no picture")})  # before 409
    owner.call("POST", "/images/upload", 404, data={"dataset_id": str(uuid.uuid4())}, files=file)
    broken = {"Content-Type": "multipart/form-data; boundary=b"}
    body = f'--b\r\nContent-Disposition: form-data; name="dataset_id"\r\n\r\n{project["id"]}\r\n--b\r\nContent-Disposition: form-data; name="file"; filename="b\x01c.jpg"\r\n\r\n'
    owner.call("POST", "/images/upload", 422, data=body.encode() + picture() + b"\r\n--b--\r\n", headers=broken)
    owner.call("POST", "/images/upload", 400, data=body.replace("b\x01c.jpg", "b.jpg\x00c").encode() + picture() + b"\r\n--b--\r\n", headers=broken)
    owner.call("POST", "/images/upload", 422, data={"dataset_id": project["id"], "no_such_field": "1"}, files=file)
    reply = owner.call("POST", "/images/upload", 422, data={}, files=file).json()
    assert ["body", "dataset_id"] in [d["loc"] for d in reply["detail"]]


def test_a_download_of_an_export_that_is_not_done(owner, server, image):
    project, _ = image
    owner.post("/exports/", {"dataset_name": project["name"], "name": "slow", "status_filter": "all"}, 202)
    owner.wait(f"/exports/{project['name']}/slow", "export")
    with sqlite3.connect(server.folder / "pictograph.db", timeout=30) as db:
        db.execute("UPDATE exports SET status = 'processing' WHERE project_id = ?", (project["id"],))
    assert owner.get(f"/exports/{project['name']}/slow/download", 409).json()["error_code"] == "export_not_ready"
    run = {"dataset_name": project["name"], "export_name": "slow", "pipeline_type": "yolox"}
    assert owner.post("/training/", run, 409).json()["error_code"] == "export_not_ready"


def test_models_and_runs_at_the_edge(owner, server, stranger, with_role, image):
    """Rows as a training run leaves them, in each state."""
    project, _ = image
    organization = owner.get("/organizations/me").json()["organization"]["id"]
    model = str(uuid.uuid4())
    with sqlite3.connect(server.folder / "pictograph.db", timeout=30) as db:
        columns = {row[1]: row for row in db.execute("PRAGMA table_info(models)")}
        facts = {"id": model, "organization_id": organization, "name": "m", "model_type": "object_detection", "architecture": "yolox_nano", "status": "training",
                 "created_by": "someone else", "created_at": int(time.time() * 1000), "updated_at": int(time.time() * 1000)}
        facts |= {name: "" if "TEXT" in row[2] else 0 for name, row in columns.items() if row[3] and row[4] is None and name not in facts}
        facts = {k: v for k, v in facts.items() if k in columns}
        db.execute(f"INSERT INTO models ({', '.join(facts)}) VALUES ({', '.join('?' * len(facts))})", list(facts.values()))
    assert owner.get(f"/models/{model}/download", 409).json()["error_code"] == "model_not_ready"
    owner.get(f"/models/{model}/download?format=pth", 422)
    batch = {"dataset_name": project["name"], "image_filenames": ["a.jpg"], "model_id": model}
    owner.post("/auto-annotate/batch", {**batch, "classes": [{"name": "cell", "output_type": "tag"}]}, 422)  # before 409
    assert owner.post("/auto-annotate/batch", {**batch, "classes": [{"name": "cell"}]}, 409).json()["error_code"] == "model_not_ready"
    refuse_as_not_owner(with_role("member").delete(f"/models/{model}", 403))
    stranger.get(f"/models/{model}", 404)
    owner.delete(f"/models/{model}", 204)


def test_other_edges(owner, anonymous):
    owner.get("//api/v1/api-keys/?organization_id=", 422)
    accept = "//api/v1/invites/" + "A" * 43 + "/accept"
    anonymous.call("POST", accept, 404, json={})
    anonymous.call("POST", accept, 400, data=b"{", headers={"Content-Type": "application/json"})
    anonymous.call("POST", accept, 415, data=b"<x/>", headers={"Content-Type": "application/xml"})


def test_an_unknown_parameter_of_a_query_is_passed_over(owner):
    page = owner.get("/projects/?limit=1&limt=7&_=1732900000").json()  # as browsers' caches and proxies are got round
    assert page["limit"] == 1 and len(page["projects"]) <= 1


def test_who_joined_cannot_join_again(owner, server, anonymous):
    email = f"{uuid.uuid4().hex[:8]}@example.org"

    def invite():
        return owner.post("/organizations/invites", {"email": email}, 201).json()["invite"]["invite_url"].rsplit("/", 1)[1]

    first = invite()
    with sqlite3.connect(server.folder / "pictograph.db", timeout=30) as db:
        db.execute("UPDATE invites SET email = 'parked@example.org' WHERE email = ?", (email,))
    second = invite()
    with sqlite3.connect(server.folder / "pictograph.db", timeout=30) as db:
        db.execute("UPDATE invites SET email = ? WHERE email = 'parked@example.org'", (email,))
    anonymous.post(f"//api/v1/invites/{second}/accept", {}, 201)
    anonymous.post(f"//api/v1/invites/{first}/accept", {}, 409)


def test_metrics_are_for_the_machine_itself(tmp_path):
    server = Server(tmp_path / "data").start(PICTOGRAPHD_TRUSTED_PROXIES="127.0.0.1")
    try:
        client = Client(server.url, None, contract())
        client.get("//metrics")
        client.get("//metrics", 403, headers={"X-Forwarded-For": "203.0.113.7"})
    finally:
        server.stop()
