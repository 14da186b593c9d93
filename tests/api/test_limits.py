"""Every figure of api/limits.yaml that the server holds is the one that it serves."""
import pathlib

import pytest
import yaml
from conftest import contract
from server import ROOT, Client, Server

LIMITS = yaml.safe_load((ROOT / "api" / "limits.yaml").read_text())
TIERS = [name for name in LIMITS["tiers"] if name != "src"]


@pytest.mark.parametrize("tier", TIERS)
def test_tiers(server, tier):
    key = server.command("org", "create", "--org", f"Tier {tier}", "--email", f"{tier}@example.org").strip()
    server.command("org", "set-tier", "--org", f"Tier {tier}", "--tier", tier)
    shown = Client(server.url, key, contract()).get("/organizations/me").json()["organization"]
    caps = LIMITS["tier_caps"][tier]
    assert shown["subscription_tier"] == tier and shown["rate_limit_per_hour"] == LIMITS["tiers"][tier]["requests_per_hour"]
    assert {k: shown[k] for k in ("max_users", "max_images", "max_storage_bytes")} == {k: caps[k] for k in ("max_users", "max_images", "max_storage_bytes")}
    assert shown["credits_monthly_allowance"] == caps["monthly_credits"]


PRICES = LIMITS["credits"]["operations"]
SLUGS = {**{slug: slug for slug in PRICES}, **{k: v for k, v in LIMITS["credits"]["aliases"].items() if k != "src"}}


@pytest.mark.parametrize("slug", SLUGS)
def test_prices(owner, slug):
    price = PRICES[SLUGS[slug]]
    for quantity in (1, 2, 7):
        shown = owner.get(f"/credits/estimate?operation={slug}&quantity={quantity}").json()
        assert (shown["credits_per_unit"], shown["unit"], shown["minimum"]) == (price["per_unit"], price["unit"], price["minimum"])
        assert shown["total_credits"] == max(quantity * price["per_unit"], price["minimum"])


PAGES = {"listProjects": "projects", "listDatasets": "datasets", "listDatasetDownloads": "dataset_download", "listExports": "exports", "listTrainingRuns": "training",
         "listModels": "models", "listCreditHistory": "credit_history", "searchByTags": "search",
         "listZipImports": "imports", "listZipImportFiles": "import_files"}


@pytest.mark.parametrize("name", [n for n in PAGES if n in contract().operations])
def test_page_sizes(name):
    limit = next(p["schema"] for p in map(contract().resolve, contract().operations[name]["parameters"]) if p["name"] == "limit")
    assert {"default": limit["default"], "max": limit["maximum"]} == {k: LIMITS["pagination"][PAGES[name]][k] for k in ("default", "max")}


def test_constants_of_the_code():
    """Figures that no answer shows."""
    values = {"src/server/api/attempts.h": ("FAILED_ATTEMPTS_PER_MINUTE", LIMITS["rate_limit"]["unauthenticated_per_minute_per_address"]["value"]),
              "src/server/api/idempotency.h": ("IDEMPOTENCY_HOURS", LIMITS["idempotency"]["window_hours"]["value"]),
              "src/server/api/idempotency.c": ("KEEP_SECRET_MS", f"{LIMITS['auth']['created_key_replay_seconds']['value']} * 1000"),
              "src/server/api/rate_limit.h": ("RATE_WINDOW_SECONDS", LIMITS["rate_limit"]["window_seconds"]["value"])}
    for path, (name, value) in values.items():
        assert f"{name} = {value}" in (pathlib.Path(ROOT) / path).read_text(), f"{path}: {name} is not {value}"
