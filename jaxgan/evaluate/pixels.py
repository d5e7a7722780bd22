"""Measures of samples' pixels: are they copies of training images, and how likely are test images under them."""

import numpy as np

from jaxgan import pictures
from jaxgan.errors import Problem
from jaxgan.evaluate.neighbours import nearest
from jaxgan.evaluate.reals import some
from jaxgan.evaluate.subject import Measured, Subject

JUDGED = 1_000  # samples whose nearest training images are looked for
COLUMNS, ROWS = 10, 3  # of them in the picture
PARZEN = 10_000  # samples that make a density, and training images at the end that are left for validation
VALID = 1_000  # of these the width is chosen on


def neighbours(s: Subject) -> Measured:
    """Are samples copies? Their distance to the nearest training image, against that of training images themselves.

    Returns, and a picture of some samples above their nearest training images:
        neighbour_ratio: Median distance in pixels of samples over that of training images, each to the others.
        copied: The part of samples nearer than half of the latter.
        copied_of_training_images: The same of training images: simple ones, such as a 1, have near neighbours.
    """
    train, flat = s.beside, lambda x: x.reshape(len(x), -1)
    held = some(len(train), min(JUDGED, len(train) // 10))
    _, apart = nearest(flat(train[held]), flat(np.delete(train, held, axis=0)))
    samples = s.samples[:JUDGED]
    places, distances = nearest(flat(samples), flat(train))
    near = lambda x: float(np.mean(x < 0.5 * np.median(apart)))
    found = {
        "neighbour_ratio": float(np.median(distances) / np.median(apart)),
        "copied": near(distances),
        "copied_of_training_images": near(apart),
    }
    columns = min(COLUMNS, len(samples))
    n = min(ROWS, len(samples) // columns) * columns
    pairs = np.stack([samples[:n], train[places[:n]]]).reshape(2, -1, columns, *samples.shape[1:])
    picture = pictures.grid(pairs.swapaxes(0, 1).reshape(-1, *samples.shape[1:]), columns)
    protocol = {"evaluator": "Euclidean distance of pixels", "data": s.reals.train.name, "n_real": len(train)}
    protocol |= {"judged": len(samples), "held": len(held)}
    return Measured(found, protocol, {"neighbours": picture})


def parzen_window(s: Subject) -> Measured:
    """Log-likelihood of the test images under Gaussians about samples, and as a baseline about training images."""
    from jaxgan.evaluate.parzen import parzen

    train, test = s.beside, s.reals.test
    if test is None:
        raise Problem(f"{s.reals.train.name} has no test split, whose likelihood could be measured")
    flat = lambda x: x.reshape(len(x), -1) / 255.0
    left = min(PARZEN, len(train) // 6)
    valid, judged = flat(train[-left:][:VALID]), flat(test.images[:PARZEN])
    samples = flat(s.samples[:PARZEN])
    centres = flat(train[:-left][some(len(train) - left, len(samples))])
    found, baseline = parzen(samples, valid, judged), parzen(centres, valid, judged)
    values = {
        "parzen": found["log_likelihood"],
        "parzen_error": found["standard_error"],
        "parzen_width": found["width"],
        "parzen_of_training_images": baseline["log_likelihood"],
    }
    protocol = {"evaluator": "Parzen window, in nats, pixels in [0, 1]", "data": test.name, "n_real": len(judged)}
    return Measured(values, protocol | {"kernels": len(samples), "valid": f"{len(valid)} of {s.reals.train.name}"})
