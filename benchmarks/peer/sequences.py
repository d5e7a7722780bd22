"""SeqGAN in plain PyTorch, see `benchmarks.peer.media`."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.peer.losses import LOSSES
from benchmarks.peer.media import MediaPeer, Noise
from benchmarks.peer.weights import convert_layer


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
