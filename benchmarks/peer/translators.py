"""The networks and steps of pix2pix, CycleGAN and SRGAN in PyTorch. Images are [B, C, H, W].

Layers of each kind are in the order in which they are applied, so that weights can be converted (`weights.to_torch`).
"""

import itertools
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.peer.networks import FromMap
from benchmarks.peer.weights import to_torch

Batch = Mapping[str, Tensor]
Networks = Mapping[str, nn.Module]


def _leaky_relu() -> nn.Module:
    return nn.LeakyReLU(0.2, inplace=True)


class UNet(nn.Module):
    """The generator of pix2pix."""

    def __init__(self, width: int, levels: int, dropouts: int) -> None:
        super().__init__()
        widths = [width * min(2**n, 8) for n in range(levels)]
        norm = lambda channels: nn.InstanceNorm2d(channels, affine=True)
        self.downs, self.ups = nn.ModuleList([nn.Conv2d(3, width, 4, 2, 1)]), nn.ModuleList()
        for n, (inputs, outputs) in enumerate(itertools.pairwise(widths)):
            innermost = n == levels - 2
            layers = [nn.LeakyReLU(0.2), nn.Conv2d(inputs, outputs, 4, 2, 1, bias=innermost)]
            self.downs.append(nn.Sequential(*layers, *([] if innermost else [norm(outputs)])))
        inputs = widths[-1]
        for n, outputs in enumerate(reversed(widths[:-1])):
            layers = [nn.ReLU(), nn.ConvTranspose2d(inputs, outputs, 4, 2, 1, bias=False), norm(outputs)]
            self.ups.append(nn.Sequential(*layers, *[nn.Dropout(0.5)] * (n < dropouts)))
            inputs = 2 * outputs
        self.last = nn.Sequential(nn.ReLU(), nn.ConvTranspose2d(inputs, 3, 4, 2, 1), nn.Tanh())

    def forward(self, x: Tensor) -> Tensor:
        skips = []
        for down in self.downs:
            x = down(x)
            skips.append(x)
        skips.pop()
        for up in self.ups:
            x = torch.cat([up(x), skips.pop()], 1)
        return self.last(x)


def patchgan(channels: int, width: int, halvings: int, affine: bool) -> nn.Module:
    """Returns the discriminator of patches, for `halvings` of at least 1."""
    layers = [nn.Conv2d(channels, width, 4, 2, 1), _leaky_relu()]
    widths = [width * min(2**n, 8) for n in range(halvings + 1)]
    for n, (inputs, outputs) in enumerate(itertools.pairwise(widths)):
        stride = 2 if n < halvings - 1 else 1
        layers += [nn.Conv2d(inputs, outputs, 4, stride, 1, bias=False), nn.InstanceNorm2d(outputs, affine=affine)]
        layers.append(_leaky_relu())
    return nn.Sequential(*layers, nn.Conv2d(widths[-1], 1, 4, 1, 1))


class Residual(nn.Module):
    """Adds the output of layers to their input."""

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.layers(x)


def resnet_translator(width: int, blocks: int) -> nn.Module:
    """Returns the generator of CycleGAN."""

    def normed(conv: nn.Module) -> list[nn.Module]:
        return [conv, nn.InstanceNorm2d(conv.out_channels)]

    def block(channels: int) -> nn.Module:
        conv = lambda: [nn.ReflectionPad2d(1), *normed(nn.Conv2d(channels, channels, 3, bias=False))]
        return Residual(*conv(), nn.ReLU(inplace=True), *conv())

    layers = [nn.ReflectionPad2d(3), *normed(nn.Conv2d(3, width, 7, bias=False)), nn.ReLU(inplace=True)]
    for n in range(2):
        layers += [*normed(nn.Conv2d(width << n, width << n + 1, 3, 2, 1, bias=False)), nn.ReLU(inplace=True)]
    layers += [block(4 * width) for _ in range(blocks)]
    for n in (1, 0):
        up = nn.ConvTranspose2d(width << n + 1, width << n, 3, 2, 1, output_padding=1, bias=False)
        layers += [*normed(up), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers, nn.ReflectionPad2d(3), nn.Conv2d(width, 3, 7), nn.Tanh())


class SRResNet(nn.Module):
    """The generator of SRGAN."""

    def __init__(self, width: int, blocks: int) -> None:
        super().__init__()

        def normed() -> list[nn.Module]:
            return [nn.Conv2d(width, width, 3, 1, 1, bias=False), nn.BatchNorm2d(width)]

        self.first = nn.Sequential(nn.Conv2d(3, width, 9, 1, 4), nn.PReLU(width))
        residuals = [Residual(*normed(), nn.PReLU(width), *normed()) for _ in range(blocks)]
        self.trunk = Residual(*residuals, *normed())
        ups = [[nn.Conv2d(width, 4 * width, 3, 1, 1), nn.PixelShuffle(2), nn.PReLU(width)] for _ in range(2)]
        self.last = nn.Sequential(*itertools.chain(*ups), nn.Conv2d(width, 3, 9, 1, 4))

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.trunk(self.first(x)))


def srgan_discriminator(size: int, width: int, stages: int, units: int) -> nn.Module:
    """Returns SRGAN's discriminator. Strided convolutions are padded at the right and at the bottom, as by XLA."""
    layers, channels = [], 3
    for stage in range(stages):
        for stride in (1, 2):
            outputs, is_first = width << stage, not layers
            pad = nn.ZeroPad2d((1, 1, 1, 1) if stride == 1 else (0, 1, 0, 1))
            layers += [pad, nn.Conv2d(channels, outputs, 3, stride, bias=is_first)]
            layers += [_leaky_relu()] if is_first else [nn.BatchNorm2d(outputs), _leaky_relu()]
            channels = outputs
    side = size >> stages
    return nn.Sequential(*layers, FromMap((channels, side, side), units), _leaky_relu(), nn.Linear(units, 1))


def feature_maps(width: int, layers: int) -> nn.Module:
    """Returns the classifier's convolutions, with the activation of the last one."""
    widths = [3, *(width << n for n in range(layers))]
    convs = [[nn.Conv2d(i, o, 4, 2, 1), nn.ReLU(inplace=True)] for i, o in itertools.pairwise(widths)]
    return nn.Sequential(*itertools.chain(*convs))


class Phase(NamedTuple):
    """A phase of a step: the networks that learn, and their loss."""

    name: str
    learners: tuple[str, ...]
    loss: Callable[[Batch], Tensor]


class Peer:
    """The networks of a game with the steps of their optimizers.

    Attributes:
        networks: Modules by the names of our networks.
        phases: What a step does, in order.
    """

    def __init__(self, networks: Networks, phases: Callable[[Networks], tuple[Phase, ...]], params: Any) -> None:
        """Sets the parameters to ours, and makes one Adam for each phase."""
        self.networks, self.phases = networks, phases(networks)
        for name, module in networks.items():
            module.load_state_dict(module.state_dict() | to_torch(module, params[name]))
        self.params = {
            phase.name: {f"{name}.{key}": p for name in phase.learners for key, p in networks[name].named_parameters()}
            for phase in self.phases
        }
        self.optimizers = {
            phase: torch.optim.Adam(params.values(), 2e-4, (0.5, 0.999), fused=True)
            for phase, params in self.params.items()
        }

    def backward(self, phase: Phase, batch: Batch) -> Tensor:
        """Returns the loss of a phase, and leaves the gradients in the parameters of its learners."""
        for name, module in self.networks.items():
            module.requires_grad_(name in phase.learners)
        self.optimizers[phase.name].zero_grad(set_to_none=True)
        loss = phase.loss(batch)
        loss.backward()
        return loss.detach()

    def step(self, batch: Batch) -> None:
        """Takes one training step."""
        for phase in self.phases:
            self.backward(phase, batch)
            self.optimizers[phase.name].step()

    def compile(self) -> None:
        """Compiles the loss of each phase."""
        self.phases = tuple(phase._replace(loss=torch.compile(phase.loss)) for phase in self.phases)


def pix2pix_phases(networks: Networks) -> tuple[Phase, ...]:
    """Returns the phases of Eq. 4 of pix2pix."""
    G, D = networks["generator"], networks["discriminator"]
    logits = lambda x, y: D(torch.cat([x, y], 1))

    def d_loss(batch: Batch) -> Tensor:
        with torch.no_grad():
            fake = G(batch["x"])
        real_logits, fake_logits = logits(batch["x"], batch["y"]), logits(batch["x"], fake)
        return 0.5 * (F.softplus(-real_logits).mean() + F.softplus(fake_logits).mean())

    def g_loss(batch: Batch) -> Tensor:
        fake = G(batch["x"])
        return F.softplus(-logits(batch["x"], fake)).mean() + 100.0 * F.l1_loss(fake, batch["y"])

    return Phase("d", ("discriminator",), d_loss), Phase("g", ("generator",), g_loss)


class Pool:
    """Keeps earlier fakes, and shows the discriminator one of them in place of every second fake."""

    def __init__(self, size: int) -> None:
        self.size, self.images = size, []

    @torch.compiler.disable  # Each length of the list would be compiled again.
    def query(self, fakes: Tensor) -> Tensor:
        """Returns what is shown in place of fakes [B, ...]."""
        shown = []
        for fake in fakes:
            if len(self.images) < self.size:
                self.images.append(fake)
            elif torch.rand([]) < 0.5:
                n = int(torch.randint(self.size, []))
                self.images[n], fake = fake, self.images[n]
            shown.append(fake)
        return torch.stack(shown)


def cyclegan_phases(networks: Networks) -> tuple[Phase, ...]:
    """Returns the phases of Eq. 3 of CycleGAN, with a pool of 50 fakes for each discriminator."""
    G, F_, D_y, D_x = (networks[name] for name in ("forward", "backward", "critic_y", "critic_x"))
    pools = Pool(50), Pool(50)

    def g_loss(batch: Batch) -> Tensor:
        x, y = batch["x"], batch["y"]
        fake_y, fake_x = G(x), F_(y)
        adversarial = (D_y(fake_y) - 1).square().mean() + (D_x(fake_x) - 1).square().mean()
        return adversarial + 10.0 * (F.l1_loss(F_(fake_y), x) + F.l1_loss(G(fake_x), y))

    def d_loss(batch: Batch) -> Tensor:
        with torch.no_grad():
            fakes = G(batch["x"]), F_(batch["y"])
        total = 0.0
        for D, real, fake, pool in zip((D_y, D_x), (batch["y"], batch["x"]), fakes, pools, strict=True):
            total += 0.5 * ((D(real) - 1).square().mean() + D(pool.query(fake)).square().mean())
        return total

    return Phase("g", ("forward", "backward"), g_loss), Phase("d", ("critic_y", "critic_x"), d_loss)


def srgan_phases(networks: Networks) -> tuple[Phase, ...]:
    """Returns the adversarial phases of SRGAN. Running statistics are updated where ours are."""
    G, D, features = (networks[name] for name in ("generator", "discriminator", "features"))

    def d_loss(batch: Batch) -> Tensor:
        with torch.no_grad():
            fake = G(batch["x"])
        return F.softplus(-D(batch["y"])).mean() + F.softplus(D(fake)).mean()

    def g_loss(batch: Batch) -> Tensor:
        fake, real = G(batch["x"]), batch["y"]
        with torch.no_grad():
            real_maps = features(real)
        return F.mse_loss(features(fake), real_maps) + 1e-3 * F.softplus(-D(fake)).mean()

    return Phase("d", ("discriminator",), d_loss), Phase("g", ("generator",), g_loss)
