import contextlib
import io
import math
import os
import random
import signal
import sqlite3
import subprocess
import time

import pytest
from PIL import Image, ImageDraw

from conftest import contract
from server import Client, Server, once

DESCRIBED_WITHIN = 300  # s, on a machine that is busy
CATEGORIES = ("objects", "scenes", "attributes")


def encoded(image, kind="JPEG", **options):
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


# Kinds of pictures that no one would mix up, each drawn anew by a seed.
def checkers(seed):
    rng = random.Random(seed)
    image = Image.new("RGB", (256, 256), "white")
    draw = ImageDraw.Draw(image)
    side = rng.choice((24, 28, 32))
    for y in range(0, 256, side):
        for x in range(0, 256, side):
            if (x // side + y // side) % 2:
                draw.rectangle([x, y, x + side, y + side], fill=(rng.randrange(20), rng.randrange(20), rng.randrange(20)))
    return image


def balls(seed):
    rng = random.Random(seed)
    image = Image.new("RGB", (320, 240), (30, 90, 40))
    draw = ImageDraw.Draw(image)
    for _ in range(5):
        x, y, r = rng.randrange(40, 280), rng.randrange(40, 200), rng.randrange(18, 30)
        for k in range(r, 0, -1):
            draw.ellipse([x - k, y - k, x + k, y + k], fill=(255 - 3 * k, 120 - 2 * k, 30))
    return image


def waves(seed):
    phase = random.Random(seed).random() * 6
    image = Image.new("RGB", (200, 300))
    image.putdata([(int(40 + 20 * math.sin(y / 25 + phase)), int(90 + 40 * math.sin((x + y) / 40 + phase)), int(190 + 50 * math.sin(y / 18))) for y in range(300) for x in range(200)])
    return image


KINDS = {"checkers": checkers, "balls": balls, "waves": waves}


def facts(client, image_id):
    return client.get(f"/images/{image_id}/metadata").json()["image"]


def wait_described(client, images):
    deadline = time.monotonic() + DESCRIBED_WITHIN
    waiting = list(images)
    while waiting and time.monotonic() < deadline:
        waiting = [i for i in waiting if not facts(client, i)["image_auto_tags"]["attributes"]]
        time.sleep(0.05)
    assert not waiting, f"{len(waiting)} of {len(images)} images were not described within {DESCRIBED_WITHIN} s"


def similar(client, image_id, expect=200, **fields):
    reply = client.get("/search/similar", expect, params={"image_id": image_id, **fields}).json()
    return reply["results"] if expect == 200 else reply


def tagged(client, expect=200, **fields):
    return client.get("/search/by-tags", expect, params=fields).json()


def test_bytes_that_are_gone_hold_up_nobody(owner, server, jpeg):
    """Its own project comes first, and it is tried again and again, since the disk may come back; the pause before that is its own, not that of new images."""
    first, second = owner.project(), owner.project()
    lost = owner.upload(first, "lost.png", encoded(waves(77), "PNG"), content_type="image/png")
    wait_described(owner, [lost["id"]])
    with sqlite3.connect(server.folder / "pictograph.db", timeout=30) as db:
        sha256 = db.execute("SELECT object FROM images WHERE id = ?", (lost["id"],)).fetchone()[0]
        (server.folder / "objects" / sha256[:2] / sha256[2:4] / sha256).unlink()
        db.execute("DELETE FROM image_vectors WHERE image_id = ?", (lost["id"],))
        db.execute("INSERT INTO description_queue (image_id, project_id, queued_at, attempts) VALUES (?, ?, 0, 2)", (lost["id"], first["id"]))
    told = lambda: server.log.read_text().count(f'"image_not_described","image":"{lost["id"]}"')  # noqa: E731

    def took(seeds):
        """The seconds that new images waited for their description after a try for the lost one."""
        tries = told()
        once(told, lambda count: count > tries)
        failed = time.monotonic()
        wait_described(owner, [owner.upload(second, f"{seed}.jpg", encoded(checkers(90 + seed)))["id"] for seed in seeds])
        return time.monotonic() - failed

    # a machine that is busy may take as long as the pause, but not each time
    assert any(took(range(n, n + 3)) < 14 for n in (0, 3, 6)), "new images had to wait for the next try, which comes after 15 s"
    owner.delete(f"/projects/{first['name']}")


@pytest.fixture(scope="module")
def gallery(owner):
    """Four pictures of each kind in one folder: (project, {image id: kind})."""
    project = owner.project()
    kinds = {}
    for kind, draw in KINDS.items():
        for seed in range(4):
            kinds[owner.upload(project, f"{kind}-{seed}.jpg", encoded(draw(seed), quality=92))["id"]] = kind
    wait_described(owner, kinds)
    return project, kinds


def test_nearest_are_of_the_same_kind(owner, gallery):
    _, kinds = gallery
    for image, kind in kinds.items():
        hits = similar(owner, image, threshold=0)
        assert [kinds[h["id"]] for h in hits[:3]] == [kind] * 3
        assert len(hits) == len(kinds) - 1 and image not in [h["id"] for h in hits]
        scores = [h["similarity"] for h in hits]
        assert scores == sorted(scores, reverse=True) and scores[2] > scores[3]
        for h in hits:
            assert h["id"] == h["image_id"] and h["tags"] == h["image_auto_tags"] and h["tags"]["attributes"]


def test_likeness_goes_both_ways(owner, gallery):
    _, kinds = gallery
    a, b = list(kinds)[:2]
    there = {h["id"]: h["similarity"] for h in similar(owner, a, threshold=0)}
    back = {h["id"]: h["similarity"] for h in similar(owner, b, threshold=0)}
    assert abs(there[b] - back[a]) < 1e-9


def test_limit_and_threshold(owner, gallery):
    _, kinds = gallery
    image = next(iter(kinds))
    all_of_them = similar(owner, image, threshold=0)
    assert similar(owner, image, threshold=0, limit=2) == all_of_them[:2]
    middle = (all_of_them[3]["similarity"] + all_of_them[4]["similarity"]) / 2
    assert similar(owner, image, threshold=middle) == all_of_them[:4]
    assert similar(owner, image) == [h for h in all_of_them if h["similarity"] >= 0.6]  # the contract's default
    assert similar(owner, image, threshold=1) == []


def test_a_threshold_of_1_finds_copies(owner):
    """Floats of length 1 seldom have just that length: half of the copies were a little less alike than they can be."""
    project = owner.project()
    images = [owner.upload(project, f"{n}.jpg", encoded((checkers, balls)[n % 2](n)))["id"] for n in range(8)]
    copies = {c["source_id"]: c["image_id"] for c in owner.post("/batch/images/copy", {"dataset_name": project["name"], "image_ids": images, "target_folder_path": "/copies"}).json()["created"]}
    wait_described(owner, [*images, *copies.values()])
    for image, copy in copies.items():
        assert [(h["id"], h["similarity"]) for h in similar(owner, image, threshold=1)] == [(copy, 1)]


def test_scope_is_a_folder_with_its_subfolders(owner):
    project = owner.project()
    place = {}
    for n, folder in enumerate(("/", "/a", "/a/b", "/ab", "/a/b/c")):
        place[owner.upload(project, "x.jpg", encoded(checkers(n)), folder=folder)["id"]] = folder
    wait_described(owner, place)
    by_folder = {folder: image for image, folder in place.items()}

    def seen(image, **fields):
        return sorted(place[h["id"]] for h in similar(owner, image, threshold=0, **fields))

    assert seen(by_folder["/a"]) == ["/a/b", "/a/b/c"]  # its own folder when nothing is said
    assert seen(by_folder["/a/b/c"]) == []
    assert seen(by_folder["/"]) == ["/a", "/a/b", "/a/b/c", "/ab"]
    assert seen(by_folder["/a"], folder_path="/") == ["/", "/a/b", "/a/b/c", "/ab"]
    assert seen(by_folder["/ab"], folder_path="/a/") == ["/a", "/a/b", "/a/b/c"]
    assert seen(by_folder["/a"], folder_path="/nowhere") == []
    # what is moved is found at its new place at once
    owner.post("/batch/images/move", {"dataset_name": project["name"], "image_ids": [by_folder["/ab"]], "target_folder_path": "/a/z"})
    place[by_folder["/ab"]] = "/a/z"
    assert seen(by_folder["/a"]) == ["/a/b", "/a/b/c", "/a/z"]


def test_changes_are_seen_at_once(owner):
    project = owner.project()
    first, second, third = (owner.upload(project, f"{n}.jpg", encoded(balls(n)))["id"] for n in range(3))
    wait_described(owner, (first, second, third))

    def seen():
        return {h["id"] for h in similar(owner, first, threshold=0)}

    assert seen() == {second, third}
    owner.delete(f"/images/{second}")  # archives
    assert seen() == {third}
    assert {h["id"] for h in similar(owner, second, threshold=0)} == {first, third}  # an archived one may still be the reference
    owner.patch("/batch/images/update", {"dataset_name": project["name"], "image_ids": [second], "updates": {"is_archived": False}})
    assert seen() == {second, third}
    owner.delete(f"/images/{third}", params={"permanent": "true"})
    assert seen() == {second}
    # nothing was described yet: asked about, it is described there and then; the same bytes are as alike as can be
    twin = owner.upload(project, "twin.jpg", encoded(balls(0)))["id"]
    assert {h["id"] for h in similar(owner, twin, threshold=0)} >= {first}
    (best, *_) = similar(owner, first, threshold=0.999)
    assert best["id"] == twin and best["similarity"] > 0.9999
    copy = owner.post("/batch/images/copy", {"dataset_name": project["name"], "image_ids": [first], "target_folder_path": "/copies"}).json()["created"][0]["image_id"]
    wait_described(owner, [copy])
    assert copy in seen()
    owner.delete(f"/projects/{project['name']}")
    similar(owner, first, 404)


def test_other_organizations_see_nothing(owner, server, gallery):
    stranger = Client(server.url, server.command("org", "create", "--org", "Without images", "--email", "without@example.org").strip(), contract())
    project, kinds = gallery
    image = next(iter(kinds))
    similar(stranger, image, 404)
    assert tagged(stranger, attributes=["landscape", "portrait", "square"])["total"] == 0
    tagged(stranger, 404, attributes=["square"], dataset_name=project["name"])
    mine = stranger.project()
    alike = stranger.upload(mine, "c.jpg", encoded(checkers(0), quality=92))["id"]  # the bytes of an image of the other organization
    wait_described(stranger, [alike])
    assert similar(stranger, alike, threshold=0) == []
    assert alike not in [h["id"] for h in similar(owner, image, threshold=0)]
    assert [h["id"] for h in tagged(stranger, attributes=["square"])["results"]] == [alike]


def test_similar_is_refused(owner, anonymous, with_role, gallery):
    _, kinds = gallery
    image = next(iter(kinds))
    assert similar(with_role("viewer"), image, threshold=0)
    similar(anonymous, image, 401)
    similar(owner, "not-an-id", 404)
    similar(owner, "00000000-0000-4000-8000-000000000000", 404)
    reply = owner.get("/search/similar", 422, params={"threshold": 1.5, "limit": 0, "folder_path": "nowhere"}).json()
    assert {tuple(f["loc"]) for f in reply["detail"]} == {("query", name) for name in ("image_id", "threshold", "limit", "folder_path")}
    similar(owner, image, 422, limit=501)
    similar(owner, image, 422, threshold="high")


def test_tags_or_inside_and_across(owner):
    project = owner.project()
    dark = owner.upload(project, "dark.jpg", encoded(Image.new("RGB", (320, 200), (10, 10, 60))))["id"]
    red = owner.upload(project, "red.jpg", encoded(Image.new("RGB", (200, 320), (220, 20, 20))))["id"]
    white = owner.upload(project, "white.png", encoded(Image.new("RGB", (300, 300), "white"), "PNG"), content_type="image/png")["id"]
    wait_described(owner, (dark, red, white))
    words = {i: facts(owner, i)["image_auto_tags"]["attributes"] for i in (dark, red, white)}
    assert {"landscape", "dark", "plain background"} <= set(words[dark]) and {"portrait", "red"} <= set(words[red])
    assert {"square", "bright", "white", "grayscale"} <= set(words[white])

    def found(**fields):
        return [h["id"] for h in tagged(owner, dataset_name=project["name"], **fields)["results"]]

    assert found(attributes=["dark"]) == [dark]
    assert found(attributes=["dark", "red"]) == [red, dark]  # newest first
    assert found(attributes=[" RED "]) == [red]
    assert found(attributes=["plain background"]) == [white, red, dark]
    assert found(attributes=["no such word"]) == []
    assert found(attributes=["dark", "red"], objects=["animal"]) == []
    first = tagged(owner, dataset_name=project["name"], attributes=["plain background"], limit=2)
    assert (first["total"], first["count"], first["limit"], first["offset"]) == (3, 2, 2, 0)
    rest = tagged(owner, dataset_name=project["name"], attributes=["plain background"], limit=2, offset=2)
    assert [h["id"] for h in rest["results"]] == [dark] and rest["total"] == 3
    assert tagged(owner, dataset_name=project["name"], attributes=["plain background"], offset=9)["count"] == 0
    hit = rest["results"][0]
    assert hit["id"] == hit["image_id"] and hit["tags"] == hit["image_auto_tags"] == facts(owner, dark)["image_auto_tags"] and hit["dataset_name"] == project["name"]
    assert {red, dark} <= {h["id"] for h in tagged(owner, attributes=["red", "dark"], limit=500)["results"]}  # the whole organization
    owner.delete(f"/images/{dark}")
    assert found(attributes=["dark", "red"]) == [red]
    owner.delete(f"/images/{red}", params={"permanent": "true"})
    assert found(attributes=["dark", "red"]) == []


def test_tags_of_several_categories(owner, server):
    """What the words mean is the model's affair; here they are written by hand."""
    import sqlite3
    project = owner.project()
    ids = [owner.upload(project, f"{n}.jpg", encoded(Image.new("RGB", (64, 64), (n, 0, 0))))["id"] for n in range(4)]
    wait_described(owner, ids)
    rows = [(0, "objects", "car"), (0, "scenes", "street"), (1, "objects", "truck"), (1, "scenes", "street"), (2, "objects", "car"), (3, "scenes", "street")]
    with sqlite3.connect(server.folder / "pictograph.db", timeout=20) as db:
        db.executemany("INSERT INTO image_tags VALUES (?, ?, ?, ?, 0)", [(project["id"], category, word, ids[n]) for n, category, word in rows])

    def found(**fields):
        return [ids.index(h["id"]) for h in tagged(owner, dataset_name=project["name"], **fields)["results"]]

    assert found(objects=["car"]) == [2, 0] and found(scenes=["street"]) == [3, 1, 0]
    assert found(objects=["car"], scenes=["street"]) == [0]
    assert found(objects=["car", "truck"], scenes=["street"]) == [1, 0]
    assert found(objects=["car", "truck"], scenes=["street"], attributes=["square"]) == [1, 0]
    assert found(objects=["car", "truck"], scenes=["street"], attributes=["portrait"]) == []
    assert found(scenes=["car"]) == []
    assert facts(owner, ids[0])["image_auto_tags"]["objects"] == ["car"]
    plans = [row[3] for row in sqlite3.connect(server.folder / "pictograph.db", timeout=60).execute(
        "EXPLAIN QUERY PLAN SELECT t.image_id FROM projects q CROSS JOIN json_each('[\"car\"]') w CROSS JOIN image_tags t WHERE q.organization_id = ? "
        "AND t.project_id = q.id AND t.category = 'objects' AND t.tag = w.value", ("x",))]
    assert any("SEARCH t USING" in p for p in plans) and not any("SCAN t" in p or "SCAN q" in p for p in plans), plans


def test_tags_are_refused(owner, anonymous, with_role):
    assert tagged(with_role("viewer"), attributes=["dark"])["limit"] == 50
    tagged(anonymous, 401, attributes=["dark"])
    assert tagged(owner, 422)["error_code"] == "empty_filter"
    tagged(owner, 404, attributes=["dark"], dataset_name="no such dataset")
    reply = tagged(owner, 422, attributes=[""], limit=501, offset=-1)
    assert {tuple(f["loc"])[:2] for f in reply["detail"]} == {("query", name) for name in ("attributes", "limit", "offset")}


def test_every_type_is_described(owner):
    project = owner.project()
    picture = balls(1)
    ids = [owner.upload(project, "a.png", encoded(picture, "PNG"), content_type="image/png")["id"],
           owner.upload(project, "a.gif", encoded(picture.quantize(256), "GIF"), content_type="image/gif")["id"],
           owner.upload(project, "a.webp", encoded(picture, "WEBP"), content_type="image/webp")["id"],
           owner.upload(project, "a.bmp", encoded(picture, "BMP"), content_type="image/bmp")["id"],
           owner.upload(project, "a.tif", encoded(picture, "TIFF"), content_type="image/tiff")["id"],
           owner.upload(project, "cmyk.jpg", encoded(picture.convert("CMYK")))["id"],
           owner.upload(project, "gray.jpg", encoded(picture.convert("L")))["id"],
           owner.upload(project, "tiny.png", encoded(Image.new("RGBA", (1, 1), (255, 0, 0, 0)), "PNG"), content_type="image/png")["id"]]
    wait_described(owner, ids)
    alike = {h["id"] for h in similar(owner, ids[0], threshold=0.8)}
    assert alike >= set(ids[1:5]) and ids[-1] not in alike


# ---- a server of their own ----

@pytest.fixture
def alone(tmp_path):
    server = Server(tmp_path / "data")
    yield server
    server.stop()


def client_of(server):
    return Client(server.url, server.key, contract())


def workers_of(server):
    found = subprocess.run(["pgrep", "-P", str(server.process.pid), "-f", "pictograph-vision"], capture_output=True, text=True).stdout
    return [int(pid) for pid in found.split()]


def test_without_the_model(alone):
    alone.start(PICTOGRAPHD_BUILTIN_MODELS=str(alone.folder / "nothing"))
    client = client_of(alone)
    project = client.project()
    images = [client.upload(project, f"{n}.jpg", encoded(waves(n)))["id"] for n in range(3)]
    for reply in (similar(client, images[0], 503), tagged(client, 503, attributes=["portrait"])):
        assert reply["error_code"] == "model_unavailable" and "tools/setup models" in reply["message"]
    assert facts(client, images[0])["image_auto_tags"] == {c: [] for c in CATEGORIES}
    doctor = subprocess.run([os.environ.get("PICTOGRAPH_BIN", "build/bin") + "/pictographd", "doctor", "--data", alone.folder], capture_output=True, text=True,
                            env={**os.environ, "PICTOGRAPHD_BUILTIN_MODELS": str(alone.folder / "nothing")}, cwd=os.path.dirname(__file__) + "/../..").stdout
    assert any("MISSING" in line and "search" in line and "tools/setup models" in line for line in doctor.splitlines()), doctor
    # what was there before the model is described once it is installed
    alone.stop()
    alone.start()
    wait_described(client, images)
    assert {h["id"] for h in similar(client, images[0], threshold=0.5)} == set(images[1:])
    # described images stay searchable without it
    alone.stop()
    alone.start(PICTOGRAPHD_BUILTIN_MODELS=str(alone.folder / "nothing"))
    assert {h["id"] for h in similar(client, images[0], threshold=0.5)} == set(images[1:])
    assert tagged(client, attributes=["portrait"])["total"] == 3


def test_check_has_lost_and_given_up_images_described(alone):
    import sqlite3
    alone.start()
    client = client_of(alone)
    project = client.project()
    images = [client.upload(project, f"{n}.jpg", encoded(waves(n)))["id"] for n in range(3)]
    wait_described(client, images)
    alone.stop()
    with sqlite3.connect(alone.folder / "pictograph.db", timeout=60) as db:
        db.execute("DELETE FROM image_vectors WHERE image_id IN (?, ?)", images[:2])
        db.execute("DELETE FROM image_tags WHERE image_id IN (?, ?)", images[:2])
        db.execute("INSERT INTO description_queue (image_id, project_id, attempts, queued_at) VALUES (?, ?, 3, 0)", (images[0], project["id"]))
    assert "MENDED    description of 0.jpg" in alone.command("check") and "MENDED" not in alone.command("check")
    alone.start()
    wait_described(client, images)
    assert len(similar(client, images[2], threshold=0.5)) == 2


def test_killed_vision_workers(alone):
    alone.start(PICTOGRAPHD_BUILTIN_MODELS=str(alone.folder / "nothing"))
    client = client_of(alone)
    project = client.project()
    images = [client.upload(project, f"{n}.jpg", encoded(balls(n)))["id"] for n in range(25)]
    alone.stop()
    alone.start()  # all of them wait now: the last one alone might die three times, and is given up then
    killed = 0
    deadline = time.monotonic() + 120
    while killed < 3 and time.monotonic() < deadline:
        for pid in workers_of(alone):
            os.kill(pid, signal.SIGKILL)
            killed += 1
        time.sleep(0.3)
    assert killed >= 3
    wait_described(client, images)
    assert len(similar(client, images[0], threshold=0)) == 24


def test_killed_server(alone):
    alone.start()
    client = client_of(alone)
    project = client.project()
    images = [client.upload(project, f"{n}.jpg", encoded(checkers(n)))["id"] for n in range(12)]
    for _ in range(3):
        alone.kill()
        alone.start()
        time.sleep(0.4)
    wait_described(client, images)
    assert len(similar(client, images[0], threshold=0)) == 11


def test_prompts_go_first(alone):
    """While images wait for a description, a prompt waits for one of them, not for all."""
    alone.start()
    client = client_of(alone)
    project = client.project(classes=())
    image = client.upload(project, "a.jpg", encoded(balls(0)))
    for n in range(1, 60):
        client.upload(project, f"{n}.jpg", encoded(balls(n)))
    with contextlib.closing(sqlite3.connect(alone.folder / "pictograph.db", timeout=60)) as db:
        left = [db.execute("SELECT count(*) FROM description_queue").fetchone()[0]]
        for _ in range(8):
            client.post("/auto-annotate/sam3/point", {"dataset_name": project["name"], "image_filename": "a.jpg", "x": 100, "y": 100, "score_threshold": 0})
            left.append(db.execute("SELECT count(*) FROM description_queue").fetchone()[0])
    assert facts(client, image["id"])["image_auto_tags"] is not None
    described = [before - after for before, after in zip(left, left[1:])]
    assert sorted(described)[4] <= 3, f"images that were described during each prompt: {described}"
