"""Samples from a training state, and the experiment's own metrics of them."""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxgan.core import prng
from jaxgan.core.game import TrainState
from jaxgan.render.outputs import Samples
from jaxgan.settings import Settings, setting
from jaxgan.training import memory
from jaxgan.training.experiment import Experiment
from jaxgan.training.metric_log import summarise_seeds

CHUNK = 64  # samples per call of the compiled sampler
CHUNK_PIXELS = 2**18  # of the images that are translated in one call, so that memory does not grow with their size
CPU_CHUNK_PIXELS = 2**16  # the same on the CPU, where larger maps exceed the cache: CycleGAN takes half the time


@dataclasses.dataclass(frozen=True, kw_only=True)
class SampleSettings(Settings):
    """Which samples to draw from a run."""

    n: int = setting(64, "how many samples", high=10**7)
    seed: int = setting(0, "seed of the samples", low=0, high=2**32 - 1)
    member: int = setting(0, "which of the seeds that were trained together, from 0", low=0)


@dataclasses.dataclass(frozen=True, kw_only=True)
class EvaluationSettings(Settings):
    """Which samples of a run to measure, and what they are compared with."""

    samples: int = setting(10_000, "how many samples to draw", low=2, high=10**7)
    reals: int | None = setting(
        None, "how many real images to compare with, a random subset; all by default", low=2, high=10**9
    )
    seed: int = setting(0, "seed of the samples", low=0, high=2**32 - 1)


Sampler = Callable[..., Samples]


@functools.lru_cache(8)  # Previews, evaluations and `Run.sample` share one compiled sampler.
def make_sampler(experiment: Experiment, options: Any = None) -> Sampler:
    """Returns `sample(state, n, seed, labels=None) -> samples [n, ...]`, which uses averaged parameters.

    Sample i depends on the state, `seed`, i, its label and the options alone. Their type is that of
    `experiment.output`, for example uint8 for images.

    Args:
        experiment: The experiment.
        options: A dataclass like `experiment.sample_options`, which is the default.
    """
    options = options or experiment.sample_options
    option_values = {} if options is None else {f.name: getattr(options, f.name) for f in dataclasses.fields(options)}

    @jax.jit
    def sample_chunk(state: TrainState, seed: Array, start: Array, *given: Array) -> Array:
        keys = sample_keys(seed, start, len(given[0]) if given else CHUNK)
        return experiment.sample(state.with_ema(), keys, *map(_scale_images, given), **option_values)

    def sample(state: TrainState, n: int, seed: int, labels: Sequence[int] | None = None) -> Samples:
        size = chunk_size(experiment.inputs.shape) if experiment.inputs else CHUNK
        samples = None

        def store(start: int, chunk: Array) -> None:
            nonlocal samples
            chunk = jax.device_get(chunk)
            if samples is None:
                require_host_memory(n, chunk)
                samples = np.empty((n, *chunk.shape[1:]), chunk.dtype)
            samples[start : start + size] = chunk[: n - start]

        pending = None
        for start in range(0, n, size):
            given = _given(experiment, start + np.arange(size), labels)
            # The previous chunk is copied to the host while the device computes this one.
            previous, pending = pending, (start, sample_chunk(state, np.uint32(seed), np.int32(start), *given))
            if previous is not None:
                store(*previous)
        store(*pending)
        return experiment.output.postprocess(samples)

    return sample


def require_host_memory(n: int, chunk: np.ndarray) -> None:
    """Raises UserError if n samples like those in `chunk` do not fit in the memory of the machine."""
    needed, need = n * chunk[0].nbytes, f"{n:,} samples need {{}} of memory"
    memory.require(needed, memory.host_memory(), need, "draw fewer at a time, with several seeds")


def sample_keys(seed: Array, start: Array | int, n: int = CHUNK) -> Array:
    """Returns the keys [n] of samples start, start + 1, ..."""
    return prng.example_keys(jax.random.key(seed), start + jnp.arange(n))


def interpolate(
    experiment: Experiment,
    state: TrainState,
    n: int,
    frames: int,
    seed: int,
    labels: Sequence[int] | None = None,
    options: Any = None,
) -> np.ndarray:
    """Returns samples [n, frames, ...] on the way from sample i to sample i + 1, for i = 0, ..., n - 1.

    The first frame of a row is the sample itself, and all frames of a row have its label. The arguments are those of
    `make_sampler`; n is at most `CHUNK` - 1.
    """
    options = options or experiment.sample_options
    option_values = {} if options is None else {f.name: getattr(options, f.name) for f in dataclasses.fields(options)}
    all_labels = np.int32(labels) if labels is not None else cyclic_labels(experiment, n)
    chunk_labels = [np.resize(all_labels, CHUNK)] if experiment.classes else []

    @jax.jit
    def frame(state: TrainState, t: Array, *labels: Array) -> Array:
        keys = sample_keys(jnp.uint32(seed), 0)
        return experiment.interpolate(state.with_ema(), keys, jnp.roll(keys, -1), t, *labels, **option_values)

    steps = [np.asarray(frame(state, jnp.float32(k / frames), *chunk_labels))[:n] for k in range(frames)]
    return np.stack([experiment.output.postprocess(step) for step in steps], 1)


def mix_grid(
    experiment: Experiment,
    state: TrainState,
    rows: int,
    columns: int,
    seed: int,
    labels: Sequence[int] | None = None,
    options: Any = None,
) -> np.ndarray:
    """Returns images [1 + rows, 1 + columns, ...], each with the styles of the first one in its row and its column.

    The first column has samples 0, ..., rows - 1 and the first row the next ones. The corner is white. The arguments
    are those of `make_sampler`, with labels for rows + columns samples.
    """
    options = options or experiment.sample_options
    option_values = {f.name: getattr(options, f.name) for f in dataclasses.fields(options)}

    @jax.jit
    def mix_chunk(state: TrainState, seed: Array, indices: Array, *labels: Array) -> Array:
        keys = lambda index: prng.example_keys(jax.random.key(seed), index)
        sources = [(keys(index), *(label[index] for label in labels)) for index in indices]
        return experiment.mix(state.with_ema(), *sources, **option_values)

    row, column = np.mgrid[: 1 + rows, : 1 + columns].reshape(2, -1)
    content = np.where(row > 0, row - 1, rows + column - 1)
    style = np.where(column > 0, rows + column - 1, content)
    indices = np.int32([content, style])
    indices[:, 0] = 0  # the corner
    all_labels = np.int32(labels) if labels is not None else cyclic_labels(experiment, rows + columns)
    given = [all_labels] if experiment.classes else []
    chunks = []
    for start in range(0, indices.shape[1], CHUNK):
        chunk = _fill(indices[:, start : start + CHUNK].T, CHUNK).T
        chunks.append(jax.device_get(mix_chunk(state, np.uint32(seed), chunk, *given)))
    images = np.concatenate(chunks)[: len(row)]
    images[0] = 1.0
    images = experiment.output.postprocess(images)
    return images.reshape(1 + rows, 1 + columns, *images.shape[1:])


@functools.lru_cache(8)
def make_translator(experiment: Experiment) -> Callable[[TrainState, np.ndarray, int], np.ndarray]:
    """Returns `translate(state, images, seed) -> images`, uint8, for images [N, H, W, C] of any admissible size.

    It uses averaged parameters. The noise of every image depends on `seed` alone, so that the translation of an image
    does not depend on the others.
    """

    @jax.jit
    def translate_chunk(state: TrainState, seed: Array, images: Array) -> Array:
        keys = prng.example_keys(jax.random.key(seed), jnp.zeros(len(images), jnp.int32))
        return experiment.sample(state.with_ema(), keys, _scale_images(images))

    def translate(state: TrainState, images: np.ndarray, seed: int) -> np.ndarray:
        n = len(images)
        size = min(chunk_size(images.shape[1:]), 2 ** (n - 1).bit_length())
        parts = [_fill(images[start : start + size], size) for start in range(0, n, size)]
        chunks = [jax.device_get(translate_chunk(state, jnp.uint32(seed), part)) for part in parts]
        return experiment.output.postprocess(np.concatenate(chunks)[:n])

    return translate


def chunk_size(shape: Sequence[int]) -> int:
    """Returns how many images of shape [H, W, C] are translated in one call."""
    pixels = CPU_CHUNK_PIXELS if jax.default_backend() == "cpu" else CHUNK_PIXELS
    return max(1, min(CHUNK, pixels // (shape[0] * shape[1])))


def _given(experiment: Experiment, indices: np.ndarray, labels: Sequence[int] | None) -> list[np.ndarray]:
    """Returns what the samples of these indices [S] are made from: labels, held-out images uint8, or nothing."""
    if experiment.inputs:
        images = experiment.inputs.load()
        return [images[indices % len(images)]]
    if experiment.classes:
        return [np.int32(indices % experiment.classes) if labels is None else np.int32(labels)[indices % len(labels)]]
    return []


def given_shapes(experiment: Experiment) -> list[jax.ShapeDtypeStruct]:
    """Returns the shapes of the arrays from which one sample is made, without its key."""
    if experiment.inputs:
        return [jax.ShapeDtypeStruct((1, *experiment.inputs.shape), jnp.float32)]
    return [jax.ShapeDtypeStruct((1,), jnp.int32)] if experiment.classes else []


def _fill(rows: np.ndarray, size: int) -> np.ndarray:
    """Returns `size` rows: the given ones, repeated."""
    return rows[np.arange(size) % len(rows)]


def _scale_images(x: Array) -> Array:
    """Returns images uint8 as float32 in [-1, 1], and other arrays unchanged."""
    return x.astype(jnp.float32) / 127.5 - 1.0 if x.dtype == jnp.uint8 else x


def cyclic_labels(experiment: Experiment, n: int) -> np.ndarray:
    """Returns the default labels of n samples, int32 [n]: i % classes, or 0 for an experiment without classes."""
    return (np.arange(n) % max(experiment.classes, 1)).astype(np.int32)


def split_seeds(state: TrainState, seeds: int) -> list[TrainState]:
    """Returns the states of the seeds that were trained together, one by one."""
    if seeds == 1:
        return [state]
    stacked = dataclasses.replace(state, step=None)
    return [dataclasses.replace(jax.tree.map(lambda x, k=k: x[k], stacked), step=state.step) for k in range(seeds)]


def evaluation_count(experiment: Experiment, n: int) -> int:
    """Returns how many samples an evaluation measures: n, but each held-out image is translated at most once."""
    return min(n, len(experiment.inputs.load())) if experiment.inputs else n


def evaluate_state(
    experiment: Experiment, state: TrainState, seeds: int, n: int, seed: int
) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """Measures `evaluation_count(experiment, n)` samples of each seed with the experiment's own metrics.

    Returns:
        values: Numbers, or summaries over the seeds (`summarise_seeds`), by `eval/name`.
        protocols: How each metric was measured, by name.

        Both are empty if the experiment has no metrics of its own.
    """
    if experiment.evaluate is None:
        return {}, {}
    sampler = make_sampler(experiment)
    n = evaluation_count(experiment, n)
    evaluations = [experiment.evaluate(sampler(one, n, seed), one) for one in split_seeds(state, seeds)]
    names = evaluations[0].values
    stacked = {name: np.array([evaluation.values[name] for evaluation in evaluations]) for name in names}
    values = {f"eval/{name}": summarise_seeds(v if seeds > 1 else v[0]) for name, v in stacked.items()}
    return values, evaluations[0].protocols
