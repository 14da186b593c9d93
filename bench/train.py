"""Section "train" of bench/run: images a second of a training run beside the official YOLOX code, taken in turns.

Ours is `pictograph-train --benchmark`: 416 × 416, batch 8, loading and augmentation included, on drawn noise with twelve boxes a picture. The peer
(train_peer.py) gets pictures of the same kind and number, and is timed with its own augmentation and, more kindly, on prepared batches alone.
"""
import json
import os
import pathlib
import random
import re
import statistics
import subprocess
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[1]
PEER_PYTHON = ROOT / "build" / "deps" / "bench-venv" / "bin" / "python"
GOALS = {"nano": 1.4, "tiny": 1.9}
PICTURES, WIDTH, HEIGHT, BOXES, CLASSES = 32, 640, 480, 12, 3
ROUNDS, SECONDS = 3, 10

DRAW = """
import numpy, cv2, sys
r = numpy.random.default_rng(1)
for i in range(int(sys.argv[2])):
    cv2.imwrite(f"{sys.argv[1]}/{i}.jpg", r.integers(0, 256, (int(sys.argv[4]), int(sys.argv[3])), dtype=numpy.uint8))
"""


def draw_data(folder):
    """The peer's copy: noise as our benchmark draws it, with labels in COCO's form where the official loader looks for them."""
    (folder / "train2017").mkdir()
    (folder / "annotations").mkdir()
    subprocess.run([PEER_PYTHON, "-c", DRAW, folder / "train2017", str(PICTURES), str(WIDTH), str(HEIGHT)], check=True)
    draw = random.Random(1)
    boxes = [(image, draw.randrange(WIDTH - 120), draw.randrange(HEIGHT - 120), 40 + draw.randrange(80), 40 + draw.randrange(80))
             for image in range(PICTURES) for _ in range(BOXES)]
    document = {"images": [{"id": i, "file_name": f"{i}.jpg", "width": WIDTH, "height": HEIGHT} for i in range(PICTURES)],
                "categories": [{"id": c, "name": str(c)} for c in range(CLASSES)],
                "annotations": [{"id": n, "image_id": image, "category_id": draw.randrange(CLASSES), "bbox": [x, y, w, h], "area": w * h, "iscrowd": 0}
                                for n, (image, x, y, w, h) in enumerate(boxes)]}
    (folder / "annotations" / "train.json").write_text(json.dumps(document))


def images_per_second(command):
    done = subprocess.run([*map(str, command)], capture_output=True, text=True)
    found = re.search(r"([\d.]+) images/s", done.stdout)
    if done.returncode or not found:
        raise RuntimeError(f"{command}: {done.stdout[-500:]}{done.stderr[-2000:]}")
    return float(found[1])


def measure(row, program=ROOT / "build" / "bin" / "pictograph-train", models=("nano", "tiny")):
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        draw_data(folder)
        for model in models:
            commands = {kind: [program, "--benchmark", model, 416, 8, kind] for kind in ("bfloat16", "float32")}
            commands |= {mode: [PEER_PYTHON, ROOT / "bench" / "train_peer.py", model, folder, SECONDS, mode] for mode in ("augmented", "steps")}
            load = os.getloadavg()[0]
            taken = {kind: [] for kind in commands}
            for _ in range(ROUNDS):  # in turn, so that a drifting machine hits all
                for kind, command in commands.items():
                    taken[kind].append(images_per_second(command))
            rate = {kind: statistics.median(values) for kind, values in taken.items()}
            for kind in ("bfloat16", "float32"):
                row(f"training YOLOX-{model}, 416², batch 8, {kind}, augmentation included", f"{rate[kind]:.1f} images/s, load before {load:.1f}",
                    f"official float32 {rate['augmented']:.1f}: {rate[kind] / rate['augmented']:.2f} ×; its steps without augmentation {rate['steps']:.1f}: "
                    f"{rate[kind] / rate['steps']:.2f} ×", f"≥ {GOALS[model]} × in the faster type")
