"""Games of `benchmarks.media` in plain PyTorch: MoCoGAN, WaveGAN and SeqGAN. StyleGAN2 has a file of its own.

A peer has a module for each network and an optimizer for each phase. Its losses take all noise as arguments.
"""

import abc
import itertools
import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.peer.losses import LOSSES, logits_and_gradient
from benchmarks.peer.networks import FromMap, ToMap
from benchmarks.peer.weights import convert_layer, to_torch

Noise = Mapping[str, Tensor]
Arrays = Mapping[str, np.ndarray]


class MediaPeer(abc.ABC):
    """A game in PyTorch.

    Attributes:
        networks: Modules by the names of our networks.
        optimizers: The optimizer of each phase, by the phase's name, in the order of the phases.
        trained: The network that each phase trains.
        every: Steps between updates of a phase, 1 by default.
        steps_taken: Steps taken.
    """

    networks: dict[str, nn.Module]
    optimizers: dict[str, torch.optim.Optimizer]
    trained: Mapping[str, str]
    every: Mapping[str, int] = MappingProxyType({})
    steps_taken: int = 0

    @abc.abstractmethod
    def convert(self, network: str, params: Any) -> dict[str, Tensor]:
        """Returns our parameters of a network, or their gradients, by the names of the module's state."""

    @abc.abstractmethod
    def loss(self, phase: str, real: Tensor, noise: Noise) -> Tensor:
        """Returns the loss of a phase on a batch in our layout [B, ...]."""

    @abc.abstractmethod
    def draw(self, phase: str) -> Noise:
        """Draws the noise of a phase."""

    def load(self, params: Mapping[str, Any], dtype: torch.dtype) -> None:
        """Copies our parameters into the modules."""
        for name, module in self.networks.items():
            module.to(dtype)
            module.load_state_dict(module.state_dict() | self.convert(name, params[name]))

    def gradients(self, phase: str, real: Tensor, noise: Noise) -> tuple[Tensor, dict[str, Tensor]]:
        """Returns the loss of a phase, and its gradients in the parameters that the phase trains, by name."""
        params = {n: p for n, p in self.networks[self.trained[phase]].named_parameters() if p.requires_grad}
        loss = self.loss(phase, real, noise)
        gradients = torch.autograd.grad(loss, list(params.values()), materialize_grads=True)
        return loss.detach(), dict(zip(params, gradients, strict=True))

    def step(self, real: Tensor) -> None:
        """Takes one training step: each phase that is due once."""
        due = [phase for phase in self.optimizers if self.steps_taken % self.every.get(phase, 1) == 0]
        self.steps_taken += 1
        for phase in due:
            optimizer = self.optimizers[phase]
            module = self.networks[self.trained[phase]]
            _, gradients = self.gradients(phase, real, self.draw(phase))
            for name, p in module.named_parameters():
                p.grad = gradients.get(name)
            self.update(phase, module, optimizer)

    def update(self, phase: str, module: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        """Changes the parameters by the gradients that they hold."""
        optimizer.step()


def _channels_first(x: Tensor) -> Tensor:
    return x.movedim(-1, 1)


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


class FrameGenerator(nn.Module):
    """MoCoGAN's generator, from content and noise to videos [B, C, T, H, W]."""

    def __init__(self, config: Any, channels: int, levels: int) -> None:
        super().__init__()
        self.config = config
        self.gru = nn.GRU(config.motion, config.motion, batch_first=True)
        widths = [config.width << i for i in range(levels)]
        relu = lambda width: [nn.BatchNorm2d(width), nn.ReLU()]
        layers = [ToMap(config.content + config.motion, (widths[-1], 4, 4), bias=False), *relu(widths[-1])]
        for width in reversed(widths[:-1]):
            layers += [nn.ConvTranspose2d(2 * width, width, 4, 2, 1, bias=False), *relu(width)]
        self.images = nn.Sequential(*layers, nn.ConvTranspose2d(config.width, channels, 4, 2, 1), nn.Tanh())

    def forward(self, z: Tensor) -> Tensor:
        frames = self.config.frames
        content, noise = z[:, : self.config.content], z[:, self.config.content :]
        path, _ = self.gru(noise.unflatten(1, (frames, -1)))
        inputs = torch.cat([content[:, None].expand(-1, frames, -1), path], 2)
        return self.images(inputs.flatten(0, 1)).unflatten(0, (-1, frames)).movedim(1, 2)


def _image_discriminator(width: int, channels: int, levels: int) -> nn.Module:
    layers = []
    for i in range(levels):
        layers += [nn.Conv2d(width << (i - 1) if i else channels, width << i, 4, 2, 1, bias=i == 0)]
        layers += [nn.BatchNorm2d(width << i)] * (i > 0) + [nn.LeakyReLU(0.2)]
    return nn.Sequential(*layers, FromMap((width << (levels - 1), 4, 4), 1), nn.Flatten(0))


def _video_discriminator(width: int, channels: int, levels: int, frames: int) -> nn.Module:
    layers = []
    for i in range(levels):
        inputs = width << (i - 1) if i else channels
        layers += [nn.Conv3d(inputs, width << i, 4, (1, 2, 2), (0, 1, 1), bias=i == 0)]
        layers += [nn.BatchNorm3d(width << i)] * (i > 0) + [nn.LeakyReLU(0.2)]
    return nn.Sequential(*layers, FromMap((width << (levels - 1), frames - 3 * levels, 4, 4), 1), nn.Flatten(0))


class MoCoGan(MediaPeer):
    """MoCoGAN."""

    trained: Mapping[str, str] = {
        "d_image": "image_discriminator",
        "d_video": "video_discriminator",
        "g": "generator",
    }

    def __init__(self, config: Any, params: Mapping[str, Any], dtype: torch.dtype = torch.float32) -> None:
        self.config, self.dtype = config, dtype
        levels = round(math.log2(config.size / 4))
        self.networks = {
            "generator": FrameGenerator(config, 3, levels),
            "image_discriminator": _image_discriminator(config.width, 3, levels),
            "video_discriminator": _video_discriminator(config.width, 3, levels, config.frames),
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
        noisy = lambda x, name: x + self.config.noise * _channels_first(noise[name])
        with torch.set_grad_enabled(phase == "g"):
            fake = G(noise["z"])
        if phase == "d_image":
            return loss.d(D_I(noisy(frames(real), "real_noise")), D_I(noisy(frames(fake), "fake_noise")))
        if phase == "d_video":
            return loss.d(D_V(noisy(real, "real_noise")), D_V(noisy(fake, "fake_noise")))
        fake = noisy(fake, "fake_noise")
        return loss.g(D_I(frames(fake))) + loss.g(D_V(fake))

    def draw(self, phase: str) -> Noise:
        """Draws latents, the number of a frame, and the noise on reals and fakes."""
        b, config = self.config.batch_size, self.config
        z = torch.randn(b, config.content + config.frames * config.motion)
        shape = (b, *(() if phase == "d_image" else (config.frames,)), config.size, config.size, 3)
        noise = {name: torch.randn(shape) for name in ("fake_noise", "real_noise")[: 1 + (phase != "g")]}
        return noise | {"z": z, "frame": torch.randint(0, config.frames, (b,))}


class LanguageModel(nn.Module):
    """An LSTM over tokens, which begins with an input of zeros."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.embedding = nn.Embedding(config.vocabulary, config.embedding)
        self.lstm = nn.LSTM(config.embedding, config.hidden, batch_first=True)
        self.lstm.bias_hh_l0.requires_grad_(False)  # Ours has one bias.
        self.output = nn.Linear(config.hidden, config.vocabulary)

    def log_likelihood(self, tokens: Tensor) -> Tensor:
        """Returns the log-probability of each token, [B, T]."""
        x = F.pad(self.embedding(tokens[:, :-1]), (0, 0, 1, 0))
        logits = self.output(self.lstm(x)[0])
        return logits.log_softmax(-1).gather(-1, tokens[..., None])[..., 0]

    @torch.no_grad()
    def sample(self, uniforms: Tensor, x: Tensor | None = None, state: Any = None) -> tuple[Tensor, list[Any]]:
        """Draws tokens [B, T] from an input and a state on. Returns them, and the state after each step."""
        x = x if x is not None else uniforms.new_zeros(len(uniforms), self.lstm.input_size)
        tokens, states = [], []
        for u in uniforms.T:
            h, state = self.lstm(x[:, None], state)
            cumulative = self.output(h[:, 0]).softmax(-1).cumsum(-1)
            token = torch.searchsorted(cumulative, u[:, None].contiguous(), right=True)[:, 0]
            tokens.append(token.clamp_max_(cumulative.shape[1] - 1))
            states.append(state)
            x = self.embedding(tokens[-1])
        return torch.stack(tokens, 1), states

    @torch.no_grad()
    def states(self, tokens: Tensor) -> list[Any]:
        """Returns the state after the inputs before each token but the first."""
        x, state, states = F.pad(self.embedding(tokens[:, :-1]), (0, 0, 1, 0)), None, []
        for t in range(tokens.shape[1] - 1):
            _, state = self.lstm(x[:, t : t + 1], state)
            states.append(state)
        return states


class Classifier(nn.Module):
    """SeqGAN's discriminator of tokens [B, T]."""

    def __init__(self, config: Any, lengths: tuple[int, ...]) -> None:
        super().__init__()
        self.embedding = nn.Embedding(config.vocabulary, config.embedding)
        self.convs = nn.ModuleList(nn.Conv1d(config.embedding, config.width, k) for k in lengths)
        features = config.width * len(lengths)
        self.gate, self.transform = nn.Linear(features, features), nn.Linear(features, features)
        self.output = nn.Linear(features, 1)

    def forward(self, tokens: Tensor, mask: Tensor | None = None) -> Tensor:
        x = self.embedding(tokens).mT
        x = torch.cat([F.relu(conv(x)).amax(2) for conv in self.convs], 1)
        x = torch.lerp(x, F.relu(self.transform(x)), self.gate(x).sigmoid())
        return self.output(x if mask is None else x * mask)[:, 0]


class SeqGan(MediaPeer):
    """SeqGAN, in the phase in which both players train. The oracle's sequences are in memory."""

    trained: Mapping[str, str] = {"d": "discriminator", "g": "generator"}
    KEEP = 0.75  # probability that dropout keeps a feature

    def __init__(self, config: Any, params: Mapping[str, Any], dtype: torch.dtype = torch.float32) -> None:
        self.config, self.dtype = config, dtype
        self.lengths = tuple(k for k in (1, 2, 3, 4, 5) if k <= config.length)
        G, D = LanguageModel(config), Classifier(config, self.lengths)
        self.networks = {"generator": G, "discriminator": D}
        self.load(params, dtype)
        self.policy = LanguageModel(config).to(dtype)
        self.policy.load_state_dict(G.state_dict())
        output = list(D.output.parameters())
        others = [p for name, p in D.named_parameters() if not name.startswith("output")]
        groups = [{"params": others}, {"params": output, "weight_decay": config.d_decay}]
        trainable = [p for p in G.parameters() if p.requires_grad]
        self.optimizers = {
            "d": torch.optim.Adam(groups, config.d_lr, fused=True),
            "g": torch.optim.Adam(trainable, config.g_lr, fused=True),
        }

    def convert(self, network: str, params: Any) -> dict[str, Tensor]:
        """Returns parameters by name."""
        layer = lambda name, module, params: {f"{name}.{k}": v for k, v in convert_layer(module, params).items()}
        module = self.networks[network]
        arrays = {"embedding.weight": params["embedding"]}
        if network == "discriminator":
            for i, conv in enumerate(module.convs):
                arrays |= layer(f"convs.{i}", conv, params[f"Conv_{i}"])
            for name, key in (("gate", "Dense_0"), ("transform", "Dense_1"), ("output", "output")):
                arrays |= layer(name, getattr(module, name), params[key])
        else:
            order = lambda x: np.concatenate([np.split(np.asarray(x), 4, -1)[i] for i in (0, 1, 3, 2)], -1).T
            kernel, bias = (order(params["Dense_0"][part]) for part in ("kernel", "bias"))
            arrays |= {
                "lstm.weight_ih_l0": kernel[:, : self.config.embedding],
                "lstm.weight_hh_l0": kernel[:, self.config.embedding :],
                "lstm.bias_ih_l0": bias,
                "lstm.bias_hh_l0": np.zeros_like(bias),
            }
            arrays |= layer("output", module.output, params["Dense_1"])
        return {name: torch.tensor(np.array(array)) for name, array in arrays.items()}

    def loss(self, phase: str, real: Tensor, noise: Noise) -> Tensor:
        """Returns the loss of d or g."""
        G, D = self.networks.values()
        tokens, _ = G.sample(noise["uniforms"])
        if phase == "d":
            real_logits, fake_logits = D(real, noise["real_mask"]), D(tokens, noise["fake_mask"])
            return LOSSES["non_saturating"].d(real_logits, fake_logits)
        rewards = self.rewards(tokens, noise["roll_outs"])
        return -(G.log_likelihood(tokens) * (rewards - rewards.mean(0))).sum(1).mean()

    @torch.no_grad()
    def rewards(self, tokens: Tensor, uniforms: Tensor) -> Tensor:
        """Returns rewards [B, T] by completions of each beginning, as uniforms [B, T - 1, N, T] decide."""
        D, count = self.networks["discriminator"], uniforms.shape[2]
        repeat = lambda x: x.repeat_interleave(count, 0)
        rewards = []
        for t, (h, c) in enumerate(self.policy.states(tokens), 1):
            state = h.repeat_interleave(count, 1), c.repeat_interleave(count, 1)
            rest = uniforms[:, t - 1, :, t:].flatten(0, 1)
            drawn, _ = self.policy.sample(rest, repeat(self.policy.embedding(tokens[:, t - 1])), state)
            completed = torch.cat([repeat(tokens[:, :t]), drawn], 1)
            rewards.append(D(completed).sigmoid().view(-1, count).mean(1))
        return torch.stack([*rewards, D(tokens).sigmoid()], 1)

    def draw(self, phase: str) -> Noise:
        """Draws uniforms, and masks of dropout."""
        b, t, config = self.config.batch_size, self.config.length, self.config
        noise = {"uniforms": torch.rand(b, t)}
        if phase == "g":
            return noise | {"roll_outs": torch.rand(b, t - 1, config.roll_outs, t)}
        mask = lambda: (torch.rand(b, config.width * len(self.lengths)) < self.KEEP) / self.KEEP
        return noise | {"real_mask": mask(), "fake_mask": mask()}

    def update(self, phase: str, module: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        """Clips the generator's gradient; after its update the roll-out policy follows."""
        if phase == "d":
            optimizer.step()
            return
        nn.utils.clip_grad_norm_(module.parameters(), 5.0)
        optimizer.step()
        with torch.no_grad():
            torch._foreach_lerp_(
                list(self.policy.parameters()), list(module.parameters()), 1.0 - self.config.roll_out_decay
            )
