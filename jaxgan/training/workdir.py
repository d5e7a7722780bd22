"""The work directory of a run: its lock, its config.json, and the versions and hardware that a result depends on."""

import contextlib
import dataclasses
import fcntl
import functools
import importlib.metadata
import json
import os
import platform
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax

from jaxgan.errors import UserError
from jaxgan.io import atomic, json_files
from jaxgan.training.experiment import ADDED_FIELDS, Config, config_hash, identity_fields

PACKAGES = ("jaxgan", "jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy")


class Identity(NamedTuple):
    """What tells runs apart, and the versions that wrote something. It is stored in every checkpoint."""

    name: str
    hash: str
    config: Mapping[str, Any]
    versions: Mapping[str, str]

    @classmethod
    def of(cls, name: str, config: Config) -> "Identity":
        """Returns the identity of a run of this code, in the form that JSON gives back."""
        return cls(name, config_hash(name, config), _as_json(identity_fields(config)), versions())

    def describe_changes(self, stored: "Identity") -> str:
        """Returns a sentence part that lists the differences from a stored identity, or an empty string."""
        if stored.name != self.name:
            return f"they are of {stored.name}, not of {self.name}"
        return _describe_changes(stored.config, self.config)


class WorkDir:
    """The files of one run (config.json, metrics.jsonl, checkpoints/, samples/), locked by one trainer at a time."""

    def __init__(self, path: Path) -> None:
        """Creates and locks the directory. Raises UserError if it cannot be written or another trainer holds it."""
        self.path = path
        try:
            self.samples.mkdir(parents=True, exist_ok=True)
            self._lock = (path / ".lock").open("a")
        except OSError as error:
            raise UserError(f"cannot write to the work directory {path}: {error.strerror}") from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # The kernel releases it when the process ends.
        except OSError as error:
            raise UserError(f"another trainer is running in {path}; wait for it or choose another --workdir") from error

    @property
    def samples(self) -> Path:
        """The folder of previews."""
        return self.path / "samples"

    def claim(self, name: str, config: Config, start: Mapping[str, Any] | None = None) -> None:
        """Writes config.json. Raises the errors of `check_claim`.

        `start` describes the weights from which a new run starts. A run that continues keeps what was written before.
        """
        check_claim(self.path, name, config)
        if has_progress(self.path):
            start = json_files.read_object(self.path / "config.json").get("start")
        record = {
            "name": name,
            "config": dataclasses.asdict(config),
            "hash": config_hash(name, config),
            "versions": versions(),
            "git": git_commit(),
        }
        self.write_json("config.json", record | ({"start": start} if start else {}))

    def write_json(self, name: str, record: Any) -> None:
        """Writes a JSON file atomically."""
        atomic.write_text(self.path / name, json.dumps(record, indent=2) + "\n")

    def __enter__(self) -> "WorkDir":
        return self

    def __exit__(self, *_: object) -> None:
        self._lock.close()


def check_claim(path: Path, name: str, config: Config) -> None:
    """Raises UserError if a directory cannot hold this run: it holds another one, or files of a run are missing.

    A directory in which no step was logged or saved is free for any run.
    """
    has_config = os.path.exists(path / "config.json")  # False where `Path.exists` raises, as for too long names.
    if not has_progress(path):
        if has_config:
            read_record(path)  # The file of another program is not overwritten.
        return
    if not has_config:
        raise UserError(f"{path} holds a run but its config.json is missing; put it back, or choose another --workdir")
    if not os.path.exists(path / "checkpoints"):
        raise UserError(
            f"{path} holds the log of a run but its checkpoints/ are missing; put them back, or choose another "
            "--workdir to train from the start"
        )
    stored_name, fields = read_record(path)
    if stored_name != name:
        raise UserError(f"{path} holds a run of {stored_name}; choose another --workdir for {name}")
    stored = config_from_fields(path, name, config, fields)
    if changes := _describe_changes(identity_fields(stored), identity_fields(config)):
        raise UserError(
            f"{path} holds a run with another config: {changes}; "
            "choose another --workdir, or leave these settings away to continue it"
        )


def has_progress(path: Path) -> bool:
    """Returns whether a directory holds a log or checkpoints of at least one step."""
    log = path / "metrics.jsonl"
    return bool(saved_steps(path / "checkpoints")) or (os.path.isfile(log) and os.path.getsize(log) > 0)


def saved_steps(directory: Path) -> list[int]:
    """Returns the steps that have a complete checkpoint in a folder of checkpoints, oldest first."""
    try:
        return sorted(int(name) for name in os.listdir(directory) if name.isdecimal())
    except OSError:
        return []


def stored_config(path: Path, name: str, default: Config) -> Config | None:
    """Returns the settings of the run of `name` in a directory, or None if it holds no run, or another one.

    Raises UserError if its config.json is damaged.
    """
    if not (has_progress(path) and os.path.exists(path / "config.json")):
        return None
    stored_name, fields = read_record(path)
    return config_from_fields(path, name, default, fields) if stored_name == name else None


def read_record(path: Path) -> tuple[str, dict[str, Any]]:
    """Returns the experiment's name and the settings in config.json. Raises UserError if missing or damaged."""
    try:
        record = json_files.read_object(path / "config.json")
    except FileNotFoundError as error:
        raise UserError(f"{path} is not a work directory: it has no config.json") from error
    name, config = record.get("name"), record.get("config")
    if not isinstance(name, str) or not isinstance(config, dict):
        raise UserError(f"{path / 'config.json'} is damaged: it has no experiment `name` with its `config`")
    return name, config


def config_from_fields(path: Path, name: str, default: Config, fields: dict[str, Any]) -> Config:
    """Returns the settings of a run from its stored `fields`.

    Raises UserError if the field names differ from those of `default`, or for values of a wrong type or out of range.
    """
    names = [f.name for f in dataclasses.fields(default)]
    fields = {field: getattr(type(default), field) for field in ADDED_FIELDS if field not in fields} | fields
    if odd := sorted(fields.keys() ^ set(names)):
        raise UserError(f"{path} was made by another version of {name}, which differs in {', '.join(odd)}")
    values = {field: tuple(value) if isinstance(value, list) else value for field, value in fields.items()}
    try:
        return dataclasses.replace(default, **values)
    except UserError as error:
        raise UserError(f"{path / 'config.json'} is damaged: {error}") from error


def _describe_changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    """Returns a sentence part that lists the settings in which two runs differ, or an empty string."""
    names = [name for name in {**old, **new} if _as_json(old.get(name)) != _as_json(new.get(name))]
    return ", ".join(f"{name} is {old.get(name)!r} there and {new.get(name)!r} here" for name in names)


def _as_json(value: Any) -> Any:
    return json.loads(json.dumps(value))


@functools.cache
def versions() -> dict[str, str]:
    """Returns the versions of Python and of the packages that a result depends on."""
    result = {"python": platform.python_version()}
    for name in PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):  # jaxgan may be a checkout.
            result[name] = importlib.metadata.version(name)
    return result


def git_commit() -> str | None:
    """Returns the commit of the code, with `+` if files have changed since, or None outside a git checkout."""

    def git(*arguments: str) -> str:
        folder = Path(__file__).parent
        return subprocess.run(
            ["git", *arguments], cwd=folder, capture_output=True, text=True, check=True
        ).stdout.strip()

    try:
        return git("rev-parse", "HEAD") + ("+" if git("status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.CalledProcessError):
        return None


def hardware() -> str:
    """Returns the device kind, the number of CPU cores and the machine type."""
    return f"{jax.devices()[0].device_kind}, {os.cpu_count()} cores, {platform.machine()}"


def protocol(name: str, config: Config, **fields: Any) -> dict[str, Any]:
    """Returns what a result needs to be comparable: experiment, config hash, `fields`, versions and commit."""
    return {"name": name, "hash": config_hash(name, config), **fields, "versions": versions(), "git": git_commit()}
