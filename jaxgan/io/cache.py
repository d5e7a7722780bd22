"""Results of long computations, kept on disk under $XDG_CACHE_HOME/jaxgan."""

import contextlib
import hashlib
import json
import os
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from jaxgan.errors import first_line
from jaxgan.io import atomic

Arrays = Mapping[str, np.ndarray]
FORMAT = 2  # of the files; a change of it makes older ones unused


def cache_dir(kind: str) -> Path:
    """Returns the folder of one kind of cached files, such as "data" or "classifiers". It may not exist yet."""
    return Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "jaxgan" / kind


def memoise(kind: str, name: str, key: Any, make: Callable[[], tuple[Arrays, Any]]) -> tuple[Arrays, Any]:
    """Memoises `make()` on disk under the hash of `name` and `key`.

    A missing file is computed, and one that is damaged or belongs to another key is computed again, with a warning. If
    the result cannot be written, it is returned all the same.

    Args:
        kind: Folder below the cache, see `cache_dir`.
        name: Human-readable start of the file name.
        key: JSON-serialisable description of everything that the result depends on.
        make: Returns arrays by name, and JSON-serialisable information about them. No array may be called "about".

    Returns:
        What `make()` returned. Tuples in the information become lists if it was read from disk.
    """
    digest = hashlib.sha256(json.dumps([FORMAT, name, key], sort_keys=True).encode()).hexdigest()[:16]
    start = "".join(c if c.isascii() and c.isalnum() else "-" for c in name)[:100]
    path = cache_dir(kind) / f"{start}-{digest}.npz"
    try:
        return _read(path, digest)
    except FileNotFoundError:
        pass
    except Exception as error:  # Damaged archives raise errors of many types.
        warnings.warn(f"{path} cannot be read and is computed again: {first_line(error)}", stacklevel=2)
    arrays, about = make()
    with contextlib.suppress(OSError), atomic.replacing(path) as temporary:
        np.savez(temporary, **arrays, about=json.dumps([digest, about]))
    return arrays, about


def _read(path: Path, digest: str) -> tuple[Arrays, Any]:
    """Returns the contents of a file of `memoise`. Raises an error of any type if it is missing or damaged."""
    with path.open("rb") as stream, np.load(stream) as file:
        arrays = {name: file[name] for name in file.files}  # The archive has a CRC-32 of each.
    stored_digest, about = json.loads(str(arrays.pop("about")))
    if stored_digest != digest:
        raise ValueError("it belongs to another key")
    return arrays, about


def array_digest(*arrays: np.ndarray) -> str:
    """Returns the SHA-256, in hexadecimal, of the dtypes, shapes and bytes of arrays."""
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(f"{array.dtype.str}{array.shape}".encode())
        digest.update(np.ascontiguousarray(array))
    return digest.hexdigest()
