import uuid

import pytest


def fresh():
    return "p-" + uuid.uuid4().hex[:10]


def test_life_of_a_project(owner):
    name = fresh()
    made = owner.post("/projects/", {"name": name, "description": "signs", "annotation_types": ["box", "polygon"],
                                     "classes": [{"name": "stop", "type": "box", "color": "#ff0000"}, {"name": "yield"}]}, 201).json()["project"]
    assert made["annotation_types"] == ["bbox", "polygon"]
    assert [(c["name"], c["type"]) for c in made["classes"]] == [("stop", "bbox"), ("yield", "bbox")]
    assert made["classes"][1]["color"] and made["classes"][1]["color"] != "#ff0000"
    assert (made["image_count"], made["total_size"], made["archived_images"]) == (0, 0, 0)
    assert owner.get(f"/projects/{name}").json()["project"] == made
    assert owner.get(f"/projects/{name}/").json()["project"] == made  # a trailing slash is no other path
    changed = owner.patch(f"/projects/{name}", {"name": name + "-b", "description": None}).json()["project"]
    assert changed["name"] == name + "-b" and changed["description"] is None and changed["id"] == made["id"]
    assert owner.get(f"/projects/{name}", 404).json()["detail"] == f"Project '{name}' not found"
    gone = owner.delete(f"/projects/{name}-b").json()["deleted"]
    assert (gone["images_deleted"], gone["annotations_deleted"]) == (0, 0)
    owner.delete(f"/projects/{name}-b", 404)


def test_names_are_unique_and_case_sensitive(owner):
    name = fresh()
    owner.post("/projects/", {"name": name}, 201)
    reply = owner.post("/projects/", {"name": name}, 409).json()
    assert "already exists" in reply["detail"] and reply["error_code"] == "already_exists"
    owner.post("/projects/", {"name": name.upper()}, 201)
    other = owner.project()
    owner.patch(f"/projects/{other['name']}", {"name": name}, 409)


@pytest.mark.parametrize("name", ["Straße mit Blank", "日本語", "a.b", "…", "x" * 128])
def test_names_in_any_script(owner, name):
    name = name[:118] + uuid.uuid4().hex[:10]
    owner.post("/projects/", {"name": name}, 201)
    assert owner.get(f"/projects/{name}").json()["project"]["name"] == name
    owner.delete(f"/projects/{name}")


@pytest.mark.parametrize("name", ["", "a/b", "a\\b", "a?b", "a#b", "a%b", "a\nb", ".", "..", " a", "a ", "x" * 129, 5, None, ["a"], "a\u0000b"])
def test_bad_names(owner, name):
    reply = owner.post("/projects/", {"name": name}, 422).json()
    assert reply["detail"][0]["loc"] == ["body", "name"]


def test_every_wrong_field_is_named(owner):
    reply = owner.post("/projects/", {"description": 7, "annotation_types": ["bbox", "circle"], "classes": [{"name": ""}, {"colour": "red", "name": "a"}], "extra": 1}, 422).json()
    places = {tuple(e["loc"]) for e in reply["detail"]}
    assert {("body", "name"), ("body", "description"), ("body", "annotation_types", 1), ("body", "classes", 0, "name"), ("body", "classes", 1, "colour"), ("body", "extra")} <= places
    kinds = {tuple(e["loc"]): e["type"] for e in reply["detail"]}
    assert kinds[("body", "name")] == "missing" and kinds[("body", "extra")] == "extra_forbidden"


@pytest.mark.parametrize("colour", ["banana", "#12345", "#00aafg", "rgb(1,2)", "red;x:y", "<b>", "#0af "])
def test_a_colour_is_one_of_css(owner, colour):
    made = owner.project(classes=["a"])
    classes = [{"name": "a", "color": "rgb(0 170 255 / 50%)"}, {"name": "b", "color": colour}]
    for reply in (owner.post("/projects/", {"name": fresh(), "classes": classes}, 422), owner.patch(f"/projects/{made['name']}", {"classes": classes}, 422)):
        assert [e["loc"] for e in reply.json()["detail"]] == [["body", "classes", 1, "color"]]
    classes[1]["color"] = "DarkSlateGray"
    assert owner.patch(f"/projects/{made['name']}", {"classes": classes}).json()["project"]["classes"] == [{"type": "bbox", **c} for c in classes]


@pytest.mark.parametrize("name", ["a ", " a", "\ta", "a\n", "a\u00a0", "\u3000a", "\u0085a", "a\ufeff", "a\u001c", " "])
def test_a_class_has_no_blank_at_its_ends(owner, name):
    made = owner.project(classes=["a"])
    for reply in (owner.post("/projects/", {"name": fresh(), "classes": [{"name": "a"}, {"name": name}]}, 422),
                  owner.patch(f"/projects/{made['name']}", {"classes": [{"name": "a"}, {"name": name}]}, 422),
                  owner.post("/auto-annotate/batch", {"dataset_name": made["name"], "image_filenames": ["a.jpg"], "classes": [{"name": "a"}, {"name": name}]}, 422)):
        assert [e["loc"] for e in reply.json()["detail"]] == [["body", "classes", 1, "name"]]
    owner.patch(f"/projects/{made['name']}", {"classes": [{"name": "a b"}, {"name": "a  b"}, {"name": "…"}]})


def test_duplicate_classes(owner):
    reply = owner.post("/projects/", {"name": fresh(), "classes": [{"name": "a"}, {"name": "a"}]}, 422).json()
    assert reply["error_code"] == "duplicate_class"


def test_empty_update(owner):
    project = owner.project()
    assert owner.patch(f"/projects/{project['name']}", {}, 422).json()["error_code"] in ("empty_update", "validation_error")


def test_removed_classes_take_their_annotations(owner, image):
    project, picture = image
    box = {"x": 1, "y": 2, "w": 3, "h": 4}
    owner.post(f"/annotations/{picture['id']}", {"annotations": [{"id": "1", "name": "cell", "type": "bbox", "bounding_box": box},
                                                                 {"id": "2", "name": "nucleus", "type": "bbox", "bounding_box": box}]})
    owner.patch(f"/projects/{project['name']}", {"classes": [{"name": "nucleus"}]})
    left = owner.get(f"/annotations/{picture['id']}").json()["annotations"]
    assert [a["id"] for a in left] == ["2"]
    owner.patch(f"/projects/{project['name']}", {"classes": []})
    assert owner.get(f"/annotations/{picture['id']}").json()["annotations"] == []
    after = owner.get(f"/images/{picture['id']}/metadata").json()["image"]
    assert after["status"] == "new" and after["annotation_count"] == 0
    assert owner.get(f"/projects/{project['name']}").json()["project"]["completed_image_count"] == 0


def test_lists_are_paged_by_name(owner):
    for _ in range(3):
        owner.project()
    everything = owner.get("/projects/?limit=1000").json()
    names = [p["name"] for p in everything["projects"]]
    assert names == sorted(names) and everything["total"] == len(names)
    page = owner.get("/projects/?limit=2&offset=1").json()
    assert [p["name"] for p in page["projects"]] == names[1:3] and (page["limit"], page["offset"]) == (2, 1)
    for query in ("limit=0", "limit=1001", "limit=x", "offset=-1"):
        assert owner.get(f"/projects/?{query}", 422).json()["detail"][0]["loc"] == ["query", query.split("=")[0]]


def test_datasets_show_the_same(owner, image):
    project, picture = image
    by_name = owner.get(f"/datasets/by-name/{project['name']}").json()["dataset"]
    by_id = owner.get(f"/datasets/{project['id']}").json()["dataset"]
    assert by_name == by_id and by_name["image_count"] == 1 and by_name["total_size"] == picture["file_size"]
    full = owner.get(f"/datasets/{project['id']}?include_images=true").json()["dataset"]
    assert [i["id"] for i in full["images"]] == [picture["id"]]
    assert owner.get(f"/datasets/by-name/{project['name']}?include_images=true&images_limit=1&images_offset=1").json()["dataset"]["images"] == []
    listed = owner.get("/datasets/?limit=1000").json()
    assert project["name"] in [d["name"] for d in listed["datasets"]]
    assert owner.get("/datasets/not-a-uuid", 404).json()["message"].startswith("Not found: 'not-a-uuid' is no id")
    owner.get("/datasets/by-name/nope", 404)
    owner.get(f"/datasets/{project['id']}?images_limit=10001", 422)


def test_other_organizations_see_nothing(stranger, image):
    project, picture = image
    for path in (f"/projects/{project['name']}", f"/datasets/by-name/{project['name']}", f"/datasets/{project['id']}", f"/images/{picture['id']}",
                 f"/images/{picture['id']}/metadata", f"/annotations/{picture['id']}"):
        stranger.get(path, 404)
    stranger.delete(f"/projects/{project['name']}", 404)


def test_roles(with_role, owner):
    project = owner.project()
    with_role("viewer").get(f"/projects/{project['name']}")
    reply = with_role("viewer").post("/projects/", {"nonsense": 1}, 403).json()  # the role comes before the body
    assert reply["error_code"] == "insufficient_role" and reply["context"] == {"required_role": "member", "role": "viewer"}
    with_role("member").patch(f"/projects/{project['name']}", {"description": "x"})
    with_role("member").delete(f"/projects/{project['name']}", 403)
    with_role("admin").delete(f"/projects/{project['name']}")


def colours(project):
    return [c["color"].lower() for c in project["classes"]]


def test_a_class_without_a_colour_gets_one_that_no_class_has(owner):
    made = owner.post("/projects/", {"name": fresh(), "classes": [{"name": "a"}, {"name": "b", "color": "#E6194B"}, {"name": "c"}]}, 201).json()["project"]
    assert colours(made) == ["#3cb44b", "#e6194b", "#ffe119"]
    changed = owner.patch(f"/projects/{made['name']}", {"classes": [{"name": "new"}, {"name": "a"}, {"name": "c"}]}).json()["project"]
    assert colours(changed) == ["#e6194b", "#3cb44b", "#ffe119"]
    many = owner.post("/projects/", {"name": fresh(), "classes": [{"name": str(i)} for i in range(100)]}, 201).json()["project"]
    assert len(set(colours(many))) == 100


def test_what_is_not_there_is_404_whatever_else_is_wrong(owner):
    nobody = "5f0c2c6e-8f0b-4d29-9d4b-1f8a6d1f0a11"
    owner.patch(f"/projects/{fresh()}", {"classes": [{"name": "a"}, {"name": "a"}]}, 404)
    owner.post(f"/annotations/{nobody}", {"image_id": str(uuid.uuid4()), "annotations": []}, 404)
    owner.post("/training/", {"dataset_name": fresh(), "export_name": "e", "pipeline_type": "detectron2"}, 404)


def test_a_refused_name_says_what_a_name_may_hold(owner):
    refused = owner.post("/projects/", {"name": "a/b"}, 422).json()["detail"]
    assert [(e["loc"], e["msg"]) for e in refused] == [
        (["body", "name"], "String should have none of / \\ ? # %, no control characters, no blank at its ends, and not be '.' or '..'")]
