"""InfoGAN on images (Chen et al. 2016, arXiv 1606.03657, section 7.2).

    python launch.py train infogan/digits
    python launch.py train infogan/mnist

The generator's input is noise, a code of one of ten classes, and two codes from U(-1, 1). Q shares its first layers
with the discriminator and is trained in the discriminator's phase, as in the authors' code. The bound of the mutual
information of the continuous codes is that of a Gaussian with standard deviation 1, without its constants. With
`--info 0` Q is trained as well, but the generator ignores it: the paper's baseline. On MNIST settings and discriminator
are the paper's, except for the slope of leaky ReLU, which is 0.2; the generator is DCGAN's. The 8x8 digits have fully
connected networks with spectral norm, and a linear Q.
"""

import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from jax import Array

from experiments import conditionings, testbeds
from experiments.defaults import ImageSet
from experiments.infogan import PAPER, information_bound
from experiments.testbeds import CIFAR10, DENSE_DIGITS, MNIST
from jaxgan.core import losses, prng
from jaxgan.core.terms import Pass, Term
from jaxgan.networks import heads
from jaxgan.networks.heads import Outputs
from jaxgan.networks.layers import batch_norm, leaky_relu
from jaxgan.training.experiment import Experiment, setting

CLASSES, CONTINUOUS = 10, 2


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(conditionings.Config):
    """InfoGAN, appendix C.1."""

    batch_size: int = 128
    latent: int = setting(62, "dimensions of the noise, besides 12 of the codes")
    g_lr: float = 1e-3
    info: float = setting(1.0, "weight of the information in the generator's loss")


class Codes(nn.Module):
    """A head that returns "logits", and Q's "code_logits" [B, CLASSES] and "code_means" [B, CONTINUOUS] (appendix C.1).

    D and Q share a hidden layer, and Q has one of an eighth of its units.
    """

    width: int = 1_024  # units of the shared layer

    @nn.compact
    def __call__(self, features: Array, labels: Array | None = None, train: bool = True) -> Outputs:
        hidden = lambda x, units: leaky_relu(batch_norm(train)(nn.Dense(units, use_bias=False)(x)))
        shared = hidden(features, self.width)
        code = hidden(shared, max(1, self.width // 8))
        linear = {"code_logits": nn.Dense(CLASSES)(code), "code_means": nn.Dense(CONTINUOUS)(code)}
        return {"logits": nn.Dense(1)(shared)[:, 0], **linear}


def draw(keys: Array, noise: int) -> Array:
    """Returns noise, one-hot class and continuous codes, [B, noise + CLASSES + CONTINUOUS]."""
    uniform = prng.uniform(keys, noise + CONTINUOUS, minval=-1.0)
    classes = jax.vmap(lambda key: jax.random.randint(key, (), 0, CLASSES))(prng.fold_in(keys, 1))
    return jnp.concatenate([uniform[:, :noise], jax.nn.one_hot(classes, CLASSES), uniform[:, noise:]], axis=1)


def information(g_weight: float) -> Term:
    """Returns minus the information about the codes of the fakes, for the discriminator with weight 1 (Eq. 6).

    Head: `Codes`, or `Linear` with "code_logits" and "code_means".
    """

    def bound(p: Pass) -> Array:
        one_hot, continuous = jnp.split(p.z[:, -CLASSES - CONTINUOUS :], [CLASSES], axis=1)
        error = 0.5 * ((p.fake_out["code_means"] - continuous) ** 2).sum(1).mean()
        return information_bound(p.fake_out["code_logits"], one_hot.argmax(1)) - error

    return Term("minus_information", d=lambda p: -bound(p), g=lambda p: -g_weight * bound(p))


def game(images: ImageSet, config: Config, discriminator: nn.Module) -> Experiment:
    """Returns the experiment with Q in the head of the discriminator."""
    adam = lambda lr: optax.adam(lr, config.b1, config.b2)
    return images.two_player(
        config,
        losses.non_saturating,
        adam(config.g_lr),
        adam(config.d_lr),
        networks=(images.generator(config), discriminator),
        latent=lambda keys: draw(keys, config.latent),
        terms=(information(config.info),),
    )


SHOWS = "codes that can be predicted from the sample: classes, and continuous factors such as slant, without labels"


@testbeds.register_on("infogan", {DENSE_DIGITS: Config(**DENSE_DIGITS.defaults)}, paper=PAPER, shows=SHOWS)
def build(images: ImageSet, config: Config) -> Experiment:
    """The discriminator has spectral norm, and Q is a linear function of its features."""
    head = heads.Linear((("code_logits", CLASSES), ("code_means", CONTINUOUS)))
    return game(images, config, images.discriminator(config, head, spectral=1))


CONFIGS = {MNIST: Config(**MNIST.defaults | {"steps": 5_000}), CIFAR10: Config(**CIFAR10.defaults)}


@testbeds.register_on("infogan", CONFIGS, paper=PAPER, shows=SHOWS)
def build_convolutional(images: ImageSet, config: Config) -> Experiment:
    """The discriminator has batch norm, and a head with hidden layers."""
    return game(images, config, images.discriminator(config, Codes(16 * config.width), batch_norm=True))
