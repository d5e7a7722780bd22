"""Generative Adversarial Networks (Goodfellow et al. 2014, arXiv 1406.2661).

    python launch.py train minimax/ring
    python launch.py train non_saturating/digits_conv

Both objectives share the discriminator's cross-entropy (Eq. 1). With `minimax` the generator ascends it, and learns
little while the discriminator is sure; with `non_saturating` it descends the cross-entropy of the wrong labels instead
(section 3). Optimiser as in DCGAN (Radford et al. 2015).
"""

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from experiments import testbeds
from jaxgan import figures, losses, plots
from jaxgan.figures import Claim, Figure
from jaxgan.registry import Experiment

PAPER = "Goodfellow et al. 2014, arXiv 1406.2661"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(testbeds.Config):
    """The original GAN."""

    g_lr: float = 2e-4  # learning rate of the generator
    d_lr: float = 2e-4  # learning rate of the discriminator
    b1: float = 0.5  # of Adam
    b2: float = 0.999  # of Adam


def build(loss: losses.Adversarial, bed: testbeds.Testbed, config: Config) -> Experiment:
    """No penalty; batch norm in both networks where they are convolutional."""
    adam = lambda lr: optax.adam(lr, config.b1, config.b2)
    return bed.experiment(config, loss, adam(config.g_lr), adam(config.d_lr), norm=True)


for name, shows in (
    ("minimax", "the zero-sum game itself: the generator's gradient vanishes while D is sure"),
    ("non_saturating", "the loss used in practice: strong gradients, modes that come and go"),
):
    on_all = testbeds.on_all(name, Config, paper=PAPER, shows=shows, plane={"g_lr": 1e-3, "d_lr": 1e-3})
    on_all(functools.partial(build, getattr(losses, name)))


@figures.register(
    "gan/saturation",
    paper=PAPER,
    shows="the slope of the generator's loss where D is sure of a fake: gone for minimax, 1 for non-saturating",
    cost="1 s, 2 CPU cores",
)
def saturation() -> Figure:
    """The slopes by autodiff, against -σ(D) and -σ(-D) in float64."""

    def measure(runs: figures.Looks) -> figures.Numbers:
        logits = np.linspace(-10.0, 10.0, 401)
        sigmoid = lambda t: 1 / (1 + np.exp(-t))
        slopes = {}
        for name in ("minimax", "non_saturating"):
            loss = getattr(losses, name).g
            slope = jax.vmap(jax.grad(lambda d, loss=loss: loss(jnp.zeros([1]), d[None])))
            slopes[name] = np.asarray(slope(jnp.float32(logits)), np.float64)
        return {
            "logits": logits,
            **slopes,
            "minimax_error": np.abs(slopes["minimax"] + sigmoid(logits)).max().item(),
            "non_saturating_error": np.abs(slopes["non_saturating"] + sigmoid(-logits)).max().item(),
            "ratio": (slopes["non_saturating"][0] / slopes["minimax"][0]).item(),
        }

    def plot(found: Mapping[str, Any]) -> Any:
        page, ((ax,),) = plots.panels(1, 1, height=2.4, width=plots.WIDTH / 2)
        for name, label in (("minimax", "minimax"), ("non_saturating", "non-saturating")):
            ax.semilogy(found["logits"], np.abs(found[name]), label=label)
        ax.set(xlabel="D(G(z)), logit", ylabel="|slope of the generator's loss|")
        ax.legend()
        return page

    return Figure(
        measure=measure,
        plot=plot,
        claims=(
            Claim("minimax: the slope is -σ(D), largest error", "minimax_error", most=1e-6),
            Claim("non-saturating: the slope is -σ(-D), largest error", "non_saturating_error", most=1e-6),
            Claim("at D = -10 the non-saturating slope is 2.2e4 times the other", "ratio", least=2.15e4, most=2.25e4),
        ),
    )
