"""Sections "formats" and "evaluate" of bench/run: the same work by our programs and by Datumaro, pycocotools and faster-coco-eval.

Ours is timed as a whole process, start and reading included; a peer's clock starts after its imports, which flatters it. Memory is the peak
of each process. The peers run in build/deps/bench-venv.
"""
import json
import math
import os
import pathlib
import random
import subprocess
import sys
import tempfile
import time
import zipfile

ROOT = pathlib.Path(__file__).resolve().parents[1]
PEER_PYTHON = ROOT / "build" / "deps" / "bench-venv" / "bin" / "python"
MESON = ROOT / "build" / "meson"
FIGURES = ["ap", "ap50", "ap75", "ap_small", "ap_medium", "ap_large", "ar1", "ar10", "ar100", "ar_small", "ar_medium", "ar_large"]
IMAGES, POLYGONS, DETECTIONS, CLASSES = 5_000, 36_520, 54_857, 20

FORMATS = {"pictograph": None, "coco": "coco_instances", "yolo": "yolo", "pascal_voc": "voc", "cvat": "cvat", "labelme": "label_me", "csv": None}  # ours: Datumaro's

# What a peer runs: it prints its seconds, then one JSON value.
DATUMARO = """
import sys, time, json
from datumaro import Dataset
start = time.monotonic()
data = Dataset.import_from(sys.argv[1], "coco_instances")
count = sum(len(item.annotations) for item in data)
read = time.monotonic() - start
times = {}
for name in sys.argv[3:]:
    start = time.monotonic()
    data.export(sys.argv[2] + "/" + name, name, save_media=True)
    times[name] = time.monotonic() - start
print(read); print(json.dumps({"count": count, "times": times}))
"""
PYCOCO_READ = """
import sys, time, json, contextlib, io
from pycocotools.coco import COCO
start = time.monotonic()
with contextlib.redirect_stdout(io.StringIO()):
    truth = COCO(sys.argv[1])
print(time.monotonic() - start); print(len(truth.anns))
"""
PYCOCOTOOLS = """
import sys, time, json, contextlib, io
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
start = time.monotonic()
with contextlib.redirect_stdout(io.StringIO()):
    truth = COCO(sys.argv[1]); run = COCOeval(truth, truth.loadRes(sys.argv[2]), "bbox")
    run.evaluate(); run.accumulate(); run.summarize()
print(time.monotonic() - start); print(json.dumps([float(v) for v in run.stats[:12]]))
"""
FASTER = PYCOCOTOOLS.replace("from pycocotools.coco import COCO", "from faster_coco_eval import COCO, COCOeval_faster as COCOeval")
FASTER = FASTER.replace("from pycocotools.cocoeval import COCOeval\n", "")


def timed(command):
    """(wall seconds, peak MB, standard output) of one child. GNU time starts it: what a child of this large process is said to have peaked at begins
    with this process's own memory."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as errors, tempfile.NamedTemporaryFile("r") as peak:
        start = time.monotonic()
        done = subprocess.run(["/usr/bin/time", "-f", "%M", "-o", peak.name, *map(str, command)], stdout=out, stderr=errors)
        seconds = time.monotonic() - start
        out.seek(0)
        errors.seek(0)
        if done.returncode:
            raise RuntimeError(f"{command}: {errors.read().decode()[-2000:]}")
        return seconds, int(peak.read()) / 1024, out.read().decode()


def peer(script, *arguments):
    _, memory, out = timed([PEER_PYTHON, "-c", script, *arguments])
    seconds, answer = out.strip().split("\n")[-2:]
    return float(seconds), memory, json.loads(answer)


def polygon(draw, x, y, radius):
    count = draw.randrange(12, 31)
    return [round(value, 2) for k in range(count)
            for value in (x + radius * math.cos(2 * math.pi * k / count), y + radius * draw.uniform(0.7, 1) * math.sin(2 * math.pi * k / count))]


def box_of(ring):
    left, top = min(ring[::2]), min(ring[1::2])
    return [left, top, round(max(ring[::2]) - left, 2), round(max(ring[1::2]) - top, 2)]


def coco_document(draw):
    annotations = []
    for n in range(POLYGONS):
        radius = math.exp(draw.uniform(math.log(6), math.log(110)))
        ring = polygon(draw, draw.uniform(radius, 640 - radius), draw.uniform(radius, 480 - radius), radius)
        bbox = box_of(ring)
        annotations.append({"id": n + 1, "image_id": n % IMAGES + 1, "category_id": draw.randrange(CLASSES) + 1, "segmentation": [ring], "bbox": bbox,
                            "area": bbox[2] * bbox[3], "iscrowd": 0})
    return {"info": {}, "licenses": [], "categories": [{"id": c + 1, "name": f"class {c + 1}", "supercategory": ""} for c in range(CLASSES)],
            "images": [{"id": i + 1, "file_name": f"{i + 1:06}.jpg", "width": 640, "height": 480} for i in range(IMAGES)], "annotations": annotations}


def detections(draw, document):
    """Most lie near a true box, some anywhere."""
    found = []
    for _ in range(DETECTIONS):
        true = draw.choice(document["annotations"])
        x, y, w, h = true["bbox"]
        if draw.random() < 0.2:
            x, y = draw.uniform(0, 500), draw.uniform(0, 400)
        found.append({"image_id": true["image_id"], "category_id": true["category_id"] if draw.random() < 0.9 else draw.randrange(CLASSES) + 1,
                      "bbox": [x + draw.gauss(0, 0.1) * w, y + draw.gauss(0, 0.1) * h, w * math.exp(draw.gauss(0, 0.15)), h * math.exp(draw.gauss(0, 0.15))],
                      "score": draw.random()})
    return found


def convert(source, name, out):
    """(what format_tool tells, peak MB)"""
    out.unlink(missing_ok=True)
    _, memory, told = timed([MESON / "src" / "formats" / "format_tool", "convert", source, name, out])
    told = json.loads(told)
    assert told["images"] == IMAGES and told["annotations"] == POLYGONS, told
    return told, memory


def formats(row):
    """The best of three of ours; a peer, which takes minutes, is run once."""
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        data = folder / "data"
        (data / "annotations").mkdir(parents=True)
        (data / "images" / "train").mkdir(parents=True)
        draw = "import cv2, numpy, sys; cv2.imwrite(sys.argv[1], numpy.full((480, 640, 3), 99, numpy.uint8))"
        subprocess.run([PEER_PYTHON, "-c", draw, folder / "one.jpg"], check=True)
        document = coco_document(random.Random(1))
        (data / "annotations" / "instances_train.json").write_text(json.dumps(document))
        for image in document["images"]:
            os.link(folder / "one.jpg", data / "images" / "train" / image["file_name"])
        load = os.getloadavg()[0]
        read, theirs_memory, theirs = peer(DATUMARO, data, folder / "theirs", *filter(None, FORMATS.values()))
        assert theirs["count"] in (POLYGONS, 2 * POLYGONS)  # it holds box and outline apart
        pycoco, _, _ = peer(PYCOCO_READ, data / "annotations" / "instances_train.json")
        reading = min(convert(data, "pictograph", folder / "store.zip")[0]["read_seconds"] for _ in range(3))
        zipfile.ZipFile(folder / "store.zip").extractall(folder / "store")  # images one by one, as an export of the server gets them
        for name, datumaro_name in FORMATS.items():
            written, memory = min((convert(folder / "store", name, folder / "ours.zip") for _ in range(3)), key=lambda run: run[0]["write_seconds"])
            seconds = written["write_seconds"]
            beside = f"Datumaro {theirs['times'][datumaro_name]:.2f} s: {theirs['times'][datumaro_name] / seconds:.0f} ×" if datumaro_name else "–"
            row(f"export {name}, {IMAGES:,} images with pixels, {POLYGONS:,} polygons", f"{seconds:.2f} s, peak {memory:.0f} MB, load before {load:.1f}", beside,
                "≤ 0.5 s, ≤ 100 MB")
        row("the same COCO file read", f"{reading:.2f} s", f"pycocotools {pycoco:.2f} s, Datumaro {read:.2f} s, {theirs_memory:.0f} MB", "≤ 0.5 s")


def evaluate(row):
    with tempfile.TemporaryDirectory() as name:
        truth, found = pathlib.Path(name) / "truth.json", pathlib.Path(name) / "found.json"
        draw = random.Random(1)
        document = coco_document(draw)
        truth.write_text(json.dumps(document))
        found.write_text(json.dumps(detections(draw, document)))
        load = os.getloadavg()[0]
        seconds, memory, out = timed([MESON / "src" / "evaluation" / "evaluation_tool", truth, found])
        ours = [json.loads(out)["overall"][figure] for figure in FIGURES]
        slow, slow_memory, slow_figures = peer(PYCOCOTOOLS, truth, found)
        fast, fast_memory, _ = peer(FASTER, truth, found)
        apart = max(abs(a - b) for a, b in zip(ours, slow_figures))
        row(f"average precision of {DETECTIONS:,} detections, reading included", f"{seconds:.2f} s, peak {memory:.0f} MB, load before {load:.1f}",
            f"pycocotools {slow:.2f} s, {slow_memory:.0f} MB: {slow / seconds:.1f} ×; faster-coco-eval {fast:.2f} s, {fast_memory:.0f} MB: {fast / seconds:.1f} ×",
            "faster than both")
        row("largest difference of the twelve figures", f"{apart:.1e}", "pycocotools", "≤ 1e-6")


if __name__ == "__main__":
    for section in sys.argv[1:] or ["formats", "evaluate"]:
        globals()[section](lambda *cells: print(" | ".join(cells), flush=True))
