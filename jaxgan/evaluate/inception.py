"""Features and logits of the Inception network of 2015, which define FID, KID and the Inception score.

The weights are Google's of 2015-12-05 in the file that Seitzer's pytorch-fid converted. Another network, or another
version of this one, gives other numbers, which are not called by those names.

References:
    Heusel et al. 2017 (FID), Bińkowski et al. 2018 (KID), Salimans et al. 2016 (Inception score).
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
from jaxgan.evaluate.backbones import compute_features
from jaxgan.io.cache import cache_dir
from jaxgan.io.fetch import fetch, file_digest
from jaxgan.io.torch_file import read_tensors
from jaxgan.networks.inception import SIZE, Features, Inception
from jaxgan.training.devices import Devices

FILE = "pt_inception-2015-12-05-6726825d.pth"
URL = f"https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/{FILE}"
SHA256 = "6726825d"  # first digits of the file's digest, from its name
RESIZE = "bilinear to 299 x 299, centres at halves, not antialiased"
CLEAN_RESIZE = "clean-fid: bicubic to 299 x 299, antialiased"


class Weights(NamedTuple):
    """Weights of the Inception network."""

    variables: chex.ArrayTree  # on the host
    sha256: str  # digest of the file that they were read from


def load_weights(path: Path | None = None) -> Weights:
    """Returns the weights in the file `path`, or the published ones if it is None.

    The published file is downloaded once to $XDG_CACHE_HOME/jaxgan/weights. Raises UserError if a file does not hold
    this network, and SystemFailure if the download fails.
    """
    if path is None:
        path = cache_dir("weights") / FILE
        sha256 = fetch(URL, path, SHA256)
        return Weights(_to_variables(read_tensors(path), path), sha256)
    return Weights(_to_variables(read_tensors(path), path), file_digest(path))


def at_hand() -> bool:
    """Returns whether the published weights are on this machine and it has an accelerator: a CPU takes minutes."""
    return jax.default_backend() != "cpu" and (cache_dir("weights") / FILE).exists()


def is_published(weights: Weights) -> bool:
    """Returns whether metrics on these weights may be called FID, KID and Inception score."""
    return weights.sha256.startswith(SHA256)


def protocol(weights: Weights, resize: str = RESIZE) -> dict[str, str]:
    """Returns the fields that every metric measured with these weights, and images resized like this, reports."""
    published, other = "Inception of 2015-12-05", "another Inception network than that of 2015-12-05"
    return {"evaluator": published if is_published(weights) else other, "weights": weights.sha256, "resize": resize}


def features(
    images: np.ndarray, weights: Weights, batch_size: int = 32, devices: Devices | None = None, clean: bool = False
) -> Features:
    """Returns the network's features and logits of images, as NumPy arrays with one row per image.

    Args:
        images: uint8 [N, H, W, C] of any size, C 1 or 3.
        weights: The network's weights.
        batch_size: Images per device and call.
        devices: All devices of this process by default.
        clean: Whether to resize as clean-fid does, see `clean_preprocess`.

    Raises ValueError for images of another type or shape.
    """
    devices = devices or Devices.local()
    compute = _compiled(devices, clean_preprocess if clean else preprocess)
    return compute_features(compute, weights.variables, images, batch_size, devices, "Inception features")


def preprocess(images: Array) -> Array:
    """Returns the network's input, float32 [B, 299, 299, 3] in [-1, 1], from images uint8 [B, H, W, C].

    Resizes bilinearly with pixel centres at halves and without antialiasing, as pytorch-fid does. The original graph of
    2015 has centres at integers and computes (x - 128) / 128, so metrics are comparable with those of pytorch-fid.
    """
    b, _, _, c = images.shape
    x = images.astype(jnp.float32) / 255.0
    x = jax.image.resize(x, (b, SIZE, SIZE, c), "bilinear", antialias=False, precision=jax.lax.Precision.HIGHEST)
    return 2.0 * jnp.broadcast_to(x, (b, SIZE, SIZE, 3)) - 1.0


def clean_preprocess(images: Array) -> Array:
    """Returns the network's input, float32 [B, 299, 299, 3], from images uint8 [B, H, W, C], as clean-fid does.

    Resizes with PIL's bicubic filter, antialiased and without rounding, clips to [0, 255] and computes (x - 128) / 128.
    Reference: Parmar et al. 2022, arXiv 2104.11222.
    """
    b, _, _, c = images.shape
    x = jax.image.resize(
        images.astype(jnp.float32), (b, SIZE, SIZE, c), "cubic", antialias=True, precision=jax.lax.Precision.HIGHEST
    )
    return (jnp.broadcast_to(jnp.clip(x, 0.0, 255.0), (b, SIZE, SIZE, 3)) - 128.0) / 128.0


@functools.cache
def _compiled(devices: Devices, prepare: Callable[[Array], Array]) -> Callable[[chex.ArrayTree, np.ndarray], Features]:
    return devices.compile_rowwise(lambda variables, images: Inception().apply(variables, prepare(images)))


@functools.cache
def _variable_shapes() -> chex.ArrayTree:
    return jax.eval_shape(Inception().init, jax.random.key(0), jnp.zeros([1, SIZE, SIZE, 3]))


def _to_variables(tensors: dict[str, np.ndarray], path: Path) -> chex.ArrayTree:
    """Returns the network's variables from the PyTorch tensors of the file `path`."""

    def convert(keys: tuple[jax.tree_util.DictKey, ...], leaf: jax.ShapeDtypeStruct) -> np.ndarray:
        return _convert_tensor(tensors, path, [entry.key for entry in keys], leaf.shape)

    return jax.tree_util.tree_map_with_path(convert, _variable_shapes())


def _convert_tensor(tensors: dict[str, np.ndarray], path: Path, keys: list[str], shape: tuple[int, ...]) -> np.ndarray:
    """Returns the variable with that flax path and shape. Raises UserError if the file has no such tensor."""
    (_, *modules, leaf) = keys
    kind = {"kernel": "weight", "scale": "weight", "bias": "bias", "mean": "running_mean", "var": "running_var"}[leaf]
    name = ".".join([*modules, kind])
    to_torch = {2: (1, 0), 4: (3, 2, 0, 1)}.get(len(shape), (0,))  # PyTorch's axes are [O, I] and [O, I, H, W].
    from_torch = {2: (1, 0), 4: (2, 3, 1, 0)}.get(len(shape), (0,))
    expected = tuple(shape[axis] for axis in to_torch)
    if name not in tensors:
        raise UserError(f"{path} has no tensor {name}; it is not an Inception network as in {URL}")
    if tensors[name].shape != expected:
        shapes = f"{list(tensors[name].shape)} and not {list(expected)}"
        raise UserError(f"{name} in {path} is {shapes}; it is not an Inception network as in {URL}")
    return np.ascontiguousarray(tensors[name].astype(np.float32).transpose(from_torch))
