"""Progressive growing of GANs (Karras et al. 2018, arXiv 1710.10196).

    python launch.py train progan/digits
    python launch.py train progan/mnist
    python launch.py train progan/digits --adain

Training begins with the smallest images. Each further level, with twice the size, has phases of its own: it is faded in
over `fade_steps`, in which its weight grows linearly with the step, and trained for `stable_steps` before the next one.
The loss is that of WGAN-GP with a small penalty of the squared logits at reals. Differences from the paper:
- The optimizers keep their state when a level begins.
- Reals have the resolution of the level, and are not faded between two resolutions.
- Networks of all levels take and give images of the full size, so the penalised gradients are those in its pixels.
- Its images have up to 1,024 pixels; the data sets here have 32, and `own` what `--size` says.

`--adain` takes the generator of StyleGAN (Karras et al. 2019, arXiv 1812.04948), without its loss and style mixing.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax import Array

from experiments import defaults, own_images, testbeds
from experiments.defaults import ImageSet
from experiments.testbeds import CIFAR10, DIGITS, MNIST
from jaxgan.core import games, losses, optim, penalties, prng
from jaxgan.core.game import NOISE_KEY, Game, Network, TrainState
from jaxgan.core.losses import Adversarial
from jaxgan.networks import dcgan, progan, stylegan2
from jaxgan.runs.targets import latent_spec
from jaxgan.training.experiment import Experiment, setting

PAPER = "Karras et al. 2018, arXiv 1710.10196"
SHOWS = "levels of growing size in windows of phases, each faded in; WGAN-GP with equalised learning rates"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(defaults.ImageConfig):
    """ProGAN, section 6 and appendix A."""

    batch_size: int = 16
    latent: int = 512
    width: int = setting(64, "channels at the full size; doubled each time the size is halved")
    max_width: int = setting(512, "limit of the channels at small sizes")
    group: int = setting(4, "examples in a group of the minibatch standard deviation; must divide the batch size")
    adain: bool = setting(False, "StyleGAN's generator: noise, and styles by adaptive instance normalisation")
    fade_steps: int = setting(50_000, "steps over which a level is faded in")
    stable_steps: int = setting(50_000, "steps at each level before the next one begins")
    drift: float = setting(0.001, "weight of the mean squared logit at reals")
    weight: float = setting(10.0, "weight of the gradient penalty")
    g_lr: float = 1e-3
    d_lr: float = 1e-3
    ema_half_life: float = 11_000.0  # a decay of 0.999 per step of 16 images


@dataclasses.dataclass(frozen=True, kw_only=True)
class LevelNetwork(Network):
    """A network at one level, with the weight `fade(step)` against the level below."""

    level: int
    fade: Callable[[Array], Array]

    def __call__(self, state: TrainState, *inputs: Array, train: bool = True, **options: Any) -> tuple[Any, TrainState]:
        """Returns the output at the level, and the state."""
        level = {"level": self.level, "fade": self.fade(state.step)}
        return super().__call__(state, *inputs, train=train, **level, **options)


@dataclasses.dataclass(frozen=True, kw_only=True)
class GrowingNetwork(Network):
    """A network at the level that is trained at the state's step: the last of those that begin before it."""

    levels: tuple[LevelNetwork, ...]
    starts: tuple[int, ...]

    def __call__(self, state: TrainState, *inputs: Array, train: bool = True, **options: Any) -> tuple[Any, TrainState]:
        """Returns the output, and the state."""
        current = (state.step >= jnp.array(self.starts)).sum() - 1
        branches = [lambda *inputs, level=level: level(state, *inputs, train=train)[0] for level in self.levels]
        return jax.lax.switch(current, branches, *inputs), state


def at_levels(network: Network, starts: tuple[int, ...], fade_steps: int) -> tuple[LevelNetwork, ...]:
    """Returns the network at each level. Level n is faded in over `fade_steps` from `starts[n]`, except for level 0."""
    fields = {field.name: getattr(network, field.name) for field in dataclasses.fields(network)}
    fade = lambda step, start: jnp.clip((step - start).astype(jnp.float32) / fade_steps, 0.0, 1.0)
    return tuple(
        LevelNetwork(**fields, level=level, fade=functools.partial(fade, start=start))
        for level, start in enumerate(starts)
    )


def growing(
    G_levels: tuple[LevelNetwork, ...],
    D_levels: tuple[LevelNetwork, ...],
    starts: tuple[int, ...],
    sizes: tuple[int, ...],
    **options: Any,
) -> Game:
    """Returns the two-player game whose phases at each level, with the level's size in their names, follow each other.

    `options` are further arguments of `games.two_player`.
    """
    levels = [games.two_player(G, D, **options) for G, D in zip(G_levels, D_levels, strict=True)]
    ends = (*starts[1:], 2**31 - 1)
    phases = tuple(
        dataclasses.replace(phase, name=f"{phase.name}_{size}", start=start, stop=end)
        for game, size, start, end in zip(levels, sizes, starts, ends, strict=True)
        for phase in game.phases
    )
    return dataclasses.replace(levels[-1], phases=phases)


ON_SMALL = {"latent": 64, "width": 16, "max_width": 32, "batch_size": 32}


@own_images.register_own(
    "progan",
    Config(steps=500_000, **testbeds.PERIODS),
    paper=PAPER,
    shows=SHOWS,
)
@testbeds.register_on(
    "progan",
    {
        DIGITS: Config(**DIGITS.defaults | ON_SMALL | {"steps": 3_000, "fade_steps": 500, "stable_steps": 500}),
        MNIST: Config(
            **MNIST.defaults | ON_SMALL | {"steps": 6_000, "max_width": 64, "fade_steps": 1_000, "stable_steps": 1_000}
        ),
        CIFAR10: Config(**CIFAR10.defaults | {"steps": 750_000, "batch_size": 16, "latent": 512, "width": 128}),
    },
    paper=PAPER,
    shows=SHOWS,
    minutes={DIGITS: 2, MNIST: None},
)
def build(testbed: ImageSet, config: Config) -> Experiment:
    """One pair of phases for each level."""
    size, _, channels = testbed.target.shape
    count = 1 + dcgan.num_halvings(size, testbed.base)
    widths = stylegan2.widths_by_size(size, testbed.base, config.width, config.max_width)
    starts = (0, *(config.stable_steps + n * (config.fade_steps + config.stable_steps) for n in range(count - 1)))
    latent = prng.normal_latent(config.latent)
    make = functools.partial(Network, convolutional=True, dtype=defaults.compute_dtype(config))
    generator, extra_inputs = progan.Generator, ()
    if config.adain:
        generator, extra_inputs = progan.StyleGenerator, (NOISE_KEY,)
    G = make("generator", generator(channels, widths, testbed.base), (latent_spec(latent),), extra_inputs)
    examples = jax.ShapeDtypeStruct((config.group, *testbed.target.shape), jnp.float32)
    D = make("discriminator", progan.Discriminator(widths, config.group), (examples,))
    drift = lambda real, fake: losses.wasserstein.d(real, fake) + config.drift * (real**2).mean()
    G_levels, D_levels = (at_levels(network, starts, config.fade_steps) for network in (G, D))
    game = growing(
        G_levels,
        D_levels,
        starts,
        tuple(testbed.base << n for n in range(count)),
        loss=Adversarial(d=drift, g=losses.wasserstein.g),
        latent=latent,
        g_optimizer=optax.adam(config.g_lr, 0.0, 0.99),
        d_optimizer=optax.adam(config.d_lr, 0.0, 0.99),
        penalty=penalties.gradient_penalty,
        penalty_weight=config.weight,
        augment=defaults.augmentation(config),
        ema=optim.ema_decay(config.ema_half_life, config.batch_size),
    )
    fields = {field.name: getattr(G, field.name) for field in dataclasses.fields(G)}
    current = GrowingNetwork(**fields, levels=G_levels, starts=starts)
    return testbed.target.experiment(game, current, latent, testbed.source(config))
