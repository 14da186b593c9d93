import hashlib
import io
import json
import zipfile

import pytest
import yaml
from conftest import refuse_as_not_owner

BOX = {"id": "b", "name": "cell", "type": "bbox", "bounding_box": {"x": 4, "y": 5, "w": 20, "h": 10}}


@pytest.fixture
def filled(owner, jpeg):
    project = owner.project(classes=("cell", "nucleus"))
    for i in range(3):
        image = owner.upload(project, f"i{i}.jpg", jpeg, folder="/f" if i else "/")
        if i < 2:
            owner.post(f"/annotations/{image['id']}", {"annotations": [BOX, {**BOX, "id": "n", "name": "nucleus"}]})
    return project


def export(owner, project, name="e", **fields):
    made = owner.post("/exports/", {"dataset_name": project["name"], "name": name, **fields}, 202).json()["export"]
    assert made["status"] in ("pending", "processing") and made["download_url"] is None
    return owner.wait(f"/exports/{project['name']}/{name}", "export")


def archive(owner, item):
    assert item["status"] == "completed", item
    data = owner.fetch(item["download_url"]).content
    assert len(data) == item["file_size"] and hashlib.md5(data).hexdigest() == item["md5"]
    return zipfile.ZipFile(io.BytesIO(data))


FORMATS = {"pictograph": "dataset.json", "coco": "annotations/instances.json", "yolo": "data.yaml", "cvat": "annotations.xml",
           "pascal_voc": "Annotations/f/i1.xml", "labelme": "f/i1.json", "csv": "annotations.csv"}


def labels_of(zip_file, format):
    """How often each class stands in the label files, by the plainest look at them."""
    texts = [zip_file.read(n).decode() for n in zip_file.namelist() if not n.endswith(".jpg") and n not in ("MANIFEST.json", "data.yaml", "dataset.json")]
    mark = {"pictograph": '"name":"%s"', "cvat": 'label="%s"', "pascal_voc": "<name>%s</name>", "labelme": '"label":"%s"', "csv": ",%s,"}
    if format == "coco":
        coco = json.loads(zip_file.read("annotations/instances.json"))
        names = {c["id"]: c["name"] for c in coco["categories"]}
        found = [names[a["category_id"]] for a in coco["annotations"]]
    elif format == "yolo":
        names = yaml.safe_load(zip_file.read("data.yaml"))["names"]
        found = [names[int(line.split()[0])] for n in zip_file.namelist() if n.startswith("labels/") for line in zip_file.read(n).decode().splitlines()]
    else:
        found = [name for name in ("cell", "nucleus") for text in texts for _ in range(text.count(mark[format] % name))]
    return {name: found.count(name) for name in ("cell", "nucleus")}


@pytest.mark.parametrize("format", FORMATS)
def test_formats(owner, filled, format):
    made = export(owner, filled, format=format)
    zip_file = archive(owner, made)
    names = zip_file.namelist()
    assert FORMATS[format] in names and "MANIFEST.json" in names
    assert sum(n.endswith(".jpg") for n in names) == 2  # absent filter: completed images only
    manifest = json.loads(zip_file.read("MANIFEST.json"))
    assert manifest["format"] == format and manifest["images"] == 2 and manifest["annotations"] == 4 and manifest["losses"] == []
    assert (made["image_count"], made["annotation_count"]) == (2, 4)
    assert labels_of(zip_file, format) == {"cell": 2, "nucleus": 2}


def test_names_of_classes_are_the_same_to_yaml(owner, jpeg):
    names = ["yes", "~", "1.0", "a: b # c", "'a' \"b\" \\\\n", "caf\u00e9", "\U0001f600", "line\u0085end", "line\u2028end\u2029s", "delete\x7f\u009f", "none\ufffe\uffff", "\ufffd\ue000"]
    project = owner.project(classes=names)
    image = owner.upload(project, "a.jpg", jpeg)
    owner.post(f"/annotations/{image['id']}", {"annotations": [{**BOX, "id": str(i), "name": name} for i, name in enumerate(names)]})
    zip_file = archive(owner, export(owner, project, format="yolo"))
    assert list(yaml.safe_load(zip_file.read("data.yaml"))["names"].values()) == names


@pytest.mark.parametrize("format", FORMATS)
def test_filters_in_every_format(owner, filled, format):
    one = export(owner, filled, "one class", format=format, class_filter=["nucleus"])
    assert labels_of(archive(owner, one), format) == {"cell": 0, "nucleus": 2} and one["image_count"] == 2
    labels_only = archive(owner, export(owner, filled, "labels", format=format, status_filter=None, include_images=False))
    assert not any(n.endswith(".jpg") for n in labels_only.namelist())
    assert json.loads(labels_only.read("MANIFEST.json"))["images"] == 3
    for new in ("new", "all"):  # of both vocabularies
        assert export(owner, filled, new, format=format, status_filter=new, include_images=False)["image_count"] == {"new": 1, "all": 3}[new]
    assert export(owner, filled, "done", format=format, status_filter="complete", include_images=False)["image_count"] == 2
    for none in ("in_progress", "annotate", "review"):
        owner.post("/exports/", {"dataset_name": filled["name"], "name": none, "format": format, "status_filter": none}, 404)


@pytest.mark.parametrize("format", FORMATS)
def test_equal_data_gives_equal_bytes(owner, filled, format):
    assert export(owner, filled, "a", format=format)["md5"] == export(owner, filled, "b", format=format)["md5"]


def test_what_a_format_cannot_hold_is_in_the_manifest(owner, jpeg):
    project = owner.project(classes=("cell",), annotation_types=["bbox", "polygon", "polyline", "keypoint"])
    image = owner.upload(project, "a.jpg", jpeg)
    outline = [{"x": 2, "y": 2}, {"x": 40, "y": 2}, {"x": 40, "y": 30}, {"x": 2, "y": 30}]
    hole = [{"x": 10, "y": 10}, {"x": 20, "y": 10}, {"x": 20, "y": 20}]
    owner.post(f"/annotations/{image['id']}", {"annotations": [
        {"id": "p", "name": "cell", "type": "polygon", "polygon": {"paths": [outline, hole]}},
        {"id": "l", "name": "cell", "type": "polyline", "polyline": {"path": outline}},
        {"id": "k", "name": "cell", "type": "keypoint", "keypoint": {"x": 3, "y": 4}}]})
    losses = {}
    for format in FORMATS:
        manifest = json.loads(archive(owner, export(owner, project, format, format=format)).read("MANIFEST.json"))
        losses[format] = {loss["kind"]: loss["count"] for loss in manifest["losses"]}
    left_out = {"polylines_left_out": 1, "keypoints_left_out": 1}
    assert losses == {"pictograph": {}, "coco": {"holes_as_rle": 1, **left_out}, "yolo": {"holes_left_out": 1, **left_out}, "cvat": {"holes_left_out": 1},
                      "labelme": {"holes_left_out": 1}, "pascal_voc": {"polygons_as_boxes": 1, **left_out}, "csv": {"polygons_as_boxes": 1, **left_out}}


def test_filters(owner, filled):
    everything = archive(owner, export(owner, filled, "all", status_filter=None, format="coco", include_images=False))
    assert not any(n.endswith(".jpg") for n in everything.namelist())
    assert len(json.loads(everything.read("annotations/instances.json"))["images"]) == 3
    one = export(owner, filled, "one", class_filter=["nucleus"], format="coco")
    assert one["annotation_count"] == 2 and one["image_count"] == 2
    assert owner.post("/exports/", {"dataset_name": filled["name"], "name": "none", "status_filter": "review"}, 404).json()["error_code"] == "not_found"


def test_the_snapshot_is_taken_at_creation(owner, filled, jpeg):
    image = owner.get(f"/datasets/{filled['id']}?include_images=true").json()["dataset"]["images"][0]
    made = owner.post("/exports/", {"dataset_name": filled["name"], "name": "snap", "format": "coco"}, 202).json()["export"]
    owner.post(f"/annotations/{image['id']}", {"annotations": []})
    done = owner.wait(f"/exports/{filled['name']}/{made['name']}", "export")
    assert done["annotation_count"] == 4


def test_names_lists_and_deletion(owner, with_role, colleague, stranger, filled):
    export(owner, filled, "first one")
    assert "already exists" in owner.post("/exports/", {"dataset_name": filled["name"], "name": "first one"}, 409).json()["detail"]
    for bad in ("", "a/b", "..", "x" * 101, "a%b"):
        owner.post("/exports/", {"dataset_name": filled["name"], "name": bad}, 422)
    owner.post("/exports/", {"dataset_name": filled["name"], "name": "z", "format": "tarball"}, 422)
    owner.post("/exports/", {"dataset_name": "nope", "name": "z"}, 404)
    listed = owner.get(f"/exports/?dataset_name={filled['name']}").json()
    assert [e["name"] for e in listed["exports"]] == ["first one"] and listed["exports"][0]["download_url"]
    assert owner.get(f"/exports/?dataset_name={filled['name']}&status=failed").json()["exports"] == []
    signed = owner.get(f"/exports/{filled['name']}/first one/download").json()
    assert owner.fetch(signed["download_url"]).status_code == 200
    stranger.get(f"/exports/{filled['name']}/first one", 404)
    refuse_as_not_owner(colleague.delete(f"/exports/{filled['name']}/first one", 403))
    with_role("member").delete(f"/exports/{filled['name']}/first one", 204)  # made by the same user
    owner.get(f"/exports/{filled['name']}/first one", 404)


def test_no_image_comes_before_a_taken_name(owner, filled):
    export(owner, filled, "taken")
    owner.post("/exports/", {"dataset_name": filled["name"], "name": "taken", "status_filter": "review"}, 404)


def test_a_class_filter_names_classes_of_the_project(owner, filled):
    reply = owner.post("/exports/", {"dataset_name": filled["name"], "name": "e", "class_filter": ["cell", "cel"]}, 422).json()
    assert reply["error_code"] == "unknown_class"
    assert [(e["loc"], e["msg"]) for e in reply["detail"]] == [(["body", "class_filter", 1], "'cel' is not a class of the project")]
