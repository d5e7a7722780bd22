"""Our networks against PyTorch statements of the papers: outputs, gradients, initial weights. Skipped without torch."""

import numpy as np
import pytest
from scipy.stats import kstest

pytest.importorskip("torch", reason="the statements of the papers are written in PyTorch")

from benchmarks import paper_networks
from benchmarks.paper_networks import NETWORKS


@pytest.mark.parametrize("name", NETWORKS)
def test_outputs_and_input_gradients_are_equal(name):
    assert max(paper_networks.differences(NETWORKS[name]).values()) < 1e-9


@pytest.mark.parametrize("name", NETWORKS)
def test_initial_weights_have_the_scale_of_the_authors(name):
    """Also those behind spectral norm, which divides in the forward pass alone."""
    for tensor, ours, theirs in paper_networks.initial_weights(NETWORKS[name], width=64):
        if theirs.std() == 0 or theirs.size == 1:
            np.testing.assert_array_equal(ours, theirs, err_msg=tensor)
        else:  # The standard deviation of N samples has an error of 1 / sqrt(2 N), on both sides.
            assert abs(ours.std() / theirs.std() - 1.0) < 5.0 / np.sqrt(theirs.size), tensor
            assert abs(ours.mean() - theirs.mean()) < 7.0 * theirs.std() / np.sqrt(theirs.size), tensor


@pytest.mark.parametrize("name", NETWORKS)
def test_numbers_of_parameters_are_equal(name):
    ours, theirs = paper_networks.numbers_of_parameters(NETWORKS[name])
    assert ours == theirs


def test_uniform_and_normal_initial_weights_are_told_apart():
    """Pylearn2 and Chainer's Glorot draw from uniform distributions."""
    for name in ("maxout gan generator", "sngan resnet critic"):
        for tensor, ours, _ in paper_networks.initial_weights(NETWORKS[name], width=64):
            if ours.ndim > 1 and ours.size > 1_000:
                limit = np.sqrt(3.0) * ours.std()
                assert kstest(ours.ravel(), "uniform", (-limit, 2 * limit)).pvalue > 1e-4, tensor
