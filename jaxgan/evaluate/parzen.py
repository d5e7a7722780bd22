"""Parzen window log-likelihood: Gaussian kernels on samples, judged on held-out data (Goodfellow et al. 2014, table 1).

The protocol is that of the authors' code (goodfeli/adversarial, parzen_ll.py): 10,000 samples, the width chosen on
1,000 validation images. It favours samples near the centres of classes: report it beside a baseline such as k-means.
"""

import numpy as np

CHUNK = 500  # test points at a time
WIDTHS = np.logspace(-1, 0, 10)  # tried on validation data, for pixels in [0, 1]


def log_likelihood(test: np.ndarray, samples: np.ndarray, widths: np.ndarray) -> np.ndarray:
    """Log-density in nats [W, N] of test points [N, D] under equal Gaussians of each width [W] about samples [M, D]."""
    (m, d), widths = samples.shape, np.asarray(widths, np.float64)[:, None]
    samples = np.float64(samples)
    square, found = (samples**2).sum(1), []
    for start in range(0, len(test), CHUNK):
        x = np.float64(test[start : start + CHUNK])
        distance = np.maximum((x**2).sum(1)[:, None] + square - 2 * x @ samples.T, 0)
        least = distance.min(1, keepdims=True)  # Its kernel is factored out, lest all underflow.
        sums = np.stack([np.exp((least - distance) * (0.5 / w**2)).sum(1) for w in widths.ravel()])
        found.append(np.log(sums) - 0.5 * least.T / widths**2)
    return np.concatenate(found, axis=1) - np.log(m) - 0.5 * d * np.log(2 * np.pi * widths**2)


def parzen(samples: np.ndarray, valid: np.ndarray, test: np.ndarray, widths: np.ndarray = WIDTHS) -> dict[str, float]:
    """Mean log-likelihood of `test` [N, D] with its standard error, at the best width for `valid`. Images in [0, 1]."""
    width = widths[log_likelihood(valid, samples, widths).mean(1).argmax()]
    (found,) = log_likelihood(test, samples, [width])
    return {
        "log_likelihood": float(found.mean()),
        "standard_error": float(found.std(ddof=1) / np.sqrt(len(found))),
        "width": float(width),
    }
