"""Generative Adversarial Networks (Goodfellow et al. 2014, arXiv 1406.2661).

    python launch.py train minimax/ring
    python launch.py train non_saturating/digits_conv

Both objectives share the discriminator's cross-entropy (Eq. 1). With `minimax` the generator ascends it, and learns
little while the discriminator is sure; with `non_saturating` it descends the cross-entropy of the wrong labels instead
(section 3). Optimiser as in DCGAN (Radford et al. 2015).
"""

import dataclasses
import functools

import optax

from experiments import testbeds
from jaxgan import losses
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
