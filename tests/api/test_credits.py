import concurrent.futures
import random
import sqlite3

import pytest
from conftest import contract, picture
from server import Client


def test_balance_history_estimate(owner, server):
    before = owner.get("/credits/balance").json()
    server.command("credits", "grant", "--org", "Acme", "--amount", "50")
    after = owner.get("/credits/balance").json()
    assert after["credits_remaining"] == before["credits_remaining"] + 50
    newest = after["recent_history"][0]
    assert (newest["operation"], newest["amount"], newest["balance_after"]) == ("top_up", 50, after["credits_remaining"])
    history = owner.get("/credits/history?limit=500").json()
    assert sum(e["amount"] for e in history["entries"]) == after["credits_remaining"]  # the ledger is the one truth
    assert owner.get("/credits/history?limit=1&offset=1").json()["entries"][0]["id"] == history["entries"][1]["id"]
    owner.get("/credits/history?limit=501", 422)


@pytest.mark.parametrize("slug, unit, each, minimum", [("sam3_per_minute", "minute", 1, 3), ("training_a10g", "minute", 10, 0), ("training_h100_per_minute", "minute", 120, 0),
                                                       ("image_edit_gemini_flash", "image", 3, 0)])
def test_estimates(owner, slug, unit, each, minimum):
    reply = owner.get(f"/credits/estimate?operation={slug}&quantity=2").json()
    assert (reply["operation"], reply["unit"], reply["credits_per_unit"], reply["total_credits"], reply["minimum"]) == (slug, unit, each, max(2 * each, minimum), minimum)
    assert reply["sufficient"] is (reply["credits_remaining"] >= reply["total_credits"])


def test_unknown_operations(owner):
    assert owner.get("/credits/estimate?operation=magic", 422).json()["error_code"] == "unknown_operation"
    owner.get("/credits/estimate", 422)
    owner.get("/credits/estimate?operation=sam3_per_minute&quantity=0", 422)


def test_organization_of_the_key(server):
    key = server.command("org", "create", "--org", "Nobody else's", "--email", "alone@example.org").strip()
    mine = Client(server.url, key, contract()).get("/organizations/me").json()["organization"]
    assert mine["name"] == "Nobody else's" and mine["subscription_tier"] == "enterprise" and mine["member_count"] == 1


@pytest.mark.parametrize("written", [1, 4102444800000])  # long ago; by a clock that said 2100
def test_the_monthly_allowance(server, written):
    """The balance is filled up to it once a month, with a row of the ledger; what is above it stays."""
    name = f"Monthly {written}"
    client = Client(server.url, server.command("org", "create", "--org", name, "--email", f"{written}@example.org").strip(), contract())
    project = client.project()
    client.upload(project, "a.jpg", picture())
    next_month = client.get("/credits/balance").json()["credits_reset_at"]

    def after_a_charge(granted):
        server.command("credits", "grant", "--org", name, "--amount", str(granted))
        with sqlite3.connect(server.folder / "pictograph.db", timeout=30) as db:
            db.execute("UPDATE organizations SET credits_reset_at = ? WHERE name = ?", (written, name))
        for _ in range(2):
            client.post("/auto-annotate/sam3/point", {"dataset_name": project["name"], "image_filename": "a.jpg", "x": 5, "y": 5})
        balance = client.get("/credits/balance").json()
        assert balance["credits_reset_at"] == next_month
        return balance["credits_remaining"], [e["amount"] for e in balance["recent_history"] if e["operation"] == "monthly_allowance"]

    assert after_a_charge(-99000) == (99996, [99000, 100000])
    assert after_a_charge(500000) == (599994, [99000, 100000])


def ledger(server, organization):
    with sqlite3.connect(server.folder / "pictograph.db", timeout=30) as db:
        return db.execute("SELECT amount, balance_after FROM credit_ledger WHERE organization_id = ? ORDER BY sequence", (organization,)).fetchall()


@pytest.mark.parametrize("seed", range(3))
def test_the_ledger_is_the_one_truth(server, seed):
    """Random histories of grants, charges, refusals and refunds, several at a time: each entry carries the sum of all up to it, and none goes below zero."""
    rng, name = random.Random(seed), f"Ledger {seed}"
    client = Client(server.url, server.command("org", "create", "--org", name, "--email", f"l{seed}@example.org").strip(), contract())
    organization = client.get("/organizations/me").json()["organization"]["id"]
    project = client.project()
    names = [client.upload(project, f"{i}.jpg", picture(colour=(40 * i, 9, 9)))["filename"] for i in range(4)]
    lost = client.upload(project, "lost.jpg", picture(colour=(1 + seed, 2, 3)))["filename"]
    with sqlite3.connect(server.folder / "pictograph.db", timeout=30) as db:
        sha256 = db.execute("SELECT object FROM images WHERE project_id = ? AND filename = ?", (project["id"], lost)).fetchone()[0]
        db.execute("DELETE FROM description_queue WHERE project_id = ?", (project["id"],))
    (server.folder / "objects" / sha256[:2] / sha256[2:4] / sha256).unlink()  # each batch has to give back what it took for this one
    server.command("credits", "grant", "--org", name, "--amount", "-1000000")
    jobs = []

    def annotate(images, expect=None):
        body = {"dataset_name": project["name"], "image_filenames": images, "classes": [{"name": "person", "output_type": "bbox"}]}
        reply = client.call("POST", "/auto-annotate/batch", expect, json=body)
        if reply.status_code == 202:
            jobs.append(reply.json()["job_id"])
        return reply

    def step(_):
        kind = rng.choice(["grant", "grant", "take", "prompt", "prompt", "bad prompt", "batch", "batch", "cancel"])
        if kind in ("grant", "take"):
            server.command("credits", "grant", "--org", name, "--amount", str(rng.randrange(1, 9) * (1 if kind == "grant" else -1)))
            return
        if kind == "cancel":
            if jobs:
                client.post(f"/auto-annotate/batch/{rng.choice(jobs)}/cancel")
            return
        if kind == "batch":
            reply = annotate(rng.sample([*names, lost], rng.randrange(1, 6)))
        else:
            body = {"dataset_name": project["name"], "image_filename": rng.choice(names), "x": rng.randrange(60), "y": rng.randrange(40), "score_threshold": 0}
            if kind == "bad prompt":
                body["x"] = 10**6
            reply = client.call("POST", "/auto-annotate/sam3/point", json=body)
        assert reply.status_code in (200, 202, 402, 422, 503), reply.text
        if reply.status_code == 402:
            detail = reply.json()["detail"]
            assert detail["remaining"] < detail["required"]

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        list(pool.map(step, range(40)))
    server.command("credits", "grant", "--org", name, "--amount", "3")
    annotate([lost], 202)
    done = [client.wait(f"/auto-annotate/batch/{job}") for job in jobs]
    assert (done[-1]["status"], done[-1]["failed_images"], done[-1]["credits_charged"]) == ("completed", 1, 0)
    rows, balance = ledger(server, organization), 0
    for amount, after in rows:
        balance += amount
        assert after == balance >= 0
    assert client.get("/credits/balance").json()["credits_remaining"] == balance
    history = client.get("/credits/history?limit=500").json()
    assert history["total"] == len(rows) and sum(e["amount"] for e in history["entries"]) == balance
    refunds = [e["amount"] for e in history["entries"] if e["operation"] == "sam3_refund" and "batch" in e["description"]]
    assert sorted(refunds) == sorted(given_back for job in done if (given_back := job["estimated_credits"] - job["credits_charged"])), "what a batch did not use, once"
