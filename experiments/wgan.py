"""Wasserstein GAN (Arjovsky et al. 2017, arXiv 1701.07875).

    python launch.py train wgan/ring
    python launch.py train wgan/mnist

The critic is kept Lipschitz by clipping its parameters after each update (Algorithm 1), which pushes them to the
bounds.
"""

import dataclasses

import optax

from experiments import defaults, testbeds
from experiments.defaults import Testbed
from experiments.testbeds import CIFAR10, MNIST
from jaxgan.core import losses, optim
from jaxgan.training.experiment import Experiment, setting

PAPER = "Arjovsky et al. 2017, arXiv 1701.07875"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(defaults.Config):
    """WGAN with weight clipping, Algorithm 1."""

    g_lr: float = 5e-5
    d_lr: float = 5e-5
    clip: float = setting(0.01, "bound on the absolute value of each of the critic's parameters")
    n_critic: int = setting(5, "critic updates per generator update")


@dataclasses.dataclass(frozen=True, kw_only=True)
class ImageConfig(defaults.ImageConfig, Config):
    """WGAN on images."""

    latent: int = 100
    batch_size: int = 64
    g_lr: float = 5e-5
    d_lr: float = 5e-5


@testbeds.register_on(
    "wgan",
    {
        **testbeds.on_small(Config),
        MNIST: ImageConfig(**MNIST.defaults | {"steps": 12_000}),
        CIFAR10: ImageConfig(**CIFAR10.defaults),
    },
    paper=PAPER,
    shows="a critic kept Lipschitz by weight clipping: stable training, but a simple critic with weights at the bounds",
)
def build(testbed: Testbed, config: Config) -> Experiment:
    """RMSProp without momentum for both networks; convolutional critics have batch norm."""
    clipped = optax.chain(optim.rmsprop(config.d_lr), optim.clip_weights(config.clip))
    return testbed.two_player(
        config, losses.wasserstein, optim.rmsprop(config.g_lr), clipped, n_critic=config.n_critic, batch_norm=True
    )
