"""Videos: upload, probe, frames. The videos are made here (videos.py); each frame bears its number, so that the right ones can be told."""
import contextlib
import fractions
import io
import os
import pathlib
import signal
import sqlite3
import struct
import subprocess
import time
import uuid

import av
import pytest
import requests
import videos
from conftest import contract, picture
from PIL import Image
from server import Client, Server, once

UNKNOWN = "5f0c2c6e-8f0b-4d29-9d4b-1f8a6d1f0a11"


@pytest.fixture(scope="session")
def clip(tmp_path_factory):
    """Five seconds at ten frames a second."""
    return videos.make(tmp_path_factory.mktemp("video") / "clip.mp4").read_bytes()


def upload(client, data, filename="clip.mp4", content_type="video/mp4", **more):
    target = client.post("/video/upload-url", {"filename": filename, "content_type": content_type, **more}).json()
    client.put_object(target["upload_url"], data, content_type)
    return target["gcs_path"]


def extract(client, gcs_path, project, expect=202, **body):
    return client.post("/video/extract-frames", {"gcs_path": gcs_path, "dataset_id": project["id"], **body}, expect).json()


def finish(client, job):
    return client.wait(f"/video/extract-frames/{job['job_id']}", final=("complete", "failed"))


def images(client, project, folder=None):
    rows = client.get(f"/datasets/by-name/{project['name']}?include_images=true&images_limit=10000").json()
    rows = rows["dataset"]["images"] if "images" in rows["dataset"] else rows["images"]
    return sorted((r for r in rows if folder is None or r["virtual_folder_path"] == folder), key=lambda r: r["filename"])


def numbers(client, rows):
    return [videos.read(client.get(f"/images/{r['id']}").content) for r in rows]


def test_the_whole_way(owner, clip):
    project = owner.project()
    target = owner.post("/video/upload-url", {"filename": "clip.mp4"}).json()
    assert target["max_bytes"] == 10737418240 and target["content_type"] == "video/mp4" and target["gcs_uri"].endswith(target["gcs_path"])
    assert target["video_id"] in target["gcs_path"]
    owner.put_object(target["upload_url"], (clip[i:i + 1000] for i in range(0, len(clip), 1000)), "video/mp4")  # in chunks
    facts = owner.post("/video/probe", {"gcs_path": target["gcs_path"]}).json()
    assert facts == {"gcs_path": target["gcs_path"], "duration_seconds": 5.0, "fps": 10.0, "native_fps": 10.0, "width": 160, "height": 96, "codec": "h264",
                     "frame_count": 50, "file_size": len(clip)}
    job = extract(owner, target["gcs_path"], project, folder_path="/frames/", fps=2)
    assert (job["status"], job["total_frames"], job["folder_path"], job["dataset_id"]) == ("processing", 10, "/frames", project["id"])
    done = finish(owner, job)
    assert (done["status"], done["progress"], done["frames_extracted"], done["total_frames"], done["error"]) == ("complete", 100, 10, 10, None)
    rows = images(owner, project)
    assert [r["filename"] for r in rows] == [f"clip_{i:06d}.jpg" for i in range(10)] and {r["virtual_folder_path"] for r in rows} == {"/frames"}
    assert numbers(owner, rows) == list(range(0, 50, 5))
    one = owner.get(f"/images/{rows[0]['id']}/metadata").json()["image"]
    assert (one["width"], one["height"], one["mime_type"], one["status"]) == (160, 96, "image/jpeg", "new")
    state = owner.get(f"/projects/{project['name']}").json()["project"]
    assert state["image_count"] == 10 and state["total_size"] == sum(r["file_size"] for r in rows)
    assert owner.get(f"/images/{rows[3]['id']}/thumbnail").status_code == 200


def test_destination_by_names(owner, clip):
    project = owner.project()
    gcs_path = upload(owner, clip, "a b.c.mp4")
    body = {"gcs_path": gcs_path, "dataset_name": project["name"], "folder_name": "day 1", "parent_folder_path": "/x", "sample_fps": 1.0}
    job = finish(owner, owner.post("/video/extract-frames", body, 202).json())
    assert job["status"] == "complete" and job["folder_path"] == "/x/day 1"
    assert [r["filename"] for r in images(owner, project, "/x/day 1")] == [f"a b.c_{i:06d}.jpg" for i in range(5)]
    job = finish(owner, owner.post("/video/extract-frames", {**body, "parent_folder_path": "/", "max_frames": 1}, 202).json())
    assert job["folder_path"] == "/day 1" and job["frames_extracted"] == 1
    for bad in (".", "..", "a/b", "", "x" * 256):
        owner.post("/video/extract-frames", {**body, "folder_name": bad}, 422)
    owner.post("/video/extract-frames", {**body, "parent_folder_path": "/" + "/".join(["y" * 200] * 5), "folder_name": "z" * 200}, 422)
    owner.post("/video/extract-frames", {**body, "dataset_name": "nowhere"}, 404)


@pytest.mark.parametrize("asked, expected", [
    ({"fps": 10}, range(50)),
    ({"fps": 240}, range(50)),  # never more than the source has
    ({"fps": 3}, [0, 3, 7, 10, 13, 17, 20, 23, 27, 30, 33, 37, 40, 43, 47]),
    ({"fps": 1, "start_seconds": 1.05}, [11, 20, 30, 40]),  # nearest to 1.05, 2.05 ..., but nothing before the start
    ({"fps": 10, "start_seconds": 1, "end_seconds": 1.5}, range(10, 15)),
    ({"fps": 10, "start_seconds": 2, "max_frames": 3, "end_seconds": None}, range(20, 23)),
    ({"fps": 0.1}, [0]),
    ({}, [0, 10, 20, 30, 40]),
])
def test_which_frames(owner, clip, asked, expected):
    project = owner.project()
    job = finish(owner, extract(owner, upload(owner, clip), project, **asked))
    assert (job["status"], job["error"]) == ("complete", None)
    assert numbers(owner, images(owner, project)) == list(expected)


@pytest.mark.parametrize("asked", [{"start_seconds": 4.95}, {"start_seconds": 1.02, "end_seconds": 1.08}])
def test_a_time_between_two_frames(owner, clip, asked):
    job = finish(owner, extract(owner, upload(owner, clip), owner.project(), **asked))
    assert (job["status"], job["error"]) == ("failed", "No frame of the video begins in the time that was asked for")


@pytest.mark.parametrize("container", ["vfr.mp4", "vfr.mkv"])
def test_variable_rate(owner, tmp_path, container):
    """The frame nearest to each instant, by timestamps; one that stands for several instants is taken once."""
    times = [0, 0.1, 0.15, 0.2, 1.0, 1.02, 1.9, 2.5, 2.6, 6.0]
    project = owner.project()
    path = upload(owner, videos.make(tmp_path / container, count=len(times), times=times).read_bytes(), container)
    assert finish(owner, extract(owner, path, project, fps=1))["status"] == "complete"
    assert numbers(owner, images(owner, project)) == [0, 4, 6, 8, 9]
    facts = owner.post("/video/probe", {"gcs_path": path}).json()
    assert facts["frame_count"] == 10 and facts["duration_seconds"] == pytest.approx(6.1, abs=0.1)


def test_no_drift(owner, tmp_path):
    """29.97 frames a second sampled at 7: the nearest frame to k / 7 for each k, to the end."""
    rate = fractions.Fraction(30000, 1001)
    project = owner.project()
    path = upload(owner, videos.make(tmp_path / "ntsc.mp4", count=240, rate=rate, gop=60).read_bytes())
    assert finish(owner, extract(owner, path, project, fps=7))["status"] == "complete"
    found = numbers(owner, images(owner, project))
    assert len(found) == 57
    for k, number in enumerate(found):
        assert number == min(range(240), key=lambda n: abs(n / rate - fractions.Fraction(k, 7))), k


@pytest.mark.parametrize("turn", [1, 2, 3])
def test_turned_videos_give_upright_frames(owner, tmp_path, turn):
    project = owner.project()
    path = upload(owner, videos.make(tmp_path / "t.mp4", count=5, turn=turn).read_bytes())
    facts = owner.post("/video/probe", {"gcs_path": path}).json()
    assert (facts["width"], facts["height"]) == (160, 96)
    assert finish(owner, extract(owner, path, project, fps=10))["status"] == "complete"
    rows = images(owner, project)
    assert numbers(owner, rows) == list(range(5)) and {(r["width"], r["height"]) for r in rows} == {(160, 96)}


@pytest.mark.parametrize("name, codec, options", [
    ("a.mkv", "libx264", {"audio": True}), ("a.webm", "libvpx-vp9", {}), ("a.avi", "mpeg4", {}), ("a.mov", "mjpeg", {"pix_fmt": "yuvj420p", "audio": True}),
    ("a.ts", "libx264", {"audio": True}), ("a.mpg", "mpeg2video", {"rate": 25}), ("b.mov", "prores_ks", {"pix_fmt": "yuv422p10le"}), ("a.flv", "flv", {}),
])
def test_containers_and_codecs(owner, tmp_path, name, codec, options):
    project = owner.project()
    rate = options.get("rate", 10)
    path = upload(owner, videos.make(tmp_path / name, count=30, codec=codec, **options).read_bytes(), name, "video/x-whatever")
    facts = owner.post("/video/probe", {"gcs_path": path}).json()
    assert (facts["frame_count"], facts["fps"], facts["width"], facts["height"]) == (30, rate, 160, 96)
    assert finish(owner, extract(owner, path, project, fps=rate / 5))["status"] == "complete"
    assert numbers(owner, images(owner, project)) == list(range(0, 30, 5))


def test_colours(owner, tmp_path):
    """Limited range, the matrix of standard television: red stays red, white white."""
    project = owner.project()
    path = upload(owner, videos.make(tmp_path / "c.mp4", count=3, width=320, height=192, crf="1").read_bytes())
    finish(owner, extract(owner, path, project, fps=10))
    frame = Image.open(io.BytesIO(owner.get(f"/images/{images(owner, project)[1]['id']}").content))
    red, white, black = frame.getpixel((160, 10)), frame.getpixel((310, 150)), frame.getpixel((5, 150))
    assert abs(red[0] - 255) < 12 and max(red[1:]) < 12 and min(white) > 245 and max(black) < 10


def test_names_that_are_taken(owner, clip):
    project = owner.project()
    before = owner.upload(project, "clip_000001.jpg", picture(30, 30))
    path = upload(owner, clip)
    job = finish(owner, extract(owner, path, project))
    assert (job["status"], job["frames_extracted"], job["total_frames"]) == ("complete", 4, 5)
    assert "1 frames were left out" in job["error"] and "clip_000001.jpg" in job["error"]
    assert [r["filename"] for r in images(owner, project)] == [f"clip_{i:06d}.jpg" for i in range(5)]
    assert owner.get(f"/images/{before['id']}/metadata").json()["image"]["width"] == 30
    again = finish(owner, extract(owner, path, project))
    assert (again["status"], again["frames_extracted"], again["total_frames"]) == ("complete", 0, 5) and "5 frames" in again["error"]


def test_long_and_odd_names(owner, clip):
    project = owner.project()
    for name in ("x" * 255, "ü" * 251 + ".mp4", ".mp4", "кадр 中.mp4"):
        job = finish(owner, extract(owner, upload(owner, clip, name), project, folder_path=f"/{uuid.uuid4().hex}", max_frames=1))
        assert job["status"] == "complete", (name, job)
        filename = images(owner, project, job["folder_path"])[0]["filename"]
        assert len(filename) <= 255 and filename.endswith("_000000.jpg") and filename[0] == name[0]


# ---- what is no video ----

def sound(tmp_path):
    return videos.make(tmp_path / "sound.m4a", container="mp4", frames=False, audio=True).read_bytes()


def test_what_is_no_video(owner, clip, jpeg, tmp_path):
    project = owner.project()
    cut = clip[:len(clip) // 2]  # its index was at the end
    for name, data, status in (("empty.mp4", b"", 415), ("text.mp4", b"I am no video at all" * 40, 415), ("image.mp4", jpeg, 415), ("sound.mp4", sound(tmp_path), 415),
                               ("list.mp4", b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n", 415), ("concat.mp4", b"ffconcat version 1.0\nfile /etc/passwd\n", 415),
                               ("cut.mp4", cut, 422), ("zeros.mp4", b"\0\0\0\x18ftypmp42" + bytes(100000), 422)):
        path = upload(owner, data, name)
        for reply in (owner.post("/video/probe", {"gcs_path": path}, status).json(), extract(owner, path, project, status)):
            assert reply["error_code"] == {415: "unsupported_media_type", 422: "undecodable_media"}[status], name
            assert name in reply["message"], "the file must be named"
            assert status == 415 or "cut off" in reply["message"], reply
            assert str(owner.url) not in reply["message"] and "/objects/" not in reply["message"]
        owner.post("/video/register", {"gcs_path": path}, status)
    assert owner.post("/video/probe", {"gcs_path": upload(owner, clip)}).json()["frame_count"] == 50, "and the server goes on"


def test_a_frame_that_is_too_large(owner, tmp_path):
    """The header alone says so: nothing of that size is decoded."""
    data = bytearray(videos.make(tmp_path / "big.avi", codec="huffyuv", pix_fmt="yuv422p", count=2).read_bytes())
    for mark in (b"avih", b"strf"):  # both headers of AVI
        at = data.index(mark) + (40 if mark == b"avih" else 12)
        data[at:at + 8] = struct.pack("<II", 16000, 10000)
    reply = owner.post("/video/probe", {"gcs_path": upload(owner, bytes(data), "big.avi")}, 413).json()
    assert reply["error_code"] == "payload_too_large" and "big.avi" in reply["message"]


def test_a_codec_that_is_not_read(owner, tmp_path):
    data = bytearray(videos.make(tmp_path / "odd.avi", codec="mpeg4", count=2).read_bytes())
    data = bytes(data).replace(b"FMP4", b"SVQ3")
    assert "svq3" in owner.post("/video/probe", {"gcs_path": upload(owner, data, "odd.avi")}, 415).json()["message"]


def test_a_video_that_was_cut_off(owner, tmp_path):
    """The index promises more than there is: what could be read stays, and the job says so."""
    fast = index_first(videos.make(tmp_path / "cut.mp4", gop=10), tmp_path / "fast.mp4")
    project = owner.project()
    job = finish(owner, extract(owner, upload(owner, fast[:len(fast) * 6 // 10]), project, fps=10))
    assert job["status"] == "failed" and job["error"] and 5 < job["frames_extracted"] < 45, job
    rows = images(owner, project)
    assert numbers(owner, rows) == list(range(len(rows))) and len(rows) == job["frames_extracted"]


@pytest.mark.parametrize("kind", ("mkv", "webm", "flv"))
def test_a_cut_video_whose_length_only_its_head_says(owner, tmp_path, kind):
    """The pictures may rightly be shorter than the sound: the job completes, and says where they end."""
    whole = videos.make(tmp_path / f"whole.{kind}", gop=10, codec="libvpx" if kind == "webm" else "libx264").read_bytes()
    project = owner.project()
    job = finish(owner, extract(owner, upload(owner, whole, f"whole.{kind}"), project, fps=10))
    assert (job["status"], job["error"], job["frames_extracted"]) == ("complete", None, 50)
    job = finish(owner, extract(owner, upload(owner, whole[:len(whole) * 6 // 10], f"cut.{kind}"), project, fps=10))
    assert job["status"] == "complete" and "may be cut off" in job["error"] and 5 < job["frames_extracted"] < 45, job


def index_first(path, out):
    """The same MP4 with its index in front."""
    with av.open(str(path)) as source, av.open(str(out), "w", options={"movflags": "faststart"}) as target:
        copy = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(source.streams.video[0]):
            if packet.dts is not None:
                packet.stream = copy
                target.mux(packet)
    return out.read_bytes()


def test_damage_in_the_middle(owner, clip):
    """Rubbish inside the pictures: no image that the decoder calls damaged, no 5xx, and the job ends."""
    data = bytearray(clip)
    at = data.index(b"mdat") + 2000
    data[at:at + 300] = os.urandom(300)
    project = owner.project()
    job = finish(owner, extract(owner, upload(owner, bytes(data)), project, fps=10))
    assert job["status"] in ("complete", "failed")
    assert len(images(owner, project)) == job["frames_extracted"]


# ---- refusals ----

def test_refused_early(owner, clip):
    project = owner.project()
    owner.post("/video/upload-url", {"filename": "a.mp4", "file_size": 10737418241}, 413)
    owner.post("/video/upload-url", {"filename": "a.mp4", "file_size": 10737418240})
    owner.post("/video/upload-url", {"filename": "a.mp4", "dataset_id": UNKNOWN}, 404)
    owner.post("/video/upload-url", {"filename": "a.mp4", "dataset_id": "no id"}, 404)
    for field, bad in (("filename", "a/b.mp4"), ("filename", ""), ("filename", 3), ("folder_path", "x"), ("folder_path", "/../x"), ("content_type", ""), ("odd", 1), ("file_size", -1)):
        assert owner.post("/video/upload-url", {"filename": "a.mp4", field: bad}, 422).json()["detail"][0]["loc"] == ["body", field]
    path = upload(owner, clip)
    for field, bad in (("fps", 0), ("fps", 241), ("fps", "2"), ("start_seconds", -1), ("max_frames", 0), ("max_frames", 100001), ("folder_path", "x"), ("odd", 1)):
        assert extract(owner, path, project, 422, **{field: bad})["detail"][0]["loc"][:2] == ["body", field]
    assert extract(owner, path, project, 422, start_seconds=2, end_seconds=2)["detail"][0]["loc"] == ["body", "end_seconds"]
    assert extract(owner, path, project, 422, start_seconds=5)["detail"][0]["loc"] == ["body", "start_seconds"]
    owner.post("/video/extract-frames", {"gcs_path": path}, 422)
    owner.post("/video/probe", {}, 422)
    owner.post("/video/register", {"odd": 1}, 422)


def test_nothing_under_a_path(owner, stranger, clip):
    project = owner.project()
    mine = upload(owner, clip)
    waiting = owner.post("/video/upload-url", {"filename": "later.mp4"}).json()["gcs_path"]
    image = owner.post("/images/upload-url", {"dataset_id": project["id"], "filename": "j.jpg", "content_type": "image/jpeg"}).json()["gcs_path"]
    for client, path in ((owner, waiting), (owner, image), (owner, "nonsense"), (owner, f"videos/{UNKNOWN}/a.mp4"), (owner, f"videos/{UNKNOWN}"), (stranger, mine)):
        client.post("/video/probe", {"gcs_path": path}, 404)
        client.post("/video/register", {"gcs_path": path}, 404)
        own = project if client is owner else stranger.project()
        extract(client, path, own, 404)
    extract(owner, mine, {"id": UNKNOWN}, 404)
    job = extract(owner, mine, project)
    stranger.get(f"/video/extract-frames/{job['job_id']}", 404)
    owner.get(f"/video/extract-frames/{UNKNOWN}", 404)
    owner.get("/video/extract-frames/nonsense", 404)
    finish(owner, job)
    # and a video's upload is none for an image
    form = {"dataset_id": project["id"], "filename": "a.jpg", "gcs_path": mine.replace("videos/", "uploads/")}
    owner.post("/images/register", form, 422)


def test_roles(owner, with_role, anonymous, clip):
    project = owner.project()
    path = upload(with_role("member"), clip)
    viewer = with_role("viewer")
    for client, status in ((viewer, 403), (anonymous, 401)):
        client.post("/video/upload-url", {"filename": "a.mp4"}, status)
        client.post("/video/probe", {"gcs_path": path}, status)
        client.post("/video/register", {"gcs_path": path}, status)
        extract(client, path, project, status)
    job = extract(with_role("member"), path, project)
    finish(viewer, job)
    anonymous.get(f"/video/extract-frames/{job['job_id']}", 401)


def test_extraction_is_answered_once_for_one_key(owner, clip):
    project = owner.project()
    body = {"gcs_path": upload(owner, clip), "dataset_id": project["id"]}
    key = {"Idempotency-Key": uuid.uuid4().hex}
    first = owner.post("/video/extract-frames", body, 202, headers=key).json()
    assert owner.post("/video/extract-frames", body, 202, headers=key).json()["job_id"] == first["job_id"]
    owner.post("/video/extract-frames", {**body, "fps": 3}, 409, headers=key)
    finish(owner, first)


# ---- registration ----

def test_registration(owner, stranger, clip, jpeg):
    project = owner.project()
    target = owner.post("/video/upload-url", {"filename": "kept.mp4", "dataset_id": project["id"], "folder_path": "/raw"}).json()
    owner.post("/video/register", {"gcs_path": target["gcs_path"]}, 404)  # nothing was PUT yet
    owner.put_object(target["upload_url"], clip, "video/mp4")
    made = owner.post("/video/register", {"gcs_path": target["gcs_path"]}, 201).json()
    assert (made["video_id"], made["dataset_id"], made["folder_path"], made["filename"], made["file_size"]) == (target["video_id"], project["id"], "/raw", "kept.mp4", len(clip))
    again = owner.post("/video/register", {"gcs_path": target["gcs_path"]}, 201).json()
    assert again == made
    moved = owner.post("/video/register", {"gcs_path": target["gcs_path"], "dataset_id": project["id"], "folder_path": "/b", "filename": "n.mp4"}, 201).json()
    assert (moved["folder_path"], moved["filename"], moved["created_at"]) == ("/b", "n.mp4", made["created_at"])
    owner.put_object(target["upload_url"], b"other bytes", "video/mp4", 409)
    owner.post("/video/register", {"gcs_path": target["gcs_path"], "dataset_id": UNKNOWN}, 404)
    owner.post("/video/register", {"gcs_path": target["gcs_path"], "dataset_id": stranger.project()["id"]}, 404)
    assert owner.post("/video/probe", {"gcs_path": moved["gcs_path"]}).json()["frame_count"] == 50


# ---- life and death ----

@pytest.fixture
def own_server(tmp_path):
    server = Server(tmp_path / "data").start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def long_clip(tmp_path_factory):
    """160 frames of a size that takes a while."""
    return videos.make(tmp_path_factory.mktemp("video") / "long.mp4", count=160, rate=25, width=1920, height=1152, gop=50).read_bytes()


def some_frames(client, job, least=1):
    deadline = time.monotonic() + 60
    while True:
        state = client.get(f"/video/extract-frames/{job['job_id']}").json()
        if state["frames_extracted"] >= least or state["status"] != "processing":
            return state
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_kill_the_server(own_server, long_clip):
    client = Client(own_server.url, own_server.key, contract())
    project = client.project()
    job = extract(client, upload(client, long_clip), project, fps=25)
    for _ in range(2):
        state = some_frames(client, job, least=30)
        own_server.kill()
        own_server.start()
    assert state["status"] == "processing", "it was done before it could be killed"
    done = finish(client, job)
    assert (done["status"], done["frames_extracted"], done["error"]) == ("complete", 160, None)
    assert numbers(client, images(client, project)) == list(range(160)), "a frame is missing or there twice"
    once(lambda: list((own_server.folder / "work").iterdir()), lambda left: not left)


def workers_of(server):
    listed = subprocess.run(["ps", "--ppid", str(server.process.pid), "-o", "pid=,args="], capture_output=True, text=True).stdout
    return [int(line.split()[0]) for line in listed.splitlines() if "pictograph-media" in line]


def test_kill_the_worker(own_server, long_clip):
    client = Client(own_server.url, own_server.key, contract())
    project = client.project()
    path = upload(client, long_clip)
    job = extract(client, path, project, fps=25)
    some_frames(client, job, least=30)
    for worker in workers_of(own_server):
        os.kill(worker, signal.SIGKILL)
    done = finish(client, job)
    assert (done["status"], done["frames_extracted"]) == ("complete", 160), done
    assert numbers(client, images(client, project)) == list(range(160))


def test_an_end_that_cannot_be_written(own_server, clip):
    """The last frames and the end are one transaction: what is tried again goes on, and does not begin anew."""
    client = Client(own_server.url, own_server.key, contract())
    project = client.project()
    path = upload(client, clip)
    database = own_server.folder / "pictograph.db"
    with contextlib.closing(sqlite3.connect(database, timeout=30)) as db, db:
        db.execute("CREATE TRIGGER no_end BEFORE UPDATE OF status ON frame_extractions BEGIN INSERT INTO nowhere VALUES (1); END")
    job = extract(client, path, project)
    deadline = time.monotonic() + 60
    while f'"job_returned","job":"{job["job_id"]}"' not in own_server.log.read_text():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    with contextlib.closing(sqlite3.connect(database, timeout=30)) as db, db:
        db.execute("DROP TRIGGER no_end")
    done = finish(client, job)
    assert (done["status"], done["error"]) == ("complete", None) and done["frames_extracted"] == len(images(client, project)) > 0


def test_stop_and_start(own_server, long_clip):
    client = Client(own_server.url, own_server.key, contract())
    project = client.project()
    job = extract(client, upload(client, long_clip), project, fps=25)
    some_frames(client, job)
    began = time.monotonic()
    assert own_server.stop() == 0 and time.monotonic() - began < 30
    own_server.start()
    assert finish(client, job)["frames_extracted"] == 160
    assert numbers(client, images(client, project)) == list(range(160))


def test_deleting_the_dataset_ends_the_job(owner, long_clip):
    project = owner.project()
    target = owner.post("/video/upload-url", {"filename": "l.mp4", "dataset_id": project["id"]}).json()
    owner.put_object(target["upload_url"], long_clip, "video/mp4")
    job = extract(owner, target["gcs_path"], project, fps=25)
    some_frames(owner, job)
    owner.delete(f"/projects/{project['name']}")
    done = finish(owner, job)
    assert done["status"] == "failed" and "deleted" in done["error"]
    owner.post("/video/probe", {"gcs_path": target["gcs_path"]}, 404)


def test_cancelling(owner, stranger, with_role, anonymous, long_clip):
    project, member = owner.project(), with_role("member")
    path = upload(owner, long_clip)
    job, waiting = extract(owner, path, project, fps=25), extract(owner, path, project, fps=25, folder_path="/b")
    there = f"/video/extract-frames/{job['job_id']}/cancel"
    some_frames(owner, job)
    done = member.post(there).json()  # answers once it has stopped
    assert done["status"] == "failed" and "ancelled" in done["error"] and done["completed_at"] and done["progress"] < 100, done
    assert 0 < done["frames_extracted"] == len(images(owner, project, "/")) < 160, "frames that landed stay"
    assert owner.post(there).json() == done == owner.get(f"/video/extract-frames/{job['job_id']}").json()
    never = owner.post(f"/video/extract-frames/{waiting['job_id']}/cancel").json()
    assert never["status"] == "failed" and "ancelled" in never["error"]
    anonymous.post(there, None, 401)
    with_role("viewer").post(there, None, 403)
    stranger.post(there, None, 404)
    for nothing in (UNKNOWN, "nonsense"):
        owner.post(f"/video/extract-frames/{nothing}/cancel", None, 404)
    ended = finish(owner, extract(owner, path, project, fps=1, folder_path="/c"))
    assert ended["status"] == "complete" and owner.post(f"/video/extract-frames/{ended['job_id']}/cancel").json() == ended


def test_the_cap_of_the_plan(own_server, clip):
    client = Client(own_server.url, own_server.key, contract())
    project = client.project()
    path = upload(client, clip)
    with contextlib.closing(sqlite3.connect(own_server.folder / "pictograph.db", timeout=60)) as db, db:
        db.execute("UPDATE organizations SET tier = 'free', image_count = 9990")
    reply = extract(client, path, project, 402, fps=10)
    assert reply["error_code"] == "tier_limit_exceeded" and reply["detail"]["limit"] == "images"
    job = finish(client, extract(client, path, project, fps=2))
    assert job["status"] == "complete" and job["frames_extracted"] == 10


def test_memory_while_a_large_video_arrives(own_server):
    """300 MB in chunks: the server's memory does not grow with it, and nothing is left of it when the peer goes away half-way."""
    client = Client(own_server.url, own_server.key, contract())
    target = client.post("/video/upload-url", {"filename": "z.mp4"}).json()
    block = bytes(1 << 20)

    def rss():
        return int(next(line for line in pathlib.Path(f"/proc/{own_server.process.pid}/status").read_text().splitlines() if line.startswith("VmHWM")).split()[1])

    before = rss()
    client.put_object(target["upload_url"], (block for _ in range(300)), "video/mp4")
    assert rss() - before < 20000, "kB"

    def broken():
        yield block
        raise ConnectionAbortedError

    with pytest.raises((ConnectionAbortedError, requests.ConnectionError)):
        requests.put(target["upload_url"], data=broken(), headers={"Content-Type": "video/mp4"}, timeout=60)
    once(lambda: list((own_server.folder / "objects" / "tmp").iterdir()), lambda left: not left)
