import uuid

import pytest
from conftest import picture

BOX = {"id": "b", "name": "cell", "type": "bbox", "bounding_box": {"x": 1, "y": 2, "w": 3, "h": 4}}


@pytest.fixture
def three(owner):
    project = owner.project()
    return project, [owner.upload(project, f"{i}.jpg", picture(colour=(i, 0, 0)), folder="/a")["id"] for i in range(3)]


def call(client, verb, project, ids, expect=200, **more):
    method = "PATCH" if verb == "update" else "POST"
    return client.call(method, f"/batch/images/{verb}", expect, json={"dataset_name": project["name"], "image_ids": ids, **more}).json()


def names(owner, project, folder):
    images = owner.get(f"/datasets/{project['id']}?include_images=true").json()["dataset"]["images"]
    return sorted(i["filename"] for i in images if i["virtual_folder_path"] == folder)


def test_move(owner, three):
    project, ids = three
    other = str(uuid.uuid4())
    reply = call(owner, "move", project, [ids[0], ids[0], other], target_folder_path="/b/")
    assert reply["succeeded"] == [ids[0]] and reply["processed"] == 1 and [f["id"] for f in reply["failed"]] == [other] and not reply["success"]
    assert reply["failed"] == reply["failures"] and sorted(reply["affected_folders"]) == ["/a", "/b"]
    assert names(owner, project, "/b") == ["0.jpg"]
    owner.upload(project, "1.jpg", picture(), folder="/b")
    assert "already exists" in call(owner, "move", project, [ids[1]], target_folder_path="/b")["failed"][0]["reason"]


def test_copy(owner, three):
    project, ids = three
    owner.post(f"/annotations/{ids[0]}", {"annotations": [BOX]})
    first = call(owner, "copy", project, [ids[0]], target_folder_path="/a")
    assert names(owner, project, "/a") == ["0-2.jpg", "0.jpg", "1.jpg", "2.jpg"] and len(first["created"]) == 1
    assert owner.get(f"/annotations/{first['created'][0]['image_id']}").json()["annotations"] == []
    assert call(owner, "copy", project, [ids[0]], target_folder_path="/a", duplicate_handling="skip")["failed_count"] == 1
    with_notes = call(owner, "copy", project, ids, target_folder_path="/c", copy_annotations=True)
    copies = {c["source_id"]: c["image_id"] for c in with_notes["created"]}
    assert len(owner.get(f"/annotations/{copies[ids[0]]}").json()["annotations"]) == 1
    assert owner.get(f"/images/{copies[ids[0]]}/metadata").json()["image"]["status"] == "complete"
    again = call(owner, "copy", project, ids, target_folder_path="/c", duplicate_handling="overwrite")
    assert again["success"] and names(owner, project, "/c") == ["0.jpg", "1.jpg", "2.jpg"]
    owner.get(f"/images/{copies[ids[0]]}/metadata", 404)
    state = owner.get(f"/projects/{project['name']}").json()["project"]
    assert state["image_count"] == 7 and state["completed_image_count"] == 1


def test_copies_of_one_name(owner):
    project = owner.project()
    ids = [owner.upload(project, "a.jpg", picture(colour=(i, 0, 0)), folder=f"/{i}")["id"] for i in range(3)]
    call(owner, "copy", project, ids, target_folder_path="/all")
    call(owner, "copy", project, ids[:1], target_folder_path="/all")
    assert names(owner, project, "/all") == ["a-2.jpg", "a-3.jpg", "a-4.jpg", "a.jpg"]
    # an overwriting copy takes the place of what was there, not of one that the same call has made
    for _ in range(2):
        reply = call(owner, "copy", project, ids, target_folder_path="/one", duplicate_handling="overwrite")
        assert len(reply["succeeded"]) == len(reply["created"]) == 1 and reply["failed_count"] == 2
        owner.get(f"/images/{reply['created'][0]['image_id']}/metadata")
        assert names(owner, project, "/one") == ["a.jpg"]
    reply = call(owner, "copy", project, ids[:1], target_folder_path="/0", duplicate_handling="overwrite")
    assert "cannot replace itself" in reply["failed"][0]["reason"]


def test_none_of_the_images(owner, three):
    project, ids = three
    elsewhere = owner.project()
    for verb, more in (("move", {"target_folder_path": "/b"}), ("copy", {"target_folder_path": "/b"}), ("delete", {}), ("update", {"updates": {"status": "new"}})):
        for unknown in ([str(uuid.uuid4())], [owner.upload(elsewhere, f"{verb}.jpg", picture())["id"], str(uuid.uuid4())]):
            assert call(owner, verb, project, unknown, 404, **more)["error_code"] == "not_found"
    assert call(owner, "update", project, [ids[0], str(uuid.uuid4())], updates={"status": "new"})["failed_count"] == 1


def test_delete_and_restore(owner, with_role, three):
    project, ids = three
    assert call(with_role("member"), "delete", project, ids[:2])["success"]
    assert owner.get(f"/projects/{project['name']}").json()["project"]["archived_images"] == 2
    owner.upload(project, "1.jpg", picture(), folder="/a")
    reply = call(owner, "update", project, ids[:2], updates={"is_archived": False})
    assert reply["succeeded"] == [ids[0]] and reply["failed"][0]["id"] == ids[1]
    assert call(with_role("member"), "delete", project, ids, 403, permanent=True)["context"]["required_role"] == "admin"
    assert call(owner, "delete", project, ids, permanent=True)["processed"] == 3
    assert owner.get(f"/projects/{project['name']}").json()["project"]["image_count"] == 1


def test_update(owner, three):
    project, ids = three
    call(owner, "update", project, ids, updates={"status": "review", "display_name": "for Anna"})
    image = owner.get(f"/images/{ids[0]}/metadata").json()["image"]
    assert (image["status"], image["annotation_status"], image["display_name"]) == ("review", "in_progress", "for Anna")
    owner.post(f"/annotations/{ids[0]}", {"annotations": [BOX]})
    assert owner.get(f"/images/{ids[0]}/metadata").json()["image"]["status"] == "review"  # a save leaves it alone
    call(owner, "update", project, ids, 422, updates={})
    call(owner, "update", project, [], 422, updates={"status": "new"})
    call(owner, "update", {"name": "nope"}, ids, 404, updates={"status": "new"})
