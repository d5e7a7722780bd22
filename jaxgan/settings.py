"""Settings: dataclass fields with a help text, a type and a range, which are checked wherever values come from.

The command line, `jaxgan.train`, the methods of a run and a config.json from disk are all checked here.
"""

import dataclasses
import functools
import math
import numbers
import os
import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from jaxgan.errors import UserError

INT32_MAX = 2**31 - 1
NAME_MAX = 255  # bytes of the name of a file or folder, on all common file systems
TYPE_NAMES = {int: "a whole number", float: "a number", bool: "true or false", str: "text", Path: "a path"}


def setting(
    default: Any = dataclasses.MISSING, help: str = "", *, low: float | None = None, high: float | None = None
) -> Any:
    """Returns a field of a `Settings` class, with its help text and its closed range.

    Integers are by default from 1 to 2^31 - 1, and floats at least 0 and finite. Other types have no range. The range
    holds for each element of a tuple. A subclass that only changes a default writes `name: type = value`; it inherits
    help and range.
    """
    return dataclasses.field(default=default, metadata={"help": help, "low": low, "high": high})


@dataclasses.dataclass(frozen=True)
class Settings:
    """Base of frozen dataclasses whose fields are `setting`s. Raises UserError for a value of another type or range."""

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            check_values(type(self), **{field.name: value})
            if isinstance(value, np.generic):  # JSON takes Python's own numbers.
                object.__setattr__(self, field.name, value.item())


def check_values(settings: type, **values: Any) -> None:
    """Raises UserError if a value has not the type, or is not in the range, of the field of that name in `settings`."""
    metadata, annotations = setting_metadata(settings), _annotations(settings)
    for name, value in values.items():
        _check_value(name, value, annotations[name], metadata[name])


@functools.cache
def setting_metadata(settings: type) -> dict[str, Mapping[str, Any]]:
    """Returns `help`, `low` and `high` of each field; what a class does not say is inherited."""
    known: dict[str, dict[str, Any]] = {}
    for cls in reversed(settings.__mro__):
        for field in getattr(cls, "__dataclass_fields__", {}).values():
            said = {key: value for key, value in field.metadata.items() if value is not None}
            known[field.name] = known.get(field.name, {}) | said
    return {field.name: known[field.name] for field in dataclasses.fields(settings)}


@functools.cache
def _annotations(settings: type) -> dict[str, Any]:
    return typing.get_type_hints(settings)


def _check_value(name: str, value: Any, annotation: Any, metadata: Mapping[str, Any]) -> None:
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        if value is None:
            return
        kinds = [kind for kind in typing.get_args(annotation) if kind is not types.NoneType]
        annotation = kinds[0] if len(kinds) == 1 else Any
    if typing.get_origin(annotation) is tuple:
        if not isinstance(value, tuple):
            raise UserError(f"{name} {value!r} must be a list")
        for element in value:
            _check_value(name, element, typing.get_args(annotation)[0], metadata)
        return
    if typing.get_origin(annotation) is typing.Literal:
        if value not in typing.get_args(annotation):
            raise UserError(f"{name} {value} must be {' or '.join(map(str, typing.get_args(annotation)))}")
        return
    if annotation in TYPE_NAMES and not _has_type(value, annotation):
        raise UserError(f"{name} {value!r} must be {TYPE_NAMES[annotation]}")
    if isinstance(value, str | Path) and "\0" in str(value):
        raise UserError(f"{name} {str(value)!r} contains a NUL byte, which no name can have")
    if isinstance(value, Path) and any(len(os.fsencode(part)) > NAME_MAX for part in value.parts):
        raise UserError(f"{name} {str(value)[:40]}... contains a name of more than {NAME_MAX} bytes; shorten it")
    if annotation in (int, float):
        _check_range(name, value, annotation, metadata)


def _has_type(value: Any, kind: type) -> bool:
    if kind is bool or isinstance(value, bool):
        return kind is bool and isinstance(value, bool)
    if kind in (int, float):
        return isinstance(value, numbers.Integral if kind is int else numbers.Real)
    return isinstance(value, kind)


def _check_range(name: str, value: float, kind: type, metadata: Mapping[str, Any]) -> None:
    low, high = metadata.get("low"), metadata.get("high")
    low = low if low is not None else (1 if kind is int else 0)
    if kind is float and not (math.isfinite(value) and (high is not None or value >= low)):
        raise UserError(f"{name} {value} must be a finite number of at least {low:g}")
    if high is not None and not low <= value <= high:
        raise UserError(f"{name} {value} must be between {low:,} and {high:,}")
    if value < low:
        raise UserError(f"{name} {value} must be at least {low:,}")
    if kind is int and high is None and value > INT32_MAX:
        raise UserError(f"{name} {value} must be at most {INT32_MAX:,}")
