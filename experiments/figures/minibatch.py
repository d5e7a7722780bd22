"""Minibatch discrimination (Salimans et al. 2016, section 3.2) on the ring of unrolled GANs, where plain GANs collapse.

    python launch.py figure improved/minibatch_ring

Networks, optimizer and data are those of `experiments/unrolled.py`, with the non-saturating loss. With minibatch
discrimination the discriminator appends similarities to the rest of the batch to its hidden layer. Batches have 64
examples, because the similarities of all pairs take most of the time.
"""

from typing import Any

import flax.linen as nn
import numpy as np
from jax import Array

from experiments import unrolled
from experiments.unrolled import Config
from jaxgan.core import losses
from jaxgan.networks import mlp
from jaxgan.networks.minibatch import MinibatchDiscrimination
from jaxgan.render import plots
from jaxgan.reports import figures
from jaxgan.reports.figures import Claim, Figure, Numbers, Runs, run_spec
from jaxgan.runs.registry import Entry
from jaxgan.training.experiment import Experiment
from jaxgan.training.metric_log import summarise_seeds

PAPER = "Salimans et al. 2016, arXiv 1606.03498"
STEPS = (500, 1_000, 2_500, 5_000)
KERNELS, DIMS = 16, 4


class MinibatchCritic(nn.Module):
    """Maps points [B, 2] to logits [B] by one hidden layer and minibatch discrimination."""

    width: int

    @nn.compact
    def __call__(self, x: Array, train: bool = True) -> Array:
        x = nn.relu(nn.Dense(self.width, kernel_init=nn.initializers.orthogonal(0.8))(x / 4.0))
        x = MinibatchDiscrimination(KERNELS, DIMS)(x)
        return nn.Dense(1, kernel_init=mlp.HE_UNIFORM)(x)[:, 0]


def _without(config: Config) -> Experiment:
    return unrolled.build(config, losses.non_saturating)


def _with(config: Config) -> Experiment:
    return unrolled.build(config, losses.non_saturating, discriminator=MinibatchCritic(config.width))


def _measure(runs: Runs) -> Numbers:
    numbers: dict[str, Any] = {"steps": np.array(STEPS[: len(runs["with"])])}
    covered = {}
    for name, at_steps in runs.items():
        by_step = [run.evaluate(2_000)["eval/covered"]["seeds"] for run in at_steps]
        covered[name] = np.array(by_step).T  # [seeds, steps]
        numbers |= {name: covered[name], f"{name}_last": summarise_seeds(covered[name][:, -1])}
        numbers[f"{name}_points"] = at_steps[-1].sample(1_000)
    numbers["seeds_with_more"] = float((covered["with"][:, -1] > covered["without"][:, -1]).sum())
    return numbers


def _plot(numbers: Numbers) -> Any:
    fig, ((left, middle, right),) = plots.subplots(1, 3, height=2.3)
    for ax, name, title in ((left, "without", "Plain GAN"), (middle, "with", "Minibatch discrimination")):
        ax.scatter(*numbers[f"{name}_points"].T, s=2, linewidths=0)
        ax.scatter(*unrolled.RING.modes.T, s=12, marker="+", color="black", linewidths=0.8)
        ax.set(title=title, aspect="equal", xlim=(-4, 4), ylim=(-4, 4))
    for name, label in (("without", "plain"), ("with", "minibatch discrimination")):
        plots.median_band(right, numbers["steps"], numbers[name], label)
    right.set(xlabel="step", ylabel="covered modes of 8", ylim=(0, 8.4))
    right.legend()
    return fig


@figures.register(
    "improved/minibatch_ring",
    paper=PAPER,
    shows="modes of a ring that a GAN covers with and without minibatch discrimination",
    minutes=3,
)
def minibatch_ring() -> Figure:
    """Five seeds of each; the first is drawn."""
    entry = lambda name, build: Entry(f"minibatch/{name}", Config(), build, PAPER)
    return Figure(
        measure=_measure,
        plot=_plot,
        runs={
            "without": run_spec(entry("without", _without), *STEPS, seeds=5, batch_size=64),
            "with": run_spec(entry("with", _with), *STEPS, seeds=5, batch_size=64),
        },
        claims=(Claim("seeds of 5 on which it covers more modes than the plain GAN", "seeds_with_more", least=4),),
    )
