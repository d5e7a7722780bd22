"""DCGAN (Radford et al. 2015, arXiv 1511.06434).

    python launch.py train dcgan/digits
    python launch.py train dcgan/mnist
    python launch.py train dcgan/own --data PATH --size 64 --flip

Strided convolutions, batch norm in both networks, and the Adam settings that most later GANs adopted. Kernels are 4x4
as in the authors' Torch code, and the number of halvings follows from the image size.
"""

import dataclasses

from experiments import defaults, gan, own_images, testbeds
from experiments.defaults import Testbed
from experiments.testbeds import CIFAR10, DIGITS, MNIST
from jaxgan.core import losses
from jaxgan.training.experiment import Experiment

PAPER = "Radford et al. 2015, arXiv 1511.06434"
SHOWS = "convolutions and batch norm in both networks, the basis of most image GANs"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(defaults.ImageConfig, gan.Config):
    """DCGAN, section 4."""

    latent: int = 100
    batch_size: int = 128
    g_lr: float = 2e-4
    d_lr: float = 2e-4


@own_images.register_own("dcgan", Config(steps=20_000, **testbeds.PERIODS), paper=PAPER, shows=SHOWS)
@testbeds.register_on(
    "dcgan",
    {
        DIGITS: Config(**DIGITS.defaults),
        MNIST: Config(**MNIST.defaults | {"steps": 6_000}),
        CIFAR10: Config(**CIFAR10.defaults),
    },
    paper=PAPER,
    shows=SHOWS,
)
def build(testbed: Testbed, config: Config) -> Experiment:
    """The non-saturating loss on DCGAN's networks."""
    return gan.build(losses.non_saturating, testbed, config)
