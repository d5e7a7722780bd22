"""Checks of the files that a verb will write, before it computes what they hold."""

import sys
import tempfile
from pathlib import Path

from jaxgan.errors import UserError


def check_writable(path: Path, option: str) -> None:
    """Raises UserError, which names `option`, if the file `path` cannot be written. Its folder need not exist."""
    if path.is_dir():
        raise UserError(f"{option} {path} is a folder; give the name of a file")
    try:
        with tempfile.TemporaryFile(dir=_existing_folder(path)):
            pass
    except OSError as error:
        raise UserError(f"{path} cannot be written: {error.strerror}; give another place by {option}") from error


def announce_folder(path: Path) -> None:
    """Says so if the folder of the file `path` will be made."""
    if _existing_folder(path) != path.absolute().parent:
        print(f"the folder {path.parent} does not exist and will be made", file=sys.stderr)


def _existing_folder(path: Path) -> Path:
    """Returns the lowest folder above `path` that exists."""
    return next(parent for parent in path.absolute().parents if parent.exists())
