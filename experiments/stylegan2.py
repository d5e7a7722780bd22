"""StyleGAN2 (Karras et al. 2020, arXiv 1912.04958).

    python launch.py train stylegan2/digits
    python launch.py train stylegan2/mnist
    python launch.py train stylegan2/own --data PATH --size 64 --flip
    python launch.py sample runs/stylegan2/mnist --truncation 0.7
    python launch.py sample runs/stylegan2/mnist --mix-grid 5 8

A mapping network turns latents into styles, which scale the channels of every convolution of the generator. Two
regularisers are phases of their own: R1 every 16 steps, and every 4 steps the path length, which makes equal steps in
style space change images by equal amounts.

`cifar10` has the settings of `--cfg=cifar` in the authors' PyTorch code, and `own` those of `--cfg=auto` on one GPU.
Differences from that code:
- The layers and probabilities of style mixing are drawn for each image and not for each batch.
- Computation is in float32, or in bfloat16 with `--bfloat16`, and not in float16 at the largest resolutions.
- Images are augmented with `--augment ada` alone, and there by default.
- The digits and MNIST have narrower networks, and MNIST's images are cropped from 32 pixels.
"""

import dataclasses
import warnings
from collections.abc import Callable, Sequence
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from experiments import defaults, own_images, testbeds
from experiments.defaults import ImageSet
from experiments.testbeds import CIFAR10, DIGITS, MNIST
from jaxgan.core import axis, losses, optim, penalties, prng
from jaxgan.core.game import Batch, Game, Network, Phase, Scalars, TrainState
from jaxgan.core.games import Latent
from jaxgan.errors import UserError
from jaxgan.networks import stylegan2
from jaxgan.training import memory
from jaxgan.training.experiment import Experiment, setting

PAPER = "Karras et al. 2020, arXiv 1912.04958"
SHOWS = "styles that scale the channels of each layer, lazy R1 and path length, style mixing, truncation"
PATH_DECAY = 0.99  # of the mean path length, per update
MAPS = 16  # a resolution's feature maps in both networks that a step keeps in memory for its gradients
MAX_BASE = 4  # side of the smallest feature map in pixels, as in the paper


@dataclasses.dataclass(frozen=True, kw_only=True)
class StyleConfig(defaults.ImageConfig):
    """Settings of generators with styles."""

    batch_size: int = 32
    latent: int = 512
    styles: int = setting(512, "dimensions of a style")
    depth: int = setting(2, "layers of the mapping network")
    width: int = setting(64, "channels at the full size; doubled each time the size is halved")
    max_width: int = setting(512, "limit of the channels at small sizes")
    group: int = setting(4, "examples in a group of the minibatch standard deviation; must divide the batch size")
    g_lr: float = 0.0025
    gamma: float = setting(0.1, "weight of half the mean squared gradient norm at reals")
    r1_every: int = setting(16, "steps between updates with the gradient penalty")
    ema_half_life: float = 10_000.0
    ema_ramp: float = setting(0.05, "limit of the half-life as a fraction of the images seen")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(StyleConfig):
    """StyleGAN2, sections 2 to 4 and appendix B."""

    depth: int = 8
    residual: bool = setting(True, "residual connections in the discriminator")
    conditional: bool = setting(False, "give both networks the class labels")
    mixing: float = setting(0.9, "probability of style mixing", high=1.0)
    d_lr: float = 0.0025
    path_weight: float = setting(2.0, "weight of the path length regularisation; 0 leaves it out")
    path_every: int = setting(4, "steps between updates with the path length regularisation")


@dataclasses.dataclass(frozen=True, kw_only=True)
class OwnConfig(Config, own_images.OwnImages):
    """StyleGAN2 on a user's images."""

    batch_size: int | None = setting(
        None, "examples per step, over all devices; by default at most 32 and 4096 / size for each, as memory allows"
    )
    depth: int = 2
    width: int | None = setting(None, "channels at the full size; by default 16384 / size, or 32768 / size from 512 on")
    gamma: float | None = setting(None, "weight of the gradient penalty; by default 0.0002 size² / batch_size")
    g_lr: float | None = setting(None, "learning rate of the generator; by default 0.0025, or 0.002 from 1024 on")
    d_lr: float | None = setting(None, "learning rate of the discriminator; by default the same")
    ema_half_life: float | None = setting(
        None, "half-life of the averaged generator, in images; by default 10,000 for batches of 32, and in proportion"
    )

    def resolved(self) -> "OwnConfig":
        """Returns the settings with what is None chosen as in the authors' `--cfg=auto`.

        The batch is smaller where the memory does not hold the feature maps. A warning says so.
        """
        width = self.width or max(1, (16_384 if self.size < 512 else 32_768) // self.size)
        config = dataclasses.replace(self, width=width)
        batch_size = self.batch_size or affordable_batch(config)
        lr = 0.0025 if self.size < 1024 else 0.002
        chosen = {
            "gamma": 0.0002 * self.size**2 / batch_size,
            "g_lr": lr,
            "d_lr": lr,
            "ema_half_life": 10_000 * batch_size / 32,
        }
        missing = {name: value for name, value in chosen.items() if getattr(self, name) is None}
        return dataclasses.replace(config, batch_size=batch_size, **missing)


@dataclasses.dataclass(frozen=True, kw_only=True)
class SampleOptions:
    """How styles become samples."""

    truncation: float = setting(1.0, "psi, the distance of styles from their mean; 0 gives the mean image")
    mix: int = setting(0, "first layer with the styles of a second latent; 0 for none", low=0)


@dataclasses.dataclass(frozen=True, kw_only=True)
class NoiseOptions(SampleOptions):
    """How styles and noise become samples."""

    noise: Literal["random", "const"] = setting("random", "noise of each sample's own, or the same for all")


SMALL = {"batch_size": 32, "latent": 32, "styles": 64, "depth": 2, "width": 32, "max_width": 32}
ON_DIGITS = SMALL | {
    "steps": 12_000,
    "mixing": 0.0,  # With 0.9, as in the paper, samples had 4 of 10 classes after 1,000 steps, and 8 without.
    "gamma": 2.0,
}
# With equal learning rates samples became alike within 1,000 steps, see docs/stylegan.md.
ON_MNIST = {
    "steps": 9_000,
    "sample_every": 400,
    "evaluate_every": 400,
    "save_every": 400,
    "latent": 16,
    "styles": 128,
    "depth": 1,
    "width": 16,
    "max_width": 64,
    "group": 32,
    "mixing": 0.0,
    "g_lr": 0.001,
    "d_lr": 0.002,
    "gamma": 10.0,
    "path_weight": 0.0,
}
ON_CIFAR10 = {
    "steps": 1_562_500,
    "batch_size": 64,
    "width": 512,
    "depth": 2,
    "residual": False,
    "group": 32,
    "mixing": 0.0,
    "gamma": 0.01,
    "path_weight": 0.0,
    "ema_half_life": 500_000.0,
    "flip": True,
}


@testbeds.register_on(
    "stylegan2",
    {
        DIGITS: Config(**DIGITS.defaults | ON_DIGITS),
        MNIST: Config(**MNIST.defaults | ON_MNIST),
        CIFAR10: Config(**CIFAR10.defaults | ON_CIFAR10),
    },
    paper=PAPER,
    shows=SHOWS,
    minutes={DIGITS: 6, MNIST: 20},
    test_settings={"group": 4, "latent": 8, "styles": 8, "width": 4, "max_width": 8},
)
def build(testbed: ImageSet, config: Config) -> Experiment:
    """The non-saturating loss, with the path length as a further phase of the generator."""
    size, _, channels = testbed.target.shape
    if config.conditional and not testbed.classes:
        raise UserError(f"{testbed.dataset} has no classes; leave out --conditional")
    classes = testbed.classes if config.conditional else 0
    base = min(testbed.base, MAX_BASE)
    widths = stylegan2.widths_by_size(size, base, config.width, config.max_width)
    generator = stylegan2.Generator(
        channels, widths, base, config.styles, config.depth, classes=classes, mixing=config.mixing, size=size
    )
    discriminator = stylegan2.Discriminator(widths[::-1], config.residual, config.group, classes, base)
    latent = prng.normal_latent(config.latent)
    experiment = testbed.two_player(
        config,
        losses.non_saturating,
        # The correction does not depend on whether there is a path length, as in the authors' code.
        optim.lazy_adam(config.g_lr, config.path_every),
        optim.lazy_adam(config.d_lr, config.r1_every),
        networks=(generator, discriminator),
        latent=latent,
        conditional=config.conditional,
        noise=True,
        pack=config.group,
        penalty=penalties.r1,
        penalty_weight=config.gamma,
        penalty_every=config.r1_every,
        ema=optim.ema_decay(config.ema_half_life, config.batch_size, config.ema_ramp),
    )
    game = experiment.game
    G, _ = game.networks
    if config.path_weight:
        game = with_path_length(game, G, latent, config.path_weight, config.path_every)
    return dataclasses.replace(experiment, game=game, **samplers(G, generator.num_layers, latent))


@own_images.register_own(
    "stylegan2",
    OwnConfig(steps=100_000, **{name: 10 * steps for name, steps in testbeds.PERIODS.items()}),
    paper=PAPER,
    shows=SHOWS,
)
def build_own(testbed: ImageSet, config: OwnConfig) -> Experiment:
    """Width, batch size and gamma follow from the size, see `OwnConfig.resolved`."""
    return build(testbed, config.resolved())


def affordable_batch(config: OwnConfig) -> int:
    """Returns the authors' batch size for the image size, or fewer examples where the devices lack memory for them.

    It is a multiple of the group of the minibatch standard deviation.
    """
    devices = jax.local_devices()
    authors = min(jax.device_count() * min(32, 4096 // config.size), 64)
    available = memory.device_memory(devices[0])
    if available is None:
        affordable = authors
    else:
        shares_host = devices[0].platform == "cpu"  # Simulated devices share the memory of the machine.
        affordable = available * (1 if shares_host else jax.device_count()) // bytes_per_example(config)
    multiple = lambda n: max(1, n // config.group) * config.group
    if multiple(affordable) < multiple(authors):
        warnings.warn(
            f"batches of {multiple(affordable)} images in place of the authors' {multiple(authors)}, for want of "
            "memory; --batch-size chooses another number",
            stacklevel=2,
        )
    return multiple(min(affordable, authors))


def bytes_per_example(config: OwnConfig) -> int:
    """Returns an estimate of the memory that a step needs for each example: `MAPS` feature maps at each resolution."""
    widths = stylegan2.widths_by_size(config.size, MAX_BASE, config.width, config.max_width)
    floats = sum(width * (MAX_BASE << n) ** 2 for n, width in enumerate(widths))
    return MAPS * floats * (2 if config.bfloat16 else 4)


def with_path_length(game: Game, G: Network, latent: Latent, weight: float, every: int) -> Game:
    """Returns the game with the path length regularisation of Karras et al. 2020, Eq. 4, as a phase `path`.

    It uses every second example of the batch. The moving average of the length is the buffer "path_length".
    """

    def path_loss(state: TrainState, batch: Batch, key: Array) -> tuple[Array, tuple[TrainState, Scalars]]:
        batch = {name: x[::2] for name, x in batch.items()}
        z_key, noise_key, y_key = (prng.example_keys(k, batch["index"]) for k in jax.random.split(key, 3))
        *labels, _ = G.extra_args(batch, key)
        ws, state = G(state, latent(z_key), *labels, noise_key, method="styles")
        synthesise = lambda ws: G(state, ws, noise_key, method="synthesise")[0]
        shape = jax.eval_shape(synthesise, ws).shape
        lengths = penalties.path_lengths(synthesise, ws, prng.normal(y_key, *shape[1:]))
        mean = axis.batch_mean(lengths)
        mean = mean + PATH_DECAY * (state.buffers["path_length"] - mean)
        scalars = {"length": lengths.mean()}
        return every * weight * ((lengths - mean) ** 2).mean(), (state.with_buffers(path_length=mean), scalars)

    phases = (*game.phases, Phase("path", "generator", path_loss, every))
    return dataclasses.replace(game, phases=phases, buffers={**game.buffers, "path_length": np.float32(0.0)})


def samplers(G: Network, num_layers: int, latent: Latent) -> dict[str, Any]:
    """Returns `style_samplers` of G, a generator with noise."""

    def styles(state: TrainState, keys: Array, labels: Sequence[Array], psi: float) -> Array:
        return G.bind(state, train=False)(latent(keys), *labels, keys, method="styles", psi=psi)

    def synthesise(state: TrainState, ws: Array, keys: Array, noise: str = "random") -> Array:
        noise_keys = {"random": keys, "const": jnp.broadcast_to(jax.random.key(0), keys.shape)}[noise]
        return G.bind(state, train=False)(ws, noise_keys, method="synthesise")

    return style_samplers(styles, synthesise, num_layers, NoiseOptions())


def style_samplers(
    styles: Callable[..., Array], synthesise: Callable[..., Array], num_layers: int, options: SampleOptions
) -> dict[str, Any]:
    """Returns `sample`, `interpolate`, `mix` and `sample_options` of an `Experiment` whose generator has styles.

    Args:
        styles: (state, example keys [B], labels, psi) -> the styles of all layers [B, L, W].
        synthesise: (state, styles, example keys, **further options) -> images.
        num_layers: L.
        options: The options of samples, with their defaults.
    """

    def mixed(ws: Array, other: Array, first_layer: int) -> Array:
        return jnp.where((jnp.arange(num_layers) < first_layer)[None, :, None], ws, other)

    def draw(state: TrainState, keys: Array, labels: Sequence[Array], truncation: float, mix: int) -> Array:
        ws = styles(state, keys, labels, truncation)
        if not mix:
            return ws
        return mixed(ws, styles(state, prng.fold_in(keys, stylegan2.SECOND_LATENT), labels, truncation), mix)

    def sample(
        state: TrainState, keys: Array, *labels: Array, truncation: float = 1.0, mix: int = 0, **further: Any
    ) -> Array:
        return synthesise(state, draw(state, keys, labels, truncation, mix), keys, **further)

    def interpolate(
        state: TrainState,
        keys: Array,
        other_keys: Array,
        t: Array,
        *labels: Array,
        truncation: float = 1.0,
        mix: int = 0,
        **further: Any,
    ) -> Array:
        """Linear in the styles, with the noise of the first latent."""
        ws, other = (draw(state, k, labels, truncation, mix) for k in (keys, other_keys))
        return synthesise(state, (1.0 - t) * ws + t * other, keys, **further)

    def mix_styles(
        state: TrainState,
        sources: Sequence[Array],
        style_sources: Sequence[Array],
        truncation: float = 1.0,
        mix: int = 0,
        **further: Any,
    ) -> Array:
        """From layer `mix` on, by default from the middle, with the styles of the second sources."""
        ws, other = (styles(state, keys, labels, truncation) for keys, *labels in (sources, style_sources))
        return synthesise(state, mixed(ws, other, mix or num_layers // 2), sources[0], **further)

    return {"sample": sample, "interpolate": interpolate, "mix": mix_styles, "sample_options": options}
