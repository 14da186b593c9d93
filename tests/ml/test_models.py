"""The built-in models: what tools/models writes equals the reference implementation number by number, and its reader runs nothing that a
hostile file of weights asks for."""
import collections
import json
import pathlib
import pickle
import sys

import numpy as np
import onnx
import onnxruntime
import pytest

from tools import ROOT

sys.path.insert(0, str(ROOT / "tools" / "models"))
import efficientnet_lite0  # noqa: E402
import pth  # noqa: E402

MODEL = ROOT / "build" / "deps" / "models" / "efficientnet_lite0.onnx"


def picture():
    """A picture by formula, so that the golden file needs none: waves of a different direction in each channel, and a bright disc."""
    y, x = np.mgrid[0:224, 0:224].astype(np.float64)
    waves = np.stack([127 + 100 * np.sin(x / 9), 127 + 100 * np.sin((x + y) / 15), 127 + 100 * np.cos(y / 7)])
    waves[:, (x - 130) ** 2 + (y - 90) ** 2 < 50**2] += 60
    return np.clip(np.floor(waves), 0, 255).astype(np.float32)[None]


def test_equals_the_reference():
    """tests/data/efficientnet_lite0_golden.json: features and logits of the PyPI package efficientnet-lite-pytorch 0.1.0 (PyTorch 2.13), fed
    with (picture - 127) / 128."""
    golden = json.loads((ROOT / "tests" / "data" / "efficientnet_lite0_golden.json").read_text())
    onnx.checker.check_model(str(MODEL), full_check=True)
    session = onnxruntime.InferenceSession(str(MODEL), providers=["CPUExecutionProvider"])
    (found,) = session.run(["output"], {"images": picture()})
    worst = np.abs(found[0, :1280] - golden["features"]).max(), np.abs(found[0, 1280:] - golden["logits"]).max()
    print(f"worst differences: features {worst[0]:.1e}, logits {worst[1]:.1e}")
    assert max(worst) < 1e-4 and np.ptp(golden["logits"]) > 5
    (two,) = session.run(None, {"images": np.repeat(picture(), 2, 0)})
    np.testing.assert_allclose(two[1], found[0], rtol=1e-4, atol=1e-4)


def test_metadata_says_how_it_is_fed():
    metadata = {entry.key: entry.value for entry in onnx.load(MODEL).metadata_props}
    assert metadata == efficientnet_lite0.METADATA


# The old layout, as PyTorch before 1.6 wrote it.
def weights_file(path, state, storages, keys=None):
    class Writer(pickle.Pickler):
        def persistent_id(self, value):
            return value.identity if isinstance(value, Reference) else None

    with open(path, "wb") as file:
        for value in (pth.MAGIC, 1001, {"protocol_version": 1001, "little_endian": True, "type_sizes": {}}):
            pickle.dump(value, file, 2)
        Writer(file, 2).dump(state)
        pickle.dump(keys or sorted(storages), file, 2)
        for key in keys or sorted(storages):
            file.write(np.int64(len(storages[key])).tobytes() + storages[key].tobytes())


class Reference:
    def __init__(self, *identity):
        self.identity = identity


class Global:
    """Pickles as a call of a global name with arguments."""

    def __init__(self, module, name, *arguments):
        self.module, self.name, self.arguments = module, name, arguments

    def __reduce__(self):
        function = type(self.name, (), {"__module__": self.module, "__qualname__": self.name})
        module = sys.modules.setdefault(self.module, type(sys)(self.module))
        setattr(module, self.name, function)
        return function, self.arguments


@pytest.fixture
def torch_names():
    """Stand-ins for the names in a file of weights, so that the test needs no PyTorch."""
    before = {name: sys.modules.get(name) for name in ("torch", "torch._utils")}
    for name in before:
        sys.modules[name] = type(sys)(name)
    sys.modules["torch"].FloatStorage = type("FloatStorage", (), {"__module__": "torch", "__qualname__": "FloatStorage"})
    yield sys.modules["torch"].FloatStorage
    for name, module in before.items():
        sys.modules.pop(name, None)
        if module is not None:
            sys.modules[name] = module


def tensor(storage, offset, shape, strides, count=6):
    return Global("torch._utils", "_rebuild_tensor_v2", Reference("storage", storage, "k", "cpu", count, None), offset, shape, strides, False, None)


def test_reads_strided_tensors(tmp_path, torch_names):
    state = collections.OrderedDict(plain=tensor(torch_names, 0, (2, 3), (3, 1)), turned=tensor(torch_names, 0, (3, 2), (1, 3)), tail=tensor(torch_names, 4, (2,), (1,)))
    weights_file(tmp_path / "w.pth", state, {"k": np.arange(6, dtype="<f4")})
    found = pth.read(tmp_path / "w.pth")
    np.testing.assert_array_equal(found["plain"], np.arange(6).reshape(2, 3))
    np.testing.assert_array_equal(found["turned"], np.arange(6).reshape(2, 3).T)
    np.testing.assert_array_equal(found["tail"], [4, 5])


@pytest.mark.parametrize("offset,shape,strides", [(1, (2, 3), (3, 1)), (0, (2, 3), (1000000, 1)), (5, (2,), (-1,)), (-1, (1,), (1,)), (0, (0,), (1,))])
def test_refuses_tensors_outside_their_storage(tmp_path, torch_names, offset, shape, strides):
    weights_file(tmp_path / "w.pth", collections.OrderedDict(t=tensor(torch_names, offset, shape, strides)), {"k": np.arange(6, dtype="<f4")})
    with pytest.raises(ValueError, match="beyond its storage"):
        pth.read(tmp_path / "w.pth")


def test_refuses_a_storage_of_another_length(tmp_path, torch_names):
    weights_file(tmp_path / "w.pth", collections.OrderedDict(t=tensor(torch_names, 0, (1,), (1,), 7)), {"k": np.arange(6, dtype="<f4")})
    with pytest.raises(ValueError, match="6 numbers instead of 7"):
        pth.read(tmp_path / "w.pth")


def test_runs_nothing(tmp_path):
    trap = tmp_path / "trap"
    trap.write_bytes(b"\x80\x02cos\nsystem\nX\x04\x00\x00\x00trueq\x00\x85R.")
    with pytest.raises(pickle.UnpicklingError, match="(os|posix).system has no place"):
        pth.read(trap)
    trap.write_bytes(pickle.dumps(1, 2))
    with pytest.raises(ValueError, match="not in PyTorch's old layout"):
        pth.read(pathlib.Path(trap))
