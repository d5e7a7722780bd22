"""Interpolation in latent space (Goodfellow et al. 2014, arXiv 1406.2661, figure 3).

python launch.py figure gan/fig3
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments.gan import PAPER
from jaxgan.render import plots
from jaxgan.reports import figures
from jaxgan.reports.figures import Claim, Figure, Numbers, Runs, run_spec

LINES, POINTS = 20, 33  # lines between two latents each, and points on a line
SHOWN = 5, 12  # lines and points drawn


@figures.register(
    "gan/fig3",
    paper=PAPER,
    shows="samples along straight lines between latents change gradually; 8x8 digits in place of MNIST's",
    minutes=2,
)
def fig3() -> Figure:
    """The distance of neighbouring samples on a line in pixel space: the largest over the mean."""

    def measure(runs: Runs) -> Numbers:
        (run,) = runs["GAN"]
        start, end = jax.random.normal(jax.random.key(1), [2, LINES, 1, run.config.latent])
        share = jnp.linspace(0, 1, POINTS)[None, :, None]
        z = ((1 - share) * start + share * end).reshape(LINES * POINTS, -1)
        images = np.asarray(run.network("generator")(z), np.float64).reshape(LINES, POINTS, 64)
        distances = np.linalg.norm(np.diff(images, axis=1), axis=-1)  # [lines, points - 1]
        ratios = distances.max(1) / distances.mean(1)
        columns = np.linspace(0, POINTS - 1, SHOWN[1]).round().astype(int)
        return {
            "images": images[: SHOWN[0], columns].reshape(*SHOWN, 8, 8),
            "distances": distances,
            "ratios": ratios,
            "worst": ratios.max().item(),
            "median": np.median(ratios).item(),
        }

    def plot(numbers: Numbers) -> Any:
        fig, ((left, right),) = plots.subplots(1, 2, height=2.2, width_ratios=[2.2, 1])
        tiles = np.pad(numbers["images"], [(0, 0), (0, 0), (0, 1), (0, 1)], constant_values=1.0)
        left.imshow(tiles.swapaxes(1, 2).reshape(9 * SHOWN[0], 9 * SHOWN[1]), cmap="gray", interpolation="nearest")
        left.set(xticks=[], yticks=[], xlabel="from one latent to another, in equal steps")
        left.spines[:].set_visible(False)
        relative = numbers["distances"] / numbers["distances"].mean(1, keepdims=True)
        right.plot(np.linspace(0, 1, POINTS - 1), relative.T, color=plots.COLOURS[0], linewidth=0.6, alpha=0.4)
        right.axhline(4, color="black", linewidth=0.8, linestyle=":", label="claimed bound")
        right.set(xlabel="position on the line", ylabel="step in pixel space / its mean", ylim=(0, 4.6))
        right.legend(loc="upper left")
        return fig

    return Figure(
        measure=measure,
        plot=plot,
        runs={"GAN": run_spec("non_saturating/digits", 15_000)},
        claims=(Claim(f"largest step over the mean step of a line, the worst of {LINES} lines", "worst", most=4.0),),
    )
