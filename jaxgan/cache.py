"""What takes long to compute and is kept, under $XDG_CACHE_HOME/jaxgan."""

import contextlib
import hashlib
import json
import os
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

Arrays = Mapping[str, np.ndarray]


def folder(kind: str) -> Path:
    """Where what is kept of that kind is."""
    return Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "jaxgan" / kind


def kept(kind: str, name: str, of: Any, make: Callable[[], tuple[Arrays, Any]]) -> tuple[Arrays, Any]:
    """What `make` gives, arrays by name and what JSON can hold of them, made once for each `of`, which JSON can hold.

    A file that is missing or cut off is made again, and one that cannot be written costs time alone.
    """
    key = hashlib.sha256(json.dumps([name, of], sort_keys=True).encode()).hexdigest()[:16]
    path = folder(kind) / f"{''.join(c if c.isalnum() else '-' for c in name)}-{key}.npz"
    unreadable = contextlib.suppress(OSError, ValueError, KeyError, zipfile.BadZipFile)
    with unreadable, path.open("rb") as there, np.load(there) as file:
        return {n: file[n] for n in file.files if n != "about"}, json.loads(str(file["about"]))
    arrays, about = make()
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh = path.with_suffix(f".{os.getpid()}.tmp")
        with fresh.open("wb") as file:
            np.savez(file, **arrays, about=json.dumps(about))
        os.replace(fresh, path)
    return arrays, about


def digest(*arrays: np.ndarray) -> str:
    """SHA-256 of arrays: their shapes, types and bytes."""
    found = hashlib.sha256()
    for array in arrays:
        found.update(f"{array.dtype.str}{array.shape}".encode())
        found.update(np.ascontiguousarray(array))
    return found.hexdigest()
