"""Discriminators that are autoencoders: EBGAN (1609.03126) and BEGAN (1703.10717).

    python launch.py train ebgan/digits
    python launch.py train began/mnist

The discriminator's value of an image is the error of its reconstruction. On the 8x8 digits the networks are fully
connected; on other images the encoder is DCGAN's discriminator, and the decoder its generator without batch norm.
"""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array

from experiments import conditionings, testbeds
from experiments.defaults import ImageSet
from jaxgan.core import axis, losses
from jaxgan.core.terms import Pass, Term
from jaxgan.networks import heads
from jaxgan.networks.autoencoder import AutoencoderCritic
from jaxgan.training.experiment import Experiment, setting


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(conditionings.Config):
    """Autoencoders as discriminators."""

    code: int = setting(16, "dimensions of the autoencoder's code")
    margin: float = setting(0.5, "EBGAN's margin m of the mean squared error of fakes")
    repel: float = setting(0.1, "EBGAN's weight of the repelling regulariser")
    gamma: float = setting(0.5, "BEGAN's ratio of the errors of fakes and reals")
    k_rate: float = setting(1e-3, "BEGAN's step size of k")


def margin_loss(margin: float) -> losses.Adversarial:
    """Returns EBGAN's loss of energies E = -logits (Eqs. 1 and 2).

    D minimises E(x) + max(0, m - E(G(z))), G minimises E(G(z)). In the paper E(x) is the norm of the reconstruction's
    error, ||Dec(Enc(x)) - x|| (section 2.3); here it is the mean squared error, which m is measured in.
    """
    return losses.Adversarial(
        d=lambda real_logits, fake_logits: -real_logits.mean() + jax.nn.relu(margin + fake_logits).mean(),
        g=lambda fake_logits: -fake_logits.mean(),
    )


def repelling(weight: float) -> Term:
    """Returns weight / (N (N - 1)) Σ_i Σ_{j != i} (S_i'S_j / (||S_i|| ||S_j||))^2 for G (EBGAN, section 2.4).

    S_i are the codes of the N fakes on all devices: it is the mean squared cosine of different ones.
    """

    def g(p: Pass) -> Array:
        unit = lambda x: x / jnp.sqrt((x**2).sum(1, keepdims=True) + 1e-12)
        codes = unit(p.fake_out["code"])
        cosines = codes @ axis.all_gather(codes).T
        n = cosines.shape[1]
        return weight * ((cosines**2).sum(1) - 1.0).mean() / (n - 1)

    return Term("repelling", g=g)


def balanced(gamma: float, rate: float) -> Term:
    """Returns BEGAN's loss of errors L = -logits, section 3.3.

    D minimises L(x) - k L(G(z)), G minimises L(G(z)), and k <- k + rate (γ L(x) - L(G(z))), kept in [0, 1].
    "began_measure" is the paper's measure of convergence, L(x) + |γ L(x) - L(G(z))|. In the paper k follows the fakes
    of the generator's batch, here those of the discriminator's.
    """

    def update(p: Pass) -> dict[str, Array]:
        real, fake = -axis.batch_mean(p.real_logits), -axis.batch_mean(p.fake_logits)
        balance = gamma * real - fake
        return {"k": jnp.clip(p.buffer["k"] + rate * balance, 0.0, 1.0), "measure": real + jnp.abs(balance)}

    return Term(
        "began",
        d=lambda p: -p.real_logits.mean() + p.buffer["k"] * p.fake_logits.mean(),
        g=lambda p: -p.fake_logits.mean(),
        buffer={"k": np.float32(0), "measure": np.float32(0)},
        update=update,
    )


def build(power: int, images: ImageSet, config: Config) -> Experiment:
    """Squared errors give EBGAN, absolute errors BEGAN."""
    adam = lambda lr: optax.adam(lr, config.b1, config.b2)
    encoder = images.discriminator(config, heads.Code(config.code))
    critic = AutoencoderCritic(encoder, images.generator(config, batch_norm=False), power)
    ebgan = power == 2
    return images.two_player(
        config,
        margin_loss(config.margin) if ebgan else balanced(config.gamma, config.k_rate),
        adam(config.g_lr),
        adam(config.d_lr),
        networks=(images.generator(config), critic),
        terms=(repelling(config.repel),) if ebgan else (),
    )


CONFIGS = testbeds.on_images(Config, digits={"g_lr": 1e-3, "d_lr": 1e-3})
for _name, _power, _paper, _shows in (
    ("ebgan", 2, "Zhao et al. 2016, arXiv 1609.03126", "a discriminator that is an autoencoder, with a margin"),
    ("began", 1, "Berthelot et al. 2017, arXiv 1703.10717", "a balance between the errors of reals and fakes"),
):
    testbeds.register_on(_name, CONFIGS, paper=_paper, shows=_shows)(functools.partial(build, _power))
