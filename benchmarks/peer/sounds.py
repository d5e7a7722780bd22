"""WaveGAN in plain PyTorch, see `benchmarks.peer.media`."""

import itertools
import math
from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.peer.losses import LOSSES, logits_and_gradient
from benchmarks.peer.media import MediaPeer, Noise
from benchmarks.peer.networks import FromMap, ToMap
from benchmarks.peer.weights import to_torch


class SameConv1d(nn.Conv1d):
    """A strided convolution with the zeros of "SAME"."""

    def forward(self, x: Tensor) -> Tensor:
        missing = max(self.kernel_size[0] - self.stride[0], 0)
        return super().forward(F.pad(x, (missing // 2, missing - missing // 2)))


class SameConvTranspose1d(nn.ConvTranspose1d):
    """A transposed convolution whose output is `stride` times as long as x."""

    def forward(self, x: Tensor) -> Tensor:
        k, s = self.kernel_size[0], self.stride[0]
        low = k - 1 - math.ceil((k + s - 2) / 2)  # JAX pads the dilated input by half of k + s - 2.
        return super().forward(x)[..., low : low + s * x.shape[-1]]


class WaveGenerator(nn.Sequential):
    """WaveGAN's generator, from z to sounds [B, T]."""

    def __init__(self, latent: int, width: int, layers: int) -> None:
        widths = [width << i for i in range(layers)]
        upsample = lambda inputs, outputs: SameConvTranspose1d(inputs, outputs, 25, 4)
        modules = [ToMap(latent, (widths[-1], 16)), nn.ReLU()]
        for outputs, inputs in zip(widths[-2::-1], widths[:0:-1], strict=True):
            modules += [upsample(inputs, outputs), nn.ReLU()]
        super().__init__(*modules, upsample(width, 1), nn.Tanh(), nn.Flatten(1))


class WaveCritic(nn.Module):
    """WaveGAN's critic, of sounds [B, T] and shifts int64 [B, layers - 1]."""

    def __init__(self, width: int, layers: int, shuffle: int) -> None:
        super().__init__()
        widths = [1, *(width << i for i in range(layers))]
        convs = [SameConv1d(i, o, 25, 4) for i, o in itertools.pairwise(widths)]
        self.convs, self.shuffle = nn.ModuleList(convs), shuffle
        self.output = FromMap((widths[-1], 16), 1)

    def forward(self, x: Tensor, shifts: Tensor) -> Tensor:
        x = x[:, None]
        for i, conv in enumerate(self.convs):
            x = F.leaky_relu(conv(x), 0.2)
            if self.shuffle and i < len(self.convs) - 1:
                x = self._shift(x, shifts[:, i])
        return self.output(x)[:, 0]

    def _shift(self, x: Tensor, shifts: Tensor) -> Tensor:
        padded = F.pad(x, (self.shuffle, self.shuffle), mode="reflect")
        index = shifts[:, None] + torch.arange(x.shape[2])
        return padded.gather(2, index[:, None].expand_as(x))


class WaveGan(MediaPeer):
    """WaveGAN with a gradient penalty."""

    trained: Mapping[str, str] = {"d": "discriminator", "g": "generator"}

    def __init__(self, config: Any, params: Mapping[str, Any], dtype: torch.dtype = torch.float32) -> None:
        self.config, self.dtype = config, dtype
        self.layers = round(math.log(config.length / 16, 4))
        G = WaveGenerator(config.latent, config.width, self.layers)
        D = WaveCritic(config.width, self.layers, config.shuffle)
        self.networks = {"generator": G, "discriminator": D}
        self.load(params, dtype)
        adam = lambda module: torch.optim.Adam(module.parameters(), config.lr, (config.b1, config.b2), fused=True)
        self.optimizers = {"d": adam(D), "g": adam(G)}

    def convert(self, network: str, params: Any) -> dict[str, Tensor]:
        """Returns parameters by name."""
        return to_torch(self.networks[network], params)

    def loss(self, phase: str, real: Tensor, noise: Noise) -> Tensor:
        """Returns the loss of d or g."""
        G, D = self.networks["generator"], self.networks["discriminator"]
        loss = LOSSES["wasserstein"]
        if phase == "g":
            return loss.g(D(G(noise["z"]), noise["fake_shifts"]))
        with torch.no_grad():
            fake = G(noise["z"])
        x = torch.lerp(fake, real, noise["position"])
        norm = (logits_and_gradient(lambda x: D(x, noise["penalty_shifts"]), x)[1].square().sum(1) + 1e-12).sqrt()
        value = loss.d(D(real, noise["real_shifts"]), D(fake, noise["fake_shifts"]))
        return value + self.config.penalty * (norm - 1.0).square().mean()

    def draw(self, phase: str) -> Noise:
        """Draws latents, shifts, and positions between reals and fakes."""
        b, config = self.config.batch_size, self.config
        shifts = lambda: torch.randint(0, 2 * config.shuffle + 1, (b, self.layers - 1))
        noise = {"z": torch.rand(b, config.latent) * 2 - 1, "fake_shifts": shifts()}
        if phase == "g":
            return noise
        return noise | {"position": torch.rand(b, 1), "real_shifts": shifts(), "penalty_shifts": shifts()}
