"""R3GAN on images, with the residual networks of the paper's config E (Huang et al. 2024, arXiv 2501.05441).

    python launch.py train r3gan/mnist
    python launch.py train r3gan/stacked_mnist
    python launch.py train r3gan/cifar10
    python launch.py train r3gan/own --data PATH --size 64 --flip

During a burn-in, along half a cosine, the learning rates and gamma fall, and Adam's beta2 and the half-life of the
averaged generator rise. As in the authors' code, bfloat16 leaves the 4x4 stages in float32, and each player's update
draws reals of its own. Differences from the paper:
- It augments as StyleGAN2-ADA does, which `--augment ada` selects; by default DiffAugment is applied at full strength.
- It trains on 250 million images of CIFAR-10; here training ends with the burn-in, after 20 million.
- Its Stacked MNIST is 32 pixels wide and takes four stages; here it is 28 pixels wide and takes three.
- It has no MNIST. Here MNIST has networks of 1/24 of the width.
"""

import dataclasses

import jax.numpy as jnp
import optax
from jax import Array

from experiments import defaults, own_images, testbeds
from experiments.defaults import ImageSet
from experiments.r3gan import PAPER
from experiments.testbeds import CIFAR10, MNIST, STACKED_MNIST
from jaxgan.core import losses, optim, penalties
from jaxgan.errors import UserError
from jaxgan.networks import dcgan, r3gan
from jaxgan.training.experiment import Experiment, setting

SHOWS = "relativistic pairing with R1 and R2, and residual networks without normalisation"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(defaults.ImageConfig):
    """R3GAN, table 9: CIFAR-10."""

    batch_size: int = 512
    latent: int = 64
    width: int = setting(768, "channels between the residual blocks")
    blocks: int = setting(2, "residual blocks per resolution", high=100)
    groups: int = setting(96, "groups of the 3x3 convolutions; must divide twice the width")
    conditional: bool = setting(False, "give both networks the class labels")
    burn_in: float = setting(20e6, "images after which all scheduled settings have their final values")
    g_lr: float = setting(2e-4, "initial learning rate of the generator")
    d_lr: float = setting(2e-4, "initial learning rate of the discriminator")
    last_lr: float = setting(0.25, "final learning rates, as a fraction of the initial ones")
    gamma: float = setting(0.05, "initial weight of half the mean squared gradient norms at reals and at fakes")
    last_gamma: float = setting(0.005, "final weight of the same")
    b2: float = setting(0.9, "initial beta2 of Adam; beta1 is 0")
    last_b2: float = setting(0.99, "final beta2 of Adam")
    ema_half_life: float = setting(5e6, "final half-life of the averaged generator, in images; the initial one is 0")


def cosine(first: float, last: float, images: float) -> optax.Schedule:
    """Returns a schedule over images seen, from `first` to `last` along half a cosine, constant after `images`."""

    def schedule(seen: Array) -> Array:
        return last + (first - last) * 0.5 * (1.0 + jnp.cos(jnp.pi * jnp.minimum(seen / images, 1.0)))

    return schedule


ON_MNIST = {
    "steps": 1_500,
    "batch_size": 64,
    "width": 32,
    "groups": 4,
    "blocks": 1,
    "burn_in": 9e4,
    "ema_half_life": 2e4,
}
ON_STACKED_MNIST = {"steps": 20_000, "width": 768, "burn_in": 2e6, "last_lr": 1.0, "ema_half_life": 5e5}
ON_OWN = {"steps": 100_000, "batch_size": 64, "width": 256, "groups": 32, "augment": "ada", "burn_in": 2e6}
ON_CIFAR10 = {
    "steps": 40_000,
    "width": 768,
    "conditional": True,
    "flip": True,
    "augment": "diffaug",
    "bfloat16": True,
}


@own_images.register_own("r3gan", Config(**testbeds.PERIODS | ON_OWN), paper=PAPER, shows=SHOWS)
@testbeds.register_on(
    "r3gan",
    {
        MNIST: Config(**MNIST.defaults | ON_MNIST, gamma=1.0, last_gamma=0.1),
        STACKED_MNIST: Config(**STACKED_MNIST.defaults | ON_STACKED_MNIST, gamma=1.0, last_gamma=0.1),
    },
    paper=PAPER,
    shows=SHOWS,
)
@testbeds.register_on(
    "r3gan", {CIFAR10: Config(**CIFAR10.defaults | ON_CIFAR10)}, paper=PAPER, shows=SHOWS, task="conditional images"
)
def build(testbed: ImageSet, config: Config) -> Experiment:
    """Penalties at every step, on gradients in the images before augmentation."""
    size, _, channels = testbed.target.shape
    if (inner := r3gan.EXPANSION * config.width) % config.groups:
        raise UserError(
            f"groups {config.groups} does not divide the {inner} channels inside a block of width {config.width}; "
            "choose --groups or --width so that it does"
        )
    widths = (config.width,) * (1 + dcgan.num_halvings(size, testbed.base))
    classes = testbed.classes if config.conditional else 0
    dtype = defaults.compute_dtype(config)
    over_images = lambda first, last: cosine(first, last, config.burn_in)
    over_updates = lambda first, last: optim.in_images(over_images(first, last), config.batch_size)
    adam = lambda lr: optax.inject_hyperparams(optax.adam)(
        over_updates(lr, lr * config.last_lr), 0.0, over_updates(config.b2, config.last_b2)
    )
    return testbed.two_player(
        config,
        losses.relativistic,
        adam(config.g_lr),
        adam(config.d_lr),
        networks=(
            r3gan.Generator(channels, widths, config.blocks, config.groups, testbed.base, classes, dtype),
            r3gan.Discriminator(widths, config.blocks, config.groups, classes, dtype),
        ),
        dtype=None,  # The networks themselves know which of their stages compute in bfloat16.
        conditional=config.conditional,
        penalty=penalties.r1_r2,
        penalty_weight=over_updates(config.gamma, config.last_gamma),
        g_batches=(1,),
        ema=optim.ema_decay(over_images(0.0, config.ema_half_life), config.batch_size),
    )
