"""Requests that no client would send, byte by byte: ambiguous heads, broken chunks, names that play tricks; alone and on hundreds of connections."""
import io
import socket
import struct
import subprocess
import time
import urllib.parse
import zipfile
import zlib

import pytest
from conftest import contract, picture
from server import Client, Server, once
from test_every_operation import Answer, dial, read_all

JSON = b"Content-Type: application/json\r\n"


@pytest.fixture(scope="module")
def impatient(tmp_path_factory):
    """A server that waits two seconds for bodies."""
    server = Server(tmp_path_factory.mktemp("hostile") / "data").start(PICTOGRAPHD_BODY_TIMEOUT="2")
    yield server
    assert server.stop() == 0


def ask(server, data):
    with dial(server) as s:
        try:
            s.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            pass  # refused while we were still sending
        try:
            return read_all(s)
        except ConnectionResetError:
            return b""


def post(server, head, body=b"", path=b"/api/v1/developer/projects/"):
    return b"POST " + path + b" HTTP/1.1\r\nHost: x\r\nX-API-Key: " + server.key.encode() + b"\r\n" + JSON + head + b"\r\n" + body


GET = b"GET /api/v1/developer/projects/ HTTP/1.1\r\nHost: x\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n"
# name -> (status, head and body after the fields that post() writes)
AMBIGUOUS = {
    "two lengths": (400, b"Content-Length: 2\r\nContent-Length: 3\r\n", b"{}"),
    "two equal lengths": (400, b"Content-Length: 2\r\nContent-Length: 2\r\n", b"{}"),
    "length and chunks": (400, b"Content-Length: 2\r\n" + CHUNKED, b"2\r\n{}\r\n0\r\n\r\n"),
    "chunks twice": (400, CHUNKED * 2, b"2\r\n{}\r\n0\r\n\r\n"),
    "other encoding": (400, b"Transfer-Encoding: gzip, chunked\r\n", b"2\r\n{}\r\n0\r\n\r\n"),
    "two hosts": (400, b"Host: y\r\nContent-Length: 2\r\n", b"{}"),
    "two keys": (400, b"X-API-Key: pk_live_other\r\nContent-Length: 2\r\n", b"{}"),
    "two types": (400, b"Content-Type: text/plain\r\nContent-Length: 2\r\n", b"{}"),
    "two idempotency keys": (400, b"Idempotency-Key: a\r\nIdempotency-Key: b\r\nContent-Length: 2\r\n", b"{}"),
    "blank before the colon": (400, b"Content-Length : 2\r\n", b"{}"),
    "blank before the other colon": (400, b"Content-Length: 2\r\nTransfer-Encoding\t: chunked\r\n", b"{}"),
    "carriage return in a value": (400, b"X-A: b\rContent-Length: 3\r\nContent-Length: 2\r\n", b"{}"),
    "folded length": (400, b"Content-Length:\r\n 2\r\n", b"{}"),
    "folded encoding": (400, b"X-A: b\r\n Transfer-Encoding: chunked\r\nContent-Length: 2\r\n", b"{}"),
    "32 KB of fields": (400, b"X-Big: " + b"a" * 33000 + b"\r\nContent-Length: 2\r\n", b"{}"),
    "slow body": (408, b"Content-Length: 20\r\n", b"{"),
    "slow chunk": (408, CHUNKED, b"5\r\n{"),
    "chunks": (422, CHUNKED, b"1\r\n{\r\n1;ext=1\r\n}\r\n0\r\nTrailer: x\r\n\r\n"),
}


REFUSED_BY_NEWER_LIBRARIES = ("length and chunks", "other encoding", "chunks", "blank before the colon", "blank before the other colon", "carriage return in a value",
                              "folded length", "folded encoding")  # libmicrohttpd 1.0 of Debian 13, before any request exists


def library_version():
    text = subprocess.run(["pkg-config", "--modversion", "libmicrohttpd"], capture_output=True, text=True, check=True).stdout
    return tuple(int(part) for part in text.split(".")[:2])


@pytest.mark.parametrize("name", AMBIGUOUS)
def test_heads_and_bodies(impatient, name):
    status, head, body = AMBIGUOUS[name]
    answer = Answer(ask(impatient, post(impatient, head, body)), impatient.key)
    if name in REFUSED_BY_NEWER_LIBRARIES and answer.status_code == 400 and "<html>" in answer.text:
        assert library_version() >= (1, 0) and answer.headers["Connection"].lower() == "close"
        return
    assert answer.status_code == status, (answer.status_code, answer.text[:300])
    if status < 422:
        assert answer.headers["Connection"].lower() == "close", "what follows cannot be told from this request's body"
        for missing in ("X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset"):
            answer.headers.setdefault(missing, "0")  # a head that is not understood has no key
    contract().check("POST", "/api/v1/developer/projects/", answer)


# What the HTTP library itself refuses, before any request exists: the status is right, the page is its own, and the connection ends (docs/system.md).
UNREADABLE = {
    "no HTTP": (400, b"\x16\x03\x01\x02\x00\x01 nonsense\r\n\r\n"),
    "no version": (400, b"GET /healthz\r\n\r\n"),
    "no host": (400, b"GET /healthz HTTP/1.1\r\n\r\n"),
    "HTTP/2": (505, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    "field without colon": (400, b"GET /healthz HTTP/1.1\r\nHost: x\r\nnothing\r\n\r\n"),
    "blank before colon": (400, b"GET /healthz HTTP/1.1\r\nHost : x\r\n\r\n"),
    "long line": (414, b"GET /" + b"a" * 70000 + b" HTTP/1.1\r\nHost: x\r\n\r\n"),
    "head over 64 KB": (431, b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-Big: " + b"a" * 70000 + b"\r\n\r\n"),
    "ten thousand fields": (431, b"GET /healthz HTTP/1.1\r\nHost: x\r\n" + b"".join(b"X-%d: a\r\n" % i for i in range(10000)) + b"\r\n"),
}


@pytest.mark.parametrize("name", UNREADABLE)
def test_what_is_no_http(impatient, name):
    status, data = UNREADABLE[name]
    out = ask(impatient, data)
    assert not out or int(out.split()[1]) == status  # nothing: the refusal was lost to a reset


@pytest.mark.parametrize("body", [b"zz\r\n{}\r\n0\r\n\r\n", b"-2\r\n{}\r\n0\r\n\r\n", b"ffffffffffffffffff\r\n{}\r\n0\r\n\r\n", b"2\r\n{}xx0\r\n\r\n", b"2;a=" + b"b" * 70000 + b"\r\n{}\r\n0\r\n\r\n"])
def test_broken_chunks(impatient, body):
    out = ask(impatient, post(impatient, CHUNKED, body))
    assert not out or int(out.split()[1]) in (400, 408, 413)


@pytest.mark.parametrize("count", [128, 256])
def test_all_at_once(impatient, count):
    """The same on many connections together, among honest requests that all get their answers."""
    hostile = [post(impatient, head, body) for _, head, body in AMBIGUOUS.values()] + [data for _, data in UNREADABLE.values()]
    honest = b"GET /api/v1/developer/projects/ HTTP/1.1\r\nHost: x\r\nX-API-Key: " + impatient.key.encode() + b"\r\n\r\n"
    sockets = [dial(impatient) for _ in range(count)]
    for i, s in enumerate(sockets):
        try:
            s.sendall(honest if i % 2 else hostile[i // 2 % len(hostile)])
        except (BrokenPipeError, ConnectionResetError):
            pass
    for i, s in enumerate(sockets):
        if i % 2:
            assert s.recv(65536).startswith(b"HTTP/1.1 200"), f"connection {i}"
        s.close()
    assert Client(impatient.url, impatient.key, contract()).get("/projects/").json()["projects"] == []


def drip(s, piece, every, seconds):
    """Sends a piece now and then until the other side has had enough; returns its answer."""
    until = time.monotonic() + seconds
    s.settimeout(every)
    while time.monotonic() < until:
        try:
            s.sendall(piece)
            return read_all(s)
        except TimeoutError:
            pass
        except (BrokenPipeError, ConnectionResetError):
            return b""
    raise AssertionError(f"the server still waits after {seconds} s")


@pytest.mark.parametrize("head, piece", [(b"Content-Length: 100000\r\n", b"{"), (CHUNKED, b"1\r\n{\r\n")])
def test_a_body_that_drips(impatient, head, piece):
    """The time is for the whole body: who sends a byte now and then holds no connection for ever."""
    with dial(impatient) as s:
        s.sendall(post(impatient, head))
        out = drip(s, piece, 0.3, 20)
    assert not out or out.startswith(b"HTTP/1.1 408")  # nothing: the answer was lost to a reset


@pytest.mark.parametrize("lines, body, status", [
    (CHUNKED, b"zz\r\nabc\r\n0\r\n\r\n", 400), (CHUNKED, b"3\r\nabcxx0\r\n\r\n", 400), (CHUNKED, b"3\r\nabc\r\n", 408), (b"Content-Length: 9\r\n" + CHUNKED, b"3\r\nabc\r\n0\r\n\r\n", 400),
    (b"Content-Length: 9\r\n", b"abc", 408)])
def test_an_upload_that_breaks_off(impatient, lines, body, status):
    """Of a stream that ends wrongly nothing is kept, and the address is good for another try."""
    owner = Client(impatient.url, impatient.key, contract())
    target = owner.post("/images/upload-url", {"dataset_id": owner.project()["id"], "filename": "a.jpg", "content_type": "image/jpeg"}).json()["upload_url"]
    before = sorted((impatient.folder / "objects").rglob("*"))
    out = ask(impatient, b"PUT " + target[len(impatient.url):].encode() + b" HTTP/1.1\r\nHost: x\r\nContent-Type: image/jpeg\r\n" + lines + b"\r\n" + body)
    assert not out or int(out.split()[1]) == status, out[:300]
    once(lambda: sorted((impatient.folder / "objects").rglob("*")), lambda found: found == before)
    owner.put_object(target, picture())


def test_a_slow_head(impatient):
    with dial(impatient) as s:
        s.sendall(GET + b"X-Slow: ")
        began = time.monotonic()
        out = read_all(s)
    assert out.startswith(b"HTTP/1.1 408") and 1 < time.monotonic() - began < 30  # by itself 60


# --- names ---

TRICKS = ["../../etc/passwd.jpg", "..", ".", "a/b.jpg", "a\\b.jpg", "a\x00b.jpg", "a\nb.jpg", "a\x7fb.jpg", "\x1b[31m.jpg", "", " ", "CON.jpg", "x" * 256 + ".jpg",
          "\u202egpj.exe.jpg", "\u200f\u200e.jpg", "é" * 125 + ".jpg", "\U0001F9AD" * 60 + ".jpg", "a\ufeff.jpg", "a" * 251 + ".jpg", "Fru\u0308chte.jpg"]


@pytest.mark.parametrize("name", TRICKS, ids=[ascii(n)[:30] for n in TRICKS])
def test_file_names(owner, server, name):
    """Refused with the field named, or kept exactly as it is; never a file outside the store."""
    project = owner.project()
    body = {"dataset_id": project["id"], "filename": name, "content_type": "image/jpeg", "folder_path": "/"}
    asked = owner.call("POST", "/images/upload-url", json=body)
    refused = any(c in name for c in "/\\\x00\n\x1b") or name in ("", " ", ".", "..") or len(name) > 255
    assert asked.status_code in ((422, 415) if refused else (200,)), asked.text
    if refused:
        assert asked.status_code == 415 or [d["loc"] for d in asked.json()["detail"]] == [["body", "filename"]]
        return
    image = owner.upload(project, name, picture())
    assert image["filename"] == name
    listed = owner.get(f"/datasets/{project['id']}?include_images=true").json()["dataset"]["images"]
    assert [i["filename"] for i in listed] == [name]
    url = owner.get(f"/datasets/by-name/{project['name']}/download").json()["items"][0]["image_url"]
    assert "\n" not in owner.fetch(url).headers.get("Content-Disposition", "")


@pytest.mark.parametrize("folder", ["/../x", "/a/../b", "/a/./b", "//a", "/a//b", "a", "/a\x00", "/" + "x" * 1025, "/\n"])
def test_folders(owner, image, folder):
    project, picture_row = image
    reply = owner.call("POST", "/batch/images/move", json={"dataset_name": project["name"], "image_ids": [picture_row["id"]], "target_folder_path": folder})
    assert reply.status_code == 422 and reply.json()["detail"][0]["loc"] == ["body", "target_folder_path"], reply.text
    assert owner.get(f"/images/{picture_row['id']}/metadata").json()["image"]["virtual_folder_path"] == "/"


NAMES = ["../../etc", "..", "a/b", "a\\b", "\u202egnp.exe", "\u200f\u200e", "é" * 127, "\U0001F9AD" * 63, "a\r\nSet-Cookie: x=1", 'a"; filename="b', "%2e%2e%2f", "a\ud7ff", "\ufeffa", "{}<script>"]


@pytest.mark.parametrize("name", NAMES, ids=[ascii(n)[:30] for n in NAMES])
def test_names_of_projects_exports_and_classes(owner, jpeg, name):
    """Refused with the field named, or kept exactly as they are; and in no header or archive does a name become anything else than a name."""
    made = owner.call("POST", "/projects/", json={"name": name, "classes": [{"name": name}]})
    if made.status_code != 201:
        assert made.status_code == 422 and {d["loc"][1] for d in made.json()["detail"]} <= {"name", "classes"}, made.text
        project = owner.project()
    else:
        project = made.json()["project"]
        assert project["name"] == name and project["classes"][0]["name"] == name
        quoted = urllib.parse.quote(name, safe="")
        assert owner.get(f"/projects/{quoted}").json()["project"]["id"] == project["id"]
        image = owner.upload(project, "a.jpg", jpeg)
        owner.post(f"/annotations/{image['id']}", {"annotations": [{"id": "1", "name": name, "type": "bbox", "bounding_box": {"x": 1, "y": 1, "w": 5, "h": 5}}]})
    owner.upload(project, "b.jpg", jpeg)
    export = owner.call("POST", "/exports/", json={"dataset_name": project["name"], "name": name, "status_filter": "all"})
    if export.status_code != 202:
        assert export.status_code == 422 and [d["loc"] for d in export.json()["detail"]] == [["body", "name"]], export.text
    else:
        place = f"/exports/{urllib.parse.quote(project['name'], safe='')}/{urllib.parse.quote(name, safe='')}"
        assert owner.wait(place, "export")["status"] == "completed"
        reply = owner.fetch(owner.get(place + "/download").json()["download_url"])
        assert "Set-Cookie" not in reply.headers and reply.headers.get("Content-Disposition", "").count("filename=") <= 1
        entries = zipfile.ZipFile(io.BytesIO(reply.content)).namelist()
        assert entries and not any(e.startswith("/") or ".." in e.split("/") or "\\" in e for e in entries), entries
    owner.delete(f"/projects/{urllib.parse.quote(project['name'], safe='')}", None)


# --- pictures ---

def tiff_loop():
    """One directory of a 1 x 1 grey picture whose next directory is itself."""
    tags = [(256, 3, 1), (257, 3, 1), (258, 3, 8), (259, 3, 1), (262, 3, 1), (273, 4, 8 + 2 + 8 * 12 + 4), (278, 3, 1), (279, 4, 1)]
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in tags) + struct.pack("<I", 8) + b"\x80"


def gif_of_frames(count):
    frame = b"\x21\xf9\x04\x00\x01\x00\x00\x00\x2c\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02\x44\x01\x00"
    return b"GIF89a\x01\x00\x01\x00\x80\x00\x00\x00\x00\x00\xff\xff\xff" + frame * count + b";"


def png_bomb(width, height):
    """A whole PNG of zeros, which is small as long as nobody unpacks it."""
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    packer = zlib.compressobj(9)
    rows = b"".join(packer.compress(bytes(width // 8 + 1)) for _ in range(height)) + packer.flush()
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


PICTURES = {"loop.tif": tiff_loop, "frames.gif": lambda: gif_of_frames(10000), "bomb.png": lambda: png_bomb(40000, 40000), "renamed.png": picture, "zeros.jpg": lambda: bytes(1 << 20),
            "cut.webp": lambda: picture(300, 200, kind="WEBP")[:200], "long.gif": lambda: picture(kind="GIF") + bytes(1 << 20), "script.jpg": lambda: b"\xff\xd8\xff\xe0<svg onload=x>"}


@pytest.mark.parametrize("name", PICTURES)
def test_pictures(owner, jpeg, name):
    """Taken for what it shows first, or refused with its name in the answer; in any case the neighbour's picture is taken at once."""
    project = owner.project()
    kind = {"jpg": "jpeg", "tif": "tiff"}.get(name.rpartition(".")[2], name.rpartition(".")[2])
    reply = owner.upload(project, name, PICTURES[name](), content_type=f"image/{kind}", expect=None)
    assert reply.status_code in (201, 413, 415, 422), reply.text
    if reply.status_code != 201:
        assert name in reply.text and reply.json()["error_code"] in ("payload_too_large", "unsupported_media_type", "undecodable_media")
    owner.upload(project, "fine.jpg", jpeg)
    counted = owner.get(f"/projects/{project['name']}").json()["project"]["image_count"]
    assert counted == (2 if reply.status_code == 201 else 1)


@pytest.mark.parametrize("text", ["a\x00b", "\x00", "é" * 127 + "\x00"])
def test_no_text_holds_nul(owner, image, text):
    project, row = image
    for method, path, body, where in (("POST", "/projects/", {"name": text}, "name"), ("PATCH", f"/projects/{project['name']}", {"description": text}, "description"),
                                      ("PATCH", f"/projects/{project['name']}", {"classes": [{"name": text}]}, "classes"),
                                      ("POST", f"/annotations/{row['id']}", {"annotations": [{"id": text, "name": "cell", "type": "keypoint", "keypoint": {"x": 1, "y": 1}}]}, "annotations")):
        reply = owner.call(method, path, json=body)
        assert reply.status_code == 422 and reply.json()["detail"][0]["loc"][1] == where, reply.text


@pytest.mark.parametrize("path", ["/projects/%2e%2e%2f%2e%2e%2fetc", "/projects/a%00b", "/projects/%ff%fe", "/projects/%E2%80%AE", "/images/..%2f..%2fsecret.key", "/images/%00"])
def test_paths(owner, path):
    owner.get(path, 404)
