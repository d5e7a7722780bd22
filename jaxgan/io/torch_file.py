"""Reads weights saved by torch without torch, and without executing code from the pickle."""

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

from jaxgan.errors import UserError

MAGIC = 0x1950A86A20F9469CFC6C  # the first pickle of a file in the format before torch 1.6
STORAGE_DTYPES = {
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
    """Returns the tensors of a state dict by name, from a file written by torch.save before or since torch 1.6.

    Raises UserError if the file is missing, damaged or not a state dict, or if its pickle refers to anything but
    tensors. No code that the pickle refers to is executed.
    """
    try:
        with path.open("rb") as file:
            zipped = file.read(4) == b"PK\3\4"
            file.seek(0)
            state_dict, storages = _read_zip(file) if zipped else _read_legacy(file)
        if not isinstance(state_dict, dict):
            raise ValueError(f"it holds an object of type {type(state_dict).__name__} instead of a dict")
        return {_checked_name(name): _array(tensor, storages) for name, tensor in state_dict.items()}
    except _ForbiddenReference as error:
        raise UserError(
            f"{path} refers to {error}, which a state dict never needs; it was not executed: use a file of tensors only"
        ) from error
    except FileNotFoundError as error:
        raise UserError(f"{path} does not exist") from error
    except Exception as error:  # A damaged file makes the unpickler raise almost anything.
        raise UserError(f"{path} is not a state dict saved by torch: {str(error) or type(error).__name__}") from error


class _ForbiddenReference(Exception):
    """The pickle refers to a class or function that tensors do not need. The message is its name."""


class _Storage(NamedTuple):
    dtype: np.dtype
    key: str
    size: int  # in elements


class _Tensor(NamedTuple):
    storage: _Storage
    offset: int  # in elements
    size: tuple[int, ...]
    strides: tuple[int, ...]  # in elements


class _Unpickler(pickle.Unpickler):
    """Creates descriptions of tensors and storages, and otherwise only Python's built-in containers."""

    def __init__(self, file: IO[bytes]) -> None:
        super().__init__(file)
        self.storages: dict[str, _Storage] = {}

    def find_class(self, module: str, name: str) -> Any:
        # A fresh dict with fresh functions at each call, because a pickle can set attributes of what it is given.
        known: dict[tuple[str, str], Callable[..., Any]] = {
            ("collections", "OrderedDict"): OrderedDict,
            ("torch._utils", "_rebuild_tensor_v2"): lambda storage, offset, size, strides, *_: _Tensor(
                storage, offset, size, strides
            ),
            ("torch._utils", "_rebuild_parameter"): lambda tensor, *_: tensor,
        }
        if module == "torch" and name in STORAGE_DTYPES:
            return STORAGE_DTYPES[name]
        if (module, name) not in known:
            raise _ForbiddenReference(f"{module}.{name}")
        return known[module, name]

    def persistent_load(self, pid: Any) -> _Storage:
        kind, dtype, key, _, size, *view = pid
        # The pickle can supply any text as the dtype. That of Python objects would turn bytes into addresses.
        if kind != "storage" or dtype not in STORAGE_DTYPES.values() or view not in ([], [None]):
            raise ValueError(f"it refers to a {kind} of type {dtype}")
        self.storages[key] = _Storage(np.dtype(dtype), key, size)
        return self.storages[key]


def _read_zip(file: IO[bytes]) -> tuple[Any, dict[str, bytes]]:
    """Returns the unpickled object and the bytes of its storages by key, from the format since torch 1.6."""
    with zipfile.ZipFile(file) as archive:
        names = archive.namelist()
        folder = next((name for name in names if name.endswith("/data.pkl")), "").removesuffix("data.pkl")
        if f"{folder}byteorder" in names and archive.read(f"{folder}byteorder") != b"little":
            raise ValueError("its bytes are in big-endian order")
        unpickler = _Unpickler(io.BytesIO(archive.read(f"{folder}data.pkl")))
        state_dict = unpickler.load()
        return state_dict, {key: archive.read(f"{folder}data/{key}") for key in unpickler.storages}


def _read_legacy(file: IO[bytes]) -> tuple[Any, dict[str, bytes]]:
    """Returns the same as `_read_zip`, from the format before torch 1.6."""
    if _Unpickler(file).load() != MAGIC:
        raise ValueError("it does not begin with the magic number of torch")
    _version, system = _Unpickler(file).load(), _Unpickler(file).load()
    if not system["little_endian"]:
        raise ValueError("its bytes are in big-endian order")
    unpickler = _Unpickler(file)
    state_dict, storages = unpickler.load(), {}
    for key in _Unpickler(file).load():
        (size,) = struct.unpack("<q", file.read(8))
        storages[key] = file.read(size * unpickler.storages[key].dtype.itemsize)
    return state_dict, storages


def _array(tensor: Any, storages: dict[str, bytes]) -> np.ndarray:
    if not isinstance(tensor, _Tensor):
        raise ValueError(f"it holds an object of type {type(tensor).__name__} among the tensors")
    dtype, key, size = tensor.storage
    if math.prod(tensor.size) > size:
        raise ValueError("a tensor is larger than its storage")
    strides = [stride * dtype.itemsize for stride in tensor.strides]
    # Raises if offset, size and strides reach beyond the storage.
    view = np.ndarray(tensor.size, dtype, storages[key], tensor.offset * dtype.itemsize, strides)
    return np.array(view, order="C")


def _checked_name(name: Any) -> str:
    if not isinstance(name, str):
        raise ValueError(f"it holds a tensor whose name {name!r} is not text")
    return name
