"""bench/run batch: what one request does to 10,000 images of ten boxes each, as a client sees it: sending, writing the answer and reading it included.

The processor time of the server is beside it, as a busy machine stretches the clock and not the work.
"""
import os
import time

COUNT, BOXES, GOAL = 10_000, 10, "≤ 1 s"
OPERATIONS = (  # name, method, path, body beside the ids
    ("move", "POST", "move", {"target_folder_path": "/moved"}),
    ("copy, annotations too", "POST", "copy", {"target_folder_path": "/copies", "copy_annotations": True}),
    ("update of the stage", "PATCH", "update", {"updates": {"status": "review"}}),
    ("delete (archive)", "POST", "delete", {}),
    ("delete for good", "POST", "delete", {"permanent": True}))


def processor_seconds(pid):
    fields = open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def timed(server, call):
    """(seconds, of the server's processor, answer)"""
    before, begin = processor_seconds(server.process.pid), time.monotonic()
    reply = call()
    return time.monotonic() - begin, processor_seconds(server.process.pid) - before, reply.json()


def measure(bench, row):
    server, client = bench.server, bench.client
    server.command("org", "set-tier", "--org", "Acme", "--tier", "enterprise")
    project = bench.filled_project(COUNT, BOXES)
    load, times = os.getloadavg()[0], []
    for _ in range(3):
        seconds, worked, listing = timed(server, lambda: client.get(f"/datasets/by-name/{project['name']}/download", params={"limit": COUNT, "status_filter": "complete"}))
        assert len(listing["items"]) == COUNT and all(item["image_url"] and item["annotation_url"] for item in listing["items"])
        times.append((seconds, worked))
    seconds, worked = sorted(times)[1]
    row(f"download listing, {COUNT:,} images: {2 * COUNT:,} signed addresses (median of 3)", f"{seconds * 1000:.0f} ms, processor {worked * 1000:.0f} ms, load before {load:.1f}",
        "", "≤ 300 ms")
    body = {"dataset_name": project["name"], "image_ids": [item["image_id"] for item in listing["items"]]}
    for name, method, path, more in OPERATIONS:
        load = os.getloadavg()[0]
        seconds, worked, result = timed(server, lambda: client.call(method, f"/batch/images/{path}", 200, json={**body, **more}))
        assert result["processed"] == COUNT and not result["failed"], result["failed"][:3]
        row(f"batch {name}, {COUNT:,} images", f"{seconds:.2f} s, processor {worked:.2f} s, load before {load:.1f}", "", GOAL)
