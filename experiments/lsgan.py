"""Least Squares Generative Adversarial Networks (Mao et al. 2016, arXiv 1611.04076).

    python launch.py train lsgan/ring
    python launch.py train lsgan/mnist
    python launch.py figure lsgan/fig1 lsgan/fig6

On the ring the networks, optimizers and data are those of the authors' script, which follows a notebook for unrolled
GANs, with three differences. The script has the angle 0 twice, also as 2 pi, and thus one mode of double weight; here
all eight modes have equal weight. Its players update simultaneously; here they alternate. Its batch size is 512; here
it is 64, to save time.
"""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax

from experiments import defaults, testbeds
from experiments.defaults import ImageSet
from experiments.testbeds import CIFAR10, DIGITS, MNIST
from jaxgan.core import losses, prng
from jaxgan.core.losses import AdversarialLoss
from jaxgan.data import synthetic
from jaxgan.data.synthetic import Density
from jaxgan.networks import mlp
from jaxgan.runs import registry, targets
from jaxgan.training import experiment
from jaxgan.training.experiment import Experiment, setting

PAPER = "Mao et al. 2016, arXiv 1611.04076"
SHOWS = "least squares in place of cross-entropy"
RING = synthetic.ring(radius=1.0, std=0.01, scale=1.0)
# The ring of the authors' script: the first of its eight modes has double weight.
UNEVEN_RING = synthetic.gaussian_mixture(np.concatenate([RING.modes, RING.modes[:1]]), RING.std)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(experiment.Config):
    """Networks with two hidden tanh layers on the ring."""

    steps: int = 35_000
    batch_size: int = 64
    latent: int = setting(256, "dimensions of z, drawn from N(0, 1)")
    width: int = setting(128, "units of a hidden layer")
    gain: float = setting(1.4, "scale of the orthogonal initial weights")
    g_lr: float = setting(1e-3, "learning rate of the generator")
    d_lr: float = setting(1e-4, "learning rate of the discriminator")
    b1: float = setting(0.5, "beta1 of Adam")


def build_ring(
    loss: AdversarialLoss, config: Config, density: Density = RING, simultaneous: bool = False
) -> Experiment:
    """Returns the experiment of a loss on a ring, without batch norm, penalty or moving average."""
    kernel_init = jax.nn.initializers.orthogonal(config.gain)
    layers = {"width": config.width, "depth": 2, "activation": jnp.tanh, "kernel_init": kernel_init}
    return targets.density(density).two_player(
        config,
        mlp.Generator((2,), **layers),
        mlp.Critic(**layers),
        loss,
        prng.normal_latent(config.latent),
        g_optimizer=optax.adam(config.g_lr, config.b1),
        d_optimizer=optax.adam(config.d_lr, config.b1),
        simultaneous=simultaneous,
    )


registry.register(
    "lsgan/ring",
    Config(),
    paper=PAPER,
    dataset="8 Gaussians on a ring",
    shows=SHOWS,
    task="2-D",
    minutes=3,
)(functools.partial(build_ring, losses.least_squares))


@dataclasses.dataclass(frozen=True, kw_only=True)
class ImageConfig(defaults.ImageConfig):
    """LSGAN on images, with the networks of DCGAN and the paper's learning rate."""

    batch_size: int = 64
    g_lr: float = 1e-3
    d_lr: float = 1e-3
    b1: float = setting(0.5, "beta1 of Adam")


@testbeds.register_on(
    "lsgan",
    {
        DIGITS: ImageConfig(**DIGITS.defaults),
        MNIST: ImageConfig(**MNIST.defaults | {"steps": 5_000}),
        CIFAR10: ImageConfig(**CIFAR10.defaults),
    },
    paper=PAPER,
    shows=SHOWS,
)
def build(images: ImageSet, config: ImageConfig) -> Experiment:
    """Returns the experiment of least squares on DCGAN's networks, with batch norm in both."""
    adam = lambda lr: optax.adam(lr, config.b1)
    return images.two_player(config, losses.least_squares, adam(config.g_lr), adam(config.d_lr), batch_norm=True)
