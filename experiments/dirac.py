"""Which Training Methods for GANs do actually Converge? (Mescheder et al. 2018, arXiv 1801.04406): the Dirac-GAN.

    python launch.py train minimax/dirac

The data are all zero, the generator is one number theta, the discriminator D(x) = psi x; both players descend with
steps of size h, in turn. The equilibrium is theta = psi = 0, and it depends on the objective whether it is reached
(section 2; settings of the authors' notebook).
"""

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array

from jaxgan import latents, losses, optim, penalties, pictures
from jaxgan.data.source import density
from jaxgan.game import Game, Network, Phase, TrainState, init, spec
from jaxgan.objectives import Penalty, two_player
from jaxgan.registry import Config, Experiment, register
from jaxgan.update import make_update

PAPER = "Mescheder et al. 2018, arXiv 1801.04406"
H = 0.2  # step size of both players


@dataclasses.dataclass(frozen=True, kw_only=True)
class Dirac(Config):
    """The Dirac-GAN."""

    steps: int = 500  # moves of the discriminator
    batch_size: int = 8  # examples a step, over all devices; all alike
    log_every: int = 10  # steps
    sample_every: int = 100  # steps, a multiple of log_every
    evaluate_every: int = 10  # steps, a multiple of log_every
    save_every: int = 100  # steps, a multiple of log_every
    h: float = H  # step size of both players


@dataclasses.dataclass(frozen=True, kw_only=True)
class Clipped(Dirac):
    """With weight clipping."""

    clip: float = 1.0  # largest size of psi


@dataclasses.dataclass(frozen=True, kw_only=True)
class OneCentred(Dirac):
    """With WGAN-GP's penalty."""

    penalty: float = 0.7  # weight of the penalty
    target: float = 1.0  # the gradient norm it asks for


@dataclasses.dataclass(frozen=True, kw_only=True)
class ZeroCentred(Dirac):
    """With R1 and R2."""

    gamma: float = 0.3  # weight of half the squared gradient norms


class Point(nn.Module):
    """The generator: samples [B, 1] are theta, which starts at 1, moved by the noise z [B, 1]."""

    @nn.compact
    def __call__(self, z: Array, train: bool = True) -> Array:
        return self.param("theta", nn.initializers.ones, (1,), z.dtype)[None] + z


class Slope(nn.Module):
    """The discriminator: psi x, logits [B]; psi starts at 1."""

    @nn.compact
    def __call__(self, x: Array, train: bool = True) -> Array:
        return x @ self.param("psi", nn.initializers.ones, (1,), x.dtype)


GENERATOR = Network("generator", Point(), (spec(1),))
DISCRIMINATOR = Network("discriminator", Slope(), (spec(1),))


def noise(std: float, keys: Array) -> Array:
    """What moves data and samples alike, [B, 1]: instance noise N(0, std²), or nothing."""
    return std * latents.normal(keys, 1) if std else jnp.zeros([len(keys), 1])


def make_game(
    loss: losses.Adversarial,
    h: float = H,
    *,
    penalty: Penalty | None = None,
    clip: float | None = None,
    std: float = 0.0,
    **options: Any,
) -> Game:
    """The Dirac-GAN: gradient descent from (1, 1) with steps of size h. `options` go to `two_player`."""
    return two_player(
        GENERATOR,
        DISCRIMINATOR,
        loss,
        functools.partial(noise, std),
        g_optimizer=optax.sgd(h),
        d_optimizer=optax.chain(optax.sgd(h), optax.identity() if clip is None else optim.clip_weights(clip)),
        penalty=penalty,
        **options,
    )


def play(game: Game, start: Array, steps: int, *, std: float = 0.0, draws: int = 1, seed: int = 0) -> Array:
    """The path [steps + 1, 2] of (theta, psi) from `start` [2]; a step has one move of the generator.

    With instance noise of `std` a batch is `draws` examples; without, all examples are alike.
    """
    update = make_update(game)
    data_key, noise_key = jax.random.split(jax.random.key(seed))
    (every,) = (phase.every for phase in game.phases if phase.player == "generator")

    def move(due: tuple[Phase, ...], state: TrainState) -> TrainState:
        keys = latents.each(jax.random.fold_in(data_key, state.step), jnp.arange(draws))
        return update(due, state, {"real": noise(std, keys), "index": jnp.arange(draws)}, noise_key)[0]

    def step(state: TrainState, _: None) -> tuple[TrainState, Array]:
        if every > 1:
            state = jax.lax.fori_loop(0, every - 1, lambda _, state: move(game.due(0), state), state)
        state = move(game.due(every - 1), state)
        return state, jnp.concatenate([state.params["generator"]["theta"], state.params["discriminator"]["psi"]])

    state = init(game, jax.random.key(0)).using(generator={"theta": start[:1]}, discriminator={"psi": start[1:]})
    return jnp.concatenate([start[None], jax.lax.scan(step, state, length=steps)[1]])


def jacobian(step: Callable[[Array], Array]) -> np.ndarray:
    """The derivative [2, 2] at the equilibrium of a step from (theta, psi) to the next, in float64."""
    with jax.enable_x64(True):
        return np.asarray(jax.jit(jax.jacfwd(step))(jnp.zeros(2)))


def radius(path: np.ndarray) -> np.ndarray:
    """Mean distance to the equilibrium over the last 100 steps of paths [..., T, 2]."""
    return np.linalg.norm(np.float64(path[..., -100:, :]), axis=-1).mean(-1)


def zero_centred(side: str, gamma: float | Array) -> Penalty:
    """R1, at reals, or R2, at fakes, weighted by the paper's gamma."""
    if side == "real":
        return lambda critic, real, fake, key: gamma * penalties.r1(critic, real)
    return lambda critic, real, fake, key: gamma * penalties.r2(critic, fake)


def build(
    loss: losses.Adversarial, config: Dirac, penalty: Penalty | None = None, clip: float | None = None
) -> Experiment:
    """Alternating gradient descent from (1, 1)."""

    def evaluate(samples: np.ndarray) -> Mapping[str, float]:
        return {"distance": float(np.abs(samples).mean())}

    game, data = make_game(loss, config.h, penalty=penalty, clip=clip), np.zeros([1_000, 1])
    picture = lambda samples: pictures.line(samples, data, limits=(-2.0, 2.0))
    sample = lambda state, keys: GENERATOR.bind(state, train=False)(noise(0.0, keys))
    return Experiment(game, density(lambda key: jnp.zeros([1])), sample, evaluate, picture)


def clipped(config: Clipped) -> Experiment:
    """WGAN."""
    return build(losses.wasserstein, config, clip=config.clip)


def one_centred(config: OneCentred) -> Experiment:
    """WGAN-GP."""

    def penalty(critic: penalties.Critic, real: Array, fake: Array, key: Array) -> Array:
        return config.penalty * penalties.gradient_penalty(critic, real, fake, key, config.target)

    return build(losses.wasserstein, config, penalty)


def both_centred(config: ZeroCentred) -> Experiment:
    """RpGAN + R1 + R2."""

    def penalty(critic: penalties.Critic, real: Array, fake: Array, key: Array) -> Array:
        return config.gamma * (penalties.r1(critic, real) + penalties.r2(critic, fake))

    return build(losses.relativistic, config, penalty)


for name, config, make, shows in (
    ("minimax", Dirac(), functools.partial(build, losses.minimax), "circles the equilibrium and never arrives"),
    ("non_saturating", Dirac(), functools.partial(build, losses.non_saturating), "spirals in, ever more slowly"),
    ("wgan", Clipped(), clipped, "clipped, it circles still"),
    ("wgan_gp", OneCentred(), one_centred, "the 1-centred penalty does not converge either"),
    ("r3gan", ZeroCentred(), both_centred, "the 0-centred penalties converge, exponentially"),
):
    register(f"{name}/dirac", config, paper=PAPER, dataset="a point mass at 0", shows=shows, cost="3 s, 2 CPU cores")(
        make
    )
