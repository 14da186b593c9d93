"""The published clients of the hosted product, unchanged, against our server: they are the real users here. Each version lives in an environment of its own
(tools/setup test) and is used as a black box by drive.py."""
import os
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "api"))
import videos  # noqa: E402
from server import Server  # noqa: E402


@pytest.mark.parametrize("version", ["1.0.0", "1.0.3"])
def test_version(version, tmp_path):
    python = ROOT / "build" / "deps" / f"client-{version}" / "bin" / "python"
    assert python.exists(), f"tools/setup test installs the published client {version}"
    server = Server(tmp_path / "data").start()
    try:
        done = subprocess.run([python, pathlib.Path(__file__).with_name("drive.py"), videos.make(tmp_path / "clip.mp4")], capture_output=True, text=True, timeout=400,
                              env={**os.environ, "PICTOGRAPH_API_KEY": server.key, "PICTOGRAPH_BASE_URL": server.url})
        assert done.returncode == 0, done.stdout[-1000:] + done.stderr[-3000:]
    finally:
        server.stop()
