"""The Inception network of 2015, whose features FID and KID compare, and whose classes the Inception score counts.

Its weights are Google's of 2015-12-05, as Seitzer's pytorch-fid converted them. Another network, or another version of
this one, gives other numbers, which are not called by those names.

References:
    Szegedy et al. 2015, "Rethinking the Inception architecture" (the network); Heusel et al. 2017 (FID).
"""

import functools
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from tqdm import tqdm

from jaxgan.errors import Problem
from jaxgan.evaluate.torch_file import read_tensors
from jaxgan.fetch import digest, fetch
from jaxgan.parallel import Devices

FILE = "pt_inception-2015-12-05-6726825d.pth"
URL = f"https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/{FILE}"
SHA256 = "6726825d"  # how it begins, as the file's name says
SIZE = 299  # pixels, to which images are resized


class Weights(NamedTuple):
    """What a number must say of itself: it is FID, KID or an Inception score only if `sha256` begins as SHA256."""

    variables: Any  # of the network, on the host
    sha256: str  # of the file


class Features(NamedTuple):
    """What the metrics take from images."""

    pool3: Array  # [N, 2048], for FID and KID
    logits: Array  # [N, 1008], for the Inception score, which leaves out their bias (as Salimans et al.'s code)


def load(path: Path | None = None) -> Weights:
    """The weights of that file, or else of the published one, which is fetched once to $XDG_CACHE_HOME/jaxgan/weights.

    Raises Problem if the file does not hold this network, and Failed if it cannot be fetched.
    """
    if path is None:
        path = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "jaxgan" / "weights" / FILE
        sha256 = fetch(URL, path, SHA256)
        return Weights(_arrange(read_tensors(path), path), sha256)
    return Weights(_arrange(read_tensors(path), path), digest(path))


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


class Inception(nn.Module):
    """The network; its modules have the names of pytorch-fid's file."""

    @nn.compact
    def __call__(self, x: Array) -> Features:
        x = Unit(32, 3, 2, "VALID", name="Conv2d_1a_3x3")(x)
        x = Unit(32, 3, 1, "VALID", name="Conv2d_2a_3x3")(x)
        x = _halve(Unit(64, 3, name="Conv2d_2b_3x3")(x))
        x = Unit(80, name="Conv2d_3b_1x1")(x)
        x = _halve(Unit(192, 3, 1, "VALID", name="Conv2d_4a_3x3")(x))  # 35 x 35
        for name, width in ("Mixed_5b", 32), ("Mixed_5c", 64), ("Mixed_5d", 64):
            x = MixedA(width, name=name)(x)
        x = MixedB(name="Mixed_6a")(x)  # 17 x 17
        for name, width in ("Mixed_6b", 128), ("Mixed_6c", 160), ("Mixed_6d", 160), ("Mixed_6e", 192):
            x = MixedC(width, name=name)(x)
        x = MixedD(name="Mixed_7a")(x)  # 8 x 8
        x = MixedE(_average, name="Mixed_7b")(x)
        x = MixedE(_largest, name="Mixed_7c")(x)  # Only this network has it so: the paper averages here too.
        pool3 = x.mean((1, 2))
        return Features(pool3, nn.Dense(1008, use_bias=False, precision=jax.lax.Precision.HIGHEST, name="fc")(pool3))


class Unit(nn.Module):
    """Convolution, batch normalisation with fixed statistics, ReLU."""

    features: int
    kernel: int | tuple[int, int] = 1
    stride: int = 1
    padding: str = "SAME"

    @nn.compact
    def __call__(self, x: Array) -> Array:
        kernel = (self.kernel, self.kernel) if isinstance(self.kernel, int) else self.kernel
        # Without HIGHEST a GPU rounds to 10 bits.
        full = {"use_bias": False, "precision": jax.lax.Precision.HIGHEST}
        x = nn.Conv(self.features, kernel, self.stride, self.padding, **full, name="conv")(x)
        return nn.relu(nn.BatchNorm(use_running_average=True, epsilon=1e-3, name="bn")(x))


class MixedA(nn.Module):
    """Branches of 1x1, 5x5, twice 3x3, and averages."""

    pooled: int

    @nn.compact
    def __call__(self, x: Array) -> Array:
        return _join(
            Unit(64, name="branch1x1")(x),
            _chain(x, "branch5x5", (48, 1), (64, 5)),
            _chain(x, "branch3x3dbl", (64, 1), (96, 3), (96, 3)),
            Unit(self.pooled, name="branch_pool")(_average(x)),
        )


class MixedB(nn.Module):
    """From 35 to 17 pixels."""

    @nn.compact
    def __call__(self, x: Array) -> Array:
        return _join(
            Unit(384, 3, 2, "VALID", name="branch3x3")(x),
            _chain(x, "branch3x3dbl", (64, 1), (96, 3), (96, 3, 2, "VALID")),
            _halve(x),
        )


class MixedC(nn.Module):
    """Branches of 1x1, 7x7 and twice 7x7, each in its rows and columns, and averages."""

    width: int

    @nn.compact
    def __call__(self, x: Array) -> Array:
        row, column = (self.width, (1, 7)), (self.width, (7, 1))
        return _join(
            Unit(192, name="branch1x1")(x),
            _chain(x, "branch7x7", (self.width, 1), row, (192, (7, 1))),
            _chain(x, "branch7x7dbl", (self.width, 1), column, row, column, (192, (1, 7))),
            Unit(192, name="branch_pool")(_average(x)),
        )


class MixedD(nn.Module):
    """From 17 to 8 pixels."""

    @nn.compact
    def __call__(self, x: Array) -> Array:
        return _join(
            _chain(x, "branch3x3", (192, 1), (320, 3, 2, "VALID")),
            _chain(x, "branch7x7x3", (192, 1), (192, (1, 7)), (192, (7, 1)), (192, 3, 2, "VALID")),
            _halve(x),
        )


class MixedE(nn.Module):
    """Branches of 1x1, 3x3 and twice 3x3, whose last layers are rows beside columns, and what `pool` gives."""

    pool: Callable[[Array], Array]

    @nn.compact
    def __call__(self, x: Array) -> Array:
        cross = lambda x, name: (Unit(384, (1, 3), name=f"{name}a")(x), Unit(384, (3, 1), name=f"{name}b")(x))
        return _join(
            Unit(320, name="branch1x1")(x),
            *cross(_chain(x, "branch3x3", (384, 1)), "branch3x3_2"),
            *cross(_chain(x, "branch3x3dbl", (448, 1), (384, 3)), "branch3x3dbl_3"),
            Unit(192, name="branch_pool")(self.pool(x)),
        )


def _chain(x: Array, name: str, *units: tuple[Any, ...]) -> Array:
    for i, unit in enumerate(units, 1):
        x = Unit(*unit, name=f"{name}_{i}")(x)
    return x


def _join(*branches: Array) -> Array:
    return jnp.concatenate(branches, -1)


def _halve(x: Array) -> Array:
    return nn.max_pool(x, (3, 3), (2, 2))


def _average(x: Array) -> Array:
    # Over what lies within the image alone, as TensorFlow does it.
    return nn.avg_pool(x, (3, 3), padding="SAME", count_include_pad=False)


def _largest(x: Array) -> Array:
    return nn.max_pool(x, (3, 3), padding="SAME")


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
