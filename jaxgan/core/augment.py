"""Differentiable augmentation of the discriminator's inputs (DiffAugment, Zhao et al. 2020).

Reals and fakes receive transformations from the same distribution, in the updates of both players, and the generator's
gradient passes through them. Images are [B, H, W, C] in [-1, 1]; `key` is one for the batch, or one per example.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax

from jaxgan.core import prng
from jaxgan.core.game import Scalars, TrainState

Transform = Callable[[Array, Array], Array]  # (images, key) -> images


class Augmentation(NamedTuple):
    """A transformation of everything that the discriminator sees, whose strength may adapt.

    Attributes:
        apply: (state, images, key) -> images.
        buffers: Initial values of the buffers that `apply` reads, as host arrays.
        update: (state, the discriminator's logits at transformed reals) -> (state with updated buffers, scalars to
            log), or None if nothing adapts.
        every: Steps between updates.
    """

    apply: Callable[[TrainState, Array, Array], Array]
    buffers: Mapping[str, Any] = {}
    update: Callable[[TrainState, Array], tuple[TrainState, Scalars]] | None = None
    every: int = 1


def compose(*transforms: Transform) -> Transform:
    """Returns the transformation that applies the given ones in order, each with independent draws."""

    def composed(images: Array, key: Array) -> Array:
        keys = prng.as_example_keys(key, len(images))
        for n, transform in enumerate(transforms):
            images = transform(images, prng.fold_in(keys, n))
        return images

    return composed


def always(transform: Transform) -> Augmentation:
    """Returns the augmentation that applies `transform` to all images; it does not depend on the training state."""
    return Augmentation(lambda state, images, key: transform(images, key))


def brightness(images: Array, key: Array) -> Array:
    """Returns x + u for each image x, with u from U(-0.5, 0.5)."""
    return images + _uniform(images, key, -0.5, 0.5)


def saturation(images: Array, key: Array) -> Array:
    """Returns m + u (x - m) for each image x, with m the mean of each pixel over channels and u from U(0, 2)."""
    grey = images.mean(-1, keepdims=True)
    return grey + (images - grey) * _uniform(images, key, 0.0, 2.0)


def contrast(images: Array, key: Array) -> Array:
    """Returns m + u (x - m) for each image x, with m its mean over all values and u from U(0.5, 1.5)."""
    mean = images.mean((1, 2, 3), keepdims=True)
    return mean + (images - mean) * _uniform(images, key, 0.5, 1.5)


def translation(images: Array, key: Array, ratio: float = 0.125) -> Array:
    """Shifts an image by whole pixels, up to `ratio` of its height and width; uncovered pixels become 0 (mid-grey)."""
    _, h, w, c = images.shape
    y, x = (int(side * ratio + 0.5) for side in (h, w))
    padded = jnp.pad(images, ((0, 0), (y, y), (x, x), (0, 0)))
    keys = prng.as_example_keys(key, len(images))
    starts = jax.vmap(lambda key: jax.random.randint(key, [2], 0, jnp.array([2 * y + 1, 2 * x + 1])))(keys)
    return jax.vmap(lambda image, at: lax.dynamic_slice(image, (at[0], at[1], 0), (h, w, c)))(padded, starts)


def cutout(images: Array, key: Array, ratio: float = 0.5) -> Array:
    """Sets a rectangle to 0. Its sides are `ratio` of the image's; its centre is uniform, so edges may clip it."""
    _, h, w, _ = images.shape
    keys = prng.as_example_keys(key, len(images))

    def mask(key: Array) -> Array:
        inside = []  # along each side
        for n, side in enumerate((h, w)):
            size = int(side * ratio + 0.5)
            first = jax.random.randint(jax.random.fold_in(key, n), [], 0, side + 1 - size % 2) - size // 2
            at = jnp.arange(side)
            inside.append((at >= first) & (at < first + size))
        return inside[0][:, None] & inside[1][None]

    return jnp.where(jax.vmap(mask)(keys)[..., None], 0.0, images)


colour = compose(brightness, saturation, contrast)  # "color" in the authors' code


def _uniform(images: Array, key: Array, low: float, high: float) -> Array:
    return prng.uniform(prng.as_example_keys(key, len(images)), 1, 1, 1, minval=low, maxval=high)
