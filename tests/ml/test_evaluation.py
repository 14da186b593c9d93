"""The evaluator in C against pycocotools on the same detections: every figure to 1e-6, overall and class by class."""
import contextlib
import io
import json
import time

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from tools import run

NAMES = ["ap", "ap50", "ap75", "ap_small", "ap_medium", "ap_large", "ar1", "ar10", "ar100", "ar_small", "ar_medium", "ar_large"]


def random_case(seed, images, classes, truths, detections, crowds=0.0, ties=False, empty_class=False):
    """Truth of mixed sizes, detections near it or anywhere. With ties, scores and sides come from few values, so that equal scores,
    equal overlaps and overlaps exactly at a threshold occur."""
    rng = np.random.default_rng(seed)
    truth, found = [], []
    for image in range(1, images + 1):
        own = []
        for _ in range(rng.integers(0, truths + 1)):
            w, h = np.exp(rng.uniform(np.log(6), np.log(220), 2))
            x, y = rng.uniform(0, 500, 2)
            if ties:
                x, y, w, h = (int(v) // 10 * 10 for v in (x, y, w + 10, h + 10))
            category = int(rng.integers(1, classes + 1 - empty_class)) * 3
            own.append((category, x, y, w, h))
            truth.append({"id": len(truth) + 1, "image_id": image, "category_id": category, "bbox": [x, y, w, h],
                          "area": float(w * h * rng.uniform(0.5, 1)), "iscrowd": int(rng.random() < crowds)})
        for _ in range(rng.integers(0, detections + 1)):
            if own and rng.random() < 0.8:
                category, x, y, w, h = own[rng.integers(len(own))]
                if rng.random() < 0.1:
                    category = int(rng.integers(1, classes + 1)) * 3
                x, y = x + rng.normal(0, 0.1) * w, y + rng.normal(0, 0.1) * h
                w, h = w * np.exp(rng.normal(0, 0.15)), h * np.exp(rng.normal(0, 0.15))
            else:
                category = int(rng.integers(1, classes + 1)) * 3
                x, y, w, h = rng.uniform(0, 500), rng.uniform(0, 500), rng.uniform(2, 150), rng.uniform(2, 150)
            score = rng.random()
            if ties:
                score = round(score, 1)
                x, y = (round(v / 5) * 5 for v in (x, y))
                w, h = (max(5, round(v / 5) * 5) for v in (w, h))
            found.append({"image_id": image, "category_id": category, "bbox": [float(v) for v in (x, y, w, h)], "score": float(score)})
    data = {"images": [{"id": i, "width": 640, "height": 640, "file_name": f"{i}.jpg"} for i in range(1, images + 1)],
            "categories": [{"id": c * 3, "name": f"c{c}"} for c in range(1, classes + 1)], "annotations": truth}
    return data, found


def reference(data, found):
    """pycocotools' twelve figures for all classes together and for each by itself."""
    rows = []
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO()
        coco.dataset = data
        coco.createIndex()
        results = coco.loadRes(found)
        full = COCOeval(coco, results, "bbox")
        full.evaluate()
        full.accumulate()
        full.summarize()
        everything = full.eval.copy()
        rows.append(full.stats.copy())
        for k in range(len(data["categories"])):
            full.eval = everything | {"precision": everything["precision"][:, :, k:k + 1], "recall": everything["recall"][:, k:k + 1]}
            full.summarize()
            rows.append(full.stats.copy())
    return rows


def ours(tmp_path, data, found):
    (tmp_path / "truth.json").write_text(json.dumps(data))
    (tmp_path / "found.json").write_text(json.dumps(found))
    answer = json.loads(run("src/evaluation/evaluation_tool", tmp_path / "truth.json", tmp_path / "found.json"))
    return answer, [[row[name] for name in NAMES] for row in [answer["overall"], *answer["classes"]]]


CASES = {
    "few": dict(images=12, classes=3, truths=6, detections=10),
    "crowds": dict(images=40, classes=3, truths=8, detections=25, crowds=0.25),
    "ties": dict(images=40, classes=2, truths=12, detections=30, crowds=0.1, ties=True),
    "more than a hundred": dict(images=6, classes=1, truths=90, detections=260, crowds=0.05),
    "a class without truth": dict(images=20, classes=4, truths=5, detections=12, empty_class=True),
}


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", CASES)
def test_figures_equal_pycocotools(tmp_path, name, seed):
    data, found = random_case(seed, **CASES[name])
    _, rows = ours(tmp_path, data, found)
    np.testing.assert_allclose(rows, reference(data, found), rtol=0, atol=1e-6)


def test_fifty_thousand_detections_take_less_than_a_second(tmp_path):
    data, found = random_case(9, images=1000, classes=20, truths=15, detections=110)
    assert len(found) > 50_000
    start = time.perf_counter()
    expected = reference(data, found)
    theirs = time.perf_counter() - start
    answer, rows = ours(tmp_path, data, found)
    np.testing.assert_allclose(rows, expected, rtol=0, atol=1e-6)
    print(f"{len(found)} detections: {answer['seconds']:.3f} s, pycocotools {theirs:.2f} s")
    assert answer["seconds"] < max(1.0, theirs / 8)  # a machine that is busy is so for both
