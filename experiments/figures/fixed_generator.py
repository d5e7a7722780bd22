"""Critics that are trained against fixed generators, for figures of what critics learn.

The critics have the architecture of WGAN-GP's toy experiments (Gulrajani et al. 2017): ReLU and He uniform weights.
They are trained in one of three ways: with weight clipping, with the gradient penalty, or as the discriminator of a
GAN. One run trains several independent critics, each on its own data.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array
from PIL import Image

from jaxgan.core import losses, optim, penalties, prng
from jaxgan.core.game import Batch, Game, Network, Params, Phase, Player, Scalars, TrainState, input_spec
from jaxgan.core.losses import Adversarial
from jaxgan.core.penalties import Critic, Penalty
from jaxgan.data import synthetic
from jaxgan.data.sources import Source, constant_window
from jaxgan.data.streams import WindowData
from jaxgan.data.synthetic import Density
from jaxgan.networks import mlp
from jaxgan.render import outputs, pictures
from jaxgan.reports.figures import RunSpec, run_spec
from jaxgan.runs.registry import Entry
from jaxgan.runs.run import Run
from jaxgan.training import experiment
from jaxgan.training.experiment import Evaluation, Experiment, setting

SamplePairs = Callable[[Array], tuple[Array, Array]]  # key -> (real, fake), [n, D] each: one pair for each of n critics


@dataclass(frozen=True, kw_only=True)
class Config(experiment.Config):
    """Settings of critics that are trained against fixed generators."""

    width: int = setting(512, "units of a hidden layer")
    depth: int = setting(3, "hidden layers", high=100)
    d_lr: float = setting(1e-4, "learning rate: RMSProp's with weight clipping, Adam's otherwise")
    clip: float = setting(0.01, "bound on the absolute value of each parameter, with weight clipping")
    penalty: float = setting(0.1, "weight of the gradient penalty, if there is one")


Build = Callable[[SamplePairs, Config], Experiment]


class IndependentCritics(nn.Module):
    """Maps examples [B, D] to logits [n, B] of n critics of one architecture, each with its own parameters."""

    critic: nn.Module
    n: int

    @nn.compact
    def __call__(self, x: Array, train: bool = True) -> Array:
        options = {"variable_axes": {"params": 0}, "split_rngs": {"params": True}, "in_axes": None}
        return nn.vmap(lambda critic, x: critic(x, train), axis_size=self.n, **options)(self.critic, x)


def make_experiment(
    sample_pairs: SamplePairs,
    config: Config,
    loss: Adversarial,
    optimizer: optax.GradientTransformation,
    penalty: Penalty | None = None,
) -> Experiment:
    """Returns the experiment with one player, the critics, and one phase. Its samples are the fixed generators' fakes.

    Args:
        sample_pairs: Draws a real and a fake for each critic.
        config: The settings.
        loss: Its `d` is what each critic minimises.
        optimizer: The optimizer of all critics. It must treat each parameter alone, so that critics stay independent.
        penalty: Added to each critic's loss, times `config.penalty`.
    """
    n, dimensions = jax.eval_shape(sample_pairs, jax.random.key(0))[0].shape
    module = mlp.Critic(config.width, config.depth, nn.relu)

    def batch(data: WindowData, key: Array, step: Array, index: Array) -> Batch:
        real, fake = jax.vmap(sample_pairs, out_axes=1)(prng.example_keys(jax.random.fold_in(key, step), index))
        return {"real": real, "fake": fake, "index": index}

    def d_loss(state: TrainState, batch: Batch, key: Array) -> tuple[Array, tuple[TrainState, Scalars]]:
        keys = prng.example_keys(key, batch["index"])

        def critic_loss(params: Params, real: Array, fake: Array) -> Array:
            critic = lambda x: module.apply({"params": params}, x)
            value = loss.d(critic(real), critic(fake))
            return value if penalty is None else value + config.penalty * penalty(critic, real, fake, keys)

        values = jax.vmap(critic_loss)(state.params["critics"]["critic"], batch["real"], batch["fake"])
        # The gradient of the sum in one critic's parameters is that of its own loss.
        return values.sum(), (state, {})

    def draw(samples: np.ndarray) -> Image.Image:
        points = samples.reshape(-1, samples.shape[-1])
        return (pictures.line if points.shape[1] == 1 else pictures.scatter)(points, points)

    return Experiment(
        Game(
            networks=(Network("critics", IndependentCritics(module, n), (input_spec(dimensions),)),),
            players={"critics": Player(("critics",), optimizer)},
            phases=(Phase("d", "critics", d_loss),),
        ),
        Source(constant_window(dict), batch),
        sample=lambda state, keys: jax.vmap(sample_pairs)(keys)[1],
        evaluate=lambda samples, state: Evaluation({}),
        output=outputs.Points(draw),
        preview_count=2_000,
    )


def clipped(sample_pairs: SamplePairs, config: Config) -> Experiment:
    """Critics whose parameters are clipped to [-clip, clip] (Arjovsky et al. 2017, Algorithm 1)."""
    optimizer = optax.chain(optim.rmsprop(config.d_lr), optim.clip_weights(config.clip))
    return make_experiment(sample_pairs, config, losses.wasserstein, optimizer)


def penalised(sample_pairs: SamplePairs, config: Config) -> Experiment:
    """Critics with a penalty on their gradients between reals and fakes (Gulrajani et al. 2017, Eq. 3)."""
    optimizer = optax.adam(config.d_lr, 0.5, 0.9)
    return make_experiment(sample_pairs, config, losses.wasserstein, optimizer, penalties.gradient_penalty)


def discriminator(sample_pairs: SamplePairs, config: Config) -> Experiment:
    """Critics that classify reals and fakes by cross-entropy (Goodfellow et al. 2014, Eq. 1)."""
    return make_experiment(sample_pairs, config, losses.minimax, optax.adam(config.d_lr, 0.5, 0.999))


def critic_run(build: Build, sample_pairs: SamplePairs, data: str, *steps: int, **settings: Any) -> RunSpec:
    """Returns the run of an unregistered experiment, `critic_BUILD/DATA`.

    Args:
        build: `clipped`, `penalised` or `discriminator`.
        sample_pairs: Draws a real and a fake for each critic.
        data: The name of the data.
        *steps: The steps at which the run is examined.
        **settings: Settings that differ from the defaults of `Config`.
    """
    entry = Entry(f"critic_{build.__name__}/{data}", Config(), functools.partial(build, sample_pairs))
    return run_spec(entry, *steps, **settings)


def critic_params(run: Run, k: int = 0) -> Params:
    """Returns the parameters of the k-th critic of a run."""
    return jax.tree.map(lambda x: x[k], run.state.params["critics"]["critic"])


def critic(run: Run, k: int = 0) -> Critic:
    """Returns the k-th critic of a run, as a function of points [B, D]."""
    (network,) = run.experiment.game.networks
    return functools.partial(network.module.critic.apply, {"params": critic_params(run, k)})


def kernel_weights(params: Params) -> np.ndarray:
    """Returns the weights of all layers [N], without the biases."""
    return np.concatenate([np.ravel(layer["kernel"]) for layer in params.values()])


def noisy_data(*densities: Density) -> SamplePairs:
    """Returns a sampler with one critic for each density, whose fakes are the reals plus noise from N(0, 1).

    This is the fixed generator in the script of the authors of WGAN-GP (gan_toy.py).
    """

    def sample_pairs(key: Array) -> tuple[Array, Array]:
        noise, *keys = jax.random.split(key, 1 + len(densities))
        real = jnp.stack([density.sample(k) for density, k in zip(densities, keys, strict=True)])
        return real, real + jax.random.normal(noise, real.shape)

    return sample_pairs


def values_on_lattice(critic: Critic, axis: np.ndarray) -> np.ndarray:
    """Returns a critic's values [N, N] at the points of a square lattice with coordinates `axis` [N]; rows are y."""
    points = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
    return np.asarray(critic(jnp.asarray(points, jnp.float32)), np.float64).reshape(len(axis), len(axis))


def count_peaks(values: np.ndarray, axis: np.ndarray, modes: np.ndarray, radius: float) -> int:
    """Returns how many modes have a local maximum within `radius`: a value above those of its eight neighbours.

    Args:
        values: What `values_on_lattice` returned for `axis`.
        axis: Coordinates of the lattice [N].
        modes: Points [M, 2].
        radius: Largest distance between a mode and its maximum.
    """
    shifts = [(i, j) for i in (-1, 0, 1) for j in (-1, 0, 1) if i or j]
    neighbours = [np.roll(values, shift, (0, 1))[1:-1, 1:-1] for shift in shifts]
    row, column = np.nonzero(values[1:-1, 1:-1] > np.max(neighbours, axis=0))
    peaks = np.stack([axis[1:-1][column], axis[1:-1][row]], axis=-1)
    return int((np.linalg.norm(peaks[:, None] - modes, axis=-1) <= radius).any(0).sum())


# The data of WGAN-GP's toy experiments.
TOYS = {"ring": synthetic.ring(), "grid": synthetic.grid(), "swiss_roll": synthetic.swiss_roll()}


def toys_run(build: Build, *steps: int, **settings: Any) -> RunSpec:
    """Returns the run of one critic for each of `TOYS`, in their order; arguments as in `critic_run`."""
    return critic_run(build, noisy_data(*TOYS.values()), "toys", *steps, **settings)
