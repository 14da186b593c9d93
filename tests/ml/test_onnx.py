"""The exported network: valid by the onnx package's checker, described by its metadata, and equal to the trainer's own forward pass when
ONNX Runtime runs it, at any batch size."""
import json
import re
import subprocess
import sys

import numpy as np
import onnx
import onnxruntime
import pytest
from PIL import Image

from tools import ROOT, run

HEADER = (ROOT / "src" / "worker" / "onnx_metadata.h").read_text()
KEYS = re.findall(r'#define ONNX_META_\w+ "(\w+)"', HEADER)


def export(folder, size, classes, height, width):
    run("src/train/onnx_tool", size, classes, height, width, folder)
    images = np.fromfile(folder / "images.u8", np.uint8).reshape(2, height, width, 3)
    anchors = sum((height // s) * (width // s) for s in (8, 16, 32))
    expected = np.fromfile(folder / "output.f32", np.float32).reshape(2, anchors, 5 + classes)
    return images.transpose(0, 3, 1, 2).astype(np.float32), expected


@pytest.mark.parametrize("size,classes,height,width", [("nano", 3, 128, 160), ("nano", 1, 416, 416), ("tiny", 80, 96, 64), ("s", 2, 64, 64),
                                                       ("m", 4, 64, 96)])
def test_export_equals_the_trainer(tmp_path, size, classes, height, width):
    images, expected = export(tmp_path, size, classes, height, width)
    onnx.checker.check_model(str(tmp_path / "model.onnx"), full_check=True)
    session = onnxruntime.InferenceSession(str(tmp_path / "model.onnx"), providers=["CPUExecutionProvider"])
    (found,) = session.run(["output"], {"images": images})
    # boxes relative to their size, the rest as it is
    scale = np.ones_like(expected)
    scale[..., :4] = np.maximum(1, np.repeat(np.maximum(*np.split(expected[..., 2:4], 2, -1)), 4, -1))
    worst = np.abs((found - expected) / scale).max()
    print(f"{size}: worst difference {worst:.1e}, scores {expected[..., 4:].min():.3f} to {expected[..., 4:].max():.3f}")
    assert worst < 1e-3
    assert np.ptp(expected[..., 4]) > 0.01 # the made-up network tells cells apart
    (alone,) = session.run(None, {"images": images[1:]})
    np.testing.assert_allclose(alone[0], found[1], rtol=1e-4, atol=1e-4)


def test_metadata_is_complete(tmp_path):
    export(tmp_path, "nano", 3, 96, 128)
    model = onnx.load(tmp_path / "model.onnx")
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    assert sorted(metadata) == sorted(KEYS)
    assert json.loads(metadata["class_names"]) == ['class "0" é', 'class "1" é', 'class "2" é']
    assert json.loads(metadata["image_size"]) == [96, 128]
    assert metadata["architecture"] == "yolox_nano" and metadata["output_layout"] == "yolox-decoded"
    assert (metadata["channel_order"], metadata["letterbox_value"], metadata["letterbox_anchor"]) == ("BGR", "114", "top-left")
    (value,), (result,) = model.graph.input, model.graph.output
    shape = [d.dim_param or d.dim_value for d in value.type.tensor_type.shape.dim]
    assert (value.name, shape) == ("images", ["batch", 3, 96, 128])
    assert (result.name, result.type.tensor_type.shape.dim[0].dim_param) == ("output", "batch")
    assert model.opset_import[0].version == 17


def test_the_program_of_the_documents_finds_what_the_server_finds(tmp_path):
    """docs/models.md shows how a model runs without us: here on a picture that needs no scaling, at a score that a few dozen boxes reach."""
    (program,) = re.findall(r"cat >detect.py <<'PY'\n(.*?)^PY$", (ROOT / "docs" / "models.md").read_text(), re.S | re.M)
    (tmp_path / "detect.py").write_text(program)
    pixels, expected = export(tmp_path, "nano", 3, 128, 160)
    Image.fromarray(pixels[0].transpose(1, 2, 0)[:120, :, ::-1].astype(np.uint8)).save(tmp_path / "a.jpg", quality=95)
    threshold = np.sort((expected[0, :, 4:5] * expected[0, :, 5:]).ravel())[-60]
    told = json.loads(run("src/vision/pictograph-vision", "detect", tmp_path / "model.onnx", tmp_path / "a.jpg", f"confidence_threshold={threshold}"))["detections"]
    done = subprocess.run([sys.executable, "detect.py", "model.onnx", "a.jpg", str(threshold)], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    found = [line.split("\t") for line in done.stdout.splitlines()]
    assert len(told) == len(found) > 5
    for ours, theirs in zip(told, found):
        assert ours["name"] == theirs[0]
        np.testing.assert_allclose([float(x) for x in theirs[1:]], [ours[key] for key in ("confidence", "x", "y", "w", "h")], atol=0.1)
