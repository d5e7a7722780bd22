"""Where batches come from: pure functions of (key, step, position), with no iterator to save or to shard."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxgan import latents
from jaxgan.data.permutation import permute
from jaxgan.game import Batch


class Source(NamedTuple):
    """Arrays that live on the device, and a pure function that draws batches from them."""

    arrays: Mapping[str, Any]  # {} for a density
    batch: Callable[[Mapping[str, Any], Array, Array, Array], Batch]  # (arrays, key, step [], index [B])


def density(draw: Callable[[Array], Array]) -> Source:
    """Endless fresh examples, each `draw` of a key of its own."""

    def batch(arrays: Mapping[str, Any], key: Array, step: Array, index: Array) -> Batch:
        keys = latents.each(jax.random.fold_in(key, step), index)
        return {"real": jax.vmap(draw)(keys), "index": index}

    return Source({}, batch)


def images(images: np.ndarray, labels: np.ndarray | None, batch_size: int) -> Source:
    """A data set on the device: every image once an epoch, in an order that is new for each epoch and key.

    Batches run on over the border of two epochs, and drop nothing.

    Args:
        images: uint8 [N, H, W, C].
        labels: int32 [N], or None.
        batch_size: Of the whole batch, on all devices.
    """
    n = len(images)
    if images.dtype != np.uint8:
        raise ValueError(f"images are {images.dtype}; they are held as uint8, 0 to 255")
    if labels is not None and len(labels) != n:
        raise ValueError(f"{len(labels)} labels for {n} images")
    if n * batch_size > 2**32:
        raise ValueError(f"batch_size {batch_size} of {n} images overflows; use at most {2**32 // n}")

    def batch(arrays: Mapping[str, Any], key: Array, step: Array, index: Array) -> Batch:
        # Position p = step * batch_size + index overflows in a long run; N steps are batch_size whole epochs.
        step = step.astype(jnp.uint32)
        p = step % n * batch_size + index.astype(jnp.uint32)
        at = permute(p % n, n, key, epoch=step // n * batch_size + p // n)
        rows = {name: array[at] for name, array in arrays.items()}
        return rows | {"real": rows["real"].astype(jnp.float32) / 127.5 - 1.0, "index": index}

    arrays = {"real": images} if labels is None else {"real": images, "label": labels.astype(np.int32)}
    return Source(jax.tree.map(jnp.asarray, arrays), batch)


def unpaired(x: Source, y: Source) -> Source:
    """Two sources side by side, drawn independently: the examples of the first under "x", of the second under "y"."""

    def batch(arrays: Mapping[str, Any], key: Array, step: Array, index: Array) -> Batch:
        of = lambda n, s, name: s.batch(arrays[name], jax.random.fold_in(key, n), step, index)["real"]
        return {"x": of(0, x, "x"), "y": of(1, y, "y"), "index": index}

    return Source({"x": x.arrays, "y": y.arrays}, batch)
