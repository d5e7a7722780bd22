"""Data that do not fit on a device: read by grain in the order in which they would be drawn there, window by window."""

import concurrent.futures
import functools
import itertools
import os
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple, TypeVar

import jax
import numpy as np
from jax import Array

from jaxgan.data.permutation import permute_on_host
from jaxgan.errors import Problem

WINDOW = 2**24  # bytes of a window; two of them are on the devices
CHUNK = 16  # examples that are read by one call
FOREVER = 2**31 - 1

Arrays = Mapping[str, Any]
T = TypeVar("T")


class Rows(NamedTuple):
    """Arrays [B, ...] that are split over the devices as a batch is."""

    like: Arrays  # their shapes and dtypes
    read: Callable[[np.ndarray], Arrays]  # positions in the batch, those of one process [R] -> its rows [R, ...]


class Window(NamedTuple):
    """What the steps up to `stop` draw their batches from."""

    arrays: Arrays  # on the host, to be copied to every device; {} for a density
    stop: int = FOREVER  # the first step that they do not serve
    rows: Rows = Rows({}, lambda positions: {})

    @property
    def like(self) -> Arrays:
        """Shapes and dtypes of all that a batch is drawn from."""
        return {**self.arrays, **self.rows.like}


class Examples(NamedTuple):
    """Examples by number, which need not be in memory."""

    count: int
    take: Callable[[np.ndarray], Arrays]  # numbers [n] -> arrays [n, ...]


def windows(examples: Examples, batch_size: int, key: Array, step: int) -> Iterator[Window]:
    """Windows of as many batches as fit in WINDOW bytes, the first of them that which holds `step`.

    Where they begin depends on nothing else, so that a run goes on anywhere without a state of what reads. Their rows
    are {"stream": arrays [B, S, ...]}: of each position in the batch the examples of S steps, the first divisible by S.
    """
    if key.ndim:
        raise Problem("data that are streamed serve one seed; leave out --seeds, and train others one by one by --seed")
    one = examples.take(np.zeros(1, np.int64))
    steps = max(1, WINDOW // (batch_size * sum(x.nbytes for x in one.values())))
    like = {name: jax.ShapeDtypeStruct((batch_size, steps, *x.shape[1:]), x.dtype) for name, x in one.items()}
    words = np.asarray(jax.random.key_data(key))
    for first in itertools.count(step - step % steps, steps):
        at = functools.partial(places, examples.count, batch_size, words, np.arange(first, first + steps))
        read = lambda positions, at=at: {"stream": _read(examples, at(positions))}
        yield Window({}, first + steps, Rows({"stream": like}, read))


def places(count: int, batch_size: int, words: np.ndarray, steps: np.ndarray, positions: np.ndarray) -> np.ndarray:
    """The number [R, S] of the example at each of the positions [R] in the batches of the steps [S]."""
    index, epoch = turn(count, batch_size, steps.astype(np.uint32), positions.astype(np.uint32)[:, None])
    return permute_on_host(index, count, words, epoch)


def turn(count: int, batch_size: int, step: T, position: T) -> tuple[T, T]:
    """The place in its epoch of what comes at a position of the batch of a step, and the epoch; all uint32."""
    # Place step * batch_size + position overflows in a long run; `count` steps are batch_size whole epochs.
    p = step % count * batch_size + position
    return p % count, step // count * batch_size + p // count


def _read(examples: Examples, at: np.ndarray) -> Arrays:
    """Arrays [R, S, ...] of the examples of these numbers [R, S], by threads of grain."""
    import grain  # Takes a third of a second.

    numbers = np.split(at.ravel(), range(CHUNK, at.size, CHUNK))
    options = grain.ReadOptions(num_threads=os.cpu_count(), prefetch_buffer_size=2 * os.cpu_count())
    chunks = list(grain.MapDataset.source(numbers).map(examples.take).to_iter_dataset(options))
    joined = {name: np.concatenate([chunk[name] for chunk in chunks]) for name in chunks[0]}
    return {name: array.reshape(*at.shape, *array.shape[1:]) for name, array in joined.items()}


def ahead(windows: Iterator[Window], put: Callable[[Window], T]) -> Iterator[tuple[T, int]]:
    """Put each window on the devices, the next one while the present one is played; yields it and its `stop`."""
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        following = lambda: (put(window := next(windows)), window.stop)
        found = following()
        while found[1] < FOREVER:
            coming = pool.submit(following)
            yield found
            found = coming.result()
        yield found
