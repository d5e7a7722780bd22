"""Improved Training of Wasserstein GANs (Gulrajani et al. 2017, arXiv 1704.00028).

    python launch.py train wgan_gp/swiss_roll

The critic's gradient is held at norm 1 between real and fake examples (Eq. 3). Algorithm 1 has beta1 = 0; the authors'
toy and MNIST scripts have 0.5, and the toys a penalty of 0.1, which is what the testbeds take.
"""

import dataclasses

import optax
from jax import Array

from experiments import testbeds
from jaxgan import losses, penalties
from jaxgan.registry import Experiment

PAPER = "Gulrajani et al. 2017, arXiv 1704.00028"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(testbeds.Config):
    """WGAN-GP, Algorithm 1."""

    b1: float = 0.5  # of Adam
    b2: float = 0.9  # of Adam
    penalty: float = 10.0  # weight of the gradient penalty, lambda
    n_critic: int = 5  # critic moves to one of the generator


@testbeds.on_all(
    "wgan_gp",
    Config,
    paper=PAPER,
    shows="a critic of gradient norm 1 where it matters, and a loss that falls with quality",
    plane={"penalty": 0.1},
)
def build(bed: testbeds.Testbed, config: Config) -> Experiment:
    """No batch norm in the critic: the penalty is on the gradient at single examples (section 4)."""
    adam = lambda lr: optax.adam(lr, config.b1, config.b2)

    def penalty(critic: penalties.Critic, real: Array, fake: Array, key: Array) -> Array:
        return config.penalty * penalties.gradient_penalty(critic, real, fake, key)

    return bed.experiment(
        config, losses.wasserstein, adam(config.g_lr), adam(config.d_lr), penalty=penalty, n_critic=config.n_critic
    )
