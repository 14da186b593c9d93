import random
import sqlite3
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


def test_a_member_copies_over_their_own_images_only(owner, colleague):
    """What is replaced goes for good: decisions.md 7."""
    project = owner.project()
    mine, theirs = colleague.upload(project, "a.jpg", picture()), owner.upload(project, "a.jpg", picture(), folder="/b")
    reply = call(colleague, "copy", project, [mine["id"]], target_folder_path="/b", duplicate_handling="overwrite")
    assert reply["processed"] == 0 and "only its uploader or an admin" in reply["failed"][0]["reason"]
    owner.get(f"/images/{theirs['id']}/metadata")
    for client in (owner, colleague, colleague):  # the copy is the caller's
        folder = "/b" if client is owner else "/c"
        assert call(client, "copy", project, [mine["id"]], target_folder_path=folder, duplicate_handling="overwrite")["success"]


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


def rows(server, project):
    """{id: (folder, filename, archived, stage)} as they are stored."""
    with sqlite3.connect(server.folder / "pictograph.db", timeout=30) as db:
        return {row[0]: row[1:] for row in db.execute("SELECT id, folder, filename, is_archived, stage FROM images WHERE project_id = ?", (project["id"],))}


def check_effect(verb, more, before, after, reply):
    """What is said to have worked is so, and what failed is as it was."""
    worked, failed = reply["succeeded"], [f["id"] for f in reply["failed"] if f["id"] in before]
    if more.get("permanent"):
        assert not set(worked) & set(after)
    elif verb == "delete":
        assert all(after[i][2] for i in worked)
    elif verb == "move":
        assert all(after[i][0] == "/b" for i in worked)
    elif verb == "update":
        assert all(after[i][2:] == (more["updates"]["is_archived"], "review") for i in worked)
    else:
        created = [c["image_id"] for c in reply["created"]]
        assert [c["source_id"] for c in reply["created"]] == worked and len(set(created)) == len(created) and not set(created) & set(before)
        assert all(after[i][0] == "/b" and not after[i][2] for i in created)
    if more.get("duplicate_handling") != "overwrite":  # which removes what lies in the way
        assert all(after[i] == before[i] for i in failed)
        assert all(after[i] == before[i] for i in set(before) - set(worked))


@pytest.mark.parametrize("verb, more", [("move", {"target_folder_path": "/b"}), *(("copy", {"target_folder_path": "/b", "duplicate_handling": d}) for d in ("rename", "skip", "overwrite")),
                                        ("delete", {}), ("delete", {"permanent": True}), *(("update", {"updates": {"is_archived": a, "status": "review"}}) for a in (False, True))])
def test_each_id_either_works_or_fails(owner, server, verb, more):
    rng, project, other = random.Random(str((verb, more))), owner.project(), owner.project()
    places = [(folder, f"{n}.jpg") for folder in ("/a", "/b", "/c") for n in range(3)]
    ids = [owner.upload(project, name, picture(colour=(n, 0, 0)), folder=folder)["id"] for n, (folder, name) in enumerate(places)]
    archived = rng.sample(ids, 4)
    call(owner, "delete", project, archived)
    for image in archived[:2]:  # their names are taken meanwhile
        folder, name = places[ids.index(image)]
        ids.append(owner.upload(project, name, picture(), folder=folder)["id"])
    foreign = [owner.upload(other, "0.jpg", picture(), folder=folder)["id"] for folder in ("/a", "/b")]
    untouched = rows(server, other)
    for _ in range(4):
        asked = [*rng.choices(ids, k=6), *rng.choices(foreign, k=2), str(uuid.uuid4())] * 2
        rng.shuffle(asked)
        before = rows(server, project)
        if not set(asked) & set(before):
            call(owner, verb, project, asked, 404, **more)
            continue
        reply = call(owner, verb, project, asked, **more)
        after = rows(server, project)
        assert sorted(reply["succeeded"] + [f["id"] for f in reply["failed"]]) == sorted(set(asked))
        assert set(reply["succeeded"]) <= set(before) and all(f["reason"] and f["image_id"] == f["id"] for f in reply["failed"])
        assert (reply["processed"], reply["failed_count"], reply["success"]) == (len(reply["succeeded"]), len(reply["failed"]), False)
        check_effect(verb, more, before, after, reply)
        state = owner.get(f"/projects/{project['name']}").json()["project"]
        hidden = sum(row[2] for row in after.values())
        assert (state["image_count"], state["archived_images"]) == (len(after) - hidden, hidden)
        assert rows(server, other) == untouched
