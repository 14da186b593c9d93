"""Section "video" of bench/run: frames of a video as JPEG files, by pictograph-media over its channel, by OpenCV's VideoCapture and by PyAV, and the same as
images of a dataset by the server's job. The video is made here: 1080p, 25 frames a second, a key frame every two seconds, noise that moves."""
import json
import pathlib
import shutil
import socket
import struct
import subprocess
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
PYTHON = ROOT / "build" / "deps" / "venv" / "bin" / "python"
PEER_PYTHON = ROOT / "build" / "deps" / "bench-venv" / "bin" / "python"
SECONDS, RATE = 12, 25

MAKE = """
import sys, av, numpy as np
rng = np.random.default_rng(1)
ground = rng.integers(0, 255, (1080 // 8, 4000 // 8, 3), np.uint8).repeat(8, 0).repeat(8, 1)
with av.open(sys.argv[1], "w") as out:
    stream = out.add_stream("libx264", rate=int(sys.argv[3]))
    stream.width, stream.height, stream.pix_fmt, stream.codec_context.gop_size = 1920, 1080, "yuv420p", 50
    stream.options = {"preset": "ultrafast", "crf": "23"}
    for i in range(int(sys.argv[2]) * int(sys.argv[3])):
        x = i % 2000
        for packet in stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(ground[:, x:x + 1920]), format="rgb24")):
            out.mux(packet)
    for packet in stream.encode(None):
        out.mux(packet)
"""
OPENCV = """
import sys, time, cv2
start, step, written, i = time.monotonic(), int(sys.argv[3]), 0, 0
video = cv2.VideoCapture(sys.argv[1])
while video.grab():
    if i % step == 0:
        ok, frame = video.retrieve()
        cv2.imwrite(f"{sys.argv[2]}/{written:06d}.jpg", frame, [cv2.IMWRITE_JPEG_QUALITY, 92])
        written += 1
    i += 1
print(time.monotonic() - start, written)
"""
PYAV = """
import sys, time, av
start, step, written = time.monotonic(), int(sys.argv[3]), 0
with av.open(sys.argv[1]) as video:
    video.streams.video[0].thread_type = "AUTO"
    for i, frame in enumerate(video.decode(video=0)):
        if i % step == 0:
            frame.to_image().save(f"{sys.argv[2]}/{written:06d}.jpg", quality=92)
            written += 1
print(time.monotonic() - start, written)
"""


class Worker:
    """pictograph-media as the server has it: sandboxed, on a channel."""

    def __init__(self, program, folder):
        self.channel, theirs = socket.socketpair()
        self.process = subprocess.Popen(["bash", "-c", f"exec \"$0\" --write \"$1\" 3<&{theirs.fileno()}", program, folder], pass_fds=[theirs.fileno()])
        theirs.close()

    def call(self, method, **params):
        message = json.dumps({"id": 1, "method": method, "params": params}).encode()
        self.channel.sendall(struct.pack("<I", len(message)) + message)
        while True:
            answer = json.loads(self.take(struct.unpack("<I", self.take(4))[0]))
            if "progress" not in answer:
                return answer["result"]

    def take(self, size):
        data = b""
        while len(data) < size:
            data += self.channel.recv(size - len(data)) or exit("the worker is gone")
        return data

    def close(self):
        self.channel.close()
        self.process.wait()


def ours(program, video, folder, fps):
    worker = Worker(program, folder)
    worker.call("probe_video", path=str(video))
    start, written, cursor = time.monotonic(), 0, {}
    while True:
        answer = worker.call("extract_frames", path=str(video), folder=str(folder), fps=fps, **cursor)
        written += len(answer["frames"])
        if "cursor" not in answer:
            break
        cursor = {"cursor": answer["cursor"]}
    seconds = time.monotonic() - start
    worker.close()
    return seconds, written


def theirs(script, python, video, folder, step):
    seconds, written = subprocess.run([python, "-c", script, video, folder, str(step)], capture_output=True, text=True, check=True).stdout.split()
    return float(seconds), int(written)


def by_the_job(client, video, fps):
    target = client.post("/video/upload-url", {"filename": "bench.mp4"}).json()
    client.put_object(target["upload_url"], video.read_bytes(), "video/mp4")
    start = time.monotonic()
    job = client.post("/video/extract-frames", {"gcs_path": target["gcs_path"], "dataset_id": client.project()["id"], "fps": fps}, 202).json()
    done = client.wait(f"/video/extract-frames/{job['job_id']}", final=("complete", "failed"), timeout=600)
    assert done["status"] == "complete", done
    return time.monotonic() - start, done["frames_extracted"]


def measure(row, client, program):
    folder = pathlib.Path(tempfile.mkdtemp(prefix="pictograph-bench-video-"))
    video = folder / "bench.mp4"
    subprocess.run([PYTHON, "-c", MAKE, video, str(SECONDS), str(RATE)], check=True)
    for fps in (RATE, 1):
        out = folder / "out"
        out.mkdir(exist_ok=True)
        seconds, written = ours(program, video, out, fps)
        job_seconds, job_written = by_the_job(client, video, fps)
        cv_seconds, cv_written = theirs(OPENCV, PEER_PYTHON, video, out, RATE // fps)
        av_seconds, _ = theirs(PYAV, PYTHON, video, out, RATE // fps)
        assert written == cv_written == job_written, (written, cv_written, job_written)
        what = "every frame" if fps == RATE else f"{fps} frame a second"
        row(f"{SECONDS} s of 1080p to JPEG, {what} ({written})", f"{seconds:.1f} s, {written / seconds:.0f} frames/s; as images {job_seconds:.1f} s",
            f"OpenCV {cv_seconds:.1f} s: {cv_seconds / seconds:.2f} ×; PyAV {av_seconds:.1f} s", "≥ OpenCV")
        shutil.rmtree(out)
    shutil.rmtree(folder)
