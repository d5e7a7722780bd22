"""Sources of batches: pure functions of (data, key, step, position in the batch), without an iterator to save."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax

from jaxgan.core import prng
from jaxgan.core.game import Batch
from jaxgan.data.datasets import ImageData, ImagesAndLabels, fits_in_memory
from jaxgan.data.permutation import permute
from jaxgan.data.streams import Arrays, Examples, Window, WindowData, epoch_position, joint_windows, windows
from jaxgan.errors import UserError


class Source(NamedTuple):
    """The batches of an experiment. Data are read when `windows` is called, and not before.

    Attributes:
        windows: (key [], step, per_step=1) -> the windows of data for this step and all later ones, where each step
            takes so many batches.
        batch: (data of the window, key [], number int32 [], index int32 [B]) -> the examples at positions `index` of
            the batch of this number. With one batch per step the number is the step.
        dequantised: Whether grey level k of an image is a random number in [k, k + 1) / 128 - 1 instead of
            k / 127.5 - 1. Samples are then rounded down to grey levels, see `render.outputs.to_uint8`.
    """

    windows: Callable[..., Iterator[Window]]
    batch: Callable[[WindowData, Array, Array, Array], Batch]
    dequantised: bool = False


def constant_window(load: Callable[[], Arrays]) -> Callable[..., Iterator[Window]]:
    """Returns `Source.windows` for data that all steps share: one window of the arrays that `load` returns."""
    return lambda key, step, per_step=1: iter([Window(load())])


def in_memory_arrays(source: Source) -> Arrays:
    """Returns the arrays that a source replicates for all steps. Raises UserError if it is streamed."""
    window = next(source.windows(jax.random.key(0), 0))
    if window.sharded.shapes:
        raise UserError(
            "a source that draws several examples at a time needs data that fit in memory, and these are streamed; "
            "use fewer or smaller images"
        )
    return window.replicated


def density(sample: Callable[[Array], Array]) -> Source:
    """Returns a source of fresh samples from a density, where `sample(key)` draws one point [D]."""

    def batch(data: WindowData, key: Array, step: Array, index: Array) -> Batch:
        keys = prng.example_keys(jax.random.fold_in(key, step), index)
        return {"real": jax.vmap(sample)(keys), "index": index}

    return Source(constant_window(dict), batch)


def images(
    load: Callable[[], ImageData],
    batch_size: int,
    flip: bool = False,
    dequantise: bool = False,
    crop: int | None = None,
) -> Source:
    """Returns a source of the images of a data set, each once per epoch, in a new order for each epoch and key.

    Batches continue over the end of an epoch, and no image is dropped. A data set of at most
    `datasets.MAX_IN_MEMORY_BYTES` is copied to every device; a larger one is streamed. The batches are the same.

    Args:
        load: Returns the data set.
        batch_size: Size of the whole batch, over all devices.
        flip: Mirror each image left to right with probability 1/2.
        dequantise: Add uniform noise of one grey level before scaling to [-1, 1].
        crop: Side in pixels of a random square crop of each image; whole images by default.
    """

    def by_name(data: ImagesAndLabels) -> Arrays:
        pixels, labels = data
        return {"real": pixels} if labels is None else {"real": pixels, "label": labels}

    return _epoch_source(lambda: (load(),), by_name, batch_size, flip, dequantise, crop)


def paired(
    load: Callable[[], tuple[ImageData, ImageData]], batch_size: int, flip: bool = False, crop: int | None = None
) -> Source:
    """Returns a source of image pairs, "x" from the first data set and "y" at the same index from the second.

    The images of a pair are mirrored and cropped alike. Raises UserError, when data are read, if the lengths differ, or
    if the sizes of y are not one multiple of those of x.

    Args:
        load: Returns the two data sets.
        batch_size: Size of the whole batch, over all devices.
        flip: Mirror each pair left to right with probability 1/2.
        crop: Side in pixels of a random square crop of x, and of the same part of y, which may have more pixels.
            Whole images by default.
    """
    return _epoch_source(load, lambda x, y: {"x": x[0], "y": y[0]}, batch_size, flip, dequantise=False, crop=crop)


def unpaired(x: Source, y: Source) -> Source:
    """Returns a source that draws examples "x" and "y" independently from two sources, which may be streamed."""
    sources = {"x": x, "y": y}

    def batch(data: WindowData, key: Array, step: Array, index: Array) -> Batch:
        part = lambda name: WindowData(data.replicated.get(name, {}), data.sharded.get(name, {}))
        examples = {
            name: source.batch(part(name), jax.random.fold_in(key, n), step, index)["real"]
            for n, (name, source) in enumerate(sources.items())
        }
        return {**examples, "index": index}

    def load_windows(key: Array, step: int, per_step: int = 1) -> Iterator[Window]:
        fold_in = prng.fold_in if key.ndim else jax.random.fold_in  # Several seeds have a key each.
        keys = {name: fold_in(key, n) for n, name in enumerate(sources)}
        return joint_windows({name: source.windows(keys[name], step, per_step) for name, source in sources.items()})

    return Source(load_windows, batch)


def arrays(load: Callable[[], Arrays], batch_size: int) -> Source:
    """Returns a source of the examples of host arrays, each once per epoch, in a new order for each epoch and key.

    Batches continue over the end of an epoch. Arrays of dtype uint8 are scaled to [-1, 1]; others are unchanged.

    Args:
        load: Returns arrays [N, ...] by name.
        batch_size: Size of the whole batch, over all devices.
    """

    def batch(data: WindowData, key: Array, step: Array, index: Array) -> Batch:
        examples = _select(data.replicated, batch_size, key, step, index)
        scaled = {name: _scale(x) if x.dtype == jnp.uint8 else x for name, x in examples.items()}
        return scaled | {"index": index}

    return Source(constant_window(load), batch)


def mapped(source: Source, f: Callable[[Batch], Batch]) -> Source:
    """Returns a source whose batches are `f` of those of another source."""
    return Source(source.windows, lambda *inputs: f(source.batch(*inputs)))


def stack_channels(source: Source, num_classes: int = 10) -> Source:
    """Returns a source that stacks three independent grey images as the channels of one.

    Labels, if there are any, are combined into one of num_classes³ classes; the first image has the most significant
    digit. MNIST gives Stacked MNIST with its 1,000 modes (Metz et al. 2016, section 3.3.1).

    Args:
        source: Images [B, H, W, 1] in memory.
        num_classes: Number of classes of these images.
    """

    def batch(data: WindowData, key: Array, step: Array, index: Array) -> Batch:
        channels = [source.batch(data, jax.random.fold_in(key, n), step, index) for n in range(3)]
        batch = {"real": jnp.concatenate([c["real"] for c in channels], axis=-1), "index": index}
        if "label" not in channels[0]:
            return batch
        first, second, third = (c["label"] for c in channels)
        return batch | {"label": (first * num_classes + second) * num_classes + third}

    return Source(constant_window(lambda: in_memory_arrays(source)), batch, source.dequantised)


def _epoch_source(
    load: Callable[[], tuple[ImageData, ...]],
    by_name: Callable[..., Arrays],
    batch_size: int,
    flip: bool,
    dequantise: bool,
    crop: int | None,
) -> Source:
    """Returns a source of one or more data sets of equal length, which are all read at the same indices.

    `by_name` takes images and labels of each data set and returns arrays by name. Those of dtype uint8 are images.
    """

    def crop_alike(arrays: Arrays, keys: Array) -> Arrays:
        images = {name: x for name, x in arrays.items() if x.dtype == jnp.uint8}
        h, w = next(iter(images.values())).shape[1:3]
        limits = jnp.array([h - crop + 1, w - crop + 1])
        corners = jax.vmap(lambda key: jax.random.randint(key, [2], 0, limits))(keys)

        def crop_one(image: Array, corner: Array) -> Array:
            scale = image.shape[0] // h
            top, left = scale * corner
            return lax.dynamic_slice(image, (top, left, 0), (scale * crop, scale * crop, image.shape[2]))

        return {**arrays, **{name: jax.vmap(crop_one)(x, corners) for name, x in images.items()}}

    def select(data: WindowData, key: Array, step: Array, index: Array) -> Arrays:
        if data.sharded:  # [b, S, ...]: the examples of S steps at the positions `index`.
            return {name: array[:, step % array.shape[1]] for name, array in data.sharded.items()}
        return _select(data.replicated, batch_size, key, step, index)

    def batch(data: WindowData, key: Array, step: Array, index: Array) -> Batch:
        arrays = select(data, key, step, index)
        keys = prng.example_keys(jax.random.fold_in(key, step), index)
        if crop:
            arrays = crop_alike(arrays, prng.fold_in(keys, 2))
        for name, array in arrays.items():
            if array.dtype == jnp.uint8:
                arrays[name] = _dequantise(array, keys) if dequantise else _scale(array)
        if flip:
            flipped = jax.vmap(jax.random.bernoulli)(prng.fold_in(keys, 1))
            maybe_flip = lambda x: jnp.where(flipped[:, None, None, None], x[:, :, ::-1], x)
            arrays = {name: maybe_flip(x) if x.ndim == 4 else x for name, x in arrays.items()}
        return arrays | {"index": index}

    def load_windows(key: Array, step: int, per_step: int = 1) -> Iterator[Window]:
        datasets = load()
        n = len(datasets[0])
        if len(datasets[-1]) != n:
            raise UserError(
                f"{n} images of {datasets[0].name} cannot be paired with {len(datasets[-1])} of {datasets[-1].name}; "
                "use data sets of equal length"
            )
        _check_sizes(datasets, crop)
        if n * batch_size > 2**32:
            raise UserError(f"batch_size {batch_size} with {n} images overflows uint32; use at most {2**32 // n}")
        if fits_in_memory(*datasets):
            return iter([Window(by_name(*(data.in_memory().read(slice(None)) for data in datasets)))])
        examples = Examples(n, lambda indices: by_name(*(data.read(indices) for data in datasets)))
        return windows(examples, batch_size, key, step, per_step)

    return Source(load_windows, batch, dequantise)


def _check_sizes(datasets: tuple[ImageData, ...], crop: int | None) -> None:
    """Raises UserError unless all images show the same area at one or several resolutions and have room for a crop."""
    first = datasets[0]
    h, w = first.shape[:2]
    for other in datasets[1:]:
        other_h, other_w = other.shape[:2]
        if other_h % h or other_h * w != other_w * h:
            raise UserError(
                f"{other.name} has images of {other_h} x {other_w}, which is no multiple of the {h} x {w} of "
                f"{first.name}; resize both to one size"
            )
    if crop and crop > min(h, w):
        raise UserError(f"a crop of {crop} pixels is larger than the images of {first.name}, {h} x {w}")


def _select(arrays: Arrays, batch_size: int, key: Array, step: Array, index: Array) -> Arrays:
    """Returns the examples of arrays [N, ...] at positions `index` of the batch of this step."""
    n = len(jax.tree.leaves(arrays)[0])
    position, epoch = epoch_position(n, batch_size, step.astype(jnp.uint32), index.astype(jnp.uint32))
    indices = permute(position, n, key, epoch)
    return {name: jnp.asarray(array)[indices] for name, array in arrays.items()}


def _scale(x: Array) -> Array:
    """Returns uint8 values as float32 in [-1, 1]."""
    return x.astype(jnp.float32) / 127.5 - 1.0


def _dequantise(x: Array, keys: Array) -> Array:
    """Returns images uint8 [B, H, W, C] as float32 in [-1, 1], with uniform noise of one grey level from keys [B]."""
    # Multiples of 2^-16, for which the sum is exact in float32. Otherwise it could be rounded to the next grey level.
    noise = jnp.floor(prng.uniform(prng.fold_in(keys, 0), *x.shape[1:]) * 2**16) / 2**16
    return (x.astype(jnp.float32) + noise) / 128.0 - 1.0
