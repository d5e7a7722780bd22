"""Conditional Generative Adversarial Nets (Mirza & Osindero 2014, arXiv 1411.1784).

    python launch.py train cgan/digits
    python launch.py train cgan/mnist
    python launch.py figure cgan/table1 cgan/fig2

Both networks are told the class, by concatenation; a fake is judged by the label that it was made for. On MNIST the
networks and the optimiser are the paper's, fully connected; on CIFAR-10 and on the small digits they are DCGAN's.
"""

import dataclasses

import optax

from experiments import gan, gan_mnist, imagesets
from jaxgan import losses
from jaxgan.registry import Experiment, register

PAPER = "Mirza & Osindero 2014, arXiv 1411.1784"
SHOWS = "both networks are told the class: samples of the class that is asked"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Mnist(gan_mnist.Config):
    """The paper's networks for MNIST."""

    lr_decay: float = 1.00004  # by which the rate is divided at each step, until it is 1e-6


@register("cgan/mnist", Mnist(), paper=PAPER, dataset=imagesets.MNIST.dataset, shows=SHOWS, cost="15 min, 2 CPU cores")
def on_mnist(config: Mnist) -> Experiment:
    """Of the training images the last 10,000 are left for the choice of a Parzen window's width."""
    return gan_mnist.with_maxout(imagesets.MNIST, config, gan_mnist.LEARNT, conditional=True)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(imagesets.Config, gan.Config):
    """A conditional DCGAN."""


@imagesets.on(
    "cgan",
    {
        imagesets.DIGITS: Config(**imagesets.DIGITS.defaults),
        imagesets.CIFAR10: Config(**imagesets.CIFAR10.defaults),
    },
    paper=PAPER,
    shows=SHOWS,
)
def build(images: imagesets.ImageSet, config: Config) -> Experiment:
    """Labels beside the latents, and as constant maps beside the image."""
    adam = lambda lr: optax.adam(lr, config.b1, config.b2)
    networks = images.networks(config, classes=images.classes)
    g_optimizer, d_optimizer = adam(config.g_lr), adam(config.d_lr)
    return images.two_player(config, networks, losses.non_saturating, g_optimizer, d_optimizer, conditional=True)
