"""The published clients of the hosted product, unchanged, against our server: they are the real users here. Each version lives in an environment of its own
(tools/setup test) and is used as a black box by drive.py."""
import contextlib
import os
import pathlib
import subprocess
import sys

import pytest
import skimage

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


def drive(version, url, key, clip, variables, timeout=400):
    python = ROOT / "build" / "deps" / f"client-{version}" / "bin" / "python"
    assert python.exists(), f"tools/setup test installs the published client {version}"
    return subprocess.run([python, pathlib.Path(__file__).with_name("drive.py"), clip], capture_output=True, text=True, timeout=timeout,
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
