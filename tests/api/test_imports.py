"""A zip becomes a project, whole or not at all: all seven formats, hostile archives, cancelling, kill -9."""
import contextlib
import io
import json
import os
import re
import sqlite3
import stat
import time
import uuid
import zipfile

import pillow_heif
import pytest
import yaml
from conftest import contract, picture, refuse_as_not_owner
from PIL import Image
from server import ROOT, Client, Server
from sources import V7_KEY, Sources

FORMATS = ["pictograph", "coco", "yolo", "pascal_voc", "cvat", "labelme", "csv"]
BOX = {"id": "b", "name": "cell", "type": "bbox", "bounding_box": {"x": 4, "y": 5, "w": 20, "h": 10}}


DECOMPOSED = "Fru\u0308chte.jpg"  # as a Mac writes it


def name():
    return "imported-" + uuid.uuid4().hex[:10]


def zip_of(entries):
    """{name: bytes or text} or a list of (name, data, mode)."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for entry in entries.items() if isinstance(entries, dict) else entries:
            info = zipfile.ZipInfo(entry[0])
            info.compress_type = zipfile.ZIP_DEFLATED
            info.external_attr = (entry[2] if len(entry) > 2 else stat.S_IFREG | 0o644) << 16
            archive.writestr(info, entry[1])
    return out.getvalue()


def upload(client, data):
    target = client.post("/imports/upload-url", {"filename": "dataset.zip", "file_size": max(1, len(data))}).json()
    client.put_object(target["upload_url"], data, target["content_type"])
    return target["upload_id"]


def start(client, data, **fields):
    body = {"upload_id": upload(client, data), "name": name(), **fields}
    made = client.post("/imports/", body, 202).json()["import"]
    assert made["status"] in ("pending", "processing") and made["project_id"] is None and made["name"] == body["name"]
    return made


def bring_in(client, data, **fields):
    made = start(client, data, **fields)
    done = client.wait(f"/imports/{made['id']}", "import")
    lines = client.get(f"/imports/{made['id']}/files").json()
    assert lines["total"] == done["taken"] + done["mended"] + done["left_out"]
    return done, lines["files"]


def export(client, project, export_name, **fields):
    client.post("/exports/", {"dataset_name": project, "name": export_name, "status_filter": None, **fields}, 202)
    done = client.wait(f"/exports/{project}/{export_name}", "export")
    assert done["status"] == "completed", done
    return client.fetch(done["download_url"]).content


def no_project(client, project):
    client.get(f"/projects/{project}", 404)
    listed = client.get("/projects/?limit=1000").json()
    assert project not in {p["name"] for p in listed["projects"]}


@pytest.fixture
def filled(owner):
    made = owner.post("/projects/", {"name": name(), "description": "Cells, at night", "annotation_types": ["polygon", "keypoint", "bbox"],
                                     "classes": [{"name": "cell", "color": "#112233"}, {"name": "straße", "type": "polygon", "color": "rgba(173, 255, 47, 1.0)"}]}, 201).json()["project"]
    for i, (folder, filename) in enumerate([("/", "i0.jpg"), ("/night/rain", DECOMPOSED), ("/日本/.x", ".i2.jpg")]):
        image = owner.upload(made, filename, picture(colour=(i * 50, 9, 9)), folder=folder)
        if i < 2:
            outline = {"paths": [[{"x": 1, "y": 1}, {"x": 30.25, "y": 1}, {"x": 15, "y": 20.5}]]}
            owner.post(f"/annotations/{image['id']}", {"annotations": [{**BOX, "confidence": 0.5}, {"id": "p", "name": "straße", "type": "polygon", "polygon": outline}]})
        else:
            owner.call("PATCH", "/batch/images/update", 200, json={"dataset_name": made["name"], "image_ids": [image["id"]], "updates": {"display_name": "Der dritte"}})
    return made


def padded(format):
    """A data set whose two boxes are of 'a' and of 'a '."""
    a, b = {"id": "1", "name": "a", "type": "bbox", "bounding_box": {"x": 1, "y": 1, "w": 9, "h": 9}}, {"id": "2", "name": "a ", "type": "bbox", "bounding_box": {"x": 20, "y": 20, "w": 9, "h": 9}}
    voc = "".join(f"<object><name>{n}</name><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>9</xmax><ymax>9</ymax></bndbox></object>" for n in ("a", "a "))
    cvat = "".join(f'<box label="{n}" xtl="1" ytl="1" xbr="9" ybr="9"/>' for n in ("a", "a "))
    shapes = [{"label": n, "shape_type": "rectangle", "points": [[1, 1], [9, 9]]} for n in ("a", "a ")]
    files = {
        "pictograph": {"dataset.json": json.dumps({"format": "pictograph", "name": "x", "classes": [{"name": "a"}, {"name": "a "}]}),
                       "annotations/a.jpg.json": json.dumps({"filename": "a.jpg", "annotations": [a, b]})},
        "coco": {"annotations/instances.json": json.dumps({"images": [{"id": 1, "file_name": "a.jpg", "width": 64, "height": 48}], "categories": [{"id": 1, "name": "a"}, {"id": 2, "name": "a "}],
                 "annotations": [{"id": i, "image_id": 1, "category_id": i, "bbox": [i, i, 9, 9]} for i in (1, 2)]})},
        "yolo": {"data.yaml": 'names: ["a", "a "]\n', "labels/a.txt": "0 0.5 0.5 0.1 0.1\n1 0.5 0.5 0.2 0.2\n"},
        "cvat": {"annotations.xml": f'<annotations><version>1.1</version><image name="a.jpg" width="64" height="48">{cvat}</image></annotations>'},
        "pascal_voc": {"Annotations/a.xml": f"<annotation><filename>a.jpg</filename><size><width>64</width><height>48</height><depth>3</depth></size>{voc}</annotation>"},
        "labelme": {"a.json": json.dumps({"version": "5", "flags": {}, "shapes": shapes, "imagePath": "a.jpg", "imageData": None, "imageHeight": 48, "imageWidth": 64})},
        "csv": {"annotations.csv": 'image_id,filename,folder,width,height,status,annotation_id,name,x,y,w,h,confidence,created_by\n,a.jpg,/,64,48,complete,1,a,1,1,9,9,1,\n,a.jpg,/,64,48,complete,2,"a ",1,1,9,9,1,\n'},
    }[format]
    folder = {"pascal_voc": "JPEGImages/", "labelme": ""}.get(format, "images/")
    return {**files, folder + "a.jpg": picture()}


@pytest.mark.parametrize("format", FORMATS)
def test_what_was_exported_comes_back(owner, filled, format):
    data = export(owner, filled["name"], "e", format=format)
    done, files = bring_in(owner, data)
    assert done["status"] == "completed" and done["format"] == format and done["progress"] == 100 and done["error_message"] is None, done
    assert (done["image_count"], done["annotation_count"], done["taken"]) == (3, 4, 3) and done["left_out"] == 0
    assert sorted(f["file"] for f in files if f["outcome"] == "taken") == ["i0.jpg", "night/rain/" + DECOMPOSED, "日本/.x/.i2.jpg"]
    project = owner.get(f"/projects/{done['name']}").json()["project"]
    assert project["id"] == done["project_id"] and project["image_count"] == 3
    assert {c["name"] for c in project["classes"]} == {"cell", "straße"}
    dataset = owner.get(f"/datasets/{project['id']}?include_images=true").json()["dataset"]
    for image in dataset["images"]:
        assert (image["width"], image["height"]) == (64, 48)
        annotations = owner.get(f"/annotations/{image['id']}").json()["annotations"]
        assert [a["name"] for a in annotations] == ([] if image["filename"] == ".i2.jpg" else ["cell", "straße"])
        if annotations and format != "yolo":
            assert annotations[0]["bounding_box"] == BOX["bounding_box"]
    sizes = [owner.get(f"/images/{i['id']}/thumbnail").content[:2] for i in dataset["images"]]
    assert sizes == [b"\xff\xd8"] * 3


def test_export_import_export_gives_equal_bytes(owner, filled):
    first = export(owner, filled["name"], "e")
    owner.delete(f"/projects/{filled['name']}")
    done, _ = bring_in(owner, first, name=filled["name"])
    assert done["status"] == "completed"
    assert export(owner, filled["name"], "e") == first
    project = owner.get(f"/projects/{filled['name']}").json()["project"]
    assert (project["description"], project["annotation_types"]) == (filled["description"], filled["annotation_types"])
    images = owner.get(f"/datasets/{project['id']}?include_images=true").json()["dataset"]["images"]
    assert {i["filename"]: owner.get(f"/images/{i['id']}/metadata").json()["image"]["display_name"] for i in images} == {"i0.jpg": None, DECOMPOSED: None, ".i2.jpg": "Der dritte"}
    named, _ = bring_in(owner, first, description="Mine")
    assert owner.get(f"/projects/{named['name']}").json()["project"]["description"] == "Mine"
    again, _ = bring_in(owner, first)  # beside it: the images' ids are taken, all else is equal
    second = export(owner, again["name"], "e")

    def facts(data):
        archive = zipfile.ZipFile(io.BytesIO(data))
        read = {n: archive.read(n) for n in archive.namelist() if n not in ("MANIFEST.json", "dataset.json")}
        return {n: {**json.loads(b), "id": None} if n.endswith(".json") else b for n, b in read.items()}

    assert facts(second) == facts(first)


def test_roles_and_organizations(owner, anonymous, stranger, with_role, colleague, jpeg):
    anonymous.post("/imports/upload-url", {"filename": "a.zip"}, 401)
    with_role("viewer").post("/imports/upload-url", {"filename": "a.zip"}, 403)
    anonymous.get("/imports/", 401)
    anonymous.post("/imports/", {"upload_id": str(uuid.uuid4()), "name": "x"}, 401)
    with_role("viewer").post("/imports/", {"upload_id": str(uuid.uuid4()), "name": "x"}, 403)
    done, _ = bring_in(owner, zip_of({"a.jpg": jpeg}))
    for path in (f"/imports/{done['id']}", f"/imports/{done['id']}/files"):
        anonymous.get(path, 401)
        stranger.get(path, 404)
        with_role("viewer").get(path)
        owner.get(path.replace(done["id"], "not-an-id"), 404)
    anonymous.post(f"/imports/{done['id']}/cancel", None, 401)
    with_role("viewer").post(f"/imports/{done['id']}/cancel", None, 403)
    stranger.post(f"/imports/{done['id']}/cancel", None, 404)
    refuse_as_not_owner(colleague.post(f"/imports/{done['id']}/cancel", None, 403))
    with_role("member").post(f"/imports/{done['id']}/cancel")  # started by the same user
    owner.post("/imports/not-an-id/cancel", None, 404)
    listed = owner.get("/imports/?limit=1").json()
    assert listed["imports"][0]["id"] == done["id"] and listed["limit"] == 1 and listed["total"] >= 1
    assert done["id"] not in {i["id"] for i in stranger.get("/imports/").json()["imports"]}
    owner.get("/imports/?limit=501", 422)
    owner.get(f"/imports/{done['id']}/files?outcome=lost&limit=0", 422)
    other = upload(owner, zip_of({"a.jpg": jpeg}))
    stranger.post("/imports/", {"upload_id": other, "name": name()}, 422)


def test_wrong_fields_are_named(owner, jpeg, filled):
    def fields(reply):
        return {tuple(e["loc"]) for e in reply.json()["detail"]}

    assert fields(owner.post("/imports/upload-url", {"filename": "a/b.zip", "file_size": 0, "x": 1}, 422)) == {("body", "filename"), ("body", "file_size"), ("body", "x")}
    assert fields(owner.post("/imports/upload-url", {}, 422)) == {("body", "filename")}
    owner.post("/imports/upload-url", {"filename": "a.zip", "file_size": 10 * 2**30 + 1}, 413)
    wrong = owner.post("/imports/", {"upload_id": 7, "name": "a/b", "format": "tarball", "description": 3}, 422)
    assert fields(wrong) == {("body", "upload_id"), ("body", "name"), ("body", "format"), ("body", "description")}
    for unknown in ("x", str(uuid.uuid4())):
        assert fields(owner.post("/imports/", {"upload_id": unknown, "name": name()}, 422)) == {("body", "upload_id")}
    empty = owner.post("/imports/upload-url", {"filename": "a.zip"}).json()
    assert "Nothing was uploaded" in owner.post("/imports/", {"upload_id": empty["upload_id"], "name": name()}, 422).text
    owner.put_object(empty["upload_url"], b"x", "image/jpeg", 415)
    ready = upload(owner, zip_of({"a.jpg": jpeg}))
    assert "already exists" in owner.post("/imports/", {"upload_id": ready, "name": filled["name"]}, 409).json()["detail"]
    headers = {"Idempotency-Key": uuid.uuid4().hex}
    body = {"upload_id": ready, "name": name()}
    first = owner.post("/imports/", body, 202, headers=headers).json()
    assert owner.post("/imports/", body, 202, headers=headers).json() == first
    owner.post("/imports/", {**body, "name": name()}, 422)  # an upload is used up


def test_the_report_names_files(owner, jpeg):
    coco = {"images": [{"id": 1, "file_name": "good.jpg", "width": 64, "height": 48}, {"id": 2, "file_name": "broken.png", "width": 64, "height": 48},
                       {"id": 3, "file_name": "gone.jpg", "width": 64, "height": 48}],
            "categories": [{"id": 1, "name": "cell"}, {"id": 2, "name": "x" * 121}],
            "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4]}, {"id": 2, "image_id": 1, "category_id": 1, "bbox": [1, 2, 0, 4]},
                            {"id": 3, "image_id": 1, "category_id": 2, "bbox": [1, 2, 3, 4]}, {"id": 4, "image_id": 1, "category_id": 1, "bbox": [50, 2, 300, 4]}]}
    data = zip_of({"annotations/instances.json": json.dumps(coco), "images/good.jpg": jpeg, "images/broken.png": b"\x89PNG\r\n\x1a\nno", "images/unlisted.jpg": picture()})
    done, files = bring_in(owner, data, format="coco")
    assert done["status"] == "completed" and done["image_count"] == 2 and done["annotation_count"] == 2
    told = {(f["file"], f["outcome"]): f for f in files}
    assert told["good.jpg", "mended"]["annotation_count"] == 2 and "class name" in told["good.jpg", "mended"]["message"]
    assert told["unlisted.jpg", "taken"]["message"] is None
    assert told["broken.png", "left_out"]["message"] and "pixels" in told["gone.jpg", "left_out"]["message"]
    notes = [f for f in files if f["file"] == "annotations/instances.json"]
    assert any("zero size" in f["message"] and f["outcome"] == "left_out" for f in notes) and any("cut" in f["message"] and f["outcome"] == "mended" for f in notes)
    assert [c["name"] for c in owner.get(f"/projects/{done['name']}").json()["project"]["classes"]] == ["cell"]
    page = owner.get(f"/imports/{done['id']}/files?outcome=left_out&limit=1&offset=1").json()
    assert page["total"] == done["left_out"] == 3 and len(page["files"]) == 1
    page = owner.get(f"/imports/{done['id']}/files?outcome=taken").json()
    assert page["total"] == done["taken"] == 1 and [f["file"] for f in page["files"]] == ["unlisted.jpg"]


def test_each_image_has_its_own_fault_and_its_place_in_the_report(owner):
    heic = io.BytesIO()
    pillow_heif.from_pillow(Image.new("RGB", (64, 48), (9, 8, 7))).save(heic)
    entries = {f"{i:03}.png": picture(colour=(i, 1, 2), kind="PNG") for i in range(150)}  # several slices
    entries |= {"003.png": b"\x89PNG\r\n\x1a\nno", "007.png": bytes(50 * 2**20 + 1), "149.png": b"",
                "010.heic": b"no picture: its name stays free for 010.png", "020.heic": heic.getvalue()}  # which 020.png cannot have then
    done, files = bring_in(owner, zip_of(entries))
    assert [f["file"] for f in files if f["file"] != "."] == sorted(entries)
    told = {f["file"]: f["message"] for f in files if f["outcome"] == "left_out"}
    assert set(told) == {"003.png", "007.png", "149.png", "010.heic", "020.png"} and "50 MB" in told["007.png"] and "of this name" in told["020.png"]
    assert (done["status"], done["image_count"], done["taken"], done["left_out"]) == ("completed", 147, 147, 5)


def bomb():
    return zip_of({"a.jpg": b"\0" * (100 << 20)})


HOSTILE = {
    "not a zip": lambda: b"hello",
    "cut": lambda: zip_of({"a.jpg": picture()})[:-30],
    "empty": lambda: zip_of({}),
    "no images": lambda: zip_of({"readme.txt": "hello"}),
    "up": lambda: zip_of({"../up.jpg": picture()}),
    "absolute": lambda: zip_of({"/tmp/imports_absolute.jpg": picture()}),
    "link": lambda: zip_of([("a.jpg", "/etc/passwd", stat.S_IFLNK | 0o777)]),
    "twice": lambda: zip_of([("a.jpg", picture()), ("a.jpg", picture())]),
    "a file and a folder": lambda: zip_of({"a.jpg": picture(), "a.jpg/b.jpg": picture(), "a.jpg/c/d.jpg": picture()}),
    "bomb": bomb,
    "undecodable": lambda: zip_of({"a.jpg": b"\xff\xd8\xff\xe0 and no more"}),
    "broken head": lambda: zip_of({"dataset.json": '{"format":"pictograph","name":3,"classes":[[' + "[" * 5000}),
}


@pytest.mark.parametrize("kind", HOSTILE)
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_hostile_archives_leave_nothing(owner, server, kind):
    done, _ = bring_in(owner, HOSTILE[kind]())
    assert done["status"] == "failed" and done["error_message"] and done["project_id"] is None and done["image_count"] == 0, done
    assert str(server.folder) not in done["error_message"] and not re.search("[0-9a-f]{64}", done["error_message"])
    assert kind != "not a zip" or done["error_message"] == "The upload is not a zip"
    no_project(owner, done["name"])
    assert not os.path.exists("/tmp/imports_absolute.jpg")
    assert not (server.folder / "work" / done["id"]).exists()


@pytest.mark.parametrize("format", FORMATS)
def test_names_of_classes_are_trimmed(owner, format):
    done, _ = bring_in(owner, zip_of(padded(format)))
    assert (done["format"], done["annotation_count"]) == (format, 2), done
    names = [c["name"] for c in owner.get(f"/projects/{done['name']}").json()["project"]["classes"]]
    assert names == (["a", "a (1)"] if format == "yolo" else ["a"])  # there a class is a number


def test_a_colour_that_is_none_is_replaced(owner, jpeg):
    labels = "".join(f"<label><name>{name}</name><color>{colour}</color></label>" for name, colour in {"a": "banana", "b": "teal"}.items())
    xml = f'<annotations><version>1.1</version><meta><task><labels>{labels}</labels></task></meta><image name="a.jpg" width="64" height="48"/></annotations>'
    done, _ = bring_in(owner, zip_of({"annotations.xml": xml, "images/a.jpg": jpeg}))
    classes = owner.get(f"/projects/{done['name']}").json()["project"]["classes"]
    assert classes[0]["color"].startswith("#") and (classes[1]["name"], classes[1]["color"]) == ("b", "teal")


def test_a_name_that_cannot_be_used_costs_its_entry(owner):
    archive = zip_of({"ab.jpg": picture(), "good.jpg": picture()}).replace(b"ab.jpg", b"\xe4b.jpg")  # as an old Windows writes it
    done, files = bring_in(owner, archive)
    assert (done["status"], done["image_count"], done["left_out"]) == ("completed", 1, 1)
    assert [(f["file"], f["outcome"]) for f in files if f["outcome"] != "mended"] == [("?b.jpg", "left_out"), ("good.jpg", "taken")]


def test_entities_are_not_resolved(owner, jpeg):
    xml = '<!DOCTYPE a [<!ENTITY e SYSTEM "file:///etc/passwd">]><annotations><version>1.1</version><image name="a.jpg" width="64" height="48"><box label="&e;" xtl="1" ytl="1" xbr="9" ybr="9"/></image></annotations>'
    done, files = bring_in(owner, zip_of({"annotations.xml": xml, "images/a.jpg": jpeg}))
    assert done["status"] == "completed" and done["annotation_count"] == 0 and any(f["file"] == "annotations.xml" and f["outcome"] == "left_out" for f in files)


def test_another_format_than_asked_for(owner, filled):
    done, _ = bring_in(owner, export(owner, filled["name"], "e", format="coco"), format="yolo")
    assert done["status"] == "failed" and "coco" in done["error_message"]
    no_project(owner, done["name"])


def test_a_name_that_was_taken_meanwhile(owner, jpeg):
    made = start(owner, many(60))
    owner.post("/projects/", {"name": made["name"]}, 201)
    done = owner.wait(f"/imports/{made['id']}", "import")
    assert done["status"] == "failed" and "already exists" in done["error_message"]
    assert owner.get(f"/projects/{made['name']}").json()["project"]["image_count"] == 0


def many(count):
    return zip_of({f"{i}.png": picture(600, 400, colour=(i % 255, i // 255, 7), kind="PNG") for i in range(count)})


def test_cancelling(owner, with_role):
    made = start(owner, many(400))
    while (seen := owner.get(f"/imports/{made['id']}").json()["import"])["image_count"] == 0 and seen["status"] != "completed":
        time.sleep(0.05)
    assert seen["status"] == "processing"
    no_project(owner, made["name"])
    done = owner.post(f"/imports/{made['id']}/cancel").json()["import"]  # answers once it has stopped
    assert done["status"] == "cancelled" and done["image_count"] == 0 and done["completed_at"]
    assert owner.post(f"/imports/{made['id']}/cancel").json()["import"] == done
    no_project(owner, made["name"])


@pytest.mark.parametrize("used, words", [(10_000, None), (9_999, "plan")])
def test_a_plan_without_room(server, used, words):
    organization = "Small " + uuid.uuid4().hex[:8]
    small = Client(server.url, server.command("org", "create", "--org", organization, "--email", f"{uuid.uuid4().hex[:8]}@example.org").strip(), contract())
    server.command("org", "set-tier", "--org", organization, "--tier", "free")
    with sqlite3.connect(server.folder / "pictograph.db", timeout=60) as db:
        db.execute("UPDATE organizations SET image_count = ? WHERE name = ?", (used, organization))
    if not words:
        reply = small.post("/imports/", {"upload_id": upload(small, many(2)), "name": name()}, 402).json()
        assert reply["error_code"] == "tier_limit_exceeded"
        return
    done, _ = bring_in(small, many(2))
    assert done["status"] == "failed" and words in done["error_message"]
    no_project(small, done["name"])


@pytest.fixture
def victim(tmp_path):
    server = Server(tmp_path / "data").start()
    yield server
    server.stop()


def test_kill_9_leaves_no_half_project(victim):
    owner = Client(victim.url, victim.key, contract())
    made = start(owner, many(150))
    for _ in range(2):
        deadline = time.monotonic() + 60
        while owner.get(f"/imports/{made['id']}").json()["import"]["image_count"] == 0 and time.monotonic() < deadline:
            time.sleep(0.02)
        no_project(owner, made["name"])
        victim.kill()
        victim.start()
        no_project(owner, made["name"])
    done = owner.wait(f"/imports/{made['id']}", "import")
    assert done["status"] == "completed" and done["image_count"] == 150 and done["taken"] == 150
    project = owner.get(f"/projects/{made['name']}").json()["project"]
    assert project["image_count"] == 150 and project["id"] == made["id"]
    assert len(owner.get("/projects/").json()["projects"]) == 1


def test_a_plan_without_room_for_a_project(tmp_path):
    source = Sources()
    server = Server(tmp_path / "data").start(**source.settings)
    try:
        client = Client(server.url, server.key, contract())
        cap = yaml.safe_load((ROOT / "api" / "limits.yaml").read_text())["tier_caps"]["enterprise"]["max_projects"]
        with contextlib.closing(sqlite3.connect(server.folder / "pictograph.db", timeout=60)) as db, db:
            db.execute("WITH RECURSIVE n (i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM n WHERE i < ?) INSERT INTO projects (id, organization_id, name, annotation_types, "
                       "classes, created_at, updated_at) SELECT 'p' || i, o.id, 'p' || i, '[]', '[]', 0, 0 FROM n, organizations o WHERE o.name = 'Acme'", [cap])
        last = client.post("/projects/", {"name": "last"}, 201).json()["project"]
        refused = client.post("/projects/", {"name": "last"}, 402).json()  # before 409
        assert refused["error_code"] == "tier_limit_exceeded" and refused["detail"]["limit"] == "projects"
        source.v7_set(7, "Remote", 1)
        waits, remote = upload(client, many(2)), {"provider": "v7", "api_key": V7_KEY, "datasets": [{"id": "7", "name": "Remote", "slug": "remote"}]}
        for path, body in (("/imports/", {"upload_id": waits, "name": "last"}), ("/connectors/import/start", remote)):
            refused = client.post(path, body, 402).json()  # at once, and nothing is used up
            assert refused["error_code"] == "tier_limit_exceeded" and refused["detail"]["limit"] == "projects"
        client.delete(f"/projects/{last['name']}")
        first, second = start(client, many(150)), client.post("/imports/", {"upload_id": waits, "name": name()}, 202).json()["import"]
        assert client.wait(f"/imports/{first['id']}", "import")["status"] == "completed"
        done = client.wait(f"/imports/{second['id']}", "import")
        assert done["status"] == "failed" and "projects" in done["error_message"]
    finally:
        server.stop()
        source.close()
