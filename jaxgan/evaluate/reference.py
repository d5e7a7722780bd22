"""The reference set: the real images that samples are compared with, and their features, computed once and cached."""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jaxgan.data.datasets import Dataset, ImageData
from jaxgan.errors import UserError
from jaxgan.evaluate import classifier, dinov2, inception, random_network, vgg
from jaxgan.evaluate.classifier import FeatureClassifier
from jaxgan.evaluate.frechet import Moments, moments
from jaxgan.io import cache
from jaxgan.settings import check_values
from jaxgan.training.sampling import EvaluationSettings

KERNEL_FEATURES = 10_000  # real images whose Inception features are cached for kernel distances

LoadSplit = Callable[[str], ImageData]  # split name -> images


class FeatureStatistics(NamedTuple):
    """Features of the reference set."""

    moments: Moments  # of the features of all its images
    features: np.ndarray  # [n, D], of all its images or of a random subset
    protocol: dict[str, Any]  # fields that a metric based on them reports


class ReferenceSet:
    """The training images, or a random subset of them, with the networks that compute their features.

    Images are read, and networks trained or downloaded, when a property first needs them. Properties raise UserError if
    there is no `load_split`.
    """

    def __init__(
        self, load_split: LoadSplit | None, limit: int | None = None, inception_weights_path: Path | None = None
    ) -> None:
        """Defines a reference set without reading it. Raises UserError if `limit` is out of range.

        Args:
            load_split: Loads the splits "train" and "test"; None for experiments without images.
            limit: Size of the random subset; all training images by default.
            inception_weights_path: A file to use instead of the published Inception weights.
        """
        check_values(EvaluationSettings, reals=limit)
        self.load_split, self.limit, self.inception_weights_path = load_split, limit, inception_weights_path

    @functools.cached_property
    def train(self) -> Dataset:
        """The training split."""
        if self.load_split is None:
            raise UserError("this experiment has no data set of images, which the metric compares samples with")
        return self.load_split("train").in_memory()

    @functools.cached_property
    def test(self) -> Dataset | None:
        """The test split, or None if there is none."""
        train = self.train  # Read first: its UserError is not about a missing test split.
        try:
            test = self.load_split("test").in_memory()
        except UserError:
            return None
        return None if test.name == train.name else test

    @property
    def name(self) -> str:
        """The data set's name as it appears in names of metrics."""
        return self.train.name.split(":")[0].replace("/", "_")

    @functools.cached_property
    def images(self) -> np.ndarray:
        """The training images that samples are compared with, uint8 [N, H, W, C]."""
        return self.train.images[subset_indices(len(self.train.images), self.limit)]

    @property
    def labels(self) -> np.ndarray:
        """The classes int32 [N] of `images`, which must have classes."""
        return self.train.labels[subset_indices(len(self.train.images), self.limit)]

    @functools.cached_property
    def classifier(self) -> FeatureClassifier:
        """The feature classifier, trained on all training images."""
        return classifier.train_classifier(self.train, self.test, classifier.RECIPE)

    @functools.cached_property
    def classifier_features(self) -> FeatureStatistics:
        """Features of the feature classifier, of all `images`."""
        protocol = self.classifier.protocol

        def make() -> tuple[dict[str, np.ndarray], None]:
            return {"features": self.classifier.features_and_logits(self.images)[0]}, None

        cache_key = [protocol["weights"], cache.array_digest(self.images)]
        arrays, _ = cache.memoise("reals", self.train.name, cache_key, make)
        return FeatureStatistics(moments([arrays["features"]]), arrays["features"], self.protocol | protocol)

    @functools.cached_property
    def random_features(self) -> FeatureStatistics:
        """Features of a network of random weights, of all `images`."""
        features = random_network.features(self.images)
        return FeatureStatistics(moments([features]), features, self.protocol | random_network.PROTOCOL)

    @functools.cached_property
    def inception_weights(self) -> inception.Weights:
        """The weights in `inception_weights_path`, or the published ones."""
        return inception.load_weights(self.inception_weights_path)

    @functools.cached_property
    def inception_features(self) -> FeatureStatistics:
        """Features of the Inception network: moments over all `images`, features of at most `KERNEL_FEATURES`."""
        return self._inception_features(inception.RESIZE)

    @functools.cached_property
    def all_inception_features(self) -> np.ndarray:
        """Features [N, 2048] of the Inception network of all `images`. They take 8 kB an image, in memory alone."""
        return inception.features(self.images, self.inception_weights).pool3

    @functools.cached_property
    def clean_inception_features(self) -> FeatureStatistics:
        """The same for images that are resized as clean-fid does."""
        return self._inception_features(inception.CLEAN_RESIZE)

    def _inception_features(self, resize: str) -> FeatureStatistics:
        def make() -> tuple[dict[str, np.ndarray], None]:
            clean = resize == inception.CLEAN_RESIZE
            features = inception.features(self.images, self.inception_weights, clean=clean).pool3
            fit = moments([features])
            subset = features[subset_indices(len(features), KERNEL_FEATURES)]
            return {"mean": fit.mean, "cov": fit.cov, "features": subset}, None

        cache_key = [self.inception_weights.sha256, resize, cache.array_digest(self.images)]
        arrays, _ = cache.memoise("reals", self.train.name, cache_key, make)
        fit = Moments(arrays["mean"], arrays["cov"], len(self.images))
        protocol = self.protocol | inception.protocol(self.inception_weights, resize)
        return FeatureStatistics(fit, arrays["features"], protocol)

    @functools.cached_property
    def dinov2_weights(self) -> dinov2.Weights:
        """The published weights of DINOv2."""
        return dinov2.load_weights()

    @functools.cached_property
    def dinov2_features(self) -> FeatureStatistics:
        """Features of DINOv2: moments over all `images`, features of at most `KERNEL_FEATURES`."""

        def make() -> tuple[dict[str, np.ndarray], None]:
            features = dinov2.features(self.images, self.dinov2_weights)
            fit = moments([features])
            subset = features[subset_indices(len(features), KERNEL_FEATURES)]
            return {"mean": fit.mean, "cov": fit.cov, "features": subset}, None

        cache_key = [self.dinov2_weights.sha256, dinov2.RESIZE, cache.array_digest(self.images)]
        arrays, _ = cache.memoise("reals", self.train.name, cache_key, make)
        fit = Moments(arrays["mean"], arrays["cov"], len(self.images))
        return FeatureStatistics(fit, arrays["features"], self.protocol | dinov2.protocol(self.dinov2_weights))

    @functools.cached_property
    def vgg_weights(self) -> vgg.Weights:
        """The published weights of VGG-16."""
        return vgg.load_weights()

    def vgg_features(self, n: int) -> np.ndarray:
        """Returns VGG-16's features of a fixed random subset of n `images`."""
        images = self.images[subset_indices(len(self.images), n)]
        make = lambda: ({"features": vgg.features(images, self.vgg_weights)}, None)
        cache_key = [self.vgg_weights.sha256, vgg.RESIZE, cache.array_digest(images)]
        return cache.memoise("reals", self.train.name, cache_key, make)[0]["features"]

    @property
    def protocol(self) -> dict[str, Any]:
        """Fields that every metric compared with these images reports."""
        return {"data": self.train.name, "n_real": len(self.images)}


def subset_indices(total: int, n: int | None) -> np.ndarray:
    """Returns the sorted indices of a fixed random subset of size n of `total` items; all if n is None or too large."""
    if n is None or n >= total:
        return np.arange(total)
    return np.sort(np.random.default_rng(0).choice(total, n, replace=False))
