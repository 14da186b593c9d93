"""The ```sh blocks of each page in docs/ are run from top to bottom against a real server, and every served operation has a running example.

A page becomes a script of the same number of lines, everything outside its blocks blank, so that bash's line numbers are the page's. It runs in an
empty folder with PICTOGRAPH_BASE_URL, PICTOGRAPH_API_KEY, photos/ (six small pictures) and a data set `cells` of them. Examples that cannot run
here (installing packages, another machine) stand in ```console blocks. Which operations a page exercised is read from the server's access log.
"""
import contextlib
import functools
import io
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile

import pytest
import videos
from conftest import contract
from PIL import Image, ImageDraw
from server import BIN, ROOT, Client, Server
from sources import ROBOFLOW_KEY, V7_KEY, Sources, coco_archive

DOCS = ROOT / "docs"
PAGES = sorted(page.name for page in DOCS.glob("*.md") if re.search(r"^```sh$", page.read_text(), re.M) and page.name != "cli.md")
PHOTOS = ["a", "b", "c", "d", "e", "f"]


@contextlib.contextmanager
def clip():
    """A video of the reader's."""
    with tempfile.TemporaryDirectory(prefix="pictograph-clip-") as folder:
        yield {"CLIP": str(videos.make(pathlib.Path(folder) / "clip.mp4"))}


@contextlib.contextmanager
def sources_of_imports():
    """Stand-ins for V7 and Roboflow, with a data set each."""
    sources = Sources()
    sources.v7_set(1, "Leaves", 4, [{"id": "1", "name": "leaf", "bounding_box": {"x": 4, "y": 4, "w": 20, "h": 20}}, {"id": "2", "name": "wet", "tag": {}}])
    sources.roboflow_project("birds", "Birds", 2)
    sources.projects["birds"]["versions"][1] = coco_archive({"train": ("a.jpg", [[1, 2, 10, 10]])})
    try:
        yield {**sources.settings, "V7_KEY": V7_KEY, "ROBOFLOW_KEY": ROBOFLOW_KEY}
    finally:
        sources.close()


@contextlib.contextmanager
def published_client():
    """The environment of the published client, first in the path."""
    yield {"PATH": f"{ROOT}/build/deps/client-1.0.3/bin:{BIN}:{os.environ['PATH']}"}


# page -> context manager that runs what its examples need beside the server, and yields environment variables for both.
COMPANIONS = {"connectors.md": sources_of_imports, "python.md": published_client, "video.md": clip}
OPTIONAL = dict.fromkeys(["auto-annotate.md", "first-steps.md"], ROOT / "build/deps/models/nanodet.onnx")  # page -> what it needs that a set-up may lack


def script_of(page):
    """The page's examples at their own lines."""
    lines, inside = [], False
    for line in (DOCS / page).read_text().splitlines():
        fence = line.startswith("```")
        inside = (line == "```sh") if fence and not inside else inside and not fence
        lines.append(line if inside and not fence else "")
    lines[0] = r"""trap 'echo "line $LINENO of the page failed: $BASH_COMMAND" >&2' ERR; set -E"""  # a page's first line is its title
    return "\n".join(lines) + "\n"


def cell(number, kind="bbox", name="cell"):
    shape = {"bbox": {"bounding_box": {"x": 6, "y": 8, "w": 20, "h": 16}},
             "polygon": {"polygon": {"paths": [[{"x": 30, "y": 6}, {"x": 52, "y": 10}, {"x": 44, "y": 36}, {"x": 28, "y": 30}]]}}}[kind]
    return {"id": f"{number}-{kind}", "name": name, "type": kind, **shape}


def draw(letter):
    """A picture of its own for each letter: a bright disc on a dark ground."""
    image = Image.new("RGB", (64, 48), (40, 44, 52))
    place = 8 + 6 * PHOTOS.index(letter)
    ImageDraw.Draw(image).ellipse((place, 10, place + 18, 28), fill=(210, 90 + 20 * PHOTOS.index(letter), 80))
    out = io.BytesIO()
    image.save(out, "JPEG", quality=92)
    return out.getvalue()


def prepare(client, folder):
    """photos/ and the data set `cells`: five pictures with boxes, three of them with polygons too, one without any."""
    (folder / "photos" / "cells").mkdir(parents=True)
    project = client.post("/projects/", {"name": "cells", "annotation_types": ["bbox", "polygon"], "classes": [{"name": "cell"}, {"name": "dust"}]}, 201).json()["project"]
    for n, letter in enumerate(PHOTOS):
        data = draw(letter)
        (folder / "photos" / "cells" / f"{letter}.jpg").write_bytes(data)
        image = client.upload(project, f"{letter}.jpg", data)
        if n < 5:
            client.post(f"/annotations/{image['id']}", {"annotations": [cell(n), *([cell(n, "polygon", "dust")] if n >= 2 else [])]})


@functools.lru_cache(None)
def run_page(page):
    """(exit status, what went to standard error, operations that answered below 400)."""
    with tempfile.TemporaryDirectory(prefix="pictograph-docs-") as base, COMPANIONS.get(page, contextlib.nullcontext)() as settings:
        base = pathlib.Path(base)
        folder = base / "work"
        folder.mkdir()
        server = Server(base / "data").start(**(settings or {}))
        try:
            client = Client(server.url, server.key, contract())
            prepare(client, folder)
            last = client.get("//healthz").headers["X-Request-Id"]
            script = base / page
            script.write_text(script_of(page))
            environment = {"PATH": f"{BIN}:{pathlib.Path(sys.executable).parent}:{os.environ['PATH']}", "HOME": str(folder), "LANG": "C.UTF-8", "PICTOGRAPH_BASE_URL": server.url,
                           "PICTOGRAPH_API_KEY": server.key, "PICTOGRAPH_DATA": str(server.folder), **(settings or {})}
            try:
                done = subprocess.run(["bash", "-euo", "pipefail", script], cwd=folder, env=environment, capture_output=True, text=True, timeout=900)
                code, text = done.returncode, done.stdout[-1500:] + done.stderr[-3000:]
            except subprocess.TimeoutExpired as e:
                code, text = -1, f"not done after {e.timeout:.0f} s: {(e.stderr or b'')[-2000:]!r}"
        finally:
            server.stop()
        after = server.log.read_text().partition(last)[2].partition("\n")[2]  # what prepare() did is no example
        lines = [json.loads(line) for line in after.splitlines() if line.startswith("{")]
        return code, text, frozenset(l["operation"] for l in lines if l.get("event") == "request" and l["status"] < 400 and "operation" in l)


def need(page):
    if page in OPTIONAL and not OPTIONAL[page].exists():
        pytest.skip(f"{OPTIONAL[page].name} is not installed: tools/setup models")


@pytest.mark.parametrize("page", PAGES)
def test_examples_run(page):
    need(page)
    code, text, _ = run_page(page)
    assert code == 0, f"docs/{page}: exit status {code}\n{text}"


def by_tag():
    tags = {}
    for name, operation in contract().operations.items():
        tags.setdefault(operation["tags"][0], set()).add(name)
    return tags


@pytest.mark.parametrize("tag", sorted(by_tag()))
def test_every_operation_has_an_example(tag):
    """On the page of its feature."""
    page = f"{tag}.md"
    assert (DOCS / page).exists(), f"docs/{page} is missing: it must show {', '.join(sorted(by_tag()[tag]))}"
    need(page)
    missing = by_tag()[tag] - run_page(page)[2]
    assert not missing, f"docs/{page} has no running example of {', '.join(sorted(missing))}"
