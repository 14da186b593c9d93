"""Organizations: settings, members, invites."""
import sqlite3
import time
import uuid

import pytest
from conftest import contract, invite, join, token
from server import Client, Server

NOBODY = str(uuid.uuid4())
ME, MEMBERS, INVITES = "/organizations/me", "/organizations/members", "/organizations/invites"


def test_settings(stranger, owner, with_role):
    before = stranger.get(ME).json()["organization"]
    after = stranger.patch(ME, {"name": "Other two", "billing_email": "pay@example.org"}).json()["organization"]
    assert (after["name"], after["billing_email"], after["slug"]) == ("Other two", "pay@example.org", before["slug"])
    assert stranger.patch(ME, {"billing_email": None}).json()["organization"]["billing_email"] is None
    assert stranger.patch(ME, {"name": "Acme"}, 409).json()["error_code"] == "already_exists"
    stranger.patch(ME, {"name": before["name"]})
    for body in ({}, {"name": " "}, {"billing_email": "x"}, {"slug": "x"}):
        stranger.patch(ME, body, 422)
    with_role("admin").patch(ME, {"name": "x"}, 403)


def test_all_need_a_key(anonymous):
    for method, path in (("GET", MEMBERS), ("GET", INVITES), ("POST", INVITES), ("PATCH", ME), ("PATCH", f"{MEMBERS}/{NOBODY}"), ("DELETE", f"{MEMBERS}/{NOBODY}"),
                         ("DELETE", f"{INVITES}/{NOBODY}")):
        anonymous.call(method, path, 401, json={} if method in ("POST", "PATCH") else None)


def test_life_of_an_invite(owner, anonymous, with_role):
    made = invite(owner, "viewer", expires_in_days=3)
    listed = {i["id"]: i for i in owner.get(INVITES + "?status=pending").json()["invites"]}
    assert listed[made["id"]]["invite_url"] == made["invite_url"] and made["status"] == "pending" and made["email_sent"] is False
    assert all(i["invite_url"] is None for i in with_role("member").get(INVITES).json()["invites"])
    seen = anonymous.get(f"//api/v1/invites/{token(made)}").json()
    assert (seen["organization_name"], seen["email"], seen["role"]) == ("Acme", made["email"], "viewer")
    pending = owner.get(ME).json()["organization"]["pending_invite_count"]
    joined = anonymous.post(f"//api/v1/invites/{token(made)}/accept", {"full_name": "Kim", "key_name": "laptop"}, 201).json()
    assert joined["member"]["full_name"] == "Kim" and joined["api_key"]["role"] == "viewer" and joined["api_key"]["name"] == "laptop"
    assert owner.get(ME).json()["organization"]["pending_invite_count"] == pending - 1
    kim = Client(owner.url, joined["api_key"]["full_key"], contract())
    assert joined["member"] in kim.get(MEMBERS).json()["members"]
    kim.post("/projects/", {"name": "x"}, 403)
    assert anonymous.post(f"//api/v1/invites/{token(made)}/accept", {}, 410).json()["error_code"] == "invite_closed"
    anonymous.get(f"//api/v1/invites/{token(made)}", 410)
    assert owner.delete(f"{INVITES}/{made['id']}", 422).json()["error_code"] == "invite_not_pending"
    assert owner.post(INVITES, {"email": made["email"].upper()}, 409).json()["error_code"] == "already_member"
    assert [i["status"] for i in owner.get(INVITES).json()["invites"] if i["id"] == made["id"]] == ["accepted"]


def test_accept_without_a_body(owner, anonymous):
    made = anonymous.call("POST", f"//api/v1/invites/{token(invite(owner))}/accept", 201).json()
    assert made["api_key"]["name"] == "first key" and made["member"]["full_name"] is None


def test_revoking(owner, anonymous, stranger, with_role):
    made = invite(owner)
    stranger.delete(f"{INVITES}/{made['id']}", 404)
    with_role("member").delete(f"{INVITES}/{made['id']}", 403)
    for _ in range(2):
        owner.delete(f"{INVITES}/{made['id']}", 204)
    anonymous.get(f"//api/v1/invites/{token(made)}", 410)
    anonymous.post(f"//api/v1/invites/{token(made)}/accept", {}, 410)
    owner.delete(f"{INVITES}/{NOBODY}", 404)
    owner.delete(f"{INVITES}/nonsense", 404)
    again = invite(owner, email=made["email"])
    assert owner.post(INVITES, {"email": made["email"]}, 409).json()["error_code"] == "already_exists"
    owner.delete(f"{INVITES}/{again['id']}", 204)


def test_invites_expire(owner, anonymous, server):
    made = invite(owner)
    with sqlite3.connect(server.folder / "pictograph.db", timeout=30) as db:
        assert db.execute("UPDATE invites SET expires_at = ? WHERE id = ?", (int(time.time() * 1000) - 1, made["id"])).rowcount == 1
    for method, tail in (("GET", ""), ("POST", "/accept")):
        reply = anonymous.call(method, f"//api/v1/invites/{token(made)}{tail}", 410).json()
        assert reply["error_code"] == "invite_closed" and "expired" in reply["detail"]
    owner.delete(f"{INVITES}/{made['id']}", 204)
    assert made["id"] in [i["id"] for i in owner.get(INVITES + "?status=expired").json()["invites"]], "nothing was left to revoke"
    assert invite(owner, email=made["email"])["status"] == "pending"  # who let it expire may be asked again


@pytest.mark.parametrize("body", [{}, {"email": "x"}, {"email": "a@example.org", "role": "owner"}, {"email": "a@example.org", "expires_in_days": 0},
                                  {"email": "a@example.org", "expires_in_days": 366}, {"email": "a@example.org", "extra": 1}])
def test_bad_invites(owner, body):
    owner.post(INVITES, body, 422)


def test_invites_need_an_admin_and_good_tokens(owner, anonymous, with_role):
    with_role("member").post(INVITES, {"email": "a@example.org"}, 403)
    owner.get(INVITES + "?status=lost", 422)
    for method, tail in (("GET", ""), ("POST", "/accept")):
        anonymous.call(method, f"//api/v1/invites/{'A' * 43}{tail}", 404)
    anonymous.post(f"//api/v1/invites/{token(invite(owner))}/accept", {"key_name": ""}, 422)


def test_tokens_cannot_be_guessed(tmp_path):
    server = Server(tmp_path / "data").start()
    try:
        owner, anonymous = Client(server.url, server.key, contract()), Client(server.url, None, contract())
        made = invite(owner)
        for method, tail in (("GET", ""), ("POST", "/accept")):
            answers = []
            while (reply := anonymous.call(method, f"//api/v1/invites/{len(answers):043d}{tail}")).status_code == 404:
                answers.append(reply)
                assert len(answers) <= 2 * 60, "nobody is refused"  # twice: a minute may begin in between
            assert reply.status_code == 429 and reply.json()["error_code"] == "rate_limited" and 0 < int(reply.headers["Retry-After"]) <= 60
            if method == "GET":
                assert len(answers) >= 60
        owner.get(ME)  # a good key from that address is not touched
        assert owner.get(INVITES).json()["invites"][0]["status"] == made["status"] == "pending"
    finally:
        assert server.stop() == 0


def test_the_plan_caps_members(server, anonymous):
    name = "Small " + uuid.uuid4().hex[:6]
    small = Client(server.url, server.command("org", "create", "--org", name, "--email", "small@example.org").strip(), contract())
    server.command("org", "set-tier", "--org", name, "--tier", "free")
    for _ in range(2):
        invite(small)
    assert small.post(INVITES, {"email": "fourth@example.org"}, 402).json()["error_code"] == "tier_limit_exceeded"


def test_roles(owner, anonymous, stranger):
    admin, admin_row = join(owner, anonymous, "admin")
    member, row = join(owner, anonymous)
    place = f"{MEMBERS}/{row['id']}"
    owner_row = next(m for m in owner.get(MEMBERS).json()["members"] if m["role"] == "owner")
    stranger.patch(place, {"role": "viewer"}, 404)
    member.patch(place, {"role": "admin"}, 403)
    admin.patch(place, {"role": "owner"}, 403)
    admin.patch(f"{MEMBERS}/{owner_row['id']}", {"role": "viewer"}, 403)
    admin.delete(f"{MEMBERS}/{owner_row['id']}", 403)
    owner.patch(place, {"role": "king"}, 422)
    owner.patch(f"{MEMBERS}/{NOBODY}", {"role": "viewer"}, 404)
    assert owner.patch(f"{MEMBERS}/{owner_row['id']}", {"role": "admin"}, 422).json()["error_code"] == "last_owner"
    assert owner.delete(f"{MEMBERS}/{owner_row['id']}", 422).json()["error_code"] == "last_owner"
    assert admin.patch(place, {"role": "viewer"}).json()["member"]["role"] == "viewer"
    time.sleep(1.05)  # the contract's second
    member.post("/projects/", {"name": "x"}, 403)
    owner.patch(f"{MEMBERS}/{admin_row['id']}", {"role": "owner"})
    owner.delete(f"{MEMBERS}/{admin_row['id']}", 204)


def test_removal_kills_the_keys(owner, anonymous, stranger):
    member, row = join(owner, anonymous)
    member.get("/projects/")
    stranger.delete(f"{MEMBERS}/{row['id']}", 404)
    member.delete(f"{MEMBERS}/{row['id']}", 403)
    owner.delete(f"{MEMBERS}/{row['id']}", 204)
    assert member.get_once("/projects/", 401).json()["error_code"] == "revoked_api_key"
    owner.delete(f"{MEMBERS}/{row['id']}", 404)
    back = anonymous.post(f"//api/v1/invites/{token(invite(owner, email=row['email']))}/accept", {}, 201).json()
    assert back["member"]["user_id"] == row["user_id"]
    member.get("/projects/", 401)
