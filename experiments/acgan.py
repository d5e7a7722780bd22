"""Auxiliary Classifier GANs (Odena et al. 2016, arXiv 1610.09585).

    python launch.py train acgan/digits
    python launch.py train acgan/mnist

The discriminator is not told the class: it names it, and both players gain from a name that is right, of reals and of
fakes (section 4). Its networks for CIFAR-10, but for kernels of 4x4 instead of 5x5 in the generator and for noise on
the images; on digits the same with as many halvings as there is room for, on the small ones without dropout.
"""

import dataclasses

import jax
import jax.numpy as jnp
import optax
from jax import Array

from experiments import imagesets
from jaxgan import latents, losses, objectives, optim
from jaxgan.game import KEY, LABEL, Batch, Game, Phase, Player, TrainState, spec
from jaxgan.networks import acgan, dcgan
from jaxgan.registry import Experiment

PAPER = "Odena et al. 2016, arXiv 1610.09585"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(imagesets.Config):
    """AC-GAN, appendix A."""

    batch_size: int = 100  # examples a step, over all devices
    latent: int = 100  # dimensions of z, drawn from N(0, 1), beside ten of the class
    width: int = 96  # channels of the generator at half the size
    d_width: int = 16  # channels of the discriminator's first layer
    g_lr: float = 2e-4  # learning rate of the generator
    d_lr: float = 2e-4  # learning rate of the discriminator
    b1: float = 0.5  # of Adam
    keep: float = 0.5  # the part that dropout leaves of the discriminator's maps


@imagesets.on(
    "acgan",
    {
        imagesets.DIGITS: Config(**imagesets.DIGITS.defaults | {"steps": 2_000, "keep": 1.0}),
        imagesets.MNIST: Config(**imagesets.MNIST.defaults, width=64),
        imagesets.CIFAR10: Config(**imagesets.CIFAR10.defaults | {"steps": 50_000, "width": 96}),
    },
    paper=PAPER,
    shows="the discriminator names the class, and both players gain from a right name: samples of the class asked",
)
def build(images: imagesets.ImageSet, config: Config) -> Experiment:
    """Two networks, two players, and in both losses the cross-entropy of the name that is given."""
    size, _, channels = images.shape
    g_module = dcgan.Generator(size, channels, config.width, images.base, classes=images.classes)
    d_module = acgan.Discriminator(images.classes, config.d_width, images.base, config.keep)
    G = images.network("generator", g_module, spec(config.latent), config, LABEL)
    D = images.network("discriminator", d_module, spec(*images.shape), config, KEY)
    latent = lambda keys: latents.normal(keys, config.latent)
    adam = lambda lr: optax.adam(lr, config.b1)

    generate, judge = objectives.calls(G, D, latent, imagesets.DIFFAUG if config.diffaug else None)

    def named(state: TrainState, x: Array, batch: Batch, key: Array) -> tuple[Array, Array, Array, TrainState]:
        """Logits, how badly the class is named, in nats, and how often rightly."""
        (logits, names), state = judge(state, x, batch, key)
        off = optax.softmax_cross_entropy_with_integer_labels(names, batch["label"]).mean()
        return logits, off, (names.argmax(1) == batch["label"]).astype(jnp.float32).mean(), state

    def d_loss(state: TrainState, batch: Batch, key: Array):
        z_key, real_key, fake_key = jax.random.split(key, 3)
        fake, state = generate(state, batch, z_key)
        real_logits, real_off, real_named, state = named(state, batch["real"], batch, real_key)
        fake_logits, fake_off, fake_named, state = named(state, fake, batch, fake_key)
        value = losses.non_saturating.d(real_logits, fake_logits) + real_off + fake_off
        return value, (state, {"real_named": real_named, "fake_named": fake_named})

    def g_loss(state: TrainState, batch: Batch, key: Array):
        z_key, fake_key = jax.random.split(key)
        fake, after = generate(state, batch, z_key)
        fake_logits, fake_off, *_ = named(after, fake, batch, fake_key)
        return losses.non_saturating.g(fake_logits, fake_logits) + fake_off, (after, {})  # It has no use for reals.

    game = Game(
        networks=(G, D),
        players={
            "generator": Player(("generator",), adam(config.g_lr)),
            "discriminator": Player(("discriminator",), adam(config.d_lr)),
        },
        phases=(Phase("d", "discriminator", d_loss), Phase("g", "generator", g_loss)),
        ema={"generator": optim.ema_decay(config.ema_half_life, config.batch_size)},
    )
    source = images.source(config.batch_size, flip=config.flip, dequantise=config.dequantise)
    return images.look(game, G, latent, source, conditional=True)
