"""A game of `benchmarks.media` in plain PyTorch.

A peer has a module for each network and an optimizer for each phase. Its losses take all noise as arguments.
"""

import abc
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor, nn

Noise = Mapping[str, Tensor]


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
