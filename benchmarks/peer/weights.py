"""What our networks hold, in the names and layouts of the peer's."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.peer.networks import FromMap, ToMap

KINDS = {
    nn.Linear: "Dense",
    ToMap: "Dense",
    FromMap: "Dense",
    nn.Conv2d: "Conv",
    nn.ConvTranspose2d: "ConvTranspose",
    nn.BatchNorm2d: "BatchNorm",
}


def tensors(net: nn.Module, params: Any, buffers: Any = None) -> dict[str, Tensor]:
    """What our network holds, or the gradients of its parameters, in the names and layouts of `net.state_dict()`.

    The k-th layer of a kind here is the k-th of that kind there. Running statistics are left out.
    """
    found, count = {}, Counter()
    vectors = {name: u for part in (buffers or {}).get("spectral", {}).values() for name, u in part.items()}
    for path, module in net.named_modules():
        if hasattr(module, "basis"):
            found[f"{path}.basis"] = np.moveaxis(params["basis"], -1, 0)
        if kind := KINDS.get(type(module)):
            name = f"{kind}_{count[kind]}"
            count[kind] += 1
            u = vectors.get(f"{name}/kernel/u")
            layer = _layer(module, params[name]) | ({} if u is None else {"weight_u": u[0]})
            normed = hasattr(module, "weight_orig")
            found |= {f"{path}.{'weight_orig' if normed and n == 'weight' else n}": a for n, a in layer.items()}
    return {name: torch.tensor(np.ascontiguousarray(a)) for name, a in found.items()}


def _layer(module: nn.Module, ours: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """A layer's arrays by PyTorch's names, in its layouts."""
    layer = {name: np.asarray(ours[name]) for name in ours if name == "bias"}
    if "scale" in ours:
        return layer | {"weight": np.asarray(ours["scale"])}
    kernel = np.asarray(ours["kernel"])
    if isinstance(module, nn.Conv2d):
        return layer | {"weight": kernel.transpose(3, 2, 0, 1)}
    if isinstance(module, nn.ConvTranspose2d):  # Ours does not turn the kernel round.
        return layer | {"weight": kernel[::-1, ::-1].transpose(2, 3, 0, 1)}
    if isinstance(module, FromMap):
        kernel = _from_channels_last(kernel, module.shape)
    kernel = kernel.T
    if isinstance(module, ToMap):
        kernel = _from_channels_last(kernel, module.shape)
        layer = {name: _from_channels_last(a, module.shape) for name, a in layer.items()}
    return layer | {"weight": kernel}


def _from_channels_last(a: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """The array whose first axis runs over a map [H, W, C], with an axis that runs over `shape`, [C, H, W]."""
    channels, *sides = shape
    return np.moveaxis(a.reshape(*sides, channels, -1), -2, 0).reshape(a.shape)
