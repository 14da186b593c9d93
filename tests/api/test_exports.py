import hashlib
import io
import json
import zipfile

import pytest

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


@pytest.mark.parametrize("format, inside", [("pictograph", "dataset.json"), ("coco", "annotations/instances.json"), ("yolo", "data.yaml")])
def test_formats(owner, filled, format, inside):
    zip_file = archive(owner, export(owner, filled, format=format))
    names = zip_file.namelist()
    assert inside in names and "MANIFEST.json" in names
    assert sum(n.endswith(".jpg") for n in names) == 2  # absent filter: completed images only
    manifest = json.loads(zip_file.read("MANIFEST.json"))
    assert manifest
    if format == "coco":
        coco = json.loads(zip_file.read(inside))
        assert {i["file_name"] for i in coco["images"]} == {"i0.jpg", "f/i1.jpg"} and len(coco["annotations"]) == 4


def test_filters(owner, filled):
    everything = archive(owner, export(owner, filled, "all", status_filter=None, format="coco", include_images=False))
    assert not any(n.endswith(".jpg") for n in everything.namelist())
    assert len(json.loads(everything.read("annotations/instances.json"))["images"]) == 3
    one = export(owner, filled, "one", class_filter=["nucleus"], format="coco")
    assert one["annotation_count"] == 2 and one["image_count"] == 2
    assert owner.post("/exports/", {"dataset_name": filled["name"], "name": "none", "status_filter": "review"}, 404).json()["error_code"] == "not_found"


def test_equal_data_gives_equal_bytes(owner, filled):
    assert export(owner, filled, "a")["md5"] == export(owner, filled, "b")["md5"]


def test_the_snapshot_is_taken_at_creation(owner, filled, jpeg):
    image = owner.get(f"/datasets/{filled['id']}?include_images=true").json()["dataset"]["images"][0]
    made = owner.post("/exports/", {"dataset_name": filled["name"], "name": "snap", "format": "coco"}, 202).json()["export"]
    owner.post(f"/annotations/{image['id']}", {"annotations": []})
    done = owner.wait(f"/exports/{filled['name']}/{made['name']}", "export")
    assert done["annotation_count"] == 4


def test_names_lists_and_deletion(owner, with_role, stranger, filled):
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
    with_role("member").delete(f"/exports/{filled['name']}/first one", 204)  # made by the same user
    owner.get(f"/exports/{filled['name']}/first one", 404)
