"""Diversity by LPIPS, the learned perceptual image patch similarity (Zhang et al. 2018, arXiv 1801.03924).

The network is VGG-16 with torchvision's weights; the linear weights are the authors', version 0.1.
"""

from collections.abc import Sequence
from pathlib import Path

import chex
import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxgan.errors import UserError
from jaxgan.evaluate.backbones import compute_features, imagenet_input
from jaxgan.io.cache import cache_dir
from jaxgan.io.fetch import fetch
from jaxgan.io.torch_file import read_tensors
from jaxgan.networks.vgg import VGG16Stages
from jaxgan.training.devices import Devices

URL = "https://raw.githubusercontent.com/richzhang/PerceptualSimilarity/master/lpips/weights/v0.1/vgg.pth"
SHA256 = (
    "a78928a0af1e5f0fcb1f3b9e8f8c3a2a5a3de244d830ad5c1feddc79b8432868"  # of the file in the PyPI package lpips 0.1.4
)
RESIZE = "bicubic to 64 x 64, antialiased"


def load_linear(path: Path | None = None) -> list[np.ndarray]:
    """Returns the five linear weights [C] in the PyTorch file `path`, or the published ones, which are downloaded."""
    if path is None:
        fetch(URL, path := cache_dir("weights") / "lpips_vgg_v0.1.pth", SHA256)
    tensors, names = read_tensors(path), [f"lin{i}.model.1.weight" for i in range(5)]
    if missing := [name for name in names if name not in tensors]:
        raise UserError(f"{path} has no tensor {missing[0]}; it is not the file of {URL}")
    return [tensors[name].reshape(-1) for name in names]


def distance(a: Sequence[Array], b: Sequence[Array], linear: Sequence[Array]) -> Array:
    """Returns Σ_l mean_{h, w} Σ_c w_lc (a_l / ||a_l|| - b_l / ||b_l||)^2 [B] of the outputs [B, H, W, C] of stages l.

    Norms are over the channels. As in the authors' code, weights w multiply squares.
    """
    unit = lambda x: x / (jnp.sqrt((x**2).sum(-1, keepdims=True)) + 1e-10)
    layers = zip(a, b, linear, strict=True)
    return sum(((unit(x) - unit(y)) ** 2 @ w).mean((1, 2)) for x, y, w in layers)


def diversity(images: np.ndarray, params: chex.ArrayTree, linear: Sequence[np.ndarray]) -> float:
    """Returns the mean distance of disjoint random pairs of images uint8 [N, H, W, C], with VGG-16's `params`.

    Raises ValueError if there are fewer than two images.
    """
    if len(images) < 2:
        raise ValueError("a distance needs two images")
    pairs = images[np.random.default_rng(0).permutation(len(images))[: len(images) // 2 * 2].reshape(2, -1)]
    stages = VGG16Stages(len(params["features_0"]["bias"])).apply

    def distances(weights: tuple[chex.ArrayTree, list[Array]], side_by_side: Array) -> Array:
        a, b = (stages({"params": weights[0]}, imagenet_input(x, 64)) for x in jnp.split(side_by_side, 2, axis=2))
        return distance(a, b, weights[1])

    weights, devices = ({k: v for k, v in params.items() if k.startswith("features")}, list(linear)), Devices.local()
    side_by_side = np.concatenate(list(pairs), axis=2)
    return float(
        compute_features(devices.compile_rowwise(distances), weights, side_by_side, 16, devices, "LPIPS").mean()
    )
