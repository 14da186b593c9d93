import io
import math
import sqlite3
import time

import pytest
from PIL import Image, ImageDraw


@pytest.fixture(scope="module")
def ring(owner):
    """A bright disc with a dark hole on a darker, noisy ground."""
    image = Image.effect_noise((320, 240), 12).convert("RGB").point(lambda v: v // 3)
    draw = ImageDraw.Draw(image)
    draw.ellipse([80, 40, 240, 200], fill=(230, 210, 60))
    draw.ellipse([130, 90, 190, 150], fill=(20, 30, 40))
    out = io.BytesIO()
    image.save(out, "JPEG", quality=95)
    project = owner.project(classes=())
    return project, owner.upload(project, "ring.jpg", out.getvalue())


def area(points):
    return abs(sum(a["x"] * b["y"] - b["x"] * a["y"] for a, b in zip(points, points[1:] + points[:1]))) / 2


def ask(client, verb, project, expect=200, **fields):
    return client.post(f"/auto-annotate/sam3/{verb}", {"dataset_name": project["name"], "image_filename": "ring.jpg", **fields}, expect).json()


def test_point(owner, ring):
    project, image = ring
    first = ask(owner, "point", project, x=100, y=120, name="ring", score_threshold=0)
    assert first["status"] == "success" and first["image_id"] == image["id"] and first["credits_charged"] == 3
    polygon = first["annotation"]
    assert first["annotations"] == [polygon] and polygon["type"] == "polygon" and polygon["name"] == "ring"
    rings = polygon["polygon"]["paths"]
    assert abs(area(rings[0]) - math.pi * 80 ** 2) < 0.05 * math.pi * 80 ** 2
    assert ask(owner, "point", project, x=100, y=120, score_threshold=0)["credits_charged"] == 1
    assert owner.get(f"/annotations/{image['id']}").json()["annotations"] == []  # nothing is stored
    saved = owner.post(f"/annotations/{image['id']}", {"annotations": [polygon]}).json()  # the label joins the classes
    assert saved["new_count"] == 1
    assert [c["name"] for c in owner.get(f"/projects/{project['name']}").json()["project"]["classes"]] == ["ring"]


def test_box(owner, ring):
    project, _ = ring
    reply = ask(owner, "box", project, box={"x": 60, "y": 20, "w": 200, "h": 200}, name="ring", confidence_threshold=0)
    assert reply["status"] == "success" and [a["type"] for a in reply["annotations"]] == ["bbox", "polygon"]
    box = reply["annotations"][0]["bounding_box"]
    for got, want in zip((box["x"], box["y"], box["w"], box["h"]), (80, 40, 160, 160)):
        assert abs(got - want) < 8
    assert len(ask(owner, "box", project, box={"x": 60, "y": 20, "w": 200, "h": 200}, name="ring", confidence_threshold=0, return_polygon=False)["annotations"]) == 1


def test_prompts_that_are_refused(owner, ring, with_role):
    project, _ = ring
    ask(owner, "point", project, 404, x=1, y=1, image_filename="nope.jpg")
    ask(owner, "point", {"name": "nope"}, 404, x=1, y=1)
    ask(owner, "box", project, 422, box={"x": 1, "y": 1, "w": 0, "h": 4}, name="a")
    ask(owner, "box", project, 422, box={"x": 1, "y": 1, "w": 3, "h": 4})
    before = owner.get("/credits/balance").json()["credits_remaining"]
    reply = ask(owner, "point", project, 422, x=-1, y=1, negative_points=[[1, 1], [1, 5000]])
    assert [(e["loc"][1:], e["msg"]) for e in reply["detail"]] == [(place, "The image has 320 x 240 pixels") for place in (["x"], ["negative_points", 1, 1])]
    reply = ask(owner, "box", project, 422, box={"x": 320, "y": 1, "w": 3, "h": 4}, name="a")
    assert [e["loc"] for e in reply["detail"]] == [["body", "box"]]
    assert owner.get("/credits/balance").json()["credits_remaining"] == before
    ask(with_role("viewer"), "point", project, 403, x=1, y=1)


def test_an_answer_that_is_lost_costs_nothing(server, owner, ring):
    """The label cannot be remembered: the prompt was answered and charged by then."""
    project, _ = ring
    def database(sql):
        with sqlite3.connect(server.folder / "pictograph.db", timeout=30) as db:
            return db.execute(sql).fetchone()
    balance = "SELECT balance_after FROM credit_ledger ORDER BY sequence DESC LIMIT 1"
    before = database(balance)
    database("CREATE TRIGGER forget BEFORE UPDATE OF prompted_labels ON projects BEGIN SELECT 1 FROM nowhere; END")
    try:
        ask(owner, "point", project, 500, x=100, y=120, name="lost", score_threshold=0)
        ask(owner, "box", project, 500, box={"x": 60, "y": 20, "w": 200, "h": 200}, name="lost", confidence_threshold=0)
    finally:
        database("DROP TRIGGER forget")
    assert database(balance) == before
    assert ask(owner, "point", project, x=100, y=120, name="lost", score_threshold=0)["status"] == "success"


def test_one_name_in_two_folders(owner, jpeg):
    project = owner.project()
    for folder in ("/a", "/b"):
        owner.upload(project, "ring.jpg", jpeg, folder=folder)
    assert ask(owner, "point", project, 409, x=5, y=5)["error_code"] == "ambiguous_filename"
    assert ask(owner, "point", project, x=5, y=5, image_filename="/b/ring.jpg", score_threshold=0)["status"] in ("success", "no_detection")


def test_a_session_ends_after_half_an_hour(owner, server, ring):
    project, image = ring
    ask(owner, "point", project, x=100, y=120)
    for idle, price in ((1799, 1), (1800, 3)):
        with sqlite3.connect(server.folder / "pictograph.db", timeout=30) as db:
            now = int(time.time() * 1000)
            assert db.execute("UPDATE prompt_sessions SET last_prompt_at = ? WHERE image_id = ?", (now - idle * 1000 + (900 if idle < 1800 else 0), image["id"])).rowcount == 1
        assert ask(owner, "point", project, x=100, y=120)["credits_charged"] == price
