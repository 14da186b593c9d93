"""The command line against a real server: what goes in comes out again."""
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import uuid

import pytest
from PIL import Image
from stand_in import BUILD, CLI, ROOT

sys.path.insert(0, str(ROOT / "tests" / "api"))
from server import BIN, Server  # noqa: E402


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """(address, key) of a fresh server, or of the one that PICTOGRAPH_TEST_SERVER names (tests/soak)."""
    if "PICTOGRAPH_TEST_SERVER" in os.environ:
        yield os.environ["PICTOGRAPH_TEST_SERVER"].split()
        return
    server = Server(tmp_path_factory.mktemp("server") / "data").start()
    yield server.url, server.key
    server.stop()


@pytest.fixture(scope="module")
def pictograph(served):
    """Runs the command line; gives its parsed JSON or, with fails=True, what it said."""
    url, key = served

    def run(*words, fails=False, stream="stdout"):
        done = subprocess.run([CLI, *map(str, words)], capture_output=True, text=True, timeout=600,
                              env={"PATH": "/usr/bin:/bin", "HOME": "/nonexistent", "PICTOGRAPH_API_KEY": key, "PICTOGRAPH_BASE_URL": url, "PICTOGRAPH_BIN": str(BIN)})
        assert (done.returncode != 0) == fails, done.stderr
        return done.stderr if fails or stream == "stderr" else json.loads(done.stdout) if done.stdout[:1] in "[{" else done.stdout
    return run


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    folder = tmp_path_factory.mktemp("drawn") / "fruit"
    subprocess.run([BUILD / "tools" / "draw-dataset", folder, "12", "5"], check=True)
    return folder


@pytest.fixture(scope="module")
def dataset(pictograph, drawn):
    name = f"früchte {uuid.uuid4().hex[:6]}"
    told = pictograph("datasets", "upload", name, drawn / "JPEGImages")
    assert (told["images_uploaded"], told["failures"]) == (12, 0)
    told = pictograph("datasets", "import", name, drawn)
    assert told["images_saved"] == 12
    yield name
    if "PICTOGRAPH_TEST_KEEP" not in os.environ:
        pictograph("datasets", "delete", name, "-y")


def test_what_went_up_comes_down(pictograph, drawn, dataset, tmp_path):
    told = pictograph("datasets", "download", dataset, "-o", tmp_path)
    assert (told["images_downloaded"], told["annotations_downloaded"], told["failures"]) == (12, 12, 0)
    for picture in (drawn / "JPEGImages").iterdir():
        assert (tmp_path / picture.name).read_bytes() == picture.read_bytes()
        assert json.loads((tmp_path / (picture.name + ".json")).read_text())[0]["type"] == "bbox"


def test_a_second_upload_and_import_skip(pictograph, drawn, dataset):
    assert pictograph("datasets", "upload", dataset, drawn / "JPEGImages")["images_skipped"] == 12
    assert pictograph("datasets", "import", dataset, drawn)["images_skipped"] == 12


def test_an_import_goes_on_past_what_no_class_can_have(pictograph, drawn, tmp_path):
    picture = sorted((drawn / "JPEGImages").iterdir())[0]
    labels = "<label><name> cell </name><color>banana</color></label>"
    (tmp_path / "annotations.xml").write_text(
        f"<annotations><version>1.1</version><meta><task><labels>{labels}</labels></task></meta>"
        f'<image name="{picture.name}" width="640" height="480"><box label="cell " xtl="1" ytl="1" xbr="9" ybr="9"/></image></annotations>')
    shutil.copy(picture, tmp_path)
    dataset = f"cells {uuid.uuid4().hex[:6]}"
    pictograph("datasets", "upload", dataset, tmp_path)
    assert pictograph("datasets", "import", dataset, tmp_path)["images_saved"] == 1
    assert [c["name"] for c in pictograph("datasets", "get", dataset)["classes"]] == ["cell"]
    pictograph("datasets", "delete", dataset, "-y")


def test_lists_and_facts(pictograph, dataset):
    assert dataset in pictograph("datasets", "list")
    facts = pictograph("datasets", "get", dataset, "-I", "--images-limit", "5")
    assert (facts["image_count"], facts["completed_image_count"], len(facts["images"])) == (12, 12, 5)
    assert pictograph("models", "list") == "No results.\n"
    assert pictograph("credits", "balance", "--json")["credits_remaining"] > 0
    assert pictograph("credits", "estimate", "training_a10g_per_minute", "-q", "30")["total_credits"] == 300


def test_one_image_and_its_annotations(pictograph, drawn, dataset, tmp_path):
    picture = next((drawn / "JPEGImages").iterdir())
    image = pictograph("images", "upload", dataset, picture, "-f", "/one/two")
    assert image["virtual_folder_path"] == "/one/two" and image["width"] == 640
    assert "already exists" in pictograph("images", "upload", dataset, picture, "-f", "/one/two", fails=True)
    path = tmp_path / "a.json"
    path.write_text('[{"name": "apple", "type": "bbox", "bounding_box": {"x": 1, "y": 2, "w": 3, "h": 4}}]')
    assert pictograph("annotations", "save", image["id"], "-f", path)["new_count"] == 1
    assert pictograph("annotations", "get", image["id"])[0]["name"] == "apple"
    path.write_text('[{"name": "no such class", "type": "bbox", "bounding_box": {"x": 1, "y": 2, "w": 3, "h": 4}}]')
    assert "422" in pictograph("annotations", "save", image["id"], "-f", path, fails=True)
    assert pictograph("annotations", "delete", image["id"], "-y")["deleted_count"] == 1
    pictograph("images", "download", image["id"], "-o", tmp_path / "b.jpg")
    assert (tmp_path / "b.jpg").read_bytes() == picture.read_bytes()
    assert pictograph("images", "delete", image["id"], "-y") == f"Deleted image '{image['id']}'.\n"


def test_an_undecodable_file_is_told_by_name(pictograph, dataset, tmp_path):
    (tmp_path / "broken.jpg").write_bytes(b"\xff\xd8\xff nothing")
    assert "broken.jpg" in pictograph("datasets", "upload", dataset, tmp_path, fails=True)


def test_exports(pictograph, dataset, tmp_path):
    made = pictograph("exports", "create", dataset, "büchse 1", "-F", "coco", "--no-images")
    assert (made["status"], made["image_count"]) == ("completed", 12)
    assert pictograph("exports", "download", dataset, "büchse 1", "-o", tmp_path / "a.zip")["size_bytes"] == made["file_size"]
    assert "büchse 1" in pictograph("exports", "list", "--dataset", dataset)
    assert "'aple' is not a class of the project" in pictograph("exports", "create", dataset, "slip", "--classes", "apple, aple", fails=True)
    assert "Deleted" in pictograph("exports", "delete", dataset, "büchse 1", "-y")
    assert "404" in pictograph("exports", "get", dataset, "büchse 1", fails=True)


def test_point_prompt(pictograph, drawn, dataset):
    image = pictograph("datasets", "get", dataset, "-I", "--images-limit", "1")["images"][0]
    box = pictograph("annotations", "get", image["id"])[0]["bounding_box"]
    told = pictograph("auto-annotate", "point", dataset, image["filename"], box["x"] + box["w"] / 2, box["y"] + box["h"] / 2,
                      "--name", "apple", "--score-threshold", "0")
    assert told["status"] in ("success", "no_detection", "below_threshold")


def test_deleting_a_dataset(pictograph, tmp_path):
    pictograph("datasets", "create", "soon gone", "-d", "a test")
    assert pictograph("datasets", "delete", "soon gone", "-y") == "Deleted dataset 'soon gone'.\n"
    assert "Project 'soon gone' not found" in pictograph("datasets", "get", "soon gone", fails=True)


@pytest.mark.skipif("PICTOGRAPH_TEST_SERVER" in os.environ, reason="the soak trains by the published clients")
def test_pipeline(pictograph, drawn, tmp_path):
    """All of it: server, trainer and vision worker are the real ones, and some of the pictures are no JPEG."""
    folder, out = tmp_path / "fruit", tmp_path / "out"
    shutil.copytree(drawn, folder)
    for path in sorted((folder / "JPEGImages").iterdir())[:5]:
        Image.open(path).save(path.with_suffix(".png"))
        path.unlink()
        label = folder / "Annotations" / f"{path.stem}.xml"
        label.write_text(label.read_text().replace(path.name, f"{path.stem}.png"))
    stems = [path.stem for path in sorted((folder / "Annotations").iterdir())]
    for part, names in ("train", stems[3:-1]), ("val", stems[:3] + stems[-1:]):  # a PNG and a JPEG are held out
        (folder / "ImageSets" / "Main" / f"{part}.txt").write_text("\n".join(names))
    said = pictograph("pipeline", "all of it", folder, "-o", out, "--epochs", "1", "--model-size", "nano")
    assert re.fullmatch(r"mAP50 [01]\.\d{3} mAP [01]\.\d{3} train \d+ s total \d+ s", said.splitlines()[-1]), said
    report = json.loads((out / "report.json").read_text())
    assert report["evaluation"]["val"]["images"] == 4
    facts = pictograph("datasets", "get", "all of it", "-I", "--images-limit", "12")
    assert (facts["image_count"], facts["completed_image_count"]) == (12, 8)
    names = {image["filename"] for image in facts["images"] if image["status"] == "review"}
    assert len(names) == 4 and {pathlib.Path(name).suffix for name in names} == {".jpg", ".png"}
    assert sorted(path.name for path in out.iterdir()) == ["coco.zip", "contact-sheet.jpg", "model.onnx", "report.json"]
    assert Image.open(out / "contact-sheet.jpg").size[0] > 100
    assert "same data and settings" in pictograph("pipeline", "all of it", folder, "-o", out, "--epochs", "1", "--model-size", "nano", stream="stderr")
