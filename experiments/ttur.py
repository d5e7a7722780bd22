"""GANs Trained by a Two Time-Scale Update Rule (Heusel et al. 2017, arXiv 1706.08500): the Fréchet distance.

    python launch.py figure ttur/fid_unit

FID is the Fréchet distance of Gaussians fitted to Inception features of reals and of fakes. The estimate is right in
the limit of many samples, and too large with few, unlike what the README of the authors' code says.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from jaxgan import figures, plots
from jaxgan.evaluate.frechet import frechet_distance, moments
from jaxgan.figures import Claim, Figure

PAPER = "Heusel et al. 2017, arXiv 1706.08500"


@figures.register(
    "ttur/fid_unit",
    paper=PAPER,
    shows="the Fréchet distance of two known Gaussians from samples: right with many of them, too large with few",
    cost="3 s, 2 CPU cores",
)
def fid_unit() -> Figure:
    """Two Gaussians in 16 dimensions, and one against itself; 20 draws of each size."""
    d, sizes, draws = 16, (100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000), 20

    def measure(runs: figures.Looks) -> figures.Numbers:
        from scipy.linalg import sqrtm  # Takes a moment to import.

        rng = np.random.default_rng(0)
        gap, roots = rng.normal(size=d) / d**0.5, rng.normal(size=[2, d, d]) / d**0.5
        draw = lambda n, which: rng.normal(size=[n, d]) @ roots[which].T + which * gap
        a, b = (root @ root.T for root in roots)
        # The formula as it is written, at the true moments: nothing is shared with what it judges.
        true = gap @ gap + np.trace(a + b - 2 * sqrtm(a @ b).real)
        estimate = lambda n, which: frechet_distance(moments([draw(n, 0)]), moments([draw(n, which)]))
        apart, alike = (np.array([[estimate(n, w) for n in sizes] for _ in range(draws)]) for w in (1, 0))
        one = moments([draw(1_000, 0)])
        few, more = sizes.index(500), sizes.index(5_000)
        return {
            "sizes": np.array(sizes),
            "true": true.item(),
            "apart": apart,
            "alike": alike,
            "error": np.abs(apart[:, -1] / true - 1).max().item(),
            "itself": abs(frechet_distance(one, one)),
            "apart_bias": (np.median(apart[:, few]) / np.median(apart[:, more])).item(),
            "alike_bias": (np.median(alike[:, few]) / np.median(alike[:, more])).item(),
        }

    def plot(found: Mapping[str, Any]) -> Any:
        page, ((left, right),) = plots.panels(1, 2, height=2.2)
        plots.band(left, found["sizes"], found["apart"], f"estimate, {draws} draws")
        left.axhline(found["true"], color="black", linewidth=0.8, label="true")
        left.set(xscale="log", xlabel="samples of each", ylabel="Fréchet distance", title="Two Gaussians")
        plots.band(right, found["sizes"], found["alike"], f"estimate, {draws} draws")
        right.set(xscale="log", yscale="log", xlabel="samples of each", title="One Gaussian and itself: 0 is true")
        for ax in (left, right):
            ax.legend()
        return page

    return Figure(
        measure=measure,
        plot=plot,
        claims=(
            Claim("50,000 samples in 16 dimensions: largest relative error of 20 draws", "error", most=0.02),
            Claim("the distance of features from themselves is 0", "itself", most=1e-9),
            Claim("500 samples give more than 5,000, ratio of medians", "apart_bias", least=1.0),
            Claim("so they do where the true distance is 0, ratio of medians", "alike_bias", least=1.0),
        ),
    )
