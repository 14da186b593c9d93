"""The command line: exit codes, outputs, transfers, jobs; against a stand-in server."""
import contextlib
import hashlib
import json
import os
import pty
import re
import signal
import stat
import subprocess
import termios
import threading
import time
import urllib.parse

import pytest
from stand_in import CLI, error

DATASET = {"id": "d-1", "name": "cars", "description": None, "image_count": 2, "completed_image_count": 1, "total_size": 1500000,
           "archived_images": 0, "classes": [], "created_at": "2026-01-01T00:00:00Z"}


# ---- the frame ----

def test_help_and_version(server):
    done = server.cli("--help")
    assert done.returncode == 0 and "datasets download NAME" in done.stdout
    assert server.cli("-V").stdout == "pictograph 0.1.0\n"
    assert "--images-limit N" in server.cli("datasets", "get", "--help").stdout
    assert server.cli("train", "--help").stdout.startswith("Usage: pictograph train COMMAND")
    assert server.asked == []


@pytest.mark.parametrize("words", [["nonsense"], ["datasets", "nonsense"], ["datasets", "get"], ["datasets", "get", "a", "b"],
                                   ["datasets", "list", "--limit", "x"], ["datasets", "list", "--limit", "0"], ["datasets", "list", "--limit"],
                                   ["images", "download", "i"], ["datasets", "list", "--what"], ["train", "start", "cars"],
                                   ["datasets", "download", "cars", "--mode", "most"], ["datasets", "upload", "cars", "/", "--workers", "33"],
                                   ["train", "start", "cars", "-p", "yolox", "--config", "{bad"], ["train", "start", "cars", "-p", "yolox", "--config", "[]"]])
def test_wrong_use_is_2(server, words):
    done = server.cli(*words)
    assert done.returncode == 2 and done.stderr.startswith("error: ") and done.stderr.count("\n") == 1
    assert server.asked == []


def completed(*words):
    """What Tab offers behind those words, the last of which is begun."""
    script = 'source <("$1" completion bash); shift; COMP_WORDS=(pictograph "$@"); COMP_CWORD=$#; _pictograph; printf "%s\\n" "${COMPREPLY[@]}"'
    done = subprocess.run(["bash", "-uc", script, "bash", CLI, *words], capture_output=True, text=True, check=True, env={"PATH": "/usr/bin:/bin"})
    return done.stdout.split()


def test_completion_offers_what_the_help_tells():
    def help_of(*words):
        return subprocess.run([CLI, *words, "--help"], capture_output=True, text=True, check=True).stdout

    rows = re.findall(r"^  ([a-z-]+)(?: ([a-z]+))?(?= )", help_of().partition("Commands:")[2].partition("Options:")[0], re.M)
    groups = list(dict.fromkeys(group for group, _ in rows))
    assert len(rows) > 30 and completed("") == groups and completed("--api-key", "x", "da") == ["datasets"] and "--version" in completed("-")
    for group, verb in rows:
        assert completed(group, "") == [v for g, v in rows if g == group and v]
        words = [group, verb] if verb else [group]
        assert completed(*words, "an argument", "-") == re.findall(r"^  (?:-.,|   ) (--[a-z-]+)", help_of(*words), re.M)
        assert completed(*words, "") == []  # which bash makes files of


def test_no_key_is_2(server, tmp_path):
    done = server.cli("models", "list", PICTOGRAPH_API_KEY=" ", HOME=str(tmp_path))
    assert done.returncode == 2 and "No API key" in done.stderr


def test_api_failures_are_1_and_one_line(server):
    server.answers["GET datasets/by-name/nope"] = [(404, error("not_found", "Project 'nope' not found"))]
    done = server.cli("datasets", "get", "nope")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "error: Project 'nope' not found (status=404, request_id=req_test)\n"


def on_a_terminal(server, *words):
    """(exit code, what a terminal showed)."""
    terminal, end = pty.openpty()
    done = subprocess.run([CLI, *map(str, words)], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=end, timeout=60, env=server.environment())
    os.close(end)
    shown = b""
    with contextlib.suppress(OSError):  # the other end is closed
        while chunk := os.read(terminal, 1 << 16):
            shown += chunk
    os.close(terminal)
    return done.returncode, shown.decode()


def test_errors_on_a_terminal_are_bold_and_red(server):
    server.answers["GET datasets/by-name/nope"] = [(404, error("not_found", "Project 'nope' not found"))]
    assert on_a_terminal(server, "datasets", "get", "nope") == (
        1, "\033[1;31merror: Project 'nope' not found (status=404, request_id=req_test)\033[0m\r\n")


def test_a_terminal_gets_a_bar_and_a_pipe_gets_lines(server, tmp_path):
    onnx = os.urandom(3000000)
    server.answers["GET /files/m"] = [(200, onnx)]
    server.answers["GET models/m-1/download"] = [(200, {"download_url": server.url + "/files/m", "expires_at": "", "md5": hashlib.md5(onnx).hexdigest()})]
    code, shown = on_a_terminal(server, "models", "download", "m-1", "-o", tmp_path / "m.onnx")
    bars = shown.split("\r\033[K")
    assert code == 0 and len(bars) > 1 and shown.endswith("\r\n"), shown
    assert bars[-1].startswith("Downloading    [" + "#" * 28 + "] 3.0 MB/3.0 MB")
    plain = server.cli("models", "download", "m-1", "-o", tmp_path / "m.onnx").stderr
    assert "\033" not in plain and "[#" not in plain and all(line.startswith("Downloading: ") for line in plain.splitlines())


def test_a_long_429_tells_when_to_come_back(server):
    server.answers["GET models/"] = [(429, error("rate_limited", "Too many requests"), {"Retry-After": "900"})]
    done = server.cli("models", "list")
    assert done.returncode == 1 and done.stderr.endswith("Try again in about 900 s.\n")


def test_login_stores_what_later_calls_use(server, tmp_path):
    server.answers["GET credits/balance"] = [(200, {"credits_remaining": 1})]
    done = server.cli("login", "--base-url", server.url, stdin="pk_live_stored\n", HOME=str(tmp_path))
    path = tmp_path / ".pictograph" / "config.toml"
    assert (done.stdout, done.stderr) == (f"Saved API key to {path}\n", "API key: ")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600 and stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    server.answers["GET models/"] = [(200, {"models": []})]
    environment = {"PICTOGRAPH_API_KEY": "", "PICTOGRAPH_BASE_URL": "", "HOME": str(tmp_path)}
    assert server.cli("models", "list", **environment).stdout == "No results.\n"
    assert server.asked[-1].headers["X-API-Key"] == "pk_live_stored"
    assert server.cli("models", "list", "--api-key", "pk_live_flag", **environment).returncode == 0
    assert server.asked[-1].headers["X-API-Key"] == "pk_live_flag"
    assert server.cli("--api-key", "pk_live_first", "models", "list", **environment).returncode == 0
    assert server.asked[-1].headers["X-API-Key"] == "pk_live_first"
    assert "warning" in server.cli("login", "--api-key", "other", HOME=str(tmp_path)).stderr
    assert server.cli("models", "list", **environment).stdout == "No results.\n", "the address was forgotten"
    assert server.asked[-1].headers["X-API-Key"] == "other"


def test_login_stores_no_key_that_the_server_refuses(server, tmp_path):
    path = tmp_path / ".pictograph" / "config.toml"
    server.answers["GET credits/balance"] = [(401, error("invalid_api_key", "API key is not valid"))]
    done = server.cli("login", "--api-key", "pk_live_typo", HOME=str(tmp_path))
    assert done.returncode == 1 and done.stderr.startswith("error: API key is not valid") and not path.exists()
    done = server.cli("login", "--api-key", "pk_live_later", "--base-url", "http://127.0.0.1:9", HOME=str(tmp_path))
    assert done.returncode == 0 and "could not be checked" in done.stderr and path.exists()


def test_ctrl_c_at_the_hidden_prompt_gives_the_terminal_back(server, tmp_path):
    terminal, end = pty.openpty()
    try:
        process = subprocess.Popen([CLI, "login"], stdin=end, stdout=end, stderr=end, env=server.environment(HOME=str(tmp_path)))
        deadline = time.monotonic() + 60
        while termios.tcgetattr(end)[3] & termios.ECHO:
            assert time.monotonic() < deadline, "typing is shown"
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130
        assert termios.tcgetattr(end)[3] & termios.ECHO
    finally:
        os.close(terminal)
        os.close(end)


def test_init_writes_once(server, tmp_path):
    path = tmp_path / "AGENTS.md"
    assert server.cli("init", "-o", path).returncode == 0
    assert "pictograph datasets list" in path.read_text()
    assert server.cli("init", "-o", path).returncode == 1
    assert server.cli("init", "-o", path, "-f").returncode == 0


def test_ctrl_c_ends_soon_with_130(server):
    came, over = threading.Event(), threading.Event()
    server.answers["GET models/"] = lambda asked: came.set() or over.wait(60) and (200, {"models": []})
    process = subprocess.Popen([CLI, "models", "list"], env=server.environment(), stderr=subprocess.PIPE, text=True)
    assert came.wait(30)
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 130 and not over.is_set()
    over.set()
    assert process.stderr.read() == "interrupted\n"


# ---- tables and JSON ----

def test_lists_as_table_and_json(server):
    server.answers["GET datasets/"] = [(200, {"datasets": [DATASET, {**DATASET, "name": "größe", "id": "d-2"}]})]
    done = server.cli("datasets", "list")
    assert done.stdout.splitlines() == ["NAME   ID   IMAGES  COMPLETED    SIZE", "cars   d-1       2          1  1.5 MB",
                                        "größe  d-2       2          1  1.5 MB"]
    found = json.loads(server.cli("datasets", "list", "--json").stdout)
    assert [row["name"] for row in found] == ["cars", "größe"] and "description" not in found[0]


def test_rows_of_models(server):
    server.answers["GET models/"] = [(200, {"models": [{"id": "m-1", "name": "first", "model_type": "object_detection", "architecture": "yolox", "status": "ready",
                                                       "version": None}]})]
    assert server.cli("models", "list").stdout.splitlines() == ["NAME   ID   TYPE              ARCHITECTURE  STATUS  VERSION",
                                                                "first  m-1  object_detection  yolox         ready   -"]


def test_names_go_into_paths_encoded(server):
    server.answers["GET datasets/by-name/a b+ü"] = [(200, {"dataset": DATASET})]
    assert server.cli("datasets", "get", "a b+ü").returncode == 0
    assert server.asked[0].raw_path.endswith("/a%20b%2B%C3%BC")


def test_deleting_asks_first(server):
    server.answers["DELETE projects/cars"] = [(200, {"deleted": {"images_deleted": 1, "annotations_deleted": 2}})]
    assert server.cli("datasets", "delete", "cars", stdin="n\n").returncode == 1
    assert server.asked == []
    assert server.cli("datasets", "delete", "cars", "-y").stdout == "Deleted dataset 'cars'.\n"
    assert server.cli("datasets", "delete", "cars", stdin="y\n").returncode == 0


def test_credits(server):
    server.answers["GET credits/balance"] = [(200, {"credits_remaining": 7, "credits_monthly_allowance": 100, "credits_reset_at": None,
                                                    "recent_history": []})]
    assert "7" in server.cli("credits", "balance").stdout
    server.answers["GET credits/estimate"] = [(200, {"operation": "sam3_per_minute", "total_credits": 3})]
    assert json.loads(server.cli("credits", "estimate", "sam3_per_minute", "-q2").stdout)["total_credits"] == 3
    assert server.asked[-1].query == {"operation": "sam3_per_minute", "quantity": "2"}
    server.answers["GET credits/history"] = [(200, {"entries": [
        {"id": "1", "created_at": "2026-01-02T03:04:05Z", "operation": "training_a10g_per_minute", "amount": -20, "balance_after": 80},
        {"id": "2", "created_at": "2026-01-02T03:05:05Z", "operation": "training_refund_a10g", "amount": 10, "balance_after": 90}]})]
    assert server.cli("credits", "history").stdout.splitlines() == [
        "WHEN                  OPERATION                 AMOUNT  BALANCE", "2026-01-02T03:04:05Z  training_a10g_per_minute     -20       80",
        "2026-01-02T03:05:05Z  training_refund_a10g          10       90"]
    server.answers["GET credits/history"] = [(200, {"entries": []})]
    assert server.cli("credits", "history", "-n", "5", "--offset", "10").stdout == "No results.\n"
    assert server.asked[-1].query == {"limit": "5", "offset": "10"}


# ---- annotations ----

def test_annotations_are_saved_with_ids(server, tmp_path):
    path = tmp_path / "a.json"
    path.write_text(json.dumps([{"name": "car", "type": "bbox", "bounding_box": {"x": 1, "y": 2, "w": 3, "h": 4}}, {"id": "k", "name": "car"}]))
    server.answers["POST annotations/i-1"] = [(200, {"image_id": "i-1", "previous_count": 0, "new_count": 2, "status": "complete"})]
    done = server.cli("annotations", "save", "i-1", "-f", path)
    assert json.loads(done.stdout) == {"image_id": "i-1", "previous_count": 0, "new_count": 2, "status": "complete"}
    sent = server.asked[0].json["annotations"]
    assert len(sent[0]["id"]) == 36 and sent[1]["id"] == "k"
    path.write_text('{"annotations": []}')
    assert server.cli("annotations", "save", "i-1", "-f", path).returncode == 2


# ---- transfers ----

def serve_uploads(server, taken=(), undecodable=()):
    server.answers["GET datasets/by-name/cars"] = [(200, {"dataset": DATASET})]
    stored = {}

    def address(asked):
        name = asked.json["folder_path"].rstrip("/") + "/" + asked.json["filename"]
        if name in taken:
            return 409, error("already_exists", f"'{name}' already exists")
        server.answers["PUT /storage/v1/objects/" + name.strip("/")] = lambda put: stored.update({name: put}) or (200, b"")
        return 200, {"upload_url": f"{server.url}/storage/v1/objects{urllib.parse.quote(name)}?signature=s", "gcs_bucket": "b", "gcs_path": "p" + name,
                     "gcs_uri": "gs://b", "expires_at": ""}

    def register(asked):
        if asked.form["filename"] in undecodable:
            return 422, error("undecodable_media", [{"loc": ["body", "file"], "msg": "No image", "type": "value_error"}])
        return 201, {"image_id": "i-9", "image": {"id": "i-9", "filename": asked.form["filename"]}}

    server.answers["POST images/upload-url"] = address
    server.answers["POST images/register"] = register
    return stored


def test_an_image_goes_up_in_three_steps(server, tmp_path):
    stored = serve_uploads(server)
    (tmp_path / "ä b.JPG").write_bytes(b"pixels" * 1000)
    done = server.cli("images", "upload", "cars", tmp_path / "ä b.JPG", "-f", "/old")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"id": "i-9", "filename": "ä b.JPG"}
    put = stored["/old/ä b.JPG"]
    assert put.body == b"pixels" * 1000 and put.headers["Content-Length"] == "6000" and put.headers["Content-Type"] == "image/jpeg"
    assert put.headers["X-API-Key"] is None and put.headers["Idempotency-Key"] is None
    form = server.asked[-1].form
    assert form == {"dataset_id": "d-1", "filename": "ä b.JPG", "folder_path": "/old", "gcs_bucket": "b", "gcs_path": "p/old/ä b.JPG",
                    "gcs_uri": "gs://b", "file_size": "6000", "mime_type": "image/jpeg"}


def test_a_file_that_is_no_image_makes_no_request(server, tmp_path):
    (tmp_path / "a.txt").write_text("x")
    assert server.cli("images", "upload", "cars", tmp_path / "a.txt").returncode == 1
    assert server.asked == []


def test_a_folder_goes_up_side_by_side(server, tmp_path):
    for name in ("z.png", "a/1.jpg", "a/deep/er/2.jpg", "b/3.TIFF", "b/notes.txt", ".hidden/4.jpg", "b/bad.gif"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(name.encode())
    stored = serve_uploads(server, taken={"/z.png"}, undecodable={"bad.gif"})
    done = server.cli("datasets", "upload", "cars", tmp_path, "--workers", "32")
    assert json.loads(done.stdout) == {"dataset_name": "cars", "images_attempted": 5, "images_uploaded": 3, "images_skipped": 1, "failures": 1,
                                       "failed": [{"path": f"{tmp_path}/b/bad.gif", "reason": "body.file: No image"}]}
    assert done.returncode == 1 and "bad.gif: body.file: No image" in done.stderr
    assert set(stored) == {"/a/1.jpg", "/a/2.jpg", "/b/3.TIFF", "/b/bad.gif"}
    assert stored["/a/2.jpg"].body == b"a/deep/er/2.jpg"


def test_no_image_of_a_folder_is_lost_without_a_word(server, tmp_path):
    for name in ("images/train/1.jpg", "images/val/1.jpg", "images/back\\slash.jpg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(name.encode())
    (tmp_path / "more").symlink_to(tmp_path / "images")
    (tmp_path / "images" / "lost.jpg").symlink_to("nowhere.jpg")
    stored = serve_uploads(server)
    done = server.cli("datasets", "upload", "cars", tmp_path)
    told = json.loads(done.stdout)
    assert done.returncode == 1 and set(stored) == {"/images/1.jpg"} and (told["images_uploaded"], told["failures"]) == (1, 4)
    assert {failed["path"].removeprefix(f"{tmp_path}/"): failed["reason"] for failed in told["failed"]} == {
        "images/back\\slash.jpg": "The name holds a backslash or a control character",
        "images/lost.jpg": "No such file or directory",
        "images/val/1.jpg": f"{tmp_path}/images/train/1.jpg has the same name and goes to the folder /images too; full paths keep them apart",
        "more": "a link to a folder, which is not followed: upload that folder itself"}
    stored = serve_uploads(server)
    server.cli("datasets", "upload", "cars", tmp_path, "--full-paths")
    assert set(stored) == {"/images/train/1.jpg", "/images/val/1.jpg"}


def test_a_folder_without_images_is_said(server, tmp_path):
    serve_uploads(server)
    (tmp_path / "a.txt").write_text("x")
    done = server.cli("datasets", "upload", "cars", tmp_path)
    assert done.returncode == 1 and "no images in it" in done.stderr
    done = server.cli("datasets", "upload", "cars", tmp_path / "a.txt")
    assert done.returncode == 1 and "a file, not a folder" in done.stderr


def test_a_missing_dataset_is_created(server, tmp_path):
    (tmp_path / "1.jpg").write_bytes(b"x")
    serve_uploads(server)
    server.answers["GET datasets/by-name/cars"] = [(404, error("not_found", "no"))]
    server.answers["POST projects/"] = [(201, {"project": DATASET})]
    assert server.cli("datasets", "upload", "cars", tmp_path).returncode == 0
    assert server.routes()[1] == "POST projects/"


def test_a_retry_in_a_crowd_keeps_its_key(server, tmp_path):
    for i in range(20):
        (tmp_path / f"{i}.jpg").write_bytes(b"x")
    serve_uploads(server)
    register, failed = server.answers["POST images/register"], set()

    def flaky(asked):
        if asked.form["filename"] in failed:
            return register(asked)
        failed.add(asked.form["filename"])
        return 503, error("service_unavailable", "later")
    server.answers["POST images/register"] = flaky
    started = time.monotonic()
    done = server.cli("datasets", "upload", "cars", tmp_path)
    assert json.loads(done.stdout)["images_uploaded"] == 20
    assert time.monotonic() - started < 15  # one after the other they would wait for 15 s at least
    keys = {}
    for asked in server.asked:
        if asked.route == "POST images/register":
            keys.setdefault(asked.form["filename"], set()).add(asked.headers["Idempotency-Key"])
    assert all(len(found) == 1 for found in keys.values()) and len(set.union(*keys.values())) == 20


def test_a_revoked_key_ends_an_upload_at_once(server, tmp_path):
    for i in range(50):
        (tmp_path / f"{i}.jpg").write_bytes(b"x")
    serve_uploads(server)
    server.answers["POST images/upload-url"] = [(401, error("revoked_api_key", "Revoked"))]
    done = server.cli("datasets", "upload", "cars", tmp_path)
    assert done.returncode == 1 and "Revoked" in done.stderr
    assert len(server.asked) < 20


def serve_download(server, names):
    items = []
    for folder, name in names:
        path = f"/files{folder.rstrip('/')}/{name}"
        server.answers["GET " + path] = [(200, name.encode())]
        server.answers["GET " + path + ".json"] = [(200, [{"id": "1"}])]
        items.append({"filename": name, "virtual_folder_path": folder, "image_url": server.url + path, "annotation_url": server.url + path + ".json",
                      "md5": hashlib.md5(name.encode()).hexdigest()})
    server.answers["GET datasets/by-name/cars/download"] = [(200, {"dataset_id": "d-1", "items": items, "expires_at": ""})]
    return items


def test_a_dataset_comes_down(server, tmp_path):
    items = serve_download(server, [("/", "a.jpg"), ("/x/y", "a.jpg"), ("/", "none.jpg"), ("/", "broken.jpg"), ("/", "../evil.jpg"), ("/../up", "b.jpg")])
    items[2]["annotation_url"] = None
    items[3]["md5"] = "0" * 32
    done = server.cli("datasets", "download", "cars", "-o", tmp_path / "out")
    found = sorted(str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*") if p.is_file())
    assert found == ["out/a.jpg", "out/a.jpg.json", "out/broken.jpg.json", "out/none.jpg", "out/x/y/a.jpg", "out/x/y/a.jpg.json"]
    assert (tmp_path / "out/a.jpg.json").read_text() == '[\n  {\n    "id": "1"\n  }\n]\n'
    told = json.loads(done.stdout)
    assert (told["images_downloaded"], told["annotations_downloaded"], told["failures"]) == (3, 3, 5) and done.returncode == 1
    assert {f["path"] for f in told["failed"]} == {"broken.jpg", "../evil.jpg", "../up/b.jpg"}
    assert all(asked.headers["X-API-Key"] is None for asked in server.asked[1:])


@pytest.mark.parametrize("mode, without, left", [("images_only", "annotation_url", "a.jpg"), ("annotations_only", "image_url", "a.jpg.json")])
def test_half_a_dataset_comes_down(server, tmp_path, mode, without, left):
    for item in serve_download(server, [("/", "a.jpg")]):
        item[without] = None
    done = server.cli("datasets", "download", "cars", "-o", tmp_path / "out", "--mode", mode)
    assert done.returncode == 0 and server.asked[0].query["mode"] == mode, done.stderr
    assert [p.name for p in (tmp_path / "out").rglob("*") if p.is_file()] == [left]
    told = json.loads(done.stdout)
    assert (told["images_downloaded"], told["annotations_downloaded"], told["failures"]) == ((1, 0, 0) if mode == "images_only" else (0, 1, 0))


def test_a_model_comes_down_whole_or_not_at_all(server, tmp_path):
    onnx, path = os.urandom(100000), tmp_path / "m.onnx"
    server.answers["GET /files/m"] = [(200, onnx)]
    note = {"download_url": server.url + "/files/m", "expires_at": "", "md5": hashlib.md5(onnx).hexdigest()}
    server.answers["GET models/m-1/download"] = [(200, note)]
    done = server.cli("models", "download", "m-1", "-o", path)
    assert json.loads(done.stdout)["size_bytes"] == 100000 and path.read_bytes() == onnx
    server.answers["GET models/m-1/download"] = [(200, {**note, "md5": "f" * 32})]
    done = server.cli("models", "download", "m-1", "-o", tmp_path / "n.onnx")
    assert done.returncode == 1 and "MD5" in done.stderr
    server.answers["GET /files/m"] = [(403, error("signature_expired", "Expired"))]
    assert server.cli("models", "download", "m-1", "-o", tmp_path / "o.onnx").returncode == 1
    assert sorted(p.name for p in tmp_path.iterdir()) == ["m.onnx"]
    server.answers["GET models/m-1/download"] = [(409, error("model_not_ready", "Model is not ready"))]
    assert "not ready" in server.cli("models", "download", "m-1", "-o", path).stderr


# ---- jobs ----

RUN = {"id": "r-1", "status": "running", "progress": 10, "current_epoch": 1, "total_epochs": 10, "model_id": None}


def serve_training(server, *states):
    export = {"export": {"name": "e", "status": "completed"}}
    server.answers["POST exports/"] = [(202, export)]
    server.answers["POST training/"] = [(202, {"training_run": RUN})]
    server.answers["GET training/r-1"] = [(200, {"training_run": {**RUN, **state}}) for state in states]
    server.answers["GET models/m-1"] = [(200, {"model": {"id": "m-1", "status": "ready"}})]

    class Answers(dict):
        """The name of the export carries the time."""
        def get(self, key, default=None):
            return [(200, export)] if key.startswith("GET exports/cars/yolox-") else super().get(key, default)
    server.answers = Answers(server.answers)


def test_training_waits_for_its_model(server):
    serve_training(server, {"status": "completed", "progress": 100, "model_id": "m-1"})
    done = server.cli("train", "start", "cars", "-p", "yolox", "--config", '{"epochs": 3}')
    assert json.loads(done.stdout) == {"run_id": "r-1", "status": "completed", "progress": 100, "model_id": "m-1"}, done.stderr
    sent = next(asked.json for asked in server.asked if asked.route == "POST training/")
    assert sent["config"] == {"epochs": 3} and sent["gpu_type"] == "a10g" and sent["export_name"].startswith("yolox-2")
    assert next(asked.json for asked in server.asked if asked.route == "POST exports/")["status_filter"] == "complete"


def test_names_in_a_config_that_mean_nothing_are_told(server):
    serve_training(server, {})
    server.answers["POST training/"] = [(202, {"training_run": {**RUN, "config_ignored": ["epoch", "lr"]}})]
    told = server.cli("train", "start", "cars", "-p", "yolox", "--config", '{"epoch": 3, "lr": 1}', "--no-wait").stderr.splitlines()
    assert told == ["--config: there is no setting 'epoch'; it changed nothing", "--config: there is no setting 'lr'; it changed nothing"]


def test_a_failed_run_is_an_error_with_its_reason(server):
    serve_training(server, {"status": "failed", "error_message": "out of memory"})
    done = server.cli("train", "start", "cars", "-p", "yolox")
    assert done.returncode == 1 and "The training run failed: out of memory" in done.stderr


def test_a_run_that_is_refused_leaves_no_export(server):
    serve_training(server, {})
    server.answers["POST training/"] = [(422, error("dataset_too_small", "Training needs 5 annotated images, the export has 4"))]
    done = server.cli("train", "start", "cars", "-p", "yolox")
    assert done.returncode == 1 and "the export has 4" in done.stderr
    name = next(asked.json for asked in server.asked if asked.route == "POST exports/")["name"]
    assert server.asked[-1].route == f"DELETE exports/cars/{name}"


def test_waiting_ends_in_time(server):
    serve_training(server, {})
    started = time.monotonic()
    done = server.cli("train", "start", "cars", "-p", "yolox", "--timeout", "2")
    assert done.returncode == 1 and "did not end in 2 s (status=408" in done.stderr
    assert 2 <= time.monotonic() - started < 30


def test_a_run_that_is_not_waited_for(server):
    serve_training(server, {})
    assert json.loads(server.cli("train", "start", "cars", "-p", "yolox", "--no-wait").stdout)["status"] == "running"
    assert server.cli("train", "logs", "r-1").stdout == "r-1: running, 10 %, epoch 1 of 10\n"


def test_status_and_end_of_a_run(server):
    server.answers["GET training/r-1"] = [(200, {"training_run": RUN})]
    assert json.loads(server.cli("train", "status", "r-1").stdout) == {key: value for key, value in RUN.items() if value is not None}
    server.answers["POST training/r-1/cancel"] = [(200, {"training_run": {**RUN, "status": "cancelled"}})]
    server.asked.clear()
    assert server.cli("train", "cancel", "r-1", stdin="n\n").returncode == 1 and server.asked == []
    assert json.loads(server.cli("train", "cancel", "r-1", "-y").stdout) == {"run_id": "r-1", "status": "cancelled"}
    assert server.cli("train", "status", "r-2").returncode == 1 and server.cli("train", "cancel", "r-2", "-y").returncode == 1


def test_a_batch_takes_what_has_no_annotations(server):
    images = [{"id": "1", "filename": "a.jpg", "virtual_folder_path": "/", "annotation_count": 0},
              {"id": "2", "filename": "b.jpg", "virtual_folder_path": "/x", "annotation_count": 0},
              {"id": "3", "filename": "c.jpg", "virtual_folder_path": "/", "annotation_count": 4}]
    server.answers["GET datasets/by-name/cars"] = [(200, {"dataset": {**DATASET, "images": images}})]
    server.answers["GET models/m-1"] = [(200, {"model": {"id": "m-1", "class_mapping": {"0": "car", "1": "bus"}}})]
    job = {"job_id": "j-1", "status": "running", "progress": 0, "total_images": 2, "processed_images": 0, "failed_images": 0,
           "total_annotations_added": 0}
    server.answers["POST auto-annotate/batch"] = [(202, job)]
    server.answers["GET auto-annotate/batch/j-1"] = [(200, job), (200, {**job, "status": "completed", "processed_images": 1, "failed_images": 1,
                                                     "total_annotations_added": 3, "failures": [{"image_filename": "b.jpg", "reason": "gone"}]})]
    done = server.cli("auto-annotate", "batch", "cars", "-m", "m-1")
    assert json.loads(done.stdout) == {"dataset_name": "cars", "images_attempted": 2, "images_processed": 1, "images_skipped": 1,
                                       "annotations_added": 3, "failures": 1, "job_id": "j-1"}
    assert done.returncode == 1 and "b.jpg: gone" in done.stderr
    sent = next(asked.json for asked in server.asked if asked.route == "POST auto-annotate/batch")
    assert sent == {"dataset_name": "cars", "image_filenames": ["/a.jpg", "/x/b.jpg"], "model_id": "m-1",
                    "classes": [{"name": "car", "output_type": "bbox"}, {"name": "bus", "output_type": "bbox"}]}
    server.cli("auto-annotate", "batch", "cars", "-c", "indoor:tag", "--top-k", "3")
    sent = [asked.json for asked in server.asked if asked.route == "POST auto-annotate/batch"][1]
    assert sent == {"dataset_name": "cars", "image_filenames": ["/a.jpg", "/x/b.jpg"], "classes": [{"name": "indoor", "output_type": "tag"}], "top_k": 3}


def test_a_second_job_that_is_refused_is_a_row_of_the_report(server):
    def page(asked):
        first = int(asked.query.get("images_offset", 0))
        images = [{"id": str(i), "filename": f"{i}.jpg", "virtual_folder_path": "/", "annotation_count": 0} for i in range(first, min(first + int(asked.query["images_limit"]), 10001))]
        return 200, {"dataset": {**DATASET, "images": images}}

    job = {"job_id": "j-1", "status": "completed", "progress": 100, "total_images": 10000, "processed_images": 10000, "failed_images": 0, "total_annotations_added": 7,
           "error_message": "names that the detector does not know: 'car'"}
    server.answers["GET datasets/by-name/cars"] = page
    server.answers["POST auto-annotate/batch"] = [(202, job), (402, error("insufficient_credits", {"message": "no credits are left", "required": 3, "remaining": 0}))]
    server.answers["GET auto-annotate/batch/j-1"] = [(200, job)]
    done = server.cli("auto-annotate", "batch", "cars", "-c", "car")
    assert json.loads(done.stdout) == {"dataset_name": "cars", "images_attempted": 10001, "images_processed": 10000, "images_skipped": 0,
                                       "annotations_added": 7, "failures": 1, "job_id": "j-1"}, done.stderr
    assert done.returncode == 1 and "<batch>: no credits are left" in done.stderr
    assert "warning: names that the detector does not know: 'car'\n" in done.stderr


def test_point_prompt(server):
    server.answers["POST auto-annotate/sam3/point"] = [(200, {"status": "success", "annotations": []})]
    assert server.cli("auto-annotate", "point", "cars", "a.jpg", "3", "-4.5", "--score-threshold", "0.6").returncode == 0
    assert server.asked[0].json == {"dataset_name": "cars", "image_filename": "a.jpg", "x": 3, "y": -4.5, "name": "object", "score_threshold": 0.6}
    assert server.cli("auto-annotate", "point", "cars", "a.jpg", "3", "y").returncode == 2


def test_box_prompt(server):
    server.answers["POST auto-annotate/sam3/box"] = [(200, {"status": "success", "annotations": []})]
    assert server.cli("auto-annotate", "box", "cars", "a.jpg", "1", "2.5", "30", "40", "--name", "car", "--confidence-threshold", "0.6").returncode == 0
    assert server.asked[0].json == {"dataset_name": "cars", "image_filename": "a.jpg", "box": {"x": 1, "y": 2.5, "w": 30, "h": 40}, "name": "car",
                                    "confidence_threshold": 0.6, "return_polygon": True}
    assert server.cli("auto-annotate", "box", "cars", "a.jpg", "1", "2", "wide", "40").returncode == 2
    assert server.cli("auto-annotate", "box", "cars", "a.jpg", "1", "2", "3").returncode == 2


def test_text_prompt(server):
    server.answers["POST auto-annotate/sam3/text"] = [(200, {"status": "no_detection", "annotations": []})] * 2
    assert server.cli("auto-annotate", "text", "cars", "a.jpg", "red cars").returncode == 0
    assert server.cli("auto-annotate", "text", "cars", "a.jpg", "cars", "--output-type", "bbox", "--max-detections", "7", "--confidence-threshold", "0.6").returncode == 0
    assert [asked.json for asked in server.asked] == [
        {"dataset_name": "cars", "image_filename": "a.jpg", "text_prompt": "red cars", "output_type": "polygon"},
        {"dataset_name": "cars", "image_filename": "a.jpg", "text_prompt": "cars", "output_type": "bbox", "confidence_threshold": 0.6, "max_detections": 7}]
    assert server.cli("auto-annotate", "text", "cars", "a.jpg").returncode == 2
