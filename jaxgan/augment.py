"""Differentiable augmentation of what a discriminator sees (Zhao et al. 2020, DiffAugment).

Real and fake images go through the same distribution of transformations, in both players' moves, and the generator's
gradient flows through them. Images are [B, H, W, C] in [-1, 1]; `key` is one for the batch, or one per example.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import Array, lax

from jaxgan import latents

Augment = Callable[[Array, Array], Array]  # (images, key) -> images


def compose(*augments: Augment) -> Augment:
    """One augmentation after the other, each with draws of its own."""

    def composed(images: Array, key: Array) -> Array:
        keys = latents.per_example(key, len(images))
        for n, augment in enumerate(augments):
            images = augment(images, jax.vmap(jax.random.fold_in, (0, None))(keys, n))
        return images

    return composed


def brightness(images: Array, key: Array) -> Array:
    """Add U(-0.5, 0.5) to all of an image."""
    return images + _uniform(images, key, -0.5, 0.5)


def saturation(images: Array, key: Array) -> Array:
    """Stretch colours about the grey of their pixel by U(0, 2)."""
    grey = images.mean(-1, keepdims=True)
    return grey + (images - grey) * _uniform(images, key, 0.0, 2.0)


def contrast(images: Array, key: Array) -> Array:
    """Stretch an image about its mean by U(0.5, 1.5)."""
    mean = images.mean((1, 2, 3), keepdims=True)
    return mean + (images - mean) * _uniform(images, key, 0.5, 1.5)


def translation(images: Array, key: Array, ratio: float = 0.125) -> Array:
    """Shift by a whole number of pixels in each direction, up to `ratio` of the side; what enters is 0, mid-grey."""
    _, h, w, c = images.shape
    y, x = (int(side * ratio + 0.5) for side in (h, w))
    padded = jnp.pad(images, ((0, 0), (y, y), (x, x), (0, 0)))
    keys = latents.per_example(key, len(images))
    starts = jax.vmap(lambda key: jax.random.randint(key, [2], 0, jnp.array([2 * y + 1, 2 * x + 1])))(keys)
    return jax.vmap(lambda image, at: lax.dynamic_slice(image, (at[0], at[1], 0), (h, w, c)))(padded, starts)


def cutout(images: Array, key: Array, ratio: float = 0.5) -> Array:
    """Set to 0 a square of `ratio` of the side, whose centre is anywhere in the image; it may hang over the edge."""
    _, h, w, _ = images.shape
    keys = latents.per_example(key, len(images))

    def mask(key: Array) -> Array:
        inside = []
        for n, side in enumerate((h, w)):
            size = int(side * ratio + 0.5)
            first = jax.random.randint(jax.random.fold_in(key, n), [], 0, side + 1 - size % 2) - size // 2
            at = jnp.arange(side)
            inside.append((at >= first) & (at < first + size))
        return inside[0][:, None] & inside[1][None]

    return jnp.where(jax.vmap(mask)(keys)[..., None], 0.0, images)


colour = compose(brightness, saturation, contrast)  # the authors' "color"


def _uniform(images: Array, key: Array, low: float, high: float) -> Array:
    return latents.uniform(latents.per_example(key, len(images)), 1, 1, 1, minval=low, maxval=high)
