"""What every operation owes by the contract, whatever it does: each test goes through all that are served, so that a new one is covered when it is
added. What is particular to an operation is tested beside its feature; conftest.py fails the run where a declared status was never seen."""
import json
import socket
import sqlite3
import time

import pytest
import requests
from conftest import contract, picture
from server import Client, Server
from specimen import NOWHERE, ROLES, beyond, operations, wrong_value

ALL = operations(contract())
KEYED = [op for op in ALL if op.role != "none"]
WITH_BODY = [op for op in KEYED if op.schema and op.schema.get("additionalProperties") is False]


def ids(op):
    return op.name


@pytest.fixture(scope="module")
def known(owner):
    """Things of the owner's that paths and bodies can name, by the parameter's name."""
    project = owner.project(classes=("cell",))
    image = owner.upload(project, "a.jpg", picture())
    owner.post("/exports/", {"dataset_name": project["name"], "name": "e", "status_filter": "all"}, 202)
    owner.wait(f"/exports/{project['name']}/e", "export")
    organization = owner.get("/organizations/me").json()["organization"]["id"]
    key = owner.post("//api/v1/api-keys/", {"organization_id": organization, "name": "k", "role": "viewer"}, 201).json()
    return {"name": project["name"], "dataset_name": project["name"], "dataset_id": project["id"], "project_id": project["id"], "image_id": image["id"], "export_name": "e",
            "organization_id": organization, "key_id": key["id"], "member_id": owner.get("/organizations/members").json()["members"][0]["id"],
            "invite_id": owner.post("/organizations/invites", {"email": "someone@example.org"}, 201).json()["invite"]["id"]}


def body_names(op):
    """A valid body whose own `name` is no taken one."""
    return lambda known: op.body({k: v for k, v in known.items() if k != "name"})


def send(client, op, known, body="valid", expect=None, url=None, **kwargs):
    if body == "valid":
        body = body_names(op)(known)
    if op.content and "json" not in kwargs and "data" not in kwargs:
        if op.schema:
            kwargs["json"] = body
        else:
            kwargs["data"], kwargs["headers"] = b"", {"Content-Type": next(iter(op.content)) + "; boundary=x", **kwargs.get("headers", {})}
    return client.call(op.method, url or op.url(known), expect, **kwargs)


@pytest.mark.parametrize("op", KEYED, ids=ids)
def test_no_key(op, anonymous, known):
    reply = send(anonymous, op, known, expect=401)
    assert reply.json()["error_code"] == "missing_api_key"


@pytest.mark.parametrize("op", [op for op in KEYED if op.role != "viewer"], ids=ids)
def test_a_weaker_role(op, with_role, known):
    weaker = ROLES[ROLES.index(op.role) - 1]
    reply = send(with_role(weaker), op, known)
    if set(op.in_path()) <= set(known):
        assert reply.status_code == 403 and reply.json()["context"] == {"required_role": op.role, "role": weaker}
    else:  # nothing of that kind is at hand: that comes first
        assert reply.status_code == 404 and "context" not in reply.json()


@pytest.mark.parametrize("op", [op for op in KEYED if op.in_path()], ids=ids)
def test_malformed_and_unknown_names_in_the_path(op, owner, known):
    for name in op.in_path():
        for value in (["not-an-id", NOWHERE, "%F0%9F%A6%AD"] if name.endswith("_id") else ["nothing-of-that-name"]):
            send(owner, op, known, expect=404, url=op.url(known, **{name: value}))


@pytest.mark.parametrize("op", [op for op in KEYED if 404 in op.statuses], ids=ids)
def test_another_organization(op, stranger, known):
    """The stranger names what the owner has: in the path, the query or the body, where the body may leave it out, too."""
    members = set((op.schema or {}).get("properties", {}))
    names = set(op.in_path()) | set(op.query()) | members
    if not names & set(known):
        pytest.skip("names nothing")
    query = [n for n in op.query() if n in known]
    url = op.url(known)
    url += "".join(("&" if "?" in url else "?") + f"{n}={known[n]}" for n in query if f"{n}=" not in url)
    body = {**body_names(op)(known), **{n: known[n] for n in members & set(known) if n.endswith("_id")}} if op.schema else None
    send(stranger, op, known, expect=404, url=url, body=body)


@pytest.mark.parametrize("op", WITH_BODY, ids=ids)
def test_unknown_fields(op, owner, known):
    reply = send(owner, op, known, body={**body_names(op)(known), "no_such_field": 1}, expect=422).json()
    assert ["body", "no_such_field"] in [d["loc"] for d in reply["detail"]]


@pytest.mark.parametrize("op", [op for op in WITH_BODY if op.schema.get("required")], ids=ids)
def test_missing_fields(op, owner, known):
    required = op.schema["required"]
    reply = send(owner, op, known, body={}, expect=422).json()
    assert {tuple(d["loc"]) for d in reply["detail"]} >= {("body", name) for name in required}, "every missing field is named"


@pytest.mark.parametrize("op", [op for op in WITH_BODY if op.schema.get("properties")], ids=ids)
def test_wrong_types(op, owner, known):
    wrong = {name: value for name, schema in op.schema["properties"].items() if (value := wrong_value(op.contract, schema)) is not None}
    reply = send(owner, op, known, body={**body_names(op)(known), **wrong}, expect=422).json()
    assert {d["loc"][1] for d in reply["detail"] if len(d["loc"]) > 1} >= set(wrong), "every wrong field is named"


def rows(server):
    """How many there are of everything that requests write. Queues and what the server keeps for itself are left out."""
    with sqlite3.connect(server.folder / "pictograph.db", timeout=30) as db:
        tables = [t for t, in db.execute("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")]
        return {t: db.execute(f"SELECT count(*) FROM {t}").fetchone()[0] for t in tables if not t.startswith(("image_", "description", "search", "jobs", "rate", "idempotency"))}


@pytest.mark.parametrize("op", WITH_BODY, ids=ids)
def test_out_of_bounds(op, owner, server, known):
    """One step outside: every such field is named, and nothing is written."""
    outside = {name: value for name, schema in op.schema.get("properties", {}).items() if (value := beyond(op, schema, name, known)) is not None}
    if not outside:
        pytest.skip("has no bounds")
    before = rows(server)
    reply = send(owner, op, known, body={**body_names(op)(known), **outside}, expect=422).json()
    assert {d["loc"][1] for d in reply["detail"] if len(d["loc"]) > 1} >= set(outside), "every wrong field is named"
    assert rows(server) == before


@pytest.mark.parametrize("op", [op for op in KEYED if any("maximum" in s or "minimum" in s for s in op.query().values())], ids=ids)
def test_query_out_of_bounds(op, owner, known):
    if not set(op.in_path()) <= set(known):
        pytest.skip("nothing of that kind is at hand")
    outside = {name: value for name, schema in op.query().items() if isinstance(value := beyond(op, schema, name, known), (int, float))}
    url = op.url(known).partition("?")[0] + "?" + "&".join(f"{name}={value}" for name, value in outside.items())
    reply = send(owner, op, known, expect=422, url=url).json()
    assert {d["loc"][1] for d in reply["detail"] if d["loc"][0] == "query"} >= set(outside)


@pytest.mark.parametrize("op", [op for op in KEYED if op.content], ids=ids)
def test_bodies_that_cannot_be_read(op, owner, known):
    kind = "application/json" if op.schema else next(iter(op.content)) + "; boundary=x"
    for data in (b"{", b'{"a": "\xff"}', b"[" * 3000) if op.schema else (b"--x\r\nbroken",):
        reply = send(owner, op, known, data=data, headers={"Content-Type": kind}, expect=400).json()
        assert reply["error_code"] in ("malformed_json", "bad_request", "malformed_form"), reply
    if op.schema:
        send(owner, op, known, data=b"", headers={"Content-Type": kind}, expect=422 if op.body_required else None)
    send(owner, op, known, data=b"<x/>", headers={"Content-Type": "application/xml"}, expect=415)


def is_choosy(schema):
    return schema.get("type") in ("integer", "number", "boolean") or "enum" in schema


@pytest.mark.parametrize("op", [op for op in KEYED if any(map(is_choosy, op.query().values()))], ids=ids)
def test_wrong_query(op, owner, known):
    if not set(op.in_path()) <= set(known):
        pytest.skip("nothing of that kind is at hand")
    wrong = [name for name, schema in op.query().items() if is_choosy(schema)]
    url = op.url(known).partition("?")[0] + "?" + "&".join(f"{name}=never" for name in wrong)
    reply = send(owner, op, known, expect=422, url=url).json()
    assert {d["loc"][1] for d in reply["detail"] if d["loc"][0] == "query"} >= set(wrong)


def head_of(op, known, key, *lines):
    kind = "application/json" if op.schema or not op.content else next(iter(op.content)) + "; boundary=x"
    return "\r\n".join([f"{op.method} {op.url(known)[1:]} HTTP/1.1", "Host: x", *([f"X-API-Key: {key}"] if key else []), f"Content-Type: {kind}", *lines, "", ""]).encode()


class Answer:
    """What Contract.check wants of a reply, read from a socket."""

    def __init__(self, raw, key):
        head, _, self.content = raw.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        self.status_code = int(lines[0].split()[1]) if lines[0] else 0
        self.headers = requests.structures.CaseInsensitiveDict(line.split(": ", 1) for line in lines[1:])
        self.request = requests.Request(headers={"X-API-Key": key} if key else {})
        self.text = self.content.decode("utf-8", "replace")

    def json(self):
        return json.loads(self.content)


def read_all(s):
    out = b""
    while part := s.recv(65536):
        out += part
        head, _, body = out.partition(b"\r\n\r\n")
        length = [line.split(b":")[1] for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")]
        if length and len(body) >= int(length[0]):
            break
    return out


def dial(server):
    s = socket.create_connection(("127.0.0.1", server.port), timeout=30)
    s.settimeout(30)
    return s


@pytest.mark.parametrize("op", [op for op in ALL if op.content and op.name != "putObject" and 413 in op.statuses], ids=ids)
def test_bodies_that_are_too_large(op, server, known):
    """Refused by their announced length; nobody has to send them."""
    with dial(server) as s:
        key = server.key if op.role != "none" else None
        s.sendall(head_of(op, known, key, f"Content-Length: {11 << 30}"))
        answer = Answer(read_all(s), key)
    contract().check(op.method, op.url(known)[1:].partition("?")[0], answer)
    assert answer.status_code == 413


def test_slow_bodies(tmp_path):
    """Each operation with a body, all at once: what does not arrive in time is answered with 408, and nothing is written."""
    server = Server(tmp_path / "data").start(PICTOGRAPHD_BODY_TIMEOUT="1")
    try:
        waiting = []
        for op in (op for op in ALL if op.content and op.name != "putObject" and 408 in op.statuses):
            s = dial(server)
            s.sendall(head_of(op, {"token": "A" * 43}, server.key if op.role != "none" else None, "Content-Length: 100") + b"{")
            waiting.append((op, s))
        time.sleep(1.2)
        for op, s in waiting:
            answer = Answer(read_all(s), server.key if op.role != "none" else None)
            s.close()
            contract().check(op.method, op.url({"token": "A" * 43})[1:], answer)
            assert answer.status_code == 408, (op.name, answer.status_code)
        owner = Client(server.url, server.key, contract())
        assert owner.get("/projects/").json()["total"] == 0
    finally:
        server.stop()


@pytest.mark.parametrize("op", KEYED, ids=ids)
def test_rate_limit(op, spent, known):
    reply = send(spent, op, known, expect=429)
    assert reply.headers["X-RateLimit-Remaining"] == "0" and reply.json()["error_code"] == "rate_limited"


@pytest.fixture(scope="module")
def spent(owner, known):
    """A client whose key has no request left in this hour."""
    made = owner.post("//api/v1/api-keys/", {"organization_id": known["organization_id"], "name": "spent", "role": "owner", "rate_limit": 1}, 201).json()
    client = Client(owner.url, made["full_key"], contract())
    client.get("/projects/")
    return client


@pytest.mark.parametrize("op", [op for op in KEYED if op.takes_idempotency_key()], ids=ids)
def test_idempotency_keys(op, server, owner, known):
    if 422 in op.statuses and (op.schema or not op.content):
        reply = send(owner, op, known, headers={"Idempotency-Key": "x" * 256}, expect=422).json()
        assert reply["detail"][0]["loc"] == ["header", "Idempotency-Key"]
    # As if the key had been used with another body: the row is written where the server keeps it.
    path, used = op.url(known)[1:].partition("?")[0], f"used-{op.name}"
    with sqlite3.connect(server.folder / "pictograph.db", timeout=30) as db:
        owner_key = db.execute("SELECT id FROM api_keys WHERE prefix = ?", (server.key[:12],)).fetchone()[0]
        db.execute("INSERT INTO idempotency (key_id, method, path, idempotency_key, body_sha256, status, reply, created_at) VALUES (?, ?, ?, ?, 'other', 200, '{}', ?)",
                   (owner_key, op.method, path, used, int(time.time() * 1000)))
    if op.schema or not op.content:
        assert send(owner, op, known, headers={"Idempotency-Key": used}, expect=409).json()["error_code"] == "idempotency_conflict"
