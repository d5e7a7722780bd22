"""Metrics in pixel space: distances to the nearest training images, and the Parzen window log-likelihood."""

import numpy as np

from jaxgan.errors import UserError
from jaxgan.evaluate.neighbours import nearest
from jaxgan.evaluate.reference import subset_indices
from jaxgan.evaluate.samples import EvaluatedSamples, MetricResult
from jaxgan.render import pictures

MIN_IMAGES = 20  # training images
MAX_QUERIES = 1_000  # samples whose nearest training images are searched
MAX_COMPARED = 2_000  # samples and training images whose statistics are compared
COLUMNS, ROWS = 10, 3  # pairs of sample and training image in the picture
PARZEN_SIZE = 10_000  # kernels, test images, and training images at the end that serve only as validation images
VALID_SIZE = 1_000  # validation images that the kernel width is chosen on


def neighbours(s: EvaluatedSamples) -> MetricResult:
    """Compares the distances of samples to their nearest training images with those of held-out training images.

    A training image is "copied" if its distance is less than half the median of the held-out training images.

    Raises UserError if there are fewer than 20 training images, of which a tenth is held out.

    Returns, with a picture of samples above their nearest training images:
        neighbour_ratio: Median distance of samples, divided by that of held-out training images.
        copied: Fraction of samples that are copies.
        copied_of_training_images: The same fraction of held-out training images. It is not 0 for simple images, such as
            the digit 1.
    """
    train, flatten = s.training_images, lambda x: x.reshape(len(x), -1)
    if len(train) < MIN_IMAGES:
        raise UserError(f"neighbours needs at least {MIN_IMAGES} training images, and there are {len(train)}")
    held_out = subset_indices(len(train), min(MAX_QUERIES, len(train) // 10))
    _, baseline = nearest(flatten(train[held_out]), flatten(np.delete(train, held_out, axis=0)))
    samples = s.samples[:MAX_QUERIES]
    indices, distances = nearest(flatten(samples), flatten(train))
    copied_fraction = lambda x: float(np.mean(x < 0.5 * np.median(baseline)))
    values = {
        "neighbour_ratio": float(np.median(distances) / np.median(baseline)),
        "copied": copied_fraction(distances),
        "copied_of_training_images": copied_fraction(baseline),
    }
    columns = min(COLUMNS, len(samples))
    n = min(ROWS, len(samples) // columns) * columns
    pairs = np.stack([samples[:n], train[indices[:n]]]).reshape(2, -1, columns, *samples.shape[1:])
    picture = pictures.grid(pairs.swapaxes(0, 1).reshape(-1, *samples.shape[1:]), columns)
    protocol = {"evaluator": "Euclidean distance of pixels", "data": s.reference.train.name, "n_real": len(train)}
    protocol |= {"judged": len(samples), "held": len(held_out)}
    return MetricResult(values, protocol, {"neighbours": picture})


def statistics(s: EvaluatedSamples) -> MetricResult:
    """Compares statistics of the grey levels of samples with those of as many training images.

    Returns:
        pixel_mean_error: Largest absolute difference of a channel's means, in grey levels of 0 to 255.
        pixel_std_error: Largest absolute difference of a channel's standard deviations, in grey levels.
        pixel_diversity: Mean Euclidean distance of two samples, divided by that of two training images. It is 1 for
            equal distributions, and 0 if all samples are equal.
    """
    train = s.training_images
    n = min(len(train), len(s.samples), MAX_COMPARED)
    if n < 2:
        raise UserError(f"pixels needs at least 2 training images and 2 samples, and there are {n}")
    real, fake = train[subset_indices(len(train), n)], s.samples[subset_indices(len(s.samples), n)]
    largest_error = lambda statistic: float(np.abs(statistic(real) - statistic(fake)).max())
    values = {
        "pixel_mean_error": largest_error(lambda x: x.mean((0, 1, 2), np.float64)),
        "pixel_std_error": largest_error(lambda x: x.std((0, 1, 2), np.float64)),
        "pixel_diversity": _mean_distance(fake) / max(_mean_distance(real), np.finfo(np.float64).tiny),
    }
    return MetricResult(values, {"evaluator": "statistics of pixels", "data": s.reference.train.name, "n_real": n})


def _mean_distance(images: np.ndarray) -> float:
    """Returns the mean Euclidean distance of random pairs of images, each image in one pair."""
    order = np.random.default_rng(0).permutation(len(images))[: len(images) // 2 * 2].reshape(2, -1)
    pairs = zip(*(images[rows].reshape(len(rows), -1) for rows in order), strict=True)
    return float(np.mean([np.linalg.norm(np.float32(a) - np.float32(b)) for a, b in pairs]))


def parzen_window(s: EvaluatedSamples) -> MetricResult:
    """Measures the log-likelihood of test images under Gaussians on samples, and on training images as a baseline.

    Raises UserError if there is no test split.
    """
    from jaxgan.evaluate.parzen import parzen

    train, test = s.training_images, s.reference.test
    if len(train) < MIN_IMAGES:
        raise UserError(f"parzen needs at least {MIN_IMAGES} training images, and there are {len(train)}")
    if test is None:
        raise UserError(f"{s.reference.train.name} has no test split, whose likelihood parzen measures")
    flatten = lambda x: x.reshape(len(x), -1) / 255.0
    reserved = min(PARZEN_SIZE, len(train) // 6)
    valid_images, test_images = flatten(train[-reserved:][:VALID_SIZE]), flatten(test.images[:PARZEN_SIZE])
    samples = flatten(s.samples[:PARZEN_SIZE])
    centres = flatten(train[:-reserved][subset_indices(len(train) - reserved, len(samples))])
    result, baseline = parzen(samples, valid_images, test_images), parzen(centres, valid_images, test_images)
    values = {
        "parzen": result["log_likelihood"],
        "parzen_error": result["standard_error"],
        "parzen_width": result["width"],
        "parzen_of_training_images": baseline["log_likelihood"],
    }
    protocol = {"evaluator": "Parzen window, in nats, pixels in [0, 1]", "data": test.name, "n_real": len(test_images)}
    valid = f"{len(valid_images)} of {s.reference.train.name}"
    return MetricResult(values, protocol | {"kernels": len(samples), "valid": valid})
