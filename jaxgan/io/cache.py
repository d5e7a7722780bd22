"""Results of long computations, kept on disk under $XDG_CACHE_HOME/jaxgan."""

import contextlib
import hashlib
import json
import os
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from jaxgan.io import atomic

Arrays = Mapping[str, np.ndarray]


def cache_dir(kind: str) -> Path:
    """Returns the folder of one kind of cached files, such as "data" or "classifiers". It may not exist yet."""
    return Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "jaxgan" / kind


def memoise(kind: str, name: str, key: Any, make: Callable[[], tuple[Arrays, Any]]) -> tuple[Arrays, Any]:
    """Memoises `make()` on disk under the hash of `name` and `key`.

    A missing or unreadable file is computed again. If the result cannot be written, it is returned all the same.

    Args:
        kind: Folder below the cache, see `cache_dir`.
        name: Human-readable start of the file name.
        key: JSON-serialisable description of everything that the result depends on.
        make: Returns arrays by name, and JSON-serialisable information about them. No array may be called "about".

    Returns:
        What `make()` returned. Tuples in the information become lists if it was read from disk.
    """
    digest = hashlib.sha256(json.dumps([name, key], sort_keys=True).encode()).hexdigest()[:16]
    path = cache_dir(kind) / f"{''.join(c if c.isalnum() else '-' for c in name)}-{digest}.npz"
    unreadable = contextlib.suppress(OSError, ValueError, KeyError, zipfile.BadZipFile)
    with unreadable, path.open("rb") as stream, np.load(stream) as file:
        return {n: file[n] for n in file.files if n != "about"}, json.loads(str(file["about"]))
    arrays, about = make()
    with contextlib.suppress(OSError), atomic.replacing(path) as temporary:
        np.savez(temporary, **arrays, about=json.dumps(about))
    return arrays, about


def array_digest(*arrays: np.ndarray) -> str:
    """Returns the SHA-256, in hexadecimal, of the dtypes, shapes and bytes of arrays."""
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(f"{array.dtype.str}{array.shape}".encode())
        digest.update(np.ascontiguousarray(array))
    return digest.hexdigest()
