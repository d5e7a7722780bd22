"""Parzen window log-likelihood: Gaussian kernels on samples, judged on held-out data (Goodfellow et al. 2014, table 1).

The protocol is that of the authors' code (goodfeli/adversarial, parzen_ll.py): 10,000 samples, the width chosen on
1,000 validation images. It favours samples near the centres of classes: report it beside a baseline such as k-means.
"""

import numpy as np
from scipy.special import logsumexp

CHUNK = 500  # test points at a time
WIDTHS = np.logspace(-1, 0, 10)  # tried on validation data, for pixels in [0, 1]


def log_likelihood(test: np.ndarray, samples: np.ndarray, width: float) -> np.ndarray:
    """Log-density in nats [N] of test points [N, D] under equal Gaussians of that width about samples [M, D]."""
    m, d = samples.shape
    samples = np.float64(samples)
    square = (samples**2).sum(1)
    found = []
    for start in range(0, len(test), CHUNK):
        x = np.float64(test[start : start + CHUNK])
        distance = np.maximum((x**2).sum(1)[:, None] + square - 2 * x @ samples.T, 0)
        found.append(logsumexp(-0.5 * distance / width**2, axis=1))
    return np.concatenate(found) - np.log(m) - 0.5 * d * np.log(2 * np.pi * width**2)


def parzen(samples: np.ndarray, valid: np.ndarray, test: np.ndarray, widths: np.ndarray = WIDTHS) -> dict[str, float]:
    """Mean log-likelihood of `test` [N, D] with its standard error, at the best width for `valid`. Images in [0, 1]."""
    width = max(widths, key=lambda w: log_likelihood(valid, samples, w).mean())
    found = log_likelihood(test, samples, width)
    return {
        "log_likelihood": float(found.mean()),
        "standard_error": float(found.std(ddof=1) / np.sqrt(len(found))),
        "width": float(width),
    }
