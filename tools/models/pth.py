"""Reads the tensors of a PyTorch file of the old layout (before 1.6: pickles and raw storages one after the other) without PyTorch.

The layout: pickles of a magic number, the protocol's version, facts about the machine that wrote it, the state dictionary, and the keys of
the storages in their order; then for each storage its length as int64 and its numbers. A pickle can run code when it is read, so the only
names that are let through are those that a dictionary of plain tensors needs; each stands for a function of this file.
"""
import collections
import pickle

import numpy as np

MAGIC = 0x1950A86A20F9469CFC6C
DTYPES = {"FloatStorage": np.float32, "LongStorage": np.int64, "IntStorage": np.int32, "HalfStorage": np.float16, "DoubleStorage": np.float64}


class Storage:
    def __init__(self, dtype, count):
        self.dtype, self.count, self.numbers = np.dtype(dtype).newbyteorder("<"), count, None


class Tensor:
    """A view of a storage whose numbers are read later."""

    def __init__(self, storage, offset, shape, strides, *_):
        self.storage, self.offset, self.shape, self.strides = storage, offset, shape, strides

    def array(self):
        last = self.offset + sum((n - 1) * s for n, s in zip(self.shape, self.strides))
        if min(self.shape, default=1) < 1 or min(self.strides, default=0) < 0 or self.offset < 0 or last >= self.storage.count:
            raise ValueError("a tensor reaches beyond its storage")
        steps = tuple(s * self.storage.dtype.itemsize for s in self.strides)
        view = np.lib.stride_tricks.as_strided(self.storage.numbers[self.offset:], self.shape, steps)
        return np.array(view, dtype=self.storage.dtype.newbyteorder("="))


class Reader(pickle.Unpickler):
    def __init__(self, file):
        super().__init__(file)
        self.storages = {}

    def find_class(self, module, name):
        if (module, name) == ("collections", "OrderedDict"):
            return collections.OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return Tensor
        if module == "torch" and name in DTYPES:
            return DTYPES[name]
        raise pickle.UnpicklingError(f"{module}.{name} has no place in a file of weights")

    def persistent_load(self, identity):
        kind, dtype, key, _device, count = identity[:5]
        if kind != "storage" or (len(identity) > 5 and identity[5] is not None):
            raise pickle.UnpicklingError(f"unknown reference {kind!r}")
        return self.storages.setdefault(key, Storage(dtype, count))


def read(path):
    """The tensors of a file as {name: NumPy array}."""
    with open(path, "rb") as file:
        if Reader(file).load() != MAGIC:
            raise ValueError(f"{path}: not in PyTorch's old layout")
        Reader(file).load()
        if not Reader(file).load()["little_endian"]:
            raise ValueError(f"{path}: written on a machine of the other byte order")
        reader = Reader(file)
        state = reader.load()
        for key in Reader(file).load():
            storage = reader.storages[key]
            count = int(np.frombuffer(file.read(8), "<i8")[0])
            if count != storage.count:
                raise ValueError(f"{path}: storage {key} has {count} numbers instead of {storage.count}")
            storage.numbers = np.frombuffer(file.read(count * storage.dtype.itemsize), storage.dtype)
    return {name: tensor.array() for name, tensor in state.items()}
