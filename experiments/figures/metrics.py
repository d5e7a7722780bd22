"""Precision, recall, density and coverage on data of known answers (Naeem et al. 2020, arXiv 2002.09797).

python launch.py figure metrics/prdc
"""

from typing import Any

import numpy as np

from jaxgan.evaluate.neighbours import expected_coverage, prdc
from jaxgan.render import plots
from jaxgan.reports import figures
from jaxgan.reports.figures import Claim, Figure, Numbers, Runs

PAPER = "Naeem et al. 2020, arXiv 2002.09797"
MODES, DIMENSIONS = 10, 4
SIZES = (100, 300, 1_000, 3_000)  # of two sets of one distribution
N = 600  # samples that lack modes, and data
DRAWS = 3
NAMES = ("precision", "recall", "density", "coverage")


def draw_mixture(rng: np.random.Generator, n: int, modes: int) -> np.ndarray:
    """Returns n points [n, DIMENSIONS] of the first `modes` of `MODES` Gaussians, which do not overlap."""
    centres = 20 * np.random.default_rng(0).normal(size=[MODES, DIMENSIONS])
    return centres[rng.integers(modes, size=n)] + rng.normal(size=[n, DIMENSIONS])


@figures.register(
    "metrics/prdc",
    paper=PAPER,
    shows="precision, recall, density and coverage of samples that lack modes, and of two sets of one distribution",
    minutes=10 / 60,
)
def prdc_limits() -> Figure:
    """Ten Gaussians in four dimensions, three draws. Coverage of equal distributions has a closed form, Lemma 2."""

    def measure(runs: Runs) -> Numbers:
        rng = np.random.default_rng(1)

        def values(n: int, modes: int) -> np.ndarray:
            """Returns the four metrics of n fakes of the first modes, for each draw: [DRAWS, 4]."""
            draws = [prdc(draw_mixture(rng, n, MODES), draw_mixture(rng, n, modes)) for _ in range(DRAWS)]
            return np.array([[values[name] for name in NAMES] for values in draws])

        by_modes = np.array([values(N, modes) for modes in range(1, MODES + 1)])  # [MODES, DRAWS, 4]
        by_size = np.array([values(n, MODES) for n in SIZES])
        expected = np.array([expected_coverage(n, n) for n in SIZES])
        precision, recall, density, coverage = by_size[-1].T
        half = by_modes[MODES // 2 - 1].mean(0)
        return {
            "by_modes": by_modes,
            "by_size": by_size,
            "expected": expected,
            "least": min(precision.min(), recall.min()).item(),
            "difference": np.abs(precision - recall).max().item(),
            "density_error": np.abs(density - 1).max().item(),
            "coverage_error": np.abs(coverage - expected[-1]).max().item(),
            "half_precision": half[0].item(),
            "half_recall": half[1].item(),
            "half_coverage": half[3].item(),
        }

    def plot(numbers: Numbers) -> Any:
        fig, ((left, right),) = plots.subplots(1, 2, height=2.3)
        for k, name in enumerate(NAMES):
            modes = np.arange(1, MODES + 1)
            style = "o--" if name == "coverage" else "o-"  # Its line covers that of recall.
            left.plot(modes, numbers["by_modes"].mean(1)[:, k], style, markersize=3, label=name)
        left.plot([0, MODES], [0, 1], ":", color="black", linewidth=0.8, label="share of modes")
        left.set(xlabel=f"modes of the samples, of {MODES}", ylabel="metric", title="Modes are missing", xlim=(0, 10.3))
        left.legend(loc="lower right")
        for k, name in ((2, "density"), (3, "coverage")):
            draws = numbers["by_size"][:, :, k]
            low, high = draws.min(1), draws.max(1)
            middle = draws.mean(1)
            right.errorbar(
                SIZES, middle, [middle - low, high - middle], fmt="o", markersize=3, color=plots.COLOURS[k], label=name
            )
        right.axhline(1, color="black", linewidth=0.8, linestyle=":")
        right.plot(SIZES, numbers["expected"], color="black", linewidth=0.8, label="expected coverage, Lemma 2")
        right.set(xscale="log", xlabel="examples of each set", title="Two sets of one distribution", ylim=(0.88, 1.12))
        right.legend(loc="upper right")
        return fig

    equal = f"two sets of {SIZES[-1]:,} from one distribution"
    half = "samples of five modes of ten"
    return Figure(
        measure=measure,
        plot=plot,
        claims=(
            Claim(f"{equal}: precision and recall, the smallest", "least", least=0.9),
            Claim(f"{equal}: |precision - recall|, the largest", "difference", most=0.02),
            Claim(f"{equal}: |density - 1|, the largest", "density_error", most=0.05),
            Claim(f"{equal}: coverage against its expectation, largest error", "coverage_error", most=0.015),
            Claim(f"{half}: precision stays", "half_precision", least=0.9),
            Claim(f"{half}: recall falls", "half_recall", most=0.6),
            Claim(f"{half}: coverage falls", "half_coverage", most=0.6),
        ),
    )
