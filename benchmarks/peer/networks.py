"""The networks of `works` in PyTorch: the same layers in the same order, so that they can have the weights of ours.

Images are [B, C, H, W], as PyTorch has them.
"""

import math
from collections.abc import Callable, Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import spectral_norm

from benchmarks.works import Work

BASE = 4  # pixels of the smallest map


class ToMap(nn.Linear):
    """Vectors [B, I] to maps [B, *shape]."""

    def __init__(self, inputs: int, shape: tuple[int, ...], bias: bool = True) -> None:
        super().__init__(inputs, math.prod(shape), bias)
        self.shape = shape

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x).view(-1, *self.shape)


class FromMap(nn.Linear):
    """Maps [B, *shape] to vectors [B, O]."""

    def __init__(self, shape: tuple[int, ...], outputs: int) -> None:
        super().__init__(math.prod(shape), outputs)
        self.shape = shape

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.flatten(1))


def _relu() -> nn.Module:
    return nn.ReLU(inplace=True)


def _leaky_relu() -> nn.Module:
    return nn.LeakyReLU(0.2, inplace=True)


def _mlp(work: Work) -> tuple[nn.Module, nn.Module]:
    shape, width = channels_first(work.shape), work.sizes["width"]

    def hidden(first: nn.Module, activation: Callable[[], nn.Module]) -> list[nn.Module]:
        layers = [first, *[nn.Linear(width, width) for _ in range(work.sizes["depth"] - 1)]]
        return [m for layer in layers for m in (layer, activation())]

    generator = [*hidden(nn.Linear(work.latent, width), _relu), ToMap(width, shape)]
    critic = [*hidden(FromMap(shape, width), _leaky_relu), nn.Linear(width, 1), nn.Flatten(0)]
    return nn.Sequential(*generator, *[nn.Tanh()] * (len(shape) == 3)), nn.Sequential(*critic)


def _dcgan(work: Work) -> tuple[nn.Module, nn.Module]:
    channels, size, _ = channels_first(work.shape)
    widths = [work.sizes["width"] << n for n in range(int(math.log2(size // BASE)))]
    smallest = (widths[-1], BASE, BASE)
    normed = lambda width: [nn.BatchNorm2d(width), _relu()]
    generator = [ToMap(work.latent, smallest, bias=False), *normed(widths[-1])]
    for width in reversed(widths[:-1]):
        generator += [nn.ConvTranspose2d(2 * width, width, 4, 2, 1, bias=False), *normed(width)]
    generator += [nn.ConvTranspose2d(widths[0], channels, 4, 2, 1), nn.Tanh()]
    critic = []
    for before, width in zip([channels, *widths], widths, strict=False):
        critic += [nn.Conv2d(before, width, 4, 2, 1), _leaky_relu()]
    return nn.Sequential(*generator), nn.Sequential(*critic, FromMap(smallest, 1), nn.Flatten(0))


class UpBlock(nn.Module):
    """A residual block of the generator, which doubles the size."""

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
    """A residual block of the critic; the first sees the image itself. The shortcut is bare where nothing halves."""

    def __init__(self, before: int, width: int, normed: Callable[[nn.Module], nn.Module], first: bool, halve: bool):
        super().__init__()
        self.first, self.halve = first, halve
        self.conv1 = normed(nn.Conv2d(before, width, 3, padding=1))
        self.conv2 = normed(nn.Conv2d(width, width, 3, padding=1))
        self.shortcut = normed(nn.Conv2d(before, width, 1)) if halve else None

    def forward(self, x: Tensor) -> Tensor:
        inner = self.conv2(F.relu_(self.conv1(x if self.first else F.relu(x))))
        if self.first:
            return self.shortcut(F.avg_pool2d(x, 2)) + F.avg_pool2d(inner, 2)
        return F.avg_pool2d(self.shortcut(x), 2) + F.avg_pool2d(inner, 2) if self.halve else x + inner


class SumPool(nn.Module):
    """Maps [B, C, H, W] to vectors [B, C]."""

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x).sum((2, 3))


def _resnet(work: Work) -> tuple[nn.Module, nn.Module]:
    channels, width = work.shape[-1], work.sizes["width"]
    wide = 2 * width
    generator = [ToMap(work.latent, (wide, BASE, BASE)), *[UpBlock(wide) for _ in range(3)]]
    generator += [nn.BatchNorm2d(wide), _relu(), nn.Conv2d(wide, channels, 3, padding=1), nn.Tanh()]
    normed = spectral_norm if work.spectral else lambda layer: layer
    critic = [DownBlock(width if n else channels, width, normed, n == 0, n < 2) for n in range(4)]
    critic += [SumPool(), normed(nn.Linear(width, 1, bias=not work.spectral)), nn.Flatten(0)]
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


class Upsample(nn.Module):
    """Images at twice the size by the filter [1, 2, 1]. A transposed convolution by channel took twice the time."""

    def forward(self, x: Tensor) -> Tensor:
        for axis in (2, 3):
            after = F.pad(x, (0, 1) if axis == 3 else (0, 0, 0, 1)).narrow(axis, 1, x.shape[axis])
            x = torch.stack([x, 0.5 * (x + after)], axis + 1).flatten(axis, axis + 1)
        return x


class Downsample(nn.Module):
    """Images at half the size by the filter [1, 2, 1]. A convolution by channel took twice the time and more."""

    def forward(self, x: Tensor) -> Tensor:
        for axis in (2, 3):
            even, odd = x.unflatten(axis, (-1, 2)).unbind(axis + 1)
            before = F.pad(odd, (1, 0) if axis == 3 else (0, 0, 1, 0)).narrow(axis, 0, odd.shape[axis])
            x = 0.25 * (before + odd) + 0.5 * even
        return x


class Patterns(nn.Module):
    """Vectors [B, I] to the smallest map, made of learned patterns, each as strong as a product of the vector says."""

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        self.basis = nn.Parameter(torch.empty(width, BASE, BASE))
        self.linear = nn.Linear(inputs, width, bias=False)

    def forward(self, z: Tensor) -> Tensor:
        return self.basis * self.linear(z)[:, :, None, None]


class Products(nn.Module):
    """The smallest map [B, C, H, W] to logits [B], by its products with learned patterns."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.basis = nn.Parameter(torch.empty(width, BASE, BASE))
        self.linear = nn.Linear(width, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear((x * self.basis).sum((2, 3))).squeeze(1)


def _r3gan(work: Work) -> tuple[nn.Module, nn.Module]:
    channels, width, groups = work.shape[-1], work.sizes["width"], work.sizes["groups"]

    def stages(resample: type[nn.Module]) -> list[nn.Module]:
        blocks = lambda: [Bottleneck(width, groups) for _ in range(work.sizes["blocks"])]
        return [*blocks(), *[m for _ in range(3) for m in (resample(), *blocks())]]

    generator = [Patterns(work.latent, width), *stages(Upsample), nn.Conv2d(width, channels, 1, bias=False)]
    critic = [nn.Conv2d(channels, width, 1, bias=False), *stages(Downsample), Products(width)]
    return nn.Sequential(*generator), nn.Sequential(*critic)


FAMILIES: Mapping[str, Callable[[Work], tuple[nn.Module, nn.Module]]] = {
    "mlp": _mlp,
    "dcgan": _dcgan,
    "resnet": _resnet,
    "r3gan": _r3gan,
}


def modules(work: Work) -> tuple[nn.Module, nn.Module]:
    """The generator and the discriminator, not yet with weights."""
    return FAMILIES[work.family](work)


def channels_first(shape: tuple[int, ...]) -> tuple[int, ...]:
    """The shape of an example as PyTorch has it."""
    return (shape[-1], *shape[:-1])
