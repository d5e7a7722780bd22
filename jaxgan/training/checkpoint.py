"""Atomic, asynchronous checkpoints by Orbax, with checksums and the run's identity, verified when they are restored."""

import errno
import json
import os
import shutil
import warnings
import zlib
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
import orbax.checkpoint as ocp
from orbax.checkpoint.checkpoint_managers import preservation_policy

from jaxgan.core.game import TrainState
from jaxgan.errors import SystemFailure, UserError
from jaxgan.io.library_errors import silence_background_errors
from jaxgan.training.workdir import Identity, saved_steps

KEPT = 3  # newest checkpoints: one may be damaged, and one may be incomplete
LISTINGS = 100  # of a directory whose checkpoints are replaced while they are read
SYSTEM_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EIO)
DISK_SHARE = 0.9  # of the size of the state that a compressed checkpoint takes at least


class Checkpoint(NamedTuple):
    """A restored checkpoint.

    Attributes:
        state: The training state.
        partial_sums: What `save` was given.
        versions: Versions of the packages that wrote it.
    """

    state: TrainState
    partial_sums: Any
    versions: Mapping[str, str]


class ForeignCheckpoint(Exception):
    """A checkpoint that is intact but was written by another run, at another step, or by other networks."""


class Checkpoints:
    """The checkpoints of one run, in `directory/<step>/`."""

    def __init__(
        self,
        directory: Path,
        read_only: bool = False,
        keep: Collection[int] = (),
        identity: Identity | None = None,
    ) -> None:
        """Opens the directory. Unless read-only, removes what a killed process left incomplete.

        Args:
            directory: The folder of the checkpoints.
            read_only: Changes nothing, so that it can be used while a trainer runs.
            keep: Steps whose checkpoints are never removed. Of the others the newest `KEPT` are kept.
            identity: The run. It is stored in each checkpoint, and checkpoints of other runs are not restored.
        """
        silence_background_errors()
        self.directory = directory.resolve()
        self.identity = identity
        self.reader = ocp.Checkpointer(ocp.CompositeCheckpointHandler())
        self.manager = None
        self.last_saved = None
        if not read_only:
            policies = [preservation_policy.LatestN(KEPT), preservation_policy.CustomSteps(tuple(keep))]
            options = ocp.CheckpointManagerOptions(
                preservation_policy=preservation_policy.AnyPreservationPolicy(policies),
                create=True,
                cleanup_tmp_directories=True,
            )
            self.manager = ocp.CheckpointManager(self.directory, options=options)

    def steps(self) -> list[int]:
        """Returns the steps that have a complete checkpoint, oldest first."""
        return saved_steps(self.directory)

    def save(self, state: TrainState, partial_sums: Any = None) -> None:
        """Starts writing a copy of the state. Raises SystemFailure if this write or the previous one fails.

        `partial_sums` is a JSON value that is stored with the state.
        """
        step = int(state.step)
        if step == self.last_saved or step in self.steps():
            return
        self.wait()
        self._check_room(step, state)
        identity = self.identity and self.identity._asdict()
        meta = {"step": step, "leaves": describe_leaves(state), "run": identity, "partial_sums": partial_sums}
        meta = ocp.args.JsonSave(meta | {"checksum": _json_checksum(meta)})
        try:
            self.manager.save(step, args=ocp.args.Composite(state=ocp.args.StandardSave(state), meta=meta))
        except Exception as error:
            raise self._failed(step, error) from error
        self.last_saved = step

    def wait(self) -> None:
        """Waits for pending writes. Raises SystemFailure if one of them fails."""
        if self.manager is None:
            return
        try:
            self.manager.wait_until_finished()
        except Exception as error:
            raise self._failed(self.last_saved, error) from error

    def _check_room(self, step: int, state: TrainState) -> None:
        """Raises SystemFailure if the disk has less room than a checkpoint takes."""
        needed = int(DISK_SHARE * sum(x.nbytes for x in jax.tree.leaves(state)))
        free = shutil.disk_usage(self.directory).free
        if free < needed:
            room = f"it takes {needed / 1e6:,.1f} MB and the disk has {free / 1e6:,.1f} MB left"
            raise self._failed(step, OSError(room))

    def _failed(self, step: int | None, error: Exception) -> SystemFailure:
        what = f"the checkpoint of step {step}" if step is not None else "a checkpoint"
        return SystemFailure(f"could not write {what}: {_reason(error)}; {describe_newest(self.directory)}")

    def restore(self, like: Any, set_aside: bool = False) -> Checkpoint | None:
        """Returns the newest checkpoint that passes its checks, or None if none was ever written.

        Args:
            like: Tree of `jax.ShapeDtypeStruct` with shardings, from `abstract_state`.
            set_aside: Moves rejected checkpoints that are newer than the restored one to `set_aside/`, next to the
                directory, so that the run can write these steps again.

        Raises SystemFailure if there are checkpoints and all are damaged, and UserError if none can be used and some
        are intact but belong to another run or to other networks. Nothing is moved then.
        """
        for _ in range(LISTINGS):
            steps = self.steps()
            found, rejected = self._newest(steps, like)
            if not rejected or self.steps() == steps:
                break  # Otherwise a trainer has replaced checkpoints while they were read.
        for step, error in rejected.items():
            kind = "does not belong here" if isinstance(error, ForeignCheckpoint) else "is damaged"
            message = f"{self.directory / str(step)} {kind} and was skipped: {_reason(error)}"
            if found is not None or not isinstance(error, ForeignCheckpoint):
                warnings.warn(message, stacklevel=2)
        if found is None and rejected:
            raise self._nothing_left(rejected)
        if set_aside and rejected:
            self._set_aside(rejected)
        return found

    def _newest(self, steps: list[int], like: Any) -> tuple[Checkpoint | None, dict[int, Exception]]:
        """Returns the newest good checkpoint, and why each newer one was rejected."""
        rejected = {}
        for step in reversed(steps):
            try:
                return self._read(step, like), rejected
            except Exception as error:  # Damaged files make Orbax raise errors of many types.
                rejected[step] = error
        return None, rejected

    def _nothing_left(self, rejected: Mapping[int, Exception]) -> UserError:
        foreign = [error for error in rejected.values() if isinstance(error, ForeignCheckpoint)]
        if foreign:
            return UserError(f"the checkpoints in {self.directory} do not belong to {self._record()}: {foreign[0]}")
        damaged = ", ".join(map(str, rejected))
        return SystemFailure(f"no good checkpoint is left in {self.directory}; damaged: {damaged}")

    def _record(self) -> Path:
        return self.directory.parent / "config.json"

    def restore_step(self, step: int, like: Any) -> Checkpoint:
        """Returns the checkpoint of one step. Raises SystemFailure if it is missing or fails its checks."""
        try:
            return self._read(step, like)
        except Exception as error:
            raise SystemFailure(f"{self.directory / str(step)} cannot be read: {_reason(error)}") from error

    def _read(self, step: int, like: Any) -> Checkpoint:
        meta = self.reader.restore(self.directory / str(step), ocp.args.Composite(meta=ocp.args.JsonRestore())).meta
        if "leaves" in meta:
            self._check_meta(step, meta, like)
            expected = {name: leaf[0] for name, leaf in meta["leaves"].items()}
        else:  # Written before 0.2: checksums alone.
            expected = meta["checksums"]
        items = ocp.args.Composite(state=ocp.args.StandardRestore(like))
        state = self.reader.restore(self.directory / str(step), items).state
        actual = checksums(state)
        for name in sorted(expected.keys() | actual.keys()):
            if expected.get(name) != actual.get(name):
                raise ValueError(f"the checksum of {name} does not match")
        if int(state.step) != step:
            raise ForeignCheckpoint(f"it is of step {int(state.step)}")
        versions = (meta.get("run") or {}).get("versions", {})
        return Checkpoint(state, meta.get("partial_sums"), versions)

    def _check_meta(self, step: int, meta: dict[str, Any], like: Any) -> None:
        """Raises ValueError if the metadata are damaged, ForeignCheckpoint if they are of another run or network."""
        stored = meta.pop("checksum")
        if _json_checksum(meta) != stored:
            raise ValueError("the checksum of its metadata does not match")
        if meta["step"] != step:
            raise ForeignCheckpoint(f"it is of step {meta['step']}")
        if self.identity and meta["run"] and (changes := self.identity.describe_changes(Identity(**meta["run"]))):
            raise ForeignCheckpoint(changes)
        expected = {_path_name(path): _shape(x) for path, x in jax.tree_util.tree_leaves_with_path(like)}
        actual = {name: leaf[1] for name, leaf in meta["leaves"].items()}
        if odd := [name for name in sorted(expected.keys() | actual.keys()) if expected.get(name) != actual.get(name)]:
            there, here = (shapes.get(odd[0], "missing") for shapes in (actual, expected))
            raise ForeignCheckpoint(f"other networks or optimizers wrote it: {odd[0]} is {there} there and {here} here")

    def _set_aside(self, steps: Collection[int]) -> None:
        if jax.process_index() == 0:
            target = self.directory.parent / "set_aside"
            target.mkdir(exist_ok=True)
            for step in steps:
                os.replace(self.directory / str(step), target / f"{step}-{os.getpid()}")
        self.manager.reload()

    def close(self) -> None:
        """Waits for pending writes and closes the directory."""
        self.reader.close()
        if self.manager is not None:
            self.wait()
            self.manager.close()


def describe_newest(directory: Path) -> str:
    """Returns a sentence part that names the newest complete checkpoint."""
    steps = saved_steps(directory)
    return f"the last good checkpoint is {directory / str(steps[-1])}" if steps else "there is no checkpoint yet"


def checksums(state: Any) -> dict[str, int]:
    """Returns the CRC-32 of the bytes of every leaf, by its path."""
    return {name: leaf[0] for name, leaf in describe_leaves(state).items()}


def describe_leaves(state: Any) -> dict[str, tuple[int, str]]:
    """Returns the CRC-32 of the bytes of every leaf, and its dtype and shape as text, by its path."""
    leaves = jax.tree_util.tree_leaves_with_path(jax.device_get(state))
    return {_path_name(path): (zlib.crc32(np.ascontiguousarray(x)), _shape(x)) for path, x in leaves}


def _path_name(path: Any) -> str:
    return jax.tree_util.keystr(path, simple=True, separator="/")


def _shape(x: Any) -> str:
    return f"{x.dtype}{list(x.shape)}"


def _json_checksum(value: Any) -> int:
    return zlib.crc32(json.dumps(value, sort_keys=True).encode())


def _reason(error: BaseException) -> str:
    while error.__cause__ is not None:  # The first cause names the file that could not be read.
        error = error.__cause__
    for number in SYSTEM_ERRORS:  # TensorStore buries them in the names of its internal files.
        if os.strerror(number) in str(error):
            return os.strerror(number)
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
