"""A full disk, end to end: a data folder on a file system of 24 MB that is filled up under a running server. What cannot be stored is answered with
507 and leaves nothing behind, reads go on, and everything works again once there is space, without a restart."""
import os
import subprocess

import pytest
from conftest import contract, picture
from server import Client, Server, once


@pytest.fixture
def small_disk(tmp_path):
    if os.geteuid() != 0:
        pytest.skip("only root can mount a small file system")
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", folder], capture_output=True, text=True)
    if mounted.returncode:
        pytest.skip(f"no tmpfs can be mounted here: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


def fill(folder):
    """Takes all space that is left."""
    with open(folder / "filler", "ab", buffering=0) as f:
        for piece in (1 << 20, 1 << 12, 1):
            try:
                while True:
                    f.write(b"\0" * piece)
            except OSError:
                pass


def boxes(n, version):
    return {"annotations": [{"id": f"{version}-{i}", "name": "cell", "type": "bbox", "bounding_box": {"x": 1, "y": 1, "w": 5, "h": 5}} for i in range(n)]}


def test_a_full_disk(small_disk):
    server = Server(small_disk / "data").start()
    try:
        owner = Client(server.url, server.key, contract())
        project = owner.project()
        data = picture(900, 900, kind="BMP")  # 2.4 MB
        image = owner.upload(project, "a.jpg", picture())
        owner.post(f"/annotations/{image['id']}", boxes(3, "old"))
        target = owner.post("/images/upload-url", {"dataset_id": project["id"], "filename": "b.bmp", "content_type": "image/bmp"}).json()
        fill(small_disk)

        stored = sorted(p.name for p in (small_disk / "data" / "objects").glob("*/*/*"))
        reply = owner.put_object(target["upload_url"], data, "image/bmp", expect=507)
        assert (reply.json()["error_code"], reply.json()["message"]) == ("service_unavailable", "The server's disk is full")
        assert sorted(p.name for p in (small_disk / "data" / "objects").glob("*/*/*")) == stored and not list((small_disk / "data" / "objects" / "tmp").iterdir())

        saved, version = boxes(3, "old"), 0
        while version < 400:  # the log may have room for a few more
            version += 1
            wanted = boxes(400, version)
            reply = owner.call("POST", f"/annotations/{image['id']}", json=wanted)
            assert reply.status_code in (200, 507), reply.text
            if reply.status_code == 507:
                break
            saved = wanted
        assert reply.status_code == 507 and reply.json()["error_code"] == "service_unavailable"
        kept = owner.get(f"/annotations/{image['id']}").json()["annotations"]
        assert [a["id"] for a in kept] == [a["id"] for a in saved["annotations"]], "all of the last save that was acknowledged, nothing of the one that was not"

        reply = owner.call("POST", "/exports/", json={"dataset_name": project["name"], "name": "full", "status_filter": "all"})
        assert reply.status_code in (202, 507)
        if reply.status_code == 202:
            assert owner.wait(f"/exports/{project['name']}/full", "export")["status"] == "failed"
        assert owner.get(f"/images/{image['id']}").content == picture()
        for failed in (reply, owner.get(f"/images/{image['id']}/thumbnail", 507)):  # of which a worker says the latter
            assert failed.status_code == 202 or failed.json()["message"] == "The server's disk is full"
        assert owner.get("//healthz").json()["status"] == "ok"

        (small_disk / "filler").unlink()
        once(lambda: owner.call("POST", f"/annotations/{image['id']}", json=boxes(2, "new")).status_code, lambda status: status == 200)
        assert owner.get(f"/annotations/{image['id']}").json()["count"] == 2
        owner.get(f"/images/{image['id']}/thumbnail")
        owner.put_object(target["upload_url"], data, "image/bmp")
        owner.call("POST", "/images/register", 201, data={"dataset_id": project["id"], "filename": "b.bmp", "gcs_path": target["gcs_path"]})
        owner.post("/exports/", {"dataset_name": project["name"], "name": "again", "status_filter": "all"}, 202)
        assert owner.wait(f"/exports/{project['name']}/again", "export")["status"] == "completed"
    finally:
        assert server.stop() == 0


def test_a_restart_on_a_full_disk(small_disk):
    """kill -9 with a full disk loses nothing that was acknowledged."""
    server = Server(small_disk / "data").start()
    try:
        owner = Client(server.url, server.key, contract())
        image = owner.upload(owner.project(), "a.jpg", picture())
        fill(small_disk)
        acknowledged = None
        for version in range(60):
            if owner.call("POST", f"/annotations/{image['id']}", json=boxes(300, version)).status_code == 200:
                acknowledged = version
        server.kill()
        (small_disk / "filler").unlink()
        server.start()
        kept = owner.get(f"/annotations/{image['id']}").json()["annotations"]
        assert {a["id"].split("-")[0] for a in kept} == ({str(acknowledged)} if acknowledged is not None else set())
    finally:
        server.stop()
