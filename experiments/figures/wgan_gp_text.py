"""Text by WGAN-GP and by weight clipping (Gulrajani et al. 2017, section 5.4).

python launch.py figure wgan_gp/text
"""

from typing import Any

import numpy as np

from experiments.wgan_gp import PAPER
from jaxgan.render import plots
from jaxgan.reports import figures
from jaxgan.reports.figures import Claim, Figure, Numbers, Runs, run_spec

STEPS = (1_000, 2_000, 4_000, 6_000, 8_000)
METHODS = {"wgan_gp": "gradient penalty", "wgan": "weight clipping"}
SAMPLES = 5_000


@figures.register(
    "wgan_gp/text",
    paper=PAPER,
    shows="divergence of n-grams from held-out text over training: gradient penalty and weight clipping",
    minutes=8,
)
def text() -> Figure:
    """The dotted line is the divergence of as many windows of the training text."""

    def measure(runs: Runs) -> Numbers:
        numbers: dict[str, Any] = {"steps": np.array([run.step for run in runs["wgan_gp"]])}
        for method in METHODS:
            values = [run.evaluate(SAMPLES) for run in runs[method]]
            for n in (1, 2, 3, 4):
                numbers[f"{method}/js{n}"] = np.array([value[f"eval/js{n}"] for value in values])
            numbers["floor"] = values[-1]["eval/js4_floor"]
            numbers[f"{method}/samples"] = runs[method][-1].sample(8)
        penalised, clipped = (numbers[f"{method}/js4"] for method in METHODS)
        numbers["largest_rise"] = float(np.diff(penalised).max())
        numbers["penalised_minus_clipped"] = float(penalised[-1] - clipped[-1])
        return numbers

    def plot(numbers: Numbers) -> Any:
        fig, axes = plots.subplots(1, 4, height=2.2, sharex=True)
        for n, ax in enumerate(axes[0], 1):
            for method, label in METHODS.items():
                ax.plot(numbers["steps"], numbers[f"{method}/js{n}"], "o-", markersize=3, label=label)
            ax.set(title=f"{n}-grams", xlabel="step", ylim=(0, None))
        axes[0, 3].axhline(numbers["floor"], color="black", linewidth=0.8, linestyle=":", label="training text")
        axes[0, 0].set_ylabel("Jensen-Shannon divergence, bits")
        axes[0, 3].legend()
        return fig

    return Figure(
        measure=measure,
        plot=plot,
        runs={method: run_spec(f"{method}/text", *STEPS) for method in METHODS},
        claims=(
            Claim("gradient penalty: largest rise of JS-4 between two of 5 checkpoints, bits", "largest_rise", most=0),
            Claim("JS-4 at the end, gradient penalty minus clipping, bits", "penalised_minus_clipped", most=0),
        ),
    )
