"""Improved Techniques for Training GANs (Salimans et al. 2016, arXiv 1606.03498): the Inception score.

    python launch.py figure improved/is_limits

The score exp(E KL(p(y|x) || p(y))) is the exponential of a mutual information: 1 where all samples have one posterior,
K where each is surely of one of K classes, all of them alike often.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from jaxgan import figures, plots
from jaxgan.evaluate.inception_score import inception_score
from jaxgan.figures import Claim, Figure

PAPER = "Salimans et al. 2016, arXiv 1606.03498"


@figures.register(
    "improved/is_limits",
    paper=PAPER,
    shows="the Inception score of posteriors that are known: it counts classes, if the classifier is sure",
    cost="1 s, 2 CPU cores",
)
def is_limits() -> Figure:
    """Posteriors by hand, against the closed form."""
    classes = 10

    def measure(runs: figures.Looks) -> figures.Numbers:
        score = lambda posteriors: inception_score(posteriors)[0]
        labels = lambda k: np.arange(20 * k * classes) % k  # Every split has all of the k alike often.
        sure = {k: score(np.eye(k)[labels(k)]) for k in (2, 5, 10, 100, 1000)}
        constant = [np.eye(classes)[0], np.ones(classes) / classes, np.arange(classes) / 45]
        same = [score(np.tile(p, [100, 1])) for p in constant]
        reached = np.arange(1, classes + 1)
        collapsed = np.array([score(np.eye(classes)[labels(k)]) for k in reached])
        confidence = np.linspace(1 / classes, 1, 46)
        blurred = lambda p: p * np.eye(classes) + (1 - p) / (classes - 1) * (1 - np.eye(classes))
        return {
            "reached": reached,
            "collapsed": collapsed,
            "confidence": confidence,
            "unsure": np.array([score(blurred(p)[labels(classes)]) for p in confidence]),
            "sure_error": max(abs(found - k) for k, found in sure.items()),
            "same_error": max(abs(found - 1) for found in same),
            "collapsed_error": np.abs(collapsed - reached).max().item(),
        }

    def plot(found: Mapping[str, Any]) -> Any:
        page, ((left, right),) = plots.panels(1, 2, height=2.2, sharey=True)
        left.plot(found["reached"], found["reached"], color="black", linewidth=0.8, label="classes")
        left.plot(found["reached"], found["collapsed"], "o", markersize=4, label="score")
        left.set(xlabel=f"classes that samples reach, of {classes}", ylabel="Inception score", title="Sure posteriors")
        p, q = found["confidence"], 1 - found["confidence"]
        entropy = -p * np.log(p) - q * np.log(np.maximum(q, 1e-300) / (classes - 1))
        right.plot(p, np.exp(np.log(classes) - entropy), color="black", linewidth=0.8, label="exp(I(x; y))")
        right.plot(p[::3], found["unsure"][::3], "o", markersize=4, label="score")
        right.set(xlabel="posterior of the most likely class", title=f"All {classes} classes, unsure posteriors")
        for ax in (left, right):
            ax.legend()
        return page

    return Figure(
        measure=measure,
        plot=plot,
        claims=(
            Claim("sure of K classes, each alike often: K, largest error to K = 1000", "sure_error", most=1e-6),
            Claim("one posterior for all samples: 1, largest error", "same_error", most=1e-6),
            Claim("collapsed to K' of 10 classes: K', largest error", "collapsed_error", most=1e-6),
        ),
    )
