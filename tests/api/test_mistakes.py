"""What people are told who make a plausible mistake over HTTP, or say a thing in a way that the contract allows and a strict reader would not."""
import gzip
import json

import pytest
import requests

JSON = {"Content-Type": "application/json"}


@pytest.mark.parametrize("body, place", [('{"name": "x",\n  "description": "y",\n}', "line 2, column 21: trailing comma"), ('{"name": "ä" "b"}', "line 1, column 14"),
                                         ('{"name": NaN}', "NaN and Infinity are no JSON"), ('{"name": "x"', "line 1, column 13: unexpected end")])
def test_where_json_breaks(owner, body, place):
    told = owner.call("POST", "/projects/", 400, data=body.encode(), headers=JSON).json()
    assert told["error_code"] == "malformed_json" and place in told["detail"], told


def test_a_body_that_is_packed(owner, image):
    """Unread, its bytes would be taken for JSON or, worse, for a picture."""
    _, picture = image
    packed = {"Content-Encoding": "gzip"}
    told = owner.call("POST", "/projects/", 415, data=gzip.compress(b'{"name": "x"}'), headers={**JSON, **packed}).json()
    assert told["error_code"] == "unsupported_media_type" and "Content-Encoding gzip" in told["detail"], told
    target = owner.post("/images/upload-url", {"dataset_id": picture["dataset_id"], "filename": "packed.jpg", "content_type": "image/jpeg"}).json()
    put = requests.put(target["upload_url"], data=gzip.compress(b"x" * 1000), headers={"Content-Type": "image/jpeg", **packed}, timeout=10)
    assert put.status_code == 415 and "Content-Encoding gzip" in put.json()["detail"], put.text
    owner.call("POST", "/annotations/" + picture["id"], 200, data=json.dumps({"annotations": []}), headers={**JSON, "Content-Encoding": "identity"})


def test_what_is_too_large(owner, image):
    """One text however the bytes come, and the way for larger files where there is one."""
    _, picture = image
    told = owner.call("POST", "/images/upload", 413, data={"dataset_id": picture["dataset_id"]}, files={"file": ("a.jpg", b"x" * (11 << 20))}).json()
    assert told["detail"] == "Body exceeds 10 MB; a larger file goes to the address that upload-url answers with"
    for data in (b" " * (11 << 20), iter([b" " * (1 << 20)] * 11)):
        reply = requests.post(owner.url + "/api/v1/developer/projects/", data=data, headers={"X-API-Key": owner.key, **JSON}, timeout=30)
        assert reply.status_code == 413 and reply.json()["detail"] == "Body exceeds 10 MB"
    target = owner.post("/images/upload-url", {"dataset_id": picture["dataset_id"], "filename": "large.jpg", "content_type": "image/jpeg"}).json()
    for data in (b" " * (51 << 20), iter([b" " * (1 << 20)] * 51)):
        reply = requests.put(target["upload_url"], data=data, headers={"Content-Type": "image/jpeg"}, timeout=60)
        assert reply.status_code == 413 and reply.json()["detail"] == "File exceeds 50 MB"


def test_a_key_with_a_blank_behind_it(owner):
    """No part of the field, says RFC 9110; an editor or a shell put it there."""
    for key in (owner.key + " ", owner.key + "\t "):
        reply = requests.get(owner.url + "/api/v1/developer/credits/balance", headers={"X-API-Key": key}, timeout=10)
        assert reply.status_code == 200, reply.text


def test_a_key_that_was_copied_badly(owner):
    for key in (owner.key[:-1], f'"{owner.key}"', "secret"):
        told = owner.get("/projects/", 401, headers={"X-API-Key": key}).json()
        assert told["error_code"] == "invalid_api_key" and "pk_live_ and 43 more characters" in told["detail"] and key not in told["detail"]
    assert owner.get("/projects/", 401, headers={"X-API-Key": "pk_live_" + "x" * 43}).json()["detail"] == "Invalid API key"


def test_a_path_that_leads_nowhere(owner, anonymous):
    for client, path in ((anonymous, "//"), (owner, "/project")):
        assert "/openapi.json" in client.get(path, 404).json()["detail"]


@pytest.mark.parametrize("text, stored", [("2099-01-01T00:00:00", "2099-01-01T00:00:00.000Z"), ("2099-01-01T12:30:00.5", "2099-01-01T12:30:00.500Z"), ("2099-01-01", "2099-01-01T00:00:00.000Z"),
                                          ("2099-01-01T00:00:00+02:00", "2098-12-31T22:00:00.000Z")])
def test_times_as_python_writes_them(owner, text, stored):
    """datetime.isoformat() of a time without a zone, which the published client sends; UTC, as the hosted product takes it."""
    organization = owner.get("/organizations/me").json()["organization"]["id"]
    made = owner.post("//api/v1/api-keys/", {"organization_id": organization, "name": "naive", "role": "viewer", "expires_at": text}, 201).json()
    assert made["expires_at"] == stored
    owner.delete(f"//api/v1/api-keys/{made['id']}", 204)


@pytest.mark.parametrize("text", ["2099-01-01 ", "2099-13-01", "2099-01-01T", "2099-01-01T10", "2099-01-01ZZ", "2099-01-01T00:00:00ZZ"])
def test_no_times(owner, text):
    organization = owner.get("/organizations/me").json()["organization"]["id"]
    owner.post("//api/v1/api-keys/", {"organization_id": organization, "name": "x", "role": "viewer", "expires_at": text}, 422)


def test_an_address_with_blanks(owner):
    """"Trimmed and lower-cased", says the contract."""
    made = owner.post("/organizations/invites", {"email": " Blank@Example.org\u00a0\n"}, 201).json()["invite"]
    assert made["email"] == "blank@example.org"
    owner.delete(f"/organizations/invites/{made['id']}", 204)
    owner.post("/organizations/invites", {"email": "bl ank@example.org"}, 422)


def test_the_name_of_a_dataset_where_its_id_belongs(owner):
    """The likeliest slip of an upload: `dataset_id` has the name."""
    project = owner.project()
    for path, body in (("images/upload-url", {"filename": "a.jpg", "content_type": "image/jpeg"}), ("images/register", {"filename": "a.jpg", "gcs_path": "x"})):
        told = owner.post(f"/{path}", {"dataset_id": project["name"], **body}, 404).json()["detail"]
        assert f"'{project['name']}' is no id" in told, told


def test_a_long_path_is_cut_between_letters(owner):
    told = owner.get("/training/a" + "é" * 200, 404).json()["detail"]
    assert "éé?' is no id" in told, told


def test_an_export_of_images_that_nobody_annotated(owner, jpeg):
    project = owner.project()
    ask = {"dataset_name": project["name"], "name": "e", "format": "coco"}
    assert owner.post("/exports/", {**ask, "status_filter": "all"}, 404).json()["detail"] == "The dataset has no images"
    owner.upload(project, "a.jpg", jpeg)
    assert "status_filter 'all'" in owner.post("/exports/", ask, 404).json()["detail"]
    owner.post("/exports/", {**ask, "status_filter": "all"}, 202)


def test_a_class_that_is_not_there(owner, jpeg):
    """The reply says which there are: a slip of the pen is seen at once."""
    project = owner.project(classes=["cell", "dust"])
    image = owner.upload(project, "a.jpg", jpeg)
    box = {"annotations": [{"id": "1", "name": "Cell", "type": "bbox", "bounding_box": {"x": 1, "y": 1, "w": 5, "h": 5}}]}
    told = owner.post(f"/annotations/{image['id']}", box, 422).json()
    assert told["message"] == "Unknown class; the project has 'cell', 'dust'" and "'Cell'" in told["detail"][0]["msg"]
    owner.patch(f"/projects/{project['name']}", {"classes": []})
    assert "PATCH" in owner.post(f"/annotations/{image['id']}", box, 422).json()["message"]
    owner.patch(f"/projects/{project['name']}", {"classes": [{"name": f"{i} " + "ü" * 100} for i in range(40)]})
    assert owner.post(f"/annotations/{image['id']}", box, 422).json()["message"].endswith("ü', …")
