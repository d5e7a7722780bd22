"""The Inception score: it is high where each sample is clearly of one class, and all together of many."""

import itertools

import numpy as np


def inception_score(posteriors: np.ndarray, splits: int = 10) -> tuple[float, float]:
    """Mean and standard deviation over splits of exp(E KL(p(y|x) || p(y))), where p(y) is the split's own.

    Args:
        posteriors: p(y|x) [N, K], softmax(logits) where there are logits. The splits are stretches of it, so that
            samples must not be sorted by class.
        splits: The paper's 10, at 50,000 samples.

    References:
        Salimans et al. 2016, section 4.
    """
    from scipy.special import rel_entr  # Takes a moment to import.

    p = np.asarray(posteriors, np.float64)
    if not (np.allclose(p.sum(1), 1.0, atol=1e-3) and p.min() >= 0):
        raise ValueError("posteriors must be at least 0 and sum to 1 in each row; give softmax(logits)")
    if len(p) < splits:
        raise ValueError(f"{len(p)} samples cannot be split in {splits}")
    bounds = np.arange(splits + 1) * len(p) // splits
    parts = [p[i:j] for i, j in itertools.pairwise(bounds)]
    scores = [np.exp(rel_entr(part, part.mean(0)).sum(1).mean()) for part in parts]
    return float(np.mean(scores)), float(np.std(scores))
