"""Overfitting of the critic (Gulrajani et al. 2017, arXiv 1704.00028, figure 5b).

python launch.py figure wgan_gp/fig5b
"""

import dataclasses
from typing import Any

import numpy as np

from experiments import testbeds, wgan_gp
from experiments.wgan_gp import PAPER
from jaxgan.data.datasets import Dataset
from jaxgan.data.digits import digits
from jaxgan.evaluate.digits_svm import class_balance
from jaxgan.render import plots
from jaxgan.reports.figures import Claim, Figure, Numbers, Runs, register, run_spec
from jaxgan.runs import targets
from jaxgan.runs.registry import Entry
from jaxgan.runs.run import Run

TRAINING_DIGITS = 1_000
STEPS = (500, 1_000, 2_000, 4_000, 6_000, 8_000, 10_000)
SEEDS = 3


def training_indices() -> np.ndarray:
    """Returns the indices of the training digits. They are random, because the data are ordered by their writers."""
    return np.random.default_rng(0).permutation(len(digits().images))[:TRAINING_DIGITS]


def training_digits(split: str) -> Dataset:
    """Returns the training digits."""
    everything, chosen = digits(), training_indices()
    return Dataset("digits_1000", everything.images[chosen], everything.labels[chosen], everything.classes)


FEW_DIGITS = dataclasses.replace(
    testbeds.DIGITS_MLP,
    target=targets.images(training_digits, (8, 8, 1), classes=10, evaluate=class_balance),
)


@register(
    "wgan_gp/fig5b",
    paper=PAPER,
    shows="the critic's estimate on training and on held-out digits: it overfits 1,000 training examples; fully "
    "connected networks and 8x8 digits in place of MNIST's",
    minutes=3,
)
def fig5b() -> Figure:
    """The estimate is E D(x) - E D(G(z)) on the training digits, and on the 797 others with the same samples."""

    def measure(runs: Runs) -> Numbers:
        images = np.float32(digits().images) / 127.5 - 1
        train, valid = images[training_indices()], np.delete(images, training_indices(), axis=0)

        def estimates(run: Run, member: int) -> tuple[float, float]:
            D = run.network("discriminator", member)
            fake = D(np.float32(run.sample(2_000, member=member)) / 127.5 - 1).mean()
            return tuple((D(x).mean() - fake).item() for x in (train, valid))

        examined = runs["WGAN-GP"]
        values = np.array([[estimates(run, member) for run in examined] for member in range(examined[0].config.seeds)])
        gap = values[..., 0] - values[..., 1]
        return {
            "steps": np.array([run.step for run in examined]),
            "train": values[..., 0],
            "valid": values[..., 1],
            "gap": gap,
            "start": np.median(gap[:, 0]).item(),
            "end": np.median(gap[:, -1]).item(),
            "growth": (np.median(gap[:, -1]) / np.median(gap[:, 0])).item(),
        }

    def plot(numbers: Numbers) -> Any:
        fig, ((left, right),) = plots.subplots(1, 2, height=2.2, width=0.8 * plots.WIDTH)
        steps = numbers["steps"] / 1e3
        for key, label in (("train", "1,000 training digits"), ("valid", "797 held-out digits")):
            plots.median_band(left, steps, numbers[key], label, marker="o", markersize=3)
        left.set(xlabel="critic steps / 1000", ylabel="E D(x) - E D(G(z))", ylim=(0, None))
        left.legend()
        plots.median_band(right, steps, numbers["gap"], "gap", color=plots.COLOURS[2], marker="o", markersize=3)
        right.axhline(0, color="black", linewidth=0.8, linestyle=":")
        right.set(
            xlabel="critic steps / 1000", ylabel="training minus held-out", title=f"{SEEDS} seeds: median, quartiles"
        )
        return fig

    entry = Entry(
        "wgan_gp/digits_1000_random", wgan_gp.Config(**FEW_DIGITS.defaults), lambda c: wgan_gp.build(FEW_DIGITS, c)
    )
    gap = f"gap of training and held-out estimates, median of {SEEDS} seeds"
    return Figure(
        measure=measure,
        plot=plot,
        runs={"WGAN-GP": run_spec(entry, *STEPS, seeds=SEEDS)},
        claims=(
            Claim(f"{gap}: at step {STEPS[-1]:,} over that at step {STEPS[0]:,}", "growth", least=3),
            Claim(f"{gap}, at step {STEPS[-1]:,}: above 0", "end", least=0),
        ),
    )
