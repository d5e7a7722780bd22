"""Checkpoints that are trusted only after a check: Orbax, atomic and asynchronous, with a checksum for every leaf."""

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

from jaxgan.errors import Failed
from jaxgan.game import TrainState

KEPT = 3  # the newest: one may be damaged, and one being written


class Checkpoints:
    """The checkpoints of one run, in `directory/<step>/`."""

    def __init__(self, directory: Path, read_only: bool = False, keep: Collection[int] = ()) -> None:
        """Open the directory. Unless read-only, what a kill left half-written is removed.

        The newest few checkpoints stay, and those of the steps in `keep`.
        """
        self.directory = directory.resolve()
        kept = [preservation_policy.LatestN(KEPT), preservation_policy.CustomSteps(tuple(keep))]
        options = ocp.CheckpointManagerOptions(
            preservation_policy=preservation_policy.AnyPreservationPolicy(kept),
            create=not read_only,
            cleanup_tmp_directories=not read_only,
        )
        self.manager = ocp.CheckpointManager(self.directory, options=options)

    def steps(self) -> list[int]:
        """The steps that have a checkpoint, oldest first."""
        return sorted(self.manager.all_steps())

    def save(self, state: TrainState) -> None:
        """Start to write the state, which may change at once. Raises Failed if this write or the last cannot be."""
        step = int(state.step)
        if step in self.steps():
            return
        sums = ocp.args.JsonSave({"checksums": checksums(state)})
        try:
            self.manager.save(step, args=ocp.args.Composite(state=ocp.args.StandardSave(state), meta=sums))
        except Exception as error:
            raise self._failed(step, error) from error

    def wait(self) -> None:
        """Wait until all is written. Raises Failed if a write could not be finished."""
        try:
            self.manager.wait_until_finished()
        except Exception as error:
            raise self._failed(None, error) from error

    def _failed(self, step: int | None, error: Exception) -> Failed:
        what = f"the checkpoint of step {step}" if step is not None else "a checkpoint"
        return Failed(f"could not write {what}: {_reason(error)}; {newest(self.directory)}")

    def restore(self, like: Any, set_aside: bool = False) -> TrainState | None:
        """The newest state that passes its checks, or None if no checkpoint was ever written.

        Args:
          like: tree of `jax.ShapeDtypeStruct`, with shardings: where and as what the leaves come back.
          set_aside: move damaged checkpoints out of the way, into `damaged/` beside the folder, for a run that goes on.

        Raises Failed if there are checkpoints and none is good: nothing is moved or overwritten then.
        """
        damaged = []
        for step in reversed(self.steps()):
            folder = self.directory / str(step)
            try:
                state = self._restore(step, like)
            except Exception as error:
                warnings.warn(f"{folder} is damaged and not used: {_reason(error)}", stacklevel=2)
                damaged.append(folder)
                continue
            if set_aside and damaged:
                self._set_aside(damaged)
            return state
        if damaged:
            raise Failed(
                f"no good checkpoint is left in {self.directory}; damaged: {', '.join(d.name for d in damaged)}"
            )
        return None

    def restore_step(self, step: int, like: Any) -> TrainState:
        """The state of one step. Raises Failed if it is not there or fails its checks."""
        try:
            return self._restore(step, like)
        except Exception as error:
            raise Failed(f"{self.directory / str(step)} cannot be read: {_reason(error)}") from error

    def _restore(self, step: int, like: Any) -> TrainState:
        args = ocp.args.Composite(state=ocp.args.StandardRestore(like), meta=ocp.args.JsonRestore())
        found = self.manager.restore(step, args=args)
        want, have = found.meta["checksums"], checksums(found.state)
        for name in want.keys() | have.keys():
            if want.get(name) != have.get(name):
                raise ValueError(f"the checksum of {name} does not match")
        return found.state

    def _set_aside(self, folders: list[Path]) -> None:
        if jax.process_index() == 0:
            aside = self.directory.parent / "damaged"
            aside.mkdir(exist_ok=True)
            for folder in folders:
                os.replace(folder, aside / f"{folder.name}-{os.getpid()}")
        self.manager.reload()

    def close(self) -> None:
        """Wait for writes and let go of the directory."""
        self.wait()
        self.manager.close()


def newest(directory: Path) -> str:
    """Say which checkpoint is the newest that is whole."""
    steps = [int(folder.name) for folder in directory.glob("*") if folder.name.isdigit()]
    return f"the last good checkpoint is {directory / str(max(steps))}" if steps else "there is no checkpoint yet"


def checksums(state: Any) -> dict[str, int]:
    """CRC-32 of the bytes of every leaf, by its path."""
    leaves = jax.tree_util.tree_leaves_with_path(jax.device_get(state))
    return {
        jax.tree_util.keystr(path, simple=True, separator="/"): zlib.crc32(np.ascontiguousarray(x))
        for path, x in leaves
    }


def _reason(error: BaseException) -> str:
    while error.__cause__ is not None:  # The first cause names what could not be read.
        error = error.__cause__
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
