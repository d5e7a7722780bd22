"""The GAN is dead; long live the GAN! (Huang et al. 2024, arXiv 2501.05441).

    python launch.py train r3gan/digits

A relativistic loss that pairs each real with a fake, and both zero-centred penalties at every step: applied lazily they
fail on small problems (appendix E).
"""

import dataclasses

import optax
from jax import Array

from experiments import testbeds
from jaxgan import losses, penalties
from jaxgan.registry import Experiment

PAPER = "Huang et al. 2024, arXiv 2501.05441"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(testbeds.Config):
    """RpGAN + R1 + R2."""

    b1: float = 0.0  # of Adam
    b2: float = 0.99  # of Adam
    gamma: float = 0.4  # weight of half the mean squared gradient norms at reals and at fakes


@testbeds.on_all(
    "r3gan",
    Config,
    paper=PAPER,
    shows="relativistic pairing with R1 and R2: converges locally, and covers the modes",
)
def build(bed: testbeds.Testbed, config: Config) -> Experiment:
    """No batch norm in the discriminator: the penalties are on gradients at single examples."""
    adam = lambda lr: optax.adam(lr, config.b1, config.b2)

    def penalty(critic: penalties.Critic, real: Array, fake: Array, key: Array) -> Array:
        return config.gamma * (penalties.r1(critic, real) + penalties.r2(critic, fake))

    return bed.experiment(config, losses.relativistic, adam(config.g_lr), adam(config.d_lr), penalty=penalty)
