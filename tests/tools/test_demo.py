"""tools/demo on folders without labels: nothing is trained, so that it takes seconds."""
import pathlib
import re
import shutil
import socket
import subprocess

import pytest
from PIL import Image
from test_docs import BIN, ROOT


@pytest.fixture
def demo(tmp_path):
    """The demo in a tree of its own: demo(folder) gives its output."""
    (tmp_path / "tree" / "tools").mkdir(parents=True)
    (tmp_path / "tree" / "build").mkdir()
    shutil.copy(ROOT / "tools" / "demo", tmp_path / "tree" / "tools")
    (tmp_path / "tree" / "build" / "bin").symlink_to(BIN)

    def demo(folder):
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        return subprocess.run([tmp_path / "tree" / "tools" / "demo"], env={"PATH": "/usr/bin:/bin", "DATA": str(folder), "PORT": str(port)}, capture_output=True,
                              text=True, timeout=600)
    return demo


def pictures(folder, colour):
    folder.mkdir(parents=True)
    for i in range(3):
        Image.new("RGB", (32, 32), colour).save(folder / f"{i}.jpg")
    return folder


def test_a_folder_without_labels_is_uploaded_and_told_what_is_next(demo, tmp_path):
    done = demo(pictures(tmp_path / "images", "red"))
    assert done.returncode == 0 and "pictograph datasets import images FOLDER" in done.stdout, done.stderr
    assert "contact sheet" not in done.stdout + done.stderr
    assert "demo:   build/bin/pictographd serve --data build/demo" in done.stderr
    key = re.search(r"export PICTOGRAPH_API_KEY=\$\(cat (\S+)\)", done.stderr)[1]
    assert (tmp_path / "tree" / key).read_text().startswith("pk_live_") and "export PICTOGRAPH_BASE_URL=http://127.0.0.1:8080" in done.stderr


def test_folders_of_one_name_are_two_data_sets(demo, tmp_path):
    x, y = pictures(tmp_path / "x" / "images", "red"), pictures(tmp_path / "y" / "images", "blue")
    assert "datasets import images " in demo(x).stdout
    other = demo(y)
    assert re.search(r"datasets import images-[0-9a-f]{8} ", other.stdout) and "were there already" not in other.stderr
    again = demo(x)
    assert "datasets import images " in again.stdout and "3 were there already" in again.stderr
    assert "3 were there already" in demo(y).stderr
    assert len(list((tmp_path / "tree" / "build" / "demo-results").iterdir())) == 2
