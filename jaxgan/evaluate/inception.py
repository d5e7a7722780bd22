"""The Inception network of 2015, whose features FID and KID compare, and whose classes the Inception score counts.

Its weights are Google's of 2015-12-05, as Seitzer's pytorch-fid converted them. Another network, or another version of
this one, gives other numbers, which are not called by those names.

References:
    Heusel et al. 2017 (FID), Bińkowski et al. 2018 (KID), Salimans et al. 2016 (Inception score).
"""

import functools
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from tqdm import tqdm

from jaxgan.errors import Problem
from jaxgan.evaluate.torch_file import read_tensors
from jaxgan.fetch import digest, fetch
from jaxgan.networks.inception import SIZE, Features, Inception
from jaxgan.parallel import Devices

FILE = "pt_inception-2015-12-05-6726825d.pth"
URL = f"https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/{FILE}"
SHA256 = "6726825d"  # how it begins, as the file's name says
RESIZE = "bilinear to 299 x 299, centres at halves, not antialiased"


class Weights(NamedTuple):
    """Of the network, and by which file."""

    variables: Any  # of the network, on the host
    sha256: str  # of the file


def load(path: Path | None = None) -> Weights:
    """The weights of that file, or else of the published one, which is fetched once to $XDG_CACHE_HOME/jaxgan/weights.

    Raises Problem if the file does not hold this network, and Failed if it cannot be fetched.
    """
    if path is None:
        path = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "jaxgan" / "weights" / FILE
        sha256 = fetch(URL, path, SHA256)
        return Weights(_arrange(read_tensors(path), path), sha256)
    return Weights(_arrange(read_tensors(path), path), digest(path))


def published(weights: Weights) -> bool:
    """Whether a number on these weights may be called FID, KID or Inception score."""
    return weights.sha256.startswith(SHA256)


def protocol(weights: Weights) -> dict[str, str]:
    """What a number on these weights must say of itself."""
    known = "Inception of 2015-12-05" if published(weights) else "another Inception network than that of 2015-12-05"
    return {"evaluator": known, "weights": weights.sha256, "resize": RESIZE}


def features(images: np.ndarray, weights: Weights, batch_size: int = 32, devices: Devices | None = None) -> Features:
    """Features of images uint8 [N, H, W, C] of any size, C 1 or 3, as NumPy arrays.

    Each device, of all of this process unless others are given, takes `batch_size` images at a time.
    """
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[-1] not in (1, 3) or not len(images):
        raise ValueError(f"images are uint8 [N, H, W, 1 or 3], not {images.dtype} {list(images.shape)}")
    devices = devices or Devices.take_local()
    compute, variables, size = _compiled(devices), devices.put(weights.variables), batch_size * devices.mesh.size
    found, due = [], None
    for start in tqdm(range(0, len(images), size), desc="Inception features", disable=None):
        batch = images[start : start + size]
        rest = np.zeros((size - len(batch), *images.shape[1:]), np.uint8)
        # The devices work on this batch while the host takes the last one's features.
        ahead = compute(variables, np.concatenate([batch, rest]))
        found += [jax.device_get(due)] if due else []
        due = ahead
    found += [jax.device_get(due)] if due else []
    return Features(*(np.concatenate(part)[: len(images)] for part in zip(*found, strict=True)))


def prepare(images: Array) -> Array:
    """The network's input, float32 [B, 299, 299, 3] in [-1, 1], from images uint8 [B, H, W, C].

    Bilinear, with pixels' centres at halves and no filter against aliasing, as pytorch-fid does it. The graph of 2015
    itself has centres at integers and takes (x - 128) / 128: a number is to be compared with those of pytorch-fid.
    """
    b, _, _, c = images.shape
    x = images.astype(jnp.float32) / 255.0
    x = jax.image.resize(x, (b, SIZE, SIZE, c), "bilinear", antialias=False, precision=jax.lax.Precision.HIGHEST)
    return 2.0 * jnp.broadcast_to(x, (b, SIZE, SIZE, 3)) - 1.0


@functools.cache
def _compiled(devices: Devices) -> Callable[[Any, np.ndarray], Features]:
    return devices.map(lambda variables, images: Inception().apply(variables, prepare(images)))


@functools.cache
def _shapes() -> Any:
    return jax.eval_shape(Inception().init, jax.random.key(0), jnp.zeros([1, SIZE, SIZE, 3]))


def _arrange(tensors: dict[str, np.ndarray], path: Path) -> Any:
    """The network's variables from a file's tensors."""
    take = lambda place, wanted: _tensor(tensors, path, [entry.key for entry in place], wanted.shape)
    return jax.tree_util.tree_map_with_path(take, _shapes())


def _tensor(tensors: dict[str, np.ndarray], path: Path, place: list[str], shape: tuple[int, ...]) -> np.ndarray:
    (_, *modules, leaf) = place
    kind = {"kernel": "weight", "scale": "weight", "bias": "bias", "mean": "running_mean", "var": "running_var"}[leaf]
    name = ".".join([*modules, kind])
    back = {2: (1, 0), 4: (3, 2, 0, 1)}.get(len(shape), (0,))  # from torch's order of axes: [O, I], [O, I, H, W]
    forth = {2: (1, 0), 4: (2, 3, 1, 0)}.get(len(shape), (0,))
    wanted = tuple(shape[axis] for axis in back)
    if name not in tensors:
        raise Problem(f"{path} has no tensor {name}; this is the file that has it: {URL}")
    if tensors[name].shape != wanted:
        found = f"{name} in {path} is {list(tensors[name].shape)} and not {list(wanted)}"
        raise Problem(f"{found}: it is another network; this is the file that is meant: {URL}")
    return np.ascontiguousarray(tensors[name].astype(np.float32).transpose(forth))
