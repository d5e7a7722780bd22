"""Half a game: critics against generators that stay as they are, for the figures of what critics learn.

The critics' network is that of the toys of improved WGAN training (Gulrajani et al. 2017), ReLU and He uniform. There
are three ways to train them: by weight clipping, by the gradient penalty, or as the discriminator of a GAN. One run
trains several, each on examples of its own, and none sees another.
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
from PIL import Image

from jaxgan import latents, losses, optim, penalties, pictures, registry
from jaxgan.data import synthetic
from jaxgan.data.source import Source, hold
from jaxgan.data.synthetic import Density, mixture
from jaxgan.figures import Need, needs
from jaxgan.game import Batch, Game, Network, Params, Phase, Player, TrainState, spec
from jaxgan.losses import Adversarial
from jaxgan.networks import mlp
from jaxgan.objectives import Penalty
from jaxgan.penalties import Critic
from jaxgan.registry import Entry, Experiment
from jaxgan.run import Run

Draw = Callable[[Array], tuple[Array, Array]]  # key -> for each of n critics a real example and a fake one, [n, D]
PAPER = "Gulrajani et al. 2017, arXiv 1704.00028"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(registry.Config):
    """Critics that train alone."""

    width: int = 512  # units of a hidden layer
    depth: int = 3  # hidden layers
    d_lr: float = 1e-4  # learning rate: Adam's, and of RMSProp where weights are clipped
    clip: float = 0.01  # largest size of a weight, where weights are clipped
    penalty: float = 0.1  # weight of the gradient penalty, where there is one


class Several(nn.Module):
    """Critics of one shape, each with parameters of its own: examples [B, D] to logits [n, B]."""

    critic: nn.Module
    n: int

    @nn.compact
    def __call__(self, x: Array, train: bool = True) -> Array:
        options = {"variable_axes": {"params": 0}, "split_rngs": {"params": True}, "in_axes": None}
        return nn.vmap(lambda critic, x: critic(x, train), axis_size=self.n, **options)(self.critic, x)


def experiment(
    draw: Draw,
    config: Config,
    loss: Adversarial,
    optimizer: optax.GradientTransformation,
    penalty: Penalty | None = None,
) -> Experiment:
    """A game of one player and one phase. Its samples are the fakes, which no training changes."""
    n, dimensions = jax.eval_shape(draw, jax.random.key(0))[0].shape
    one = mlp.Critic(config.width, config.depth, nn.relu)

    def batch(arrays: Any, key: Array, step: Array, index: Array) -> Batch:
        real, fake = jax.vmap(draw, out_axes=1)(latents.each(jax.random.fold_in(key, step), index))
        return {"real": real, "fake": fake, "index": index}

    def d_loss(state: TrainState, batch: Batch, key: Array):
        keys = latents.each(key, batch["index"])

        def alone(params: Params, real: Array, fake: Array) -> Array:
            critic = lambda x: one.apply({"params": params}, x)
            value = loss.d(critic(real), critic(fake))
            return value if penalty is None else value + penalty(critic, real, fake, keys)

        each = jax.vmap(alone)(state.params["critics"]["critic"], batch["real"], batch["fake"])
        return each.sum(), (state, {})  # The slope of the sum in one critic's parameters is that of its own loss.

    return Experiment(
        Game(
            networks=(Network("critics", Several(one, n), (spec(dimensions),)),),
            players={"critics": Player(("critics",), optimizer)},
            phases=(Phase("d", "critics", d_loss),),
        ),
        Source(hold(dict), batch),
        sample=lambda state, keys: jax.vmap(draw)(keys)[1],
        evaluate=lambda samples: {},
        picture=_picture,
        pictured=2_000,
    )


def clipped(draw: Draw, config: Config) -> Experiment:
    """Critics whose parameters all stay within ±clip (Arjovsky et al. 2017, Algorithm 1)."""
    optimizer = optax.chain(optax.rmsprop(config.d_lr, decay=0.99), optim.clip_weights(config.clip))
    return experiment(draw, config, losses.wasserstein, optimizer)


def penalised(draw: Draw, config: Config) -> Experiment:
    """Critics whose gradient is held at norm 1 between reals and fakes (Gulrajani et al. 2017, Eq. 3)."""
    penalty = lambda *inputs: config.penalty * penalties.gradient_penalty(*inputs)
    return experiment(draw, config, losses.wasserstein, optax.adam(config.d_lr, 0.5, 0.9), penalty)


def discriminator(draw: Draw, config: Config) -> Experiment:
    """Critics that learn to tell reals from fakes by cross-entropy (Goodfellow et al. 2014, Eq. 1)."""
    return experiment(draw, config, losses.minimax, optax.adam(config.d_lr, 0.5, 0.999))


def need(build: Callable[[Draw, Config], Experiment], draw: Draw, data: str, *at: int, **fields: Any) -> Need:
    """Critics on the data of that name, looked at after the steps `at`; they are not on the register."""
    name = f"critic_{build.__name__}/{data}"
    shows = "critics that train alone"
    return needs(Entry(name, Config(), functools.partial(build, draw), PAPER, data, shows, cost=""), *at, **fields)


def parameters(run: Run, k: int = 0) -> Params:
    """Those of the k-th critic of a run."""
    return jax.tree.map(lambda x: x[k], run.state.params["critics"]["critic"])


def critic(run: Run, k: int = 0) -> Critic:
    """The k-th critic of a run."""
    (network,) = run.experiment.game.networks
    return functools.partial(network.module.critic.apply, {"params": parameters(run, k)})


def kernels(params: Params) -> np.ndarray:
    """All weights but the biases, in one row."""
    return np.concatenate([np.ravel(layer["kernel"]) for layer in params.values()])


def noisy(*densities: Density) -> Draw:
    """Generators that add noise from N(0, 1) to data, the fixed ones of the authors of WGAN-GP (gan_toy.py)."""

    def draw(key: Array) -> tuple[Array, Array]:
        noise, *keys = jax.random.split(key, 1 + len(densities))
        real = jnp.stack([density.draw(k) for density, k in zip(densities, keys, strict=True)])
        return real, real + jax.random.normal(noise, real.shape)

    return draw


def log_ratio(density: Density, points: Array) -> Array:
    """Logarithm of p_real / p_fake for `noisy`, at points [N, 2], in nats [N]: what the best discriminator gives.

    In closed form for Gaussians; a curve counts as a mixture along it, for its modes lie closer than their noise.
    """
    real, fake = (mixture(density.modes, std) for std in (density.std, float(np.hypot(density.std, 1.0))))
    return real.log_density(points) - fake.log_density(points)


def surface(critic: Critic, at: np.ndarray) -> np.ndarray:
    """Values [N, N] of a critic of points in the plane on the lattice at x at, rows along the second axis."""
    points = np.stack(np.meshgrid(at, at), axis=-1).reshape(-1, 2)
    return np.asarray(critic(jnp.asarray(points, jnp.float32)), np.float64).reshape(len(at), len(at))


def peaks(values: np.ndarray, at: np.ndarray, modes: np.ndarray, radius: float) -> int:
    """How many modes [M, 2] have a local maximum of a `surface` within `radius`: a value above its eight neighbours."""
    shifts = [(i, j) for i in (-1, 0, 1) for j in (-1, 0, 1) if i or j]
    inner, near = values[1:-1, 1:-1], [np.roll(values, shift, (0, 1))[1:-1, 1:-1] for shift in shifts]
    row, column = np.nonzero(inner > np.max(near, axis=0))
    tops = np.stack([at[1:-1][column], at[1:-1][row]], axis=-1)
    return int((np.linalg.norm(tops[:, None] - modes, axis=-1) <= radius).any(0).sum())


# The toys of improved WGAN training.
DATA = {"ring": synthetic.ring(), "grid": synthetic.grid(), "swiss_roll": synthetic.swiss_roll()}


def toys(build: Callable[[Draw, Config], Experiment], *at: int, **fields: Any) -> Need:
    """A critic for each of them, in the order of `DATA`."""
    return need(build, noisy(*DATA.values()), "toys", *at, **fields)


def _picture(samples: np.ndarray) -> Image.Image:
    points = samples.reshape(-1, samples.shape[-1])
    return (pictures.line if points.shape[1] == 1 else pictures.scatter)(points, points)
