"""Autoencoders with a discriminator: AAE (1511.05644) and VAE-GAN (1512.09300).

    python launch.py train aae/digits
    python launch.py train vaegan/mnist

AAE: the discriminator compares codes of images with N(0, I), and encoder and decoder also minimise the reconstruction
error. Samples are decoded from N(0, I). VAE-GAN: the reconstruction error of a variational autoencoder is measured in
the features of a discriminator, which judges reals, reconstructions and samples. On the 8x8 digits networks are fully
connected, on other images DCGAN's without batch norm. AAE's discriminator of codes is always fully connected.
"""

import dataclasses

import jax.numpy as jnp
import optax
from jax import Array

from experiments import conditionings, testbeds
from experiments.defaults import ImageSet
from jaxgan.core import games, losses, optim, prng
from jaxgan.core.game import Batch, Game, Network, Phase, Player, TrainState, input_spec
from jaxgan.core.terms import Term, logits_of
from jaxgan.networks import heads, mlp
from jaxgan.training.experiment import Experiment, setting

DIGITS = {"latent": 8, "g_lr": 1e-3, "d_lr": 1e-3}


@dataclasses.dataclass(frozen=True, kw_only=True)
class AAEConfig(conditionings.Config):
    """Adversarial autoencoder."""

    latent: int = setting(16, "dimensions of the code")
    reconstruction: float = setting(10.0, "weight of the mean squared error of reconstructions")


@testbeds.register_on(
    "aae",
    testbeds.on_images(AAEConfig, digits=DIGITS),
    paper="Makhzani et al. 2015, arXiv 1511.05644",
    shows="an autoencoder whose codes a discriminator makes normally distributed",
)
def build_aae(images: ImageSet, config: AAEConfig) -> Experiment:
    """The game's generator is the encoder: its input is an image, and its fakes are codes.

    E and the decoder minimise -E log D(E(x)) + reconstruction * the mean squared error of decoded codes, D minimises
    -E log D(z) - E log(1 - D(E(x))) with z from N(0, I).
    """
    image, code, latent = input_spec(*images.target.shape), input_spec(config.latent), prng.normal_latent(config.latent)
    E = images.network(config, "encoder", images.discriminator(config, heads.Code(config.latent)), image)
    decoder = images.network(config, "generator", images.generator(config, batch_norm=False), code)
    D = Network("discriminator", mlp.Critic(config.width, 2), (code,))
    codes_of_images = Term(
        "reconstruction",
        g=lambda p: config.reconstruction * losses.l2(decoder(p.state, p.fake)[0], p.batch["real"]),
        forward=lambda forward: forward._replace(
            draw=lambda state, batch, key: batch["real"],
            real=lambda state, batch, key: latent(prng.example_keys(key, batch["index"])),
        ),
    )
    game = games.two_player(
        E,
        D,
        losses.non_saturating,
        latent,
        g_optimizer=optax.adam(config.g_lr, config.b1, config.b2),
        d_optimizer=optax.adam(config.d_lr, config.b1, config.b2),
        terms=(codes_of_images,),
        g_networks=(decoder,),
        ema=optim.ema_decay(config.ema_half_life, config.batch_size),
    )
    return images.target.experiment(game, decoder, latent, images.source(config))


@dataclasses.dataclass(frozen=True, kw_only=True)
class VAEGANConfig(conditionings.Config):
    """VAE-GAN."""

    gamma: float = setting(1.0, "weight of the reconstruction in the decoder's loss")


@testbeds.register_on(
    "vaegan",
    testbeds.on_images(VAEGANConfig, digits=DIGITS),
    paper="Larsen et al. 2015, arXiv 1512.09300",
    shows="a variational autoencoder whose reconstruction error is measured in a discriminator's features",
)
def build_vaegan(images: ImageSet, config: VAEGANConfig) -> Experiment:
    """Algorithm 1: three players with a loss each.

    E minimises KL(q(z|x) || N(0, I)) + L, G minimises γ L - L_GAN, and D minimises L_GAN, its cross-entropy on x and on
    both kinds of fakes, G(E(x)) and G(z). L = E ||f(x) - f(G(E(x)))||^2 / 2 is the error in D's last features f.
    """
    image, code, latent = input_spec(*images.target.shape), input_spec(config.latent), prng.normal_latent(config.latent)
    E = images.network(config, "encoder", images.discriminator(config, heads.Code(2 * config.latent)), image)
    G = images.network(config, "generator", images.generator(config, batch_norm=False), code)
    D = images.network(config, "discriminator", images.discriminator(config, heads.Linear()), image)

    def forward(state: TrainState, batch: Batch, key: Array) -> tuple[Array, Array, Array]:
        """Returns the KL divergence from the prior, the error in D's features, and D's loss."""
        keys, outputs = prng.example_keys(key, batch["index"]), D.bind(state)
        mean, log_var = jnp.split(E(state, batch["real"])[0], 2, axis=1)
        kl = 0.5 * (mean**2 + jnp.exp(log_var) - 1.0 - log_var).sum(1).mean()
        z = mean + jnp.exp(0.5 * log_var) * prng.normal(prng.fold_in(keys, 1), config.latent)
        real, copy, fake = outputs(batch["real"]), outputs(G(state, z)[0]), outputs(G(state, latent(keys))[0])
        error = 0.5 * ((real["features"] - copy["features"]) ** 2).sum(1).mean()
        fakes = jnp.concatenate([logits_of(copy), logits_of(fake)])
        return kl, error, losses.non_saturating.d(logits_of(real), fakes)

    def loss(combine):
        def phase_loss(state: TrainState, batch: Batch, key: Array):
            return combine(*forward(state, batch, key)), (state, {})

        return phase_loss

    adam = lambda lr: optax.adam(lr, config.b1, config.b2)
    game = Game(
        networks=(E, G, D),
        players={
            "encoder": Player(("encoder",), adam(config.g_lr)),
            "generator": Player(("generator",), adam(config.g_lr)),
            "discriminator": Player(("discriminator",), adam(config.d_lr)),
        },
        phases=(
            Phase("e", "encoder", loss(lambda kl, error, gan: kl + error)),
            Phase("g", "generator", loss(lambda kl, error, gan: config.gamma * error - gan)),
            Phase("d", "discriminator", loss(lambda kl, error, gan: gan)),
        ),
        ema={"generator": optim.ema_decay(config.ema_half_life, config.batch_size)},
    )
    return images.target.experiment(game, G, latent, images.source(config))
