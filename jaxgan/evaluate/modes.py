"""Mode coverage of samples from a mixture."""

import numpy as np


def mode_coverage(
    samples: np.ndarray,
    centres: np.ndarray,
    std: float,
    num_modes: int | None = None,
    radius: float = 3.0,
    share: float = 0.02,
) -> dict[str, float]:
    """Counts the modes that samples cover. A sample belongs to the mode of its nearest centre, if that is near enough.

    Args:
        samples: Points [N, D].
        centres: Centres [M, D].
        std: Standard deviation of one mode, in the units of the samples.
        num_modes: Number of modes; by default each centre is a mode. With fewer modes than centres, each mode is a
            segment of a curve, represented by M / num_modes consecutive centres.
        radius: Largest distance of a sample from its centre, in standard deviations.
        share: Fraction of all samples that a covered mode must hold. 0 requires one sample, as in PacGAN. With an even
            distribution each mode holds 1 / num_modes: 0.125 on the ring of 8, 0.04 on the grid of 25.

    Returns:
        covered: Number of covered modes.
        high_quality: Fraction of the samples that belong to a mode.
        mode_kl: KL divergence in nats of their mode frequencies from uniform; log(num_modes), its maximum, if there are
            none.

    References:
        Lin et al. 2017, PacGAN.
    """
    distance = np.linalg.norm(np.float64(samples)[:, None] - np.float64(centres), axis=-1)
    near = distance.min(1) <= radius * std
    num_modes = num_modes or len(centres)
    counts = np.bincount(distance.argmin(1)[near] * num_modes // len(centres), minlength=num_modes)
    return {
        "covered": float(np.sum(counts >= max(share * len(samples), 1))),
        "high_quality": float(near.mean()),
        "mode_kl": kl_divergence(counts, np.ones(num_modes)) if near.any() else float(np.log(num_modes)),
    }


def kl_divergence(counts: np.ndarray, reference: np.ndarray) -> float:
    """Returns the KL divergence in nats of one histogram from another. They need not be normalised."""
    p, q = counts / counts.sum(), reference / reference.sum()
    return float(np.sum(p[p > 0] * np.log(p[p > 0] / q[p > 0])))
