"""Checks of the files that a verb will write, before it computes what they hold."""

import sys
import tempfile
from pathlib import Path

from jaxgan.errors import UserError


def check_writable(path: Path, option: str) -> None:
    """Raises UserError, which names `option`, if the file `path` cannot be written. Says if its folder will be made."""
    if path.is_dir():
        raise UserError(f"{option} {path} is a folder; give the name of a file")
    folder = next(parent for parent in path.absolute().parents if parent.exists())
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise UserError(f"{path} cannot be written: {error.strerror}; give another place by {option}") from error
    if folder != path.absolute().parent:
        print(f"the folder {path.parent} does not exist and will be made", file=sys.stderr)
