"""Reads tensors from files in the safetensors format, which hold no code."""

import json
import math
import struct
from collections.abc import Collection
from pathlib import Path

import ml_dtypes
import numpy as np

from jaxgan.errors import UserError

DTYPES = {
    "F64": np.dtype("<f8"),
    "F32": np.dtype("<f4"),
    "F16": np.dtype("<f2"),
    "BF16": np.dtype(ml_dtypes.bfloat16),
    "I64": np.dtype("<i8"),
    "I32": np.dtype("<i4"),
    "I16": np.dtype("<i2"),
    "I8": np.dtype("i1"),
    "U8": np.dtype("u1"),
    "BOOL": np.dtype("?"),
}
MAX_HEADER_BYTES = 100_000_000  # the format's own limit


def read_tensors(path: Path, names: Collection[str] | None = None) -> dict[str, np.ndarray]:
    """Returns the tensors of a safetensors file by name: all, or those in `names`, without reading the others.

    Raises UserError if the file is missing or damaged, or does not hold all of `names`.
    """
    try:
        with path.open("rb") as file:
            (size,) = struct.unpack("<Q", file.read(8))
            if size > MAX_HEADER_BYTES:
                raise ValueError(f"its header is {size:,} bytes long")
            header = json.loads(file.read(size))
            entries = {name: entry for name, entry in header.items() if name != "__metadata__"}
            if missing := sorted(set(names or ()) - entries.keys()):
                raise UserError(f"{path} has no tensor {missing[0]!r}; it has {', '.join(sorted(entries)[:5])}, ...")
            tensors = {}
            for name in entries if names is None else names:
                tensors[name] = _read(file, 8 + size, entries[name])
            return tensors
    except FileNotFoundError as error:
        raise UserError(f"{path} does not exist") from error
    except (ValueError, KeyError, TypeError, AttributeError, struct.error) as error:
        raise UserError(f"{path} is not a safetensors file: {error}") from error


def _read(file, start: int, entry: dict) -> np.ndarray:
    dtype, shape, (first, last) = DTYPES[entry["dtype"]], tuple(entry["shape"]), entry["data_offsets"]
    if last - first != math.prod(shape) * dtype.itemsize:
        raise ValueError(f"a tensor of shape {list(shape)} has {last - first} bytes")
    file.seek(start + first)
    data = file.read(last - first)
    if len(data) != last - first:
        raise ValueError("it ends before its last tensor")
    return np.frombuffer(data, dtype).reshape(shape)
