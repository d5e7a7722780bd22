"""Figures of Unrolled Generative Adversarial Networks (Metz et al. 2016, arXiv 1611.02163).

    python launch.py figure unrolled/fig2 unrolled/missing_grad

The third row of fig2 is not in the paper: the same networks without unrolling, with the non-saturating loss and a
strong R1 penalty. Three seeds of five covered all 8 modes; two stayed at one mode.
"""

import dataclasses
from typing import Any

import jax
import numpy as np

from experiments.unrolled import PAPER, RING, Config, UnrolledConfig, build
from jaxgan.core import games, losses, penalties
from jaxgan.render import plots
from jaxgan.reports.figures import Claim, Figure, Numbers, Runs, register, run_spec
from jaxgan.runs.registry import Entry
from jaxgan.training.experiment import Experiment, setting
from jaxgan.training.metric_log import summarise_seeds


@dataclasses.dataclass(frozen=True, kw_only=True)
class R1Config(Config):
    """The non-saturating GAN with R1."""

    b1: float = 0.0
    b2: float = 0.99
    gamma: float = setting(16.0, "weight of R1, half the mean squared gradient norm at reals")


def build_r1(config: R1Config) -> Experiment:
    """The networks of unrolled GAN with the non-saturating loss and R1."""
    return build(config, losses.non_saturating, penalty=penalties.r1, penalty_weight=config.gamma)


PLAIN = Entry("unrolled/plain", Config(), build)  # the original GAN, without unrolling


@register(
    "unrolled/fig2",
    paper=PAPER,
    shows="a generator that looks ten updates ahead covers 8 modes, the original GAN one; a strong R1 may cover 8 too",
    minutes=23,
    hardware="1 CPU core",
)
def fig2() -> Figure:
    """Samples of the first seed, with the median and range over 5 seeds of the modes that 2,500 samples cover."""
    rows = {"unrolled": "K = 10", "plain": "K = 0", "rescue": "R1, γ = 16"}
    steps = (0, 3_000, 6_000, 9_000, 12_000, 15_000)
    edges = np.linspace(-3.2, 3.2, 65)
    histogram = lambda points: np.histogram2d(points[:, 1], points[:, 0], bins=edges)[0].astype(np.float32)

    def measure(runs: Runs) -> Numbers:
        data = np.asarray(jax.vmap(RING.sample)(jax.random.split(jax.random.key(0), 2_500)))
        numbers: dict[str, Any] = {"steps": [run.step for run in runs["plain"]], "data heat": histogram(data)}
        by_seed = {}  # values [seeds, steps] by run and column
        for name, examined in runs.items():
            members = range(examined[0].config.seeds)
            samples = [[run.sample(2_500, member=member) for run in examined] for member in members]
            first = examined[0]
            evaluate = lambda points, run=first: run.experiment.evaluate(points, run.state).values
            coverage = [[evaluate(points) for points in points_by_step] for points_by_step in samples]
            for key, column in (("covered", "modes"), ("high_quality", "near a mode"), ("mode_kl", "KL")):
                by_seed[name, column] = np.array([[values[key] for values in by_step] for by_step in coverage])
                numbers[f"{name} {column}"] = by_seed[name, column].tolist()
            numbers[f"{name} heat"] = np.stack([histogram(points) for points in samples[0]])
        collapsed = (by_seed["plain", "modes"][:, -5:] <= 3).sum(1) >= 4
        spread = (by_seed["unrolled", "modes"][:, -1] == 8) & (by_seed["unrolled", "KL"][:, -1] < 0.2)
        end_modes = by_seed["rescue", "modes"][:, -2:].min(1)
        end_kl = by_seed["rescue", "KL"][:, -2:].max(1)
        return numbers | {
            "plain collapsed": int(collapsed.sum()),
            "unrolled spread": int(spread.sum()),
            "rescue spread": int(((end_modes == 8) & (end_kl < 0.1)).sum()),
            "rescue end modes": summarise_seeds(end_modes),
            "rescue end KL": summarise_seeds(end_kl),
        }

    def plot(numbers: Numbers) -> Any:
        fig, axes = plots.subplots(len(rows), len(numbers["steps"]) + 1, height=1.12)
        for row, (name, label) in zip(axes, rows.items(), strict=True):
            for ax, counts in zip(row, [*numbers[f"{name} heat"], numbers["data heat"]], strict=True):
                ax.imshow(np.sqrt(counts), origin="lower", extent=(-3.2, 3.2, -3.2, 3.2))
                ax.set(xticks=[], yticks=[])
                ax.spines[:].set_visible(False)
            for ax, modes in zip(row, np.transpose(numbers[f"{name} modes"]), strict=False):
                ax.set_xlabel(f"modes {np.median(modes):.0f} ({modes.min():.0f}–{modes.max():.0f})", fontsize=7)
            row[0].set_ylabel(label)
        for ax, title in zip(axes[0], [*(f"step {step:,}" for step in numbers["steps"]), "data"], strict=True):
            ax.set_title(title)
        return fig

    r1 = Entry("unrolled/r1_rescue", R1Config(), build_r1)
    return Figure(
        measure=measure,
        plot=plot,
        claims=(
            Claim(
                "K = 0: seeds, of 5, with at most 3 modes at 4 or more of the last 5 steps examined",
                "plain collapsed",
                least=4,
            ),
            Claim("K = 10: seeds, of 5, with 8 modes and KL from uniform < 0.2 at the end", "unrolled spread", least=4),
            Claim(
                "R1, γ = 16: fewest modes at the last 2 steps examined, median of 5 seeds", "rescue end modes", least=8
            ),
            Claim(
                "R1, γ = 16: largest KL from uniform at the last 2 steps examined, median of 5 seeds",
                "rescue end KL",
                most=0.1,
            ),
        ),
        runs={
            "unrolled": run_spec("unrolled/ring", *steps, unroll=10, seeds=5),
            "plain": run_spec(PLAIN, *steps, seeds=5),
            "rescue": run_spec(r1, *steps, seeds=5),
        },
    )


def build_missing_gradient(config: UnrolledConfig) -> Experiment:
    """The game in which the generator looks ahead, but its gradient does not pass through the updates."""
    plain = build(config)
    return dataclasses.replace(plain, game=games.unrolled(plain.game, config.unroll, differentiate=False))


@register(
    "unrolled/missing_grad",
    paper=PAPER,
    shows="looking ten updates ahead with and without the gradient through them (Eq. 12): without it the generator "
    "only sees a better trained discriminator; batches of 128 for the paper's 512, two seeds",
    minutes=6,
    hardware="1 CPU core",
)
def missing_grad() -> Figure:
    """The modes that hold 2 % of 2,500 samples, during training; samples at the end, of the first seed."""
    rows = {"full": "with the gradient through the updates", "stopped": "without it"}
    steps = (0, 3_000, 6_000, 9_000, 12_000, 15_000)

    def measure(runs: Runs) -> Numbers:
        numbers: dict[str, Any] = {"steps": np.array(steps)}
        for name, examined in runs.items():
            members = range(examined[0].config.seeds)
            evaluate = lambda run, member: run.experiment.evaluate(run.sample(2_500, member=member), run.state).values
            coverage = [[evaluate(run, member) for run in examined] for member in members]
            modes = np.array([[values["covered"] for values in by_step] for by_step in coverage])
            numbers[f"{name} modes"] = modes
            numbers[f"{name} end"] = summarise_seeds(modes[:, -1])
            numbers[f"{name} samples"] = examined[-1].sample(1_500)
        return numbers

    def plot(numbers: Numbers) -> Any:
        fig, ((course, *panels),) = plots.subplots(1, 3, height=2.2, width_ratios=[1.4, 1, 1])
        for (name, label), ax, colour in zip(rows.items(), panels, plots.COLOURS, strict=False):
            plots.median_band(course, numbers["steps"] / 1e3, numbers[f"{name} modes"], label, color=colour, marker="o")
            ax.plot(*RING.modes.T, "o", color="0.75", markersize=8)
            ax.plot(*numbers[f"{name} samples"].T, ".", color=colour, markersize=1, alpha=0.5)
            ax.set(xlim=(-3, 3), ylim=(-3, 3), xticks=[], yticks=[], aspect="equal", title=label)
        course.set(xlabel="step / 1000", ylabel="modes of 8", ylim=(-0.3, 8.6), title="two seeds: median, range")
        return fig

    settings = {"unroll": 10, "batch_size": 128, "seeds": 2}
    stopped = Entry("unrolled/missing_gradient", UnrolledConfig(), build_missing_gradient)
    return Figure(
        measure=measure,
        plot=plot,
        runs={
            "full": run_spec("unrolled/ring", *steps, **settings),
            "stopped": run_spec(stopped, *steps, **settings),
        },
        claims=(
            Claim("with the gradient: modes of 8 at the end, median of 2 seeds", "full end", least=8),
            Claim("without it: modes of 8 at the end, median of 2 seeds", "stopped end", most=7),
        ),
    )
