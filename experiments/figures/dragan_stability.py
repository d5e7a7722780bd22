"""Random architectures with and without DRAGAN's penalty (Kodali et al. 2017, arXiv 1705.07215), reduced.

    python launch.py figure dragan/stability

The paper trains 100 random architectures on CIFAR-10 and compares their scores. Here ten pairs of fully connected
networks learn the 8x8 digits for 2,000 steps. The score is the formula of the Inception score on a classifier of the
digits; it is at most 10, their number of classes.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
import optax

from experiments.dragan import PAPER
from experiments.testbeds import SMALL_DIGITS
from jaxgan.core import losses, penalties, prng
from jaxgan.data.digits import digits
from jaxgan.evaluate.metrics import make_evaluator
from jaxgan.networks import mlp
from jaxgan.networks.layers import Activation, batch_norm, leaky_relu
from jaxgan.render import plots
from jaxgan.reports import figures
from jaxgan.reports.figures import Claim, Figure, Numbers, Runs, run_spec
from jaxgan.runs.registry import Entry
from jaxgan.training import experiment
from jaxgan.training.experiment import Experiment, setting

ARCHITECTURES = 10
STEPS = 2_000
ACTIVATIONS: tuple[Activation, ...] = (nn.relu, leaky_relu, nn.tanh)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(experiment.Config):
    """Settings of all architectures."""

    batch_size: int = 64
    latent: int = setting(32, "dimensions of z")
    lr: float = setting(1e-3, "learning rate of both players")
    penalty: float = setting(10.0, "weight of the gradient penalty; 0 is the GAN without it")


@dataclasses.dataclass(frozen=True)
class Architecture:
    """A generator and a discriminator."""

    g_width: int
    d_width: int
    g_depth: int
    d_depth: int
    activation: Activation
    norm: Callable[[bool], Activation] | None  # of the generator


def draw_architecture(n: int) -> Architecture:
    """Returns the n-th random architecture."""
    rng = np.random.default_rng([0, n])
    widths, depths = rng.choice([32, 64, 128, 256], 2), rng.integers(1, 4, 2)
    activation, norm = ACTIVATIONS[rng.integers(3)], (None, batch_norm)[rng.integers(2)]
    return Architecture(*map(int, (*widths, *depths)), activation, norm)


def build(architecture: Architecture, config: Config) -> Experiment:
    """Returns the experiment of an architecture on the digits."""
    a, optimizer = architecture, optax.adam(config.lr, 0.5, 0.9)
    return SMALL_DIGITS.two_player(
        config,
        mlp.Generator((8, 8, 1), a.g_width, a.g_depth, a.activation, jnp.tanh, norm=a.norm),
        mlp.Critic(a.d_width, a.d_depth, a.activation),
        losses.non_saturating,
        prng.uniform_latent(config.latent),
        g_optimizer=optimizer,
        d_optimizer=optimizer,
        penalty=penalties.dragan if config.penalty else None,
        penalty_weight=config.penalty,
    )


@figures.register(
    "dragan/stability",
    paper=PAPER,
    shows="scores of ten random architectures on the 8x8 digits with and without the penalty",
    minutes=5,
)
def stability() -> Figure:
    """One seed of each architecture."""
    names, numbers = {"GAN": 0.0, "DRAGAN": 10.0}, range(ARCHITECTURES)
    entry = lambda n: Entry(f"stability/{n}", Config(), functools.partial(build, draw_architecture(n)), PAPER)

    def measure(runs: Runs) -> Numbers:
        evaluate = make_evaluator(("score",), lambda split: digits())
        score = lambda run: evaluate(run.sample(2_000)).values["score_digits"]
        scores = {name: np.array([score(runs[f"{name} {n}"][-1]) for n in numbers]) for name in names}
        difference = scores["DRAGAN"] - scores["GAN"]
        return scores | {"mean_difference": float(difference.mean()), "better": int((difference > 0).sum())}

    def plot(numbers: Numbers) -> Any:
        fig, ((ax,),) = plots.subplots(1, 1, width=3.6, height=2.6)
        order = np.argsort(numbers["GAN"])
        for name in names:
            ax.plot(np.arange(ARCHITECTURES) + 1, numbers[name][order], "o", markersize=4, label=name)
        ax.vlines(np.arange(ARCHITECTURES) + 1, *(numbers[name][order] for name in names), linewidth=0.6, color="gray")
        ax.set(xlabel="architecture, by the score of the GAN", ylabel="score of samples", ylim=(0.8, 10))
        ax.legend()
        return fig

    return Figure(
        measure=measure,
        plot=plot,
        runs={
            f"{name} {n}": run_spec(entry(n), STEPS, penalty=penalty)
            for n in numbers
            for name, penalty in names.items()
        },
        claims=(
            Claim("mean score with the penalty minus that without", "mean_difference", least=0.0),
            Claim(f"architectures of {ARCHITECTURES} with a higher score with the penalty", "better", least=6),
        ),
    )
