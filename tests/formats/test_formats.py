"""Exports judged by readers that no one here wrote: pycocotools, supervision, datumaro, csv, zipfile; on a drawn dataset and, where it lies, on bccd."""
import contextlib
import csv
import hashlib
import io
import json
import math
import pathlib
import subprocess
import warnings
import xml.etree.ElementTree
import zipfile

import numpy
import pytest
from PIL import Image, ImageDraw
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import datumaro
    import supervision

pytestmark = pytest.mark.filterwarnings("ignore:__array__:DeprecationWarning")  # pycocotools under NumPy 2
ROOT = pathlib.Path(__file__).resolve().parents[2]
TOOL = ROOT / "build" / "meson" / "src" / "formats" / "format_tool"
BCCD = next((p / "shared/data/bccd" for p in (ROOT, *ROOT.parents) if (p / "shared/data/bccd").is_dir()), None)
FORMATS = ["pictograph", "coco", "yolo", "pascal_voc", "cvat", "labelme", "csv"]
WIDTH, HEIGHT = 160, 120


def tool(*args):
    done = subprocess.run([TOOL, *map(str, args)], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout


def images_of(path):
    """{"folder/name": image as format_tool lists it}"""
    listed = [json.loads(line) for line in tool("list", path).splitlines()]
    return {(i["folder"].rstrip("/") + "/" + i["filename"]).lstrip("/"): i for i in listed}


def boxes(image):
    """In the order of the file, which every format keeps."""
    return [(a["name"], *(a["bounding_box"][k] for k in "xywh")) for a in image["annotations"] if "bounding_box" in a]


def circle(cx, cy, r, n=24):
    return [{"x": round(cx + r * math.cos(2 * math.pi * i / n), 2), "y": round(cy + r * math.sin(2 * math.pi * i / n), 2)} for i in range(n)]


def drawn_annotations(index, shapes):
    made = [{"id": f"b{k}", "name": ["red", "straße, <&>"][k % 2], "type": "bbox",
             "bounding_box": {"x": 5.5 + 13 * k + index, "y": 8 + 9 * k, "w": 20.25, "h": 15}} for k in range(4)]
    if shapes:
        made.append({"id": "p", "name": "red", "type": "polygon", "polygon": {"paths": [circle(60 + index, 60, 20)]}})
        made.append({"id": "h", "name": "ring", "type": "polygon", "polygon": {"paths": [circle(110, 70, 30), circle(110, 70, 12)]}})
        made.append({"id": "k", "name": "red", "type": "keypoint", "keypoint": {"x": 3, "y": 4}})
    return made


def draw_dataset(folder, shapes):
    """A dataset in the pictograph format: names in other scripts, equal names in two folders, an image without labels."""
    places = ["a.png", "sub/a.png", "日本/ü b.jpg", "sub/deep/c.png", "plain.png"]
    for index, place in enumerate(places):
        image = Image.new("RGB", (WIDTH, HEIGHT), (index * 40, 80, 120))
        ImageDraw.Draw(image).ellipse((40, 40, 80, 80), fill=(250, 20, 30))
        file = folder / "images" / place
        file.parent.mkdir(parents=True, exist_ok=True)
        image.save(file)
        label = folder / "annotations" / (place + ".json")
        label.parent.mkdir(parents=True, exist_ok=True)
        path = pathlib.PurePosixPath(place)
        where = "/" if str(path.parent) == "." else "/" + str(path.parent)
        label.write_text(json.dumps({"id": str(index), "filename": path.name, "folder": where, "width": WIDTH, "height": HEIGHT,
                                     "status": "complete", "annotations": drawn_annotations(index, shapes) if place != "plain.png" else []}))
    (folder / "dataset.json").write_text(json.dumps({"format": "pictograph", "name": "drawn", "classes": [{"name": n} for n in ("red", "straße, <&>", "ring")]}))


@pytest.fixture(scope="session", params=["boxes", "shapes", "bccd"])
def dataset(request, tmp_path_factory):
    """Its folder, and an export in each format, packed and unpacked."""
    if request.param == "bccd":
        if not BCCD:
            pytest.skip("bccd is not here")
        source = BCCD
    else:
        source = tmp_path_factory.mktemp(request.param)
        draw_dataset(source, request.param == "shapes")
    made = tmp_path_factory.mktemp("exports")
    exports = {}
    for name in FORMATS:
        tool("convert", source, name, made / f"{name}.zip")
        zipfile.ZipFile(made / f"{name}.zip").extractall(made / name)
        exports[name] = made / name
    return {"name": request.param, "source": source, "images": images_of(source), "exports": exports, "folder": made}


def test_bccd_is_recognised_and_its_empty_boxes_are_named():
    if not BCCD:
        pytest.skip("bccd is not here")
    read = json.loads(tool("read", BCCD))
    assert read["format"] == "pascal_voc" and read["images"] == 364 and read["annotations"] == 4886 and read["left_out"] == 2
    assert read["splits"] == {"train": 205, "val": 87, "test": 72, "none": 0}
    assert [w["file"] for w in read["warnings"]] == ["Annotations/BloodImage_00338.xml", "Annotations/BloodImage_00343.xml"]
    truth = 0
    for file in (BCCD / "Annotations").glob("*.xml"):
        truth += len(xml.etree.ElementTree.parse(file).findall("object"))
    assert truth == 4886 + 2


@pytest.mark.parametrize("name", FORMATS)
def test_archives_are_sound_and_listed(dataset, name):
    archive = zipfile.ZipFile(dataset["folder"] / f"{name}.zip")
    assert archive.testzip() is None
    manifest = json.loads(archive.read("MANIFEST.json"))
    assert manifest["format"] == name and manifest["images"] == len(dataset["images"])
    assert {f["path"] for f in manifest["files"]} == set(archive.namelist()) - {"MANIFEST.json"}
    for file in manifest["files"]:
        data = archive.read(file["path"])
        assert len(data) == file["bytes"] and hashlib.sha256(data).hexdigest() == file["sha256"]
    tool("convert", dataset["source"], name, dataset["folder"] / f"{name}-again.zip")
    assert (dataset["folder"] / f"{name}-again.zip").read_bytes() == (dataset["folder"] / f"{name}.zip").read_bytes()


@pytest.mark.parametrize("name", FORMATS)
def test_what_goes_out_comes_back(dataset, name):
    back = images_of(dataset["folder"] / f"{name}.zip")
    assert back.keys() == dataset["images"].keys()
    tolerance = 1.01 if name == "pascal_voc" and dataset["name"] != "bccd" else 0.01  # whole pixels; bccd has only those
    for place, image in dataset["images"].items():
        wanted, got = boxes(image), boxes(back[place])
        assert [w[0] for w in wanted] == [g[0] for g in got]
        assert (back[place]["width"], back[place]["height"]) == (image["width"], image["height"])
        for w, g in zip(wanted, got):
            assert w[1:] == pytest.approx(g[1:], abs=tolerance), place
    if name == "pictograph":
        strip = lambda images: {p: [{**a, "id": 0} for a in i["annotations"]] for p, i in images.items()}
        assert strip(back) == strip(dataset["images"])


def quiet_coco(path):
    with contextlib.redirect_stdout(io.StringIO()):
        return COCO(str(path))


def test_coco_by_pycocotools(dataset):
    coco = quiet_coco(dataset["exports"]["coco"] / "annotations" / "instances.json")
    assert sorted(coco.anns) == list(range(1, len(coco.anns) + 1)) and sorted(coco.imgs) == list(range(1, len(coco.imgs) + 1))
    for image in coco.imgs.values():
        wanted = dataset["images"][image["file_name"]]
        with Image.open(dataset["exports"]["coco"] / "images" / image["file_name"]) as opened:
            assert opened.size == (image["width"], image["height"])
        annotations = coco.loadAnns(coco.getAnnIds([image["id"]]))
        got = [(coco.cats[a["category_id"]]["name"], *a["bbox"]) for a in annotations]
        assert got == boxes(wanted)
        for annotation in annotations:
            if not annotation["segmentation"]:
                assert annotation["area"] == pytest.approx(annotation["bbox"][2] * annotation["bbox"][3], abs=1e-4)
                continue
            drawn = coco.annToMask(annotation)
            assert drawn.sum() == pytest.approx(annotation["area"], rel=0.05)
            ys, xs = numpy.nonzero(drawn)
            x, y, w, h = annotation["bbox"]
            assert x - 1.5 <= xs.min() and xs.max() + 1 <= x + w + 1.5 and y - 1.5 <= ys.min() and ys.max() + 1 <= y + h + 1.5


def test_coco_holes_are_open(dataset):
    if dataset["name"] != "shapes":
        pytest.skip("has no holes")
    coco = quiet_coco(dataset["exports"]["coco"] / "annotations" / "instances.json")
    rings = [a for a in coco.anns.values() if coco.cats[a["category_id"]]["name"] == "ring"]
    assert len(rings) == 4
    for ring in rings:
        drawn = coco.annToMask(ring)
        assert drawn[70, 110] == 0 and drawn[70, 110 + 20] == 1
        assert ring["area"] == drawn.sum() == coco_mask.area(ring["segmentation"])
        assert ring["iscrowd"] == 0
    manifest = json.loads((dataset["exports"]["coco"] / "MANIFEST.json").read_text())
    losses = {loss["kind"]: loss["count"] for loss in manifest["losses"]}
    assert losses == {"holes_as_rle": 4, "keypoints_left_out": 4}


def test_coco_evaluates_itself_as_perfect(dataset):
    coco = quiet_coco(dataset["exports"]["coco"] / "annotations" / "instances.json")
    found = [{"image_id": a["image_id"], "category_id": a["category_id"], "bbox": a["bbox"], "score": 0.9} for a in coco.anns.values()]
    with contextlib.redirect_stdout(io.StringIO()):
        judge = COCOeval(coco, coco.loadRes(found), "bbox")
        judge.params.maxDets = [1, 10, 1000]
        judge.evaluate()
        judge.accumulate()
    precision = judge.eval["precision"][:, :, :, 0, -1]
    assert (precision[precision > -1] == 1).all()


def read_yolo(folder, masks):
    """supervision takes one folder: each is read by itself, its files matched by name."""
    found = {}
    for images in sorted({p.parent for p in (folder / "images").rglob("*") if p.is_file()}):
        inside = images.relative_to(folder / "images")
        data = supervision.DetectionDataset.from_yolo(str(images), str(folder / "labels" / inside), str(folder / "data.yaml"), force_masks=masks)
        for path in data.image_paths:
            found[str(inside / pathlib.Path(path).name)] = ([data.classes[c] for c in data.annotations[path].class_id], data.annotations[path].xyxy)
    return found


def test_yolo_by_supervision(dataset):
    if dataset["name"] == "shapes":
        pytest.skip("checked by its masks below")
    found = read_yolo(dataset["exports"]["yolo"], False)
    assert found.keys() == dataset["images"].keys()
    for place, image in dataset["images"].items():
        names, corners = found[place]
        got = [(n, x1, y1, x2 - x1, y2 - y1) for n, (x1, y1, x2, y2) in zip(names, corners.tolist())]
        wanted = boxes(image)
        assert len(got) == len(wanted)
        for w, g in zip(wanted, got):
            assert w[0] == g[0] and w[1:] == pytest.approx(g[1:], abs=0.01), place


def test_yolo_of_shapes_holds_outlines_only(dataset):
    if dataset["name"] != "shapes":
        pytest.skip("has no polygons")
    for label in (dataset["exports"]["yolo"] / "labels").rglob("*.txt"):
        for line in label.read_text().splitlines():
            values = list(map(float, line.split()))
            assert len(values) >= 9 and len(values) % 2 == 1 and values[0] in (0, 1, 2) and all(0 <= v <= 1 for v in values[1:])
    names, corners = read_yolo(dataset["exports"]["yolo"], False)["a.png"]
    assert len(names) == 6 and names.count("ring") == 1
    x1, y1, x2, y2 = corners[names.index("ring")]
    assert (x1, y1, x2, y2) == pytest.approx((80, 40, 140, 100), abs=1.5)


def test_pascal_voc_by_supervision(dataset):
    folder = dataset["exports"]["pascal_voc"]
    count = 0
    for images in sorted({p.parent for p in (folder / "JPEGImages").rglob("*") if p.is_file()}):
        inside = images.relative_to(folder / "JPEGImages")
        data = supervision.DetectionDataset.from_pascal_voc(str(images), str(folder / "Annotations" / inside))
        for path in data.image_paths:
            image = dataset["images"][str(inside / pathlib.Path(path).name)]
            found = data.annotations[path]
            got = [(data.classes[c], *corners) for c, corners in zip(found.class_id, found.xyxy.tolist())]
            wanted = [(n, x, y, x + w, y + h) for n, x, y, w, h in boxes(image)]
            assert len(got) == len(wanted)
            count += len(got)
            for w, g in zip(wanted, got):
                assert w[0] == g[0] and w[1:] == pytest.approx(g[1:], abs=1.01)
    assert count
    listed = (folder / "ImageSets" / "Main" / "all.txt").read_text().splitlines()
    assert len(listed) == len(dataset["images"]) and all((folder / "Annotations" / (name + ".xml")).is_file() for name in listed)


def losses(dataset, name):
    manifest = json.loads((dataset["exports"][name] / "MANIFEST.json").read_text())
    return {loss["kind"]: loss["count"] for loss in manifest["losses"]}


def test_cvat_by_datumaro(dataset):
    data = datumaro.Dataset.import_from(str(dataset["exports"]["cvat"]), "cvat")
    names = [label.name for label in data.categories()[datumaro.AnnotationType.label].items]
    found = {item.id + pathlib.PurePosixPath(item.media.path).suffix: item for item in data}
    assert found.keys() == dataset["images"].keys()
    for place, image in dataset["images"].items():
        assert found[place].media.size == (image["height"], image["width"])
        by_type = {}
        for annotation in found[place].annotations:
            by_type.setdefault(annotation.type.name, []).append((names[annotation.label], annotation))
        got = [(name, *a.get_bbox()) for kind in ("bbox", "polygon") for name, a in by_type.get(kind, [])]
        wanted = boxes(image)
        assert [g[0] for g in got] == [w[0] for w in wanted]
        for w, g in zip(wanted, got):
            assert w[1:] == pytest.approx(g[1:], abs=0.011), place
        points = [(name, a.points) for name, a in by_type.get("points", [])]
        assert points == [(a["name"], [a["keypoint"]["x"], a["keypoint"]["y"]]) for a in image["annotations"] if "keypoint" in a]
    if dataset["name"] == "shapes":
        assert losses(dataset, "cvat") == {"holes_left_out": 4}


def test_labelme_by_supervision(dataset):
    folder = dataset["exports"]["labelme"]
    seen = 0
    for place in sorted({p.parent for p in folder.rglob("*.json") if p.name != "MANIFEST.json"}):
        (folder / "MANIFEST.json").rename(folder / "MANIFEST")  # it takes every JSON file of a folder for a label
        try:
            data = supervision.DetectionDataset.from_labelme(str(place), str(place))
        finally:
            (folder / "MANIFEST").rename(folder / "MANIFEST.json")
        for path in data.image_paths:
            image = dataset["images"][str(pathlib.Path(path).relative_to(folder))]
            found = data.annotations[path]
            got = sorted((data.classes[c], *corners) for c, corners in zip(found.class_id, found.xyxy.tolist()))
            wanted = sorted((n, x, y, x + w, y + h) for n, x, y, w, h in boxes(image))
            assert [g[0] for g in got] == [w[0] for w in wanted]
            for w, g in zip(wanted, got):
                assert w[1:] == pytest.approx(g[1:], abs=0.01), path
            seen += 1
    assert seen == len(dataset["images"])


def test_labelme_files_as_labelme_writes_them(dataset):
    for label in dataset["exports"]["labelme"].rglob("*.json"):
        if label.name == "MANIFEST.json":
            continue
        read = json.loads(label.read_text())
        assert list(read) == ["version", "flags", "shapes", "imagePath", "imageData", "imageHeight", "imageWidth"]
        assert read["imageData"] is None and read["flags"] == {}
        with Image.open(label.parent / read["imagePath"]) as opened:
            assert opened.size == (read["imageWidth"], read["imageHeight"])
        for shape in read["shapes"]:
            assert list(shape) == ["label", "points", "group_id", "description", "shape_type", "flags"]


def test_csv_by_python(dataset):
    text = (dataset["exports"]["csv"] / "annotations.csv").read_bytes()
    assert text.endswith(b"\r\n") and text.count(b"\n") == text.count(b"\r\n")
    rows = list(csv.DictReader(io.StringIO(text.decode(), newline=""), strict=True))
    header = "image_id,filename,folder,width,height,status,annotation_id,name,x,y,w,h,confidence,created_by"
    assert list(rows[0]) == header.split(",") and not any(None in row or None in row.values() for row in rows)
    found = {}
    for row in rows:
        place = (row["folder"].rstrip("/") + "/" + row["filename"]).lstrip("/")
        found.setdefault(place, [])
        assert (int(row["width"]), int(row["height"])) == (dataset["images"][place]["width"], dataset["images"][place]["height"])
        if row["name"]:
            found[place].append((row["name"], *(float(row[k]) for k in "xywh")))
    for place, image in dataset["images"].items():
        assert (dataset["exports"]["csv"] / "images" / place).is_file()
        got, wanted = found.pop(place), boxes(image)
        assert [g[0] for g in got] == [w[0] for w in wanted]
        for w, g in zip(wanted, got):
            assert w[1:] == pytest.approx(g[1:], abs=1e-9), place
    assert not found
    if dataset["name"] == "shapes":
        assert losses(dataset, "csv") == {"polygons_as_boxes": 8, "keypoints_left_out": 4}


def test_run_lengths_agree_with_pycocotools(tmp_path):
    """Our rule (pixel centres, even-odd) against pycocotools' rasterizer on many outlines, through a hole of nearly no size."""
    random = numpy.random.default_rng(7)
    annotations, outlines = [], []
    for k in range(60):
        angles = numpy.sort(random.uniform(0, 2 * math.pi, 12))
        radii = random.uniform(20, 50, 12)
        outline = [{"x": 80 + r * math.cos(a), "y": 60 + r * math.sin(a)} for a, r in zip(angles, radii)]
        hole = [{"x": 80.1, "y": 60.1}, {"x": 80.2, "y": 60.1}, {"x": 80.2, "y": 60.2}]
        outlines.append(outline)
        annotations.append({"id": str(k), "name": "x", "type": "polygon", "polygon": {"paths": [outline, hole]}})
    (tmp_path / "d" / "annotations").mkdir(parents=True)
    (tmp_path / "d" / "dataset.json").write_text(json.dumps({"format": "pictograph", "name": "d", "classes": [{"name": "x"}]}))
    (tmp_path / "d" / "annotations" / "a.png.json").write_text(json.dumps({"filename": "a.png", "width": WIDTH, "height": HEIGHT, "annotations": annotations}))
    tool("convert", tmp_path / "d", "coco", tmp_path / "c.zip")
    coco = json.loads(zipfile.ZipFile(tmp_path / "c.zip").read("annotations/instances.json"))
    written = [a["segmentation"] for a in coco["annotations"] if isinstance(a["segmentation"], dict)]
    assert len(written) > 30  # the centre may lie outside some outline: then the small ring is no hole
    by_area = {a["id"]: a for a in coco["annotations"]}
    for k, outline in enumerate(outlines):
        segmentation = by_area[k + 1]["segmentation"]
        if not isinstance(segmentation, dict):
            continue
        theirs = coco_mask.frPyObjects([[v for p in outline for v in (p["x"], p["y"])]], HEIGHT, WIDTH)[0]
        assert coco_mask.iou([segmentation], [theirs], [0])[0][0] > 0.9
