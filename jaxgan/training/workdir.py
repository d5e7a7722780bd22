"""The work directory of a run: its lock, its config.json, and the versions and hardware that a result depends on."""

import contextlib
import dataclasses
import fcntl
import importlib.metadata
import json
import os
import platform
import subprocess
from pathlib import Path
from typing import Any

import jax

from jaxgan.errors import UserError
from jaxgan.io import atomic
from jaxgan.training.experiment import Config, config_hash, identity_fields

PACKAGES = ("jaxgan", "jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy")


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

    def claim(self, name: str, config: Config) -> None:
        """Writes config.json. Raises UserError if the directory holds a run of another experiment or config."""
        if (self.path / "config.json").exists():
            stored_name, fields = read_record(self.path)
            if stored_name != name:
                raise UserError(f"{self.path} holds a run of {stored_name}; choose another --workdir for {name}")
            if changes := describe_changes(config_from_fields(self.path, name, config, fields), config):
                raise UserError(
                    f"{self.path} holds a run with another config: {changes}; "
                    "choose another --workdir, or give the same settings to continue it"
                )
        record = {
            "name": name,
            "config": dataclasses.asdict(config),
            "hash": config_hash(name, config),
            "versions": versions(),
            "git": git_commit(),
        }
        self.write_json("config.json", record)

    def write_json(self, name: str, record: Any) -> None:
        """Writes a JSON file atomically."""
        atomic.write_text(self.path / name, json.dumps(record, indent=2) + "\n")

    def __enter__(self) -> "WorkDir":
        return self

    def __exit__(self, *_: object) -> None:
        self._lock.close()


def read_record(path: Path) -> tuple[str, dict[str, Any]]:
    """Returns the experiment's name and the settings in config.json. Raises UserError if missing or damaged."""
    try:
        record = json.loads((path / "config.json").read_text())
        return record["name"], dict(record["config"])
    except FileNotFoundError as error:
        raise UserError(f"{path} is not a work directory: it has no config.json") from error
    except (ValueError, KeyError, TypeError, OSError) as error:
        raise UserError(f"{path / 'config.json'} is damaged: {error}") from error


def config_from_fields(path: Path, name: str, default: Config, fields: dict[str, Any]) -> Config:
    """Returns `default` with stored `fields`. Raises UserError if the field names differ from those of `default`."""
    if odd := sorted(fields.keys() ^ {f.name for f in dataclasses.fields(default)}):
        raise UserError(f"{path} was made by another version of {name}, which differs in {', '.join(odd)}")
    fields = {key: tuple(value) if isinstance(value, list) else value for key, value in fields.items()}
    return dataclasses.replace(default, **fields)


def describe_changes(stored: Config, given: Config) -> str:
    """Returns a sentence part that lists the identity fields in which two configs differ, or an empty string."""
    new = identity_fields(given)
    old = identity_fields(stored)
    return ", ".join(f"{name} is {old[name]!r} there and {new[name]!r} here" for name in old if old[name] != new[name])


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
