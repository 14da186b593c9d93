#!/usr/bin/env python3
"""`schemathesis run` against a server of its own with a small data set. Arguments go on to schemathesis: run.py -n 200."""
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


def run(folder, *arguments):
    sources = Sources()  # imports ask these, not the world
    server = Server(pathlib.Path(folder) / "data").start(PICTOGRAPHD_ACCESS_LOG="false", **sources.settings)
    try:
        client = Client(server.url, server.key, contract())
        environment = {**os.environ, "SCHEMATHESIS_KNOWN": json.dumps(known(client)), "PYTHONPATH": str(HERE), "SCHEMATHESIS_HOOKS": "hooks"}
        command = [pathlib.Path(sys.executable).parent / "schemathesis", "--config-file", HERE / "schemathesis.toml", "run", f"{server.url}/openapi.json",
                   "-H", f"X-API-Key: {server.key}", "--checks", "all", "--no-color", *arguments]
        done = subprocess.run(command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        assert server.process.poll() is None, "pictographd ended"
        return done.returncode, done.stdout
    finally:
        server.stop()
        sources.close()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="pictograph-schemathesis-") as base:
        code, text = run(base, *sys.argv[1:])
        print(text)
        sys.exit(code)
