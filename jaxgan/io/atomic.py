"""Atomic file writes: a reader sees the old file or the new one, never a part of it."""

import contextlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yields a temporary path next to `path`; renames that file to `path` on success, removes it on an exception.

    The temporary name ends with the name of `path`, so that its suffix still tells writers the format. Missing parent
    folders are created. Raises OSError if the file cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{secrets.token_hex(4)}.{path.name}")
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def append_text(path: Path, text: str) -> None:
    """Appends `text` to `path`. Raises OSError if it cannot be written whole; the file then stays as it was."""
    remaining = memoryview(text.encode())
    with path.open("ab", buffering=0) as file:
        end = file.seek(0, os.SEEK_END)
        try:
            while remaining:
                remaining = remaining[file.write(remaining) :]
        except OSError:
            file.truncate(end)
            raise


def write_text(path: Path, text: str) -> None:
    """Writes `text` to `path` atomically. Raises OSError if it cannot be written."""
    with replacing(path) as temporary:
        temporary.write_text(text)
