"""Work while one in a hundred disk calls fails and workers are killed: what was acknowledged stays, and nothing fails without a fault."""
import concurrent.futures
import contextlib
import random
import sqlite3
import time
import uuid

import pytest
import requests
from faults import Faults, Killer, build_library
from PIL import Image
from server import Server


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    return build_library(tmp_path_factory.mktemp("faults"))


def picture(n):
    import io
    out = io.BytesIO()
    Image.new("RGB", (64, 48), (n % 256, n // 256 % 256, 77)).save(out, "JPEG")
    return out.getvalue()


class Worker:
    """One client's work, and what the server said about it."""

    def __init__(self, server, faults, killer, number):
        self.url, self.faults, self.killer = server.url + "/api/v1/developer", faults, killer
        self.session = requests.Session()
        self.session.headers["X-API-Key"] = server.key
        self.random = random.Random(number)
        self.number, self.images, self.unexplained, self.faulty = number, {}, [], 0

    def call(self, method, path, causes=(), **kwargs):
        """A reply below 500, or None. A 5xx must have a fault behind it: since the request began, or in the moment before (one commit serves many)."""
        before = self.faults.count() + (self.killer.count if "worker" in causes else 0)
        reply = self.session.request(method, path if path.startswith("http") else self.url + path, timeout=60, **kwargs)
        if reply.status_code < 500:
            return reply
        self.faulty += 1
        if self.faults.count() + (self.killer.count if "worker" in causes else 0) == before:
            self.unexplained.append((method, path, reply.status_code, reply.text[:200]))
        return None

    def upload(self, project, n):
        data, name = picture(n), f"{self.number}-{n}.jpg"
        target = self.call("POST", "/images/upload-url", json={"dataset_id": project, "filename": name, "content_type": "image/jpeg"})
        if not target or not self.call("PUT", target.json()["upload_url"], data=data, headers={"Content-Type": "image/jpeg"}):
            return
        made = self.call("POST", "/images/register", causes=("worker",), data={"dataset_id": project, "filename": name, "gcs_path": target.json()["gcs_path"]})
        if made is not None and made.status_code == 201:
            self.images[made.json()["image_id"]] = [data, None]
        elif made is not None and made.status_code != 422:  # 422: the worker died over it
            self.unexplained.append(("register", made.status_code, made.text[:200]))

    def save(self, version):
        image = self.random.choice(list(self.images))
        saved = self.call("POST", f"/annotations/{image}", headers={"Idempotency-Key": uuid.uuid4().hex},
                          json={"annotations": [{"id": f"{version}-{i}", "name": "cell", "type": "keypoint", "keypoint": {"x": 1, "y": 1}} for i in range(3)]})
        if saved is not None:
            assert saved.status_code == 200, saved.text
            self.images[image][1] = version
        else:  # perhaps it was carried out, perhaps not
            self.images[image].append(version)


def wait_for_descriptions(server):
    deadline = time.monotonic() + 120
    with contextlib.closing(sqlite3.connect(server.folder / "pictograph.db", timeout=30)) as db:
        while db.execute("SELECT count(*) FROM description_queue WHERE attempts < 3").fetchone()[0]:
            assert time.monotonic() < deadline
            time.sleep(0.2)


def test_one_in_a_hundred(tmp_path, library):
    faults = Faults(tmp_path, library, tmp_path / "data")
    server = Server(tmp_path / "data").start(**faults.settings)
    killer = Killer(server, every=0.7, names=("pictograph-medi",))
    try:
        workers = [Worker(server, faults, killer, n) for n in range(6)]
        project = workers[0].call("POST", "/projects/", json={"name": "p", "classes": [{"name": "cell"}]}).json()["project"]["id"]
        for worker in workers:
            worker.upload(project, 0)
        assert faults.count() == 0 and all(len(w.images) == 1 for w in workers)

        def work(worker):
            for turn in range(1, 40):
                worker.upload(project, turn) if turn % 4 == 0 else worker.save(turn)

        faults.rate(0.01)
        with killer, concurrent.futures.ThreadPoolExecutor(6) as pool:
            list(pool.map(work, workers))
        faults.rate(0)
        assert faults.count() > 10 and sum(w.faulty for w in workers) > 0, "the faults did not reach the server"
        assert not [u for w in workers for u in w.unexplained]
        server.kill()
        server.start()
        for worker in workers:
            for image, (data, acknowledged, *doubtful) in worker.images.items():
                assert worker.call("GET", f"/images/{image}").content == data
                stored = worker.call("GET", f"/annotations/{image}").json()["annotations"]
                versions = {int(a["id"].split("-")[0]) for a in stored}
                assert len(versions) <= 1 and len(stored) in (0, 3), "a save is there whole"
                assert not acknowledged or versions and max(versions) >= acknowledged, "an acknowledged save is lost"
                assert versions <= {acknowledged, *doubtful}
        wait_for_descriptions(server)
        server.stop()
        assert "MENDED" not in server.command("check")
    finally:
        server.stop()


@pytest.mark.parametrize("table, path", [("invites", "/organizations/invites"), ("images", "/datasets/by-name/p/download")])
def test_a_list_that_cannot_be_read_is_not_an_empty_one(tmp_path, table, path):
    server = Server(tmp_path / "data").start()
    call = lambda method, path, **kwargs: requests.request(method, server.url + "/api/v1/developer" + path, headers={"X-API-Key": server.key}, timeout=60, **kwargs)
    try:
        call("POST", "/projects/", json={"name": "p"}).raise_for_status()
        assert call("GET", path).status_code == 200
        server.stop()
        with contextlib.closing(sqlite3.connect(server.folder / "pictograph.db")) as db:
            roots = [page for page, in db.execute("SELECT rootpage FROM sqlite_master WHERE tbl_name = ? AND rootpage > 0", (table,))]
            size, = db.execute("PRAGMA page_size").fetchone()
        with open(server.folder / "pictograph.db", "r+b") as file:
            for page in roots:
                file.seek((page - 1) * size)
                file.write(bytes(size))
        server.start()
        reply = call("GET", path)
        assert reply.status_code == 500, reply.text
    finally:
        server.stop()
