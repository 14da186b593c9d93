import pytest


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


def test_organization_of_the_key(owner):
    mine = owner.get("/organizations/me").json()["organization"]
    assert mine["name"] == "Acme" and mine["subscription_tier"] == "enterprise" and mine["member_count"] == 1
