import concurrent.futures
import os
import pathlib
import re

from conftest import contract
from server import Client, Server


def test_health_and_readiness(anonymous):
    assert anonymous.get("//healthz").json()["status"] == "ok"
    ready = anonymous.get("//readyz").json()
    assert ready["status"] in ("ready", "degraded") and "database" in ready["checks"]


def test_metrics_are_prometheus_text(anonymous):
    text = anonymous.get("//metrics").text
    assert re.search(r'^pictograph_requests_total\{.*operation="getHealth".*\} \d+', text, re.M), text[:800]
    for name in ("request_seconds_bucket", "sent_bytes_total", "requests_waiting", "jobs_pending", "disk_free_bytes", "resident_bytes", "database_cache_bytes", *(f'worker_restarts_total{{worker="{name}"}}' for name in ("media", "video", "vision", "labeller", "import"))):
        assert "\npictograph_" + name in text, name
    for line in text.splitlines():
        assert line.startswith("#") or re.match(r"^[a-zA-Z_:][a-zA-Z0-9_:]*(\{[^}]*\})? [-+0-9.eE]+(Inf)?$", line), line


def test_the_served_contract_is_the_tested_one(anonymous, owner):
    assert anonymous.get("//openapi.json").json() == owner.contract.document


def test_a_server_that_cannot_store_is_not_ready(tmp_path):
    alone = Server(tmp_path / "data").start()
    try:
        client, objects = Client(alone.url, None, contract()), alone.folder / "objects"
        objects.rename(alone.folder / "away")
        assert client.get("//readyz", 503).json()["status"] == "unavailable"
        (alone.folder / "away").rename(objects)
        client.get("//readyz")
    finally:
        alone.stop()


def arenas(pid):
    """How many of glibc's arenas beside the first: an aligned piece that is in use, and the rest of its 64 MB in reserve."""
    spans = re.findall(r"^(\w+)-(\w+) (\S+) .* 0 *$", pathlib.Path(f"/proc/{pid}/maps").read_text(), re.M)
    spans = [(int(start, 16), int(end, 16), access) for start, end, access in spans]
    return sum(a[2] == "rw-p" and b[2] == "---p" and a[1] == b[0] and a[0] % (64 << 20) == 0 and b[1] - a[0] == 64 << 20 for a, b in zip(spans, spans[1:]))


def test_an_arena_for_each_core_and_not_for_each_thread(server, owner):
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda _: owner.project(), range(64)))
    assert arenas(server.process.pid) < max(2, os.cpu_count())
