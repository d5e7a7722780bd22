"""Converts parameters of our networks to PyTorch's names and layouts."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.peer.networks import FromMap, ToMap
from benchmarks.peer.papers import Maxout

FLAX_NAMES = {
    nn.Linear: "Dense",
    ToMap: "Dense",
    FromMap: "Dense",
    Maxout: "Dense",
    nn.Conv1d: "Conv",
    nn.Conv2d: "Conv",
    nn.Conv3d: "Conv",
    nn.ConvTranspose1d: "ConvTranspose",
    nn.ConvTranspose2d: "ConvTranspose",
    nn.BatchNorm2d: "BatchNorm",
    nn.BatchNorm3d: "BatchNorm",
    nn.InstanceNorm2d: "InstanceNorm",
    nn.PReLU: "PReLU",
}


def flax_name_of(layer: nn.Module) -> str | None:
    """Returns the name of the same kind of layer in flax, or None."""
    return next((FLAX_NAMES[kind] for kind in type(layer).__mro__ if kind in FLAX_NAMES), None)


def to_torch(module: nn.Module, params: Any, buffers: Any = None) -> dict[str, Tensor]:
    """Returns parameters of our network, or their gradients, by the names of `module.state_dict()`.

    The k-th layer of a kind in flax corresponds to the k-th of that kind in PyTorch. Running statistics are left out.

    Args:
        module: The same network in PyTorch.
        params: A pytree with the structure of our parameters.
        buffers: Our buffers, for the vectors of spectral norm.
    """
    arrays, count = {}, Counter()
    collections = (buffers or {}).get("spectral", {}).values()
    spectral_vectors = {name: u for collection in collections for name, u in collection.items()}
    for path, layer in module.named_modules():
        if hasattr(layer, "basis"):
            arrays[f"{path}.basis"] = np.moveaxis(params["basis"], -1, 0)
        if hasattr(layer, "gamma"):
            arrays[f"{path}.gamma".lstrip(".")] = np.asarray(params["gamma"])
        if flax_name := flax_name_of(layer):
            name = f"{flax_name}_{count[flax_name]}"
            count[flax_name] += 1
            if not any(True for _ in layer.parameters(recurse=False)):  # instance norm without scale and bias
                continue
            converted = convert_layer(layer, params[name])
            if hasattr(layer, "weight_orig"):  # with spectral norm
                converted["weight_orig"] = converted.pop("weight")
            u = spectral_vectors.get(f"{name}/u")
            converted |= {} if u is None else {"weight_u": u[0]}
            arrays |= {f"{path}.{key}".lstrip("."): array for key, array in converted.items()}
    return {name: torch.tensor(np.array(array)) for name, array in arrays.items()}


def convert_layer(layer: nn.Module, params: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Returns a layer's arrays by PyTorch's names, in its layouts."""
    converted = {"bias": np.asarray(params["bias"])} if "bias" in params else {}
    if "scale" in params:
        return converted | {"weight": np.asarray(params["scale"])}
    if "slope" in params:
        return {"weight": np.asarray(params["slope"])}
    kernel = np.asarray(params["kernel"])
    sides = range(kernel.ndim - 2)
    if flax_name_of(layer) == "Conv":
        return converted | {"weight": kernel.transpose(-1, -2, *sides)}
    if flax_name_of(layer) == "ConvTranspose":  # Flax does not flip the kernel of a transposed convolution.
        return converted | {"weight": np.flip(kernel, sides).transpose(-2, -1, *sides)}
    if isinstance(layer, Maxout):  # Our pieces are outermost.
        split = lambda array: array.reshape(*array.shape[:-1], layer.pieces, -1).swapaxes(-1, -2).reshape(array.shape)
        return {"bias": split(converted["bias"]), "weight": split(kernel).T}
    if isinstance(layer, FromMap):
        kernel = _to_channels_first(kernel, layer.shape)
    kernel = kernel.T
    if isinstance(layer, ToMap):
        kernel = _to_channels_first(kernel, layer.shape)
        converted = {name: _to_channels_first(array, layer.shape) for name, array in converted.items()}
    return converted | {"weight": kernel}


def _to_channels_first(array: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Reorders the first axis from a flattened map [H, W, C] to a flattened `shape`, which is [C, H, W]."""
    channels, *sides = shape
    return np.moveaxis(array.reshape(*sides, channels, -1), -2, 0).reshape(array.shape)
