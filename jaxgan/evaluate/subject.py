"""Samples that are measured, beside what they are compared with."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from jaxgan.errors import Problem
from jaxgan.evaluate import inception
from jaxgan.evaluate.reals import Reals
from jaxgan.networks.inception import Features


@dataclasses.dataclass(frozen=True, eq=False)
class Subject:
    """What is measured, and what it is compared with."""

    samples: np.ndarray  # uint8 [N, H, W, C]
    reals: Reals
    labels: np.ndarray | None = None  # int32 [N], the classes that were asked for

    @functools.cached_property
    def looked(self) -> tuple[np.ndarray, np.ndarray]:
        """The samples' features [N, D] and logits [N, K] by the small classifier."""
        return self.reals.classifier.look(self.samples)

    @functools.cached_property
    def inception(self) -> Features:
        """The samples' features by the Inception network."""
        return inception.features(self.samples, self.reals.weights)

    @property
    def classes(self) -> np.ndarray:
        """The class [N] that the small classifier sees in each sample."""
        return self.looked[1].argmax(1)

    @property
    def beside(self) -> np.ndarray:
        """The training images, which are seen to be of the samples' shape."""
        train = self.reals.train
        if train.images.shape[1:] != self.samples.shape[1:]:
            here, there = (" x ".join(map(str, x.shape[1:])) for x in (self.samples, train.images))
            raise Problem(f"samples of {here} cannot be compared pixel by pixel with {train.name}, which is {there}")
        return train.images


class Measured(NamedTuple):
    """What a measure gives."""

    values: dict[str, float]
    protocol: dict[str, Any]  # evaluator, data, n_real, and what else the numbers depend on besides the samples
    pictures: dict[str, Image.Image] = {}  # noqa: RUF012  Never changed.


def enough(measure: Callable[[], Any]) -> Any:
    """What is measured. Raises Problem where there are too few to do so."""
    try:
        return measure()
    except ValueError as error:
        raise Problem(f"{error}; ask for more --samples") from error
