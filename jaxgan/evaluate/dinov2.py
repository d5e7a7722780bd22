"""Features of DINOv2 ViT-L/14, on which Stein et al. 2023 (arXiv 2306.04675) measure the Fréchet distance FD-DINOv2.

Differences from their code: position embeddings are resized as `transformers` does, without the offset of 0.1 patches
of the original repository. The digest of the weights is part of each record.
"""

import functools
from collections.abc import Callable, Mapping
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
from jaxgan.io.safetensors import read_tensors
from jaxgan.networks.dinov2 import DINOv2
from jaxgan.training.devices import Devices

URL = "https://huggingface.co/facebook/dinov2-large/resolve/main/model.safetensors"
SIZE = 224  # pixels
RESIZE = "bicubic to 224 x 224, antialiased"

# The published names of parameters that are not their flax path.
LAYER_NAMES = {
    "attention": "attention.attention",
    "dense": "attention.output.dense",
    "fc1": "mlp.fc1",
    "fc2": "mlp.fc2",
}


class Weights(NamedTuple):
    """Weights of the network."""

    variables: chex.ArrayTree  # on the host
    sha256: str  # digest of the file that they were read from


def load_weights(path: Path | None = None, network: DINOv2 | None = None) -> Weights:
    """Returns the weights in the safetensors file `path`, or the published ones of 1.2 GB, downloaded once.

    Raises UserError if the file does not hold this network, and SystemFailure if the download fails.
    """
    if path is None:
        path = cache_dir("weights") / "dinov2-large.safetensors"
        fetch(URL, path, "")  # The digest could not be looked up, so it is recorded and not required.
    network = network or DINOv2()
    shapes = jax.eval_shape(network.init, jax.random.key(0), jnp.zeros([1, network.patch, network.patch, 3]))
    paths = [tuple(key.key for key in keys)[1:] for keys, _ in jax.tree_util.tree_leaves_with_path(shapes)]
    tensors = read_tensors(path, [published_name(keys) for keys in paths])
    convert = lambda keys, leaf: _convert(tensors, tuple(key.key for key in keys)[1:], leaf.shape, path)
    return Weights(jax.tree_util.tree_map_with_path(convert, shapes), file_digest(path))


def published_name(keys: tuple[str, ...]) -> str:
    """Returns the name of a parameter in the published file from its flax path."""
    *modules, leaf = keys
    kind = {"kernel": "weight", "scale": "weight"}.get(leaf, leaf)
    if not modules:
        return f"embeddings.{leaf}"
    if modules[0] == "projection":
        return f"embeddings.patch_embeddings.projection.{kind}"
    if modules[0] == "layernorm":
        return f"layernorm.{kind}"
    layer, inner = f"encoder.layer.{modules[0].removeprefix('layer_')}", modules[1:]
    if leaf.startswith("lambda"):
        return f"{layer}.layer_scale{leaf[-1]}.lambda1"
    if inner == ["attention", "dense"]:
        return f"{layer}.{LAYER_NAMES['dense']}.{kind}"
    return ".".join([layer, *(LAYER_NAMES.get(name, name) for name in inner), kind])


def _convert(
    tensors: Mapping[str, np.ndarray], keys: tuple[str, ...], shape: tuple[int, ...], path: Path
) -> np.ndarray:
    """Returns a parameter in flax's order of axes: kernels are [O, I] and [O, I, H, W] in the file."""
    tensor = tensors[name := published_name(keys)]
    if keys[-1] == "kernel":
        tensor = tensor.transpose((1, 0) if tensor.ndim == 2 else (2, 3, 1, 0))
    if tensor.shape != shape:
        raise UserError(f"{name} in {path} has the wrong shape {list(tensor.shape)}; it is not the network of {URL}")
    return np.ascontiguousarray(tensor, np.float32)


def protocol(weights: Weights) -> dict[str, str]:
    """Returns the fields that every metric measured with these weights reports."""
    return {"evaluator": "DINOv2 ViT-L/14", "weights": weights.sha256, "resize": RESIZE}


def features(
    images: np.ndarray,
    weights: Weights,
    batch_size: int = 16,
    devices: Devices | None = None,
    network: DINOv2 | None = None,
) -> np.ndarray:
    """Returns the class tokens float32 [N, D] of images uint8 [N, H, W, C] of any size, C 1 or 3."""
    devices = devices or Devices.local()
    compute = _compiled(devices, network or DINOv2())
    with jax.default_matmul_precision("float32"):  # Accelerators compute in lower precision by default.
        return compute_features(compute, weights.variables, images, batch_size, devices, "DINOv2 features")


@functools.cache
def _compiled(devices: Devices, network: DINOv2) -> Callable[[chex.ArrayTree, np.ndarray], Array]:
    return devices.compile_rowwise(lambda variables, images: network.apply(variables, imagenet_input(images, SIZE)))
