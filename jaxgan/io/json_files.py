"""Readers of JSON files that answer damage with a sentence, or leave it out, instead of ending in a traceback."""

import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from jaxgan.errors import UserError


def read_object(path: Path) -> dict[str, Any]:
    """Returns the object in a JSON file. Raises FileNotFoundError, and UserError for anything else than an object."""
    try:
        value = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise
    except (ValueError, RecursionError, OSError) as error:
        raise UserError(f"{path} is damaged: {error}") from error
    if not isinstance(value, dict):
        raise UserError(f"{path} is damaged: it does not hold an object")
    return value


def read_lines(path: Path, is_valid: Callable[[dict[str, Any]], bool] = lambda record: True) -> list[dict[str, Any]]:
    """Returns the objects in a file of JSON lines; an empty list if there is no file.

    A last line without a line break was cut off by a kill and is dropped. Lines that are not JSON objects, or for which
    `is_valid` is false, are left out with a warning. Raises UserError if the file cannot be read.
    """
    try:
        lines = path.read_bytes().split(b"\n")
    except FileNotFoundError:
        return []
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from error
    records, left_out = [], []
    for number, line in enumerate(lines[:-1], 1):
        record = _parse(line)
        if isinstance(record, dict) and is_valid(record):
            records.append(record)
        elif line:
            left_out.append(number)
    if left_out:
        numbers = ", ".join(map(str, left_out[:5])) + (", ..." if len(left_out) > 5 else "")
        warnings.warn(f"{path}: left out {len(left_out)} damaged line(s): {numbers}", stacklevel=2)
    return records


def _parse(line: bytes) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None
