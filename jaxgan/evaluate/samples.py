"""Samples with the reference set that they are compared with, and the result of a metric."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

import numpy as np
from PIL import Image

from jaxgan.errors import UserError
from jaxgan.evaluate import dinov2, inception, vgg
from jaxgan.evaluate.reference import ReferenceSet
from jaxgan.networks.inception import Features

T = TypeVar("T")


@dataclasses.dataclass(frozen=True, eq=False)
class EvaluatedSamples:
    """Samples to measure. Their features are computed when a metric first needs them.

    Attributes:
        samples: uint8 [N, H, W, C].
        reference: The real images to compare with.
        labels: Requested classes, int32 [N], for class-conditional samples.
        translate: Translates images uint8 [N, H, W, C] by the network that made the samples, if it translates images.
    """

    samples: np.ndarray
    reference: ReferenceSet
    labels: np.ndarray | None = None
    translate: Callable[[np.ndarray], np.ndarray] | None = None

    @functools.cached_property
    def classifier_outputs(self) -> tuple[np.ndarray, np.ndarray]:
        """The feature classifier's features [N, D] and logits [N, K] of the samples."""
        return self.reference.classifier.features_and_logits(self.samples)

    @functools.cached_property
    def inception(self) -> Features:
        """The Inception network's features and logits of the samples."""
        return inception.features(self.samples, self.reference.inception_weights)

    @functools.cached_property
    def clean_inception(self) -> Features:
        """The same with the samples resized as clean-fid does."""
        return inception.features(self.samples, self.reference.inception_weights, clean=True)

    @functools.cached_property
    def dinov2(self) -> np.ndarray:
        """DINOv2's features of the samples."""
        return dinov2.features(self.samples, self.reference.dinov2_weights)

    @functools.cached_property
    def vgg(self) -> np.ndarray:
        """VGG-16's features of the samples."""
        return vgg.features(self.samples, self.reference.vgg_weights)

    @property
    def predicted_classes(self) -> np.ndarray:
        """The feature classifier's class of each sample, int [N]."""
        return self.classifier_outputs[1].argmax(1)

    @property
    def training_images(self) -> np.ndarray:
        """All training images, uint8 [M, H, W, C]. Raises UserError if the samples have another shape."""
        train = self.reference.train
        if train.images.shape[1:] != self.samples.shape[1:]:
            sample_shape, shape = (" x ".join(map(str, x.shape[1:])) for x in (self.samples, train.images))
            raise UserError(f"samples of {sample_shape} cannot be compared with the pixels of {train.name}, {shape}")
        return train.images


class MetricResult(NamedTuple):
    """The result of a metric."""

    values: dict[str, float]
    protocol: dict[str, Any]  # evaluator, data, n_real and other fields that the values depend on
    pictures: dict[str, Image.Image] = {}  # noqa: RUF012  Never modified.


def require_enough(compute: Callable[[], T]) -> T:
    """Returns `compute()`. Raises UserError instead of the ValueError that metrics raise for too few samples."""
    try:
        return compute()
    except ValueError as error:
        raise UserError(f"{error}; ask for more --samples, or more --reals") from error
