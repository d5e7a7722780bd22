"""Writes files in the formats of torch.save without torch."""

import io
import pickle
import struct
import zipfile
from collections.abc import Mapping

import numpy as np

STORAGES = {
    "float32": "Float",
    "float64": "Double",
    "float16": "Half",
    "int64": "Long",
    "uint8": "Byte",
    "bool": "Bool",
}


def zipped(tensors: Mapping[str, np.ndarray], pickled: bytes | None = None) -> bytes:
    """Returns a file in the format since torch 1.6. `pickled` replaces the pickle of the tensors."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("archive/data.pkl", state_dict(tensors) if pickled is None else pickled)
        archive.writestr("archive/byteorder", "little")
        for key, tensor in enumerate(tensors.values()):
            archive.writestr(f"archive/data/{key}", _storage(tensor).tobytes())
        archive.writestr("archive/version", "3\n")
    return file.getvalue()


def legacy(tensors: Mapping[str, np.ndarray], pickled: bytes | None = None) -> bytes:
    """Returns a file in the format before torch 1.6. `pickled` replaces the pickle of the tensors."""
    system = {"protocol_version": 1001, "little_endian": True, "type_sizes": {"short": 2, "int": 4, "long": 4}}
    parts = [pickle.dumps(part, 2) for part in (0x1950A86A20F9469CFC6C, 1001, system)]
    parts += [state_dict(tensors, legacy=True) if pickled is None else pickled]
    parts += [pickle.dumps([str(key) for key in range(len(tensors))], 2)]
    parts += [struct.pack("<q", t.size) + _storage(t).tobytes() for t in tensors.values()]
    return b"".join(parts)


def state_dict(tensors: Mapping[str, np.ndarray], legacy: bool = False) -> bytes:
    """Returns the pickle of an OrderedDict of tensors, with the attribute `_metadata` that torch adds."""
    items = [_text(name) + _tensor(str(key), t, legacy) for key, (name, t) in enumerate(tensors.items())]
    metadata = b"}" + _text("_metadata") + b"}sb"
    return b"\x80\x02" + _ordered() + b"(" + b"".join(items) + b"u" + metadata + b"."


def _tensor(key: str, tensor: np.ndarray, legacy: bool) -> bytes:
    storage_type = f"ctorch\n{STORAGES[tensor.dtype.name]}Storage\n".encode()
    storage = (
        b"(" + _text("storage") + storage_type + _text(key) + _text("cpu") + _int(tensor.size) + b"N" * legacy + b"tQ"
    )
    strides = [stride // tensor.itemsize for stride in tensor.strides]
    return _call(
        "torch._utils", "_rebuild_tensor_v2", storage + _int(0) + _ints(tensor.shape) + _ints(strides) + b"\x89"
    )


def _storage(tensor: np.ndarray) -> np.ndarray:
    return np.ravel(tensor, order="K")  # in memory order


def _call(module: str, name: str, arguments: bytes) -> bytes:
    return f"c{module}\n{name}\n(".encode() + arguments + _ordered() + b"tR"


def _ordered() -> bytes:
    return b"ccollections\nOrderedDict\n)R"


def _text(text: str) -> bytes:
    return b"X" + struct.pack("<I", len(text.encode())) + text.encode()


def _int(number: int) -> bytes:
    return b"J" + struct.pack("<i", number)


def _ints(numbers: tuple[int, ...] | list[int]) -> bytes:
    return b"(" + b"".join(map(_int, numbers)) + b"t"
