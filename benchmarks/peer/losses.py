"""The peer's losses and penalties, on logits of a critic, which maps examples [B, ...] to logits [B]."""

from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.func import vjp

from benchmarks.works import Work

Critic = Callable[[Tensor], Tensor]
Slopes = Callable[[Critic, Tensor], tuple[Tensor, Tensor]]


class Loss(NamedTuple):
    """What the players minimise, of (real_logits, fake_logits) and (fake_logits, real_logits)."""

    d: Callable[..., Tensor]
    g: Callable[..., Tensor]
    relative: bool = False  # the generator's needs the reals' logits


LOSSES = {
    "wasserstein": Loss(lambda r, f: f.mean() - r.mean(), lambda f: -f.mean()),
    "non_saturating": Loss(lambda r, f: F.softplus(-r).mean() + F.softplus(f).mean(), lambda f: F.softplus(-f).mean()),
    "hinge": Loss(lambda r, f: F.relu(1.0 - r).mean() + F.relu(1.0 + f).mean(), lambda f: -f.mean()),
    "relativistic": Loss(lambda r, f: F.softplus(f - r).mean(), lambda f, r: F.softplus(r - f).mean(), relative=True),
}


def slopes(critic: Critic, x: Tensor) -> tuple[Tensor, Tensor]:
    """The logits of x and the gradient of their sum in x, both differentiable."""
    x = x.detach().requires_grad_()
    logits = critic(x)
    return logits, torch.autograd.grad(logits.sum(), x, create_graph=True)[0]


def traced_slopes(critic: Critic, x: Tensor) -> tuple[Tensor, Tensor]:
    """`slopes` in the one form that `torch.compile` differentiates again; run eagerly it takes longer."""
    logits, pull = vjp(critic, x)
    return logits, pull(torch.ones_like(logits))[0]


def d_loss(
    work: Work, critic: Critic, real: Tensor, fake: Tensor, noise: Tensor | None, slopes: Slopes, joined: bool
) -> Tensor:
    """The discriminator's loss with its penalty; `joined`, it sees reals and fakes in one pass where that can be."""
    name, grads = work.penalty, []

    def look(x: Tensor, penalised: bool) -> Tensor:
        if not penalised:
            return critic(x)
        logits, grad = slopes(critic, x)
        grads.append(grad)
        return logits

    if joined and name not in ("r1", "r2"):
        real_logits, fake_logits = look(torch.cat([real, fake]), name == "r1_r2").chunk(2)
    else:
        real_logits = look(real, name in ("r1", "r1_r2"))
        fake_logits = look(fake, name in ("r2", "r1_r2"))
    loss = LOSSES[work.loss].d(real_logits, fake_logits)
    if grads:
        return loss + work.weight * 0.5 * sum(grad.square().sum() for grad in grads) / len(real)
    if name == "none":
        return loss
    near = torch.lerp(fake, real, noise) if name == "gp" else real + 0.5 * real.std(correction=0) * noise
    norm = (slopes(critic, near)[1].flatten(1).square().sum(1) + 1e-12).sqrt()
    return loss + work.weight * (norm - 1.0).square().mean()


def g_loss(work: Work, critic: Critic, real: Tensor, fake: Tensor) -> Tensor:
    """The generator's loss; reals of no use cost no pass."""
    loss = LOSSES[work.loss]
    return loss.g(critic(fake), critic(real)) if loss.relative else loss.g(critic(fake))
