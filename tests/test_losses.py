"""Closed forms, float64 references and independence of the number of devices, for every loss."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, PartitionSpec
from numpy.testing import assert_allclose

from jaxgan.core import losses
from jaxgan.core.axis import AXIS_NAME

NAMES = ["minimax", "non_saturating", "least_squares", "hinge", "wasserstein", "relativistic", "relativistic_average"]
log, log2, log3 = np.log, np.log(2.0), np.log(3.0)


def softplus(t):
    return np.logaddexp(0.0, t)


def relative_to_average(real, fake):
    return softplus(fake.mean() - real).mean() + softplus(fake - real.mean()).mean()


REFERENCE = {  # (d, g) of real and fake logits in numpy
    "minimax": (lambda r, f: softplus(-r).mean() + softplus(f).mean(), lambda r, f: -softplus(f).mean()),
    "non_saturating": (lambda r, f: softplus(-r).mean() + softplus(f).mean(), lambda r, f: softplus(-f).mean()),
    "least_squares": (lambda r, f: ((r - 1) ** 2 + f**2).mean() / 2, lambda r, f: ((f - 1) ** 2).mean() / 2),
    "hinge": (lambda r, f: np.maximum(1 - r, 0).mean() + np.maximum(1 + f, 0).mean(), lambda r, f: -f.mean()),
    "wasserstein": (lambda r, f: (f - r).mean(), lambda r, f: -f.mean()),
    "relativistic": (lambda r, f: softplus(f - r).mean(), lambda r, f: softplus(r - f).mean()),
    "relativistic_average": (relative_to_average, lambda r, f: relative_to_average(f, r)),
}

# One real and one fake logit: (loss, slope in the real, slope in the fake) of d and of g.
AT_ZERO = {
    "minimax": ((2 * log2, -1 / 2, 1 / 2), (-log2, 0, -1 / 2)),
    "non_saturating": ((2 * log2, -1 / 2, 1 / 2), (log2, 0, -1 / 2)),
    "least_squares": ((1 / 2, -1, 0), (1 / 2, 0, -1)),
    "hinge": ((2, -1, 1), (0, 0, -1)),
    "wasserstein": ((0, -1, 1), (0, 0, -1)),
    "relativistic": ((log2, -1 / 2, 1 / 2), (log2, 1 / 2, -1 / 2)),
    "relativistic_average": ((2 * log2, -1, 1), (2 * log2, 1, -1)),
}
AT_LOG3 = {  # D(x) = log 3, D(x̃) = -log 3; σ(log 3) = 3/4, softplus(log 3) = log 4
    "minimax": ((2 * log(4 / 3), -1 / 4, 1 / 4), (-log(4 / 3), 0, -1 / 4)),
    "non_saturating": ((2 * log(4 / 3), -1 / 4, 1 / 4), (log(4), 0, -3 / 4)),
    "least_squares": (((log3 - 1) ** 2 / 2 + log3**2 / 2, log3 - 1, -log3), ((log3 + 1) ** 2 / 2, 0, -log3 - 1)),
    "hinge": ((0, 0, 0), (log3, 0, -1)),
    "wasserstein": ((-2 * log3, -1, 1), (log3, 0, -1)),
    "relativistic": ((log(10 / 9), -1 / 10, 1 / 10), (log(10), 9 / 10, -9 / 10)),
    "relativistic_average": ((2 * log(10 / 9), -1 / 5, 1 / 5), (2 * log(10), 9 / 5, -9 / 5)),
}


def both_losses(name):
    """Returns the discriminator's and the generator's loss, both as functions of (real_logits, fake_logits)."""
    return getattr(losses, name).d, getattr(losses, name).generator_loss


def value_and_slopes(loss, real_logits, fake_logits):
    return jax.value_and_grad(loss, (0, 1))(jnp.float32(real_logits), jnp.float32(fake_logits))


def numeric_slopes(loss, x, *others, h=1e-6):
    return np.array([(loss(x + e, *others) - loss(x - e, *others)) / (2 * h) for e in h * np.eye(len(x))])


@pytest.mark.parametrize(("logit", "table"), [(0.0, AT_ZERO), (log3, AT_LOG3)], ids=["zero", "log3"])
@pytest.mark.parametrize("name", NAMES)
def test_closed_form(name, logit, table):
    for loss, expected in zip(both_losses(name), table[name], strict=True):
        value, (real_slope, fake_slope) = value_and_slopes(loss, [logit], [-logit])
        assert_allclose([value, real_slope[0], fake_slope[0]], expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_float64_reference(name):
    real, fake = np.random.default_rng(0).normal(scale=3.0, size=(2, 16))
    for loss, reference in zip(both_losses(name), REFERENCE[name], strict=True):
        value, slopes = value_and_slopes(loss, real, fake)
        assert_allclose(value, reference(real, fake), rtol=1e-5)
        assert_allclose(slopes[0], numeric_slopes(reference, real, fake), rtol=1e-5, atol=1e-7)
        swapped = lambda f, r, reference=reference: reference(r, f)
        assert_allclose(slopes[1], numeric_slopes(swapped, fake, real), rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("real", [-1000.0, 1000.0])
@pytest.mark.parametrize("fake", [-1000.0, 1000.0])
def test_finite_where_sigmoid_is_not_invertible(name, real, fake):
    for loss in both_losses(name):
        value, slopes = value_and_slopes(loss, [real, 0.0], [fake, 0.0])
        assert np.isfinite([value, *slopes[0], *slopes[1]]).all()


def test_generator_slopes_saturate_or_not():
    D = np.linspace(-10.0, 10.0, 41)
    sigmoid = 1 / (1 + np.exp(-D))
    both = losses.minimax, losses.non_saturating
    slopes = [jax.grad(loss.g)(jnp.float32(D)) * len(D) for loss in both]
    assert_allclose(slopes, [-sigmoid, sigmoid - 1], rtol=1e-5)
    assert_allclose(slopes[1][0] / slopes[0][0], np.exp(10.0), rtol=1e-5)


@pytest.mark.parametrize("loss", [losses.minimax, losses.non_saturating])
def test_label_smoothing_is_one_sided(loss):
    real, fake = np.random.default_rng(0).normal(size=(2, 8))
    value, (_, d_fake) = value_and_slopes(partial(loss.d, smoothing=0.1), real, fake)
    assert_allclose(value, (0.9 * softplus(-real) + 0.1 * softplus(real) + softplus(fake)).mean(), rtol=1e-6)
    assert_allclose(d_fake, value_and_slopes(loss.d, real, fake)[1][1])
    value, (d_real, _) = value_and_slopes(partial(loss.d, smoothing=0.1), [log(9)], [0.0])
    assert_allclose(d_real, [0.0], atol=1e-7)  # The optimal D gives reals probability 0.9.
    value, slopes = value_and_slopes(partial(loss.d, smoothing=0.1), [1000.0, -1000.0], [1000.0, -1000.0])
    assert np.isfinite([value, *slopes[0], *slopes[1]]).all()


def test_least_squares_targets():
    real, fake = np.float32(np.random.default_rng(0).normal(size=(2, 8)))
    d, g = losses.least_squares.d(real, fake, a=-1.0, b=1.0), losses.least_squares.g(fake, c=0.0)
    assert_allclose([d, g], [((real - 1) ** 2 + (fake + 1) ** 2).mean() / 2, (fake**2).mean() / 2], rtol=1e-6)


def features(w, x):
    return {"first": x @ w, "second": jnp.tanh(x[:, :, None] * w[None])}


@pytest.mark.parametrize(
    "loss",
    [
        lambda w, x, y: losses.relativistic_average.d((x @ w)[:, 0], (y @ w)[:, 0]),
        lambda w, x, y: losses.relativistic_average.g((x @ w)[:, 0], (y @ w)[:, 0]),
        lambda w, x, y: losses.feature_matching(features(w, x), features(w, y)),
    ],
    ids=["relativistic_average.d", "relativistic_average.g", "feature_matching"],
)
def test_eight_devices_equal_one(loss, key):
    w, (x, y) = jax.random.normal(key, [3, 2]), jax.random.normal(jax.random.fold_in(key, 1), [2, 16, 3])
    mesh = jax.make_mesh((8,), (AXIS_NAME,), (AxisType.Auto,))
    split, whole = PartitionSpec(AXIS_NAME), PartitionSpec()
    averaged = lambda *a: jax.lax.pmean(jax.value_and_grad(loss)(*a), AXIS_NAME)
    eight = jax.jit(
        jax.shard_map(averaged, mesh=mesh, in_specs=(whole, split, split), out_specs=whole, check_vma=False)
    )
    jax.tree.map(
        partial(assert_allclose, rtol=2e-5, atol=1e-6), eight(w, x, y), jax.jit(jax.value_and_grad(loss))(w, x, y)
    )


def test_feature_matching_is_the_squared_distance_of_means():
    real = {"a": jnp.array([[1.0, 2.0], [3.0, 4.0]]), "b": jnp.ones([2, 2, 1])}
    fake = {"a": jnp.array([[2.0, 2.0], [2.0, 2.0], [2.0, 2.0]]), "b": jnp.zeros([3, 2, 1])}
    assert_allclose(losses.feature_matching(real, fake), (2 - 2) ** 2 + (3 - 2) ** 2 + 2)


@pytest.mark.parametrize(("loss", "expected", "slopes"), [(losses.l1, 1.5, [0.5, -0.5]), (losses.l2, 2.5, [2.0, -1.0])])
def test_reconstruction(loss, expected, slopes):
    value, grads = jax.value_and_grad(loss)(jnp.array([[3.0, 0.0]]), jnp.array([[1.0, 1.0]]))
    assert_allclose(value, expected)
    assert_allclose(grads[0], slopes)
