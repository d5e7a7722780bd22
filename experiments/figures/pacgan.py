"""Figures of PacGAN (Lin et al. 2017): modes and quality by the size of a pack, and why packs reveal missing modes."""

import functools
import math
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
    "width and 128,000 steps of six times their learning rate for their 400,000, in 5 seeds",
    minutes=34,
    hardware="1 CPU core",
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
            f"{name} {method}": run_spec(f"pacgan/{name}", 128_000, seeds=5, pack=pack, batch_size=100 * pack)
            for name in DENSITIES
            for method, pack in PACKS.items()
        },
    )


EDGES = np.array([0.0, 0.2, 0.5, 1.0])  # of the intervals on which the three densities of fig_region are constant
TARGET = np.ones(3)
GENERATORS = {"lacks a fifth": np.array([0.0, 1.25, 1.25]), "is uneven": np.array([0.6, 0.6, 1.4])}
PACK_SIZES = np.arange(1, 11)
RANDOM_PAIRS = 400  # of distributions on four points
PACK = 3


def packed(p: np.ndarray, m: int) -> np.ndarray:
    """Returns the probabilities of all packs of m independent draws from the probabilities p [K]: [K ** m]."""
    return functools.reduce(np.kron, [p] * m)


def total_variation(p: np.ndarray, q: np.ndarray) -> float:
    """Returns half the sum of |p - q|."""
    return 0.5 * np.abs(p - q).sum().item()


def packing_bounds(tv: np.ndarray, m: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns the least and the largest total variation of packs of m draws, for pairs of total variation tv [N].

    The least is that of two Bernoulli variables, minimised over the smaller probability; the largest is
    1 - (1 - tv)^m (Lin et al. 2017, Theorem 3).
    """
    k = np.arange(m + 1)
    ways = np.array([math.comb(m, n) for n in k])
    binomial = lambda p: ways * p[..., None] ** k * (1 - p[..., None]) ** (m - k)
    smaller = np.linspace(0, 1, 101)[:, None] * (1 - tv)
    least = 0.5 * np.abs(binomial(smaller) - binomial(smaller + tv)).sum(-1).min(0)
    return least, 1 - (1 - tv) ** m


def region(p: np.ndarray, q: np.ndarray) -> np.ndarray:
    """Returns the boundary [K + 1, 2] of the mode collapse region: the largest P(S) for each Q(S)."""
    order = np.argsort(q / p)
    return np.concatenate([np.zeros([1, 2]), np.cumsum(np.stack([q[order], p[order]], axis=1), axis=0)])


def _measure_region(runs: Runs) -> Numbers:
    masses = np.diff(EDGES)
    p = TARGET * masses
    numbers: dict[str, Any] = {}
    for name, density in GENERATORS.items():
        q = density * masses
        numbers[f"{name} region"] = region(p, q)
        numbers[f"{name} tv"] = np.array([total_variation(packed(p, m), packed(q, m)) for m in PACK_SIZES])
        numbers[f"{name} tv of packs of 2"] = numbers[f"{name} tv"][1].item()
    lacking, uneven = (numbers[f"{name} tv"] for name in GENERATORS)
    pairs = np.random.default_rng(0).dirichlet(np.full(4, 0.5), size=[RANDOM_PAIRS, 2])
    of_one, of_two, of_pack = (
        np.array([total_variation(packed(a, m), packed(b, m)) for a, b in pairs]) for m in (1, 2, PACK)
    )
    least, largest = packing_bounds(of_one, PACK)
    curve = np.linspace(0, 1, 51)
    return numbers | {
        "of_one": of_one,
        "of_pack": of_pack,
        "curve": curve,
        "bounds": np.array(packing_bounds(curve, PACK)),
        "single gap": abs(lacking[0] - uneven[0]).item(),
        "least gain of random pairs": (of_two - of_one).min().item(),
        "outside": int(np.sum((of_pack < least - 1e-3) | (of_pack > largest + 1e-9))),
        "least advantage": (lacking - uneven)[1:].min().item(),
    }


def _plot_region(numbers: Numbers) -> Any:
    fig, axes = plots.subplots(1, 4, height=2.0)
    densities, regions, growth, pairs = axes[0]
    colours = dict(zip(GENERATORS, plots.COLOURS, strict=False))
    densities.stairs(TARGET, EDGES, color="black", baseline=None, label="data")
    for name, colour in colours.items():
        densities.stairs(GENERATORS[name], EDGES, color=colour, baseline=None, linewidth=1.2, label=name)
        regions.plot(*numbers[f"{name} region"].T, color=colour)
        regions.fill_between(*numbers[f"{name} region"].T, numbers[f"{name} region"][:, 0], color=colour, alpha=0.15)
        growth.plot(PACK_SIZES, numbers[f"{name} tv"], "o-", color=colour, markersize=3, label=name)
    densities.set(xlabel="x", ylabel="density", ylim=(-0.05, 2.6), title="Three densities")
    densities.legend(loc="upper center")
    regions.plot([0, 1], [0, 1], color="black", linewidth=0.8)
    regions.set(xlabel="ε: mass in the generator", ylabel="δ: mass in the data", title="Mode collapse region")
    growth.set(xlabel="samples in a pack", ylabel="total variation", ylim=(0, 1), title="Seen by D")
    pairs.plot(numbers["of_one"], numbers["of_pack"], ".", color="0.6", markersize=2, label="random pairs")
    for bound, style in zip(numbers["bounds"], ("--", "-"), strict=True):
        pairs.plot(numbers["curve"], bound, style, color="black", linewidth=0.8)
    pairs.set(xlabel="total variation, single", ylabel=f"in packs of {PACK}", title="All pairs: bounds")
    return fig


@figures.register(
    "pacgan/fig_region",
    paper=PAPER,
    shows="two generators at one distance from the data: the one that lacks a mode is farther away in packs",
    minutes=10 / 60,
)
def fig_region() -> Figure:
    """Exact total variations of packs, by enumeration. Data are uniform on [0, 1]; one generator lacks [0, 0.2].

    A pair has (ε, δ)-mode collapse if a set has mass δ or more in the data and ε or less in the generator (Definition
    1). The lines in the last panel bound the total variation of packs of all pairs (Theorem 3).
    """
    return Figure(
        measure=_measure_region,
        plot=_plot_region,
        claims=(
            Claim(
                "both generators are equally far from the data: difference of total variations",
                "single gap",
                most=1e-12,
            ),
            Claim(
                "lacks a fifth: total variation of packs of 2, 1 - 0.8² = 0.36, error below 1e-12",
                "lacks a fifth tv of packs of 2",
                least=0.36 - 1e-12,
                most=0.36 + 1e-12,
            ),
            Claim(
                "is uneven: total variation of packs of 2, 0.7² - 0.5² = 0.24, error below 1e-12",
                "is uneven tv of packs of 2",
                least=0.24 - 1e-12,
                most=0.24 + 1e-12,
            ),
            Claim(
                "packs of 2 to 10: total variation of the one that lacks a fifth minus the other's, the least",
                "least advantage",
                least=0.05,
            ),
            Claim(
                "random pairs: total variation of packs of 2 minus that of single draws, the least",
                "least gain of random pairs",
                least=0,
            ),
            Claim("random pairs outside the bounds of Theorem 3, packs of 3", "outside", most=0),
        ),
    )
