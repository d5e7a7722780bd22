"""Conditional Generative Adversarial Nets (Mirza & Osindero 2014, arXiv 1411.1784).

    python launch.py train cgan/digits
    python launch.py train cgan/mnist
    python launch.py figure cgan/table1 cgan/fig2

Both networks receive the class by concatenation. The discriminator sees a fake together with the label that it was
generated for. On MNIST the networks and the optimizer are the paper's: fully connected, with dropout in both. The
paper's z, uniform in the unit hypercube, is scaled to mean 0 and variance 1. On the small digits and on CIFAR-10 the
networks are DCGAN's. cgan/mnist trains for 60 epochs; with 30 epochs cgan/table1 gave 98 nats.
"""

import dataclasses
import math

import optax

from experiments import defaults, gan, gan_mnist, testbeds
from experiments.defaults import ImageSet
from experiments.testbeds import CIFAR10, DIGITS, MNIST
from jaxgan.core import losses, prng
from jaxgan.runs.registry import register
from jaxgan.training.experiment import Experiment

PAPER = "Mirza & Osindero 2014, arXiv 1411.1784"
SHOWS = "both networks receive the class, so that samples of a given class can be drawn"
TASK = "conditional images"


@dataclasses.dataclass(frozen=True, kw_only=True)
class MnistConfig(gan_mnist.Config):
    """The paper's settings for MNIST."""

    steps: int = 30_000  # 60 epochs
    lr_decay: float = 1.00004


@register("cgan/mnist", MnistConfig(), paper=PAPER, dataset=MNIST.dataset, shows=SHOWS, task=TASK, minutes=30)
def build_mnist(config: MnistConfig) -> Experiment:
    """Returns the experiment of the paper's networks on MNIST."""
    limit = math.sqrt(3)
    latent = lambda keys: prng.uniform(keys, config.latent, minval=-limit, maxval=limit)
    return gan_mnist.build_maxout(config, latent, conditional=True)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(defaults.ImageConfig, gan.Config):
    """A conditional DCGAN, with five times the learning rates of DCGAN."""

    g_lr: float = 1e-3
    d_lr: float = 1e-3


@testbeds.register_on(
    "cgan",
    {DIGITS: Config(**DIGITS.defaults), CIFAR10: Config(**CIFAR10.defaults)},
    paper=PAPER,
    shows=SHOWS,
    task=TASK,
)
def build(images: ImageSet, config: Config) -> Experiment:
    """Returns the experiment of DCGAN's networks with labels as inputs: appended to z, and as constant channels."""
    adam = lambda lr: optax.adam(lr, config.b1, config.b2)
    return images.two_player(
        config,
        losses.non_saturating,
        adam(config.g_lr),
        adam(config.d_lr),
        networks=images.dcgan(config, classes=images.classes),
        conditional=True,
    )
