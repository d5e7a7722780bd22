"""SpecGAN (Donahue et al. 2019, arXiv 1802.04208): audio by images of its spectrogram.

    python launch.py train specgan/sounds

DCGAN's networks, without batch norm and with kernels of 5 x 5, are trained by WGAN-GP on images of log-magnitudes. Each
frequency is normalised
by its mean and standard deviation in the data, and clipped at three standard deviations. Samples are turned into sound
by Griffin & Lim's algorithm with 16 iterations. Data and settings are those of `wavegan/sounds`.
"""

import dataclasses
import functools
import math

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array

from experiments import wavegan
from experiments.wavegan import DATASET, PAPER
from jaxgan.core import losses, penalties, prng
from jaxgan.data import sources, spectrograms
from jaxgan.data.spectrograms import Normalisation
from jaxgan.data.streams import WindowData
from jaxgan.errors import UserError
from jaxgan.networks import dcgan
from jaxgan.runs import registry
from jaxgan.runs.targets import Target
from jaxgan.training.experiment import Experiment

# As in the authors' code. DCGAN's N(0, 0.02) makes narrow networks without batch norm vanish.
KERNEL, GLOROT = (5, 5), nn.initializers.glorot_uniform()
NORMALISATION_BATCH = 2_048  # sounds whose spectrograms determine the normalisation


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(wavegan.BaseConfig):
    """SpecGAN."""


def target(config: Config) -> Target:
    """Returns the target of `wavegan/sounds` with spectrograms as its examples.

    Raises UserError unless the length is the square of 4 times a power of two.
    """
    bins = math.isqrt(config.length)
    if bins**2 != config.length or bins < 8 or bins & (bins - 1):
        raise UserError(f"length {config.length} must be the square of a power of two: 1024, 4096 or 16384")
    sounds = wavegan.target(config)

    @functools.cache
    def normalisation() -> Normalisation:
        with jax.ensure_compile_time_eval():
            source = sounds.source(NORMALISATION_BATCH)
            data = next(source.windows(jax.random.key(0), 0))
            batch = source.batch(
                WindowData(data.replicated), jax.random.key(0), jnp.int32(0), jnp.arange(NORMALISATION_BATCH)
            )
            return spectrograms.measure_normalisation(np.asarray(batch["real"]), bins)

    def source(batch_size: int) -> sources.Source:
        to_images = lambda batch: batch | {"real": spectrograms.to_images(batch["real"], bins, normalisation())}
        return sources.mapped(sounds.source(batch_size), to_images)

    def decode(images: Array) -> Array:
        return spectrograms.to_sounds(images, normalisation())

    return dataclasses.replace(sounds, shape=(bins, bins, 1), source=source, decode=decode)


@registry.register(
    "specgan/sounds",
    Config(),
    paper=PAPER,
    dataset=DATASET,
    shows="audio from images of spectrograms, with phases by Griffin & Lim",
    task="audio",
    minutes=7,
    test_settings={"length": 64, "width": 2, "latent": 4, "n_critic": 2},
)
def build(config: Config) -> Experiment:
    """WGAN-GP on square spectrograms."""
    adam = optax.adam(config.lr, config.b1, config.b2)
    data = target(config)
    return data.two_player(
        config,
        dcgan.Generator(data.shape[0], 1, config.width, norm=False, kernel=KERNEL, kernel_init=GLOROT),
        dcgan.Discriminator(config.width, norm=False, kernel=KERNEL, kernel_init=GLOROT),
        losses.wasserstein,
        prng.uniform_latent(config.latent),
        g_optimizer=adam,
        d_optimizer=adam,
        penalty=penalties.gradient_penalty,
        penalty_weight=config.penalty,
        n_critic=config.n_critic,
        convolutional=True,
    )
