import io
import os
import pathlib
import uuid

import pytest
from PIL import Image

from contract import Contract, load_bundle
from server import Client, Server

CONTRACT = None


def contract():
    global CONTRACT
    if CONTRACT is None:
        folder = pathlib.Path(os.environ.get("TMPDIR", "/tmp")) / f"contract-{os.getpid()}.json"
        CONTRACT = Contract(load_bundle(folder))
        folder.unlink()
    return CONTRACT


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    running = Server(tmp_path_factory.mktemp("pictograph") / "data").start()
    yield running
    assert running.stop() == 0


@pytest.fixture(scope="session")
def owner(server):
    return Client(server.url, server.key, contract())


@pytest.fixture(scope="session")
def anonymous(server):
    return Client(server.url, None, contract())


@pytest.fixture(scope="session")
def with_role(owner):
    """Clients with a key of each role, made once."""
    organization = owner.get("/organizations/me").json()["organization"]["id"]
    made = {}

    def client(role):
        if role not in made:
            key = owner.post("//api/v1/api-keys/", {"organization_id": organization, "name": f"test {role}", "role": role}, 201).json()["full_key"]
            made[role] = Client(owner.url, key, owner.contract)
        return made[role]

    return client


@pytest.fixture(scope="session")
def stranger(server):
    """The owner of another organization on the same server."""
    key = server.command("org", "create", "--org", "Other", "--email", "other@example.org").strip()
    return Client(server.url, key, contract())


def invite(client, role="member", **fields):
    return client.post("/organizations/invites", {"email": f"{uuid.uuid4().hex[:10]}@example.org", "role": role, **fields}, 201).json()["invite"]


def token(made):
    return made["invite_url"].rsplit("/", 1)[1]


def join(owner, anonymous, role="member"):
    """A new member of that role: (client, membership)."""
    made = anonymous.post(f"//api/v1/invites/{token(invite(owner, role))}/accept", {"full_name": "Kim"}, 201).json()
    return Client(owner.url, made["api_key"]["full_key"], contract()), made["member"]


@pytest.fixture(scope="session")
def colleague(owner, anonymous):
    """A member who is another user than the one that all keys of with_role() belong to."""
    return join(owner, anonymous)[0]


def refuse_as_not_owner(reply):
    assert reply.json()["error_code"] == "not_owner" and reply.json()["context"]["required_role"] == "admin", reply.text


def picture(width=64, height=48, colour=(200, 30, 30), kind="JPEG", **options):
    out = io.BytesIO()
    Image.new("RGB", (width, height), colour).save(out, kind, **options)
    return out.getvalue()


@pytest.fixture(scope="session")
def jpeg():
    return picture()


@pytest.fixture
def image(owner, jpeg):
    """A fresh project with one image: (project, image)."""
    project = owner.project(classes=("cell", "nucleus"))
    return project, owner.upload(project, "a.jpg", jpeg)


# Statuses that every operation owes where it declares them: test_every_operation.py goes through all. A hole of another one is shown.


def pytest_sessionfinish(session, exitstatus):
    """An operation without a success, or without an answer that it owes, is a hole in the tests: the run fails. Only whole runs are judged."""
    if CONTRACT is None or session.config.getoption("keyword") or any("::" in a or a.endswith(".py") for a in session.config.args):
        return
    print("\n" + CONTRACT.table())
    missing, holes, needless = CONTRACT.unexercised(), list(CONTRACT.holes()), CONTRACT.needless()
    if missing:
        print(f"\nOperations without a successful exchange in any test: {', '.join(missing)}")
    if holes:
        print("\nAnswers that the contract declares and no test saw: " + ", ".join(f"{name} {status}" for name, status in holes))
    if needless:
        print("\nExcuses that nobody needs any more (contract.py): " + ", ".join(f"{name} {status}" for name, status in needless))
    if missing or holes or needless:
        session.exitstatus = 1
