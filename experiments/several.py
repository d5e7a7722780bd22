"""Several generators or discriminators: MGAN (1708.02556), D2GAN (1709.03831) and CoGAN (1606.07536).

    python launch.py train mgan/ring
    python launch.py train d2gan/ring
    python launch.py train cogan/digits

They are networks with several parts in a game of two players. MGAN: the generators share all layers but the first, and
a head of the discriminator predicts which of them made a sample. D2GAN: the second discriminator rewards samples of the
generator, the first one the data. CoGAN: one latent gives a digit and, from shared first layers, the same digit in
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
from experiments.defaults import DenseImageSet, Testbed
from experiments.testbeds import DENSE_DIGITS, RING
from jaxgan.core import conditioning, losses, prng
from jaxgan.core.terms import Term
from jaxgan.data import sources
from jaxgan.data.digits import digits
from jaxgan.networks import heads, mlp
from jaxgan.networks.heads import Outputs
from jaxgan.runs import targets
from jaxgan.training.experiment import Experiment, setting

GENERATORS = 8


@dataclasses.dataclass(frozen=True, kw_only=True)
class MixtureConfig(gan.Config):
    """MGAN."""

    g_lr: float = 1e-3
    d_lr: float = 1e-3
    diversity: float = setting(0.125, "weight of the classification error in the generators' loss, beta")


def classified_generators(weight: float, noise: int) -> Term:
    """Returns the error of the head "generator_logits" on fakes, which D's classifier and, with a weight, G minimise.

    z [B, (noise + 1) * GENERATORS] holds (noise, 1) in the place of its generator, and zeros.
    """

    def error(p):
        index = jnp.abs(p.z).reshape(len(p.z), GENERATORS, noise + 1).sum(2).argmax(1)
        return conditioning.cross_entropy(p.fake_out["generator_logits"], index)

    return Term("generator", d=error, g=lambda p: weight * error(p))


@testbeds.register_on(
    "mgan",
    {RING: MixtureConfig()},
    paper="Hoang et al. 2017, arXiv 1708.02556",
    shows="a mixture of generators that a classifier must be able to tell apart: each covers other modes",
)
def build_mixture(testbed: Testbed, config: MixtureConfig) -> Experiment:
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
        networks=(mlp.Generator((2,), config.width, 2), mlp.Critic(config.width, 2, head=head)),
        latent=latent,
        terms=(classified_generators(config.diversity, config.latent),),
    )


class TwoCritics(nn.Module):
    """Maps examples to "logits" and "second" of two critics without common layers."""

    width: int

    @nn.compact
    def __call__(self, x: Array, train: bool = True) -> Outputs:
        return {name: mlp.Critic(self.width, 2, name=name)(x) for name in ("logits", "second")}


def dual(alpha: float, beta: float) -> Term:
    """Returns the loss of D2GAN, Eq. 1, with positive scores D1, D2 = softplus of the two critics.

    min_G max_{D1, D2} α E log D1(x) - E D1(G(z)) - E D2(x) + β E log D2(G(z)).
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


@testbeds.register_on(
    "d2gan",
    {RING: DualConfig()},
    paper="Nguyen et al. 2017, arXiv 1709.03831",
    shows="two discriminators, which estimate both KL divergences: no mode is missed",
)
def build_dual(testbed: Testbed, config: DualConfig) -> Experiment:
    """Both discriminators are one network and one player."""
    adam = lambda lr: optax.adam(lr, config.b1, config.b2)
    networks = mlp.Generator((2,), config.width, 2), TwoCritics(config.width)
    loss = dual(config.alpha, config.beta)
    return testbed.two_player(config, loss, adam(config.g_lr), adam(config.d_lr), networks=networks)


class CoupledGenerator(nn.Module):
    """Maps latents [B, Z] to two images side by side, [B, H, 2 W, C]; only the last layers differ."""

    shape: tuple[int, int, int]
    width: int

    @nn.compact
    def __call__(self, z: Array, train: bool = True) -> Array:
        shared = mlp.Generator((self.width,), self.width, depth=1, out=nn.relu)(z)
        image = lambda: mlp.Generator(self.shape, self.width, depth=1, out=jnp.tanh)(shared)
        return jnp.concatenate([image(), image()], axis=2)


class CoupledCritic(nn.Module):
    """Maps two images side by side to logits [2 B], of all left and then all right ones; the last layers are shared."""

    width: int

    @nn.compact
    def __call__(self, x: Array, train: bool = True) -> Array:
        features = [
            mlp.Generator((self.width,), self.width, depth=0)(half.reshape(len(x), -1))
            for half in jnp.split(x, 2, axis=2)
        ]
        return mlp.Critic(self.width, depth=1)(nn.relu(jnp.concatenate(features)))


def correlation(samples: np.ndarray) -> dict[str, float]:
    """Returns the mean correlation of left images with the negatives of right ones, uint8 [N, H, 2 W, C]."""
    left, right = np.split(np.float64(samples).reshape(*samples.shape[:3]), 2, axis=2)
    flat = lambda x: (x - x.mean((1, 2), keepdims=True)).reshape(len(x), -1)
    a, b = flat(left), flat(-right)
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

    g_lr: float = 1e-3
    d_lr: float = 1e-3


@testbeds.register_on(
    "cogan",
    {DENSE_DIGITS: CoupledConfig(**DENSE_DIGITS.defaults)},
    paper="Liu & Tuzel 2016, arXiv 1606.07536",
    shows="two generators with common first layers learn pairs of a digit and its negative from unpaired images",
)
def build_coupled(images: DenseImageSet, config: CoupledConfig) -> Experiment:
    """The real pairs are of different digits."""
    height, width, channels = images.target.shape
    target = targets.images(
        lambda split: digits(), (height, 2 * width, channels), evaluate=correlation, transform=unpaired
    )
    adam = lambda lr: optax.adam(lr, config.b1, config.b2)
    return target.two_player(
        config,
        CoupledGenerator(images.target.shape, config.width),
        CoupledCritic(config.width),
        losses.non_saturating,
        prng.normal_latent(config.latent),
        g_optimizer=adam(config.g_lr),
        d_optimizer=adam(config.d_lr),
    )
