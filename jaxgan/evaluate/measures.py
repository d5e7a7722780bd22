"""Measures of samples by name. Each gives numbers, and the protocol that they must not be compared without."""

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from jaxgan.errors import Problem
from jaxgan.evaluate.frechet import frechet_distance, moments
from jaxgan.evaluate.kernel import kernel_distance
from jaxgan.evaluate.modes import kl
from jaxgan.evaluate.neighbours import expected_coverage, prdc
from jaxgan.evaluate.reals import Data, Reals
from jaxgan.registry import nearest

K = 5  # neighbours
EVEN = 5  # a class is there if it holds one part in so many of an even share: 2 % of ten classes


@dataclasses.dataclass(frozen=True, eq=False)
class Subject:
    """What is measured, and by what."""

    samples: np.ndarray  # uint8 [N, H, W, C]
    reals: Reals
    labels: np.ndarray | None = None  # int32 [N], the classes that were asked for

    @functools.cached_property
    def looked(self) -> tuple[np.ndarray, np.ndarray]:
        """The samples' features and logits, by the small classifier."""
        return self.reals.classifier.look(self.samples)

    @property
    def features(self) -> np.ndarray:
        """Those of the samples."""
        return self.looked[0]

    @property
    def classes(self) -> np.ndarray:
        """The classes that the samples are seen as, int [N]."""
        return self.looked[1].argmax(1)


class Measured(NamedTuple):
    """What a measure gives."""

    values: dict[str, float]
    protocol: dict[str, Any]


Measure = Callable[[Subject], Measured]


def fd(s: Subject) -> Measured:
    """Fréchet distance of the small classifier's features, named after the data set."""
    real = s.reals.small
    return Measured({f"fd_{s.reals.name}": frechet_distance(real.moments, moments([s.features]))}, real.protocol)


def kd(s: Subject) -> Measured:
    """Kernel distance of the small classifier's features, named after the data set."""
    real, name = s.reals.small, f"kd_{s.reals.name}"
    found = _enough(lambda: kernel_distance(real.features, s.features))
    return Measured({name: found["mean"]}, real.protocol | {"std_of_subsets": found["std"]})


def neighbourhood(s: Subject) -> Measured:
    """Precision, recall, density and coverage, in the small classifier's features, of as many reals as samples."""
    real = s.reals.small
    rows = np.random.default_rng(0).permutation(len(real.features))[: len(s.samples)]
    found = _enough(lambda: prdc(real.features[np.sort(rows)], s.features, K))
    expected = expected_coverage(len(rows), len(s.samples), K)
    return Measured(found, real.protocol | {"n_real": len(rows), "k": K, "expected_coverage": round(expected, 4)})


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


MEASURES: dict[str, Measure] = {
    "fd": fd,
    "kd": kd,
    "prdc": neighbourhood,
    "balance": balance,
    "agreement": agreement,
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
            values, protocol = measure(subject)
            found |= values
            self.protocol |= dict.fromkeys(values, protocol | {"n_fake": len(samples)})
        return found


def during(names: Sequence[str], data: Data, classes: int = 0) -> During:
    """What is measured while training: `during(("fd", "prdc"), lambda split: datasets.tfds("mnist", split))`.

    Nothing is read before the first samples come; the numbers on each MNIST then take some seconds for 2,000 samples.
    """
    return During(get(names), Reals(data), classes)


def get(names: Sequence[str]) -> dict[str, Measure]:
    """The measures of those names. Raises Problem with the nearest names if there is none."""
    for name in names:
        if name not in MEASURES:
            raise Problem(f"no metric {name!r}; {nearest(name, MEASURES)}")
    return {name: MEASURES[name] for name in names}


def _enough(measure: Callable[[], Any]) -> Any:
    """What is measured. Raises Problem where there are too few to do so."""
    try:
        return measure()
    except ValueError as error:
        raise Problem(f"{error}; ask for more --samples") from error
