"""The Inception score, which is high if each sample clearly belongs to a class and the samples cover many classes."""

import itertools

import numpy as np


def inception_score(posteriors: np.ndarray, splits: int = 10) -> tuple[float, float]:
    """Returns mean and standard deviation over splits of exp(E KL(p(y|x) || p(y))), with p(y) of each split.

    Args:
        posteriors: p(y|x) [N, K], the softmax of logits. The splits are contiguous, so samples must not be sorted by
            class.
        splits: Number of splits. The paper uses 10, with 50,000 samples.

    Raises ValueError if rows do not sum to 1, or if there are fewer samples than splits.

    References:
        Salimans et al. 2016, section 4.
    """
    from scipy.special import rel_entr  # Importing it takes a moment.

    p = np.asarray(posteriors, np.float64)
    if not (np.allclose(p.sum(1), 1.0, atol=1e-3) and p.min() >= 0):
        raise ValueError("posteriors must be at least 0 and sum to 1 in each row; give softmax(logits)")
    if len(p) < splits:
        raise ValueError(f"{len(p)} samples cannot be divided into {splits} splits")
    bounds = np.arange(splits + 1) * len(p) // splits
    split_posteriors = [p[i:j] for i, j in itertools.pairwise(bounds)]
    scores = [np.exp(rel_entr(q, q.mean(0)).sum(1).mean()) for q in split_posteriors]
    return float(np.mean(scores)), float(np.std(scores))
