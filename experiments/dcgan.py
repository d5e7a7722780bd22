"""Unsupervised Representation Learning with Deep Convolutional GANs (Radford et al. 2015, arXiv 1511.06434).

    python launch.py train dcgan/digits
    python launch.py train dcgan/mnist

Strided convolutions, batch norm in both networks, and the optimiser that most GANs have taken over. Kernels are 4x4 as
in the Torch version, and there are as many halvings as the images have room for.
"""

import dataclasses
import functools

from experiments import gan, imagesets
from jaxgan import losses

PAPER = "Radford et al. 2015, arXiv 1511.06434"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(imagesets.Config, gan.Config):
    """DCGAN, section 4."""

    latent: int = 100  # dimensions of z, drawn from N(0, 1)
    batch_size: int = 128  # examples a step, over all devices


imagesets.on(
    "dcgan",
    {
        imagesets.DIGITS: Config(**imagesets.DIGITS.defaults),
        imagesets.MNIST: Config(**imagesets.MNIST.defaults),
        imagesets.CIFAR10: Config(**imagesets.CIFAR10.defaults),
    },
    paper=PAPER,
    shows="convolutions and batch norm in both networks: the GAN that first made images worth looking at",
)(functools.partial(gan.build, losses.non_saturating))
