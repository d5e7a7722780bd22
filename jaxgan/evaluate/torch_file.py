"""Weights that torch saved, read without torch and without running what a pickle may ask for."""

import io
import math
import pickle
import struct
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np

from jaxgan.errors import Problem

MAGIC = 0x1950A86A20F9469CFC6C  # the first pickle of a file in the format before torch 1.6
STORAGES = {
    "FloatStorage": "<f4",
    "DoubleStorage": "<f8",
    "HalfStorage": "<f2",
    "LongStorage": "<i8",
    "IntStorage": "<i4",
    "ShortStorage": "<i2",
    "CharStorage": "<i1",
    "ByteStorage": "<u1",
    "BoolStorage": "?",
}


def read_tensors(path: Path) -> dict[str, np.ndarray]:
    """The tensors of a state dict by name, from a file of torch.save, in its format since torch 1.6 or the one before.

    Raises Problem if it is something else, or if its pickle asks for anything but tensors: that is then not run.
    """
    try:
        with path.open("rb") as file:
            zipped = file.read(4) == b"PK\3\4"
            file.seek(0)
            found, storages = _zipped(file) if zipped else _legacy(file)
        if not isinstance(found, dict):
            raise ValueError(f"it holds a {type(found).__name__}")
        return {_text(name): _array(tensor, storages) for name, tensor in found.items()}
    except _Refused as error:
        raise Problem(
            f"{path} asks for {error}, which no tensor needs; it was not run, and the file is refused"
        ) from error
    except FileNotFoundError as error:
        raise Problem(f"{path} is not there") from error
    except Exception as error:  # A damaged file makes the unpickler raise almost anything.
        raise Problem(f"{path} is not a state dict of torch: {str(error) or type(error).__name__}") from error


class _Refused(Exception):
    pass


class _Storage(NamedTuple):
    dtype: np.dtype
    key: str
    size: int


class _Tensor(NamedTuple):
    storage: _Storage
    offset: int
    size: tuple[int, ...]
    strides: tuple[int, ...]  # like the offset, in elements


class _Unpickler(pickle.Unpickler):
    """Makes records of tensors and storages, and no other object than Python's own containers of data."""

    def __init__(self, file: IO[bytes]) -> None:
        super().__init__(file)
        self.storages: dict[str, _Storage] = {}

    def find_class(self, module: str, name: str) -> Any:
        # Made anew for each pickle, which can set attributes of what it is given.
        known: dict[tuple[str, str], Callable[..., Any]] = {
            ("collections", "OrderedDict"): OrderedDict,
            ("torch._utils", "_rebuild_tensor_v2"): lambda storage, offset, size, strides, *_: _Tensor(
                storage, offset, size, strides
            ),
            ("torch._utils", "_rebuild_parameter"): lambda tensor, *_: tensor,
        }
        if module == "torch" and name in STORAGES:
            return STORAGES[name]
        if (module, name) not in known:
            raise _Refused(f"{module}.{name}")
        return known[module, name]

    def persistent_load(self, pid: Any) -> _Storage:
        kind, code, key, _, size, *view = pid
        # The type is text that the pickle may have made itself: one of Python objects would make bytes into addresses.
        if kind != "storage" or code not in STORAGES.values() or view not in ([], [None]):
            raise ValueError(f"it refers to a {kind} of type {code}")
        self.storages[key] = _Storage(np.dtype(code), key, size)
        return self.storages[key]


def _zipped(file: IO[bytes]) -> tuple[Any, dict[str, bytes]]:
    with zipfile.ZipFile(file) as archive:
        names = archive.namelist()
        folder = next((name for name in names if name.endswith("/data.pkl")), "").removesuffix("data.pkl")
        if f"{folder}byteorder" in names and archive.read(f"{folder}byteorder") != b"little":
            raise ValueError("its bytes are in big-endian order")
        unpickler = _Unpickler(io.BytesIO(archive.read(f"{folder}data.pkl")))
        found = unpickler.load()
        return found, {key: archive.read(f"{folder}data/{key}") for key in unpickler.storages}


def _legacy(file: IO[bytes]) -> tuple[Any, dict[str, bytes]]:
    if _Unpickler(file).load() != MAGIC:
        raise ValueError("it begins otherwise")
    _version, system = _Unpickler(file).load(), _Unpickler(file).load()
    if not system["little_endian"]:
        raise ValueError("its bytes are in big-endian order")
    unpickler = _Unpickler(file)
    found, storages = unpickler.load(), {}
    for key in _Unpickler(file).load():
        (size,) = struct.unpack("<q", file.read(8))
        storages[key] = file.read(size * unpickler.storages[key].dtype.itemsize)
    return found, storages


def _array(tensor: Any, storages: dict[str, bytes]) -> np.ndarray:
    if not isinstance(tensor, _Tensor):
        raise ValueError(f"it holds a {type(tensor).__name__} among the tensors")
    dtype, key, size = tensor.storage
    if math.prod(tensor.size) > size:
        raise ValueError("a tensor is larger than its storage")
    strides = [stride * dtype.itemsize for stride in tensor.strides]
    # Raises where these would reach beyond the bytes that there are.
    view = np.ndarray(tensor.size, dtype, storages[key], tensor.offset * dtype.itemsize, strides)
    return np.array(view, order="C")


def _text(name: Any) -> str:
    if not isinstance(name, str):
        raise ValueError(f"it holds a tensor named {name!r}")
    return name
