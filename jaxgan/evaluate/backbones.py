"""What the published feature networks have in common: the check of images, batches over devices, ImageNet's scaling."""

from collections.abc import Callable
from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from tqdm import tqdm

from jaxgan.training.devices import Devices

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet's pixels in [0, 1]


def compute_features(
    compute: Callable[[chex.ArrayTree, np.ndarray], Any],
    variables: chex.ArrayTree,
    images: np.ndarray,
    batch_size: int,
    devices: Devices,
    title: str,
) -> Any:
    """Returns a network's outputs for images, as NumPy arrays with one row per image.

    Args:
        compute: (variables on the devices, images) -> arrays with a row per image, from `Devices.compile_rowwise`.
        variables: The network's weights, on the host.
        images: uint8 [N, H, W, C] of any size, C 1 or 3.
        batch_size: Images per device and call.
        devices: The devices.
        title: Name of the progress bar.

    Raises ValueError for images of another type or shape.
    """
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[-1] not in (1, 3) or not len(images):
        raise ValueError(f"images must be uint8 [N, H, W, 1 or 3], not {images.dtype} {list(images.shape)}")
    variables, size = devices.put_replicated(variables), batch_size * devices.mesh.size
    chunks, pending = [], None
    for start in tqdm(range(0, len(images), size), desc=title, disable=None):
        batch = images[start : start + size]
        padding = np.zeros((size - len(batch), *images.shape[1:]), np.uint8)
        # The previous batch is copied to the host while the devices compute this one.
        previous, pending = pending, compute(variables, np.concatenate([batch, padding]))
        chunks += [jax.device_get(previous)] if previous is not None else []
    chunks.append(jax.device_get(pending))
    return jax.tree.map(lambda *arrays: np.concatenate(arrays)[: len(images)], *chunks)


def imagenet_input(images: Array, size: int) -> Array:
    """Returns images uint8 [B, H, W, C] as float32 [B, size, size, 3], resized and scaled by ImageNet's statistics.

    The filter is bicubic and antialiased, and results are clipped to the range of pixels.
    """
    b, _, _, c = images.shape
    x = images.astype(jnp.float32)
    x = jax.image.resize(x, (b, size, size, c), "cubic", antialias=True, precision=jax.lax.Precision.HIGHEST)
    x = jnp.broadcast_to(jnp.clip(x, 0.0, 255.0) / 255.0, (b, size, size, 3))
    return (x - jnp.float32(MEAN)[None, None, None]) / jnp.float32(STD)[None, None, None]
