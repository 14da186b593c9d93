import json

import pytest

BOX = {"id": "b", "name": "cell", "type": "bbox", "bounding_box": {"x": 12.5, "y": 40, "w": 96, "h": 33.25}}
POLYGON = {"id": "p", "name": "cell", "type": "polygon", "polygon": {"paths": [[{"x": 5, "y": 5}, {"x": 85, "y": 5}, {"x": 85, "y": 65}, {"x": 5, "y": 65}],
                                                                                [{"x": 35, "y": 25}, {"x": 55, "y": 25}, {"x": 45, "y": 45}]]}}
LINE = {"id": "l", "name": "nucleus", "type": "polyline", "polyline": {"path": [{"x": 3, "y": 9}, {"x": 77, "y": 9}]}}
POINT = {"id": "k", "name": "nucleus", "type": "keypoint", "keypoint": {"x": 64.5, "y": 31}, "attributes": [{"visible": True}, 3], "confidence": 0.25}


def test_all_kinds_come_back(owner, image):
    project, picture = image
    saved = owner.post(f"/annotations/{picture['id']}", {"annotations": [BOX, POLYGON, LINE, POINT]}).json()
    assert saved == {"image_id": picture["id"], "previous_count": 0, "new_count": 4, "status": "complete"}
    reply = owner.get(f"/annotations/{picture['id']}").json()
    assert reply["count"] == 4 and reply["status"] == "complete"
    box, polygon, line, point = reply["annotations"]
    assert box["bounding_box"] == BOX["bounding_box"] and box["confidence"] == 1 and box["attributes"] == [] and box["created_by"]
    assert polygon["bounding_box"] == {"x": 5, "y": 5, "w": 80, "h": 60} and polygon["polygon"] == POLYGON["polygon"]
    assert line["bounding_box"] == {"x": 3, "y": 9, "w": 74, "h": 1}  # a side of zero becomes one pixel
    assert "bounding_box" not in point and point["attributes"] == POINT["attributes"] and point["confidence"] == 0.25
    assert owner.get(f"/annotations/{picture['id']}/file").json() == reply["annotations"]
    again = owner.post(f"/annotations/{picture['id']}", {"annotations": reply["annotations"]}).json()  # what was read can be saved
    assert again["previous_count"] == 4 and owner.get(f"/annotations/{picture['id']}").json()["annotations"] == reply["annotations"]
    meta = owner.get(f"/images/{picture['id']}/metadata").json()["image"]
    assert (meta["status"], meta["annotation_status"], meta["annotation_count"]) == ("complete", "complete", 4) and meta["annotation_url"]
    assert owner.get(f"/projects/{project['name']}").json()["project"]["completed_image_count"] == 1


def test_empty_list_clears(owner, image):
    _, picture = image
    owner.post(f"/annotations/{picture['id']}", {"annotations": [BOX]})
    assert owner.post("/annotations/", {"image_id": picture["id"], "annotations": []}).json()["status"] == "new"
    assert owner.get(f"/annotations/{picture['id']}").json()["annotations"] == []


def test_delete(owner, with_role, image):
    _, picture = image
    owner.post(f"/annotations/{picture['id']}", {"annotations": [BOX, POINT]})
    with_role("member").delete(f"/annotations/{picture['id']}", 403)
    gone = owner.delete(f"/annotations/{picture['id']}").json()
    assert gone["deleted_count"] == 2 and owner.delete(f"/annotations/{picture['id']}").json()["deleted_count"] == 0


def test_ids_that_differ(owner, image):
    _, picture = image
    other = "5f0c2c6e-8f0b-4d29-9d4b-1f8a6d1f0a11"
    assert owner.post(f"/annotations/{picture['id']}", {"image_id": other, "annotations": []}, 422).json()["detail"][0]["loc"] == ["body", "image_id"]
    owner.post(f"/annotations/{picture['id']}", {"image_id": picture["id"], "annotations": []})
    owner.post("/annotations/", {"image_id": other, "annotations": []}, 404)


def test_unknown_class_names_each_place(owner, image):
    _, picture = image
    reply = owner.post(f"/annotations/{picture['id']}", {"annotations": [BOX, {**BOX, "id": "2", "name": "Cell"}, {**BOX, "id": "3", "name": "dog"}]}, 422).json()
    assert reply["error_code"] == "unknown_class"
    assert [e["loc"] for e in reply["detail"]] == [["body", "annotations", 1, "name"], ["body", "annotations", 2, "name"]]
    assert owner.get(f"/annotations/{picture['id']}").json()["annotations"] == []  # all or nothing


def test_equal_ids(owner, image):
    _, picture = image
    reply = owner.post(f"/annotations/{picture['id']}", {"annotations": [BOX, BOX]}, 422).json()
    assert reply["error_code"] == "duplicate_annotation_id" and reply["detail"][0]["loc"][:3] == ["body", "annotations", 1]


@pytest.mark.parametrize("bad, place", [
    ({**BOX, "class": "x"}, ["class"]), ({k: v for k, v in BOX.items() if k != "id"}, ["id"]), ({**BOX, "bounding_box": [1, 2, 3, 4]}, ["bounding_box"]),
    ({**BOX, "bounding_box": {"x": 0, "y": 0, "w": 0, "h": 3}}, ["bounding_box", "w"]), ({**BOX, "confidence": 1.5}, ["confidence"]), ({**BOX, "type": "circle"}, ["type"]),
    ({**POLYGON, "polygon": {"paths": [[{"x": 1, "y": 1}, {"x": 2, "y": 2}]]}}, ["polygon", "paths", 0]), ({**POLYGON, "polygon": {"paths": []}}, ["polygon", "paths"]),
    ({**LINE, "polyline": {"path": [{"x": 1, "y": 1}]}}, ["polyline", "path"]), ({**POINT, "bounding_box": BOX["bounding_box"]}, ["bounding_box"]),
    ({**POINT, "keypoint": {"x": "1", "y": 2}}, ["keypoint", "x"]), ({**BOX, "attributes": None}, ["attributes"]), ("text", []), ({**BOX, "name": "  "}, ["name"]),
])
def test_wrong_shapes(owner, image, bad, place):
    _, picture = image
    reply = owner.post(f"/annotations/{picture['id']}", {"annotations": [BOX, bad]}, 422).json()
    assert ["body", "annotations", 1, *place] in [e["loc"] for e in reply["detail"]], reply
    assert owner.get(f"/annotations/{picture['id']}").json()["annotations"] == []


@pytest.mark.parametrize("body", [b"{", b"", b"[1,2", b'{"annotations": [NaN]}', b"\xff\xfe", b'{"annotations": [1e999]}', b"[" * 100000])
def test_broken_json(owner, image, body):
    _, picture = image
    reply = owner.call("POST", f"/annotations/{picture['id']}", data=body, headers={"Content-Type": "application/json"})
    assert reply.status_code == (422 if body == b"" else 400), reply.text
    assert body == b"" or reply.json()["error_code"] == "malformed_json"


def test_a_body_above_ten_megabytes(owner, image):
    _, picture = image
    owner.call("POST", f"/annotations/{picture['id']}", 413, data=b" " * (10485760 + 1), headers={"Content-Type": "application/json"})


def test_ten_thousand_annotations(owner, image):
    _, picture = image
    many = [{**BOX, "id": str(i)} for i in range(10000)]
    assert owner.post(f"/annotations/{picture['id']}", {"annotations": many}).json()["new_count"] == 10000
    assert len(json.dumps(owner.get(f"/annotations/{picture['id']}").json())) > 10 ** 6


def test_missing_images(owner):
    owner.get("/annotations/not-a-uuid", 404)
    owner.post("/annotations/5f0c2c6e-8f0b-4d29-9d4b-1f8a6d1f0a11", {"annotations": []}, 404)
    owner.delete("/annotations/5f0c2c6e-8f0b-4d29-9d4b-1f8a6d1f0a11", 404)
