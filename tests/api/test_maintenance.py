"""pictographd backup, restore and check, on the data folder of a server that goes on serving."""
import io
import os
import re
import signal
import sqlite3
import subprocess
import threading

import pytest
from PIL import Image

from conftest import contract
from server import BIN, Client, Server

BOX = {"id": "b", "name": "cell", "type": "bbox", "bounding_box": {"x": 4, "y": 5, "w": 20, "h": 10}}


def picture(number):
    out = io.BytesIO()
    Image.new("RGB", (64, 48), (number % 256, number // 256, 90)).save(out, "PNG")
    return out.getvalue()


@pytest.fixture
def served(tmp_path):
    server = Server(tmp_path / "data").start()
    client = Client(server.url, server.key, contract())
    client.made = client.project(classes=("cell", "nucleus"))
    client.images = [client.upload(client.made, f"{i}.png", picture(i), folder="/f", content_type="image/png") for i in range(6)]
    for image in client.images[:4]:
        client.post(f"/annotations/{image['id']}", {"annotations": [BOX, {**BOX, "id": "n", "name": "nucleus"}]})
    yield server, client
    server.stop()


def run(*words, data, code=0):
    done = subprocess.run([BIN / "pictographd", words[0], "--data", data, *words[1:]], capture_output=True, text=True, timeout=120)
    assert done.returncode == code, f"{words}: {done.returncode}\n{done.stdout}{done.stderr}"
    return done.stdout + done.stderr


def test_a_command_that_is_none_is_told_in_a_line():
    def told(*words, code=2):
        done = subprocess.run([BIN / "pictographd", *words], capture_output=True, text=True, timeout=60)
        assert done.returncode == code
        return done.stdout + done.stderr
    assert told("bogus") == "pictographd: no such command: bogus (see 'pictographd --help')\n"
    assert told("org", "list").startswith("pictographd: no such command: org list; there is\n  pictographd org create ") and "pictographd org set-tier" in told("org")
    assert "pictographd org create" in told("org", "--help", code=0)


def test_another_key_where_all_are_lost(served):
    """Beside the running server; the other keys go on."""
    server, client = served
    key = server.command("org", "key", "--org", "Acme").strip()
    assert key.startswith("pk_live_") and key != server.key
    again = Client(server.url, key, contract())
    assert again.get("/organizations/me").json()["organization"]["name"] == "Acme" and client.get("/projects/").json()["total"] == 1
    keys = again.get("//api/v1/api-keys/").json()["api_keys"]
    assert [k["role"] for k in keys] == ["owner", "owner"] and again.delete(f"//api/v1/api-keys/{keys[1]['id']}", 204) is not None
    assert "no organization 'Nobody'" in server.command("org", "key", "--org", "Nobody", check=False).stderr


def test_a_folder_of_another_user_is_not_missing(tmp_path):
    """`init` would be the wrong remedy."""
    Server(tmp_path / "data")
    (tmp_path / "data").chmod(0)
    tmp_path.chmod(0o755)
    for command in ("serve", "check", "doctor", "models", "backup"):
        words = [BIN / "pictographd", command, "--data", tmp_path / "data", *(["--output", tmp_path / "x"] if command == "backup" else [])]
        done = subprocess.run(["setpriv", "--reuid=65534", "--clear-groups", *words] if os.getuid() == 0 else words, capture_output=True, text=True, timeout=60)
        if "failed to execute" in done.stderr:
            pytest.skip("another user cannot run the programs here")
        assert done.returncode == 2 and "may not be opened by this user" in done.stderr, done.stderr
    (tmp_path / "data").chmod(0o700)


def test_doctor_sees_that_models_cannot_be_run(tmp_path):
    """The variable that --help of the worker names reaches it, and a library that is not there is said, not covered by the models' files."""
    server = Server(tmp_path / "data")
    for command in ("doctor", "models"):
        done = subprocess.run([BIN / "pictographd", command, "--data", server.folder], capture_output=True, text=True, timeout=60,
                              env={**os.environ, "PICTOGRAPH_ONNXRUNTIME": "/nonexistent.so"})
        assert done.returncode == 0 and "ONNX Runtime is not installed (/nonexistent.so" in done.stdout, done.stdout
        assert "nanodet                  in use" not in done.stdout and "built-in detector (NanoDet)" not in done.stdout
    sound = server.command("doctor", check=False)
    assert "ONNX Runtime" not in sound.stdout and sound.stderr == "", "no log between the lines that people read"


def test_a_wrong_setting_is_named_once(tmp_path):
    server = Server(tmp_path / "data")
    told = server.command("serve", "--listen", "nowhere", check=False).stderr
    assert told == "pictographd: listen: an address such as 127.0.0.1:8080 is needed, not 'nowhere'\n"
    assert "PICTOGRAPHD_LISTEN" in subprocess.run([BIN / "pictographd", "serve", "--help"], capture_output=True, text=True, timeout=60).stdout


def facts(client):
    """What a user sees: the project, its images with their annotations and bytes, and the ledger."""
    project = client.get(f"/projects/{client.made['name']}").json()["project"]
    images = client.get(f"/datasets/by-name/{client.made['name']}?include_images=true").json()["dataset"]["images"]
    return (project["image_count"], project["completed_image_count"], project["total_size"], client.get("/credits/balance").json()["credits_remaining"],
            sorted((i["id"], i["filename"], str(client.get(f"/annotations/{i['id']}").json()["annotations"]),
                    client.get(f"/images/{i['id']}").content) for i in images))


def copied(text):
    return [int(n) for n in re.search(r"(\d+) objects, (\d+) of them copied", text).groups()]


def test_backup_of_a_live_folder_and_restore(served, tmp_path):
    server, client = served
    assert copied(run("backup", "--output", tmp_path / "backup", data=server.folder)) == [6, 6]
    client.delete(f"/images/{client.images[5]['id']}?permanent=true")
    client.images.append(client.upload(client.made, "6.png", picture(6), content_type="image/png"))
    with sqlite3.connect(server.folder / "pictograph.db", timeout=60) as db:
        db.execute("DELETE FROM uploads")  # else they keep the deleted image's bytes for a day
    assert copied(run("backup", "--output", tmp_path / "backup", data=server.folder)) == [6, 1]  # the second one takes only what is new
    before = facts(client)
    client.delete(f"/projects/{client.made['name']}")  # the disaster
    assert "6 objects restored" in run("restore", "--from", tmp_path / "backup", data=tmp_path / "again")
    other = Server.__new__(Server)
    other.__dict__ = {**server.__dict__, "folder": tmp_path / "again", "port": server.port, "log": tmp_path / "again.log"}
    server.stop()
    other.start()
    try:
        assert facts(client) == before  # the same key opens it
        assert sum(1 for f in (tmp_path / "backup" / "objects").rglob("*") if f.is_file()) == 6  # what the first one had alone is gone
    finally:
        other.stop()


def test_a_backup_while_others_write(served, tmp_path):
    server, client = served
    stop, failures = threading.Event(), []

    def save():
        mine = Client(server.url, server.key, contract())
        for i in range(10**6):
            if stop.is_set():
                return
            try:
                mine.post(f"/annotations/{client.images[i % 6]['id']}", {"annotations": [{**BOX, "id": str(i)}]})
            except Exception as e:  # noqa: BLE001
                failures.append(e)

    writer = threading.Thread(target=save)
    writer.start()
    for _ in range(3):
        run("backup", "--output", tmp_path / "backup", data=server.folder)
    stop.set()
    writer.join()
    assert not failures
    assert "MENDED" not in run("restore", "--from", tmp_path / "backup", data=tmp_path / "again")


def test_a_killed_backup_leaves_the_earlier_one(served, tmp_path):
    server, client = served
    run("backup", "--output", tmp_path / "backup", data=server.folder)
    database = (tmp_path / "backup" / "pictograph.db").read_bytes()
    for delay in (0.001, 0.01, 0.02):
        process = subprocess.Popen([BIN / "pictographd", "backup", "--data", server.folder, "--output", tmp_path / "backup"], stdout=subprocess.DEVNULL)
        try:
            process.wait(delay)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
        process.wait()
    assert len((tmp_path / "backup" / "pictograph.db").read_bytes()) >= len(database) // 2
    run("restore", "--from", tmp_path / "backup", data=tmp_path / "again")
    run("backup", "--output", tmp_path / "backup", data=server.folder)


def test_what_is_no_backup(served, tmp_path):
    server, _ = served
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "photo.jpg").write_bytes(b"mine")
    assert "holds no backup" in run("backup", "--output", tmp_path / "full", data=server.folder, code=2)
    assert "served" in run("backup", "--output", server.folder, data=server.folder, code=2)
    assert "served" in run("restore", "--from", server.folder, data=tmp_path / "new", code=2)
    (tmp_path / "link").symlink_to(server.folder / "objects", target_is_directory=True)
    for inside in (server.folder / "backup", server.folder / "a" / ".." / "b", tmp_path / "link" / "deep"):
        assert "lies inside" in run("backup", "--output", inside, data=server.folder, code=2) and not inside.exists()
    assert "holds no backup" in run("restore", "--from", tmp_path / "full", data=tmp_path / "new", code=2)
    run("backup", "--output", tmp_path / "backup", data=server.folder)
    assert "lies inside" in run("restore", "--from", tmp_path / "backup", data=tmp_path / "backup" / "models" / "x", code=2)
    assert "not empty" in run("restore", "--from", tmp_path / "backup", data=tmp_path / "full", code=2)
    assert "no data folder" in run("backup", "--output", tmp_path / "x", data=tmp_path / "full", code=2)
    assert "no data folder" in run("check", data=tmp_path / "full", code=2)
    assert [p.name for p in (tmp_path / "full").iterdir()] == ["photo.jpg"] and not (tmp_path / "new").exists()


def test_check_names_lost_bytes(served, tmp_path):
    server, client = served
    assert "6 checked" in run("check", data=server.folder)
    objects = sorted(f for f in (server.folder / "objects").rglob("*") if f.is_file() and len(f.name) == 64)
    objects[0].chmod(0o600)
    objects[0].write_bytes(b"rot")
    objects[1].unlink()
    text = run("check", data=server.folder, code=1)
    assert f"DAMAGED   {objects[0]}" in text and f"MISSING   {objects[1]}" in text
    assert text.count(f"needed by image {client.made['name']}/f/") == 2
    run("backup", "--output", tmp_path / "backup", data=server.folder, code=1)  # says so, and keeps the rest
    assert "MISSING" in run("restore", "--from", tmp_path / "backup", data=tmp_path / "again", code=1)


def test_check_mends_what_is_derived(served):
    server, client = served
    before = facts(client)
    with sqlite3.connect(server.folder / "pictograph.db", timeout=60) as db:
        db.execute("UPDATE projects SET image_count = 99, completed_image_count = 7, total_size = 1, archived_images = 5")
        db.execute("UPDATE organizations SET image_count = 1, storage_bytes = 2")
        db.execute("UPDATE credit_ledger SET balance_after = balance_after + 1")
        db.execute("UPDATE images SET annotation_count = 9 WHERE id = ?", (client.images[0]["id"],))
        db.execute("DELETE FROM image_classes WHERE image_id = ?", (client.images[1]["id"],))
    text = run("check", data=server.folder)
    for what in ("projects image_count", "projects completed_image_count", "projects total_size", "projects archived_images", "organizations image_count",
                 "organizations storage_bytes", "credit_ledger balance_after", f"image {client.images[0]['id']}", f"image {client.images[1]['id']}"):
        assert f"MENDED    {what}" in text, text
    assert "MENDED" not in run("check", data=server.folder)
    assert facts(client) == before
