"""ESRGAN: Enhanced Super-Resolution Generative Adversarial Networks (Wang et al. 2018, arXiv 1809.00219).

    python launch.py train esrgan/cifar10
    python launch.py train esrgan/own --data FOLDER

It differs from SRGAN in the generator (residual-in-residual dense blocks without norms), in the loss (a relativistic
average discriminator, and features before their activation), and in the absolute error of pixels. The networks are
those of the paper in `esrgan/own`, and narrower in `esrgan/cifar10`. Differences from the paper are those of SRGAN.
"""

import dataclasses
from collections.abc import Sequence

import optax
from jax import Array

from experiments import srgan
from experiments.srgan import LoadImages, build_super_resolution
from jaxgan.core import losses
from jaxgan.networks import esrgan
from jaxgan.settings import setting
from jaxgan.training.experiment import Experiment

PAPER = "Wang et al. 2018, arXiv 1809.00219"
HALVINGS = 0.25, 0.5, 1.0, 1.5  # of `decay`: 50, 100, 200 and 300 thousand steps (section 4.1)
SHOWS = "super-resolution by 4: dense blocks, a relativistic discriminator, features before activation"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(srgan.Config):
    """ESRGAN."""

    blocks: int = setting(2, "residual-in-residual dense blocks of the generator")
    growth: int = setting(16, "channels of the convolutions within dense blocks")
    pretrain_lr: float = setting(2e-4, "learning rate of the generator on pixels alone")
    decay: int = setting(
        500, "adversarial steps after which the learning rate is halved, as after 1/4, 1/2 and 3/2 of that number"
    )
    pixels: float = 1e-2  # Eq. 3, eta
    adversarial: float = 5e-3  # Eq. 3, lambda


def distance_before_activation(fake: Sequence[Array], real: Sequence[Array]) -> Array:
    """Returns the mean absolute difference of the last feature map before its activation (section 3.3)."""
    return losses.l1(fake[-1], real[-1])


@dataclasses.dataclass(frozen=True, kw_only=True)
class OwnConfig(Config, srgan.OwnConfig):
    """ESRGAN on the user's photographs."""


# Section 4.1: crops of 128 x 128, batches of 16; 10^5 instead of 10^6 steps of pretraining.
OWN = OwnConfig(
    size=128,
    width=64,
    growth=32,
    blocks=23,
    stages=4,
    units=1024,
    steps=500_000,
    pretrain=100_000,
    decay=200_000,
    batch_size=16,
)


@srgan.register_on("esrgan", Config(), OWN, paper=PAPER, shows=SHOWS, minutes=6)
def build(load: LoadImages, config: Config) -> Experiment:
    """Returns ESRGAN on large images of three channels."""
    generator = esrgan.Generator(3, config.width, config.growth, config.blocks)
    halvings = {int(part * config.decay): 0.5 for part in HALVINGS}
    adversarial_rate = optax.piecewise_constant_schedule(config.lr, halvings)
    g_rate = optax.join_schedules([optax.constant_schedule(config.pretrain_lr), adversarial_rate], [config.pretrain])
    optimizers = optax.adam(g_rate), optax.adam(adversarial_rate)
    loss = losses.relativistic_average
    return build_super_resolution(load, config, generator, loss, losses.l1, distance_before_activation, optimizers)
