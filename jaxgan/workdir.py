"""A work directory: what a run writes, who may write there, and what it must say of itself."""

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

from jaxgan.errors import Problem
from jaxgan.registry import Config, Entry, config_hash, get, identity

PACKAGES = ("jaxgan", "jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy")


class WorkDir:
    """config.json, metrics.jsonl, checkpoints/, samples/ of one run, held by one trainer at a time."""

    def __init__(self, path: Path) -> None:
        """Make the directory and hold it. Raises Problem if it cannot be written or another trainer holds it."""
        self.path = path
        try:
            self.samples.mkdir(parents=True, exist_ok=True)
            self._lock = (path / ".lock").open("a")
        except OSError as error:
            raise Problem(f"cannot write to the work directory {path}: {error.strerror}") from error
        try:
            # The kernel lets go of the lock when the process ends, however it ends.
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise Problem(f"another trainer is at work in {path}; wait for it or choose another --workdir") from error

    @property
    def samples(self) -> Path:
        """Where the pictures are."""
        return self.path / "samples"

    def claim(self, entry: Entry, config: Config) -> None:
        """Write config.json, or, if a run is here already, make sure that it is this one. Raises Problem if not."""
        record = {
            "name": entry.name,
            "config": dataclasses.asdict(config),
            "hash": config_hash(entry.name, config),
            "versions": versions(),
            "git": git_commit(),
        }
        if (self.path / "config.json").exists():
            there, fields = _read(self.path)
            if there != entry.name:
                raise Problem(f"{self.path} holds a run of {there}; choose another --workdir for {entry.name}")
            if differ := differences(_config(self.path, entry, fields), config):
                raise Problem(
                    f"{self.path} holds a run with another config: {differ}; "
                    "choose another --workdir, or give the same fields to go on with it"
                )
        self.write("config.json", record)

    def write(self, name: str, record: Any) -> None:
        """Write a file of JSON: a reader sees the old one or the new one, never a part."""
        fresh = self.path / f"{name}.tmp"
        fresh.write_text(json.dumps(record, indent=2) + "\n")
        os.replace(fresh, self.path / name)

    def __enter__(self) -> "WorkDir":
        return self

    def __exit__(self, *_: object) -> None:
        self._lock.close()


def read_config(path: Path) -> tuple[Entry, Config]:
    """The experiment and the config that a work directory was made with. Raises Problem if it is not one."""
    name, fields = _read(path)
    entry = get(name)
    return entry, _config(path, entry, fields)


def _read(path: Path) -> tuple[str, dict[str, Any]]:
    try:
        record = json.loads((path / "config.json").read_text())
        return record["name"], dict(record["config"])
    except FileNotFoundError as error:
        raise Problem(f"{path} is not a work directory: it has no config.json") from error
    except (ValueError, KeyError, TypeError, OSError) as error:
        raise Problem(f"{path / 'config.json'} is damaged: {error}") from error


def _config(path: Path, entry: Entry, fields: dict[str, Any]) -> Config:
    if odd := sorted(fields.keys() ^ {f.name for f in dataclasses.fields(entry.config)}):
        raise Problem(f"{path} was made by another version of {entry.name}, which differs in {', '.join(odd)}")
    fields = {name: tuple(value) if isinstance(value, list) else value for name, value in fields.items()}
    return dataclasses.replace(entry.config, **fields)


def differences(there: Config, here: Config) -> str:
    """Say in which fields of their identity two configs differ."""
    ours = identity(here)
    return ", ".join(f"{n} is {v!r} there and {ours[n]!r} here" for n, v in identity(there).items() if v != ours[n])


def versions() -> dict[str, str]:
    """The versions that a number depends on."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):  # jaxgan may be a checkout.
            found[name] = importlib.metadata.version(name)
    return found


def git_commit() -> str | None:
    """The commit of the code, with `+` if it was changed since; None where the code is not a checkout."""

    def git(*words: str) -> str:
        here = Path(__file__).parent
        return subprocess.run(["git", *words], cwd=here, capture_output=True, text=True, check=True).stdout.strip()

    try:
        return git("rev-parse", "HEAD") + ("+" if git("status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.CalledProcessError):
        return None


def hardware() -> str:
    """What computed a number."""
    return f"{jax.devices()[0].device_kind}, {os.cpu_count()} cores, {platform.machine()}"


def protocol(entry: Entry, config: Config, **more: Any) -> dict[str, Any]:
    """What a number must carry to be compared with another."""
    return {
        "name": entry.name,
        "hash": config_hash(entry.name, config),
        **more,
        "versions": versions(),
        "git": git_commit(),
    }
