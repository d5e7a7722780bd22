"""StyleGAN3 (Karras et al. 2021, Alias-free GAN, arXiv 2106.12423), configurations T and R.

    python launch.py train stylegan3/digits
    python launch.py train stylegan3/digits --rotation
    python launch.py train stylegan3/own --data PATH --size 256 --flip
    python launch.py figure stylegan3/eq_t

The generator moves its images with its input, by fractions of a pixel, and with `--rotation` (configuration R) turns
them as well. `eq_t` and `eq_r` in the log measure this in decibels. The discriminator is that of StyleGAN2.

`own` has the settings of `--cfg=stylegan3-t` and `stylegan3-r` in the authors' code, at the batch size of the paper and
with 64 channels at the full size whatever it is (there 32,768 / size).
Differences from that code:
- Kernels and styles are not normalised before demodulation, which undoes it, and activations are not clamped at 256;
  both are for float16.
- Moving averages of the mean style and of magnitudes are updated by both players' phases, with decays for two updates
  in a step; there by the discriminator's alone.
- Configuration R does not blur what the discriminator sees in the first 200,000 images.
- Filters are products with banded matrices.
The 8 x 8 digits have four layers, and margins of 3 pixels.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array

from experiments import own_images, testbeds
from experiments.defaults import ImageSet
from experiments.stylegan2 import MAX_BASE, SMALL, SampleOptions, StyleConfig, style_samplers
from experiments.testbeds import DIGITS
from jaxgan.core import losses, optim, penalties, prng
from jaxgan.core.game import Network, TrainState
from jaxgan.evaluate import equivariance
from jaxgan.networks import stylegan2, stylegan3
from jaxgan.render.outputs import Samples
from jaxgan.training.experiment import Evaluation, Experiment, setting

PAPER = "Karras et al. 2021, arXiv 2106.12423"
SHOWS = "signals of limited frequencies through all layers, so that images move with their input"
LATENTS = 16  # of which equivariance is measured


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(StyleConfig):
    """StyleGAN3, section 3 and appendix G."""

    rotation: bool = setting(False, "configuration R: 1x1 kernels and radial filters, equivariant to rotation as well")
    layers: int = setting(14, "layers of the generator, without the one to an image", low=2)
    critical: int = setting(2, "last layers whose signals fill the sampling rate")
    margin: int = setting(10, "pixels of feature maps beyond each side of the image", low=0)
    first_cutoff: float = setting(2.0, "highest frequency of the input, in cycles per side")
    first_stopband: float = setting(2.0**2.1, "frequency that the first filter removes, in cycles per side")
    width: int = setting(64, "channels at the full size; inversely proportional to the cutoff; doubled by rotation")
    max_width: int = setting(512, "limit of the channels; doubled by rotation")
    d_lr: float = 0.002
    gamma: float = 2.0
    magnitude_half_life: float = setting(20_000.0, "half-life of the mean squares of feature maps, in images")


OWN_PERIODS = {name: 10 * steps for name, steps in testbeds.PERIODS.items()}
ON_DIGITS = SMALL | {"layers": 4, "critical": 1, "margin": 3, "first_cutoff": 1.0, "first_stopband": 2.0}


@own_images.register_own("stylegan3", Config(steps=100_000, **OWN_PERIODS), paper=PAPER, shows=SHOWS)
@testbeds.register_on(
    "stylegan3",
    {DIGITS: Config(**DIGITS.defaults | ON_DIGITS)},
    paper=PAPER,
    shows=SHOWS,
    minutes={DIGITS: 6},
    test_settings={"layers": 2, "width": 4, "max_width": 4, "styles": 8, "latent": 8},
)
def build(testbed: ImageSet, config: Config) -> Experiment:
    """StyleGAN2's game without path length and style mixing."""
    size, _, channels = testbed.target.shape
    scale = 2 if config.rotation else 1
    signals = stylegan3.layer_signals(
        size,
        scale * config.width,
        scale * config.max_width,
        config.layers,
        config.critical,
        config.margin,
        config.first_cutoff,
        config.first_stopband,
    )
    generator = stylegan3.Generator(
        channels,
        signals,
        config.critical,
        config.rotation,
        config.styles,
        config.depth,
        w_decay=0.998**0.5,  # Two updates in a step.
        magnitude_decay=0.5 ** (config.batch_size / (2.0 * config.magnitude_half_life)),
    )
    base = min(testbed.base, MAX_BASE)
    widths = stylegan2.widths_by_size(size, base, config.width, config.max_width)
    discriminator = stylegan2.Discriminator(widths[::-1], group=config.group, base=base)
    latent = prng.normal_latent(config.latent)
    experiment = testbed.two_player(
        config,
        losses.non_saturating,
        optax.adam(config.g_lr, 0.0, 0.99),
        optim.lazy_adam(config.d_lr, config.r1_every),
        networks=(generator, discriminator),
        latent=latent,
        pack=config.group,
        penalty=penalties.r1,
        penalty_weight=config.gamma,
        penalty_every=config.r1_every,
        ema=optim.ema_decay(config.ema_half_life, config.batch_size, config.ema_ramp),
    )
    G, _ = experiment.game.networks

    def styles(state: TrainState, keys: Array, labels: Sequence[Array], psi: float) -> Array:
        return G.bind(state, train=False)(latent(keys), *labels, method="styles", psi=psi)

    def synthesise(state: TrainState, ws: Array, keys: Array) -> Array:
        return G.bind(state, train=False)(ws, method="synthesise")

    experiment = dataclasses.replace(
        experiment, **style_samplers(styles, synthesise, generator.num_layers, SampleOptions())
    )
    return with_equivariance(experiment, G, latent, rotation=config.rotation and size > 2 * equivariance.MARGIN)


def with_equivariance(experiment: Experiment, G: Network, latent: Any, rotation: bool) -> Experiment:
    """Returns the experiment whose evaluation also measures `eq_t`, and with `rotation` `eq_r`, of the averaged G."""

    @jax.jit
    def render(state: TrainState, inverse: Array) -> Array:
        keys = prng.example_keys(jax.random.key(0), jnp.arange(LATENTS))
        ws = G.bind(state, train=False)(latent(keys), method="styles")
        return G.bind(state, train=False)(ws, inverse, method="synthesise")

    def evaluate(samples: Samples, state: TrainState) -> Evaluation:
        result = experiment.evaluate(samples, state) if experiment.evaluate else Evaluation({})
        move = lambda inverse: render(state.with_ema(), np.float32(inverse))
        measures = {"eq_t": equivariance.eq_t} | ({"eq_r": equivariance.eq_r} if rotation else {})
        values = {name: measure(move) for name, measure in measures.items()}
        protocol = {"evaluator": "PSNR of moved images in dB", "n_fake": LATENTS}
        return Evaluation({**result.values, **values}, {**result.protocols, **dict.fromkeys(values, protocol)})

    return dataclasses.replace(experiment, evaluate=evaluate)
