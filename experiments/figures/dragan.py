"""Figure of On Convergence and Stability of GANs (Kodali et al. 2017, arXiv 1705.07215).

    python launch.py figure dragan/fig_sharp

The runs take 60,000 steps. After 20,000, as in a first version of the figure, the gradient of the GAN without a penalty
had not grown threefold yet.
"""

from typing import Any

import numpy as np

from experiments.dragan import PAPER
from jaxgan.core import penalties
from jaxgan.data.digits import digits
from jaxgan.render import pictures, plots
from jaxgan.reports.figures import Claim, Figure, Numbers, Runs, register, run_spec
from jaxgan.runs.run import Run
from jaxgan.training.metric_log import summarise_seeds


@register(
    "dragan/fig_sharp",
    paper=PAPER,
    shows="the discriminator's gradient at reals: it grows without the penalty and stays near 1 with it. The paper "
    "uses MNIST and 200,000 steps; here 64-128-1 networks learn 8x8 digits in 60,000 steps, with 3 seeds",
    minutes=5,
)
def fig_sharp() -> Figure:
    """The mean gradient norm at all reals during training. Its ratio compares the last step with step 0."""
    steps = range(0, 60_001, 6_000)

    def measure(runs: Runs) -> Numbers:
        real = np.float32(digits().images) / 127.5 - 1

        def mean_gradient_norm(run: Run, member: int) -> float:
            return float(penalties.gradient_norm(run.network("discriminator", member), real).mean())

        numbers: dict[str, Any] = {"steps": np.array([run.step for run in runs["GAN"]])}
        for name, examined in runs.items():
            members = range(examined[0].config.seeds)
            norms = np.array([[mean_gradient_norm(run, member) for run in examined] for member in members])
            numbers |= {
                f"{name}_norm": norms,
                f"{name}_ratio": summarise_seeds(norms[:, -1] / norms[:, 0]),
                f"{name}_end": summarise_seeds(norms[:, -1]),
                f"{name}_samples": examined[-1].sample(36),
            }
        return numbers

    def plot(numbers: Numbers) -> Any:
        fig, ((curves, *panels),) = plots.subplots(1, 3, height=2.2, width_ratios=[1.6, 1, 1])
        for name, ax in zip(("GAN", "DRAGAN"), panels, strict=True):
            plots.median_band(curves, numbers["steps"] / 1e3, numbers[f"{name}_norm"], name)
            ax.imshow(pictures.grid(numbers[f"{name}_samples"]), cmap="gray")
            ax.set(title=f"{name}, samples at the end", xticks=[], yticks=[])
            ax.spines[:].set_visible(False)
        curves.axhline(1, color="black", linewidth=0.8, linestyle=":")
        curves.set(title="Discriminator at reals", xlabel="steps / 1000", ylabel="mean gradient norm")
        curves.set_ylim(0)
        curves.legend()
        return fig

    ratio = "mean gradient norm at the end relative to the start, median of 3 seeds"
    return Figure(
        measure=measure,
        plot=plot,
        claims=(
            Claim(f"GAN: {ratio}", "GAN_ratio", least=3),
            Claim(f"DRAGAN: {ratio}", "DRAGAN_ratio", least=0.5, most=2),
        ),
        runs={
            "GAN": run_spec("dragan/digits", *steps, seeds=3, penalty=0.0),
            "DRAGAN": run_spec("dragan/digits", *steps, seeds=3),
        },
    )
