"""The networks of the workloads in PyTorch: the same layers in the same order, so that weights can be converted.

Images are [B, C, H, W], as PyTorch has them.
"""

import math
from collections.abc import Callable, Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import spectral_norm

from benchmarks.workloads import Workload

BASE = 4  # side of the smallest feature map, in pixels


class ToMap(nn.Linear):
    """A linear layer from vectors [B, I] to feature maps [B, *shape]."""

    def __init__(self, inputs: int, shape: tuple[int, ...], bias: bool = True) -> None:
        super().__init__(inputs, math.prod(shape), bias)
        self.shape = shape

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x).view(-1, *self.shape)


class FromMap(nn.Linear):
    """A linear layer from feature maps [B, *shape] to vectors [B, O]."""

    def __init__(self, shape: tuple[int, ...], outputs: int) -> None:
        super().__init__(math.prod(shape), outputs)
        self.shape = shape

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.flatten(1))


def _relu() -> nn.Module:
    return nn.ReLU(inplace=True)


def _leaky_relu() -> nn.Module:
    return nn.LeakyReLU(0.2, inplace=True)


def _mlp(workload: Workload) -> tuple[nn.Module, nn.Module]:
    shape, width = channels_first(workload.shape), workload.sizes["width"]

    def hidden(first: nn.Module, activation: Callable[[], nn.Module]) -> list[nn.Module]:
        layers = [first, *[nn.Linear(width, width) for _ in range(workload.sizes["depth"] - 1)]]
        return [m for layer in layers for m in (layer, activation())]

    generator = [*hidden(nn.Linear(workload.latent, width), _relu), ToMap(width, shape)]
    critic = [*hidden(FromMap(shape, width), _leaky_relu), nn.Linear(width, 1), nn.Flatten(0)]
    return nn.Sequential(*generator, *[nn.Tanh()] * (len(shape) == 3)), nn.Sequential(*critic)


def _dcgan(workload: Workload) -> tuple[nn.Module, nn.Module]:
    channels, size, _ = channels_first(workload.shape)
    widths = [workload.sizes["width"] << n for n in range(int(math.log2(size // BASE)))]
    smallest = (widths[-1], BASE, BASE)
    normalise = lambda width: [nn.BatchNorm2d(width), _relu()]
    generator = [ToMap(workload.latent, smallest, bias=False), *normalise(widths[-1])]
    for width in reversed(widths[:-1]):
        generator += [nn.ConvTranspose2d(2 * width, width, 4, 2, 1, bias=False), *normalise(width)]
    generator += [nn.ConvTranspose2d(widths[0], channels, 4, 2, 1), nn.Tanh()]
    critic = []
    for inputs, width in zip([channels, *widths], widths, strict=False):
        critic += [nn.Conv2d(inputs, width, 4, 2, 1), _leaky_relu()]
    return nn.Sequential(*generator), nn.Sequential(*critic, FromMap(smallest, 1), nn.Flatten(0))


class UpBlock(nn.Module):
    """A residual block of the generator that doubles the image size."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.BatchNorm2d(width), nn.BatchNorm2d(width)
        self.conv1 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1)
        self.shortcut = nn.Conv2d(width, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        double = lambda x: F.interpolate(x, scale_factor=2.0, mode="nearest")
        inner = self.conv1(double(F.relu(self.norm1(x))))
        return self.conv2(F.relu_(self.norm2(inner))) + self.shortcut(double(x))


class DownBlock(nn.Module):
    """A residual block of the critic. The first takes the image. Without halving the shortcut is the identity."""

    def __init__(self, inputs: int, width: int, norm: Callable[[nn.Module], nn.Module], first: bool, halve: bool):
        super().__init__()
        self.first, self.halve = first, halve
        self.conv1 = norm(nn.Conv2d(inputs, width, 3, padding=1))
        self.conv2 = norm(nn.Conv2d(width, width, 3, padding=1))
        self.shortcut = norm(nn.Conv2d(inputs, width, 1)) if halve else None

    def forward(self, x: Tensor) -> Tensor:
        inner = self.conv2(F.relu_(self.conv1(x if self.first else F.relu(x))))
        if self.first:
            return self.shortcut(F.avg_pool2d(x, 2)) + F.avg_pool2d(inner, 2)
        return F.avg_pool2d(self.shortcut(x), 2) + F.avg_pool2d(inner, 2) if self.halve else x + inner


class SumPool(nn.Module):
    """ReLU, then the sum over positions: [B, C, H, W] to [B, C]."""

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x).sum((2, 3))


def _resnet(workload: Workload) -> tuple[nn.Module, nn.Module]:
    channels, width = workload.shape[-1], workload.sizes["width"]
    g_width = 2 * width
    generator = [ToMap(workload.latent, (g_width, BASE, BASE)), *[UpBlock(g_width) for _ in range(3)]]
    generator += [nn.BatchNorm2d(g_width), _relu(), nn.Conv2d(g_width, channels, 3, padding=1), nn.Tanh()]
    norm = spectral_norm if workload.spectral else lambda layer: layer
    critic = [DownBlock(width if n else channels, width, norm, n == 0, n < 2) for n in range(4)]
    critic += [SumPool(), norm(nn.Linear(width, 1, bias=not workload.spectral)), nn.Flatten(0)]
    return nn.Sequential(*generator), nn.Sequential(*critic)


class Bottleneck(nn.Module):
    """R3GAN's residual block."""

    def __init__(self, width: int, groups: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(width, 2 * width, 1)
        self.conv2 = nn.Conv2d(2 * width, 2 * width, 3, padding=1, groups=groups)
        self.conv3 = nn.Conv2d(2 * width, width, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        inner = F.leaky_relu_(self.conv1(x), 0.2)
        return x + self.conv3(F.leaky_relu_(self.conv2(inner), 0.2))


def _neighbours(x: Tensor, axis: int) -> tuple[Tensor, Tensor]:
    """Returns the pixels before and after those of x along an axis, with zeros outside the image."""
    padded = F.pad(x, (1, 1) if axis == 3 else (0, 0, 1, 1))
    return padded.narrow(axis, 0, x.shape[axis]), padded.narrow(axis, 2, x.shape[axis])


class Upsample(nn.Module):
    """Doubles the image size with the filter [1, 3, 3, 1]. A depthwise transposed convolution took twice the time."""

    def forward(self, x: Tensor) -> Tensor:
        for axis in (2, 3):
            before, after = _neighbours(x, axis)
            x = torch.stack([torch.lerp(x, before, 0.25), torch.lerp(x, after, 0.25)], axis + 1)
            x = x.flatten(axis, axis + 1)
        return x


class Downsample(nn.Module):
    """Halves the image size with the filter [1, 3, 3, 1]. A depthwise convolution took more than twice the time."""

    def forward(self, x: Tensor) -> Tensor:
        for axis in (2, 3):
            even, odd = x.unflatten(axis, (-1, 2)).unbind(axis + 1)
            x = 0.375 * (even + odd) + 0.125 * (_neighbours(odd, axis)[0] + _neighbours(even, axis)[1])
        return x


class BasisExpand(nn.Module):
    """Vectors [B, I] to the smallest feature map: one learned pattern per channel, scaled by a linear map."""

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        self.basis = nn.Parameter(torch.empty(width, BASE, BASE))
        self.linear = nn.Linear(inputs, width, bias=False)

    def forward(self, z: Tensor) -> Tensor:
        return self.basis * self.linear(z)[:, :, None, None]


class BasisContract(nn.Module):
    """The smallest feature map [B, C, H, W] to logits [B], by inner products with one learned pattern per channel."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.basis = nn.Parameter(torch.empty(width, BASE, BASE))
        self.linear = nn.Linear(width, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear((x * self.basis).sum((2, 3))).squeeze(1)


def _r3gan(workload: Workload) -> tuple[nn.Module, nn.Module]:
    channels, width, groups = workload.shape[-1], workload.sizes["width"], workload.sizes["groups"]

    def stages(resample: type[nn.Module]) -> list[nn.Module]:
        blocks = lambda: [Bottleneck(width, groups) for _ in range(workload.sizes["blocks"])]
        return [*blocks(), *[m for _ in range(3) for m in (resample(), *blocks())]]

    generator = [BasisExpand(workload.latent, width), *stages(Upsample), nn.Conv2d(width, channels, 1, bias=False)]
    critic = [nn.Conv2d(channels, width, 1, bias=False), *stages(Downsample), BasisContract(width)]
    return nn.Sequential(*generator), nn.Sequential(*critic)


FAMILIES: Mapping[str, Callable[[Workload], tuple[nn.Module, nn.Module]]] = {
    "mlp": _mlp,
    "dcgan": _dcgan,
    "resnet": _resnet,
    "r3gan": _r3gan,
}


def build_modules(workload: Workload) -> tuple[nn.Module, nn.Module]:
    """Returns the generator and the discriminator, with PyTorch's default initialisation."""
    return FAMILIES[workload.family](workload)


def channels_first(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Returns the shape of an example in PyTorch's layout."""
    return (shape[-1], *shape[:-1])
