"""The 8 x 8 digits that come with scikit-learn: real images without a download."""

import numpy as np


def digits() -> tuple[np.ndarray, np.ndarray]:
    """Return images uint8 [1797, 8, 8, 1], their 17 grey levels spread over 0 to 255, and labels int32 [1797]."""
    from sklearn.datasets import load_digits  # Takes a second to import.

    data = load_digits()
    return np.rint(data.images * (255 / 16)).astype(np.uint8)[..., None], data.target.astype(np.int32)
