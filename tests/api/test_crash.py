"""kill -9 at any moment: what was acknowledged is there, what was not is not there by half."""
import concurrent.futures
import time
import uuid

import pytest
import requests
from conftest import contract, picture
from server import Client, Server, once


@pytest.fixture
def victim(tmp_path):
    server = Server(tmp_path / "data").start()
    yield server
    server.stop()


def test_no_acknowledged_save_is_lost(victim):
    owner = Client(victim.url, victim.key, contract())
    project = owner.project()
    images = [owner.upload(project, f"{i}.jpg", picture(colour=(i * 20, 5, 5)))["id"] for i in range(8)]
    acknowledged = {}

    def save(image):
        session = requests.Session()
        for version in range(10000):
            body = {"annotations": [{"id": f"{version}-{k}", "name": "cell", "type": "bbox", "bounding_box": {"x": 1, "y": 1, "w": 5, "h": 5}} for k in range(3)]}
            try:
                reply = session.post(f"{victim.url}/api/v1/developer/annotations/{image}", json=body, headers={"X-API-Key": victim.key}, timeout=60)
            except requests.RequestException:
                return
            if reply.status_code == 200:
                acknowledged[image] = version

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        running = [pool.submit(save, image) for image in images]
        try:
            once(lambda: len(acknowledged), lambda count: count == 8)
            time.sleep(1)
        finally:
            victim.kill()
        concurrent.futures.wait(running)
    victim.start()
    for image, version in acknowledged.items():
        stored = owner.get(f"/annotations/{image}").json()["annotations"]
        versions = {int(a["id"].split("-")[0]) for a in stored}
        assert len(stored) == 3 and len(versions) == 1, "a save is there whole"
        assert versions.pop() >= version
    assert owner.get(f"/projects/{project['name']}").json()["project"]["completed_image_count"] == 8


def test_uploads_are_whole_or_absent(victim):
    owner = Client(victim.url, victim.key, contract())
    project = owner.project()
    big = picture(1500, 1500, kind="PNG") + b""
    acknowledged = []

    def upload(worker):
        client = Client(victim.url, victim.key, contract())
        for n in range(1000):
            try:
                acknowledged.append(client.upload(project, f"{worker}-{n}.png", big, content_type="image/png")["id"])
            except requests.RequestException:
                return

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        running = [pool.submit(upload, worker) for worker in range(4)]
        try:
            once(lambda: len(acknowledged), lambda count: count > 4)
            time.sleep(0.5)
        finally:
            victim.kill()
        concurrent.futures.wait(running)
    victim.start()
    for image in acknowledged:
        assert owner.get(f"/images/{image}").content == big
    listed = owner.get(f"/datasets/{project['id']}?include_images=true&images_limit=10000").json()["dataset"]
    assert listed["image_count"] == len(listed["images"]) >= len(acknowledged)
    for image in listed["images"]:  # also those whose answer got lost are whole
        assert owner.get(f"/images/{image['id']}").content == big


def test_an_export_survives(victim):
    owner = Client(victim.url, victim.key, contract())
    project = owner.project()
    for i in range(20):
        image = owner.upload(project, f"{i}.jpg", picture(600, 600, colour=(i, i, i)))
        owner.post(f"/annotations/{image['id']}", {"annotations": [{"id": "1", "name": "cell", "type": "bbox", "bounding_box": {"x": 1, "y": 1, "w": 5, "h": 5}}]})
    names = [uuid.uuid4().hex for _ in range(5)]
    for name in names:
        owner.post("/exports/", {"dataset_name": project["name"], "name": name}, 202)
    victim.kill()
    victim.start()
    done = [owner.wait(f"/exports/{project['name']}/{name}", "export") for name in names]
    assert {d["status"] for d in done} == {"completed"} and len({d["md5"] for d in done}) == 1


def test_nothing_of_killed_work_stays(victim):
    """A folder of a request that kill -9 ended has no owner any more; that of a job which goes on is left to it (test_training.py)."""
    left = victim.folder / "work" / str(uuid.uuid4())
    left.mkdir()
    (left / "pixels").write_bytes(b"x")
    victim.kill()
    victim.start()
    assert list((victim.folder / "work").iterdir()) == []


def test_a_second_server_on_the_same_folder_is_refused(victim):
    other = victim.command("serve", "--listen", "127.0.0.1:0", check=False)
    assert other.returncode != 0 and "Another pictographd serves" in other.stderr


def test_sigterm_drains(victim):
    assert victim.stop() == 0
