"""Random architectures with and without DRAGAN's penalty (Kodali et al. 2017, arXiv 1705.07215), reduced.

    python launch.py figure dragan/stability

The paper trains 100 random architectures on CIFAR-10 and compares their scores. Here ten pairs of fully connected
networks learn the 8x8 digits for 2,000 steps. Each seed draws an architecture, so that all are trained in one program.
The score is the formula of the Inception score on a classifier of the digits; it is at most 10, their number of
classes.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array

from experiments.dragan import PAPER
from experiments.testbeds import SMALL_DIGITS
from jaxgan.core import losses, penalties, prng
from jaxgan.data.digits import digits
from jaxgan.evaluate.metrics import make_evaluator
from jaxgan.networks.layers import batch_norm, leaky_relu
from jaxgan.render import plots
from jaxgan.reports import figures
from jaxgan.reports.figures import Claim, Figure, Numbers, Runs, run_spec
from jaxgan.runs.registry import Entry
from jaxgan.runs.run import Run
from jaxgan.training import experiment
from jaxgan.training.experiment import Experiment, setting

ARCHITECTURES = 10
STEPS = 2_000
WIDTHS = np.float32([16, 32, 64, 128])
MAX_LAYERS = 3


class RandomNetwork(nn.Module):
    """Maps [B, ...] to [B, outputs] by a fully connected network whose architecture is drawn at initialisation.

    Drawn are the number of hidden layers, 1 to 3, their width, the activation, and with `norm` whether there is batch
    norm. All networks have the same parameters; units beyond the width are 0, and further layers are skipped.
    """

    outputs: int
    norm: bool = False

    @nn.compact
    def __call__(self, x: Array, train: bool = True) -> Array:
        layers = self._draw("layers", lambda key: jax.random.randint(key, (), 1, MAX_LAYERS + 1))
        width = self._draw("width", lambda key: jax.random.choice(key, WIDTHS))
        activation = self._draw("activation", lambda key: jax.random.randint(key, (), 0, 3))
        normed = self._draw("normed", lambda key: jax.random.bernoulli(key) & self.norm)
        largest = int(WIDTHS.max())
        is_used = (jnp.arange(largest, dtype=jnp.float32) < width).astype(jnp.float32)[None]
        x, fan_in = x.reshape(len(x), -1), float(np.prod(x.shape[1:]))
        for n in range(MAX_LAYERS):
            y = nn.Dense(largest, kernel_init=_he_uniform(fan_in))(x)
            y = jnp.where(normed, batch_norm(train)(y), y) if self.norm else y
            y = jnp.where(activation == 0, nn.relu(y), jnp.where(activation == 1, leaky_relu(y), jnp.tanh(y)))
            x, fan_in = (y * is_used if n == 0 else jnp.where(n < layers, y * is_used, x)), width
        return nn.Dense(self.outputs, kernel_init=_he_uniform(fan_in))(x)

    def _draw(self, name: str, draw: Callable[[Array], Array]) -> Array:
        return self.variable("architecture", name, lambda: draw(self.make_rng("params"))).value


def _he_uniform(fan_in: float | Array) -> nn.initializers.Initializer:
    """Returns He's uniform initialiser for a number of inputs that may be smaller than that of the kernel."""
    return lambda key, shape, dtype: jax.random.uniform(key, shape, dtype, -1.0, 1.0) * jnp.sqrt(6.0 / fan_in)


class Generator(nn.Module):
    """Maps z [B, Z] to images [B, 8, 8, 1] in [-1, 1]."""

    @nn.compact
    def __call__(self, z: Array, train: bool = True) -> Array:
        return jnp.tanh(RandomNetwork(64, norm=True)(z, train)).reshape(-1, 8, 8, 1)


class Critic(nn.Module):
    """Maps images [B, 8, 8, 1] to logits [B]."""

    @nn.compact
    def __call__(self, x: Array, train: bool = True) -> Array:
        return RandomNetwork(1)(x, train)[:, 0]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(experiment.Config):
    """Settings of all architectures."""

    batch_size: int = 64
    latent: int = setting(32, "dimensions of z")
    lr: float = setting(1e-3, "learning rate of both players")
    penalty: float = setting(10.0, "weight of the gradient penalty; 0 is the GAN without it")


def build(config: Config) -> Experiment:
    """Returns the experiment of a random architecture on the digits."""
    optimizer = optax.adam(config.lr, 0.5, 0.9)
    return SMALL_DIGITS.two_player(
        config,
        Generator(),
        Critic(),
        losses.non_saturating,
        prng.uniform_latent(config.latent),
        g_optimizer=optimizer,
        d_optimizer=optimizer,
        penalty=penalties.dragan if config.penalty else None,
        penalty_weight=config.penalty,
    )


def _scores(run: Run) -> np.ndarray:
    """Returns the score of 2,000 samples of each architecture."""
    evaluate = make_evaluator(("score",), lambda split: digits())
    members = range(run.config.seeds)
    return np.array([evaluate(run.sample(2_000, member=member)).values["score_digits"] for member in members])


def _measure(runs: Runs) -> Numbers:
    scores = {name: _scores(run) for name, (run,) in runs.items()}
    difference = scores["DRAGAN"] - scores["GAN"]
    return scores | {"mean_difference": float(difference.mean()), "better": int((difference > 0).sum())}


def _plot(numbers: Numbers) -> Any:
    fig, ((ax,),) = plots.subplots(1, 1, width=3.6, height=2.6)
    order = np.argsort(numbers["GAN"])
    x = np.arange(len(order)) + 1
    for name in ("GAN", "DRAGAN"):
        ax.plot(x, numbers[name][order], "o", markersize=4, label=name)
    ax.vlines(x, numbers["GAN"][order], numbers["DRAGAN"][order], linewidth=0.6, color="gray")
    ax.set(xlabel="architecture, by the score of the GAN", ylabel="score of samples", ylim=(0.8, 10), xticks=x)
    ax.legend()
    return fig


@figures.register(
    "dragan/stability",
    paper=PAPER,
    shows="scores of ten random architectures on the 8x8 digits with and without the penalty",
    minutes=1,
)
def stability() -> Figure:
    """The same architectures, initial weights and batches in both runs."""
    entry = Entry("stability/digits", Config(), build, PAPER)
    return Figure(
        measure=_measure,
        plot=_plot,
        runs={
            "GAN": run_spec(entry, STEPS, seeds=ARCHITECTURES, penalty=0.0),
            "DRAGAN": run_spec(entry, STEPS, seeds=ARCHITECTURES),
        },
        claims=(
            Claim("mean score with the penalty minus that without", "mean_difference", least=0.0),
            Claim(f"architectures of {ARCHITECTURES} with a higher score with the penalty", "better", least=6),
        ),
    )
