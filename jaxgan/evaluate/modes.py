"""Which modes of a mixture do samples reach, and how well."""

import numpy as np


def modes(
    samples: np.ndarray,
    centres: np.ndarray,
    std: float,
    parts: int | None = None,
    radius: float = 3.0,
    share: float = 0.02,
) -> dict[str, float]:
    """Count the modes that samples reach.

    Args:
        samples: Points [N, D].
        centres: The modes [M, D].
        std: Of one mode, in the units of the samples.
        parts: How many modes there are, if not every centre is one of its own: as many stretches of a curve, each
            with as many of the centres, in their order.
        radius: How far from its nearest mode a sample still belongs to it, in stds.
        share: The part of all samples that a mode must hold to count as covered; 0 asks for one sample, as PacGAN does.
            An even share is 1 / M: 0.125 on the ring of 8, 0.04 on the grid of 25.

    Returns:
        covered: How many modes are covered.
        high_quality: The part of the samples that belong to a mode.
        mode_kl: Divergence in nats of the modes of those samples from uniform; with no such sample its maximum.

    References:
        Lin et al. 2017, PacGAN.
    """
    distance = np.linalg.norm(np.float64(samples)[:, None] - np.float64(centres), axis=-1)
    near = distance.min(1) <= radius * std
    parts = parts or len(centres)
    counts = np.bincount(distance.argmin(1)[near] * parts // len(centres), minlength=parts)
    return {
        "covered": float(np.sum(counts >= max(share * len(samples), 1))),
        "high_quality": float(near.mean()),
        "mode_kl": kl(counts, np.ones(parts)) if near.any() else float(np.log(parts)),
    }


def kl(counts: np.ndarray, reference: np.ndarray) -> float:
    """Divergence in nats of one histogram from another, both of any total; an empty bin adds 0 log 0 = 0."""
    p, q = counts / counts.sum(), reference / reference.sum()
    return float(np.sum(p[p > 0] * np.log(p[p > 0] / q[p > 0])))
