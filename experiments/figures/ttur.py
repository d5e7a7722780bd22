"""The Fréchet distance of "GANs Trained by a Two Time-Scale Update Rule" (Heusel et al. 2017, arXiv 1706.08500).

    python launch.py figure ttur/fid_unit

FID is the Fréchet distance between Gaussians fitted to Inception features of reals and of fakes. The estimate is right
in the limit of many samples and too large with few. The README of the authors' code says otherwise.
"""

from typing import Any

import numpy as np

from jaxgan.evaluate.frechet import frechet_distance, moments
from jaxgan.render import plots
from jaxgan.reports import figures
from jaxgan.reports.figures import Claim, Figure

PAPER = "Heusel et al. 2017, arXiv 1706.08500"
DIMENSIONS = 16
SIZES = (100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000)
REPEATS = 20  # of each size


@figures.register(
    "ttur/fid_unit",
    paper=PAPER,
    shows="the Fréchet distance of two known Gaussians from samples: right with many, too large with few",
    minutes=3 / 60,
)
def fid_unit() -> Figure:
    """Estimates between two Gaussians in 16 dimensions, and between one Gaussian and itself."""

    def measure(runs: figures.Runs) -> figures.Numbers:
        from scipy.linalg import sqrtm  # Takes a moment to import.

        rng = np.random.default_rng(0)
        gap = rng.normal(size=DIMENSIONS) / DIMENSIONS**0.5
        roots = rng.normal(size=[2, DIMENSIONS, DIMENSIONS]) / DIMENSIONS**0.5

        def draw(n: int, which: int) -> np.ndarray:
            return rng.normal(size=[n, DIMENSIONS]) @ roots[which].T + which * gap

        def estimate(n: int, which: int) -> float:
            return frechet_distance(moments([draw(n, 0)]), moments([draw(n, which)]))

        a, b = (root @ root.T for root in roots)
        # The formula at the true moments, with no code in common with frechet_distance.
        true = gap @ gap + np.trace(a + b - 2 * sqrtm(a @ b).real)
        two, same = (np.array([[estimate(n, which) for n in SIZES] for _ in range(REPEATS)]) for which in (1, 0))
        fit = moments([draw(1_000, 0)])
        few, many = SIZES.index(500), SIZES.index(5_000)
        return {
            "sizes": np.array(SIZES),
            "true": true.item(),
            "apart": two,
            "alike": same,
            "error": np.abs(two[:, -1] / true - 1).max().item(),
            "itself": abs(frechet_distance(fit, fit)),
            "apart_bias": (np.median(two[:, few]) / np.median(two[:, many])).item(),
            "alike_bias": (np.median(same[:, few]) / np.median(same[:, many])).item(),
        }

    def plot(numbers: figures.Numbers) -> Any:
        fig, ((left, right),) = plots.subplots(1, 2, height=2.2)
        plots.median_band(left, numbers["sizes"], numbers["apart"], f"estimate, {REPEATS} draws")
        left.axhline(numbers["true"], color="black", linewidth=0.8, label="true")
        left.set(xscale="log", xlabel="samples of each", ylabel="Fréchet distance", title="Two Gaussians")
        plots.median_band(right, numbers["sizes"], numbers["alike"], f"estimate, {REPEATS} draws")
        right.set(xscale="log", yscale="log", xlabel="samples of each", title="One Gaussian and itself: 0 is true")
        for ax in (left, right):
            ax.legend()
        return fig

    return Figure(
        measure=measure,
        plot=plot,
        claims=(
            Claim("50,000 samples in 16 dimensions: largest relative error of 20 draws", "error", most=0.02),
            Claim("the distance of features from themselves is 0", "itself", most=1e-9),
            Claim("two Gaussians, 500 samples against 5,000: ratio of medians is above 1", "apart_bias", least=1.0),
            Claim("one Gaussian, 500 samples against 5,000: ratio of medians is above 1", "alike_bias", least=1.0),
        ),
    )
