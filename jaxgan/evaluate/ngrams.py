"""Divergence between the n-grams of two sets of sequences."""

from collections import Counter
from collections.abc import Hashable, Iterable, Sequence

import numpy as np


def ngram_divergence(a: Iterable[Sequence[Hashable]], b: Iterable[Sequence[Hashable]], n: int) -> float:
    """Returns the Jensen-Shannon divergence in bits, in [0, 1], of the n-gram frequencies of two sets of sequences.

    Args:
        a: Strings, or sequences of tokens.
        b: Strings, or sequences of tokens.
        n: Length of an n-gram.

    Raises ValueError if one side has no n-gram.
    """
    frequencies = [count_ngrams(sequences, n) for sequences in (a, b)]
    keys = list(frequencies[0] | frequencies[1])
    p, q = (np.array([f[key] for key in keys], np.float64) for f in frequencies)
    if not (p.any() and q.any()):
        raise ValueError(f"no sequence has {n} elements or more")
    p, q = p / p.sum(), q / q.sum()
    middle = (p + q) / 2
    divergence = lambda p: np.sum(p[p > 0] * np.log2(p[p > 0] / middle[p > 0]))
    return float(0.5 * divergence(p) + 0.5 * divergence(q))


def count_ngrams(sequences: Iterable[Sequence[Hashable]], n: int) -> Counter:
    """Returns how often each n-gram occurs in the sequences, by n-gram as a tuple."""
    return Counter(ngram for s in sequences for ngram in zip(*(s[i:] for i in range(n)), strict=False))
