"""Figures of api/limits.yaml: plans, prices, what the contract lets a request say, and constants of the code. Not all of them: those of clients are held by tests/client."""
import re

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


def figure(*path):
    value = LIMITS
    for name in path:
        value = value[name]
    return value["value"] if isinstance(value, dict) and "value" in value else value


# What a request may say: schema and field, keyword, place in limits.yaml
SCHEMAS = [
    ("ProjectName", "", "maxLength", "projects name_max_chars"), ("VirtualPath", "", "maxLength", "images folder_path_max_chars"),
    ("ProjectClassInput", "name", "maxLength", "projects class_name_max_chars"), ("ProjectCreateRequest", "annotation_types", "default", "projects default_annotation_types"),
    ("PointPromptRequest", "score_threshold", "default", "auto_annotate point_score_threshold"),
    ("BoxPromptRequest", "confidence_threshold", "default", "auto_annotate box_confidence_threshold"),
    ("TextPromptRequest", "confidence_threshold", "default", "auto_annotate text_confidence_threshold"),
    ("TextPromptRequest", "max_detections", "default", "auto_annotate text_max_detections default"),
    ("TextPromptRequest", "max_detections", "maximum", "auto_annotate text_max_detections max"),
    ("AutoAnnotateBatchRequest", "confidence_threshold", "default", "auto_annotate batch_confidence_threshold"),
    ("AutoAnnotateBatchRequest", "image_filenames", "minItems", "auto_annotate batch_images min"),
    ("AutoAnnotateBatchRequest", "image_filenames", "maxItems", "auto_annotate batch_images max"),
    ("BatchMoveRequest", "image_ids", "maxItems", "batch image_ids max"), ("BatchMoveRequest", "image_ids", "minItems", "batch image_ids min"),
    ("ExportCreateRequest", "name", "maxLength", "exports name_max_chars"), ("ExportCreateRequest", "format", "default", "exports defaults format"),
    ("ExportCreateRequest", "include_images", "default", "exports defaults include_images"),
    ("ExportCreateRequest", "status_filter", "default", "exports defaults status_filter"),
    ("TrainingCreateRequest", "name", "maxLength", "training run_name_max_chars"), ("TrainingCreateRequest", "gpu_type", "default", "training gpus default"),
    ("InviteCreateRequest", "expires_in_days", "default", "organizations invite_days default"),
    ("InviteCreateRequest", "expires_in_days", "minimum", "organizations invite_days min"),
    ("InviteCreateRequest", "expires_in_days", "maximum", "organizations invite_days max"),
    ("ApiKeyCreateRequest", "name", "maxLength", "auth api_key_name_max"),
    ("FrameExtractionRequest", "fps", "default", "videos default_fps"), ("FrameExtractionRequest", "max_frames", "maximum", "videos max_frames_cap"),
]


@pytest.mark.parametrize("schema, field, keyword, place", SCHEMAS)
def test_schemas(schema, field, keyword, place):
    found = contract().document["components"]["schemas"][schema]
    if field:
        found = {**contract().resolve(found["properties"][field]), **found["properties"][field]}
    assert found[keyword] == figure(*place.split())


# What only the code says: file, what stands there with {} for the figure, place in limits.yaml
CODE = [
    ("api/attempts.h", "FAILED_ATTEMPTS_PER_MINUTE = {}", "rate_limit unauthenticated_per_minute_per_address"), ("api/idempotency.h", "IDEMPOTENCY_HOURS = {}", "idempotency window_hours"),
    ("api/idempotency.h", "IDEMPOTENCY_WAIT = {}", "idempotency in_flight_wait_seconds"), ("api/idempotency.h", "IDEMPOTENCY_KEY_MAXIMUM = {}", "idempotency key_max_chars"),
    ("api/idempotency.c", "KEEP_SECRET_MS = {} * 1000", "auth created_key_replay_seconds"), ("api/rate_limit.h", "RATE_WINDOW_SECONDS = {}", "rate_limit window_seconds"),
    ("images/images.h", "IMAGE_MAXIMUM_BYTES = {}", "images max_bytes"), ("images/images.h", "IMAGE_FILENAME_CHARACTERS = {}", "images filename_max_chars"),
    ("../annotation/annotation.h", "CLASS_NAME_CHARACTERS = {}", "projects class_name_max_chars"), ("images/images.h", "IMAGE_FOLDER_CHARACTERS = {}", "images folder_path_max_chars"), ("video/video_api.c", "VIDEO_MAXIMUM_BYTES INT64_C({})", "videos max_bytes"),
    ("exports/exports_api.c", "DOWNLOAD_MS ({} * ", "signed_urls download_ttl_seconds"), ("models/models_api.c", "DOWNLOAD_TTL_MS = {} * 1000", "signed_urls download_ttl_seconds"),
    ("datasets/datasets_api.c", "DOWNLOAD_TTL_MS = {} * 1000", "signed_urls dataset_download_ttl_seconds"),
    ("system/objects_api.c", "UPLOAD_TTL_MS = {} * 1000", "signed_urls upload_ttl_seconds"),
    ("auto_annotate/prompts.c", "SESSION_IDLE_MS = {} * 1000", "auto_annotate embedding_session_idle_seconds"),
    ("auto_annotate/prompts.c", "FIRST_PROMPT = {}", "credits charges prompt_first_in_session"), ("auto_annotate/prompts.c", "FURTHER_PROMPT = {}", "credits charges prompt_further"),
    ("auto_annotate/auto_annotate.h", "BATCH_MINIMUM_CREDITS = {}", "credits charges batch_minimum"),
    ("training/training_api.c", "MINIMUM_IMAGES = {}", "training min_images"), ("training/training_api.c", "MAXIMUM_MINUTES = {}", "credits estimated_training_minutes max"),
    ("training/training_api.c", "CONFIG_BYTES = {}", "training config_bytes"),
    ("../worker/train_config.h", "MAX_SECONDS = {}", "training max_seconds"), ("../importer/main.c", "MAX_ENTRIES = {}", "imports max_entries"),
    ("../importer/main.c", "MAX_RATIO = {}", "imports max_ratio"), ("../importer/main.c", "MAX_CLASSES = {}", "imports max_classes"),
    ("../importer/main.c", "MAX_IMAGES = {}", "imports max_images"),
]


@pytest.mark.parametrize("path, text, place", CODE)
def test_constants_of_the_code(path, text, place):
    source = (ROOT / "src" / "server" / path).read_text()
    assert re.search(re.escape(text.format(figure(*place.split()))) + r"(?!\d)", source), f"{path} says otherwise"


def test_what_images_say_of_themselves(owner, image):
    _, picture = image
    days = figure("images", "cache_days")
    assert f"max-age={days * 86400}" in owner.get(f"/images/{picture['id']}/thumbnail").headers["Cache-Control"]
    size = next(p["schema"] for p in map(contract().resolve, contract().operations["getImageThumbnail"]["parameters"]) if p["in"] == "query")
    assert {k: size[k] for k in ("default", "minimum", "maximum")} == dict(zip(("default", "minimum", "maximum"), (figure("images", "thumbnail_px")[k] for k in ("default", "min", "max"))))
