"""pictograph-vision as a process: tiny detectors made here run in it, hostile models are refused, prompts find drawn shapes."""
import io
import json
import os
import pathlib
import socket
import struct
import subprocess

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from PIL import Image, ImageDraw

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("PICTOGRAPH_BUILD", ROOT / "build" / "meson"))
SIZE = 64
METADATA = {
    "architecture": "tiny",
    "class_names": json.dumps(["cat", "hund", "Vögel"]),
    "image_size": json.dumps([SIZE, SIZE]),
    "channel_order": "BGR",
    "pixel_range": "[0, 255]",
    "letterbox_value": "114",
    "letterbox_anchor": "top-left",
    "output_layout": "yolox-decoded",
}


class Worker:
    """The program with its channel, as the server's supervisor starts it."""

    def __init__(self, program, *options):
        self.ours, theirs = socket.socketpair()
        self.ours.settimeout(60)
        self.process = subprocess.Popen(
            ["bash", "-c", f'exec "$0" "$@" 3<&{theirs.fileno()}', str(program), *options], pass_fds=[theirs.fileno()])
        theirs.close()

    def receive(self, size):
        """All of it: a socket with a timeout does not wait for that by itself."""
        data = b""
        while len(data) < size:
            part = self.ours.recv(size - len(data))
            assert part, "the worker is gone"
            data += part
        return data

    def ask(self, method, **params):
        text = json.dumps({"id": 1, "method": method, "params": params}).encode()
        self.ours.sendall(struct.pack("<I", len(text)) + text)
        while True:
            size, = struct.unpack("<I", self.receive(4))
            answer = json.loads(self.receive(size))
            if "progress" not in answer:
                return answer

    def result(self, method, **params):
        answer = self.ask(method, **params)
        assert "result" in answer, answer
        return answer["result"]

    def refusal(self, method, **params):
        answer = self.ask(method, **params)
        assert "error" in answer, answer
        return answer["error"]

    def close(self):
        self.ours.close()
        assert self.process.wait(20) == 0


@pytest.fixture(scope="module")
def vision():
    worker = Worker(BUILD / "src/vision/pictograph-vision")
    yield worker
    worker.close()


@pytest.fixture(scope="module")
def media(tmp_path_factory):
    worker = Worker(BUILD / "src/media/pictograph-media", "--write", tmp_path_factory.getbasetemp())
    yield worker
    worker.close()


def save_model(path, nodes, constants, outputs=8, metadata=METADATA, shape=("batch", 3, SIZE, SIZE)):
    """A detector of a few nodes between "images" and "output"."""
    graph = helper.make_graph(
        nodes, "tiny",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, ["batch", None, outputs])],
        [onnx.numpy_helper.from_array(value, name) for name, value in constants.items()])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    for key, value in metadata.items():
        model.metadata_props.add(key=key, value=value)
    onnx.checker.check_model(model)
    onnx.save(model, path)
    return str(path)


def constant_model(path, rows, **more):
    """Answers rows whatever it is shown; the picture takes part with weight zero."""
    nodes = [
        helper.make_node("ReduceMean", ["images"], ["mean"], axes=[1, 2, 3], keepdims=0),
        helper.make_node("Mul", ["mean", "zero"], ["nothing"]),
        helper.make_node("Add", ["rows", "nothing"], ["output"]),
    ]
    rows = np.array(rows, np.float32)[None]
    return save_model(path, nodes, {"rows": rows, "zero": np.zeros(1, np.float32)}, outputs=rows.shape[2], **more)


def colour_model(path):
    """One box at (B, G) with width and height R: the means of the input's planes, so the answer shows what the model was fed."""
    nodes = [
        helper.make_node("ReduceMean", ["images"], ["means"], axes=[2, 3], keepdims=0),
        helper.make_node("MatMul", ["means", "pick"], ["picked"]),
        helper.make_node("Add", ["picked", "sure"], ["row"]),
        helper.make_node("Unsqueeze", ["row", "axis"], ["output"]),
    ]
    pick = np.zeros((3, 8), np.float32)
    pick[0, 0] = pick[1, 1] = pick[2, 2] = pick[2, 3] = 0.1
    sure = np.array([0, 0, 0, 0, 1, 0.2, 0.9, 0.1], np.float32)
    return save_model(path, nodes, {"pick": pick, "sure": sure, "axis": np.array([1], np.int64)})


def save_jpeg(path, colour, size, **options):
    Image.new("RGB", size, colour).save(path, quality=98, subsampling=0, **options)
    return str(path)


def test_model_info_says_what_the_file_says(vision, tmp_path):
    model = colour_model(tmp_path / "m.onnx")
    assert vision.result("model_info", model_path=model) == {
        "class_names": ["cat", "hund", "Vögel"], "image_size": [SIZE, SIZE], "architecture": "tiny", "layout": "yolox-decoded"}


def test_the_model_is_fed_blue_green_red_from_0_to_255(vision, tmp_path):
    model = colour_model(tmp_path / "m.onnx")
    picture = save_jpeg(tmp_path / "a.jpg", (100, 200, 250), (SIZE, SIZE))
    answer = vision.result("detect", model_path=model, image_path=picture)
    (found,) = answer["detections"]
    assert found["class"] == 1 and found["name"] == "hund" and found["confidence"] == pytest.approx(0.9, abs=1e-6)
    assert found["x"] + found["w"] / 2 == pytest.approx(25, abs=0.3) and found["y"] + found["h"] / 2 == pytest.approx(20, abs=0.3)
    assert found["w"] == pytest.approx(10, abs=0.3)
    assert answer["engine"].startswith("onnxruntime 1.") and answer["seconds"] > 0 and answer["width"] == SIZE


def test_the_frame_is_filled_with_114_at_the_bottom_and_boxes_are_scaled_back(vision, tmp_path):
    model = colour_model(tmp_path / "m.onnx")
    picture = save_jpeg(tmp_path / "wide.jpg", (100, 200, 250), (4 * SIZE, 2 * SIZE))
    (found,) = vision.result("detect", model_path=model, image_path=picture)["detections"]
    scale = 1 / 4
    assert found["x"] + found["w"] / 2 == pytest.approx((250 + 114) / 2 * 0.1 / scale, abs=0.6)
    assert found["w"] == pytest.approx((100 + 114) / 2 * 0.1 / scale, abs=0.6)


def test_exif_rotation_comes_first(vision, tmp_path):
    """Wide in the file, tall when upright: then the right half of the frame is grey."""
    rows = [[32, 32, 10, 10, 1, 1, 0, 0]]
    model = constant_model(tmp_path / "m.onnx", rows)
    exif = Image.Exif()
    exif[0x0112] = 6
    picture = save_jpeg(tmp_path / "turned.jpg", (9, 9, 9), (400, 200), exif=exif)
    answer = vision.result("detect", model_path=model, image_path=picture)
    assert (answer["width"], answer["height"]) == (200, 400)
    (found,) = answer["detections"]
    assert found["x"] == pytest.approx(27 * 400 / 64) and found["y"] == pytest.approx(27 * 400 / 64)


def test_suppression_threshold_clipping_and_limits(vision, tmp_path):
    nan = float("nan")
    rows = [
        [20, 20, 10, 10, 1.0, 0.9, 0, 0],
        [21, 20, 10, 10, 1.0, 0.8, 0, 0],   # overlaps the first, same class: goes
        [21, 20, 10, 10, 1.0, 0, 0.7, 0],   # overlaps, other class: stays
        [26, 20, 10, 10, 1.0, 0.6, 0, 0],   # overlaps too little: stays
        [62, 62, 20, 20, 0.9, 0, 0, 0.9],   # over the edge: clipped
        [200, 200, 5, 5, 1, 1, 0, 0],       # outside: goes
        [40, 40, 5, 5, 0.5, 0.5, 0, 0],     # 0.25: below the threshold
        [nan, 40, 5, 5, 1, 1, 0, 0],
        [40, 40, 5, 5, nan, 1, 0, 0],
    ]
    model = constant_model(tmp_path / "m.onnx", rows)
    picture = save_jpeg(tmp_path / "a.jpg", (9, 9, 9), (SIZE, SIZE))
    found = vision.result("detect", model_path=model, image_path=picture, confidence_threshold=0.5)["detections"]
    assert [(d["class"], round(d["confidence"], 3)) for d in found] == [(0, 0.9), (2, 0.81), (1, 0.7), (0, 0.6)]
    assert found[1]["x"] == 52 and found[1]["w"] == 12 and found[1]["h"] == 12
    assert len(vision.result("detect", model_path=model, image_path=picture, confidence_threshold=0.2)["detections"]) == 5
    assert len(vision.result("detect", model_path=model, image_path=picture, max_detections=2)["detections"]) == 2
    assert vision.refusal("detect", model_path=model, image_path=picture, nms_threshold=7)["code"] == "validation_error"


def test_the_same_answers_as_onnxruntime_in_python(vision, media, tmp_path):
    """A random convolution as detector: fed by hand in numpy, the numbers agree."""
    import onnxruntime
    rng = np.random.default_rng(5)
    weights = rng.normal(0, 0.001, (8, 3, 8, 8)).astype(np.float32)
    nodes = [
        helper.make_node("Conv", ["images", "weights"], ["maps"], strides=[8, 8]),
        helper.make_node("Reshape", ["maps", "flat"], ["columns"]),
        helper.make_node("Transpose", ["columns"], ["rows"], perm=[0, 2, 1]),
        helper.make_node("Sigmoid", ["rows"], ["squashed"]),
        helper.make_node("Mul", ["squashed", "scale"], ["output"]),
    ]
    scale = np.array([64, 64, 20, 20, 1, 1, 1, 1], np.float32)
    model = save_model(tmp_path / "m.onnx", nodes, {"weights": weights, "flat": np.array([0, 8, -1], np.int64), "scale": scale})
    pixels = rng.integers(0, 255, (SIZE, SIZE, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    raw = str(tmp_path / "a.pixels")
    media.result("decode", path=str(tmp_path / "a.png"), output=raw)
    found = vision.result("detect", model_path=model, pixels_path=raw, confidence_threshold=0.0, nms_threshold=1.0)["detections"]
    session = onnxruntime.InferenceSession(model)
    rows = session.run(None, {"images": pixels[:, :, ::-1].transpose(2, 0, 1)[None].astype(np.float32)})[0][0]
    scores = rows[:, 4] * rows[:, 5:].max(1)
    assert len(found) == 64
    np.testing.assert_allclose([d["confidence"] for d in found], np.sort(scores)[::-1], atol=1e-6)


@pytest.mark.parametrize("change, words", [
    ({"output_layout": "yolo-v99"}, "yolo-v99"),
    ({"output_layout": None}, "output layout"),
    ({"class_names": "cat"}, "class_names"),
    ({"class_names": "[]"}, "0 classes"),
    ({"class_names": json.dumps(["a", "b"])}, "shapes"),
    ({"class_names": None}, "class_names"),
    ({"image_size": "[0, 64]"}, "image_size"),
    ({"image_size": "[128, 128]"}, "shapes"),
    ({"channel_order": "RGB"}, "channel_order"),
    ({"letterbox_anchor": "centre"}, "letterbox_anchor"),
])
def test_unknown_layouts_are_refused_by_name(vision, tmp_path, change, words):
    metadata = {key: value for key, value in {**METADATA, **change}.items() if value is not None}
    model = constant_model(tmp_path / "m.onnx", [[1, 1, 1, 1, 1, 1, 1, 1]], metadata=metadata)
    error = vision.refusal("model_info", model_path=model)
    assert error["code"] == "model_unavailable" and words in error["message"]


def test_what_is_no_model_is_refused(vision, tmp_path):
    rubbish = tmp_path / "rubbish.onnx"
    for content in (b"", b"\x00" * 100, b"not a model at all", os.urandom(5000)):
        rubbish.write_bytes(content)
        error = vision.refusal("model_info", model_path=str(rubbish))
        assert error["code"] == "model_unavailable" and str(tmp_path) not in error["message"]
    assert vision.refusal("model_info", model_path=str(tmp_path / "missing.onnx"))["code"] == "model_unavailable"
    assert vision.refusal("model_info")["code"] == "validation_error"


def test_a_replaced_model_file_is_read_anew_and_four_stay_loaded(vision, tmp_path):
    picture = save_jpeg(tmp_path / "a.jpg", (9, 9, 9), (SIZE, SIZE))
    for i in range(6):
        model = constant_model(tmp_path / f"{i}.onnx", [[20, 20, 10, 10, 1, 0.9, 0, 0]] * (i + 1))
        vision.result("detect", model_path=model, image_path=picture)
    assert vision.result("status")["models_loaded"] == 4
    model = constant_model(tmp_path / "5.onnx", [[30, 20, 10, 10, 1, 0, 0, 0.8]])
    (found,) = vision.result("detect", model_path=model, image_path=picture)["detections"]
    assert found["class"] == 2


def test_pictures_that_are_not_for_this_worker(vision, tmp_path):
    model = colour_model(tmp_path / "m.onnx")
    Image.new("RGB", (30, 30)).save(tmp_path / "a.png")
    Image.new("CMYK", (30, 30)).save(tmp_path / "inks.jpg")
    for name in ("a.png", "inks.jpg"):
        assert vision.refusal("detect", model_path=model, image_path=str(tmp_path / name))["code"] == "unsupported_media_type"
    whole = io.BytesIO()
    Image.effect_noise((200, 200), 80).convert("RGB").save(whole, "JPEG")
    (tmp_path / "cut.jpg").write_bytes(whole.getvalue()[:len(whole.getvalue()) // 2])
    assert vision.refusal("detect", model_path=model, image_path=str(tmp_path / "cut.jpg"))["code"] == "undecodable_media"
    (tmp_path / "short.pixels").write_bytes(b"PGPIXEL1" + struct.pack("<II", 100, 100) + b"x" * 50)
    assert vision.refusal("detect", model_path=model, pixels_path=str(tmp_path / "short.pixels"))["code"] == "undecodable_media"
    (tmp_path / "vast.pixels").write_bytes(b"PGPIXEL1" + struct.pack("<II", 60000, 60000))
    assert vision.refusal("detect", model_path=model, pixels_path=str(tmp_path / "vast.pixels"))["code"] == "payload_too_large"


def ring_picture(path):
    image = Image.new("RGB", (640, 480), (70, 110, 80))
    draw = ImageDraw.Draw(image)
    draw.ellipse((200, 120, 400, 320), fill=(200, 80, 60))
    draw.ellipse((260, 180, 340, 260), fill=(70, 110, 80))
    noise = np.random.default_rng(1).normal(0, 8, (480, 640, 3))
    Image.fromarray(np.clip(np.asarray(image) + noise, 0, 255).astype(np.uint8)).save(path, quality=92)
    return str(path)


def test_prompts_find_a_ring_with_its_hole_and_the_second_is_fast(vision, tmp_path, capsys):
    picture = ring_picture(tmp_path / "ring.jpg")
    first = vision.result("segment_point", image_key="ring", image_path=picture, points=[{"x": 230, "y": 220, "label": 1}])
    os.unlink(picture)  # the key is enough from now on
    second = vision.result("segment_point", image_key="ring", image_path=picture, points=[{"x": 370, "y": 220, "label": 1}])
    box = vision.result("segment_box", image_key="ring", image_path=picture, box={"x": 190, "y": 110, "w": 220, "h": 220})
    assert not first["cached"] and second["cached"] and box["cached"]
    truth = np.pi * (100.5 ** 2 - 40.5 ** 2)  # Pillow draws both ends
    for answer in (first, second, box):
        assert answer["found"] and answer["engine"] == "graph_cut" and 0.75 < answer["score"] <= 1
        (polygon,) = answer["polygons"]
        assert len(polygon) == 2
        assert answer["area"] == pytest.approx(truth, rel=0.02)
        assert answer["bbox"]["x"] == pytest.approx(200, abs=2) and answer["bbox"]["w"] == pytest.approx(201, abs=3)
        x, y = answer["inside_point"]
        assert 38 < np.hypot(x - 300, y - 220) < 102
    with capsys.disabled():
        print(f"\nfirst prompt {first['seconds'] * 1e3:.1f} ms, second {second['seconds'] * 1e3:.1f} ms, box {box['seconds'] * 1e3:.1f} ms")


def test_a_negative_click_takes_its_part_away(vision, tmp_path):
    image = Image.new("RGB", (400, 300), (60, 60, 60))
    draw = ImageDraw.Draw(image)
    draw.rectangle((80, 100, 200, 200), fill=(200, 60, 60))
    draw.rectangle((200, 100, 320, 200), fill=(200, 120, 60))
    image.save(tmp_path / "two.jpg", quality=95)
    both = [{"x": 120, "y": 150, "label": 1}, {"x": 280, "y": 150, "label": 1}]
    one = [{"x": 120, "y": 150, "label": 1}, {"x": 280, "y": 150, "label": 0}]
    whole = vision.result("segment_point", image_key="two", image_path=str(tmp_path / "two.jpg"), points=both)
    part = vision.result("segment_point", image_key="two", image_path=str(tmp_path / "two.jpg"), points=one)
    assert whole["area"] == pytest.approx(240 * 100, rel=0.04)
    assert part["area"] == pytest.approx(120 * 100, rel=0.04)


def test_a_flat_picture_has_nothing_and_a_threshold_is_kept(vision, tmp_path):
    flat = save_jpeg(tmp_path / "flat.jpg", (120, 120, 120), (320, 240))
    answer = vision.result("segment_point", image_key="flat", image_path=flat, points=[{"x": 10, "y": 10}])
    assert answer["found"] is False and "polygons" not in answer
    picture = ring_picture(tmp_path / "ring2.jpg")
    answer = vision.result("segment_point", image_key="ring2", image_path=picture, points=[{"x": 230, "y": 220}], threshold=1)
    assert answer["found"] is False and answer["score"] > 0.5


@pytest.mark.parametrize("method, params", [
    ("segment_point", {"points": []}),
    ("segment_point", {"points": [{"x": 1, "y": 1, "label": 0}]}),
    ("segment_point", {"points": [{"x": 1}]}),
    ("segment_point", {"points": "x"}),
    ("segment_box", {}),
    ("segment_box", {"box": {"x": 0, "y": 0, "w": 0, "h": 5}}),
    ("segment_box", {"box": {"x": 0, "y": 0, "w": 5}}),
])
def test_wrong_prompts_are_named(vision, tmp_path, method, params):
    picture = save_jpeg(tmp_path / "a.jpg", (1, 2, 3), (40, 30))
    assert vision.refusal(method, image_path=picture, **params)["code"] == "validation_error"


@pytest.mark.parametrize("prompt", [
    ("segment_box", {"box": {"x": -1e9, "y": -1e9, "w": 3e9, "h": 3e9}}),
    ("segment_box", {"box": {"x": 100, "y": 100, "w": 5, "h": 5}}),
    ("segment_box", {"box": {"x": 0.2, "y": 0.2, "w": 0.1, "h": 0.1}}),
    ("segment_point", {"points": [{"x": 1e12, "y": -1e12}]}),
])
@pytest.mark.parametrize("size", [(1, 1), (1, 200), (200, 1), (7, 5)])
def test_odd_prompts_on_odd_pictures_do_no_harm(vision, tmp_path, prompt, size):
    picture = tmp_path / "odd.jpg"
    Image.effect_noise(size, 90).convert("RGB").save(picture)
    method, params = prompt
    answer = vision.result(method, image_key=f"odd{size}", image_path=str(picture), **params)
    assert isinstance(answer["found"], bool)


def test_without_the_runtime_prompts_still_work(tmp_path):
    env = {**os.environ, "PICTOGRAPH_ONNXRUNTIME": "/nonexistent/libonnxruntime.so"}
    program = BUILD / "src/vision/pictograph-vision"
    status = json.loads(subprocess.run([program, "status"], env=env, capture_output=True, check=True).stdout)
    assert status["engines"] == {"point": "graph_cut", "box": "graph_cut", "text": None, "batch": None}
    assert status["runtime"]["available"] is False and "ONNX Runtime" in status["runtime"]["reason"]
    done = subprocess.run([program, "detect", "m.onnx", "a.jpg"], env=env, capture_output=True, text=True)
    assert done.returncode == 1 and "model_unavailable" in done.stderr


def test_negative_boxes_are_left_out(vision, tmp_path):
    image = Image.new("RGB", (400, 300), (60, 60, 60))
    ImageDraw.Draw(image).rectangle((80, 100, 319, 199), fill=(200, 60, 60))
    image.save(tmp_path / "bar.jpg", quality=95)
    ask = {"image_key": "bar", "image_path": str(tmp_path / "bar.jpg"), "box": {"x": 70, "y": 90, "w": 260, "h": 120}}
    assert vision.result("segment_box", **ask)["area"] == pytest.approx(240 * 100, rel=0.03)
    answer = vision.result("segment_box", **ask, negative_boxes=[{"x": 200, "y": 80, "w": 150, "h": 150}])
    assert answer["bbox"]["x"] + answer["bbox"]["w"] == pytest.approx(200, abs=1.5)
    assert vision.refusal("segment_box", **ask, negative_boxes=[{"x": 1}])["code"] == "validation_error"
