import base64
import hashlib
import io
import struct
import zlib

import pytest
from conftest import picture, refuse_as_not_owner
from PIL import Image


def png_header(width, height):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)) + chunk(b"IDAT", zlib.compress(b"\0" * 100)) + chunk(b"IEND", b"")


def test_upload_in_three_steps(owner, jpeg):
    project = owner.project()
    made = owner.upload(project, "photo one.jpg", jpeg, folder="/cars/night/")
    assert (made["width"], made["height"], made["mime_type"], made["file_size"]) == (64, 48, "image/jpeg", len(jpeg))
    assert made["virtual_folder_path"] == "/cars/night" and made["status"] == "new" and made["md5"] == hashlib.md5(jpeg).hexdigest()
    assert owner.get(f"/images/{made['id']}/metadata").json()["image"]["id"] == made["id"]
    back = owner.get(f"/images/{made['id']}")
    assert back.content == jpeg and back.headers["Content-MD5"] == base64.b64encode(hashlib.md5(jpeg).digest()).decode()
    assert back.headers["Cache-Control"] == "private, max-age=2592000"
    assert owner.get(f"/images/{made['id']}", 304, headers={"If-None-Match": back.headers["ETag"]}).content == b""
    part = owner.get(f"/images/{made['id']}", 206, headers={"Range": "bytes=10-19"})
    assert part.content == jpeg[10:20] and part.headers["Content-Range"] == f"bytes 10-19/{len(jpeg)}"
    assert owner.get(f"/images/{made['id']}", 206, headers={"Range": "bytes=-5"}).content == jpeg[-5:]
    owner.get(f"/images/{made['id']}", 416, headers={"Range": f"bytes={len(jpeg)}-"})
    small = owner.get(f"/images/{made['id']}/thumbnail?size=32")
    assert max(Image.open(io.BytesIO(small.content)).size) == 32
    owner.get(f"/images/{made['id']}/thumbnail?size=31", 422)
    after = owner.get(f"/projects/{project['name']}").json()["project"]
    assert (after["image_count"], after["total_size"]) == (1, len(jpeg))


def test_direct_upload(owner, jpeg):
    project = owner.project()
    made = owner.call("POST", "/images/upload", 201, data={"dataset_id": project["id"], "folder_path": "/a"}, files={"file": ("d.jpg", jpeg, "image/jpeg")}).json()
    assert made["image"]["filename"] == "d.jpg" and made["image"]["virtual_folder_path"] == "/a"


def test_json_registration_and_one_use(owner, jpeg):
    project = owner.project()
    target = owner.post("/images/upload-url", {"dataset_id": project["id"], "filename": "j.jpg", "content_type": "image/jpeg"}).json()
    body = {"dataset_id": project["id"], "filename": "j.jpg", "gcs_path": target["gcs_path"]}
    owner.post("/images/register", body, 422)  # nothing was PUT yet
    owner.put_object(target["upload_url"], jpeg)
    owner.post("/images/register", body, 201)
    assert "already exists" in owner.post("/images/register", body, 409).json()["detail"]
    assert owner.post("/images/register", {**body, "gcs_path": "uploads/unknown/j.jpg"}, 422).json()["detail"][0]["loc"] == ["body", "gcs_path"]  # before 409


def test_one_name_per_folder(owner, jpeg):
    project = owner.project()
    first = owner.upload(project, "same.jpg", jpeg)
    owner.upload(project, "same.jpg", jpeg, folder="/b")
    reply = owner.post("/images/upload-url", {"dataset_id": project["id"], "filename": "same.jpg", "content_type": "image/jpeg"}, 409).json()
    assert "already exists" in reply["detail"]
    assert owner.delete(f"/images/{first['id']}").json() == {"image_id": first["id"], "archived": True, "permanent": False}
    assert owner.delete(f"/images/{first['id']}").json()["archived"] is True
    again = owner.upload(project, "same.jpg", jpeg)  # the archived bearer does not count
    state = owner.get(f"/projects/{project['name']}").json()["project"]
    assert (state["image_count"], state["archived_images"]) == (2, 1)
    assert owner.delete(f"/images/{again['id']}?permanent=true").json()["permanent"] is True
    owner.get(f"/images/{again['id']}/metadata", 404)
    assert owner.get(f"/projects/{project['name']}").json()["project"]["image_count"] == 1


def test_permanent_deletion_is_for_the_owner_of_the_image_or_an_admin(owner, with_role, colleague, jpeg):
    project = owner.project()
    theirs = owner.upload(project, "theirs.jpg", jpeg)
    member = with_role("member")
    mine = member.upload(project, "mine.jpg", jpeg)
    member.delete(f"/images/{theirs['id']}")
    viewer = with_role("viewer")
    viewer.delete(f"/images/{mine['id']}", 403)
    assert mine["created_by"]
    refuse_as_not_owner(colleague.delete(f"/images/{mine['id']}?permanent=true", 403))
    colleague.delete(f"/images/{mine['id']}")  # archiving takes nothing from anybody
    member.delete(f"/images/{mine['id']}?permanent=true")
    hers = colleague.upload(project, "hers.jpg", jpeg)
    for client, image in ((with_role("admin"), theirs), (colleague, hers)):
        client.delete(f"/images/{image['id']}?permanent=true")


@pytest.mark.parametrize("orientation", range(1, 9))
def test_size_is_taken_after_rotation(owner, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    made = owner.upload(owner.project(), "r.jpg", picture(60, 40, exif=exif))
    assert (made["width"], made["height"]) == ((60, 40) if orientation < 5 else (40, 60))


@pytest.mark.parametrize("kind, name, mime", [("PNG", "a.png", "image/png"), ("WEBP", "a.webp", "image/webp"), ("BMP", "a.bmp", "image/bmp"),
                                              ("TIFF", "a.tif", "image/tiff"), ("GIF", "a.gif", "image/gif")])
def test_the_other_types(owner, kind, name, mime):
    data = picture(33, 21, kind=kind)
    made = owner.upload(owner.project(), name, data, content_type=mime)
    assert (made["width"], made["height"], made["mime_type"]) == (33, 21, mime)
    assert owner.get(f"/images/{made['id']}/thumbnail").status_code == 200


def test_what_is_no_image(owner, jpeg):
    project = owner.project()
    for name, data in (("empty.jpg", b""), ("text.jpg", b"hello, I am no picture"), ("cut.jpg", jpeg[:len(jpeg) // 2]), ("cut.png", picture(300, 200, kind="PNG")[:200])):
        reply = owner.upload(project, name, data, expect=422).json()
        assert reply["error_code"] == "undecodable_media", name
        assert name in reply["message"] or name in str(reply["detail"]), "the file must be named"
    assert owner.upload(project, "bomb.png", png_header(60000, 60000), expect=413).json()["error_code"] == "payload_too_large"
    owner.upload(project, "fine.jpg", jpeg)  # and the server goes on
    assert owner.get(f"/projects/{project['name']}").json()["project"]["image_count"] == 1


def test_refused_early(owner, jpeg):
    project = owner.project()
    ask = {"dataset_id": project["id"], "filename": "a.jpg", "content_type": "image/jpeg"}
    assert owner.post("/images/upload-url", {**ask, "filename": "a.txt"}, 415).json()["error_code"] == "unsupported_media_type"
    owner.post("/images/upload-url", {**ask, "content_type": "text/plain"}, 415)
    owner.post("/images/upload-url", {**ask, "file_size": 52428801}, 413)
    owner.post("/images/upload-url", {**ask, "dataset_id": "5f0c2c6e-8f0b-4d29-9d4b-1f8a6d1f0a11"}, 404)
    for bad in ("../a.jpg", "a/b.jpg", "", "a\u0000.jpg", "x" * 256 + ".jpg"):
        assert owner.post("/images/upload-url", {**ask, "filename": bad}, 422).json()["detail"][0]["loc"] == ["body", "filename"]
    for bad in ("cars", "/a//b", "/a/../b", "/./a", "//"):
        assert owner.post("/images/upload-url", {**ask, "folder_path": bad}, 422).json()["detail"][0]["loc"] == ["body", "folder_path"]


def test_signed_addresses(owner, jpeg):
    project = owner.project()
    target = owner.post("/images/upload-url", {"dataset_id": project["id"], "filename": "s.jpg", "content_type": "image/jpeg"}).json()
    url = target["upload_url"]
    for place in (len(url) - 1, len(url) - 40):
        other = url[:place] + ("A" if url[place] != "A" else "B") + url[place + 1:]
        owner.put_object(other, jpeg, expect=403)
    owner.fetch(url, 403)  # an address for PUT is none for GET
    owner.put_object(url, b"x" * 52428801, expect=413)
    owner.put_object(url, jpeg)


def test_download_listing(owner, jpeg):
    project = owner.project()
    bare = owner.upload(project, "a.jpg", jpeg, folder="/x")
    marked = owner.upload(project, "b.jpg", picture(colour=(0, 255, 0)))
    owner.post(f"/annotations/{marked['id']}", {"annotations": [{"id": "1", "name": "cell", "type": "bbox", "bounding_box": {"x": 1, "y": 1, "w": 5, "h": 5}}]})
    listing = owner.get(f"/datasets/by-name/{project['name']}/download").json()
    assert [(i["filename"], i["annotation_url"] is None) for i in listing["items"]] == [("b.jpg", False), ("a.jpg", True)] and listing["total"] == 2
    assert owner.fetch(listing["items"][1]["image_url"]).content == jpeg
    assert owner.fetch(listing["items"][0]["annotation_url"], headers={"X-API-Key": "whatever"}).json()[0]["id"] == "1"
    part = owner.fetch(listing["items"][1]["image_url"], 206, headers={"Range": "bytes=0-3"})
    assert part.content == jpeg[:4]
    only = owner.get(f"/datasets/by-name/{project['name']}/download?mode=annotations_only&status_filter=complete").json()
    assert [(i["image_id"], i["image_url"]) for i in only["items"]] == [(marked["id"], None)]
    images = owner.get(f"/datasets/by-name/{project['name']}/download?mode=images_only&status_filter=new").json()
    assert [(i["image_id"], i["annotation_url"]) for i in images["items"]] == [(bare["id"], None)]
    owner.get(f"/datasets/by-name/{project['name']}/download?mode=all", 422)
