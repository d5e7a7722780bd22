"""Features of VGG-16, on which Kynkäänniemi et al. 2019 (arXiv 1904.06991) measure improved precision and recall.

Weights are torchvision's. The authors use those of the original network, so numbers are not equal to theirs.
"""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxgan.errors import UserError
from jaxgan.evaluate.backbones import compute_features, imagenet_input
from jaxgan.io.cache import cache_dir
from jaxgan.io.fetch import fetch, file_digest
from jaxgan.io.torch_file import read_tensors
from jaxgan.networks.vgg import SIZE, VGG16
from jaxgan.training.devices import Devices

FILE = "vgg16-397923af.pth"
URL = f"https://download.pytorch.org/models/{FILE}"
SHA256 = "397923af"  # first digits of the file's digest, from its name
RESIZE = "bicubic to 224 x 224, antialiased"


class Weights(NamedTuple):
    """Weights of the network."""

    variables: chex.ArrayTree  # on the host
    sha256: str  # digest of the file that they were read from


def load_weights(path: Path | None = None, network: VGG16 | None = None) -> Weights:
    """Returns the weights in the PyTorch file `path`, or the published ones of 0.5 GB, downloaded once and verified.

    Raises UserError if the file does not hold this network, and SystemFailure if the download fails.
    """
    sha256 = fetch(URL, path := cache_dir("weights") / FILE, SHA256) if path is None else file_digest(path)
    tensors = read_tensors(path)
    shapes = jax.eval_shape((network or VGG16()).init, jax.random.key(0), jnp.zeros([1, SIZE, SIZE, 3]))

    def convert(keys: tuple[jax.tree_util.DictKey, ...], leaf: jax.ShapeDtypeStruct) -> np.ndarray:
        _, module, kind = (key.key for key in keys)
        name = f"{module.replace('_', '.')}.{'weight' if kind == 'kernel' else kind}"
        tensor = tensors.get(name, np.zeros(0))
        if kind == "kernel" and tensor.ndim in (2, 4):
            tensor = tensor.transpose((1, 0) if tensor.ndim == 2 else (2, 3, 1, 0))  # from [O, I] or [O, I, H, W]
        if tensor.shape != leaf.shape:
            raise UserError(f"{path} has no tensor {name} of the right shape; it is not the network of {URL}")
        return np.ascontiguousarray(tensor, np.float32)

    return Weights(jax.tree_util.tree_map_with_path(convert, shapes), sha256)


def protocol(weights: Weights) -> dict[str, str]:
    """Returns the fields that every metric measured with these weights reports."""
    return {"evaluator": "VGG-16", "weights": weights.sha256, "resize": RESIZE}


def features(images: np.ndarray, weights: Weights, batch_size: int = 16, devices: Devices | None = None) -> np.ndarray:
    """Returns features float32 [N, 4096] of images uint8 [N, H, W, C] of any size, C 1 or 3."""
    devices = devices or Devices.local()
    return compute_features(_compiled(devices), weights.variables, images, batch_size, devices, "VGG features")


@functools.cache
def _compiled(devices: Devices) -> Callable[[chex.ArrayTree, np.ndarray], Array]:
    return devices.compile_rowwise(lambda variables, images: VGG16().apply(variables, imagenet_input(images, SIZE)))
