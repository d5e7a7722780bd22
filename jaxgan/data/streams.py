"""Data sets that do not fit on a device, read by grain window by window, in the order of the steps that use them."""

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
from jaxgan.errors import UserError

WINDOW_BYTES = 2**24  # of a window on all devices together, which hold two windows at a time
READ_SIZE = 16  # examples per read
FOREVER = 2**31 - 1

Arrays = Mapping[str, Any]
T = TypeVar("T")


class WindowData(NamedTuple):
    """The arrays from which batches are drawn.

    Attributes:
        replicated: Arrays that are whole on every device.
        sharded: Arrays [B, ...] that are split over the devices as a batch is.
    """

    replicated: Arrays = {}  # noqa: RUF012
    sharded: Arrays = {}  # noqa: RUF012


class ShardedArrays(NamedTuple):
    """Arrays [B, ...] that are split over the devices as a batch is, and read from disk shard by shard.

    Attributes:
        shapes: Shapes and dtypes of the whole arrays.
        read: positions in the batch [R] -> the rows [R, ...] at these positions.
    """

    shapes: Arrays
    read: Callable[[np.ndarray], Arrays]


class Window(NamedTuple):
    """The data for the steps before `stop`.

    Attributes:
        replicated: Host arrays to be copied to every device. Empty for a density and for a streamed data set.
        stop: The first step that needs the next window.
        sharded: Arrays to be split over the devices. Empty unless the data set is streamed.
    """

    replicated: Arrays
    stop: int = FOREVER
    sharded: ShardedArrays = ShardedArrays({}, lambda positions: {})

    @property
    def shapes(self) -> WindowData:
        """Arrays, or their shapes and dtypes, for shape inference."""
        return WindowData(self.replicated, self.sharded.shapes)


class Examples(NamedTuple):
    """Examples that are read by index: their number, and indices [n] -> arrays [n, ...] by name."""

    count: int
    read: Callable[[np.ndarray], Arrays]


def windows(examples: Examples, batch_size: int, key: Array, step: int, per_step: int = 1) -> Iterator[Window]:
    """Yields windows of as many steps as fit in `WINDOW_BYTES`, beginning with the one that contains `step`.

    A window of S batches holds sharded arrays [B, S, ...]: for each position in the batch, the examples of S
    consecutive batches. The number of its first is a multiple of S, so that a resumed run needs no state of the reader.

    Args:
        examples: The data set.
        batch_size: Size of the whole batch B, over all devices.
        key: Typed key [], which determines the order.
        step: The first step that will be taken.
        per_step: Batches that each step takes.

    Raises UserError if there are several keys. Errors of `examples.read` pass through.
    """
    if key.ndim:
        raise UserError(
            "streamed data serve one seed; leave out --seeds, and train the other seeds one by one with --seed"
        )
    first_example = examples.read(np.zeros(1, np.int64))
    num_steps = max(1, WINDOW_BYTES // (batch_size * per_step * sum(x.nbytes for x in first_example.values())))
    leading = batch_size, num_steps * per_step
    shapes = {name: jax.ShapeDtypeStruct((*leading, *x.shape[1:]), x.dtype) for name, x in first_example.items()}
    key_data = np.asarray(jax.random.key_data(key))

    def read(batches: np.ndarray, positions: np.ndarray) -> Arrays:
        return _read(examples, example_indices(examples.count, batch_size, key_data, batches, positions))

    for first in itertools.count(step - step % num_steps, num_steps):
        stop = first + num_steps
        batches = np.arange(first * per_step, stop * per_step)
        yield Window({}, stop, ShardedArrays(shapes, functools.partial(read, batches)))


def joint_windows(by_name: Mapping[str, Iterator[Window]]) -> Iterator[Window]:
    """Yields windows that hold those of several iterators side by side: arrays by the iterator's name, then by theirs.

    A window ends where the first of its parts does. Parts that last longer are copied to the devices again with the
    next window; parts whose images have the same size end together.
    """
    current = {name: next(windows) for name, windows in by_name.items()}
    while True:
        stop = min(window.stop for window in current.values())
        yield _join(current, stop)
        if stop == FOREVER:
            return
        current = {name: next(by_name[name]) if window.stop == stop else window for name, window in current.items()}


def _join(parts: Mapping[str, Window], stop: int) -> Window:
    sharded = {name: window.sharded for name, window in parts.items() if window.sharded.shapes}
    read = lambda positions: {name: arrays.read(positions) for name, arrays in sharded.items()}
    shapes = {name: arrays.shapes for name, arrays in sharded.items()}
    return Window({name: window.replicated for name, window in parts.items()}, stop, ShardedArrays(shapes, read))


def example_indices(
    count: int, batch_size: int, key_data: np.ndarray, steps: np.ndarray, positions: np.ndarray
) -> np.ndarray:
    """Returns the indices [R, S] of the examples at positions [R] of the batches of steps [S].

    Args:
        count: Number of examples in the data set.
        batch_size: Size of the whole batch, over all devices.
        key_data: `jax.random.key_data` of the key, as a NumPy array.
        steps: Integers [S].
        positions: Integers [R] in [0, batch_size).
    """
    index, epoch = epoch_position(count, batch_size, steps.astype(np.uint32), positions.astype(np.uint32)[:, None])
    return permute_on_host(index, count, key_data, epoch)


def epoch_position(count: int, batch_size: int, step: T, position: T) -> tuple[T, T]:
    """Returns the position in the epoch, and the epoch, of the example at `position` in the batch of `step`.

    All are uint32. `count` is the number of examples in the data set. Batches continue over the end of an epoch.
    """
    # step * batch_size + position would overflow in a long run. `count` steps are exactly batch_size epochs.
    p = step % count * batch_size + position
    return p % count, step // count * batch_size + p // count


def _read(examples: Examples, indices: np.ndarray) -> Arrays:
    """Returns arrays [R, S, ...] of the examples at indices [R, S], read by threads."""
    import grain  # Takes a third of a second to import.

    blocks = np.split(indices.ravel(), range(READ_SIZE, indices.size, READ_SIZE))
    options = grain.ReadOptions(num_threads=os.cpu_count(), prefetch_buffer_size=2 * os.cpu_count())
    blocks = list(grain.MapDataset.source(blocks).map(examples.read).to_iter_dataset(options))
    arrays = {name: np.concatenate([block[name] for block in blocks]) for name in blocks[0]}
    return {name: array.reshape(*indices.shape, *array.shape[1:]) for name, array in arrays.items()}


def prefetch(windows: Iterator[Window], put: Callable[[Window], T]) -> Iterator[tuple[T, int]]:
    """Yields (put(window), window.stop) for each window, and puts the next one meanwhile in a thread.

    Args:
        windows: Ends with a window whose stop is `FOREVER`, or never.
        put: Copies a window to the devices.

    An error of `windows` or `put` is raised when the window that failed is requested.
    """

    def put_next() -> tuple[T, int]:
        window = next(windows)
        return put(window), window.stop

    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        current = put_next()
        while current[1] < FOREVER:
            upcoming = pool.submit(put_next)
            yield current
            current = upcoming.result()
        yield current
