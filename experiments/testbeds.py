"""Small games that every objective is tried on: points in the plane, and 8x8 digits by an MLP or by convolutions.

A testbed has the networks, the data and the way to look at the result; a paper's file has the objective, the optimisers
and the settings, and registers itself on all of them as `method/testbed`.
"""

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from PIL import Image

from jaxgan import latents, optim, pictures, registry
from jaxgan.data import synthetic
from jaxgan.data.digits import digits
from jaxgan.data.source import Source, density, images
from jaxgan.evaluate.classifier import class_balance
from jaxgan.evaluate.modes import modes
from jaxgan.game import Network, spec
from jaxgan.losses import Adversarial
from jaxgan.networks import dcgan, mlp
from jaxgan.objectives import Penalty, two_player


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(registry.Config):
    """What the testbeds need of a config."""

    latent: int = 2  # dimensions of z, drawn from N(0, 1)
    width: int = 128  # units of a hidden layer; channels at the largest resolution
    ema_half_life: float = 20_000.0  # images until half of the averaged generator is new
    g_lr: float = 1e-3  # learning rate of the generator
    d_lr: float = 1e-3  # learning rate of the discriminator


@dataclasses.dataclass(frozen=True)
class Testbed:
    """Networks, data, and how to look at samples."""

    name: str
    dataset: str
    cost: str
    shape: tuple[int, ...]  # of an example
    networks: Callable[[Config, bool], tuple[nn.Module, nn.Module]]  # (config, batch norm in D?) -> G, D
    source: Callable[[Config], Source]
    evaluate: Callable[[np.ndarray], Mapping[str, float]]
    picture: Callable[[np.ndarray], Image.Image]
    pictured: int
    defaults: Mapping[str, Any]

    def experiment(
        self,
        config: Config,
        loss: Adversarial,
        g_optimizer: optax.GradientTransformation,
        d_optimizer: optax.GradientTransformation,
        *,
        penalty: Penalty | None = None,
        penalty_every: int = 1,
        n_critic: int = 1,
        norm: bool = False,
    ) -> registry.Experiment:
        """The game of an objective on this testbed."""
        g_module, d_module = self.networks(config, norm)
        generator = Network("generator", g_module, (spec(config.latent),))
        discriminator = Network("discriminator", d_module, (spec(*self.shape),))
        latent = lambda keys: latents.normal(keys, config.latent)
        game = two_player(
            generator,
            discriminator,
            loss,
            latent,
            g_optimizer=g_optimizer,
            d_optimizer=d_optimizer,
            penalty=penalty,
            penalty_every=penalty_every,
            n_critic=n_critic,
            ema=optim.ema_decay(config.ema_half_life, config.batch_size),
        )
        sample = lambda state, keys: generator.bind(state, train=False)(latent(keys))
        return registry.Experiment(game, self.source(config), sample, self.evaluate, self.picture, self.pictured)


class Bed(Protocol):
    """What an objective can be played on: points of the plane, digits, or a set of images."""

    experiment: Callable[..., registry.Experiment]  # as that of `Testbed`


def plane(name: str, made: synthetic.Density, dataset: str, **defaults: Any) -> Testbed:
    """Points of a density in the plane, and networks of two hidden layers."""

    @functools.cache
    def data() -> np.ndarray:
        return np.asarray(jax.vmap(made.draw)(jax.random.split(jax.random.key(0), 20_000)))

    return Testbed(
        name=name,
        dataset=dataset,
        cost="1 min, 2 CPU cores",
        shape=(2,),
        networks=lambda config, norm: (mlp.Generator((2,), config.width, depth=2), mlp.Critic(config.width, depth=2)),
        source=lambda config: density(made.draw),
        evaluate=lambda samples: modes(samples, made.modes, made.std, made.parts),
        picture=lambda samples: pictures.scatter(samples, data()),
        pictured=2_000,
        defaults=defaults,
    )


def _digits(name: str, networks: Callable[[Config, bool], tuple[nn.Module, nn.Module]], **defaults: Any) -> Testbed:
    return Testbed(
        name=name,
        dataset="1,797 handwritten digits, 8x8",
        cost="1 min, 2 CPU cores",
        shape=(8, 8, 1),
        networks=networks,
        source=lambda config: images(digits, config.batch_size),
        evaluate=class_balance,
        picture=pictures.grid,
        pictured=100,
        defaults=defaults,
    )


ALL = (
    plane("ring", synthetic.ring(), "8 Gaussians on a ring"),
    plane("grid", synthetic.grid(), "25 Gaussians on a grid"),
    plane("swiss_roll", synthetic.swiss_roll(), "Swiss roll in the plane"),
    _digits(
        "digits",
        lambda config, norm: (
            mlp.Generator((8, 8, 1), config.width, depth=2, out=jnp.tanh),
            mlp.Critic(config.width, depth=2),
        ),
        steps=15_000,
        batch_size=64,
        latent=32,
        width=256,
    ),
    _digits(
        "digits_conv",
        lambda config, norm: (
            dcgan.Generator(8, width=config.width, base=2),
            dcgan.Discriminator(config.width, base=2, norm=norm),
        ),
        steps=5_000,
        sample_every=1_000,
        evaluate_every=1_000,
        save_every=1_000,
        batch_size=64,
        latent=32,
        width=32,
    ),
)


def on_all(
    method: str, config: type[Config], *, paper: str, shows: str, plane: Mapping[str, Any] | None = None
) -> Callable[[Callable[[Testbed, Any], registry.Experiment]], Callable[[Testbed, Any], registry.Experiment]]:
    """Register `build(bed, config)` as `method/testbed` on every testbed; `plane` has the settings of those in 2-D."""

    def add(build: Callable[[Testbed, Any], registry.Experiment]) -> Callable[[Testbed, Any], registry.Experiment]:
        for bed in ALL:
            fields = {**bed.defaults, **(plane if plane and bed.shape == (2,) else {})}
            put = registry.register(
                f"{method}/{bed.name}", config(**fields), paper=paper, dataset=bed.dataset, shows=shows, cost=bed.cost
            )
            put(functools.partial(build, bed))
        return build

    return add
