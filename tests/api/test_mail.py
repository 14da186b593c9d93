"""Invites by mail, and the one spelling of addresses."""
import time

import pytest
from conftest import contract
from mail import Box
from server import Client, Server

INVITES = "/organizations/invites"


@pytest.fixture(scope="module")
def box():
    made = Box()
    yield made
    made.close()


@pytest.fixture(scope="module")
def place(tmp_path_factory, box):
    running = Server(tmp_path_factory.mktemp("mail") / "data", organization="Zellbiologie Köln – Ärzte & Söhne, eine sehr lange Zeile")
    running.start(PICTOGRAPHD_SMTP_URL=box.url, PICTOGRAPHD_SMTP_FROM="pictograph@example.org")
    yield running
    assert running.stop() == 0


@pytest.fixture(scope="module")
def owner(place):
    return Client(place.url, place.key, contract())


def test_invite_is_mailed(owner, place, box):
    made = owner.post(INVITES, {"email": "Kim@Example.org", "role": "member"}, 201).json()["invite"]
    assert made["email_sent"] is True and made["email"] == "kim@example.org"
    (envelope, message), = box.messages
    assert envelope == {"from": "FROM:<pictograph@example.org>", "to": ["TO:<kim@example.org>"]}
    assert message["Subject"] == "Invitation to Zellbiologie Köln – Ärzte & Söhne, eine sehr lange Zeile on Pictograph"
    assert message["To"] == "kim@example.org" and message["From"] == "pictograph@example.org" and message["Date"] and message["Message-ID"]
    text = message.get_content()
    assert made["invite_url"] in text and "as member" in text and "Köln" in text
    listed = owner.get(INVITES).json()["invites"]
    assert [i["email_sent"] for i in listed if i["id"] == made["id"]] == [True]
    assert made["invite_url"].rsplit("/", 1)[1] not in place.log.read_text()


def test_mail_that_does_not_go_out(owner, place, box):
    box.refuses = True
    try:
        made = owner.post(INVITES, {"email": "lee@example.org"}, 201).json()["invite"]
    finally:
        box.refuses = False
    assert made["email_sent"] is False and made["invite_url"]
    assert "invite_not_mailed" in place.log.read_text()
    assert next(i for i in owner.get(INVITES).json()["invites"] if i["id"] == made["id"])["email_sent"] is False


def test_mail_server_is_gone(tmp_path):
    server = Server(tmp_path / "data").start(PICTOGRAPHD_SMTP_URL="smtp://127.0.0.1:1", PICTOGRAPHD_SMTP_FROM="a@example.org", PICTOGRAPHD_SMTP_USER="u",
                                             PICTOGRAPHD_SMTP_PASSWORD="a secret of the mail server")
    try:
        began = time.monotonic()
        made = Client(server.url, server.key, contract()).post(INVITES, {"email": "lee@example.org"}, 201).json()["invite"]
        assert made["email_sent"] is False and time.monotonic() - began < 25  # clients wait 30 s
        assert "a secret of the mail server" not in server.log.read_text()
    finally:
        server.stop()


def test_login_is_never_sent_in_the_clear(tmp_path, box):
    """The stand-in offers no TLS."""
    before = len(box.messages)
    server = Server(tmp_path / "data").start(PICTOGRAPHD_SMTP_URL=box.url, PICTOGRAPHD_SMTP_FROM="a@example.org", PICTOGRAPHD_SMTP_USER="u", PICTOGRAPHD_SMTP_PASSWORD="p")
    try:
        assert Client(server.url, server.key, contract()).post(INVITES, {"email": "lee@example.org"}, 201).json()["invite"]["email_sent"] is False
        assert len(box.messages) == before
    finally:
        server.stop()


@pytest.mark.parametrize("settings", [{"PICTOGRAPHD_SMTP_URL": "smtp://127.0.0.1:25"}, {"PICTOGRAPHD_SMTP_FROM": "a@example.org"},
                                      {"PICTOGRAPHD_SMTP_URL": "http://127.0.0.1", "PICTOGRAPHD_SMTP_FROM": "a@example.org"},
                                      {"PICTOGRAPHD_SMTP_URL": "smtp://127.0.0.1", "PICTOGRAPHD_SMTP_FROM": "a@example.org> SIZE=1"}])
def test_wrong_settings(tmp_path, settings):
    server = Server(tmp_path / "data")
    with pytest.raises(AssertionError, match="(?i)smtp"):
        server.start(**settings)


def test_one_spelling_of_an_address(tmp_path):
    """However init, org create and invites spell it, it is one person."""
    server = Server(tmp_path / "data")
    key = server.command("org", "create", "--org", "Second", "--email", "OWNER@Example.Org").strip()
    server.start()
    try:
        first, second = (Client(server.url, k, contract()) for k in (server.key, key))
        people = [c.get("/organizations/members").json()["members"] for c in (first, second)]
        assert [p[0]["email"] for p in people] == ["owner@example.org"] * 2 and people[0][0]["user_id"] == people[1][0]["user_id"]
        assert second.post(INVITES, {"email": "Owner@example.org"}, 409).json()["error_code"] == "already_member"
    finally:
        server.stop()
