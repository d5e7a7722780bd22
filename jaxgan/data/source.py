"""Where batches come from: pure functions of (key, step, position), with no iterator to save or to shard."""

import itertools
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxgan import latents
from jaxgan.data.datasets import Dataset
from jaxgan.data.permutation import permute
from jaxgan.game import Batch

Arrays = Mapping[str, Any]
FOREVER = 2**31 - 1


class Window(NamedTuple):
    """What the steps up to `stop` draw their batches from."""

    arrays: Arrays  # on the host; {} for a density
    stop: int = FOREVER  # the first step that they do not serve


class Source(NamedTuple):
    """A pure function that draws batches, and the arrays it draws them from. Nothing is read before they are asked."""

    windows: Callable[[Array, int], Iterator[Window]]  # (key, step) -> those that serve the steps from that one on
    batch: Callable[[Arrays, Array, Array, Array], Batch]  # (arrays, key, step [], index [B])


def hold(load: Callable[[], Arrays]) -> Callable[[Array, int], Iterator[Window]]:
    """One window of the same arrays for all steps."""
    return lambda key, step: itertools.repeat(Window(load()))


def density(draw: Callable[[Array], Array]) -> Source:
    """Endless fresh examples, each `draw` of a key of its own."""

    def batch(arrays: Arrays, key: Array, step: Array, index: Array) -> Batch:
        keys = latents.each(jax.random.fold_in(key, step), index)
        return {"real": jax.vmap(draw)(keys), "index": index}

    return Source(hold(dict), batch)


def images(load: Callable[[], Dataset], batch_size: int, flip: bool = False, dequantise: bool = False) -> Source:
    """A data set on the device: every image once an epoch, in an order that is new for each epoch and key.

    Batches run on over the border of two epochs, and drop nothing.

    Args:
        load: The data set; called when training begins, and not before.
        batch_size: Of the whole batch, on all devices.
        flip: Mirror each image, left to right, with probability 1/2.
        dequantise: Spread each grey level evenly over the 1/256 of the range that it stands for.
    """

    def rows() -> Arrays:
        data = load()
        _check(data)
        return {"real": data.images} if data.labels is None else {"real": data.images, "label": data.labels}

    return _epochs(rows, batch_size, flip, dequantise)


def paired(load: Callable[[], tuple[Dataset, Dataset]], batch_size: int, flip: bool = False) -> Source:
    """Two data sets image by image: one of the first under "x", and what belongs to it, of the second, under "y"."""

    def rows() -> Arrays:
        x, y = load()
        _check(x)
        _check(y)
        if len(x.images) != len(y.images):
            raise ValueError(f"{len(x.images)} images of {x.name} cannot be paired with {len(y.images)} of {y.name}")
        return {"x": x.images, "y": y.images}

    return _epochs(rows, batch_size, flip, dequantise=False)


def unpaired(x: Source, y: Source) -> Source:
    """Two sources side by side, drawn independently: the examples of the first under "x", of the second under "y"."""

    def load() -> Arrays:
        of = lambda source: next(source.windows(jax.random.key(0), 0))
        return {"x": of(x).arrays, "y": of(y).arrays}

    def batch(arrays: Arrays, key: Array, step: Array, index: Array) -> Batch:
        of = lambda n, s, name: s.batch(arrays[name], jax.random.fold_in(key, n), step, index)["real"]
        return {"x": of(0, x, "x"), "y": of(1, y, "y"), "index": index}

    return Source(hold(load), batch)


def stacked(source: Source, classes: int = 10) -> Source:
    """Three independent grey images as the colours of one, and their labels as the digits of one in [0, classes³).

    Of MNIST it makes the 1,000 modes of Stacked MNIST (Metz et al. 2016, section 3.3.1).
    """

    def batch(arrays: Arrays, key: Array, step: Array, index: Array) -> Batch:
        drawn = [source.batch(arrays, jax.random.fold_in(key, n), step, index) for n in range(3)]
        label = (drawn[0]["label"] * classes + drawn[1]["label"]) * classes + drawn[2]["label"]
        return {"real": jnp.concatenate([d["real"] for d in drawn], axis=-1), "label": label, "index": index}

    return Source(source.windows, batch)


def _epochs(rows: Callable[[], Arrays], batch_size: int, flip: bool, dequantise: bool) -> Source:
    """Arrays [N, ...] from which a batch takes the same rows of each; uint8 ones are images."""

    def batch(arrays: Arrays, key: Array, step: Array, index: Array) -> Batch:
        n = len(jax.tree.leaves(arrays)[0])
        # Position p = step * batch_size + index overflows in a long run; N steps are batch_size whole epochs.
        place = step.astype(jnp.uint32)
        p = place % n * batch_size + index.astype(jnp.uint32)
        at = permute(p % n, n, key, epoch=place // n * batch_size + p // n)
        drawn = {name: jnp.asarray(array)[at] for name, array in arrays.items()}
        keys = latents.each(jax.random.fold_in(key, step), index)
        for name, array in drawn.items():
            if array.dtype == jnp.uint8:
                drawn[name] = _scaled(array, keys, dequantise)
        if flip:
            turned = jax.vmap(jax.random.bernoulli)(jax.vmap(jax.random.fold_in, (0, None))(keys, 1))
            turn = lambda x: jnp.where(turned[:, None, None, None], x[:, :, ::-1], x)
            drawn = {name: turn(x) if x.ndim == 4 else x for name, x in drawn.items()}
        return drawn | {"index": index}

    def load() -> Arrays:
        arrays = rows()
        n = len(arrays[min(arrays)])
        if n * batch_size > 2**32:
            raise ValueError(f"batch_size {batch_size} of {n} images overflows; use at most {2**32 // n}")
        return arrays

    return Source(hold(load), batch)


def _scaled(x: Array, keys: Array, dequantise: bool) -> Array:
    """Images uint8 [B, H, W, C] as float32 in [-1, 1]."""
    if not dequantise:
        return x.astype(jnp.float32) / 127.5 - 1.0
    noise = latents.uniform(jax.vmap(jax.random.fold_in, (0, None))(keys, 0), *x.shape[1:])
    return (x.astype(jnp.float32) + noise) / 128.0 - 1.0


def _check(data: Dataset) -> None:
    if data.images.dtype != np.uint8:
        raise ValueError(f"images of {data.name} are {data.images.dtype}; they are held as uint8, 0 to 255")
    if data.labels is not None and len(data.labels) != len(data.images):
        raise ValueError(f"{data.name} has {len(data.labels)} labels for {len(data.images)} images")
