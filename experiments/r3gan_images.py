"""R3GAN on images, by the residual networks of the paper's config E (Huang et al. 2024, arXiv 2501.05441).

    python launch.py train r3gan/mnist
    python launch.py train r3gan/stacked_mnist
    python launch.py train r3gan/cifar10

In the first images, along half a cosine, learning rates and γ fall and Adam's β2 and the half-life of the averaged
generator rise. The paper augments as StyleGAN2-ADA does, ever more; here DiffAugment does it, from the start. Its
CIFAR-10 takes 250 million images; here training ends with the burn-in, after 20 million. Stacked MNIST is 28 pixels
wide here, in three stages, and 32 there, in four. MNIST is not in the paper: it has networks of a 24th of the width.
"""

import dataclasses

import jax.numpy as jnp
import optax
from jax import Array

from experiments import imagesets
from experiments.r3gan import PAPER
from jaxgan import losses, optim, penalties
from jaxgan.errors import Problem
from jaxgan.networks import dcgan, r3gan
from jaxgan.registry import Experiment


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(imagesets.Config):
    """R3GAN, table 9: CIFAR-10."""

    batch_size: int = 512  # examples a step, over all devices
    latent: int = 64  # dimensions of z, drawn from N(0, 1)
    width: int = 768  # channels
    blocks: int = 2  # at each size of the maps
    groups: int = 96  # of the channels within a block
    conditional: bool = False  # both networks are told the class
    burn_in: float = 20e6  # images until all that follows is what it is in the end
    g_lr: float = 2e-4  # learning rate of the generator, at first
    d_lr: float = 2e-4  # learning rate of the discriminator, at first
    last_lr: float = 0.25  # what is left of the learning rates
    gamma: float = 0.05  # weight of half the mean squared gradient norms at reals and at fakes, at first
    last_gamma: float = 0.005  # the same in the end
    b2: float = 0.9  # of Adam, at first; b1 is 0
    last_b2: float = 0.99  # the same in the end
    ema_half_life: float = 5e6  # images until half of the averaged generator is new; 0 at first


def cosine(first: float, last: float, images: float) -> optax.Schedule:
    """From `first` to `last` in so many images, along half a cosine."""
    return lambda seen: last + (first - last) * 0.5 * (1.0 + jnp.cos(jnp.pi * jnp.minimum(seen / images, 1.0)))


ON_MNIST = {
    "steps": 1_500,
    "batch_size": 64,
    "width": 32,
    "groups": 4,
    "blocks": 1,
    "burn_in": 9e4,
    "ema_half_life": 2e4,
}
STACKED = {"steps": 20_000, "width": 768, "burn_in": 2e6, "last_lr": 1.0, "ema_half_life": 5e5}


@imagesets.on(
    "r3gan",
    {
        imagesets.MNIST: Config(**imagesets.MNIST.defaults | ON_MNIST, gamma=1.0, last_gamma=0.1),
        imagesets.STACKED_MNIST: Config(**imagesets.STACKED_MNIST.defaults | STACKED, gamma=1.0, last_gamma=0.1),
        imagesets.CIFAR10: Config(
            **imagesets.CIFAR10.defaults | {"steps": 40_000, "width": 768},
            conditional=True,
            flip=True,
            diffaug=True,
            bfloat16=True,
        ),
    },
    paper=PAPER,
    shows="relativistic pairing with R1 and R2, and a residual network without any norm",
)
def build(images: imagesets.ImageSet, config: Config) -> Experiment:
    """Penalties at every step, on gradients in the images as they were before the augmentation."""
    size, _, channels = images.shape
    if (inner := r3gan.EXPANSION * config.width) % config.groups:
        raise Problem(f"groups {config.groups} do not divide the {inner} channels of width {config.width} in a block")
    widths = (config.width,) * (1 + dcgan.halvings(size, images.base))
    classes = images.classes if config.conditional else 0
    over = lambda first, last: cosine(first, last, config.burn_in)
    by_step = lambda first, last: optim.in_images(over(first, last), config.batch_size)
    adam = lambda lr: optax.inject_hyperparams(optax.adam)(
        by_step(lr, lr * config.last_lr), 0.0, by_step(config.b2, config.last_b2)
    )

    def penalty(critic: penalties.Critic, real: Array, fake: Array, key: Array) -> Array:
        return penalties.r1(critic, real) + penalties.r2(critic, fake)

    return images.two_player(
        config,
        (
            r3gan.Generator(channels, widths, config.blocks, config.groups, images.base, classes),
            r3gan.Discriminator(widths, config.blocks, config.groups, classes),
        ),
        losses.relativistic,
        adam(config.g_lr),
        adam(config.d_lr),
        conditional=config.conditional,
        penalty=penalty,
        penalty_weight=by_step(config.gamma, config.last_gamma),
        ema=optim.ema_decay(over(0.0, config.ema_half_life), config.batch_size),
    )
