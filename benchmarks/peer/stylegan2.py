"""StyleGAN2 in plain PyTorch (Karras et al. 2020, arXiv 1912.04958). Images are [B, C, H, W].

Modules and parameters have the names of ours in flax, so that `to_state` converts weights by their paths.
"""

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.peer.losses import LOSSES, logits_and_gradient
from benchmarks.peer.media import MediaPeer, Noise

FILTER = torch.outer(*[torch.tensor([1.0, 3.0, 3.0, 1.0]) / 8] * 2)
PATH_DECAY = 0.99
SIZE = 28  # of MNIST, in pixels


def to_state(params: Mapping[str, Any], prefix: str = "") -> dict[str, Tensor]:
    """Returns our parameters, or their gradients, by the names of a module's state."""
    state = {}
    for name, value in params.items():
        if isinstance(value, Mapping):
            state |= to_state(value, f"{prefix}{name}.")
            continue
        array = np.asarray(value)
        if name in ("kernel", "constant"):  # [I, O], [H, W, I, O] and [H, W, C]
            array = np.moveaxis(array, (-1, -2), (0, 1)) if array.ndim != 3 else np.moveaxis(array, -1, 0)
        state[prefix + name] = torch.tensor(array.copy())
    return state


def activate(x: Tensor) -> Tensor:
    """Returns the leaky ReLU, scaled to keep the second moment."""
    return F.leaky_relu(x, 0.2) * math.sqrt(2)


def normalise(x: Tensor) -> Tensor:
    """Returns the rows of x [B, N] divided by the root of their mean square."""
    return x * (x.square().mean(1, keepdim=True) + 1e-8).rsqrt()


def blur(x: Tensor, padding: Sequence[int], stride: int = 1, gain: float = 1.0) -> Tensor:
    """Returns filtered images, padded by (low, high) zeros along both axes."""
    kernel = (gain * FILTER.to(x)).expand(x.shape[1], 1, 4, 4)
    return F.conv2d(F.pad(x, [*padding, *padding]), kernel, stride=stride, groups=x.shape[1])


def upsample(x: Tensor) -> Tensor:
    """Returns images of twice the size."""
    b, c, h, w = x.shape
    with_zeros = F.pad(x.reshape(b, c, h, 1, w, 1), (0, 1, 0, 0, 0, 1)).view(b, c, 2 * h, 2 * w)
    return blur(with_zeros, (2, 1), gain=4.0)


class Dense(nn.Module):
    """A linear layer with an equalised learning rate."""

    def __init__(self, inputs: int, outputs: int, lr_multiplier: float = 1.0) -> None:
        super().__init__()
        self.kernel, self.bias = nn.Parameter(torch.empty(outputs, inputs)), nn.Parameter(torch.empty(outputs))
        self.lr_multiplier = lr_multiplier

    def forward(self, x: Tensor) -> Tensor:
        scale = self.lr_multiplier / math.sqrt(x.shape[1])
        return F.linear(x, self.kernel * scale, self.bias * self.lr_multiplier)


class Conv(nn.Module):
    """A convolution with an equalised learning rate."""

    def __init__(self, inputs: int, outputs: int, side: int, bias: bool = True) -> None:
        super().__init__()
        self.kernel = nn.Parameter(torch.empty(outputs, inputs, side, side))
        self.bias = nn.Parameter(torch.empty(outputs)) if bias else None

    def forward(self, x: Tensor, stride: int = 1, padding: int | None = None) -> Tensor:
        side = self.kernel.shape[2]
        kernel = self.kernel / math.sqrt(self.kernel[0].numel())
        return F.conv2d(x, kernel, self.bias, stride, side // 2 if padding is None else padding)


class ModulatedConv(nn.Module):
    """A convolution whose kernel is scaled by a style, with a bias.

    Either `grouped`, with a kernel for each image, as the paper says, or with scaled inputs and outputs.
    """

    demodulates = True

    def __init__(self, inputs: int, outputs: int, styles: int, side: int = 3, grouped: bool = False) -> None:
        super().__init__()
        self.kernel, self.bias = (
            nn.Parameter(torch.empty(outputs, inputs, side, side)),
            nn.Parameter(torch.empty(outputs)),
        )
        self.Dense_0, self.grouped = Dense(styles, inputs), grouped

    def modulated(self, x: Tensor, w: Tensor, up: bool = False) -> Tensor:
        """Returns the convolution, without the bias."""
        style = self.Dense_0(w)
        return self._grouped(x, style, up) if self.grouped else self._scaled(x, style, up)

    def _scaled(self, x: Tensor, style: Tensor, up: bool) -> Tensor:
        x = x * style[:, :, None, None]
        if up:
            x = blur(F.conv_transpose2d(x, self.kernel.flip(2, 3).transpose(0, 1), stride=2), (1, 1), gain=4.0)
        else:
            x = F.conv2d(x, self.kernel, padding=self.kernel.shape[2] // 2)
        if not self.demodulates:
            return x / math.sqrt(style.shape[1])
        norm = (style.square() @ self.kernel.square().sum((2, 3)).T + 1e-8).rsqrt()
        return x * norm[:, :, None, None]

    def _grouped(self, x: Tensor, style: Tensor, up: bool) -> Tensor:
        (b, i, h, w), (o, _, side, _) = x.shape, self.kernel.shape
        kernel = self.kernel * style[:, None, :, None, None]
        if self.demodulates:
            kernel = kernel * (kernel.square().sum((2, 3, 4), keepdim=True) + 1e-8).rsqrt()
        else:
            kernel = kernel / math.sqrt(i)
        x = x.reshape(1, b * i, h, w)
        if not up:
            return F.conv2d(x, kernel.flatten(0, 1), padding=side // 2, groups=b).view(b, o, h, w)
        kernel = kernel.flip(3, 4).transpose(1, 2).flatten(0, 1)
        return blur(
            F.conv_transpose2d(x, kernel, stride=2, groups=b).view(b, o, 2 * h + 1, 2 * w + 1), (1, 1), gain=4.0
        )


class StyledConv(ModulatedConv):
    """A modulated convolution with noise [B, H, W] and activation."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.noise_strength = nn.Parameter(torch.empty([]))

    def forward(self, x: Tensor, w: Tensor, noise: Tensor, up: bool = False) -> Tensor:
        x = self.modulated(x, w, up) + noise[:, None] * self.noise_strength
        return activate(x + self.bias[:, None, None])


class ToImage(ModulatedConv):
    """A modulated convolution of single pixels, without demodulation."""

    demodulates = False

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        return self.modulated(x, w) + self.bias[:, None, None]


class MappingNetwork(nn.Module):
    """Maps latents, and labels if there are classes, to styles."""

    def __init__(self, inputs: int, features: int, depth: int, classes: int = 0) -> None:
        super().__init__()
        layers = [Dense(classes, features)] if classes else []
        widths = [inputs + (features if classes else 0), *[features] * depth]
        layers += [Dense(i, o, lr_multiplier=0.01) for i, o in itertools.pairwise(widths)]
        for n, layer in enumerate(layers):
            self.add_module(f"Dense_{n}", layer)
        self.classes = classes

    def forward(self, z: Tensor | None, labels: Tensor | None = None) -> Tensor:
        layers = list(self.children())
        inputs = [] if z is None else [normalise(z)]
        if self.classes:
            embed = layers.pop(0)
            inputs.append(normalise(embed(F.one_hot(labels, self.classes).to(embed.kernel))))
        w = torch.cat(inputs, 1)
        for layer in layers:
            w = activate(layer(w))
        return w


class Synthesis(nn.Module):
    """Maps styles [B, L, W] and noise for each convolution to images, cropped to `size`."""

    def __init__(
        self, channels: int, widths: Sequence[int], base: int, styles: int, size: int, grouped: bool = False
    ) -> None:
        super().__init__()
        self.size = size
        self.constant = nn.Parameter(torch.empty(widths[0], base, base))
        pairs = [(widths[0], widths[0]), *((i, o) for a, b in itertools.pairwise(widths) for i, o in ((a, b), (b, b)))]
        for n, (i, o) in enumerate(pairs):
            self.add_module(f"StyledConv_{n}", StyledConv(i, o, styles, grouped=grouped))
        for n, width in enumerate(widths):
            self.add_module(f"ToImage_{n}", ToImage(width, channels, styles, 1, grouped))
        self.levels = len(widths)

    def forward(self, ws: Tensor, noise: Sequence[Tensor]) -> Tensor:
        layers = dict(self.named_children())
        x, image = self.constant.expand(len(ws), -1, -1, -1), None
        for n in range(2 * self.levels - 1):
            x = layers[f"StyledConv_{n}"](x, ws[:, n], noise[n], up=n % 2 == 1)
            if n % 2 == 0:
                out = layers[f"ToImage_{n // 2}"](x, ws[:, n + 1])
                image = out if image is None else upsample(image) + out
        margin = (image.shape[2] - self.size) // 2
        return image[:, :, margin : margin + self.size, margin : margin + self.size]


class Generator(nn.Module):
    """The mapping network and the synthesis network."""

    def __init__(self, latent: int, depth: int, classes: int, synthesis: Synthesis) -> None:
        super().__init__()
        features = synthesis.StyledConv_0.Dense_0.kernel.shape[1]
        self.mapping, self.synthesis = MappingNetwork(latent, features, depth, classes), synthesis

    def styles(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """Returns the styles of all layers."""
        return self.mapping(z, labels)[:, None].expand(-1, 2 * self.synthesis.levels, -1)

    def forward(self, z: Tensor, noise: Sequence[Tensor], labels: Tensor | None = None) -> Tensor:
        return self.synthesis(self.styles(z, labels), noise)


class Discriminator(nn.Module):
    """The residual discriminator of images, which are padded; `widths` begin at the full size."""

    def __init__(self, channels: int, widths: Sequence[int], base: int, group: int, classes: int = 0) -> None:
        super().__init__()
        convs = [Conv(channels, widths[0], 1)]
        for i, o in itertools.pairwise(widths):
            convs += [Conv(i, i, 3), Conv(i, o, 3), Conv(i, o, 1, bias=False)]
        last = widths[-1]
        for n, conv in enumerate([*convs, Conv(last + 1, last, 3)]):
            self.add_module(f"Conv_{n}", conv)
        self.Dense_0, self.Dense_1 = Dense(last * base**2, last), Dense(last, last if classes else 1)
        self.Mapping_0 = MappingNetwork(0, last, 8, classes) if classes else None
        self.group, self.size = group, base << (len(widths) - 1)

    def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        missing = self.size - x.shape[2]
        x = F.pad(x, [missing // 2, missing - missing // 2] * 2, mode="replicate") if missing else x
        first, *convs, last = (module for module in self.children() if isinstance(module, Conv))
        x = activate(first(x))
        for conv, down, skip in zip(convs[::3], convs[1::3], convs[2::3], strict=True):
            inner = activate(down(blur(activate(conv(x)), (2, 2)), stride=2, padding=0))
            x = (inner + skip(blur(x, (1, 1), stride=2))) * math.sqrt(0.5)
        x = activate(last(self._with_deviation(x))).movedim(1, -1).flatten(1)
        x = self.Dense_1(activate(self.Dense_0(x)))
        if self.Mapping_0 is None:
            return x[:, 0]
        return (x * self.Mapping_0(None, labels)).sum(1) / math.sqrt(x.shape[1])

    def _with_deviation(self, x: Tensor) -> Tensor:
        """Appends the mean standard deviation within groups of consecutive images."""
        b, _, h, w = x.shape
        variance = x.reshape(b // self.group, self.group, -1).var(1, correction=0)
        deviation = (variance + 1e-8).sqrt().mean(1).repeat_interleave(self.group)
        return torch.cat([x, deviation[:, None, None, None].expand(b, 1, h, w)], 1)


def r1(critic: Any, x: Tensor) -> Tensor:
    """Returns half the mean squared norm of the critic's gradient."""
    return 0.5 * logits_and_gradient(critic, x)[1].square().sum((1, 2, 3)).mean()


def path_lengths(images: Tensor, ws: Tensor, y: Tensor) -> Tensor:
    """Returns the path lengths [B] of images [B, C, H, W] from styles [B, L, W], for noise y of the images' shape."""
    product = (images * y).sum() / math.sqrt(y[0, 0].numel())
    (gradient,) = torch.autograd.grad(product, ws, create_graph=True)
    return (gradient.square().sum(2).mean(1) + 1e-12).sqrt()


class StyleGan2(MediaPeer):
    """StyleGAN2 with lazy R1 and path length, without style mixing."""

    trained: Mapping[str, str] = {
        "d": "discriminator",
        "d_penalty": "discriminator",
        "g": "generator",
        "path": "generator",
    }

    def __init__(self, config: Any, params: Mapping[str, Any], dtype: torch.dtype = torch.float32) -> None:
        self.config, self.dtype = config, dtype
        synthesis = params["generator"]["synthesis"]
        base, _, _ = synthesis["constant"].shape
        levels = sum(name.startswith("ToImage") for name in synthesis)
        widths = [synthesis[f"StyledConv_{2 * n}"]["bias"].size for n in range(levels)]
        channels = synthesis["ToImage_0"]["bias"].size
        self.sides = [base << (n + 1) // 2 for n in range(2 * levels - 1)]
        self.shape = (channels, SIZE, SIZE)
        G = Generator(config.latent, config.depth, 0, Synthesis(channels, widths, base, config.styles, SIZE))
        D = Discriminator(channels, widths[::-1], base, config.group)
        self.networks = {"generator": G, "discriminator": D}
        self.load(params, dtype)
        self.path_length = torch.zeros([], dtype=dtype)
        self.every = {"d_penalty": config.r1_every, "path": config.path_every}
        d_adam, g_adam = self._adam(D, config.d_lr, config.r1_every), self._adam(G, config.g_lr, config.path_every)
        self.optimizers = {"d": d_adam, "d_penalty": d_adam, "g": g_adam, "path": g_adam}
        self.average = [p.detach().clone() for p in G.parameters()]

    def _adam(self, module: nn.Module, lr: float, every: int) -> torch.optim.Optimizer:
        c = every / (every + 1)
        return torch.optim.Adam(module.parameters(), lr * c, (0.0, 0.99**c), fused=True)

    def convert(self, network: str, params: Any) -> dict[str, Tensor]:
        """Returns parameters by name."""
        return to_state(params)

    def loss(self, phase: str, real: Tensor, noise: Noise) -> Tensor:
        """Returns the loss of a phase."""
        G, D = self.networks.values()
        real, adversarial = real.movedim(-1, 1), LOSSES["non_saturating"]
        if phase == "d_penalty":
            return self.config.r1_every * self.config.gamma * r1(D, real)
        layer_noise = [noise[f"noise_{n}"] for n in range(len(self.sides))]
        if phase == "path":
            ws = G.styles(noise["z"])
            lengths = path_lengths(G.synthesis(ws, layer_noise), ws, noise["y"].movedim(-1, 1))
            mean = torch.lerp(lengths.mean(), self.path_length, PATH_DECAY)
            self.path_length = mean.detach()
            return self.config.path_every * self.config.path_weight * (lengths - mean).square().mean()
        if phase == "g":
            return adversarial.g(D(G(noise["z"], layer_noise)))
        with torch.no_grad():
            fake = G(noise["z"], layer_noise)
        return adversarial.d(D(real), D(fake))

    def draw(self, phase: str) -> Noise:
        """Draws latents, the noise of all layers, and y."""
        if phase == "d_penalty":
            return {}
        b = self.config.batch_size // (2 if phase == "path" else 1)
        noise = {f"noise_{n}": torch.randn(b, side, side) for n, side in enumerate(self.sides)}
        channels, h, w = self.shape
        noise |= {"y": torch.randn(b, h, w, channels)} if phase == "path" else {}
        return noise | {"z": torch.randn(b, self.config.latent)}

    def step(self, real: Tensor) -> None:
        """Takes one training step, and updates the averaged generator."""
        super().step(real)
        with torch.no_grad():
            torch._foreach_lerp_(self.average, list(self.networks["generator"].parameters()), 1e-3)
