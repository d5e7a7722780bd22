"""Figures of LSGAN (Mao et al. 2016): the slope of the generator's loss, and mode coverage on a ring."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments import lsgan
from experiments.lsgan import RING
from jaxgan.core import losses
from jaxgan.evaluate.modes import mode_coverage
from jaxgan.render import plots
from jaxgan.reports import figures
from jaxgan.reports.figures import Claim, Figure, Numbers, Runs, run_spec
from jaxgan.runs.registry import Entry
from jaxgan.training.metric_log import summarise_seeds

RADII = {"ball": 0.15, "std": 3 * RING.std}  # how far from a mode a sample counts as its own; 0.15: balls do not touch
STEPS = (0, 5_000, 15_000, 25_000, 35_000)


def _measure_fig1(runs: Runs) -> Numbers:
    logits = np.arange(-64, 129) / 8  # Exact in float32; c = 1 is one of them.
    numbers = {"logits": logits}
    for name, loss in (("non_saturating", losses.non_saturating), ("least_squares", losses.least_squares)):
        value_and_slope = jax.vmap(jax.value_and_grad(lambda logit, loss=loss: loss.g(logit[None])))
        value, slope = value_and_slope(jnp.float32(logits))
        numbers |= {name: np.asarray(value, np.float64), f"{name}_slope": np.asarray(slope, np.float64)}
    entropy, squares = numbers["non_saturating_slope"], numbers["least_squares_slope"]
    return numbers | {
        "entropy_error": np.abs(entropy + 1 / (1 + np.exp(logits))).max().item(),
        "squares_error": np.abs(squares - (logits - 1)).max().item(),
        "entropy_at_16": abs(entropy[-1].item()),
        "squares_at_16": abs(squares[-1].item()),
        "flat": int(np.sum(squares == 0)),
    }


def _plot_fig1(numbers: Numbers) -> Any:
    fig, ((left, right),) = plots.subplots(1, 2, height=2.2)
    for name, label in (("non_saturating", "sigmoid cross-entropy"), ("least_squares", "least squares, c = 1")):
        left.plot(numbers["logits"], numbers[name], label=label)
        right.plot(numbers["logits"], numbers[f"{name}_slope"], label=label)
    left.set(title="Loss of a fake", xlabel="D(G(z))", ylabel="generator's loss", xlim=(-6, 10), ylim=(-0.5, 12))
    right.set(title="Its slope", xlabel="D(G(z))", ylabel="d loss / d D", xlim=(-6, 10), ylim=(-4, 8))
    right.axhline(0, color="0.7", linewidth=0.6, zorder=0)
    right.plot(1, 0, "o", color="black", markersize=4, label="slope 0")
    right.legend()
    return fig


@figures.register(
    "lsgan/fig1",
    paper=lsgan.PAPER,
    shows="the generator's loss against D(G(z)): cross-entropy is flat for every large D, least squares at one point",
    minutes=1 / 60,
)
def fig1() -> Figure:
    """The losses and their slopes by automatic differentiation, compared with -σ(-D) and D - c in float64."""
    return Figure(
        measure=_measure_fig1,
        plot=_plot_fig1,
        claims=(
            Claim("cross-entropy: largest error of the slope -σ(-D)", "entropy_error", most=1e-6),
            Claim("least squares: largest error of the slope D - c", "squares_error", most=1e-6),
            Claim("cross-entropy: |slope| at D = 16, where σ(-16) = 1.1e-7", "entropy_at_16", most=1.2e-7),
            Claim("least squares: |slope| at D = 16", "squares_at_16", least=15, most=15),
            Claim("least squares: grid points with slope 0", "flat", least=1, most=1),
        ),
    )


def heat_map(points: np.ndarray) -> np.ndarray:
    """Returns the counts float32 [96, 96] of points [N, 2] in the square from -1.6 to 1.6; rows are the second axis."""
    return np.float32(np.histogram2d(*points.T, np.linspace(-1.6, 1.6, 97))[0].T)


def _measure_fig6(runs: Runs) -> Numbers:
    numbers: dict[str, Any] = {"steps": np.array([run.step for run in runs["LSGAN"]])}
    for name, runs_at_steps in runs.items():
        seeds = range(runs_at_steps[0].config.seeds)
        samples = [[run.sample(2_500, member=k) for run in runs_at_steps] for k in seeds]
        for ball, radius in RADII.items():
            coverage = functools.partial(mode_coverage, centres=RING.modes, std=RING.std, radius=radius / RING.std)
            values = [[coverage(x) for x in row] for row in samples]
            numbers[f"{name}_{ball}"] = np.array([[value["covered"] for value in row] for row in values])
            for key in ("covered", "high_quality", "mode_kl"):
                numbers[f"{name}_{ball}_{key}"] = summarise_seeds([row[-1][key] for row in values])
        numbers[f"{name}_heat"] = np.stack([heat_map(x) for x in samples[0]])
    for ball in RADII:
        median = lambda name, ball=ball: numbers[f"{name}_{ball}_covered"]["median"]
        numbers[f"{ball}_gain"] = median("LSGAN") - median("GAN")
    data = jax.vmap(RING.sample)(jax.random.split(jax.random.key(0), 2_500))
    return numbers | {"data_heat": heat_map(np.asarray(data))}


def _plot_fig6(numbers: Numbers) -> Any:
    from scipy.ndimage import gaussian_filter  # Takes a moment to import.

    fig, axes = plots.subplots(2, len(numbers["steps"]) + 1, height=1.25)
    for row, name in zip(axes, ("LSGAN", "GAN"), strict=True):
        for k, (ax, counts) in enumerate(zip(row, [*numbers[f"{name}_heat"], numbers["data_heat"]], strict=True)):
            smooth = gaussian_filter(counts, 1.5)
            ax.imshow(smooth, origin="lower", vmax=0.5 * smooth.max() or 1)
            ax.set(xticks=[], yticks=[])
            ax.spines[:].set_visible(False)
            if k < len(numbers["steps"]):
                covered = np.median(numbers[f"{name}_ball"][:, k])
                ax.set_xlabel(f"median: {covered:g} of 8")
        row[0].set_ylabel(name)
    for ax, step in zip(axes[0], numbers["steps"], strict=False):
        ax.set_title(f"step {step:,}")
    axes[0, -1].set_title("data")
    return fig


@figures.register(
    "lsgan/fig6",
    paper=lsgan.PAPER,
    shows="samples along training on a ring of 8 Gaussians, by least squares and by cross-entropy; batches of 64, "
    "where the authors have 512",
    minutes=6,
)
def fig6() -> Figure:
    """Counts the modes that hold 2 % of 2,500 samples, within 0.15 and within 3 standard deviations (0.03).

    The maps show the first seed. The numbers under them are medians over all seeds, within 0.15.
    """
    cross_entropy = Entry(
        "lsgan/ring_cross_entropy", lsgan.Config(), functools.partial(lsgan.build_ring, losses.non_saturating)
    )
    return Figure(
        measure=_measure_fig6,
        plot=_plot_fig6,
        claims=(
            Claim("modes of LSGAN minus modes of GAN, medians of 5 seeds, within 0.15 of a mode", "ball_gain", least=0),
            Claim("the same within 3 standard deviations, 0.03", "std_gain", least=0),
        ),
        runs={"LSGAN": run_spec("lsgan/ring", *STEPS, seeds=5), "GAN": run_spec(cross_entropy, *STEPS, seeds=5)},
    )
