"""bench/run annotate: bccd's held-out photographs labelled by a nano model that was trained a little on the others, by one batch over HTTP.

Beside it the same ONNX file in Python's onnxruntime, as its users write it: Pillow decodes, shrinks and pads, the model runs, NumPy drops overlapping boxes.
Two cores for both; Python gets the faster of one loop whose model has two threads and two loops whose models have one. It stores nothing, which flatters it.
"""
import json
import os
import pathlib
import sqlite3
import subprocess
import tempfile
import time

EPOCHS, SIZE, THRESHOLD, OVERLAP, ROUNDS = 8, 256, 0.25, 0.65, 3

PEER = """
import concurrent.futures, json, sys, time
import numpy as np, onnxruntime
from PIL import Image

model, threshold, overlap, *files = sys.argv[1:]
threshold, overlap = float(threshold), float(overlap)

def session(threads):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])

def boxes_of(run, path):
    _, _, height, width = run.get_inputs()[0].shape
    picture = Image.open(path).convert("RGB")
    ratio = min(width / picture.width, height / picture.height)
    small = picture.resize((round(picture.width * ratio), round(picture.height * ratio)), Image.BILINEAR)
    pixels = np.full((height, width, 3), 114, np.float32)
    pixels[:small.height, :small.width] = np.asarray(small)[:, :, ::-1]
    found = run.run(None, {"images": pixels.transpose(2, 0, 1)[None].copy()})[0][0]
    scores = found[:, 4:5] * found[:, 5:]
    kinds, best = scores.argmax(1), scores.max(1)
    keep = best >= threshold
    centre, size = found[keep, :2] / ratio, found[keep, 2:4] / ratio
    corners, kinds, best = np.concatenate([centre - size / 2, centre + size / 2], 1), kinds[keep], best[keep]
    kept, order = 0, np.argsort(-best)
    while len(order):
        first, rest = order[0], order[1:]
        kept += 1
        inner = np.clip(np.minimum(corners[first, 2:], corners[rest, 2:]) - np.maximum(corners[first, :2], corners[rest, :2]), 0, None).prod(1)
        areas = (corners[:, 2:] - corners[:, :2]).prod(1)
        order = rest[(kinds[rest] != kinds[first]) | (inner / (areas[first] + areas[rest] - inner) < overlap)]
    return kept

one, pair = session(2), [session(1) for _ in range(2)]
boxes_of(one, files[0]), boxes_of(pair[0], files[0]), boxes_of(pair[1], files[0])
begin = time.monotonic()
count = sum(boxes_of(one, path) for path in files)
alone = time.monotonic() - begin
begin = time.monotonic()
with concurrent.futures.ThreadPoolExecutor(2) as pool:
    list(pool.map(lambda k: [boxes_of(pair[k], path) for path in files[k::2]], range(2)))
print(json.dumps({"seconds": min(alone, time.monotonic() - begin), "boxes": count}))
"""


def names_of(data, split):
    return [line.split()[0] + ".jpg" for line in (data / "ImageSets" / "Main" / f"{split}.txt").read_text().splitlines() if line.strip()]


def cli(bench, binary, *words):
    subprocess.run([binary, *words], check=True, stdout=subprocess.DEVNULL, env={**os.environ, "PICTOGRAPH_API_KEY": bench.server.key, "PICTOGRAPH_BASE_URL": bench.server.url})


def folder_of(data, root, name, files, labels=False):
    """Some of the photographs, with their labels beside them where asked for."""
    for kind, ending in [("JPEGImages", ".jpg")] + ([("Annotations", ".xml")] if labels else []):
        (root / name / kind).mkdir(parents=True)
        for file in files:
            os.symlink(data / kind / file.replace(".jpg", ending), root / name / kind / file.replace(".jpg", ending))
    return root / name


def trained_model(bench, binary, data, root):
    folder = folder_of(data, root, "train", names_of(data, "train"), labels=True)
    cli(bench, binary, "datasets", "upload", "bench-annotate", folder / "JPEGImages")
    cli(bench, binary, "datasets", "import", "bench-annotate", folder / "Annotations")
    client = bench.client
    client.post("/exports/", {"dataset_name": "bench-annotate", "name": "e"}, 202)
    assert client.wait("/exports/bench-annotate/e", "export")["status"] == "completed"
    run = client.post("/training/", {"dataset_name": "bench-annotate", "export_name": "e", "pipeline_type": "yolox",
                                     "config": {"epochs": EPOCHS, "image_size": SIZE, "model_size": "nano"}}, 202).json()["training_run"]
    done = client.wait(f"/training/{run['id']}", "training_run", timeout=900)
    assert done["status"] == "completed", done
    return done["model_id"]


def wait_for_descriptions(data):
    """Every upload is described in the background, behind other calls but on the same cores."""
    db = sqlite3.connect(next(data.glob("*.db")))
    for _ in range(1200):
        if db.execute("SELECT count(*) FROM description_queue WHERE attempts < 3").fetchone()[0] == 0:
            break
        time.sleep(0.1)
    db.close()


def batch(client, model, files):
    begin = time.monotonic()
    job = client.post("/auto-annotate/batch", {"dataset_name": "bench-annotate", "image_filenames": files, "model_id": model, "confidence_threshold": THRESHOLD,
                                               "classes": [{"name": name, "output_type": "bbox"} for name in ("RBC", "WBC", "Platelets")]}, 202).json()
    while (state := client.get(f"/auto-annotate/batch/{job['job_id']}").json())["status"] not in ("completed", "failed", "cancelled"):
        time.sleep(0.01)
    assert state["status"] == "completed" and state["processed_images"] == len(files), state
    return time.monotonic() - begin, state["total_annotations_added"]


def python_loop(python, weights, files):
    return json.loads(subprocess.run([python, "-c", PEER, weights, str(THRESHOLD), str(OVERLAP), *files], check=True, capture_output=True, text=True).stdout)


def measure(bench, row, binary, shared, python):
    data = shared / "data" / "bccd"
    if not data.is_dir():
        return
    bench.server.command("org", "set-tier", "--org", "Acme", "--tier", "enterprise")
    bench.server.command("credits", "grant", "--org", "Acme", "--amount", "100000")
    with tempfile.TemporaryDirectory() as name:
        root, client = pathlib.Path(name), bench.client
        model = trained_model(bench, binary, data, root)
        held_out = names_of(data, "val") + names_of(data, "test")
        cli(bench, binary, "datasets", "upload", "bench-annotate", folder_of(data, root, "rest", held_out) / "JPEGImages")
        weights = root / "model.onnx"
        weights.write_bytes(client.fetch(client.get(f"/models/{model}/download").json()["download_url"]).content)
        wait_for_descriptions(bench.folder / "data")
        load = os.getloadavg()[0]
        batch(client, model, held_out[:1])  # opens the model
        times, theirs = [], []
        for _ in range(ROUNDS):  # in turn, so that a drifting machine hits both
            batch(client, model, names_of(data, "train"))  # what a worker remembers of the last pictures must not help
            seconds, boxes = batch(client, model, held_out)
            times.append(seconds)
            theirs.append(python_loop(python, weights, [data / "JPEGImages" / file for file in held_out]))
        ours, peer = len(held_out) / sorted(times)[ROUNDS // 2], len(held_out) / sorted(t["seconds"] for t in theirs)[ROUNDS // 2]
        row(f"batch annotation, {len(held_out)} photographs, nano at {SIZE}², stored (median of {ROUNDS})", f"{ours:.0f} images/s, {boxes} boxes, load before {load:.1f}",
            f"Python onnxruntime {peer:.0f} images/s, {theirs[0]['boxes']} boxes: {ours / peer:.2f} ×", "≥ Python")
