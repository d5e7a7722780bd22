"""Wasserstein GAN (Arjovsky et al. 2017, arXiv 1701.07875).

    python launch.py train wgan/ring

The critic is kept Lipschitz by clipping its weights (Algorithm 1), which pushes them to the bounds.
"""

import dataclasses

import optax

from experiments import testbeds
from jaxgan import losses, optim
from jaxgan.registry import Experiment

PAPER = "Arjovsky et al. 2017, arXiv 1701.07875"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(testbeds.Config):
    """WGAN with clipping, Algorithm 1."""

    g_lr: float = 5e-5  # learning rate of the generator, RMSProp
    d_lr: float = 5e-5  # learning rate of the critic, RMSProp
    clip: float = 0.01  # largest size of a critic's weight
    n_critic: int = 5  # critic moves to one of the generator


@testbeds.on_all(
    "wgan",
    Config,
    paper=PAPER,
    shows="a critic kept Lipschitz by clipping: stable, blunt, its weights at the bounds",
)
def build(bed: testbeds.Testbed, config: Config) -> Experiment:
    """RMSProp without momentum; the clip comes last in the critic's optimiser."""
    rmsprop = lambda lr: optax.rmsprop(lr, decay=0.99)
    clipped = optax.chain(rmsprop(config.d_lr), optim.clip_weights(config.clip))
    return bed.experiment(
        config, losses.wasserstein, rmsprop(config.g_lr), clipped, n_critic=config.n_critic, norm=True
    )
