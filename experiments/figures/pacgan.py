"""The table of PacGAN (Lin et al. 2017): modes, quality and balance of samples by the size of a pack."""

from typing import Any

import numpy as np

from experiments.pacgan import DENSITIES, PAPER
from jaxgan.evaluate.modes import mode_coverage
from jaxgan.render import plots
from jaxgan.reports import figures
from jaxgan.reports.figures import Claim, Figure, Numbers, Runs, run_spec
from jaxgan.training.metric_log import summarise_seeds

PACKS = {"GAN": 1, "PacGAN4": 4}
METRICS = ("covered", "high_quality", "mode_kl")


def _measure(runs: Runs) -> Numbers:
    numbers: dict[str, Any] = {}
    for label, (run,) in runs.items():
        density, _ = DENSITIES[label.split()[0]]
        samples = [run.sample(2_500, member=k) for k in range(run.config.seeds)]
        coverage = [mode_coverage(x, density.modes, density.std, share=0) for x in samples]
        numbers[f"{label} samples"] = samples[0]
        for key in METRICS:
            numbers[f"{label} {key}"] = summarise_seeds([values[key] for values in coverage])
            numbers[f"{label} {key} mean"] = float(np.mean([values[key] for values in coverage]))
    for name in DENSITIES:
        for key in ("covered", "mode_kl"):
            gain = numbers[f"{name} PacGAN4 {key} mean"] - numbers[f"{name} GAN {key} mean"]
            numbers[f"{name} {key} gain"] = gain
    return numbers


def _plot(numbers: Numbers) -> Any:
    fig, axes = plots.subplots(2, len(PACKS) + 1, height=1.9)
    for row, (name, (density, _)) in zip(axes, DENSITIES.items(), strict=True):
        _plot_row(row, name, density.modes, numbers)
    for ax, method in zip(axes[0], PACKS, strict=False):
        ax.set_title(method)
    axes[0, -1].set_title("5 seeds and their mean")
    axes[-1, -1].set_xlabel("samples in a pack")
    return fig


def _plot_row(row: np.ndarray, name: str, modes: np.ndarray, numbers: Numbers) -> None:
    """Draws the samples of each method on one density, and the numbers of modes of all seeds."""
    limit = 1.3 * np.abs(modes).max()
    *sample_axes, count_ax = row
    for ax, method in zip(sample_axes, PACKS, strict=True):
        ax.plot(*modes.T, "o", color="0.8", markersize=5, zorder=0)
        ax.plot(*numbers[f"{name} {method} samples"].T, ".", markersize=1, alpha=0.5)
        ax.set(xlim=(-limit, limit), ylim=(-limit, limit), xticks=[], yticks=[], aspect="equal")
        ax.spines[:].set_visible(False)
        covered, quality, kl = (numbers[f"{name} {method} {key} mean"] for key in METRICS)
        ax.set_xlabel(f"{covered:.1f} modes, {quality:.0%} hq, KL {kl:.2f}")
    for k, method in enumerate(PACKS):
        seeds = np.array(numbers[f"{name} {method} covered"]["seeds"])
        count_ax.plot(k + np.linspace(-0.15, 0.15, len(seeds)), seeds, "o", markersize=3)
        count_ax.plot([k - 0.3, k + 0.3], [seeds.mean()] * 2, color="black", linewidth=0.8)
    count_ax.set(xticks=range(len(PACKS)), xticklabels=PACKS.values(), ylabel=f"modes of {len(modes)}")
    count_ax.yaxis.get_major_locator().set_params(integer=True)
    row[0].set_ylabel(name)


@figures.register(
    "pacgan/table1",
    paper=PAPER,
    shows="modes, quality and balance of samples with packs of one and of four; networks of a sixth of the authors' "
    "width and 20,000 steps for their 400,000, in 5 seeds",
    minutes=10,
)
def table1() -> Figure:
    """Measures 2,500 samples of each seed.

    A mode counts if one sample lies within 3 standard deviations of it; quality is the share of samples that lie within
    3 standard deviations of a mode; the KL divergence of their modes from uniform is in nats.
    """
    return Figure(
        measure=_measure,
        plot=_plot,
        claims=(
            Claim("grid: modes of PacGAN4 minus modes of GAN, means of 5 seeds", "grid covered gain", least=3),
            Claim("grid: KL of PacGAN4 minus KL of GAN, means of 5 seeds, nats", "grid mode_kl gain", most=0),
        ),
        runs={
            f"{name} {method}": run_spec(f"pacgan/{name}", 20_000, seeds=5, pack=pack, batch_size=100 * pack)
            for name in DENSITIES
            for method, pack in PACKS.items()
        },
    )
