"""Unsupervised Representation Learning with Deep Convolutional GANs (Radford et al. 2015, arXiv 1511.06434).

    python launch.py train dcgan/digits
    python launch.py train dcgan/mnist
    python launch.py train dcgan/own --data PATH --size 64 --flip

Strided convolutions, batch norm in both networks, and the optimiser that most GANs have taken over. Kernels are 4x4 as
in the Torch version, and there are as many halvings as the images have room for.
"""

import dataclasses
import functools

from experiments import gan, imagesets
from jaxgan import losses
from jaxgan.registry import Experiment, register

PAPER = "Radford et al. 2015, arXiv 1511.06434"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(imagesets.Config, gan.Config):
    """DCGAN, section 4."""

    latent: int = 100  # dimensions of z, drawn from N(0, 1)
    batch_size: int = 128  # examples a step, over all devices


@dataclasses.dataclass(frozen=True, kw_only=True)
class Own(Config):
    """DCGAN on anybody's images."""

    data: str = "cifar10"  # a folder of images, or the name of a data set of TFDS
    size: int = 32  # pixels, the side of the square that images are cropped and resized to
    channels: int = 3  # of the images, 1 or 3


SHOWS = "convolutions and batch norm in both networks: the GAN that first made images worth looking at"


@register(
    "dcgan/own",
    Own(steps=20_000, **imagesets.PERIODS),
    paper=PAPER,
    dataset="a folder of images, or any of TFDS",
    shows=SHOWS,
    cost="as long as it is given",
)
def on_own(config: Own) -> Experiment:
    """Measured by eye alone: of images without classes there is no small classifier."""
    return gan.build(losses.non_saturating, imagesets.own(config.data, config.size, config.channels), config)


imagesets.on(
    "dcgan",
    {
        imagesets.DIGITS: Config(**imagesets.DIGITS.defaults),
        imagesets.MNIST: Config(**imagesets.MNIST.defaults),
        imagesets.CIFAR10: Config(**imagesets.CIFAR10.defaults),
    },
    paper=PAPER,
    shows=SHOWS,
)(functools.partial(gan.build, losses.non_saturating))
