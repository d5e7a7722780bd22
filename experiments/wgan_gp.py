"""Improved Training of Wasserstein GANs (Gulrajani et al. 2017, arXiv 1704.00028).

    python launch.py train wgan_gp/swiss_roll
    python launch.py train wgan_gp/mnist

A penalty keeps the norm of the critic's gradient near 1 between real and fake examples (Eq. 3). Algorithm 1 sets Adam's
beta1 to 0. The authors' scripts for toys and for MNIST use 0.5, and so does this file. In the plane the weight of the
penalty is 0.1, as in their script for toys.
"""

import dataclasses

import optax

from experiments import defaults, testbeds
from experiments.defaults import Testbed
from experiments.testbeds import CIFAR10, MNIST
from jaxgan.core import losses, penalties
from jaxgan.training.experiment import Experiment, setting

PAPER = "Gulrajani et al. 2017, arXiv 1704.00028"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(defaults.Config):
    """WGAN-GP, Algorithm 1."""

    b1: float = setting(0.5, "Adam's beta1")
    b2: float = setting(0.9, "Adam's beta2")
    penalty: float = setting(10.0, "weight of the gradient penalty, lambda")
    n_critic: int = setting(5, "critic updates per generator update")


@dataclasses.dataclass(frozen=True, kw_only=True)
class ImageConfig(defaults.ImageConfig, Config):
    """WGAN-GP on images."""

    g_lr: float = 1e-4
    d_lr: float = 1e-4


@testbeds.register_on(
    "wgan_gp",
    {
        **testbeds.on_small(Config, plane={"penalty": 0.1}),
        MNIST: ImageConfig(**MNIST.defaults | {"steps": 12_000}, batch_size=50),
        CIFAR10: ImageConfig(**CIFAR10.defaults, batch_size=64, dequantise=True),
    },
    paper=PAPER,
    shows="a critic with gradient norm 1 between reals and fakes, and a loss that falls as samples improve",
)
def build(testbed: Testbed, config: Config) -> Experiment:
    """No batch norm in the critic, because the penalty needs the gradient at single examples (section 4)."""
    adam = lambda lr: optax.adam(lr, config.b1, config.b2)
    return testbed.two_player(
        config,
        losses.wasserstein,
        adam(config.g_lr),
        adam(config.d_lr),
        penalty=penalties.gradient_penalty,
        penalty_weight=config.penalty,
        n_critic=config.n_critic,
    )
