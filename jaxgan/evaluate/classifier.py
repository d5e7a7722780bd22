"""Are all ten digits among the samples? The judge is a support vector machine, which shares nothing with the GAN."""

import functools
from collections.abc import Callable

import numpy as np

from jaxgan.data.digits import digits
from jaxgan.evaluate.modes import kl


def class_balance(samples: np.ndarray, share: float = 0.02) -> dict[str, float]:
    """Classify samples uint8 [N, 8, 8, 1] and compare their classes with those of the data.

    Returns:
        classes: How many of the ten hold at least `share` of the samples.
        smallest_class: The part of the samples in the rarest class.
        class_kl: Divergence in nats of the samples' classes from the data's.
    """
    predict, _ = _classifier()
    counts = np.bincount(predict(samples), minlength=10)
    return {
        "classes": float(np.sum(counts >= share * len(samples))),
        "smallest_class": float(counts.min() / len(samples)),
        "class_kl": kl(counts, np.bincount(digits().labels)),
    }


def accuracy() -> float:
    """The classifier's accuracy on the quarter of the digits that it was not trained on."""
    return _classifier()[1]


@functools.cache
def _classifier() -> tuple[Callable[[np.ndarray], np.ndarray], float]:
    from sklearn.svm import SVC  # Takes a second to import.

    images, labels = digits().images, digits().labels
    features = lambda x: x.reshape(len(x), -1) * (16 / 255)  # The grey levels for which gamma is right.
    held = np.arange(len(images)) % 4 == 0
    machine = SVC(gamma=0.001).fit(features(images[~held]), labels[~held])
    return lambda x: machine.predict(features(x)), float(machine.score(features(images[held]), labels[held]))
