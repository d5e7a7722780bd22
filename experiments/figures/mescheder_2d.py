"""Training on sets in the plane (Mescheder et al. 2018, arXiv 1801.04406): how far samples are from the data.

python launch.py figure mescheder/toy2d
"""

import dataclasses
import functools
from typing import Any

import jax
import numpy as np

from experiments.dirac import PAPER
from experiments.figures.several_densities import sample_each, side_by_side
from jaxgan.core import losses, optim, penalties, prng
from jaxgan.core.penalties import Penalty
from jaxgan.data import synthetic
from jaxgan.data.synthetic import Density
from jaxgan.networks import mlp
from jaxgan.render import plots
from jaxgan.reports import figures
from jaxgan.reports.figures import Claim, Figure, Numbers, Runs, RunSpec, run_spec
from jaxgan.runs import targets
from jaxgan.runs.registry import Entry
from jaxgan.training import experiment
from jaxgan.training.experiment import Experiment, setting
from jaxgan.training.metric_log import summarise_seeds

POINTS = 500  # samples whose distance from as many data is measured


def four_lines(length: float = 4.0, spacing: float = 1.0, std: float = 0.02) -> Density:
    """Returns noise around four parallel segments of equal weight, centred at the origin."""

    def position(u: Any, xp: Any) -> Any:
        row = xp.minimum(xp.floor(4 * u), 3)
        return xp.stack([length * (4 * u - row - 0.5), spacing * (row - 1.5)], axis=-1)

    return synthetic.curve(position, std, scale=1.0)


DENSITIES = {
    "Gaussian": synthetic.gaussian_mixture(np.zeros([1, 2]), 1.0),
    "line": synthetic.line(scale=1.0),
    "circle": synthetic.circle(scale=1.0),
    "four lines": four_lines(),
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(experiment.Config):
    """Networks of four hidden layers of 16 units, RMSProp for both players."""

    steps: int = 10_000
    batch_size: int = 128
    latent: int = setting(16, "dimensions of z")
    width: int = setting(16, "units of a hidden layer")
    depth: int = setting(4, "hidden layers")
    lr: float = setting(1e-3, "learning rate of both players")
    weight: float = setting(10.0, "weight of the penalty: gamma of R1, lambda of WGAN-GP")


def build(loss: losses.Adversarial, penalty: Penalty | None, config: Config) -> Experiment:
    """Returns the experiment of a loss and a penalty on all `DENSITIES`."""

    def on(density: Density) -> Experiment:
        return targets.density(density).two_player(
            config,
            mlp.Generator((2,), config.width, config.depth),
            mlp.Critic(config.width, config.depth),
            loss,
            prng.normal_latent(config.latent),
            g_optimizer=optim.rmsprop(config.lr),
            d_optimizer=optim.rmsprop(config.lr),
            penalty=penalty,
            penalty_weight=config.weight,
        )

    return side_by_side(on, list(DENSITIES.values()))


METHODS = {
    "none": ("unregularised", losses.non_saturating, None),
    "wgan_gp": ("WGAN-GP", losses.wasserstein, penalties.gradient_penalty),
    "r1": ("R1", losses.non_saturating, penalties.r1),
}


def _run(name: str) -> RunSpec:
    _, loss, penalty = METHODS[name]
    return run_spec(
        Entry(f"plane_{name}/four_sets", Config(), functools.partial(build, loss, penalty)), 10_000, seeds=3
    )


def earth_movers_distance(a: np.ndarray, b: np.ndarray) -> float:
    """Returns the mean distance of the points a [N, D] and b [N, D] under the best one-to-one assignment."""
    from scipy.optimize import linear_sum_assignment  # Takes a moment to import.
    from scipy.spatial.distance import cdist

    distances = cdist(a, b)
    return distances[linear_sum_assignment(distances)].mean().item()


def draw(density: Density, seed: int, n: int = POINTS) -> np.ndarray:
    """Returns n points [n, 2] of a density."""
    return np.asarray(jax.vmap(density.sample)(jax.random.split(jax.random.key(seed), n)))


@figures.register(
    "mescheder/toy2d",
    paper=PAPER,
    shows="how far samples are from four sets in the plane, without a penalty, with WGAN-GP and with R1; 10,000 steps "
    "for the paper's 50,000, one discriminator update a step",
    minutes=3,
)
def toy2d() -> Figure:
    """Three seeds. The distance is between 500 samples and 500 data; that of two draws of the data is the floor."""

    def measure(runs: Runs) -> Numbers:
        data = [draw(density, seed=1) for density in DENSITIES.values()]
        floor = [earth_movers_distance(x, draw(d, seed=2)) for x, d in zip(data, DENSITIES.values(), strict=True)]
        numbers: dict[str, Any] = {"floor": np.array(floor)}
        for name, (run,) in runs.items():
            samples = sample_each(run, POINTS)
            distances = [
                [earth_movers_distance(x, y) for x, y in zip(of_seed, data, strict=True)] for of_seed in samples
            ]
            numbers[f"{name} distances"] = np.array(distances)  # [seeds, densities]
            numbers[f"{name} samples"] = samples[0]
            numbers[f"{name} mean"] = summarise_seeds(np.mean(distances, axis=1))
        for name in ("none", "wgan_gp"):
            numbers[f"r1 over {name}"] = numbers["r1 mean"]["median"] / numbers[f"{name} mean"]["median"]
        return numbers

    def plot(numbers: Numbers) -> Any:
        fig, axes = plots.subplots(len(METHODS), len(DENSITIES) + 1, height=1.3, width_ratios=[1, 1, 1, 1, 1.4])
        for row, (name, (label, *_)) in zip(axes, METHODS.items(), strict=True):
            for ax, density, points in zip(row, DENSITIES.values(), numbers[f"{name} samples"], strict=False):
                ax.plot(*draw(density, seed=1).T, ".", color="0.75", markersize=1.5)
                ax.plot(*points.T, ".", color=plots.COLOURS[0], markersize=1.5, alpha=0.6)
                ax.set(xlim=(-3.3, 3.3), ylim=(-3.3, 3.3), xticks=[], yticks=[], aspect="equal")
            row[0].set_ylabel(label)
        for ax, title in zip(axes[0], DENSITIES, strict=False):
            ax.set_title(title)
        for ax in axes[:, -1]:
            ax.remove()
        summary = fig.add_subplot(axes[0, 0].get_gridspec()[:, -1])
        places = np.arange(len(DENSITIES))
        for k, (name, (label, *_)) in enumerate(METHODS.items()):
            distances = numbers[f"{name} distances"]
            shift = 0.22 * (k - 1)
            summary.plot(
                np.tile(places + shift, (len(distances), 1)).T, distances.T, ".", color=plots.COLOURS[k], markersize=4
            )
            summary.plot(
                places + shift, np.median(distances, axis=0), "_", color=plots.COLOURS[k], markersize=9, label=label
            )
        summary.plot(places, numbers["floor"], "_", color="black", markersize=22)
        summary.plot([], [], "_", color="black", markersize=9, label="data, twice")
        summary.set(yscale="log", ylabel="earth mover's distance", title="3 seeds, medians")
        summary.set_xticks(places, [name.replace(" ", "\n") for name in DENSITIES], fontsize=6)
        summary.legend(loc="lower center", bbox_to_anchor=(0.5, 1.08), ncols=2, columnspacing=1, handlelength=1)
        return fig

    mean = "mean distance over the four sets, median of 3 seeds"
    return Figure(
        measure=measure,
        plot=plot,
        runs={name: _run(name) for name in METHODS},
        claims=(
            Claim(f"{mean}: R1's over that of WGAN-GP with one critic update", "r1 over wgan_gp", most=1.0),
            Claim(f"{mean}: R1's over that without a penalty", "r1 over none", most=1.0),
        ),
    )
