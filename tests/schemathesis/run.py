#!/usr/bin/env python3
"""`schemathesis run` against a server of its own with a small data set. Arguments go on to schemathesis: run.py -n 200. What each operation answered is
shown at the end: an operation that never got past its refusals was not examined."""
import collections
import json
import os
import pathlib
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "api"))
from conftest import contract, picture  # noqa: E402
from server import Client, Server  # noqa: E402
from sources import Sources  # noqa: E402


def known(client):
    """What the hooks put into requests."""
    project = client.project(classes=("cell",))
    image = client.upload(project, "a.jpg", picture())
    client.post("/exports/", {"dataset_name": project["name"], "name": "all", "status_filter": "all"}, 202)
    client.wait(f"/exports/{project['name']}/all", "export")
    return {"name": project["name"], "dataset_name": project["name"], "dataset_id": project["id"], "project_id": project["id"], "image_id": image["id"], "image_filename": "a.jpg",
            "export_name": "all", "organization_id": client.get("/organizations/me").json()["organization"]["id"]}


def peers(server):
    """Two organizations, for the check that nobody reads what is another's."""
    keys = {"owner": server.key, "stranger": server.command("org", "create", "--org", "Other", "--email", "other@example.org").strip()}
    return {"auth": [{"name": name, "fixedHeaders": [{"name": "X-API-Key", "value": key}]} for name, key in keys.items()]}


def answers(log):
    """operation -> status -> how often, by the access log."""
    seen = collections.defaultdict(collections.Counter)
    for line in log.read_text(errors="replace").splitlines():
        entry = json.loads(line) if line.startswith("{") else {}
        if entry.get("event") == "request":
            seen[entry.get("operation", "none")][entry["status"]] += 1
    return seen


def table(seen):
    statuses = sorted({status for counts in seen.values() for status in counts})
    rows = [[name, *(seen[name][s] or "." for s in statuses)] for name in sorted(seen)]
    return "\n".join(f"{row[0]:28}" + "".join(f"{cell:>7}" for cell in row[1:]) for row in [["operation", *statuses], *rows])


def run(folder, *arguments):
    """(exit status, what schemathesis said, answers by operation)."""
    folder = pathlib.Path(folder)
    sources = Sources()  # imports ask these, not the world
    server = Server(folder / "data").start(PICTOGRAPHD_TRUSTED_PROXIES="127.0.0.1", **sources.settings)
    try:
        client = Client(server.url, server.key, contract())
        environment = {**os.environ, "SCHEMATHESIS_KNOWN": json.dumps(known(client)), "PYTHONPATH": str(HERE), "SCHEMATHESIS_HOOKS": "hooks"}
        (folder / "peers.json").write_text(json.dumps(peers(server)))
        command = [pathlib.Path(sys.executable).parent / "schemathesis", "--config-file", HERE / "schemathesis.toml", "run", f"{server.url}/openapi.json",
                   "--checks", "all", "--no-color", *arguments]
        done = subprocess.run(command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        assert server.process.poll() is None, "pictographd ended"
        assert int(client.get("/organizations/me").headers["X-RateLimit-Remaining"]) > 0, "what came after the limit of the hour was not examined"
        return done.returncode, done.stdout, answers(server.log)
    finally:
        server.stop()
        sources.close()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="pictograph-schemathesis-") as base:
        code, text, seen = run(base, *sys.argv[1:])
        print(text)
        print(table(seen))
        sys.exit(code)
