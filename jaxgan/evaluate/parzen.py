"""The log-likelihood of test data under a Parzen window: Gaussians on samples (Goodfellow et al. 2014, table 1).

The protocol is that of the authors' code (goodfeli/adversarial, parzen_ll.py): 10,000 samples, and the kernel width
chosen on 1,000 validation images. The metric favours samples near class centres, so compare it with a baseline.
"""

import numpy as np

CHUNK = 500  # test points per distance matrix
WIDTHS = np.logspace(-1, 0, 10)  # candidate kernel widths, for pixels in [0, 1]


def log_likelihood(test: np.ndarray, samples: np.ndarray, widths: np.ndarray) -> np.ndarray:
    """Returns the log-density in nats [W, N] of test points under a mixture of Gaussians, for each width.

    log 1/M Σ_i exp(-||x - s_i||^2 / (2 σ^2)) - D/2 log(2 π σ^2) at x, for samples s_i and the width σ.

    Args:
        test: Points [N, D].
        samples: Centres [M, D] of the equally weighted Gaussians.
        widths: Standard deviations [W].
    """
    (m, d), widths = samples.shape, np.asarray(widths, np.float64)[:, None]
    samples = np.float64(samples)
    samples_squared, chunks = (samples**2).sum(1), []
    for start in range(0, len(test), CHUNK):
        x = np.float64(test[start : start + CHUNK])
        squared = np.maximum((x**2).sum(1)[:, None] + samples_squared - 2 * x @ samples.T, 0)
        smallest = squared.min(1, keepdims=True)  # Its kernel is factored out, so that the sum does not underflow.
        sums = np.stack([np.exp((smallest - squared) * (0.5 / w**2)).sum(1) for w in widths.ravel()])
        chunks.append(np.log(sums) - 0.5 * smallest.T / widths**2)
    return np.concatenate(chunks, axis=1) - np.log(m) - 0.5 * d * np.log(2 * np.pi * widths**2)


def parzen(samples: np.ndarray, valid: np.ndarray, test: np.ndarray, widths: np.ndarray = WIDTHS) -> dict[str, float]:
    """Returns the mean log-likelihood of test points with the kernel width that is best for validation points.

    Args:
        samples: Centres of the Gaussians [M, D].
        valid: Points [V, D] that the width is chosen on.
        test: Points [N, D].
        widths: Candidate widths [W]; the default suits pixels in [0, 1].

    Returns:
        log_likelihood: Mean in nats over the test points.
        standard_error: Of that mean.
        width: The chosen width.
    """
    width = widths[log_likelihood(valid, samples, widths).mean(1).argmax()]
    (values,) = log_likelihood(test, samples, [width])
    return {
        "log_likelihood": float(values.mean()),
        "standard_error": float(values.std(ddof=1) / np.sqrt(len(values))),
        "width": float(width),
    }
