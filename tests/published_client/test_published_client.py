"""The published clients of the hosted product, unchanged, against our server: they are the real users here. Each version lives in an environment of its own
(tools/setup test) and is used as a black box by drive.py."""
import contextlib
import json
import os
import pathlib
import subprocess
import sys

import pytest
import requests
import skimage
from PIL import Image

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "api"))
import videos  # noqa: E402
from server import Server  # noqa: E402
from sources import ROBOFLOW_KEY, V7_KEY, Sources  # noqa: E402


VERSIONS = ["1.0.0", "1.0.3"]


@contextlib.contextmanager
def surroundings():
    """What the drive needs beside a server: yields the settings of that server, and the variables of the drive. The sources are stand-ins of V7's and Roboflow's."""
    sources = Sources()
    sources.v7_set(1, "Leaves", 5, [{"id": "1", "name": "leaf", "bounding_box": {"x": 4, "y": 4, "w": 20, "h": 20}}])
    sources.roboflow_project("birds", "Birds", 2, [{"label": "wren", "x": 20, "y": 20, "width": 8, "height": 8}])
    photo = pathlib.Path(skimage.__file__).parent / "data" / "chelsea.png"
    words = {"PICTOGRAPH_TEST_PHOTO": str(photo)} if (ROOT / "build/deps/models/nanodet.onnx").exists() else {}
    try:
        yield sources.settings, {**words, "V7_KEY": V7_KEY, "ROBOFLOW_KEY": ROBOFLOW_KEY}
    finally:
        sources.close()


def environment(version):
    """The folder of programs of a version."""
    programs = ROOT / "build" / "deps" / f"client-{version}" / "bin"
    assert (programs / "python").exists(), f"tools/setup test installs the published client {version}"
    return programs


def drive(version, url, key, clip, variables, timeout=900):
    return subprocess.run([environment(version) / "python", pathlib.Path(__file__).with_name("drive.py"), clip], capture_output=True, text=True, timeout=timeout,
                          env={**os.environ, **variables, "PICTOGRAPH_API_KEY": key, "PICTOGRAPH_BASE_URL": url})


@pytest.mark.parametrize("version", VERSIONS)
def test_version(version, tmp_path):
    with surroundings() as (settings, variables):
        server = Server(tmp_path / "data").start(**settings)
        try:
            done = drive(version, server.url, server.key, videos.make(tmp_path / "clip.mp4"), variables)
            assert done.returncode == 0, done.stdout[-1000:] + done.stderr[-3000:]
        finally:
            server.stop()


@pytest.mark.parametrize("version", VERSIONS)
def test_command_line(version, tmp_path):
    """The client's own command line, from login to a model."""
    if subprocess.run([environment(version) / "python", "-c", "import typer"], capture_output=True).returncode:
        pytest.skip("'tools/setup test' installs what the command line needs")
    server = Server(tmp_path / "data").start()
    environ = {**{k: v for k, v in os.environ.items() if k != "PICTOGRAPH_API_KEY"}, "HOME": str(tmp_path), "PICTOGRAPH_BASE_URL": server.url}

    def say(*words, code=0):
        done = subprocess.run([environment(version) / "pictograph", *words], capture_output=True, text=True, timeout=600, env=environ, cwd=tmp_path)
        assert done.returncode == code, f"{words}: {done.stdout[-500:]}{done.stderr[-1500:]}"
        return done.stderr if code else done.stdout

    def ask(method, path, **body):
        requests.request(method, f"{server.url}/api/v1/developer/{path}", json=body, headers={"X-API-Key": server.key}, timeout=10).raise_for_status()

    def told(*words):
        return json.loads(say(*words))

    try:
        say("datasets", "list", code=2)  # no key
        assert "Saved API key" in say("login", "--api-key", server.key)
        assert told("datasets", "create", "cells", "-d", "by the command line")["name"] == "cells"
        Image.new("RGB", (64, 64), (40, 9, 9)).save(tmp_path / "0.jpg")
        image = told("images", "upload", "cells", "0.jpg", "-f", "/a")["id"]
        ask("PATCH", "projects/cells", classes=[{"name": "cell"}])
        (tmp_path / "list.json").write_text(json.dumps([{"id": "1", "name": "cell", "type": "bbox", "bounding_box": {"x": 4, "y": 5, "w": 20, "h": 20}}]))
        assert told("annotations", "save", image, "-f", "list.json")["new_count"] == 1
        for _ in range(4):  # as many as a training needs
            ask("POST", "batch/images/copy", dataset_name="cells", image_ids=[image], target_folder_path="/a", copy_annotations=True)
        assert [a["name"] for a in told("annotations", "get", image)] == ["cell"]
        say("images", "download", image, "-o", "one.jpg")
        assert (tmp_path / "one.jpg").read_bytes() == (tmp_path / "0.jpg").read_bytes()
        assert len(told("datasets", "get", "cells", "-I")["images"]) == 5 and [d["name"] for d in told("datasets", "list", "--json")] == ["cells"]
        loaded = told("datasets", "download", "cells", "-o", "out")
        assert (loaded["images_downloaded"], loaded["annotations_downloaded"], loaded["failures"]) == (5, 5, 0)
        run = told("train", "start", "cells", "-p", "yolox", "--config", '{"epochs": 1, "image_size": 64, "batch_size": 4, "model_size": "nano"}')
        assert run["status"] == "completed" and [m["id"] for m in told("models", "list", "--json")] == [run["model_id"]]
        assert told("models", "download", run["model_id"], "-o", "m.onnx")["size_bytes"] == (tmp_path / "m.onnx").stat().st_size
        assert told("train", "status", run["run_id"])["model_id"] == run["model_id"] and "completed" in say("train", "logs", run["run_id"])
        assert told("train", "cancel", run["run_id"], "-y")["status"] == "completed"  # a final state never changes
        assert told("credits", "history", "--json")[0]["balance_after"] == told("credits", "balance", "--json")["credits_remaining"]
        assert told("credits", "estimate", "training_a10g", "-q", "2")["total_credits"] == 20
        assert told("annotations", "delete", image, "-y")["deleted_count"] == 1
        say("images", "delete", image, "-y")
        say("datasets", "delete", "cells", "-y")
        assert "not found" in say("datasets", "get", "cells", code=1)
    finally:
        server.stop()
