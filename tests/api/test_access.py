"""Keys, roles, limits, idempotency: the way that every request passes."""
import concurrent.futures
import datetime
import threading
import uuid

import pytest
import requests
from conftest import contract
from server import Client, once


def organization(client):
    return client.get("/organizations/me").json()["organization"]


def make_key(owner, role="member", **fields):
    return owner.post("//api/v1/api-keys/", {"organization_id": organization(owner)["id"], "name": "t", "role": role, **fields}, 201).json()


def client_of(owner, made):
    return Client(owner.url, made["full_key"], contract())


@pytest.mark.parametrize("headers, code", [({}, "missing_api_key"), ({"X-API-Key": ""}, "missing_api_key"), ({"X-API-Key": "nonsense"}, "invalid_api_key"),
                                           ({"X-API-Key": "pk_live_" + "A" * 43}, "invalid_api_key"), ({"X-API-Key": "pk_live_" + "A" * 5000}, "invalid_api_key"),
                                           ({"Authorization": "Bearer x"}, "missing_api_key")])
def test_no_good_key(anonymous, headers, code):
    reply = anonymous.get("/projects/", 401, headers=headers)
    assert reply.json()["error_code"] == code and "X-API-Key" in reply.headers["WWW-Authenticate"]


def test_life_of_a_key(owner):
    made = make_key(owner, name="camera 3")
    assert made["full_key"].startswith("pk_live_") and made["full_key"] == made["api_key"] and made["key_id"] == made["id"] and made["key_prefix"] == made["full_key"][:12]
    client = client_of(owner, made)
    client.get("/projects/")
    listed = owner.get("//api/v1/api-keys/").json()["api_keys"]
    assert made["full_key"] not in str(listed)
    row = owner.get(f"//api/v1/api-keys/{made['id']}").json()["api_key"]
    assert row["name"] == "camera 3" and row["is_active"] and row["created_by"]
    owner.patch(f"//api/v1/developer/api-keys/{made['id']}", {"is_active": False})
    assert client.get_once("/projects/", 401).json()["error_code"] == "revoked_api_key"
    owner.patch(f"//api/v1/api-keys/{made['id']}", {"is_active": True, "role": "viewer"})
    client.get_once("/projects/", 200)
    client.post("/projects/", {"name": "x"}, 403)
    past = (datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=2)).isoformat()
    owner.patch(f"//api/v1/api-keys/{made['id']}", {"expires_at": past})
    assert client.get_once("/projects/", 401).json()["error_code"] == "expired_api_key"
    owner.delete(f"//api/v1/api-keys/{made['id']}", 204)
    once(lambda: client.get("/projects/", 401).json()["error_code"], lambda code: code != "expired_api_key")
    owner.delete(f"//api/v1/api-keys/{made['id']}", 404)


def test_nobody_makes_a_key_above_their_own(owner, with_role):
    admin = with_role("admin")
    body = {"organization_id": organization(owner)["id"], "name": "up", "role": "owner"}
    assert admin.post("//api/v1/api-keys/", body, 403).json()["error_code"] == "insufficient_role"
    with_role("member").get("//api/v1/api-keys/", 403)
    owner.post("//api/v1/api-keys/", {**body, "organization_id": str(uuid.uuid4())}, 404)
    owner.post("//api/v1/api-keys/", {**body, "expires_at": "2001-01-01T00:00:00Z"}, 422)
    owner.post("//api/v1/api-keys/", {**body, "name": " "}, 422)


def test_rate_limit_of_a_key(owner):
    client = client_of(owner, make_key(owner, rate_limit=5))
    left = [int(client.get("/projects/").headers["X-RateLimit-Remaining"]) for _ in range(5)]
    assert left == [4, 3, 2, 1, 0]
    for _ in range(3):  # a 429 is not counted
        reply = client.get("/projects/", 429)
        assert reply.json()["error_code"] == "rate_limited" and 0 < int(reply.headers["Retry-After"]) <= 3600
    assert reply.json()["context"]["retry_after"] == int(reply.headers["Retry-After"])


def test_failures_count_too(owner):
    client = client_of(owner, make_key(owner, rate_limit=10))
    client.get("/projects/nope", 404)
    client.post("/projects/", {}, 422)
    client.get("//nothing", 404)
    client.call("PUT", "/projects/", 405)
    assert client.get("/projects/").headers["X-RateLimit-Remaining"] == "5"


def test_replay(owner):
    name, key = "i-" + uuid.uuid4().hex[:8], uuid.uuid4().hex
    first = owner.post("/projects/", {"name": name}, 201, headers={"Idempotency-Key": key})
    again = owner.post("/projects/", {"name": name}, 201, headers={"Idempotency-Key": key})
    assert again.headers["Idempotency-Replayed"] == "true" and again.json() == first.json() and "Idempotency-Replayed" not in first.headers
    assert owner.post("/projects/", {"name": name + "x"}, 409, headers={"Idempotency-Key": key}).json()["error_code"] == "idempotency_conflict"
    failed = uuid.uuid4().hex  # only 2xx are kept, so a failed try may be repeated
    owner.post("/projects/", {"name": name}, 409, headers={"Idempotency-Key": failed})
    owner.delete(f"/projects/{name}")
    owner.post("/projects/", {"name": name}, 201, headers={"Idempotency-Key": failed})


def test_created_keys_are_replayed(owner):
    key = uuid.uuid4().hex
    body = {"organization_id": organization(owner)["id"], "name": "r", "role": "viewer"}
    first = owner.post("//api/v1/api-keys/", body, 201, headers={"Idempotency-Key": key}).json()
    assert owner.post("//api/v1/api-keys/", body, 201, headers={"Idempotency-Key": key}).json() == first


def test_equal_requests_at_once_work_once(owner):
    key, name = uuid.uuid4().hex, "c-" + uuid.uuid4().hex[:8]
    gate = threading.Barrier(8)

    def post(_):
        gate.wait()
        return requests.post(owner.url + "/api/v1/developer/projects/", json={"name": name}, headers={"X-API-Key": owner.key, "Idempotency-Key": key}, timeout=60)

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        replies = list(pool.map(post, range(8)))
    assert {r.status_code for r in replies} == {201} and len({r.text for r in replies}) == 1
    assert sum(r.headers.get("Idempotency-Replayed") != "true" for r in replies) == 1


def test_idempotency_key_shape(owner):
    owner.post("/projects/", {"name": "zz"}, 422, headers={"Idempotency-Key": "x" * 256})


def test_paths_and_methods(owner):
    assert owner.get("//nothing", 404).json()["error_code"] == "not_found"
    reply = owner.call("PUT", "/projects/")
    assert reply.status_code == 405 and {"GET", "POST"} <= {m.strip() for m in reply.headers["Allow"].split(",")}
    reply = owner.call("POST", "/projects/", 415, data=b"<a/>", headers={"Content-Type": "application/xml"}).json()
    assert reply["detail"] == "Content type application/xml is not supported here; send application/json"


def test_request_ids(owner):
    ids = {owner.get("/projects/").headers["X-Request-Id"] for _ in range(5)}
    assert len(ids) == 5 and all(i.startswith("req_") for i in ids)


def raw(server, text):
    import socket
    with socket.create_connection(("127.0.0.1", server.port), timeout=60) as s:
        s.sendall(text)
        out = b""
        while b"\r\n\r\n" not in out:
            part = s.recv(65536)
            if not part:
                break
            out += part
    return out


@pytest.mark.parametrize("head", [b"Content-Length: 2\r\nContent-Length: 3\r\n", b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n"])
def test_smuggling_is_refused(server, head):
    out = raw(server, b"POST /api/v1/developer/projects/ HTTP/1.1\r\nHost: x\r\nX-API-Key: " + server.key.encode() + b"\r\nContent-Type: application/json\r\n" + head + b"\r\n{}")
    assert out.split(b" ")[1] == b"400", out[:200]


def test_headers_are_bounded(server):
    out = raw(server, b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-Big: " + b"a" * 70000 + b"\r\n\r\n")
    assert out.split(b" ")[1] in (b"400", b"413", b"431"), out[:200]


def test_many_connections_at_once(server):
    """128 and 256 connections that become ready together: an event loop that loses one would hang here."""
    import socket
    for n in (128, 256):
        sockets = [socket.create_connection(("127.0.0.1", server.port), timeout=60) for _ in range(n)]
        for s in sockets:
            s.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        for s in sockets:
            assert s.recv(4096).startswith(b"HTTP/1.1 200")
            s.close()
