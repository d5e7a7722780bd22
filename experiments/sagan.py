"""Self-Attention GANs (Zhang et al. 2018, arXiv 1805.08318).

    python launch.py train sagan/digits
    python launch.py train sagan/cifar10

Spectral norm in both networks, one self-attention layer in each at half the image size, and a learning rate of the
critic that is four times that of the generator. Classes enter by projection and by conditional batch norm. The paper's
images have 128 pixels; here the networks are SN-GAN's residual ones for at most 32 pixels. On the 8x8 digits both
learning rates are five times the paper's.
"""

import dataclasses

import optax

from experiments import defaults, testbeds
from experiments.defaults import ImageSet
from experiments.testbeds import CIFAR10, DIGITS
from jaxgan.core import losses
from jaxgan.training.experiment import Experiment, setting

PAPER = "Zhang et al. 2018, arXiv 1805.08318"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(defaults.ImageConfig):
    """SAGAN, section 4."""

    g_lr: float = 1e-4
    d_lr: float = 4e-4
    b1: float = setting(0.0, "beta1 of Adam")
    b2: float = setting(0.9, "beta2 of Adam")


@testbeds.register_on(
    "sagan",
    {
        DIGITS: Config(**DIGITS.defaults | {"width": 16}, g_lr=5e-4, d_lr=2e-3),
        CIFAR10: Config(**CIFAR10.defaults),
    },
    paper=PAPER,
    shows="self-attention over all positions of a feature map; spectral norm in both networks, two learning rates",
    task="conditional images",
)
def build(testbed: ImageSet, config: Config) -> Experiment:
    """Each fake is given to the critic with the label that it was generated for."""
    size, *_ = testbed.target.shape
    networks = testbed.resnets(config, classes=testbed.classes, spectral=True, attention=size // 2)
    adam = lambda lr: optax.adam(lr, config.b1, config.b2)
    return testbed.two_player(
        config, losses.hinge, adam(config.g_lr), adam(config.d_lr), networks=networks, conditional=True
    )
