"""What evaluations need of the images that samples are compared with: computed once, and kept where it takes long."""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jaxgan import cache
from jaxgan.data.datasets import Dataset, Images
from jaxgan.errors import Problem
from jaxgan.evaluate import inception, small
from jaxgan.evaluate.frechet import Moments, moments

COMPARED = 10_000  # reals whose Inception features are kept for a kernel distance

Data = Callable[[str], Images]  # split -> its images


class Statistics(NamedTuple):
    """Of the features of reals."""

    moments: Moments
    features: np.ndarray  # [n, D] of some of them or all
    protocol: dict[str, Any]


class Reals:
    """The training images, or `limit` of them drawn at random, and the networks that look at them and at samples.

    Nothing is read, trained or fetched before it is asked for. Without `data` there is a Problem when it is.
    """

    def __init__(self, data: Data | None, limit: int | None = None, inception_weights: Path | None = None) -> None:
        self.data, self.limit, self.inception_weights = data, limit, inception_weights

    @functools.cached_property
    def train(self) -> Dataset:
        """The training split."""
        if self.data is None:
            raise Problem("this experiment names no images that its samples could be compared with")
        return self.data("train").whole()

    @functools.cached_property
    def test(self) -> Dataset | None:
        """The test split, if there is one."""
        train = self.train  # First: where this is not prepared, that is the Problem.
        try:
            test = self.data("test").whole()
        except Problem:
            return None
        return None if test.name == train.name else test

    @property
    def name(self) -> str:
        """Of the data set, as the names of metrics have it."""
        return self.train.name.split(":")[0].replace("/", "_")

    @functools.cached_property
    def images(self) -> np.ndarray:
        """The images that samples are compared with."""
        return self.train.images[some(len(self.train.images), self.limit)]

    @functools.cached_property
    def classifier(self) -> small.Classifier:
        """Trained on the training images, all of them, or kept from when it was."""
        return small.classifier(self.train, self.test, small.RECIPE)

    @functools.cached_property
    def small(self) -> Statistics:
        """Of the classifier's features."""
        protocol = self.classifier.protocol
        make = lambda: ({"features": self.classifier.look(self.images)[0]}, None)
        kept, _ = cache.kept("reals", self.train.name, [protocol["weights"], cache.digest(self.images)], make)
        return Statistics(moments([kept["features"]]), kept["features"], self.protocol | protocol)

    @functools.cached_property
    def weights(self) -> inception.Weights:
        """Of the Inception network: those given, or else the published ones."""
        return inception.load(self.inception_weights)

    @functools.cached_property
    def inception(self) -> Statistics:
        """Of the Inception network's features."""

        def make() -> tuple[dict[str, np.ndarray], None]:
            features = inception.features(self.images, self.weights).pool3
            fit = moments([features])
            return {"mean": fit.mean, "cov": fit.cov, "features": features[some(len(features), COMPARED)]}, None

        of = [self.weights.sha256, inception.RESIZE, cache.digest(self.images)]
        kept, _ = cache.kept("reals", self.train.name, of, make)
        fit = Moments(kept["mean"], kept["cov"], len(self.images))
        return Statistics(fit, kept["features"], self.protocol | inception.protocol(self.weights))

    @property
    def protocol(self) -> dict[str, Any]:
        """What a number must say of the images that samples were compared with."""
        return {"data": self.train.name, "n_real": len(self.images)}


def some(total: int, n: int | None) -> np.ndarray:
    """The places of n of so many, always the same, in order; of all if there are no more, or n is None."""
    if n is None or n >= total:
        return np.arange(total)
    return np.sort(np.random.default_rng(0).choice(total, n, replace=False))
