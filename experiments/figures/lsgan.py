"""Figures of LSGAN (Mao et al. 2016): the slope of the generator's loss, and mode coverage on a ring."""

import functools
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from experiments import lsgan
from experiments.lsgan import RING
from jaxgan.core import losses
from jaxgan.evaluate.modes import mode_coverage
from jaxgan.render import plots
from jaxgan.reports import figures
from jaxgan.reports.figures import Claim, Figure, Numbers, Runs, RunSpec, run_spec
from jaxgan.runs.registry import Entry
from jaxgan.training.metric_log import summarise_seeds

RADII = {"ball": 0.15, "std": 3 * RING.std}  # how far from a mode a sample counts as its own; 0.15: balls do not touch
STEPS = (0, 5_000, 15_000, 25_000, 35_000)
LOSSES = {"LSGAN": losses.least_squares, "GAN": losses.non_saturating}


class Variant(NamedTuple):
    """A setting of the ring: its label, and how it differs from `lsgan/ring`."""

    label: str
    options: Mapping[str, Any]  # of `lsgan.build_ring`
    settings: Mapping[str, Any]


UNEVEN, SIMULTANEOUS = {"density": lsgan.UNEVEN_RING}, {"simultaneous": True}
VARIANTS = {
    "ours": Variant("ours: even,\nalternating,\nbatch 64", {}, {}),
    "uneven": Variant("one mode\nof double\nweight", UNEVEN, {}),
    "simultaneous": Variant("simulta-\nneous", SIMULTANEOUS, {}),
    "authors": Variant("authors':\nboth, and\nbatch 512", UNEVEN | SIMULTANEOUS, {"batch_size": 512}),
}
DRAWN = ("authors", "ours")  # whose samples are drawn along training


def _run(variant: str, loss: str) -> RunSpec:
    """Returns the run of a loss in a setting, with five seeds."""
    _, options, settings = VARIANTS[variant]
    if (variant, loss) == ("ours", "LSGAN"):
        return run_spec("lsgan/ring", *STEPS, seeds=5)
    name = "lsgan/ring_cross_entropy" if variant == "ours" else f"lsgan/ring_{variant}_{loss}"
    build = functools.partial(lsgan.build_ring, LOSSES[loss], **options)
    steps = STEPS if variant in DRAWN else STEPS[-1:]
    return run_spec(Entry(name, lsgan.Config(), build), *steps, seeds=5, **settings)


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
    numbers: dict[str, Any] = {"steps": np.array(STEPS)}
    for label, examined in runs.items():
        seeds = range(examined[0].config.seeds)
        samples = [[run.sample(2_500, member=k) for run in examined] for k in seeds]
        for ball, radius in RADII.items():
            coverage = functools.partial(mode_coverage, centres=RING.modes, std=RING.std, radius=radius / RING.std)
            values = [[coverage(x) for x in row] for row in samples]
            numbers[f"{label} {ball}"] = np.array([[value["covered"] for value in row] for row in values])
            for key in ("covered", "high_quality", "mode_kl"):
                numbers[f"{label} {ball} {key}"] = summarise_seeds([row[-1][key] for row in values])
        if label.split()[0] in DRAWN:
            numbers[f"{label} heat"] = np.stack([heat_map(x) for x in samples[0]])
    for variant in VARIANTS:
        for ball in RADII:
            medians = [numbers[f"{variant} {loss} {ball} covered"]["median"] for loss in LOSSES]
            numbers[f"{variant} {ball} gain"] = medians[0] - medians[1]
    data = jax.vmap(RING.sample)(jax.random.split(jax.random.key(0), 2_500))
    return numbers | {"data heat": heat_map(np.asarray(data))}


def _plot_fig6(numbers: Numbers) -> Any:
    from scipy.ndimage import gaussian_filter  # Takes a moment to import.

    fig, axes = plots.subplots(5, len(STEPS) + 1, height=1.2, height_ratios=[1, 1, 1, 1, 1.5])
    rows = [(variant, loss) for variant in DRAWN for loss in LOSSES]
    for row, (variant, loss) in zip(axes, rows, strict=False):
        heats = [*numbers[f"{variant} {loss} heat"], numbers["data heat"]]
        for k, (ax, counts) in enumerate(zip(row, heats, strict=True)):
            smooth = gaussian_filter(counts, 1.5)
            ax.imshow(smooth, origin="lower", vmax=0.5 * smooth.max() or 1)
            ax.set(xticks=[], yticks=[])
            ax.spines[:].set_visible(False)
            if k < len(STEPS):
                covered = np.median(numbers[f"{variant} {loss} ball"][:, k])
                ax.set_xlabel(f"median: {covered:g} of 8", labelpad=1)
        row[0].set_ylabel(f"{loss},\n{'authors’' if variant == 'authors' else 'our'} setting")
    for ax, step in zip(axes[0], STEPS, strict=False):
        ax.set_title(f"step {step:,}")
    axes[0, -1].set_title("data")
    for ax in axes[-1]:
        ax.remove()
    panel = fig.add_subplot(axes[0, 0].get_gridspec()[-1, :])
    for k, (loss, colour) in enumerate(zip(LOSSES, plots.COLOURS, strict=False)):
        for place, variant in enumerate(VARIANTS):
            seeds = numbers[f"{variant} {loss} ball"][:, -1]
            at = place + 0.3 * (k - 0.5)
            spread = np.linspace(-0.08, 0.08, len(seeds))
            panel.plot(at + spread, np.sort(seeds), "o", color=colour, markersize=3, label=None if place else loss)
            panel.plot([at - 0.12, at + 0.12], [np.median(seeds)] * 2, color="black", linewidth=0.8)
    panel.set(ylabel="modes of 8", ylim=(-0.4, 8.6), title="at the end: five seeds and their median")
    panel.set_xticks(range(len(VARIANTS)), [variant.label for variant in VARIANTS.values()])
    panel.legend(loc="center left", bbox_to_anchor=(1, 0.5))
    return fig


@figures.register(
    "lsgan/fig6",
    paper=lsgan.PAPER,
    shows="samples along training on a ring of 8 Gaussians, by least squares and by cross-entropy, in the setting of "
    "the authors' script and in ours; and what the order of the two depends on",
    minutes=30,
    hardware="1 CPU core",
)
def fig6() -> Figure:
    """Counts the modes that hold 2 % of 2,500 samples, within 0.15 and within 3 standard deviations (0.03).

    The maps show the first seed. The numbers under them are medians over all seeds, within 0.15. The last panel changes
    one thing at a time, and then everything.
    """
    gain = "modes of LSGAN minus modes of GAN, medians of 5 seeds"
    return Figure(
        measure=_measure_fig6,
        plot=_plot_fig6,
        claims=(
            Claim(f"the authors' setting: {gain}, within 0.15 of a mode", "authors ball gain", least=0),
            Claim("the same within 3 standard deviations, 0.03", "authors std gain", least=0),
            Claim(f"our setting: {gain}, within 0.15 of a mode", "ours ball gain", least=0),
            Claim("the same within 3 standard deviations, 0.03", "ours std gain", least=0),
        ),
        runs={f"{variant} {loss}": _run(variant, loss) for variant in VARIANTS for loss in LOSSES},
    )
