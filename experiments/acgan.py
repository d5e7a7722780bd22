"""Auxiliary Classifier GANs (Odena et al. 2016, arXiv 1610.09585).

    python launch.py train acgan/digits
    python launch.py train acgan/mnist

The discriminator does not receive the class; it predicts it. Both players minimise the cross-entropy of this
prediction, the discriminator for reals and fakes, the generator for fakes (section 4). The networks are the paper's for
CIFAR-10, with two differences: the generator has kernels of 4x4 instead of 5x5, and there is no noise on the images. On
MNIST and on the small digits they have as many halvings as the image size allows; the small digits have no dropout.
"""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import Array

from experiments import testbeds
from experiments.testbeds import CIFAR10, DIGITS, MNIST, ImageSet
from jaxgan.core import games, losses, optim, prng
from jaxgan.core.game import LABEL, NOISE_KEY, Batch, Game, Network, Phase, Player, TrainState, input_spec
from jaxgan.networks import acgan
from jaxgan.training.experiment import Experiment, setting

PAPER = "Odena et al. 2016, arXiv 1610.09585"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(testbeds.ImageConfig):
    """AC-GAN, appendix A."""

    batch_size: int = 100
    latent: int = setting(100, "dimensions of z, besides those of the one-hot class")
    width: int = setting(96, "channels of the generator at half the image size")
    d_width: int = setting(16, "channels of the discriminator's first layer")
    g_lr: float = 2e-4
    d_lr: float = 2e-4
    b1: float = setting(0.5, "beta1 of Adam")
    keep_prob: float = setting(0.5, "probability that dropout keeps an entry of the discriminator's features", high=1)


class Classified(NamedTuple):
    """Output of the discriminator on a batch, compared with the labels."""

    logits: Array  # [B]
    cross_entropy: Array  # mean over the batch, in nats
    accuracy: Array  # share of the batch whose predicted class is the label


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
)
def build(images: ImageSet, config: Config) -> Experiment:
    """Returns the experiment in which both losses include the cross-entropy of the predicted class."""
    g_module, _ = images.dcgan(config, classes=images.classes)
    d_module = acgan.Discriminator(images.classes, config.d_width, images.base, config.keep_prob)
    options = {"convolutional": True, "dtype": testbeds.compute_dtype(config)}
    G = Network("generator", g_module, (input_spec(config.latent),), (LABEL,), **options)
    D = Network("discriminator", d_module, (input_spec(*images.target.shape),), (NOISE_KEY,), **options)
    latent = prng.normal_latent(config.latent)
    adam = lambda lr: optax.adam(lr, config.b1)
    augment = testbeds.augmentation(config)
    generate, discriminate = games.forward_functions(G, D, latent, augment)

    def classify(state: TrainState, x: Array, batch: Batch, key: Array) -> tuple[Classified, TrainState]:
        (logits, class_logits), state = discriminate(state, x, batch, key)
        cross_entropy = optax.softmax_cross_entropy_with_integer_labels(class_logits, batch["label"]).mean()
        accuracy = (class_logits.argmax(1) == batch["label"]).astype(jnp.float32).mean()
        return Classified(logits, cross_entropy, accuracy), state

    def real_logits(state: TrainState, x: Array, batch: Batch, key: Array) -> tuple[Array, TrainState]:
        (logits, _), state = discriminate(state, x, batch, key)
        return logits, state

    def d_loss(state: TrainState, batch: Batch, key: Array):
        z_key, real_key, fake_key = jax.random.split(key, 3)
        fake, state = generate(state, batch, z_key)
        on_real, state = classify(state, batch["real"], batch, real_key)
        on_fake, state = classify(state, fake, batch, fake_key)
        value = losses.non_saturating.d(on_real.logits, on_fake.logits)
        value = value + on_real.cross_entropy + on_fake.cross_entropy
        return value, (state, {"real_accuracy": on_real.accuracy, "fake_accuracy": on_fake.accuracy})

    def g_loss(state: TrainState, batch: Batch, key: Array):
        z_key, fake_key = jax.random.split(key)
        fake, after = generate(state, batch, z_key)
        on_fake, _ = classify(after, fake, batch, fake_key)
        return losses.non_saturating.g(on_fake.logits) + on_fake.cross_entropy, (after, {})

    game = Game(
        networks=(G, D),
        players={
            "generator": Player(("generator",), adam(config.g_lr)),
            "discriminator": Player(("discriminator",), adam(config.d_lr)),
        },
        phases=(Phase("d", "discriminator", d_loss), Phase("g", "generator", g_loss)),
        ema={"generator": optim.ema_decay(config.ema_half_life, config.batch_size)},
    )
    if augment is not None:
        game = games.with_augmentation(game, augment, real_logits)
    return images.target.experiment(game, G, latent, images.source(config))
