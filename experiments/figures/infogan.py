"""The figure of InfoGAN (Chen et al. 2016) on the ring: each code becomes a mode."""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments import infogan
from experiments.infogan import NUM_CODES
from jaxgan.data import synthetic
from jaxgan.evaluate.modes import mode_coverage
from jaxgan.render import plots
from jaxgan.reports import figures
from jaxgan.reports.figures import Claim, Figure, Numbers, Runs, run_spec
from jaxgan.runs.run import Run
from jaxgan.training.metric_log import summarise_seeds

RING = synthetic.ring()


def code_agreement(points: np.ndarray, code: np.ndarray) -> float:
    """Returns the share of points [N, 2] within 3 standard deviations of a mode whose code belongs to that mode.

    Codes int [N] are assigned to modes by the best one-to-one matching (Hungarian algorithm), so that random codes
    agree in somewhat more than 1/8. NaN if no point is near a mode.
    """
    from scipy.optimize import linear_sum_assignment  # Takes a moment to import.

    distance = np.linalg.norm(points[:, None] - RING.modes, axis=-1)
    near = distance.min(1) <= 3 * RING.std
    counts = np.zeros([NUM_CODES, NUM_CODES])
    np.add.at(counts, (code[near], distance.argmin(1)[near]), 1)
    return float(counts[linear_sum_assignment(-counts)].sum() / near.sum()) if near.any() else math.nan


def sample_codes(run: Run, member: int, n: int = 4_000) -> tuple[np.ndarray, np.ndarray, float]:
    """Returns samples [n, 2] of the averaged generator, their codes [n] = i % 8, and L_I on them in nats."""
    code = jnp.arange(n) % NUM_CODES
    z = jax.random.uniform(jax.random.key(0), [n, run.config.latent], minval=-1.0)
    points = run.network("generator", member)(infogan.generator_input(z, code))
    features = run.network("discriminator", member)(points)["features"]
    information = infogan.information_bound(run.network("q", member)(features), code)
    return np.asarray(points), np.asarray(code), float(information)


def _measure(runs: Runs) -> Numbers:
    numbers: dict[str, Any] = {"steps": np.array([run.step for run in runs["infogan"]])}
    for name, runs_at_steps in runs.items():
        seeds = range(runs_at_steps[0].config.seeds)
        samples = [[sample_codes(run, member) for run in runs_at_steps] for member in seeds]
        numbers[f"{name}_information"] = np.array([[bound for _, _, bound in row] for row in samples])
        numbers[f"{name}_points"], numbers["code"], _ = samples[0][-1]
        last = [row[-1] for row in samples]
        numbers[f"{name}_agreement"] = summarise_seeds([code_agreement(points, code) for points, code, _ in last])
        coverage = [mode_coverage(points, RING.modes, RING.std) for points, _, _ in last]
        for key in ("high_quality", "covered"):
            numbers[f"{name}_{key}"] = summarise_seeds([values[key] for values in coverage])
    return numbers


def _plot(numbers: Numbers) -> Any:
    fig, ((left, middle, right),) = plots.subplots(1, 3, height=2.4)
    colours = np.array([*plots.COLOURS, "black"])[numbers["code"]]
    for ax, name, title in ((left, "infogan", "InfoGAN"), (middle, "gan", "Plain GAN")):
        near = 100 * numbers[f"{name}_high_quality"]["median"]
        ax.scatter(*numbers[f"{name}_points"][:2_000].T, s=3, c=colours[:2_000], linewidths=0)
        ax.set_title(f"{title}, coloured by code\n{near:.0f} % near a mode")
        ax.set(xlabel="x", ylabel="y", aspect="equal", xlim=(-1.8, 1.8), ylim=(-1.8, 1.8))
    right.axhline(math.log(NUM_CODES), color="black", linewidth=0.8, label="H(c) = ln 8")
    for name, label in (("infogan", "InfoGAN"), ("gan", "plain GAN")):
        plots.median_band(right, numbers["steps"], numbers[f"{name}_information"], label)
    right.set(xlabel="step", ylabel="$L_I$, nats", title="Bound on the information")
    right.legend()
    return fig


@figures.register(
    "infogan/ring",
    paper=infogan.PAPER,
    shows="the code of InfoGAN determines the mode of a sample; the code of a plain GAN does not",
    minutes=2,
)
def ring() -> Figure:
    """Both games on five seeds, of which the first is drawn. The plain GAN receives the code too."""
    steps = (0, 250, 500, 1_000, 3_000, 6_000)
    return Figure(
        measure=_measure,
        plot=_plot,
        runs={
            "infogan": run_spec("infogan/ring", *steps, seeds=5),
            "gan": run_spec("infogan/ring", *steps, seeds=5, info=0.0),
        },
        claims=(
            Claim("InfoGAN: share of samples near a mode whose code belongs to it", "infogan_agreement", least=0.9),
            Claim("plain GAN: the same share, at most twice 1/8", "gan_agreement", most=0.25),
        ),
    )
