"""MoCoGAN in plain PyTorch, see `benchmarks.peer.media`."""

import itertools
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.peer.losses import LOSSES
from benchmarks.peer.media import MediaPeer, Noise
from benchmarks.peer.networks import FromMap, ToMap
from benchmarks.peer.weights import to_torch


def _channels_first(x: Tensor) -> Tensor:
    return x.movedim(-1, 1)


class FrameGenerator(nn.Module):
    """MoCoGAN's generator, from content and noise to videos [B, C, T, H, W]."""

    def __init__(self, config: Any, channels: int, levels: int) -> None:
        super().__init__()
        self.config = config
        self.gru = nn.GRU(config.motion, config.motion, batch_first=True)
        widths = [config.g_width << i for i in range(levels)]
        relu = lambda width: [nn.BatchNorm2d(width), nn.ReLU()]
        layers = [ToMap(config.content + config.motion, (widths[-1], 4, 4), bias=False), *relu(widths[-1])]
        for width in reversed(widths[:-1]):
            layers += [nn.ConvTranspose2d(2 * width, width, 4, 2, 1, bias=False), *relu(width)]
        self.images = nn.Sequential(*layers, nn.ConvTranspose2d(widths[0], channels, 4, 2, 1), nn.Tanh())

    def forward(self, z: Tensor) -> Tensor:
        frames = self.config.frames
        content, noise = z[:, : self.config.content], z[:, self.config.content :]
        first, *others = noise.unflatten(1, (1 + frames, -1)).unbind(1)
        path, _ = self.gru(torch.stack(others, 1), first[None].contiguous())
        inputs = torch.cat([content[:, None].expand(-1, frames, -1), path], 2)
        return self.images(inputs.flatten(0, 1)).unflatten(0, (-1, frames)).movedim(1, 2)


class NoisyDiscriminator(nn.Module):
    """MoCoGAN's discriminator of images [B, C, H, W] or of videos [B, C, T, H, W]: noise before each convolution.

    Args:
        config: The experiment's settings.
        channels: Channels of x.
        levels: Number of convolutions.
        frames: Frames of a video, or 0 for images.

    Attributes:
        input_shapes: Shape [C, ...] of one input of each convolution, to which noise is added.
    """

    def __init__(self, config: Any, channels: int, levels: int, frames: int = 0) -> None:
        super().__init__()
        self.std = config.noise
        widths = [channels, *(config.width << i for i in range(levels))]
        conv, norm = (nn.Conv3d, nn.BatchNorm3d) if frames else (nn.Conv2d, nn.BatchNorm2d)
        time = 1 if frames else 0  # axes of time
        options = {"kernel_size": 4, "stride": (*[1] * time, 2, 2), "padding": (*[0] * time, 1, 1)}
        pairs = enumerate(itertools.pairwise(widths))
        self.convs = nn.ModuleList(conv(a, b, bias=i == 0, **options) for i, (a, b) in pairs)
        self.norms = nn.ModuleList(norm(width) for width in widths[2:])
        self.output = FromMap((widths[-1], *(frames - 3 * levels,) * time, 4, 4), 1)
        side = lambda i: config.size >> i
        self.input_shapes = [(widths[i], *(frames - 3 * i,) * time, side(i), side(i)) for i in range(levels)]

    def forward(self, x: Tensor, noise: list[Tensor]) -> Tensor:
        for i, (conv, n) in enumerate(zip(self.convs, noise, strict=True)):
            x = conv(torch.add(x, _channels_first(n), alpha=self.std))
            x = F.leaky_relu(self.norms[i - 1](x) if i else x, 0.2)
        return self.output(x)[:, 0]


class MoCoGan(MediaPeer):
    """MoCoGAN."""

    trained: Mapping[str, str] = {
        "d_image": "image_discriminator",
        "d_video": "video_discriminator",
        "g": "generator",
    }

    def __init__(self, config: Any, params: Mapping[str, Any], dtype: torch.dtype = torch.float32) -> None:
        self.config, self.dtype = config, dtype
        levels = self.levels = round(math.log2(config.size / 4))
        self.networks = {
            "generator": FrameGenerator(config, 3, levels),
            "image_discriminator": NoisyDiscriminator(config, 3, levels),
            "video_discriminator": NoisyDiscriminator(config, 3, levels, config.frames),
        }
        self.load(params, dtype)
        options = {"lr": config.lr, "betas": (config.b1, 0.999), "weight_decay": config.weight_decay, "fused": True}
        self.optimizers = {
            phase: torch.optim.Adam(self.networks[name].parameters(), **options) for phase, name in self.trained.items()
        }

    def convert(self, network: str, params: Any) -> dict[str, Tensor]:
        """Returns parameters by name. PyTorch's GRU has biases that ours lacks; they are zero."""
        if network != "generator":
            return to_torch(self.networks[network], params)
        images = to_torch(self.networks[network].images, params["Generator_0"])
        (cell,) = (value for name, value in params.items() if name.startswith("GRUCell"))
        stack = lambda names, part: np.concatenate([np.asarray(cell[name][part]).T for name in names])
        zeros = np.zeros(2 * self.config.motion, cell["hn"]["bias"].dtype)
        gru = {
            "weight_ih_l0": stack(("ir", "iz", "in"), "kernel"),
            "weight_hh_l0": stack(("hr", "hz", "hn"), "kernel"),
            "bias_ih_l0": stack(("ir", "iz", "in"), "bias"),
            "bias_hh_l0": np.concatenate([zeros, cell["hn"]["bias"]]),
        }
        return {f"images.{k}": v for k, v in images.items()} | {f"gru.{k}": torch.tensor(v) for k, v in gru.items()}

    def gradients(self, phase: str, real: Tensor, noise: Noise) -> tuple[Tensor, dict[str, Tensor]]:
        """Returns loss and gradients; those of biases that ours lacks are zero."""
        loss, gradients = super().gradients(phase, real, noise)
        if phase == "g":
            gradients["gru.bias_hh_l0"][: 2 * self.config.motion] = 0
        return loss, gradients

    def loss(self, phase: str, real: Tensor, noise: Noise) -> Tensor:
        """Returns the loss of d_image, d_video or g."""
        G, D_I, D_V = self.networks.values()
        loss, real = LOSSES["non_saturating"], _channels_first(real)
        rows = torch.arange(len(real))
        frames = lambda videos: videos[rows, :, noise["frame"]]
        layers = lambda name: [noise[f"{name}_{i}"] for i in range(self.levels)]
        with torch.set_grad_enabled(phase == "g"):
            fake = G(noise["z"])
        if phase == "d_image":
            return loss.d(D_I(frames(real), layers("real_noise")), D_I(frames(fake), layers("fake_noise")))
        if phase == "d_video":
            return loss.d(D_V(real, layers("real_noise")), D_V(fake, layers("fake_noise")))
        return loss.g(D_I(frames(fake), layers("image_noise"))) + loss.g(D_V(fake, layers("video_noise")))

    def draw(self, phase: str) -> Noise:
        """Draws latents, the number of a frame, and the noise of each layer."""
        b, config = self.config.batch_size, self.config
        z = torch.randn(b, config.content + (1 + config.frames) * config.motion)
        noise = {"z": z, "frame": torch.randint(0, config.frames, (b,))}
        D_I, D_V = self.networks["image_discriminator"], self.networks["video_discriminator"]
        noisy = {
            "d_image": {"real_noise": D_I, "fake_noise": D_I},
            "d_video": {"real_noise": D_V, "fake_noise": D_V},
            "g": {"image_noise": D_I, "video_noise": D_V},
        }
        for name, D in noisy[phase].items():
            for i, shape in enumerate(D.input_shapes):
                noise[f"{name}_{i}"] = torch.randn(b, *shape).movedim(1, -1)
        return noise
