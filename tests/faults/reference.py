"""A run that was never disturbed, and what a run must be after a fault."""

import dataclasses
import shutil
import warnings
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any
from unittest import mock

import optax

from jaxgan.core import losses, penalties, prng
from jaxgan.data import synthetic
from jaxgan.errors import UserError
from jaxgan.networks import mlp
from jaxgan.runs import registry, targets
from jaxgan.runs.run import load, load_steps, train_entry
from jaxgan.training import experiment, monitor
from jaxgan.training.checkpoint import checksums
from jaxgan.training.experiment import Experiment, setting
from jaxgan.training.metric_log import read_log
from jaxgan.training.workdir import saved_steps

NAME = "faults/ring"
SAVE_EVERY = 10
STEPS = 400


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(experiment.Config):
    """Settings of a run that is small and saves often."""

    steps: int = STEPS
    batch_size: int = 16
    log_every: int = SAVE_EVERY
    sample_every: int = 50
    evaluate_every: int = 50
    save_every: int = SAVE_EVERY
    width: int = setting(8, "units of a hidden layer")


def build(config: Config) -> Experiment:
    """Returns small fully connected networks on a ring of Gaussians."""
    adam = optax.adam(1e-3, b1=0.5)
    return targets.density(synthetic.ring()).two_player(
        config,
        mlp.Generator((2,), config.width, depth=1),
        mlp.Critic(config.width, depth=1),
        losses.non_saturating,
        prng.normal_latent(2),
        g_optimizer=adam,
        d_optimizer=adam,
        penalty=penalties.r1,
    )


ENTRY = registry.Entry(NAME, Config(), build)


@dataclasses.dataclass(frozen=True)
class Reference:
    """A run that was never disturbed.

    Attributes:
        root: Holds `run`, the run with its newest checkpoints, and `other`, a run that differs in its seed.
        checksums: By step, of the states that it saved.
        log: Its records, without seconds.
    """

    root: Path
    checksums: Mapping[int, Mapping[str, int]]
    log: list[dict[str, Any]]


class Fault(Exception):
    """What a fault must not lead to. `kind` is lost, silent or traceback."""

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(text)
        self.kind = kind


def make_reference(root: Path) -> Reference:
    """Trains the undisturbed runs."""
    steps = range(SAVE_EVERY, STEPS + 1, SAVE_EVERY)
    train(root / "run", keep=steps)
    runs = load_steps(root / "run", ENTRY, Config(), steps)
    states = {run.step: checksums(run.state) for run in runs}
    for step in saved_steps(root / "run" / "checkpoints")[:-3]:
        shutil.rmtree(root / "run" / "checkpoints" / str(step))
    train(root / "other", steps=30, seed=1)
    return Reference(root, states, without_seconds(read_log(root / "run" / "metrics.jsonl")))


def without_seconds(log: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Returns records without what differs between equal runs."""
    return [{name: value for name, value in record.items() if name != "seconds"} for record in log]


def train(workdir: Path, keep: Collection[int] = (), **settings: Any) -> None:
    """Trains the run, with small evaluations."""
    with mock.patch.object(monitor, "EVALUATION_SAMPLES", 200):
        train_entry(ENTRY, Config(**settings), workdir, 1, keep=keep)


def check_state(reference: Reference, workdir: Path, at_least: int, may_warn: bool) -> None:
    """Loads a run. Raises Fault unless its state is that of the reference, or an error or warning says otherwise."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            state = load(workdir).state
        except UserError as error:
            if may_warn:
                return
            raise Fault("lost", f"nothing can be restored: {error}") from error
        except Exception as error:
            raise Fault("traceback", f"load: {type(error).__name__}: {error}") from error
    step = int(state.step)
    if checksums(state) != reference.checksums.get(step):
        raise Fault("silent", f"the state of step {step} is wrong")
    if step < at_least and not (may_warn and caught):
        raise Fault("silent" if may_warn else "lost", f"step {step} was restored, and {at_least} was complete")
