"""Where batches come from: pure functions of (key, step, position), with no iterator to save or to shard."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from jaxgan import latents
from jaxgan.data.datasets import Images, Taken, fits
from jaxgan.data.permutation import permute
from jaxgan.data.stream import Arrays, Examples, Window, turn, windows
from jaxgan.errors import Problem
from jaxgan.game import Batch


class Source(NamedTuple):
    """A pure function that draws batches, and the arrays it draws them from. Nothing is read before they are asked."""

    windows: Callable[[Array, int], Iterator[Window]]  # (key, step) -> those that serve the steps from that one on
    batch: Callable[[Arrays, Array, Array, Array], Batch]  # (arrays, key, step [], index [B])


def hold(load: Callable[[], Arrays]) -> Callable[[Array, int], Iterator[Window]]:
    """One window of the same arrays for all steps."""
    return lambda key, step: iter([Window(load())])


def held(source: Source) -> Arrays:
    """What a source holds for all steps. Raises Problem if it is streamed."""
    window = next(source.windows(jax.random.key(0), 0))
    if window.rows.like:
        raise Problem("what draws several examples at a time needs data that fit in memory, and these are streamed")
    return window.arrays


def density(draw: Callable[[Array], Array]) -> Source:
    """Endless fresh examples, each `draw` of a key of its own."""

    def batch(arrays: Arrays, key: Array, step: Array, index: Array) -> Batch:
        keys = latents.each(jax.random.fold_in(key, step), index)
        return {"real": jax.vmap(draw)(keys), "index": index}

    return Source(hold(dict), batch)


def images(load: Callable[[], Images], batch_size: int, flip: bool = False, dequantise: bool = False) -> Source:
    """A data set: every image once an epoch, in an order that is new for each epoch and key.

    Batches run on over the border of two epochs, and drop nothing. What fits (`datasets.HELD`) is on every device, and
    batches are drawn there; what does not is streamed, and the batches are the same.

    Args:
        load: The data set; called when training begins, and not before.
        batch_size: Of the whole batch, on all devices.
        flip: Mirror each image, left to right, with probability 1/2.
        dequantise: Spread each grey level evenly over the 1/256 of the range that it stands for.
    """

    def named(found: Taken) -> Arrays:
        pixels, labels = found
        return {"real": pixels} if labels is None else {"real": pixels, "label": labels}

    return _epochs(lambda: (load(),), named, batch_size, flip, dequantise)


def paired(load: Callable[[], tuple[Images, Images]], batch_size: int, flip: bool = False) -> Source:
    """Two data sets image by image: one of the first under "x", and what belongs to it, of the second, under "y"."""
    return _epochs(load, lambda x, y: {"x": x[0], "y": y[0]}, batch_size, flip, dequantise=False)


def unpaired(x: Source, y: Source) -> Source:
    """Two sources side by side, drawn independently: the examples of the first under "x", of the second under "y"."""

    def batch(arrays: Arrays, key: Array, step: Array, index: Array) -> Batch:
        of = lambda n, s, name: s.batch(arrays[name], jax.random.fold_in(key, n), step, index)["real"]
        return {"x": of(0, x, "x"), "y": of(1, y, "y"), "index": index}

    return Source(hold(lambda: {"x": held(x), "y": held(y)}), batch)


def stacked(source: Source, classes: int = 10) -> Source:
    """Three independent grey images as the colours of one, and labels, if any, as the digits of one in [0, classes³).

    Of MNIST it makes the 1,000 modes of Stacked MNIST (Metz et al. 2016, section 3.3.1).
    """

    def batch(arrays: Arrays, key: Array, step: Array, index: Array) -> Batch:
        drawn = [source.batch(arrays, jax.random.fold_in(key, n), step, index) for n in range(3)]
        batch = {"real": jnp.concatenate([d["real"] for d in drawn], axis=-1), "index": index}
        if "label" not in drawn[0]:
            return batch
        return batch | {"label": (drawn[0]["label"] * classes + drawn[1]["label"]) * classes + drawn[2]["label"]}

    return Source(hold(lambda: held(source)), batch)


def _epochs(
    load: Callable[[], tuple[Images, ...]],
    named: Callable[..., Arrays],  # what is taken of each data set -> arrays by name
    batch_size: int,
    flip: bool,
    dequantise: bool,
) -> Source:
    """Data sets of which a batch takes the same places; arrays of uint8 are images."""

    def rows(arrays: Arrays, key: Array, step: Array, index: Array) -> Arrays:
        if "stream" in arrays:  # Their own already, one for each step of the window.
            return {name: array[:, step % array.shape[1]] for name, array in arrays["stream"].items()}
        n = len(jax.tree.leaves(arrays)[0])
        place, epoch = turn(n, batch_size, step.astype(jnp.uint32), index.astype(jnp.uint32))
        at = permute(place, n, key, epoch)
        return {name: jnp.asarray(array)[at] for name, array in arrays.items()}

    def batch(arrays: Arrays, key: Array, step: Array, index: Array) -> Batch:
        drawn = rows(arrays, key, step, index)
        keys = latents.each(jax.random.fold_in(key, step), index)
        for name, array in drawn.items():
            if array.dtype == jnp.uint8:
                drawn[name] = _scaled(array, keys, dequantise)
        if flip:
            turned = jax.vmap(jax.random.bernoulli)(jax.vmap(jax.random.fold_in, (0, None))(keys, 1))
            mirrored = lambda x: jnp.where(turned[:, None, None, None], x[:, :, ::-1], x)
            drawn = {name: mirrored(x) if x.ndim == 4 else x for name, x in drawn.items()}
        return drawn | {"index": index}

    def serve(key: Array, step: int) -> Iterator[Window]:
        sets = load()
        n = len(sets[0])
        if len(sets[-1]) != n:
            raise Problem(f"{n} images of {sets[0].name} cannot be paired with {len(sets[-1])} of {sets[-1].name}")
        if n * batch_size > 2**32:
            raise Problem(f"batch_size {batch_size} of {n} images overflows; use at most {2**32 // n}")
        if fits(*sets):
            return iter([Window(named(*(data.whole().take(slice(None)) for data in sets)))])
        return windows(
            Examples(n, lambda numbers: named(*(data.take(numbers) for data in sets))), batch_size, key, step
        )

    return Source(serve, batch)


def _scaled(x: Array, keys: Array, dequantise: bool) -> Array:
    """Images uint8 [B, H, W, C] as float32 in [-1, 1]."""
    if not dequantise:
        return x.astype(jnp.float32) / 127.5 - 1.0
    noise = latents.uniform(jax.vmap(jax.random.fold_in, (0, None))(keys, 0), *x.shape[1:])
    return (x.astype(jnp.float32) + noise) / 128.0 - 1.0
