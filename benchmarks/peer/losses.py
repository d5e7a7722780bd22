"""Losses and penalties in PyTorch. A critic maps examples [B, ...] to logits [B]."""

from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.func import vjp

from benchmarks.workloads import Workload

Critic = Callable[[Tensor], Tensor]
LogitsAndGradient = Callable[[Critic, Tensor], tuple[Tensor, Tensor]]


class Loss(NamedTuple):
    """A pair of losses to minimise.

    Attributes:
        d: (real_logits, fake_logits) -> scalar, the discriminator's loss.
        g: (fake_logits) -> scalar, the generator's loss; (real_logits, fake_logits) if `relativistic`.
        relativistic: Whether the generator's loss needs the logits of reals.
    """

    d: Callable[..., Tensor]
    g: Callable[..., Tensor]
    relativistic: bool = False


LOSSES = {
    "wasserstein": Loss(d=lambda r, f: f.mean() - r.mean(), g=lambda f: -f.mean()),
    "non_saturating": Loss(
        d=lambda r, f: F.softplus(-r).mean() + F.softplus(f).mean(), g=lambda f: F.softplus(-f).mean()
    ),
    "hinge": Loss(d=lambda r, f: F.relu(1.0 - r).mean() + F.relu(1.0 + f).mean(), g=lambda f: -f.mean()),
    "relativistic": Loss(
        d=lambda r, f: F.softplus(f - r).mean(), g=lambda r, f: F.softplus(r - f).mean(), relativistic=True
    ),
}


def logits_and_gradient(critic: Critic, x: Tensor) -> tuple[Tensor, Tensor]:
    """Returns the logits of x and the gradient of their sum in x, both differentiable."""
    x = x.detach().requires_grad_()
    logits = critic(x)
    return logits, torch.autograd.grad(logits.sum(), x, create_graph=True)[0]


def traceable_logits_and_gradient(critic: Critic, x: Tensor) -> tuple[Tensor, Tensor]:
    """`logits_and_gradient` in a form that `torch.compile` can differentiate again. It is slower in eager mode."""
    logits, pull_back = vjp(critic, x)
    return logits, pull_back(torch.ones_like(logits))[0]


def d_loss(
    workload: Workload,
    critic: Critic,
    real: Tensor,
    fake: Tensor,
    noise: Tensor | None,
    logits_and_gradient: LogitsAndGradient,
    joint: bool,
) -> Tensor:
    """Returns the discriminator's loss with its penalty.

    Args:
        workload: Names the loss and the penalty.
        critic: The discriminator.
        real: Examples [B, ...].
        fake: Examples of the same shape.
        noise: What the penalty draws: positions between reals and fakes, or perturbations of reals.
        logits_and_gradient: One of the functions above.
        joint: Whether reals and fakes go through the critic in one pass, if the penalty permits it.
    """
    penalty, gradients = workload.penalty, []

    def logits(x: Tensor, penalised: bool) -> Tensor:
        if not penalised:
            return critic(x)
        logits, gradient = logits_and_gradient(critic, x)
        gradients.append(gradient)
        return logits

    if joint and penalty not in ("r1", "r2"):
        real_logits, fake_logits = logits(torch.cat([real, fake]), penalty == "r1_r2").chunk(2)
    else:
        real_logits = logits(real, penalty in ("r1", "r1_r2"))
        fake_logits = logits(fake, penalty in ("r2", "r1_r2"))
    loss = LOSSES[workload.loss].d(real_logits, fake_logits)
    if gradients:
        return loss + workload.weight * 0.5 * sum(g.square().sum() for g in gradients) / len(real)
    if penalty == "none":
        return loss
    x = torch.lerp(fake, real, noise) if penalty == "gp" else real + 0.5 * real.std(correction=0) * noise
    norm = (logits_and_gradient(critic, x)[1].flatten(1).square().sum(1) + 1e-12).sqrt()
    return loss + workload.weight * (norm - 1.0).square().mean()


def g_loss(workload: Workload, critic: Critic, real: Tensor, fake: Tensor) -> Tensor:
    """Returns the generator's loss. Reals go through the critic only if the loss needs them."""
    loss = LOSSES[workload.loss]
    if not loss.relativistic:
        return loss.g(critic(fake))
    fake_logits = critic(fake)
    return loss.g(critic(real), fake_logits)
