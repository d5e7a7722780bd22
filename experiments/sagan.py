"""Self-Attention GANs (Zhang et al. 2018, arXiv 1805.08318).

    python launch.py train sagan/digits
    python launch.py train sagan/cifar10

Spectral norm in both networks, a layer of attention in each at half the size of the images, and two learning rates of
which the critic's is four times the other. Classes by projection and by conditional batch norm, as in the paper, whose
images have 128 pixels; here the networks are the residual ones of SN-GAN for 32 pixels and less. On the small digits
both rates are five times the paper's.
"""

import dataclasses

import optax

from experiments import imagesets
from jaxgan import losses
from jaxgan.registry import Experiment

PAPER = "Zhang et al. 2018, arXiv 1805.08318"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(imagesets.Config):
    """SAGAN, section 4."""

    g_lr: float = 1e-4  # learning rate of the generator
    d_lr: float = 4e-4  # learning rate of the critic
    b1: float = 0.0  # of Adam
    b2: float = 0.9  # of Adam


@imagesets.on(
    "sagan",
    {
        imagesets.DIGITS: Config(**imagesets.DIGITS.defaults | {"width": 16}, g_lr=5e-4, d_lr=2e-3),
        imagesets.CIFAR10: Config(**imagesets.CIFAR10.defaults),
    },
    paper=PAPER,
    shows="each place of a map also sees all others; spectral norm in both networks, two time scales",
)
def build(images: imagesets.ImageSet, config: Config) -> Experiment:
    """A fake is judged by the label that it was made for."""
    size, *_ = images.shape
    networks = images.resnets(config, classes=images.classes, spectral=True, attention=size // 2)
    adam = lambda lr: optax.adam(lr, config.b1, config.b2)
    return images.two_player(config, networks, losses.hinge, adam(config.g_lr), adam(config.d_lr), conditional=True)
