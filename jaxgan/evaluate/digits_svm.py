"""Class balance of generated 8 x 8 digits by a support vector machine."""

import functools
from collections.abc import Callable

import numpy as np

from jaxgan.data.digits import digits
from jaxgan.evaluate.modes import kl_divergence


def class_balance(samples: np.ndarray, share: float = 0.02) -> dict[str, float]:
    """Classifies samples uint8 [N, 8, 8, 1] and compares their classes with those of the data.

    Returns:
        classes: How many of the ten classes have at least the fraction `share` of the samples.
        smallest_class: Fraction of the samples in the rarest class.
        class_kl: KL divergence in nats of the samples' class frequencies from the data's.
    """
    counts = np.bincount(classify(samples), minlength=10)
    return {
        "classes": float(np.sum(counts >= share * len(samples))),
        "smallest_class": float(counts.min() / len(samples)),
        "class_kl": kl_divergence(counts, np.bincount(digits().labels)),
    }


def classify(samples: np.ndarray) -> np.ndarray:
    """Returns the classes int [N] of samples uint8 [N, 8, 8, 1]."""
    return _train_svm()[0](samples)


def accuracy() -> float:
    """Returns the accuracy of the support vector machine on the quarter of the digits held out from its training."""
    return _train_svm()[1]


@functools.cache
def _train_svm() -> tuple[Callable[[np.ndarray], np.ndarray], float]:
    """Returns a function from images to classes, and its accuracy on held-out digits."""
    from sklearn.svm import SVC  # Importing it takes a second.

    images, labels = digits().images, digits().labels
    features = lambda x: x.reshape(len(x), -1) * (16 / 255)  # grey levels 0 to 16, the scale that gamma is chosen for
    held_out = np.arange(len(images)) % 4 == 0
    svm = SVC(gamma=0.001).fit(features(images[~held_out]), labels[~held_out])
    return lambda x: svm.predict(features(x)), float(svm.score(features(images[held_out]), labels[held_out]))
