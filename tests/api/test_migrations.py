"""What the exports of other programs look like, each as small as it gets: docs/imports.md promises that they come in, by a zip and by the command line's reader."""
import json
import re

import pytest
from conftest import picture
from server import ROOT
from test_imports import bring_in, zip_of

YOLO = "0 0.5 0.5 0.5 0.5\n"
CSV = "filename,width,height,class,xmin,ymin,xmax,ymax\na.jpg,64,48,cell,8,10,40,40\n"


def coco(file_name):
    return json.dumps({"info": {}, "licenses": [], "categories": [{"id": 0, "name": "cell", "supercategory": None}], "images": [{"id": 0, "file_name": file_name, "width": 64, "height": 48}],
                       "annotations": [{"id": 0, "image_id": 0, "category_id": 0, "segmentation": [], "bbox": [8, 10, 32, 30], "ignore": 0, "iscrowd": 0, "area": 960}]})


def voc(filename):
    return (f"<annotation><folder>images</folder><filename>{filename}</filename><path>/x/{filename}</path><size><width>64</width><height>48</height><depth>3</depth></size><object><name>cell</name>"
            "<pose>Unspecified</pose><truncated>0</truncated><difficult>0</difficult><bndbox><xmin>8</xmin><ymin>10</ymin><xmax>40</xmax><ymax>40</ymax></bndbox></object></annotation>")


def cvat(name):
    return (f'<annotations><version>1.1</version><meta><task/></meta><image id="0" name="{name}" width="64" height="48">'
            '<box label="cell" xtl="8" ytl="10" xbr="40" ybr="40" occluded="0"></box></image></annotations>')


# program and export -> format, place of the picture, the other files
EXPORTS = {
    "CVAT, CVAT for images 1.1": ("cvat", "images/a.jpg", {"annotations.xml": cvat("a.jpg")}),
    "CVAT, COCO 1.0": ("coco", "images/default/a.jpg", {"annotations/instances_default.json": coco("a.jpg")}),
    "CVAT, YOLO 1.1": ("yolo", "obj_train_data/a.jpg", {"obj.data": "classes = 1\ntrain = data/train.txt\nnames = data/obj.names\nbackup = backup/\n", "obj.names": "cell\n",
                                                        "train.txt": "data/obj_train_data/a.jpg\n", "obj_train_data/a.txt": YOLO}),
    "CVAT, PASCAL VOC 1.1": ("pascal_voc", "JPEGImages/default/a.jpg", {"Annotations/default/a.xml": voc("a.jpg"), "ImageSets/Main/default.txt": "a\n",
                                                                       "labelmap.txt": "# label:color_rgb:parts:actions\ncell:1,2,3::\n"}),
    "Label Studio, COCO": ("coco", "images/a.jpg", {"result.json": coco("images/a.jpg")}),
    "Label Studio, YOLO": ("yolo", "images/a.jpg", {"classes.txt": "cell\n", "notes.json": '{"categories": [{"id": 0, "name": "cell"}], "info": {}}', "labels/a.txt": YOLO}),
    "Label Studio, Pascal VOC": ("pascal_voc", "images/a.jpg", {"Annotations/a.xml": voc("a")}),
    "Roboflow, COCO": ("coco", "train/a.jpg", {"train/_annotations.coco.json": coco("a.jpg")}),
    "Roboflow, YOLO": ("yolo", "train/images/a.jpg", {"data.yaml": "train: ../train/images\nval: ../valid/images\nnc: 1\nnames: ['cell']\n\nroboflow:\n  workspace: x\n", "train/labels/a.txt": YOLO}),
    "Roboflow, Pascal VOC": ("pascal_voc", "train/a.jpg", {"train/a.xml": voc("a.jpg")}),
    "Roboflow, Tensorflow CSV": ("csv", "train/a.jpg", {"train/_annotations.csv": CSV}),
    "FiftyOne, COCODetectionDataset": ("coco", "data/a.jpg", {"labels.json": coco("a.jpg")}),
    "FiftyOne, YOLOv5Dataset": ("yolo", "images/val/a.jpg", {"dataset.yaml": "names:\n  0: cell\nnc: 1\npath: /home/me/set\nval: ./images/val/\n", "labels/val/a.txt": YOLO}),
    "FiftyOne, YOLOv4Dataset": ("yolo", "data/a.jpg", {"obj.names": "cell\n", "images.txt": "data/a.jpg\n", "data/a.txt": YOLO}),
    "FiftyOne, VOCDetectionDataset": ("pascal_voc", "data/a.jpg", {"labels/a.xml": voc("a.jpg")}),
    "FiftyOne, CVATImageDataset": ("cvat", "data/a.jpg", {"labels.xml": cvat("a.jpg")}),
}


@pytest.mark.parametrize("export", EXPORTS)
def test_exports_of_other_programs(owner, export):
    format, place, files = EXPORTS[export]
    done, lines = bring_in(owner, zip_of({place: picture(), **files}))
    assert (done["status"], done["format"], done["image_count"], done["annotation_count"]) == ("completed", format, 1, 1), (done, lines)


def test_the_page_names_what_is_tested():
    table = (ROOT / "docs" / "imports.md").read_text().partition("## From another program")[2].partition("\n## ")[0]
    told = {f"{program}, {export}" for program, exports in re.findall(r"^\| (CVAT|Label Studio|Roboflow|FiftyOne) \| ([^|]*) \|", table, re.M) for export in re.findall(r"`([^`]+)`", exports)}
    assert told == set(EXPORTS)


def test_labels_in_a_form_that_nobody_knows_are_told(owner):
    native = json.dumps([{"id": 1, "annotations": [{"result": [{"type": "rectanglelabels", "value": {"x": 8, "y": 13, "width": 33, "height": 41, "rectanglelabels": ["cell"]}}]}],
                          "data": {"image": "/data/upload/1/a.jpg"}}])
    done, lines = bring_in(owner, zip_of({"images/a.jpg": picture(), "project.json": native}))
    print(done, lines)
    assert any("project.json" in line["file"] for line in lines), lines
