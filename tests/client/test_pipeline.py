"""The pipeline against a small service in memory and a model that knows the truth: what is sent, what is held out, what a second run does."""
import json
import pathlib
import re
import shutil
import subprocess

import pytest
from service import Service, install_vision
from stand_in import BUILD

DRAW = BUILD / "tools" / "draw-dataset"


@pytest.fixture(scope="session")
def drawn(tmp_path_factory):
    folder = tmp_path_factory.mktemp("drawn") / "fruit"
    subprocess.run([DRAW, folder, "20", "3"], check=True)
    return folder


@pytest.fixture
def run(server, tmp_path):
    server.answers = Service(server.url)
    install_vision(tmp_path)

    def run(folder, *options, shift=0, code=0):
        server.asked.clear()
        done = server.cli("pipeline", "fruit", folder, "-o", tmp_path / "out", *options, PICTOGRAPH_BIN=str(tmp_path), SHIFT=str(shift))
        assert done.returncode == code, done.stderr
        return done
    return run


def split_of(folder):
    lists = {name: set((folder / "ImageSets" / "Main" / f"{name}.txt").read_text().split()) for name in ("train", "val", "test")}
    return lambda filename: next(name for name, names in lists.items() if pathlib.Path(filename).stem in names)


def test_the_whole_chain(server, run, drawn, tmp_path):
    done = run(drawn, "--epochs", "3", "--model-size", "nano", "--seed", "5")
    service, split = server.answers, split_of(drawn)
    assert len(service.images) == 20
    assert [c["name"] for c in service.projects["fruit"]["classes"]]
    for image in service.images.values():
        assert image["virtual_folder_path"] == "/"
        assert image["status"] == ("complete" if split(image["filename"]) == "train" else "review")
    assert service.runs["r-0"]["config"] == {"epochs": 3, "model_size": "nano", "seed": 5}
    job = service.jobs["j-0"]["asked"]
    assert job["model_id"] == "m-r-0" and sorted(split(p[1:]) for p in job["image_filenames"]) == ["test"] * 3 + ["val"] * 3
    export = next(e for e in service.exports.values() if e["format"] == "pictograph")
    assert export["image_count"] == 14
    assert re.fullmatch(r"mAP50 1\.000 mAP 1\.000 train 17 s total \d+ s", done.stdout.splitlines()[-1])
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["evaluation"]["val"]["images"] == 3 and report["evaluation"]["test"]["images"] == 3
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["coco.zip", "contact-sheet.jpg", "model.onnx", "report.json"]


def test_held_out_labels_never_leave(server, run, drawn):
    run(drawn)
    split = split_of(drawn)
    saved = {asked.path.rsplit("/", 1)[1] for asked in server.asked if asked.route.startswith("POST annotations/")}
    assert {split(server.answers.images[i]["filename"]) for i in saved} == {"train"}


def test_a_second_run_changes_nothing(server, run, drawn):
    run(drawn, "--seed", "1")
    service = server.answers
    before = json.dumps([service.images, service.runs, service.jobs, service.projects])
    done = run(drawn, "--seed", "1")
    assert json.dumps([service.images, service.runs, service.jobs, service.projects]) == before
    assert len(service.exports) == 2
    assert "same data and settings as run r-0" in done.stderr
    assert "20 were there already" in done.stderr and "14 were labelled already" in done.stderr
    assert done.stdout.splitlines()[-1].startswith("mAP50 1.000 mAP 1.000 train 17 s")
    run(drawn, "--seed", "2")
    assert len(service.runs) == 2


def test_a_run_under_way_is_joined(server, run, drawn):
    run(drawn)
    server.answers.runs["r-0"].update(status="running", model_id=None)
    assert "under way" in run(drawn).stderr
    assert len(server.answers.runs) == 1


def test_changed_labels_train_again(server, run, drawn):
    run(drawn)
    image = next(i for i in server.answers.images.values() if i["status"] == "complete")
    image["annotations"] = image["annotations"][1:]
    run(drawn)
    assert len(server.answers.runs) == 2


def test_worse_boxes_measure_worse(server, run, drawn):
    done = run(drawn, "--json", shift=20)
    figures = json.loads(done.stdout)["evaluation"]["val"]["all"]
    assert 0 < figures["mAP"] < figures["mAP50"] <= 1 and figures["mAP"] < 0.9


@pytest.fixture
def split(server, run, drawn, tmp_path):
    """(names trained on, names held out) of a folder with so many labelled images and no word of splits."""
    def split(names):
        folder = tmp_path / "plain"
        subprocess.run(["rm", "-rf", folder], check=True)
        for part in ("JPEGImages", "Annotations"):
            (folder / part).mkdir(parents=True)
        for i, name in enumerate(names):
            scene = f"scene_{i % 20:05}"
            (folder / "JPEGImages" / f"{name}.jpg").symlink_to(drawn / "JPEGImages" / f"{scene}.jpg")
            label = (drawn / "Annotations" / f"{scene}.xml").read_text()
            (folder / "Annotations" / f"{name}.xml").write_text(label.replace(f"{scene}.jpg", f"{name}.jpg"))
        server.answers = Service(server.url)
        assert "about one in five, by the hash" in run(folder).stderr
        images = server.answers.images.values()
        return [{pathlib.Path(i["filename"]).stem for i in images if i["status"] == status} for status in ("complete", "review")]
    return split


def test_about_a_fifth_is_held_out_where_nobody_says_which(split):
    names = [f"a{i}" for i in range(60)]
    trained, held_out = split(names)
    assert 6 <= len(held_out) <= 18 and len(trained) + len(held_out) == 60
    fewer = split(names[:40])
    assert fewer[0] <= trained and fewer[1] <= held_out  # more images move none


@pytest.mark.parametrize("prefix", "ad")
def test_of_few_images_five_are_trained_on_and_one_measures(split, prefix):
    assert [len(part) for part in split([f"{prefix}{i}" for i in range(6)])] == [5, 1]


def test_finished_held_out_images_are_warned_of(server, run, drawn):
    run(drawn)
    next(i for i in server.answers.images.values() if i["status"] == "review")["status"] = "complete"
    assert "1 held-out images are complete" in run(drawn).stderr


def test_zero_boxes_are_named_and_left_out(server, run, drawn, tmp_path):
    folder = tmp_path / "zero"
    subprocess.run(["cp", "-r", drawn, folder], check=True)
    path = folder / "Annotations" / "scene_00000.xml"
    path.write_text(re.sub(r"<xmin>\d+</xmin><ymin>\d+</ymin><xmax>\d+</xmax><ymax>\d+</ymax>",
                           "<xmin>9</xmin><ymin>9</ymin><xmax>9</xmax><ymax>9</ymax>", path.read_text(), count=1))
    done = run(folder)
    assert "scene_00000.xml" in done.stderr and "1 annotations left out" in done.stderr


def test_a_folder_without_labels_is_uploaded(server, run, drawn, tmp_path):
    folder = tmp_path / "pictures"
    (folder / "a").mkdir(parents=True)
    for i, path in enumerate(sorted((drawn / "JPEGImages").iterdir())[:3]):
        (folder / ("a" if i else ".") / path.name).write_bytes(path.read_bytes())
    done = run(folder)
    assert sorted(i["virtual_folder_path"] for i in server.answers.images.values()) == ["/", "/a", "/a"]
    assert "pictograph datasets import fruit" in done.stdout
    assert not server.answers.runs


def test_labels_that_are_at_the_server_already_are_not_asked_for_again(server, run, drawn, tmp_path):
    """`datasets upload`, `datasets import`, then this on the bare images: what to do is train, not to import once more."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    for path in sorted((drawn / "JPEGImages").iterdir())[:6]:
        (folder / path.name).write_bytes(path.read_bytes())
    run(folder)
    done = server.cli("datasets", "import", "fruit", drawn)
    assert done.returncode == 0 and '"images_saved": 6' in done.stdout, done.stdout + done.stderr
    done = run(folder)
    assert done.stdout.startswith("6 images of fruit are annotated at the server") and "pictograph train start fruit -p yolox" in done.stdout
    assert "datasets import" not in done.stdout and not server.answers.runs


def test_what_the_server_does_not_take_fails_in_the_end(server, run, drawn, tmp_path):
    folder = tmp_path / "pictures"
    folder.mkdir()
    (folder / "a.jpg").write_bytes((drawn / "JPEGImages" / "scene_00000.jpg").read_bytes())
    (folder / "back\\slash.jpg").write_bytes(b"x")
    done = run(folder, code=1)
    assert "The images are uploaded, but for those named above" in done.stdout and "did not take all of the images" in done.stderr
    run(tmp_path / "nowhere", "-o", tmp_path / "never", code=1)
    assert not (tmp_path / "never").exists()


def test_import_command(server, run, drawn, tmp_path):
    server.answers.projects["fruit"] = {"id": "d-fruit", "name": "fruit", "classes": [{"name": "kiwi"}]}
    assert server.cli("datasets", "upload", "fruit", drawn / "JPEGImages").returncode == 0
    done = server.cli("datasets", "import", "fruit", drawn, "--split", "train,val")
    told = json.loads(done.stdout)
    assert (told["format"], told["images_saved"], told["images_missing"]) == ("pascal_voc", 17, 0)
    assert "kiwi" in [c["name"] for c in server.answers.projects["fruit"]["classes"]]
    told = json.loads(server.cli("datasets", "import", "fruit", drawn, "--overwrite").stdout)
    assert (told["images_saved"], told["images_skipped"]) == (20, 0)
    done = server.cli("datasets", "import", "fruit", drawn)
    told = json.loads(done.stdout)
    assert (told["images_saved"], told["images_skipped"]) == (0, 20) and "20 images are labelled already" in done.stderr
    label = (drawn / "Annotations" / "scene_00000.xml").read_text()
    (tmp_path / "scene_00000.xml").write_text(re.sub("<name>.*?</name>", f"<name>{'x' * 121}</name>", label))
    done = server.cli("datasets", "import", "fruit", tmp_path / "scene_00000.xml")
    assert done.returncode == 1 and "x…' is longer than 120 characters" in done.stderr
    assert server.cli("datasets", "import", "nope", drawn).returncode == 1
    (tmp_path / "empty").mkdir()
    assert server.cli("datasets", "import", "fruit", tmp_path / "empty").returncode == 1


def test_labels_find_images_that_were_uploaded_with_other_folders(server, run, drawn, tmp_path):
    server.answers.projects["fruit"] = {"id": "d-fruit", "name": "fruit", "classes": []}
    assert server.cli("datasets", "upload", "fruit", drawn).returncode == 0  # into /JPEGImages
    assert json.loads(server.cli("datasets", "import", "fruit", drawn / "Annotations").stdout)["images_saved"] == 20
    told = json.loads(server.cli("datasets", "import", "fruit", drawn, "--overwrite").stdout)
    assert (told["images_saved"], told["images_missing"]) == (20, 0)
    run(drawn)
    assert len(server.answers.images) == 20  # the pipeline knows them too
    for image in server.answers.images.values():
        image["file_size"] += 1  # another picture of that name
    done = server.cli("datasets", "import", "fruit", drawn)
    told = json.loads(done.stdout)
    assert done.returncode == 1 and told["images_missing"] == 20 == len(told["missing"])
    assert told["missing"][0] == {"path": "/scene_00000.jpg", "reason": "the dataset has images of this name, but in other folders"}
    assert "none of these 20 labelled images is in 'fruit'" in done.stderr


def test_labels_alone_find_the_images_at_the_server(server, run, drawn, tmp_path):
    server.answers.projects["fruit"] = {"id": "d-fruit", "name": "fruit", "classes": []}
    server.cli("datasets", "upload", "fruit", drawn)
    for image in server.answers.images.values():
        image.update(width=200, height=100)
    for part in ("train", "val"):
        (tmp_path / "labels" / part).mkdir(parents=True)
    (tmp_path / "labels" / "train" / "scene_00003.txt").write_text("0 0.5 0.5 0.25 0.5\n")
    (tmp_path / "labels" / "val" / "gone.txt").write_text("0 0.5 0.5 0.25 0.5\n")
    done = server.cli("datasets", "import", "fruit", tmp_path / "labels")
    assert json.loads(done.stdout)["images_saved"] == 1 and "val/gone.txt: its image is missing" in done.stderr
    image = next(i for i in server.answers.images.values() if i["annotations"])
    assert image["filename"] == "scene_00003.jpg" and image["annotations"][0]["bounding_box"] == {"x": 75, "y": 25, "w": 50, "h": 50}
    (tmp_path / "labels" / "train" / "scene_00003.txt").unlink()
    done = server.cli("datasets", "import", "fruit", tmp_path / "labels")
    assert done.returncode == 1 and "labels of no image" in done.stderr


def test_labels_come_in_a_zip_too(server, run, drawn, tmp_path):
    server.answers.projects["fruit"] = {"id": "d-fruit", "name": "fruit", "classes": []}
    assert server.cli("datasets", "upload", "fruit", drawn).returncode == 0
    shutil.make_archive(str(tmp_path / "labels"), "zip", drawn)
    (tmp_path / "tmp").mkdir()
    told = json.loads(server.cli("datasets", "import", "fruit", tmp_path / "labels.zip", TMPDIR=str(tmp_path / "tmp")).stdout)
    assert (told["images_saved"], told["images_missing"]) == (20, 0)
    assert not list((tmp_path / "tmp").iterdir())


def test_labels_of_two_images_for_one_are_not_guessed(server, run, drawn, tmp_path):
    server.answers.projects["fruit"] = {"id": "d-fruit", "name": "fruit", "classes": []}
    labels = (drawn / "Annotations" / "scene_00000.xml").read_text()
    for split in ("a", "b"):
        (tmp_path / "two" / split).mkdir(parents=True)
        (tmp_path / "two" / split / "scene_00000.xml").write_text(labels)
        (tmp_path / "two" / split / "scene_00000.jpg").write_bytes((drawn / "JPEGImages" / "scene_00000.jpg").read_bytes())
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "scene_00000.jpg").write_bytes((drawn / "JPEGImages" / "scene_00000.jpg").read_bytes())
    assert server.cli("datasets", "upload", "fruit", tmp_path / "one").returncode == 0
    done = server.cli("datasets", "import", "fruit", tmp_path / "two")
    assert done.returncode == 1 and json.loads(done.stdout)["images_missing"] == 2


def test_a_split_of_another_name_is_wrong_use(server, run, drawn):
    done = server.cli("datasets", "import", "fruit", drawn, "--split", "train,training")
    assert done.returncode == 2 and "not 'training'" in done.stderr and not server.asked


def test_without_the_vision_worker_the_reason_is_said(server, run, drawn, tmp_path):
    (tmp_path / "pictograph-vision").unlink()
    assert "pictograph-vision is not installed" in run(drawn, code=2).stderr
