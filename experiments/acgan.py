"""Auxiliary Classifier GANs (Odena et al. 2016, arXiv 1610.09585).

    python launch.py train acgan/digits
    python launch.py train acgan/mnist

The discriminator does not receive the class; it predicts it. Both players minimise the cross-entropy of this
prediction, the discriminator for reals and fakes, the generator for fakes (section 4). The networks are the paper's for
CIFAR-10, with two differences: the generator has kernels of 4x4 instead of 5x5, and there is no noise on the images. On
MNIST and on the small digits they have as many halvings as the image size allows; the small digits have no dropout.
"""

import dataclasses

import optax

from experiments import defaults, testbeds
from experiments.defaults import ImageSet
from experiments.testbeds import CIFAR10, DIGITS, MNIST
from jaxgan.core import conditioning, games, losses, optim, prng
from jaxgan.core.game import LABEL, NOISE_KEY, Network, input_spec
from jaxgan.networks import acgan
from jaxgan.training.experiment import Experiment, setting

PAPER = "Odena et al. 2016, arXiv 1610.09585"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(defaults.ImageConfig):
    """AC-GAN, appendix A."""

    batch_size: int = 100
    latent: int = setting(100, "dimensions of z, besides those of the one-hot class")
    width: int = setting(96, "channels of the generator at half the image size")
    d_width: int = setting(16, "channels of the discriminator's first layer")
    g_lr: float = 2e-4
    d_lr: float = 2e-4
    b1: float = setting(0.5, "beta1 of Adam")
    keep_prob: float = setting(0.5, "probability that dropout keeps an entry of the discriminator's features", high=1)


@testbeds.register_on(
    "acgan",
    {
        DIGITS: Config(**DIGITS.defaults | {"steps": 2_000, "keep_prob": 1.0}),
        MNIST: Config(**MNIST.defaults, width=64),
        CIFAR10: Config(**CIFAR10.defaults | {"steps": 50_000, "width": 96}),
    },
    paper=PAPER,
    shows="the discriminator predicts the class, and both players minimise the error of the prediction",
    task="conditional images",
    test_settings={"width": 16, "d_width": 4},
)
def build(images: ImageSet, config: Config) -> Experiment:
    """Returns the experiment in which both losses include the cross-entropy of the predicted class."""
    g_module, _ = images.dcgan(config, classes=images.classes)
    d_module = acgan.Discriminator(images.classes, config.d_width, images.base, config.keep_prob)
    options = {"convolutional": True, "dtype": defaults.compute_dtype(config)}
    G = Network("generator", g_module, (input_spec(config.latent),), (LABEL,), **options)
    D = Network("discriminator", d_module, (input_spec(*images.target.shape),), (NOISE_KEY,), **options)
    latent = prng.normal_latent(config.latent)
    game = games.two_player(
        G,
        D,
        losses.non_saturating,
        latent,
        g_optimizer=optax.adam(config.g_lr, config.b1),
        d_optimizer=optax.adam(config.d_lr, config.b1),
        terms=(conditioning.auxiliary_classifier(d_fakes=True),),
        augment=defaults.augmentation(config),
        ema=optim.ema_decay(config.ema_half_life, config.batch_size),
    )
    return images.target.experiment(game, G, latent, images.source(config))
