"""The networks of papers in PyTorch, with the authors' initial weights.

They are written from the papers and the authors' code, and not from `jaxgan.networks`, which they check. Images are
[B, C, H, W]. Every builder takes the width and returns a module whose layers of each kind are in the order in which
they are applied, so that weights can be converted (`weights.to_torch`).
"""

import itertools
import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import spectral_norm

from benchmarks.peer.networks import FromMap, ToMap

Normalise = Callable[[nn.Module], nn.Module]


def identity(layer: nn.Module) -> nn.Module:
    """Returns the layer."""
    return layer


def initialised(layer: nn.Module, init: Callable[[Tensor], Tensor]) -> nn.Module:
    """Returns the layer with initial weights by `init` and biases of 0."""
    init(layer.weight)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


# DCGAN: github.com/soumith/dcgan.torch, main.lua. Weights are N(0, 0.02) and the scales of batch norm N(1, 0.02). The
# authors remove all biases; here the layers without batch norm have one, initialised as 0.


def _normal(layer: nn.Module) -> nn.Module:
    return initialised(layer, lambda weight: nn.init.normal_(weight, 0.0, 0.02))


def _normal_batch_norm(width: int) -> nn.Module:
    return initialised(nn.BatchNorm2d(width), lambda weight: nn.init.normal_(weight, 1.0, 0.02))


def dcgan_generator(width: int) -> nn.Module:
    """Returns the generator from z [B, 100] to images of 64 x 64 pixels."""
    widths = [8 * width, 4 * width, 2 * width, width]
    # A transposed convolution of one pixel is a linear layer.
    layers = [_normal(ToMap(100, (widths[0], 4, 4), bias=False)), _normal_batch_norm(widths[0]), nn.ReLU()]
    for inputs, outputs in itertools.pairwise(widths):
        layers += [_normal(nn.ConvTranspose2d(inputs, outputs, 4, 2, 1, bias=False)), _normal_batch_norm(outputs)]
        layers += [nn.ReLU()]
    return nn.Sequential(*layers, _normal(nn.ConvTranspose2d(width, 3, 4, 2, 1)), nn.Tanh())


def dcgan_discriminator(width: int) -> nn.Module:
    """Returns the discriminator of images of 64 x 64 pixels."""
    widths = [width, 2 * width, 4 * width, 8 * width]
    layers = [_normal(nn.Conv2d(3, width, 4, 2, 1)), nn.LeakyReLU(0.2)]
    for inputs, outputs in itertools.pairwise(widths):
        layers += [_normal(nn.Conv2d(inputs, outputs, 4, 2, 1, bias=False)), _normal_batch_norm(outputs)]
        layers += [nn.LeakyReLU(0.2)]
    return nn.Sequential(*layers, _normal(FromMap((8 * width, 4, 4), 1)), nn.Flatten(0))


# SN-GAN: Miyato et al. 2018, and github.com/pfnet-research/sngan_projection. Chainer's GlorotUniform is Xavier's.


def _glorot(layer: nn.Module, gain: float = 1.0) -> nn.Module:
    return initialised(layer, lambda weight: nn.init.xavier_uniform_(weight, gain))


class GeneratorBlock(nn.Module):
    """BN, ReLU, upsampling, convolution, BN, ReLU, convolution; beside an upsampled 1x1 convolution."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.b1, self.b2 = nn.BatchNorm2d(inputs), nn.BatchNorm2d(outputs)
        # The authors' first convolution has a bias, which the batch norm after it subtracts.
        self.c1 = _glorot(nn.Conv2d(inputs, outputs, 3, padding=1, bias=False), math.sqrt(2.0))
        self.c2 = _glorot(nn.Conv2d(outputs, outputs, 3, padding=1), math.sqrt(2.0))
        self.c_sc = _glorot(nn.Conv2d(inputs, outputs, 1))
        self.up = nn.UpsamplingNearest2d(scale_factor=2)

    def forward(self, x: Tensor) -> Tensor:
        h = self.c1(self.up(torch.relu(self.b1(x))))
        return self.c2(torch.relu(self.b2(h))) + self.c_sc(self.up(x))


class FirstBlock(nn.Module):
    """The critic's first block: no activation at its start, and a shortcut that is pooled before its convolution."""

    def __init__(self, inputs: int, outputs: int, norm: Normalise) -> None:
        super().__init__()
        self.c1 = norm(_glorot(nn.Conv2d(inputs, outputs, 3, padding=1), math.sqrt(2.0)))
        self.c2 = norm(_glorot(nn.Conv2d(outputs, outputs, 3, padding=1), math.sqrt(2.0)))
        self.c_sc = norm(_glorot(nn.Conv2d(inputs, outputs, 1)))

    def forward(self, x: Tensor) -> Tensor:
        return F.avg_pool2d(self.c2(torch.relu(self.c1(x))), 2) + self.c_sc(F.avg_pool2d(x, 2))


class CriticBlock(nn.Module):
    """ReLU, convolution, ReLU, convolution, pooling; the first convolution keeps the width of the input."""

    def __init__(self, inputs: int, outputs: int, norm: Normalise, down: bool) -> None:
        super().__init__()
        self.c1 = norm(_glorot(nn.Conv2d(inputs, inputs, 3, padding=1), math.sqrt(2.0)))
        self.c2 = norm(_glorot(nn.Conv2d(inputs, outputs, 3, padding=1), math.sqrt(2.0)))
        self.c_sc = norm(_glorot(nn.Conv2d(inputs, outputs, 1))) if down or inputs != outputs else nn.Identity()
        self.pool = nn.AvgPool2d(2) if down else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return self.pool(self.c2(torch.relu(self.c1(torch.relu(x))))) + self.pool(self.c_sc(x))


class SumOverPixels(nn.Module):
    """ReLU and the sum over pixels: [B, C, H, W] to [B, C]."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(x).sum((2, 3))


def sngan_resnet_generator(width: int) -> nn.Module:
    """Returns Table 4a: z [B, 128] to images of 32 x 32 pixels."""
    blocks = [GeneratorBlock(width, width) for _ in range(3)]
    last = [nn.BatchNorm2d(width), nn.ReLU(), _glorot(nn.Conv2d(width, 3, 3, padding=1)), nn.Tanh()]
    return nn.Sequential(_glorot(ToMap(128, (width, 4, 4))), *blocks, *last)


def sngan_resnet_critic(width: int) -> nn.Module:
    """Returns Table 4b: the critic of images of 32 x 32 pixels."""
    blocks = [CriticBlock(width, width, spectral_norm, down) for down in (True, False, False)]
    last = spectral_norm(_glorot(nn.Linear(width, 1, bias=False)))
    return nn.Sequential(FirstBlock(3, width, spectral_norm), *blocks, SumOverPixels(), last, nn.Flatten(0))


def sngan_resnet_critic_48(width: int) -> nn.Module:
    """Returns Table 5b: the critic of images of 48 x 48 pixels, whose blocks double the width."""
    widths = [width << n for n in range(5)]
    blocks = [
        CriticBlock(inputs, outputs, spectral_norm, n < 3)
        for n, (inputs, outputs) in enumerate(itertools.pairwise(widths))
    ]
    last = spectral_norm(_glorot(nn.Linear(widths[-1], 1, bias=False)))
    return nn.Sequential(FirstBlock(3, width, spectral_norm), *blocks, SumOverPixels(), last, nn.Flatten(0))


def _lecun(layer: nn.Module) -> nn.Module:
    """Chainer's default: N(0, 1 / fan_in)."""
    weight = layer.weight
    inputs = weight.shape[0] if isinstance(layer, nn.ConvTranspose2d) else weight.shape[1]
    return initialised(layer, lambda w: nn.init.normal_(w, 0.0, (inputs * weight[0, 0].numel()) ** -0.5))


def sngan_cnn_generator(width: int) -> nn.Module:
    """Returns Table 3a: z [B, 128] to images of 32 x 32 pixels."""
    layers, outputs = [_lecun(ToMap(128, (8 * width, 4, 4)))], 8 * width
    for _ in range(3):
        inputs, outputs = outputs, outputs // 2
        layers += [_lecun(nn.ConvTranspose2d(inputs, outputs, 4, 2, 1, bias=False)), nn.BatchNorm2d(outputs), nn.ReLU()]
    return nn.Sequential(*layers, _lecun(nn.Conv2d(outputs, 3, 3, 1, 1)), nn.Tanh())


def sngan_cnn_critic(width: int) -> nn.Module:
    """Returns Table 3b: the critic of images of 32 x 32 pixels."""
    convs = [(3, width, 3), (width, width, 4), (width, 2 * width, 3), (2 * width, 2 * width, 4)]
    convs += [(2 * width, 4 * width, 3), (4 * width, 4 * width, 4), (4 * width, 8 * width, 3)]
    layers = []
    for inputs, outputs, side in convs:
        layers += [spectral_norm(_lecun(nn.Conv2d(inputs, outputs, side, 1 if side == 3 else 2, 1)))]
        layers += [nn.LeakyReLU(0.1)]
    return nn.Sequential(*layers, spectral_norm(_lecun(FromMap((8 * width, 4, 4), 1))), nn.Flatten(0))


class SelfAttention(nn.Module):
    """SAGAN's block: Zhang et al. 2018, and github.com/brain-research/self-attention-gan, non_local.py."""

    def __init__(self, width: int) -> None:
        super().__init__()
        conv = lambda inputs, outputs: spectral_norm(_glorot(nn.Conv2d(inputs, outputs, 1, bias=False)))
        self.theta, self.phi = conv(width, width // 8), conv(width, width // 8)
        self.g, self.o = conv(width, width // 2), conv(width // 2, width)
        self.gamma = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        theta = self.theta(x).flatten(2)  # [B, C/8, HW]
        phi = F.max_pool2d(self.phi(x), 2).flatten(2)  # [B, C/8, HW/4]
        g = F.max_pool2d(self.g(x), 2).flatten(2)  # [B, C/2, HW/4]
        weights = torch.softmax(theta.transpose(1, 2) @ phi, dim=-1)  # [B, HW, HW/4]
        attended = (g @ weights.transpose(1, 2)).unflatten(2, x.shape[2:])
        return x + self.gamma * self.o(attended)


# R3GAN: Huang et al. 2024, appendix, and the authors' Networks.py and Resamplers.py.


def _msr(layer: nn.Module, gain: float = 1.0) -> nn.Module:
    fan_in = layer.weight.shape[1] * layer.weight[0, 0].numel()
    return initialised(layer, lambda weight: nn.init.normal_(weight, 0.0, gain / math.sqrt(fan_in)))


class R3GANBlock(nn.Module):
    """An inverted bottleneck whose last convolution is initialised as 0; `total` blocks are in the network."""

    def __init__(self, width: int, groups: int, total: int) -> None:
        super().__init__()
        gain = math.sqrt(2.0 / (1.0 + 0.2**2)) * total**-0.25
        self.l1 = _msr(nn.Conv2d(width, 2 * width, 1), gain)
        self.l2 = _msr(nn.Conv2d(2 * width, 2 * width, 3, padding=1, groups=groups), gain)
        self.l3 = _msr(nn.Conv2d(2 * width, width, 1, bias=False), 0.0)

    def forward(self, x: Tensor) -> Tensor:
        h = F.leaky_relu(self.l1(x), 0.2)
        return x + self.l3(F.leaky_relu(self.l2(h), 0.2))


class Resample(nn.Module):
    """Convolution of each channel with [1, 2, 1] * [1, 1] = [1, 3, 3, 1], at stride 2, or its transpose."""

    def __init__(self, up: bool) -> None:
        super().__init__()
        self.up = up

    def forward(self, x: Tensor) -> Tensor:
        taps = x.new_tensor([1.0, 3.0, 3.0, 1.0]) / 8.0
        kernel = torch.outer(taps, taps).expand(x.shape[1], 1, 4, 4)
        if self.up:
            return F.conv_transpose2d(x, 4.0 * kernel, stride=2, padding=1, groups=x.shape[1])
        return F.conv2d(x, kernel, stride=2, padding=1, groups=x.shape[1])


class GenerativeBasis(nn.Module):
    """Vectors [B, I] to maps of 4 x 4 pixels: a learned pattern per channel times a linear function."""

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        self.basis = nn.Parameter(torch.empty(width, 4, 4).normal_())
        self.linear = _msr(nn.Linear(inputs, width, bias=False))

    def forward(self, z: Tensor) -> Tensor:
        return self.basis * self.linear(z)[..., None, None]


class DiscriminativeBasis(nn.Module):
    """Maps of 4 x 4 pixels to vectors [B, O]: a depthwise convolution without padding, then a linear layer."""

    def __init__(self, width: int, outputs: int) -> None:
        super().__init__()
        self.basis = nn.Parameter(torch.empty(width, 4, 4).normal_(0.0, 1.0 / 4.0))
        self.linear = _msr(nn.Linear(width, outputs, bias=False))

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(F.conv2d(x, self.basis[:, None], groups=len(self.basis)).flatten(1))


class R3GANGenerator(nn.Module):
    """z [B, 64] and classes to images of 32 x 32 pixels, four stages of two blocks."""

    def __init__(self, width: int, groups: int) -> None:
        super().__init__()
        self.embedding = _msr(nn.Linear(10, 64, bias=False))
        self.first = GenerativeBasis(128, width)
        stage = lambda: [R3GANBlock(width, groups, total=8) for _ in range(2)]
        later = [layer for _ in range(3) for layer in (Resample(up=True), *stage())]
        self.layers = nn.Sequential(*stage(), *later, _msr(nn.Conv2d(width, 3, 1, bias=False)))

    def forward(self, z: Tensor, labels: Tensor) -> Tensor:
        classes = self.embedding(F.one_hot(labels, 10).to(z.dtype))
        return self.layers(self.first(torch.cat([z, classes], 1)))


class R3GANDiscriminator(nn.Module):
    """Images of 32 x 32 pixels and classes to logits."""

    def __init__(self, width: int, groups: int) -> None:
        super().__init__()
        stage = lambda: [R3GANBlock(width, groups, total=8) for _ in range(2)]
        later = [layer for _ in range(3) for layer in (Resample(up=False), *stage())]
        first = _msr(nn.Conv2d(3, width, 1, bias=False))
        self.layers = nn.Sequential(first, *stage(), *later, DiscriminativeBasis(width, width))
        self.embedding = _msr(nn.Linear(10, width, bias=False), 1.0 / math.sqrt(width))

    def forward(self, x: Tensor, labels: Tensor) -> Tensor:
        return (self.layers(x) * self.embedding(F.one_hot(labels, 10).to(x.dtype))).sum(1)


# The first GAN: github.com/goodfeli/adversarial, mnist.yaml. Pylearn2's `irange` is the bound of uniform weights.


def _uniform(layer: nn.Module, limit: float) -> nn.Module:
    return initialised(layer, lambda weight: nn.init.uniform_(weight, -limit, limit))


class Maxout(nn.Linear):
    """The largest of `pieces` linear functions per unit. Each unit's pieces are neighbours, as in Pylearn2."""

    def __init__(self, inputs: int, units: int, pieces: int = 5) -> None:
        super().__init__(inputs, units * pieces)
        self.pieces = pieces

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x).unflatten(1, (-1, self.pieces)).amax(2)


class ToUnitRange(nn.Module):
    """Images in [-1, 1] to vectors in [0, 1]."""

    def forward(self, x: Tensor) -> Tensor:
        return (x.flatten(1) + 1.0) / 2.0


class FromUnitRange(nn.Module):
    """Vectors in [0, 1] to images in [-1, 1]."""

    def forward(self, x: Tensor) -> Tensor:
        return (2.0 * x - 1.0).unflatten(1, (1, 28, 28))


def maxout_generator(width: int) -> nn.Module:
    """Returns the generator from z [B, 100] to images of 28 x 28 pixels, with `width` units in each hidden layer."""
    hidden = [_uniform(nn.Linear(100, width), 0.05), nn.ReLU(), _uniform(nn.Linear(width, width), 0.05), nn.ReLU()]
    return nn.Sequential(*hidden, _uniform(nn.Linear(width, 784), 0.05), nn.Sigmoid(), FromUnitRange())


def maxout_discriminator(units: int) -> nn.Module:
    """Returns the discriminator of images of 28 x 28 pixels without dropout; hidden layers have `units` units."""
    hidden = [_uniform(Maxout(784, units), 0.005), _uniform(Maxout(units, units), 0.005)]
    return nn.Sequential(ToUnitRange(), *hidden, _uniform(nn.Linear(units, 1), 0.005), nn.Flatten(0))
