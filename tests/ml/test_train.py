"""pictograph-train itself, on a few drawn scenes: its events and files, equal runs, going on after SIGKILL, and what it refuses."""
import json
import signal
import subprocess

import onnxruntime
import pytest
from PIL import Image, ImageDraw

from tools import BUILD

PROGRAM = BUILD / "src" / "train" / "pictograph-train"
SIDE = 96
COLOURS = {"disc": "red", "bar": "blue"}


def draw_scene(number):
    """A disc and a bar on grey, and their boxes."""
    image = Image.new("RGB", (SIDE, SIDE), (120, 120, 120))
    pen, x, y = ImageDraw.Draw(image), 4 + 5 * number % 50, 6 + 7 * number % 40
    boxes = {"disc": (x, y, 24, 24), "bar": (90 - x - 30, 88 - y - 12, 30, 12)}
    pen.ellipse((x, y, x + 23, y + 23), fill=COLOURS["disc"])
    pen.rectangle((90 - x - 30, 88 - y - 12, 89 - x, 87 - y), fill=COLOURS["bar"])
    return image, boxes


def draw_export(folder, scenes):
    for name in ("images", "annotations"):
        (folder / name).mkdir(parents=True)
    classes = [{"name": name, "type": "bbox"} for name in COLOURS]
    (folder / "dataset.json").write_text(json.dumps({"format": "pictograph", "version": 1, "name": "drawn", "classes": classes}))
    for i in range(scenes):
        image, boxes = draw_scene(i)
        image.save(folder / "images" / f"{i}.png")
        annotations = [{"id": str(k), "name": name, "type": "bbox", "bounding_box": dict(zip("xywh", box))} for k, (name, box) in enumerate(boxes.items())]
        document = {"filename": f"{i}.png", "width": SIDE, "height": SIDE, "annotations": annotations}
        (folder / "annotations" / f"{i}.png.json").write_text(json.dumps(document))
    return folder


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return draw_export(tmp_path_factory.mktemp("scenes") / "export", 12)


def run_file(folder, data, name="out", **config):
    """RUN.json of a quick run."""
    folder.mkdir(exist_ok=True)
    path = folder / f"{name}.json"
    path.write_text(json.dumps({"pipeline": "yolox", "data": str(data), "output": str(folder / name), "seed": 3,
                                "config": {"epochs": 2, "image_size": 64, "batch_size": 4, "model_size": "nano", "precision": "float32", **config}}))
    return path


def start(path):
    return subprocess.Popen([PROGRAM, path], stdout=subprocess.PIPE, text=True)


def train(path, status=0):
    """The events of a run that ends by itself."""
    process = start(path)
    lines = process.communicate(timeout=300)[0].splitlines()
    assert process.returncode == status, lines[-1]
    return [json.loads(line) for line in lines]


def named(events, name):
    return [event for event in events if event["event"] == name]


def refusal(path):
    *_, last = train(path, status=1)
    assert last["event"] == "failed"
    return last["code"], last["message"]


def test_run_writes_events_and_a_model(tmp_path, data):
    events = train(run_file(tmp_path, data, validation_fraction=0.3))
    assert [event["event"] for event in events][:2] == ["loading", "start"] and events[-1]["event"] == "done"
    begun, done, epochs = named(events, "start")[0], events[-1], named(events, "epoch")
    assert begun["class_names"] == done["class_names"] == list(COLOURS)
    assert begun["images"] + begun["validation_images"] == 12 and begun["validation_images"] > 0
    assert [event["epoch"] for event in epochs] == [1, 2] and epochs[-1]["eta_seconds"] == 0
    assert all(event["loss"]["total"] > 0 and event["images_per_second"] > 0 for event in epochs)
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert metrics == done["metrics"] and 0 <= metrics["map50"] <= 1
    assert metrics["device"] == begun["device"]  # what tells whether a run had the GPU
    session = onnxruntime.InferenceSession(str(tmp_path / "out" / done["model"]), providers=["CPUExecutionProvider"])
    assert json.loads(session.get_modelmeta().custom_metadata_map["image_size"]) == [64, 64]


def test_killed_run_goes_on_and_ends_as_if_nothing_had_happened(tmp_path, data):
    whole, killed = run_file(tmp_path, data, "whole", epochs=14, start_size=32), run_file(tmp_path, data, "killed", epochs=14, start_size=32)
    first = named(train(whole), "start")[0]
    assert (first["epoch"], first["start_size"], first["image_size"]) == (0, 32, 64)
    process = start(killed)
    for line in process.stdout:
        event = json.loads(line)
        if event["event"] == "epoch" and event["epoch"] == 4:  # within the small inputs
            process.send_signal(signal.SIGKILL)
            break
    process.stdout.close()
    process.wait(timeout=120)
    events = train(killed)
    resumed = named(events, "start")[0]["epoch"]
    assert 4 <= resumed < 14
    assert [event["epoch"] for event in named(events, "epoch")] == list(range(resumed + 1, 15))
    assert (tmp_path / "killed" / "model.onnx").read_bytes() == (tmp_path / "whole" / "model.onnx").read_bytes()


def test_run_that_may_not_take_long_ends_with_its_low_rate(tmp_path, data):
    path = run_file(tmp_path, data, epochs=5000)
    path.write_text(json.dumps({**json.loads(path.read_text()), "max_seconds": 10}))
    events = train(path)
    epochs = [e for e in events if e["event"] == "epoch"]
    assert epochs[0]["epochs"] < 5000 and epochs[-1]["epoch"] == epochs[-1]["epochs"]
    assert epochs[-1]["learning_rate"] == pytest.approx(0.05 * max(e["learning_rate"] for e in epochs), rel=0.5)
    assert "as the run may take 10 s" in next(e for e in events if e["event"] == "warning")["message"]


def test_sigterm_stops(tmp_path, data):
    process = start(run_file(tmp_path, data, epochs=1000))
    for line in process.stdout:
        if json.loads(line)["event"] == "epoch":
            process.terminate()
            break
    process.stdout.close()  # what it says from here on has no reader
    assert process.wait(timeout=120) == 3


@pytest.mark.parametrize("member,value", [("epochs", 0), ("epochs", 2.5), ("image_size", "big"), ("start_size", 8), ("learning_rate", -1),
                                          ("model_size", "huge"), ("precision", "float16"), ("mosaic", 2)])
def test_bad_member_is_named(tmp_path, data, member, value):
    code, message = refusal(run_file(tmp_path, data, **{member: value}))
    assert code == "validation_error" and f"config.{member}" in message


def test_run_file_that_is_none(tmp_path):
    path = tmp_path / "run.json"
    for text in ("{", "[]", '{"data": 5}', '{"data": "x", "output": "y", "pipeline": "other"}'):
        path.write_text(text)
        assert str(path) in refusal(path)[1]


def test_four_images_are_too_few(tmp_path):
    code, message = refusal(run_file(tmp_path, draw_export(tmp_path / "export", 4)))
    assert code == "dataset_too_small" and "5" in message and "4" in message
