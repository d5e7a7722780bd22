"""What evaluations need of the images that samples are compared with: computed once, and kept where it takes long."""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jaxgan import cache
from jaxgan.data.datasets import Dataset
from jaxgan.errors import Problem
from jaxgan.evaluate import inception, small
from jaxgan.evaluate.frechet import Moments, moments

COMPARED = 10_000  # reals whose Inception features are kept for a kernel distance

Data = Callable[[str], Dataset]  # split -> its images


class Statistics(NamedTuple):
    """Of the features of reals."""

    moments: Moments
    features: np.ndarray  # [n, D] of some of them or all
    protocol: dict[str, Any]


class Reals:
    """The training images, or `limit` of them drawn at random. Nothing is read before it is asked for."""

    def __init__(self, data: Data, limit: int | None = None) -> None:
        self.data, self.limit = data, limit

    @functools.cached_property
    def train(self) -> Dataset:
        """The training split."""
        return self.data("train")

    @functools.cached_property
    def test(self) -> Dataset | None:
        """The test split, if there is one."""
        train = self.train  # First, for where this is not prepared nothing is.
        try:
            test = self.data("test")
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
        return self.train.images[self.some(self.limit)]

    def some(self, n: int | None) -> np.ndarray:
        """The places of n training images, always the same; of all of them if there are no more, or n is None."""
        total = len(self.train.images)
        rng = np.random.default_rng(0)
        return np.arange(total) if n is None or n >= total else np.sort(rng.choice(total, n, replace=False))

    @functools.cached_property
    def classifier(self) -> small.Classifier:
        """Trained on them, or kept from when it was."""
        return small.classifier(self.train, self.test, small.RECIPE)

    @functools.cached_property
    def small(self) -> Statistics:
        """Of the classifier's features."""
        protocol = self.classifier.protocol
        make = lambda: ({"features": self.classifier.look(self.images)[0]}, None)
        kept, _ = cache.kept("reals", self.train.name, [protocol["weights"], cache.digest(self.images)], make)
        return Statistics(moments([kept["features"]]), kept["features"], self._protocol(protocol))

    @functools.lru_cache(1)  # noqa: B019  A process has few of these.
    def inception(self, path: Path | None) -> Statistics:
        """Of the features of that Inception network, or of the published one."""
        weights = inception.load(path)

        def make() -> tuple[dict[str, np.ndarray], None]:
            features = inception.features(self.images, weights).pool3
            fit = moments([features])
            rows = np.random.default_rng(0).permutation(len(features))[:COMPARED]
            return {"mean": fit.mean, "cov": fit.cov, "features": features[rows]}, None

        kept, _ = cache.kept("reals", self.train.name, ["inception", weights.sha256, cache.digest(self.images)], make)
        fit = Moments(kept["mean"], kept["cov"], len(self.images))
        known = weights.sha256.startswith(inception.SHA256)
        named = "Inception of 2015-12-05" if known else f"Inception of {path}"
        protocol = {"evaluator": named, "weights": weights.sha256, "resize": "bilinear to 299 x 299, not antialiased"}
        return Statistics(fit, kept["features"], self._protocol(protocol))

    def _protocol(self, evaluator: dict[str, Any]) -> dict[str, Any]:
        return {"resize": None, **evaluator, "data": self.train.name, "n_real": len(self.images)}
