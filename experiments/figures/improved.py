"""The Inception score of "Improved Techniques for Training GANs" (Salimans et al. 2016, arXiv 1606.03498).

    python launch.py figure improved/is_limits

The score exp(E KL(p(y|x) || p(y))) is the exponential of a mutual information. It is 1 if all samples have the same
posterior, and K if each sample certainly belongs to one of K equally frequent classes.
"""

from typing import Any

import numpy as np

from jaxgan.evaluate.inception_score import inception_score
from jaxgan.render import plots
from jaxgan.reports import figures
from jaxgan.reports.figures import Claim, Figure

PAPER = "Salimans et al. 2016, arXiv 1606.03498"
CLASSES = 10


def _score(posteriors: np.ndarray) -> float:
    return inception_score(posteriors)[0]


def _cyclic_labels(k: int) -> np.ndarray:
    """Returns 20 k CLASSES labels in which every split of the score contains each of the k classes equally often."""
    return np.arange(20 * k * CLASSES) % k


def _posteriors(p: float) -> np.ndarray:
    """Returns posteriors [CLASSES, CLASSES]: p for the own class and equal shares of 1 - p for the others."""
    return p * np.eye(CLASSES) + (1 - p) / (CLASSES - 1) * (1 - np.eye(CLASSES))


@figures.register(
    "improved/is_limits",
    paper=PAPER,
    shows="the Inception score of known posteriors: it counts classes if the classifier is certain",
    minutes=1 / 60,
)
def is_limits() -> Figure:
    """Scores of constructed posteriors, against closed forms."""

    def measure(runs: figures.Runs) -> figures.Numbers:
        certain = {k: _score(np.eye(k)[_cyclic_labels(k)]) for k in (2, 5, 10, 100, 1000)}
        constant = [np.eye(CLASSES)[0], np.ones(CLASSES) / CLASSES, np.arange(CLASSES) / 45]
        constant_scores = [_score(np.tile(p, [100, 1])) for p in constant]
        reached = np.arange(1, CLASSES + 1)
        collapsed = np.array([_score(np.eye(CLASSES)[_cyclic_labels(k)]) for k in reached])
        confidence = np.linspace(1 / CLASSES, 1, 46)
        return {
            "reached": reached,
            "collapsed": collapsed,
            "confidence": confidence,
            "unsure": np.array([_score(_posteriors(p)[_cyclic_labels(CLASSES)]) for p in confidence]),
            "sure_error": max(abs(score - k) for k, score in certain.items()),
            "same_error": max(abs(score - 1) for score in constant_scores),
            "collapsed_error": np.abs(collapsed - reached).max().item(),
        }

    def plot(numbers: figures.Numbers) -> Any:
        fig, ((left, right),) = plots.subplots(1, 2, height=2.2, sharey=True)
        left.plot(numbers["reached"], numbers["reached"], color="black", linewidth=0.8, label="classes")
        left.plot(numbers["reached"], numbers["collapsed"], "o", markersize=4, label="score")
        left.set(xlabel=f"classes in the samples, of {CLASSES}", ylabel="Inception score", title="Certain posteriors")
        p, q = numbers["confidence"], 1 - numbers["confidence"]
        entropy = -p * np.log(p) - q * np.log(np.maximum(q, 1e-300) / (CLASSES - 1))
        right.plot(p, np.exp(np.log(CLASSES) - entropy), color="black", linewidth=0.8, label="exp(I(x; y))")
        right.plot(p[::3], numbers["unsure"][::3], "o", markersize=4, label="score")
        right.set(xlabel="posterior of the most likely class", title=f"All {CLASSES} classes, uncertain posteriors")
        for ax in (left, right):
            ax.legend()
        return fig

    return Figure(
        measure=measure,
        plot=plot,
        claims=(
            Claim("certain of K equally frequent classes: K, largest error up to K = 1000", "sure_error", most=1e-6),
            Claim("the same posterior for all samples: 1, largest error", "same_error", most=1e-6),
            Claim("collapsed to K' of 10 classes: K', largest error", "collapsed_error", most=1e-6),
        ),
    )
