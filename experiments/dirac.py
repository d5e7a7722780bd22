"""Which Training Methods for GANs do actually Converge? (Mescheder et al. 2018, arXiv 1801.04406): the Dirac-GAN.

    python launch.py train minimax/dirac

All data are 0, the generator is one number theta, and the discriminator is D(x) = psi x. Both players take gradient
steps of size h, one after the other. The equilibrium is theta = psi = 0. Whether training reaches it depends on the
objective (section 2). The settings are those of the authors' notebook.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array

from jaxgan.core import losses, optim, penalties, prng
from jaxgan.core.game import Game, Network, Phase, TrainState, init_state, input_spec
from jaxgan.core.games import two_player
from jaxgan.core.losses import AdversarialLoss
from jaxgan.core.update import make_update
from jaxgan.data.synthetic import Density
from jaxgan.runs import registry, targets
from jaxgan.training import experiment
from jaxgan.training.experiment import Experiment, setting

PAPER = "Mescheder et al. 2018, arXiv 1801.04406"
H = 0.2  # step size of both players


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(experiment.Config):
    """The Dirac-GAN. All examples of a batch are equal."""

    steps: int = 500
    batch_size: int = 8
    log_every: int = 10
    sample_every: int = 100
    evaluate_every: int = 10
    save_every: int = 100
    h: float = setting(H, "step size of both players")


@dataclasses.dataclass(frozen=True, kw_only=True)
class ClippedConfig(Config):
    """With weight clipping."""

    clip: float = setting(1.0, "largest absolute value of psi")


@dataclasses.dataclass(frozen=True, kw_only=True)
class GradientPenaltyConfig(Config):
    """With WGAN-GP's penalty."""

    penalty: float = setting(0.7, "weight of the gradient penalty")
    target: float = setting(1.0, "gradient norm that the penalty asks for")


@dataclasses.dataclass(frozen=True, kw_only=True)
class ZeroCentredConfig(Config):
    """With R1 and R2."""

    gamma: float = setting(0.3, "weight of half the squared gradient norms at reals and at fakes")


class Generator(nn.Module):
    """Noise z [B, 1] to samples theta + z [B, 1]. Theta is initialised to 1."""

    @nn.compact
    def __call__(self, z: Array, train: bool = True) -> Array:
        return self.param("theta", nn.initializers.ones, (1,), z.dtype)[None] + z


class Discriminator(nn.Module):
    """Samples x [B, 1] to logits psi x [B]. Psi is initialised to 1."""

    @nn.compact
    def __call__(self, x: Array, train: bool = True) -> Array:
        return x @ self.param("psi", nn.initializers.ones, (1,), x.dtype)


GENERATOR = Network("generator", Generator(), (input_spec(1),))
DISCRIMINATOR = Network("discriminator", Discriminator(), (input_spec(1),))


def noise(std: float, keys: Array) -> Array:
    """Returns instance noise N(0, std^2), [B, 1], which is added to data and samples alike. Zeros if std is 0."""
    return std * prng.normal(keys, 1) if std else jnp.zeros([len(keys), 1])


def make_game(
    loss: AdversarialLoss, h: float = H, *, clip: float | None = None, std: float = 0.0, **options: Any
) -> Game:
    """Returns the game of gradient descent from theta = psi = 1.

    Args:
        loss: What the players minimise.
        h: Step size of both players.
        clip: Largest absolute value of psi, or None.
        std: Standard deviation of instance noise on samples.
        **options: Further arguments of `games.two_player`, such as `penalty`.
    """
    return two_player(
        GENERATOR,
        DISCRIMINATOR,
        loss,
        functools.partial(noise, std),
        g_optimizer=optax.sgd(h),
        d_optimizer=optax.chain(optax.sgd(h), optax.identity() if clip is None else optim.clip_weights(clip)),
        **options,
    )


def simulate(game: Game, start: Array, steps: int, *, std: float = 0.0, batch_size: int = 1, seed: int = 0) -> Array:
    """Returns the path [steps + 1, 2] of (theta, psi) from `start` [2]. A step is one update of the generator.

    Args:
        game: From `make_game`.
        start: Initial theta and psi.
        steps: Number of generator updates.
        std: Standard deviation of instance noise on data.
        batch_size: Examples per update. One is enough without noise, because all examples are then equal.
        seed: Seed of the noise.
    """
    update = make_update(game)
    data_key, noise_key = jax.random.split(jax.random.key(seed))
    (n_critic,) = (phase.every for phase in game.phases if phase.player == "generator")

    def update_once(due: tuple[Phase, ...], state: TrainState) -> TrainState:
        keys = prng.example_keys(jax.random.fold_in(data_key, state.step), jnp.arange(batch_size))
        return update(due, state, {"real": noise(std, keys), "index": jnp.arange(batch_size)}, noise_key)[0]

    def step(state: TrainState, _: None) -> tuple[TrainState, Array]:
        if n_critic > 1:
            d_only = game.due_phases(0)
            state = jax.lax.fori_loop(0, n_critic - 1, lambda _, state: update_once(d_only, state), state)
        state = update_once(game.due_phases(n_critic - 1), state)
        return state, jnp.concatenate([state.params["generator"]["theta"], state.params["discriminator"]["psi"]])

    state = init_state(game, jax.random.key(0)).with_params(
        generator={"theta": start[:1]}, discriminator={"psi": start[1:]}
    )
    return jnp.concatenate([start[None], jax.lax.scan(step, state, length=steps)[1]])


def jacobian(step: Callable[[Array], Array]) -> np.ndarray:
    """Returns the derivative [2, 2] of `step`, from one (theta, psi) to the next, at the equilibrium, in float64."""
    with jax.enable_x64(True):
        return np.asarray(jax.jit(jax.jacfwd(step))(jnp.zeros(2)))


def final_radius(path: np.ndarray) -> np.ndarray:
    """Returns the mean distance to the equilibrium over the last 100 steps of paths [..., T, 2]."""
    return np.linalg.norm(np.float64(path[..., -100:, :]), axis=-1).mean(-1)


ZERO = Density(lambda key: jnp.zeros([1]), std=0.0, modes=np.zeros([1, 1], np.float32), num_modes=1)
TARGET = targets.density(ZERO, evaluate=lambda samples: {"distance": float(np.abs(samples).mean())}, limits=(-2.0, 2.0))

register = functools.partial(registry.register, paper=PAPER, dataset="a point mass at 0", task="2-D", minutes=0.05)


def build(loss: AdversarialLoss, config: Config, **options: Any) -> Experiment:
    """Alternating gradient descent; `options` go to `make_game`."""
    game = make_game(loss, config.h, **options)
    return TARGET.experiment(game, GENERATOR, functools.partial(noise, 0.0), TARGET.source(config.batch_size))


@register("minimax/dirac", Config(), shows="circles around the equilibrium and never arrives")
def minimax(config: Config) -> Experiment:
    """The saturating GAN."""
    return build(losses.minimax, config)


@register("non_saturating/dirac", Config(), shows="spirals into the equilibrium, ever more slowly")
def non_saturating(config: Config) -> Experiment:
    """The non-saturating GAN."""
    return build(losses.non_saturating, config)


@register("wgan/dirac", ClippedConfig(), shows="with weight clipping, still circles around the equilibrium")
def wgan(config: ClippedConfig) -> Experiment:
    """WGAN."""
    return build(losses.wasserstein, config, clip=config.clip)


@register("wgan_gp/dirac", GradientPenaltyConfig(), shows="the 1-centred penalty does not converge either")
def wgan_gp(config: GradientPenaltyConfig) -> Experiment:
    """WGAN-GP."""
    penalty = functools.partial(penalties.gradient_penalty, target=config.target)
    return build(losses.wasserstein, config, penalty=penalty, penalty_weight=config.penalty)


@register("r3gan/dirac", ZeroCentredConfig(), shows="the 0-centred penalties converge exponentially")
def r3gan(config: ZeroCentredConfig) -> Experiment:
    """The relativistic loss with R1 and R2."""
    return build(losses.relativistic, config, penalty=penalties.r1_r2, penalty_weight=config.gamma)
