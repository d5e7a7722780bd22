"""Several generators or discriminators: MGAN (1708.02556), D2GAN (1709.03831) and CoGAN (1606.07536).

    python launch.py train mgan/ring
    python launch.py train d2gan/ring
    python launch.py train cogan/digits
    python launch.py train cogan/mnist

They are networks with several parts in a game of two players. MGAN: the generators share all layers but the first, and
a head of the discriminator predicts which of them made a sample. D2GAN: the second discriminator rewards samples of the
generator, the first one the data. CoGAN: one latent gives an image and, from all layers but the last, the same image in
negative; pairs are never shown to the discriminators.
"""

import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array
from jax.nn import softplus

from experiments import defaults, gan, testbeds
from experiments.defaults import ImageSet, Points
from experiments.testbeds import RING
from jaxgan.core import conditioning, losses, prng
from jaxgan.core.terms import Term
from jaxgan.data import sources
from jaxgan.networks import heads
from jaxgan.networks.heads import Outputs
from jaxgan.runs import targets
from jaxgan.training.experiment import Experiment, setting

GENERATORS = 8
DIGITS = {"g_lr": 1e-3, "d_lr": 1e-3}


@dataclasses.dataclass(frozen=True, kw_only=True)
class MixtureConfig(gan.Config):
    """MGAN."""

    g_lr: float = 1e-3
    d_lr: float = 1e-3
    diversity: float = setting(0.125, "weight of the classification error in the generators' loss, beta")


@dataclasses.dataclass(frozen=True, kw_only=True)
class ImageMixtureConfig(defaults.ImageConfig, MixtureConfig):
    """MGAN on images."""

    g_lr: float = 2e-4
    d_lr: float = 2e-4


def classified_generators(weight: float, noise: int) -> Term:
    """Returns the error of the head "generator_logits" on fakes, which D's classifier and, with a weight, G minimise.

    It is -E log C_u(G_u(z)), with C_u the probability that the classifier gives to the generator u of each fake.
    z [B, (noise + 1) * GENERATORS] holds (noise, 1) in the place of its generator, and zeros.
    """

    def error(p):
        index = jnp.abs(p.z).reshape(len(p.z), GENERATORS, noise + 1).sum(2).argmax(1)
        return conditioning.cross_entropy(p.fake_out["generator_logits"], index)

    return Term("generator", d=error, g=lambda p: weight * error(p))


@testbeds.register_on(
    "mgan",
    {RING: MixtureConfig(), **testbeds.on_images(ImageMixtureConfig, DIGITS)},
    paper="Hoang et al. 2017, arXiv 1708.02556",
    shows="a mixture of generators that a classifier must be able to tell apart: each covers other modes",
)
def build_mixture(testbed: Points | ImageSet, config: MixtureConfig) -> Experiment:
    """A one-hot index, multiplied with the noise, selects the first layer."""

    def latent(keys: Array) -> Array:
        index = jax.vmap(lambda key: jax.random.randint(key, (), 0, GENERATORS))(prng.fold_in(keys, 1))
        z = jnp.pad(prng.normal(keys, config.latent), ((0, 0), (0, 1)), constant_values=1.0)
        return (jax.nn.one_hot(index, GENERATORS)[:, :, None] * z[:, None]).reshape(len(z), -1)

    adam = lambda lr: optax.adam(lr, config.b1, config.b2)
    head = heads.Linear((("generator_logits", GENERATORS),))
    return testbed.two_player(
        config,
        losses.non_saturating,
        adam(config.g_lr),
        adam(config.d_lr),
        networks=(testbed.generator(config), testbed.discriminator(config, head)),
        latent=latent,
        terms=(classified_generators(config.diversity, config.latent),),
    )


class TwoCritics(nn.Module):
    """Maps examples to "logits" and "second" of two critics without common layers."""

    first: nn.Module
    second: nn.Module

    def __call__(self, x: Array, train: bool = True) -> Outputs:
        return {"logits": self.first(x, train=train), "second": self.second(x, train=train)}


def dual(alpha: float, beta: float) -> Term:
    """Returns the loss of D2GAN, Eq. 1, with positive scores D1, D2 = softplus of the two critics.

    min_G max_{D1, D2} α E log D1(x) - E D1(G(z)) - E D2(x) + β E log D2(G(z)). D1's critic gives "logits", D2's
    "second". 1e-12 is added to the scores in logarithms.
    """
    log_score = lambda logits: jnp.log(softplus(logits) + 1e-12).mean()
    of_fakes = lambda p: beta * log_score(p.fake_out["second"]) - softplus(p.fake_logits).mean()
    of_reals = lambda p: alpha * log_score(p.real_logits) - softplus(p.real_out["second"]).mean()
    return Term("dual", d=lambda p: -of_reals(p) - of_fakes(p), g=of_fakes)


@dataclasses.dataclass(frozen=True, kw_only=True)
class DualConfig(gan.Config):
    """D2GAN, section 4.1."""

    g_lr: float = 1e-3
    d_lr: float = 1e-3
    alpha: float = setting(0.2, "weight of log D1 at reals")
    beta: float = setting(0.1, "weight of log D2 at fakes")


@dataclasses.dataclass(frozen=True, kw_only=True)
class ImageDualConfig(defaults.ImageConfig, DualConfig):
    """D2GAN on images."""

    g_lr: float = 2e-4
    d_lr: float = 2e-4


@testbeds.register_on(
    "d2gan",
    {RING: DualConfig(), **testbeds.on_images(ImageDualConfig, DIGITS)},
    paper="Nguyen et al. 2017, arXiv 1709.03831",
    shows="two discriminators, which estimate both KL divergences: no mode is missed",
)
def build_dual(testbed: Points | ImageSet, config: DualConfig) -> Experiment:
    """Both discriminators are one network and one player."""
    adam = lambda lr: optax.adam(lr, config.b1, config.b2)
    networks = testbed.generator(config), TwoCritics(testbed.discriminator(config), testbed.discriminator(config))
    loss = dual(config.alpha, config.beta)
    return testbed.two_player(config, loss, adam(config.g_lr), adam(config.d_lr), networks=networks)


class CoupledGenerator(nn.Module):
    """Maps latents [B, Z] to two images side by side, [B, H, 2 W, C]. Only the weights of the last layer differ."""

    generator: nn.Module  # to images of 2 C channels

    def __call__(self, z: Array, train: bool = True) -> Array:
        return jnp.concatenate(jnp.split(self.generator(z, train=train), 2, axis=3), axis=2)


class CoupledCritic(nn.Module):
    """Maps two images side by side to logits [2 B], of all left and then all right ones.

    Left images are the first half of the critic's channels and right ones the second, with zeros for the other. So only
    the weights of the first layer differ.
    """

    critic: nn.Module  # of images of 2 C channels

    def __call__(self, x: Array, train: bool = True) -> Array:
        left, right = jnp.split(x, 2, axis=2)
        join_channels = lambda *halves: jnp.concatenate(halves, axis=3)
        both = join_channels(left, jnp.zeros_like(left)), join_channels(jnp.zeros_like(right), right)
        return self.critic(jnp.concatenate(both), train=train)


def correlation(samples: np.ndarray) -> dict[str, float]:
    """Returns the mean correlation of left images with the negatives of right ones, uint8 [N, H, 2 W, C]."""
    left, right = np.split(np.float64(samples), 2, axis=2)
    centred = lambda x: (x - x.mean((1, 2, 3), keepdims=True)).reshape(len(x), -1)
    a, b = centred(left), centred(-right)
    norms = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    return {"correlation": float(((a * b).sum(1) / np.maximum(norms, 1e-9)).mean())}


def unpaired(source: sources.Source) -> sources.Source:
    """Returns a source of images beside the negatives of other images."""

    def batch(data, key, step, index):
        drawn = source.batch(data, key, step, index)
        other = source.batch(data, jax.random.fold_in(key, 1), step, index)["real"]
        return drawn | {"real": jnp.concatenate([drawn["real"], -other], axis=2)}

    windows = sources.constant_window(lambda: sources.in_memory_arrays(source))
    return source._replace(windows=windows, batch=batch)


@dataclasses.dataclass(frozen=True, kw_only=True)
class CoupledConfig(defaults.ImageConfig, gan.Config):
    """CoGAN."""

    g_lr: float = 2e-4
    d_lr: float = 2e-4


@testbeds.register_on(
    "cogan",
    testbeds.on_images(CoupledConfig, DIGITS),
    paper="Liu & Tuzel 2016, arXiv 1606.07536",
    shows="two generators with common layers learn pairs of an image and its negative from unpaired images",
)
def build_coupled(images: ImageSet, config: CoupledConfig) -> Experiment:
    """The real pairs are of different images."""
    height, width, channels = images.target.shape
    target = targets.images(images.target.data, (height, 2 * width, channels), evaluate=correlation, transform=unpaired)
    generator = CoupledGenerator(images.generator(config, channels=2 * channels))
    adam = lambda lr: optax.adam(lr, config.b1, config.b2)
    return dataclasses.replace(images, target=target).two_player(
        config,
        losses.non_saturating,
        adam(config.g_lr),
        adam(config.d_lr),
        networks=(generator, CoupledCritic(images.discriminator(config))),
    )
