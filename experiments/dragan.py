"""On Convergence and Stability of GANs (Kodali et al. 2017, arXiv 1705.07215): DRAGAN.

    python launch.py train dragan/digits
    python launch.py train dragan/mnist

A GAN with the non-saturating loss, and a penalty that keeps the norm of the discriminator's gradient near 1 around the
data. The paper argues that a sharp discriminator drives the generator to few modes.

`dragan/digits` has the networks and the optimizer of the authors' script for MNIST, with 64 inputs in place of 784: one
hidden layer of 128 units in each network and z from U(-1, 1)^100. The authors train for 200,000 steps.
"""

import dataclasses

import jax
import jax.numpy as jnp
import optax

from experiments import defaults, testbeds
from experiments.defaults import Testbed
from experiments.testbeds import CIFAR10, MNIST
from jaxgan.core import losses, penalties, prng
from jaxgan.networks import mlp
from jaxgan.runs.registry import register
from jaxgan.training import experiment
from jaxgan.training.experiment import Experiment, setting

PAPER = "Kodali et al. 2017, arXiv 1705.07215"
SHOWS = "the non-saturating GAN with a discriminator gradient of norm 1 around the data"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(experiment.Config):
    """DRAGAN with fully connected networks."""

    batch_size: int = 128
    latent: int = setting(100, "dimensions of z")
    width: int = setting(128, "units of the hidden layer")
    lr: float = setting(1e-4, "learning rate of both players")
    b1: float = setting(0.5, "Adam's beta1")
    b2: float = setting(0.9, "Adam's beta2")
    penalty: float = setting(10.0, "weight of the gradient penalty, lambda; 0 is the GAN without it")


@register(
    "dragan/digits",
    Config(),
    paper=PAPER,
    dataset="1,797 handwritten digits, 8x8",
    shows=SHOWS,
    task="images",
    minutes=1,
)
def build_digits(config: Config) -> Experiment:
    """One hidden layer in each network, no batch norm, no moving average."""
    return testbeds.SMALL_DIGITS.two_player(
        config,
        mlp.Generator((8, 8, 1), config.width, depth=1, out=jnp.tanh),
        mlp.Critic(config.width, depth=1, activation=jax.nn.relu),
        losses.non_saturating,
        prng.uniform_latent(config.latent),
        g_optimizer=optax.adam(config.lr, config.b1, config.b2),
        d_optimizer=optax.adam(config.lr, config.b1, config.b2),
        penalty=penalties.dragan if config.penalty else None,
        penalty_weight=config.penalty,
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class ImageConfig(defaults.ImageConfig):
    """DRAGAN with DCGAN's networks."""

    latent: int = 100
    batch_size: int = 64
    g_lr: float = 1e-4
    d_lr: float = 1e-4
    b1: float = setting(0.5, "Adam's beta1")
    b2: float = setting(0.9, "Adam's beta2")
    penalty: float = setting(10.0, "weight of the gradient penalty, lambda")


@testbeds.register_on(
    "dragan",
    {MNIST: ImageConfig(**MNIST.defaults | {"steps": 5_000}), CIFAR10: ImageConfig(**CIFAR10.defaults)},
    paper=PAPER,
    shows=SHOWS,
)
def build(testbed: Testbed, config: ImageConfig) -> Experiment:
    """One generator update per discriminator update; batch norm in the generator alone."""
    adam = lambda lr: optax.adam(lr, config.b1, config.b2)
    return testbed.two_player(
        config,
        losses.non_saturating,
        adam(config.g_lr),
        adam(config.d_lr),
        penalty=penalties.dragan,
        penalty_weight=config.penalty,
    )
