"""The 8 x 8 digits that come with scikit-learn: real images without a download."""

import functools

import numpy as np

from jaxgan.data.datasets import Dataset


@functools.cache
def digits() -> Dataset:
    """Returns 1,797 labelled images uint8 [N, 8, 8, 1], their 17 grey levels spread evenly over 0 to 255."""
    from sklearn.datasets import load_digits  # Takes a second to import.

    data = load_digits()
    images = np.rint(data.images * (255 / 16)).astype(np.uint8)[..., None]
    return Dataset("digits", images, data.target.astype(np.int32), tuple("0123456789"))
