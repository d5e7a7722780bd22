"""Atomic, asynchronous checkpoints by Orbax, with a checksum per leaf that is verified when they are restored."""

import os
import warnings
import zlib
from collections.abc import Collection
from pathlib import Path
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp
from orbax.checkpoint.checkpoint_managers import preservation_policy

from jaxgan.core.game import TrainState
from jaxgan.errors import SystemFailure

KEPT = 3  # newest checkpoints: one may be damaged, and one may be incomplete


class Checkpoints:
    """The checkpoints of one run, in `directory/<step>/`."""

    def __init__(self, directory: Path, read_only: bool = False, keep: Collection[int] = ()) -> None:
        """Opens the directory. Unless read-only, removes what a killed process left incomplete.

        The newest `KEPT` checkpoints are kept, and those of the steps in `keep`.
        """
        self.directory = directory.resolve()
        policies = [preservation_policy.LatestN(KEPT), preservation_policy.CustomSteps(tuple(keep))]
        options = ocp.CheckpointManagerOptions(
            preservation_policy=preservation_policy.AnyPreservationPolicy(policies),
            create=not read_only,
            cleanup_tmp_directories=not read_only,
        )
        self.manager = ocp.CheckpointManager(self.directory, options=options)

    def steps(self) -> list[int]:
        """Returns the steps that have a checkpoint, oldest first."""
        return sorted(self.manager.all_steps())

    def save(self, state: TrainState) -> None:
        """Starts writing a copy of the state. Raises SystemFailure if this write or the previous one fails."""
        step = int(state.step)
        if step in self.steps():
            return
        sums = ocp.args.JsonSave({"checksums": checksums(state)})
        try:
            self.manager.save(step, args=ocp.args.Composite(state=ocp.args.StandardSave(state), meta=sums))
        except Exception as error:
            raise self._failed(step, error) from error

    def wait(self) -> None:
        """Waits for pending writes. Raises SystemFailure if one of them fails."""
        try:
            self.manager.wait_until_finished()
        except Exception as error:
            raise self._failed(None, error) from error

    def _failed(self, step: int | None, error: Exception) -> SystemFailure:
        what = f"the checkpoint of step {step}" if step is not None else "a checkpoint"
        return SystemFailure(f"could not write {what}: {_reason(error)}; {describe_newest(self.directory)}")

    def restore(self, like: Any, set_aside: bool = False) -> TrainState | None:
        """Returns the newest state that passes its checks, or None if no checkpoint was ever written.

        Args:
            like: Tree of `jax.ShapeDtypeStruct` with shardings, from `abstract_state`.
            set_aside: Moves damaged checkpoints that are newer than the restored one to `damaged/`, next to the
                directory, so that the run can write these steps again.

        Raises SystemFailure if there are checkpoints and all are damaged. Nothing is moved then.
        """
        damaged = []
        for step in reversed(self.steps()):
            folder = self.directory / str(step)
            try:
                state = self._restore(step, like)
            except Exception as error:
                warnings.warn(f"{folder} is damaged and was skipped: {_reason(error)}", stacklevel=2)
                damaged.append(folder)
                continue
            if set_aside and damaged:
                self._set_aside(damaged)
            return state
        if damaged:
            raise SystemFailure(
                f"no good checkpoint is left in {self.directory}; damaged: {', '.join(d.name for d in damaged)}"
            )
        return None

    def restore_step(self, step: int, like: Any) -> TrainState:
        """Returns the state of one step. Raises SystemFailure if it is missing or fails its checks."""
        try:
            return self._restore(step, like)
        except Exception as error:
            raise SystemFailure(f"{self.directory / str(step)} cannot be read: {_reason(error)}") from error

    def _restore(self, step: int, like: Any) -> TrainState:
        args = ocp.args.Composite(state=ocp.args.StandardRestore(like), meta=ocp.args.JsonRestore())
        restored = self.manager.restore(step, args=args)
        expected, actual = restored.meta["checksums"], checksums(restored.state)
        for name in sorted(expected.keys() | actual.keys()):
            if expected.get(name) != actual.get(name):
                raise ValueError(f"the checksum of {name} does not match")
        return restored.state

    def _set_aside(self, folders: list[Path]) -> None:
        if jax.process_index() == 0:
            target = self.directory.parent / "damaged"
            target.mkdir(exist_ok=True)
            for folder in folders:
                os.replace(folder, target / f"{folder.name}-{os.getpid()}")
        self.manager.reload()

    def close(self) -> None:
        """Waits for pending writes and closes the directory."""
        self.wait()
        self.manager.close()


def describe_newest(directory: Path) -> str:
    """Returns a sentence part that names the newest complete checkpoint."""
    steps = [int(folder.name) for folder in directory.glob("*") if folder.name.isdigit()]
    return f"the last good checkpoint is {directory / str(max(steps))}" if steps else "there is no checkpoint yet"


def checksums(state: Any) -> dict[str, int]:
    """Returns the CRC-32 of the bytes of every leaf, by its path."""
    leaves = jax.tree_util.tree_leaves_with_path(jax.device_get(state))
    return {
        jax.tree_util.keystr(path, simple=True, separator="/"): zlib.crc32(np.ascontiguousarray(x))
        for path, x in leaves
    }


def _reason(error: BaseException) -> str:
    while error.__cause__ is not None:  # The first cause names the file that could not be read.
        error = error.__cause__
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
