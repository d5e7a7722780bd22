"""The same training steps in PyTorch, as one who knows it well would write them: the peer that we are timed against.

Both players' losses, penalties and networks are those of `works.game`, which `benchmarks.equal` checks. Import it
where it is used: it needs torch, which the package does not.
"""

from typing import Any

import jax
import torch
from torch import Tensor

from benchmarks.peer.players import Data, Functional, Gradients, Player
from benchmarks.works import Work
from jaxgan.errors import Problem


class Unsupported(Problem):
    """A variant that PyTorch does not run for this work."""


class Peer:
    """A work in a variant, from our initial parameters and buffers (with an axis of seeds where it has several)."""

    def __init__(
        self,
        work: Work,
        params: Any,
        buffers: Any,
        variant: str = "eager",
        device: str = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> None:
        words, device = variant.split("+"), torch.device(device)
        _refuse(work, words)
        if device.type == "cuda":
            torch.backends.cudnn.benchmark = True
            torch.set_float32_matmul_precision("high")  # TF32, as convolutions have it and as JAX computes.
        functional = "functional" in words
        lead = (work.seeds,) if functional and work.seeds > 1 else ()
        data = Data(work, device, dtype, "channels_last" in words, lead)
        if functional:
            self.players = [Functional(work, params, buffers, words, data)]
        else:
            take = lambda i: (params, buffers) if work.seeds == 1 else jax.tree.map(lambda a: a[i], (params, buffers))
            self.players = [Player(work, *take(i), words, data) for i in range(work.seeds)]

    def step(self) -> None:
        """Play one training step of every seed, on fresh data and noise; nothing waits for the device."""
        for player in self.players:
            player.step()

    def gradients(self, real: Tensor, z_d: Tensor, z_g: Tensor, noise: Tensor | None) -> dict[str, Gradients]:
        """The first seed's losses and gradients of both phases; parameters stay as they are."""
        return self.players[0].gradients(real, z_d, z_g, noise)


def variants(work: Work, device: str = "cpu") -> list[str]:
    """The variants of which the fastest is the peer."""
    if work.family == "mlp":
        plain = ["eager", "compile", "functional+compile"] + ["functional"] * (work.seeds > 1)
    else:
        plain = ["eager", "channels_last", "compile", "channels_last+compile"]
    able = [variant for variant in plain if not _reason(work, variant.split("+"))]
    return able + [f"{variant}+amp" for variant in able] * (device != "cpu")


def _reason(work: Work, words: list[str]) -> str | None:
    """Why PyTorch cannot, if it cannot."""
    if unknown := sorted(set(words) - {"eager", "channels_last", "compile", "functional", "amp"}):
        return f"{unknown[0]} is no word of a variant"
    if "functional" in words and work.family != "mlp":
        return "torch.func takes no network that writes its running statistics; leave out functional"
    if "compile" in words and work.spectral and work.penalty != "none":
        return "torch.func does not trace spectral_norm, which writes its vectors in place; leave out compile"
    return None


def _refuse(work: Work, words: list[str]) -> None:
    if reason := _reason(work, words):
        raise Unsupported(f"{work.name}: {reason}")
