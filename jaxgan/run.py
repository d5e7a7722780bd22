"""A trained run: its config, its state, and samples from it."""

import contextlib
import dataclasses
import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.sharding import SingleDeviceSharding

from jaxgan import latents, metrics
from jaxgan.data.stream import Arrays
from jaxgan.errors import Problem
from jaxgan.game import TrainState, init
from jaxgan.registry import Config, Entry, Experiment
from jaxgan.rounds import Rounds, make_rounds, over_seeds, parts
from jaxgan.workdir import protocol, read_config

CHUNK = 64  # samples made by one call of the compiled sampler

Sampler = Callable[..., np.ndarray]


@dataclasses.dataclass(frozen=True)
class Run:
    """What `load` and `train` give: everything needed to sample from a run and to measure it."""

    workdir: Path
    entry: Entry
    config: Config
    experiment: Experiment
    state: TrainState  # of all seeds: with more than one, all leaves but the step have a leading axis

    @property
    def step(self) -> int:
        """How many steps were trained."""
        return int(self.state.step)

    def sample(self, n: int, seed: int = 0, member: int = 0, labels: Sequence[int] | None = None) -> np.ndarray:
        """Draw n samples: images uint8 [n, H, W, C], or points float32 [n, D].

        Sample i depends on `seed`, i and its label alone, not on n. `member` chooses among seeds trained together, from
        0 on. Where there are classes sample i is of class labels[i], or else of class i % classes.
        """
        if n < 1:
            raise Problem(f"cannot draw {n} samples; ask for at least 1")
        if not 0 <= member < self.config.seeds:
            raise Problem(f"there is no member {member} in {self.workdir}, which trained {self.config.seeds}")
        if labels is not None and not (classes := self.experiment.classes):
            raise Problem(f"{self.entry.name} has no classes; labels cannot be asked of it")
        if labels is not None and (len(labels) != n or not all(0 <= label < classes for label in labels)):
            raise Problem(f"labels must be {n} numbers from 0 to {classes - 1}")
        return make_sampler(self.experiment)(self.members[member], n, seed, labels)

    def network(self, name: str, member: int = 0) -> Callable[..., Any]:
        """A network as a function of its inputs, with averaged weights where there are any, and not training."""
        (found,) = (n for n in self.experiment.game.networks if n.name == name)
        return found.bind(self.members[member].averaged(), train=False)

    def evaluate(self, samples: int = 10_000, seed: int = 0) -> dict[str, Any]:
        """Measure the run: its experiment's metrics with the protocol they were taken by."""
        found = evaluate(self.experiment, self.state, self.config.seeds, samples, seed)
        return found | protocol(self.entry, self.config, step=self.step, samples=samples, sample_seed=seed)

    @functools.cached_property
    def members(self) -> list[TrainState]:
        """The states of the seeds that were trained together, one by one."""
        return members(self.state, self.config.seeds)


def load(workdir: str | Path) -> Run:
    """Load the newest good checkpoint of a work directory. Runs no code from it. Raises Problem or Failed."""
    return restore(Path(workdir), *read_config(Path(workdir)))


def restore(workdir: Path, entry: Entry, config: Config) -> Run:
    """What `load` does once it knows what was trained."""
    from jaxgan.checkpoint import Checkpoints  # Orbax takes a second to import.

    experiment, rounds = build(entry, config)
    like = abstract_state(rounds, config, SingleDeviceSharding(jax.devices()[0]))
    with contextlib.closing(Checkpoints(workdir / "checkpoints", read_only=True)) as checkpoints:
        state = checkpoints.restore(like)
    if state is None:
        raise Problem(f"{workdir} has no checkpoint yet")
    return Run(workdir, entry, config, experiment, state)


def at_steps(workdir: Path, entry: Entry, config: Config, steps: Sequence[int]) -> tuple[Run, ...]:
    """A run as it was at each of `steps`, whose checkpoints were kept; 0 is the start. Raises Failed."""
    from jaxgan.checkpoint import Checkpoints

    experiment, rounds = build(entry, config)
    like = abstract_state(rounds, config, SingleDeviceSharding(jax.devices()[0]))
    with contextlib.closing(Checkpoints(workdir / "checkpoints", read_only=True)) as checkpoints:
        states = [checkpoints.restore_step(s, like) if s else jax.jit(rounds.start)(run_key(config)) for s in steps]
    return tuple(Run(workdir, entry, config, experiment, state) for state in states)


def build(entry: Entry, config: Config) -> tuple[Experiment, Rounds]:
    """The experiment, and how it starts and is played, for as many seeds as the config says."""
    experiment = entry.build(config)
    rounds = make_rounds(experiment.game, experiment.source, config.batch_size)
    return experiment, over_seeds(rounds) if config.seeds > 1 else rounds


def check(experiment: Experiment, config: Config, like: Arrays) -> None:
    """Raise a Problem if images that are made are not of the data's shape; `like` is what batches are drawn from."""

    def shapes(arrays: Arrays, key: Array) -> tuple[Array | None, Array]:
        batch = experiment.source.batch(arrays, key, jnp.int32(0), jnp.arange(config.batch_size))
        labels = [jnp.zeros(1, jnp.int32)] if experiment.classes else []
        return batch.get("real"), experiment.sample(init(experiment.game, key).averaged(), key[None], *labels)

    real, made = jax.eval_shape(shapes, like, jax.random.key(0))
    if real is not None and real.ndim == 4 and real.shape[1:] != made.shape[1:]:
        text = [" x ".join(map(str, x.shape[1:])) for x in (real, made)]
        raise Problem(f"the data are {text[0]} each, and this experiment makes {text[1]}; take data of that shape")


def run_key(config: Config) -> Array:
    """The key of a run: [], or [K] for K seeds."""
    if config.seeds == 1:
        return jax.random.key(config.seed)
    return jax.vmap(jax.random.key)(config.seed + jnp.arange(config.seeds))


def data_key(config: Config) -> Array:
    """The part of a run's key that its data follow from: [], or [K] for K seeds."""
    key = run_key(config)
    return parts(key)[1] if config.seeds == 1 else jax.vmap(parts)(key)[:, 1]


def abstract_state(rounds: Rounds, config: Config, sharding: Any) -> TrainState:
    """Shapes and dtypes of the state, to be restored to `sharding`."""
    shapes = jax.eval_shape(rounds.start, jax.eval_shape(lambda: run_key(config)))
    return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding), shapes)


def members(state: TrainState, seeds: int) -> list[TrainState]:
    """The states of the seeds that were trained together, one by one."""
    if seeds == 1:
        return [state]
    without_step = dataclasses.replace(state, step=None)
    take = lambda k: dataclasses.replace(jax.tree.map(lambda x: x[k], without_step), step=state.step)
    return [take(k) for k in range(seeds)]


@functools.lru_cache(8)  # All that looks at an experiment compiles one sampler.
def make_sampler(experiment: Experiment) -> Sampler:
    """Return `sample(state, n, seed, labels=None)`: draws of the averaged weights, in chunks of one compiled size."""

    @jax.jit
    def chunk(state: TrainState, seed: Array, start: Array, *labels: Array) -> Array:
        keys = latents.each(jax.random.key(seed), start + jnp.arange(CHUNK))
        return experiment.sample(state.averaged(), keys, *labels)

    def sample(state: TrainState, n: int, seed: int, labels: Sequence[int] | None = None) -> np.ndarray:
        asked = np.int32(labels) if labels is not None else in_turn(experiment, n)
        of_chunk = lambda start: [np.resize(asked[start : start + CHUNK], CHUNK)] if experiment.classes else []
        starts = range(0, n, CHUNK)
        chunks = [chunk(state, jnp.uint32(seed), jnp.int32(start), *of_chunk(start)) for start in starts]
        return finish(np.concatenate(jax.device_get(chunks))[:n])

    return sample


def in_turn(experiment: Experiment, n: int) -> np.ndarray:
    """The classes int32 [n] of samples of which no others are asked; 0 where there are none."""
    return (np.arange(n) % max(experiment.classes, 1)).astype(np.int32)


def finish(samples: np.ndarray) -> np.ndarray:
    """Images [N, H, W, C] in [-1, 1] as uint8, by rounding; points as they are."""
    return np.clip(np.rint((samples + 1.0) * 127.5), 0, 255).astype(np.uint8) if samples.ndim == 4 else samples


def evaluate(experiment: Experiment, state: TrainState, seeds: int, n: int, seed: int) -> dict[str, Any]:
    """The experiment's metrics of n samples, `eval/name`: numbers, or summaries over the seeds."""
    sampler = make_sampler(experiment)
    found = [experiment.evaluate(sampler(s, n, seed)) for s in members(state, seeds)]
    values = {name: np.array([f[name] for f in found]) for name in found[0]}
    return {f"eval/{name}": metrics.summary(v if seeds > 1 else v[0]) for name, v in values.items()}
