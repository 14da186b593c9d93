"""Sections of bench/run about size: "large", a project of a million images with ten million annotations; "exports", a zip imported over HTTP
and exported in the seven formats as jobs of the server; "big_video", the upload of a video of ten gigabytes."""
import json
import os
import pathlib
import random
import statistics
import tempfile
import time
import zipfile

import peers
import requests
from videos import make

IMAGES, BOXES, TURNS = 1_000_000, 10, 9
VIDEO_BYTES, CHUNK = 10 * 1024 ** 3 - 1, 1 << 20


def milliseconds(call):
    """Median of some calls."""
    times = []
    for _ in range(TURNS):
        begin = time.monotonic()
        call()
        times.append((time.monotonic() - begin) * 1000)
    return statistics.median(times)


def completed(client, path, envelope):
    item = client.wait(path, envelope, timeout=900, pause=0.01)
    assert item["status"] == "completed", item
    return item


def large(bench, row, rss_mb):
    server, client = bench.server, bench.client
    server.command("org", "set-tier", "--org", "Acme", "--tier", "enterprise")
    project = bench.filled_project(IMAGES, BOXES)
    server.stop()
    begin = time.monotonic()
    server.start()
    started, memory = time.monotonic() - begin, rss_mb(server.process.pid)
    size = sum(f.stat().st_size for f in (bench.folder / "data").glob("*.db*")) / 1e9
    what = f"{IMAGES:,} images, {IMAGES * BOXES:,} annotations in one project ({size:.1f} GB)"
    row(f"{what}: start to ready, memory", f"{started * 1000:.0f} ms, {memory:.0f} MB", "", "a laptop")
    dataset = f"/datasets/{project['id']}?include_images=true&images_limit=100"
    page = client.get(dataset).json()["dataset"]["images"]
    deep = client.get(f"{dataset}&images_offset={IMAGES - 100}").json()["dataset"]["images"]
    assert len(page) == len(deep) == 100
    box = {"id": "b", "name": "cell", "type": "bbox", "bounding_box": {"x": 1, "y": 2, "w": 3, "h": 4}}
    times = {"the project with its counts": lambda: client.get(f"/projects/{project['name']}", 200),
             "first page of 100": lambda: client.get(dataset, 200),
             "last page of 100": lambda: client.get(f"{dataset}&images_offset={IMAGES - 100}", 200),
             "annotations of an image": lambda: client.get(f"/annotations/{deep[7]['id']}", 200),
             "a save": lambda: client.post(f"/annotations/{deep[7]['id']}", {"annotations": [box]})}
    row("there, in milliseconds", ", ".join(f"{name} {milliseconds(call):.1f}" for name, call in times.items()), "", "as in a small one")
    begin = time.monotonic()
    client.post("/exports/", {"dataset_name": project["name"], "name": "all", "format": "coco", "include_images": False}, 202)
    item, seconds = completed(client, f"/exports/{project['name']}/all", "export"), time.monotonic() - begin
    assert item["annotation_count"] >= IMAGES * BOXES - BOXES, item
    row("there: COCO export of all of them, no pixels", f"{seconds:.0f} s, {item['file_size'] / 1e9:.2f} GB, peak {rss_mb(server.process.pid, True):.0f} MB", "", "memory flat")


def exports(bench, row, rss_mb):
    """First the import of a COCO zip, then exports of what it made: each from the request to the state completed."""
    server, client = bench.server, bench.client
    server.command("org", "set-tier", "--org", "Acme", "--tier", "enterprise")
    document, archive = peers.coco_document(random.Random(1)), bench.folder / "coco.zip"
    with zipfile.ZipFile(archive, "w") as out:
        out.writestr("annotations/instances_train.json", json.dumps(document))
        for i, image in enumerate(document["images"]):
            out.writestr(f"images/train/{image['file_name']}", bench.picture(640, 480, colour=(i % 256, i // 256, 9)))
    target = client.post("/imports/upload-url", {"filename": "coco.zip"}).json()
    client.put_object(target["upload_url"], archive.read_bytes(), "application/zip")
    what = f"{peers.IMAGES:,} images with pixels, {peers.POLYGONS:,} polygons"
    begin = time.monotonic()
    started = client.post("/imports/", {"upload_id": target["upload_id"], "name": "polygons"}, 202).json()["import"]
    done = completed(client, f"/imports/{started['id']}", "import")
    assert (done["image_count"], done["annotation_count"]) == (peers.IMAGES, peers.POLYGONS), done
    row(f"import of a COCO zip over HTTP: {what}", f"{time.monotonic() - begin:.1f} s", "", "")
    times = []
    for name in peers.FORMATS:
        begin = time.monotonic()
        client.post("/exports/", {"dataset_name": "polygons", "name": name, "format": name, "include_images": True}, 202)
        item = completed(client, f"/exports/polygons/{name}", "export")
        assert item["annotation_count"] == peers.POLYGONS, item
        times.append(f"{name} {time.monotonic() - begin:.2f} s")
    row(f"exports as jobs, read back and stored: {what}", ", ".join(times), f"server's peak {rss_mb(server.process.pid, True):.0f} MB", "")


def big_video(bench, row, rss_mb):
    """A real video followed by a box of no meaning that fills it up to what is allowed."""
    client, server = bench.client, bench.server
    with tempfile.TemporaryDirectory() as folder:
        video = pathlib.Path(folder) / "start.mp4"
        make(video, container="mp4")
        head = video.read_bytes()
    rest = VIDEO_BYTES - len(head)
    free = (1).to_bytes(4, "big") + b"free" + rest.to_bytes(8, "big")

    def body():
        yield head + free
        left, block = rest - len(free), os.urandom(CHUNK)
        while left:
            yield block[:min(left, CHUNK)]
            left -= min(left, CHUNK)
    target = client.post("/video/upload-url", {"filename": "big.mp4"}).json()
    before, begin = rss_mb(server.process.pid), time.monotonic()
    reply = requests.put(target["upload_url"], data=body(), headers={"Content-Type": "video/mp4"}, timeout=900)
    assert reply.status_code == 200, reply.text
    seconds, peak = time.monotonic() - begin, rss_mb(server.process.pid, True)
    begin = time.monotonic()
    facts = client.post("/video/probe", {"gcs_path": target["gcs_path"]}).json()
    row("upload of a video of 10 GB, then a probe", f"{seconds:.0f} s, {VIDEO_BYTES / seconds / 1e6:.0f} MB/s; {(time.monotonic() - begin) * 1000:.0f} ms, {facts['frame_count']} frames",
        f"server {before:.0f} MB, peak {peak:.0f} MB", "constant memory")
