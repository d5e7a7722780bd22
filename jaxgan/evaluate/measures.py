"""Measures of samples by name. Each gives numbers, and the protocol without which they must not be compared."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from jaxgan.errors import Problem
from jaxgan.evaluate import inception, pixels
from jaxgan.evaluate.frechet import frechet_distance, moments
from jaxgan.evaluate.kernel import kernel_distance
from jaxgan.evaluate.modes import kl
from jaxgan.evaluate.neighbours import expected_coverage, prdc
from jaxgan.evaluate.reals import Data, Reals, some
from jaxgan.evaluate.subject import Measured, Subject, enough
from jaxgan.registry import nearest

K = 5  # neighbours, of precision and its like
EVEN = 5  # a class is there if it holds one part in so many of an even share: 2 % of ten classes

Measure = Callable[[Subject], Measured]


def fd(s: Subject) -> Measured:
    """Fréchet distance of the small classifier's features, named after the data set."""
    real = s.reals.small
    return Measured({f"fd_{s.reals.name}": frechet_distance(real.moments, moments([s.looked[0]]))}, real.protocol)


def kd(s: Subject) -> Measured:
    """Kernel distance of the small classifier's features, named after the data set."""
    real = s.reals.small
    return _kernel(f"kd_{s.reals.name}", real.features, s.looked[0], real.protocol)


def fid(s: Subject) -> Measured:
    """Fréchet Inception distance."""
    real = s.reals.inception
    found = frechet_distance(real.moments, moments([s.inception.pool3]))
    return Measured({_called("fid", "fd_inception", s): found}, real.protocol)


def kid(s: Subject) -> Measured:
    """Kernel Inception distance."""
    real = s.reals.inception
    name, n = _called("kid", "kd_inception", s), len(real.features)
    return _kernel(name, real.features, s.inception.pool3, real.protocol | {"n_real": n})


def score(s: Subject) -> Measured:
    """Inception score."""
    from scipy.special import softmax  # Takes a moment to import, as what follows.

    from jaxgan.evaluate.inception_score import inception_score

    mean, std = enough(lambda: inception_score(softmax(np.float64(s.inception.logits), axis=1)))
    name = _called("is", "is_inception", s)
    return Measured({name: mean, f"{name}_std": std}, inception.protocol(s.reals.weights) | {"splits": 10})


def neighbourhood(s: Subject) -> Measured:
    """Precision, recall, density and coverage: the small classifier's features, of as many reals as samples."""
    real, n = s.reals.small, len(s.samples)
    rows = some(len(real.features), n)
    found = enough(lambda: prdc(real.features[rows], s.looked[0], K))
    expected = round(expected_coverage(len(rows), n, K), 4)
    return Measured(found, real.protocol | {"n_real": len(rows), "k": K, "expected_coverage": expected})


def balance(s: Subject) -> Measured:
    """How many classes the samples have, the part in the rarest, and their divergence from the data's, in nats."""
    real = np.bincount(s.reals.train.labels, minlength=len(s.reals.train.classes))
    counts, n = np.bincount(s.classes, minlength=len(real)), len(s.samples)
    found = {
        "classes": float(np.sum(counts >= n / len(real) / EVEN)),
        "smallest_class": float(counts.min() / n),
        "class_kl": kl(counts, real),
    }
    return Measured(found, s.reals.classifier.protocol | {"data": s.reals.train.name, "n_real": int(real.sum())})


def agreement(s: Subject) -> Measured:
    """The part of samples that are seen as the class that was asked for: of all, and of the class with the least."""
    if s.labels is None:
        raise Problem("agreement needs samples that were asked for by class, and this experiment has no classes")
    right = s.classes == s.labels
    by_class = [right[s.labels == label].mean() for label in np.unique(s.labels)]
    found = {"agreement": float(right.mean()), "worst_agreement": float(min(by_class))}
    return Measured(found, s.reals.classifier.protocol)


def stacked_modes(s: Subject) -> Measured:
    """Modes with a sample, of the 1,000 of Stacked MNIST, and the samples' divergence from uniform, in nats.

    Of as many even samples it is about `mode_kl_floor`. PacGAN takes 26,000 samples.
    """
    (n, *_, channels), kinds = s.samples.shape, len(s.reals.train.classes)
    if channels == 1 or s.reals.train.images.shape[-1] != 1:
        raise Problem("modes are of grey images stacked as colours, as in Stacked MNIST, and these samples are not")
    grey = np.moveaxis(s.samples, -1, 0).reshape(n * channels, *s.samples.shape[1:-1], 1)
    seen = s.reals.classifier.look(grey)[1].argmax(1).reshape(channels, n)
    counts = np.bincount(np.ravel_multi_index(tuple(seen), [kinds] * channels), minlength=kinds**channels)
    found = {
        "modes": float(np.sum(counts > 0)),
        "mode_kl": kl(counts, np.ones(len(counts))),
        "mode_kl_floor": (len(counts) - 1) / (2 * n),
    }
    return Measured(found, s.reals.classifier.protocol | {"of_modes": len(counts)})


MEASURES: dict[str, Measure] = {
    "fd": fd,
    "kd": kd,
    "prdc": neighbourhood,
    "balance": balance,
    "agreement": agreement,
    "modes": stacked_modes,
    "neighbours": pixels.neighbours,
    "parzen": pixels.parzen_window,
    "fid": fid,
    "kid": kid,
    "is": score,
}


class During:
    """Measures, as `Experiment.evaluate` wants them: of samples of which sample i was asked to be of class i % classes.

    `protocol` has that of each number, once they were measured.
    """

    def __init__(self, measures: Mapping[str, Measure], reals: Reals, classes: int) -> None:
        self.measures, self.reals, self.classes = measures, reals, classes
        self.protocol: dict[str, dict[str, Any]] = {}

    def __call__(self, samples: np.ndarray) -> dict[str, float]:
        """The numbers by name."""
        labels = (np.arange(len(samples)) % self.classes).astype(np.int32) if self.classes else None
        subject, found = Subject(samples, self.reals, labels), {}
        for measure in self.measures.values():
            values, protocol, _ = measure(subject)
            found |= values
            self.protocol |= dict.fromkeys(values, protocol | {"n_fake": len(samples)})
        return found


def during(names: Sequence[str], data: Data, classes: int = 0) -> During:
    """What is measured while training: `during(("fd", "prdc"), lambda split: datasets.tfds("mnist", split))`.

    Nothing is read before the first samples come. Raises Problem for a name that is none.
    """
    return During(get(names), Reals(data), classes)


def get(names: Sequence[str]) -> dict[str, Measure]:
    """The measures of those names. Raises Problem with the nearest names if there is none."""
    for name in names:
        if name not in MEASURES:
            raise Problem(f"no metric {name!r}; {nearest(name, MEASURES)}")
    return {name: MEASURES[name] for name in names}


def _called(name: str, otherwise: str, s: Subject) -> str:
    """The field's name only on the network that it is defined by."""
    weights = s.reals.weights
    return name if inception.published(weights) else f"{otherwise}_{weights.sha256[:8]}"


def _kernel(name: str, real: np.ndarray, fake: np.ndarray, protocol: dict[str, Any]) -> Measured:
    found = enough(lambda: kernel_distance(real, fake))
    return Measured({name: found["mean"], f"{name}_std": found["std"]}, protocol | {"subsets": "100 of 1,000"})
