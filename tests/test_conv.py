"""Tests that convolutions equal those of `lax` to second order: alone, in ensembles, and on several devices."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from jax.sharding import AxisType, PartitionSpec
from numpy.testing import assert_allclose

from jaxgan.core.axis import AXIS_NAME
from jaxgan.cpu import trilinear, winograd
from jaxgan.networks import conv

LAYOUTS = {1: ("NWC", "WIO", "NWC"), 2: ("NHWC", "HWIO", "NHWC"), 3: ("NDHWC", "DHWIO", "NDHWC")}  # by spatial axes
LAYOUT = LAYOUTS[2]
JAXGAN = {"conv": conv.conv, "transposed": conv.conv_transpose}
LAX = {"conv": lax.conv_general_dilated, "transposed": lax.conv_transpose}
CASES = [  # size, kernel size, strides, padding
    ((8, 8), (4, 4), (2, 2), "SAME"),
    ((7, 9), (3, 5), (2, 1), "VALID"),
    ((5, 6), (3, 3), (1, 1), "SAME"),
    ((7, 6), (3, 6), (1, 2), "SAME"),
    ((6, 7), (2, 2), (1, 1), "SAME"),
    ((8, 9), (4, 4), (2, 2), ((3, -1), (-1, 2))),
    ((9, 7), (1, 1), (2, 3), "VALID"),
    ((5, 5), (1, 1), (1, 1), "SAME"),
    ((4, 5), (2, 2), (3, 3), "SAME"),
    ((4, 5), (2, 2), (3, 3), "VALID"),
    ((6, 5), (2, 3), (3, 2), ((1, 2), (0, 1))),
    ((6, 7), (3, 3), (2, 2), ((3, -1), (0, 2))),
    ((4, 4), (4, 4), (2, 2), "SAME"),
    ((2, 3), (4, 4), (2, 2), "SAME"),
    ((7, 8), (4, 4), (1, 1), ((1, 1), (2, 0))),
    ((9, 8), (7, 7), (1, 1), ((1, -1), (0, 2))),
    ((3, 5), (3, 4), (2, 3), ((2, -1), (0, 1))),
    ((9,), (5,), (4,), "SAME"),
    ((8,), (4,), (2,), "VALID"),
    ((7,), (3,), (1,), ((2, -1),)),
    ((4, 5, 4), (4, 4, 4), (2, 2, 2), "SAME"),
    ((4, 3, 5), (2, 3, 1), (1, 2, 1), ((-1, 1), (1, 0), (0, 1))),
]


@pytest.fixture(autouse=True)
def _float64(monkeypatch):
    monkeypatch.setattr(winograd, "MIN_MULTIPLICATIONS", 0)
    monkeypatch.setattr(winograd, "MIN_CHANNELS", 0)
    jax.clear_caches()  # Cached traces depend on the constants.
    with jax.enable_x64(True):
        yield


def derivatives(f):
    """Returns a function of (x, kernel) to f, its gradients, and the gradients of a penalty on these gradients."""
    gradients = jax.grad(lambda x, kernel: jnp.tanh(f(x, kernel)).sum(), (0, 1))

    def penalty(x, kernel):
        gx, gk = gradients(x, kernel)
        return (gx**2).sum() + jnp.sin(gk).sum()

    return jax.jit(lambda x, kernel: (f(x, kernel), gradients(x, kernel), jax.grad(penalty, (0, 1))(x, kernel)))


def derivatives_of(functions, kind, case):
    """Returns `derivatives` of a convolution from `functions` with the strides and padding of `case`."""
    size, _, strides, padding = case
    options = {"dimension_numbers": LAYOUTS[len(size)]} if functions is LAX else {}
    return derivatives(lambda x, kernel: functions[kind](x, kernel, strides, padding, **options))


def random_operands(case, *ensemble_shape):
    """Returns float64 examples [..., 6, *size, 2] and kernels [..., *sides, 2, 3]."""
    size, kernel, _, _ = case
    rng = np.random.default_rng(0)
    x, kernel = rng.normal(size=(*ensemble_shape, 6, *size, 2)), rng.normal(size=(*ensemble_shape, *kernel, 2, 3))
    return jnp.array(x), jnp.array(kernel)


def assert_close(actual, expected):
    jax.tree.map(lambda a, b: assert_allclose(a, b, rtol=1e-9, atol=1e-9), actual, expected)


@pytest.mark.parametrize("kind", JAXGAN)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_equals_lax_to_second_order(kind, case, monkeypatch):
    monkeypatch.setattr(trilinear, "TAP_BYTES", 2**12)  # chunks of one to six images
    monkeypatch.setattr(winograd, "POINT_BYTES", 2**14)
    x, kernel = random_operands(case)
    assert_close(derivatives_of(JAXGAN, kind, case)(x, kernel), derivatives_of(LAX, kind, case)(x, kernel))


@pytest.mark.parametrize(("backend", "max_unrolled"), [("cpu", 4), ("cpu", 1), ("gpu", 4)])
@pytest.mark.parametrize("groups", [2, 4], ids=["grouped", "depthwise"])
@pytest.mark.parametrize(("side", "strides", "padding"), [((3, 3), (1, 1), "SAME"), ((1, 2), (2, 1), "VALID")])
def test_groups_equal_lax_to_second_order(side, strides, padding, groups, backend, max_unrolled, monkeypatch):
    monkeypatch.setattr(conv, "MAX_UNROLLED_GROUPS", max_unrolled)
    rng = np.random.default_rng(0)
    x, kernel = jnp.array(rng.normal(size=(2, 5, 6, 4))), jnp.array(rng.normal(size=(*side, 4 // groups, 8)))
    grouped_conv = lambda x, kernel: conv.conv(x, kernel, strides, padding, groups)
    options = {"dimension_numbers": LAYOUT, "feature_group_count": groups}
    lax_conv = lambda x, kernel: lax.conv_general_dilated(x, kernel, strides, padding, **options)
    monkeypatch.setattr(jax, "default_backend", lambda: backend)
    assert_close(derivatives(grouped_conv)(x, kernel), derivatives(lax_conv)(x, kernel))


def test_ensemble_of_grouped_convolutions_equals_its_members():
    rng = np.random.default_rng(0)
    xs, kernels = jnp.array(rng.normal(size=(2, 3, 4, 4, 4))), jnp.array(rng.normal(size=(2, 3, 3, 2, 4)))
    f = derivatives(lambda x, kernel: conv.conv(x, kernel, groups=2))
    assert_close(jax.vmap(f)(xs, kernels), jax.tree.map(lambda *t: jnp.stack(t), *map(f, xs, kernels)))


@pytest.mark.parametrize("kind", JAXGAN)
@pytest.mark.parametrize("case", [CASES[0], CASES[3]], ids=str)
def test_other_backends_compute_the_same_values(kind, case, monkeypatch):
    x, kernel = random_operands(case)
    expected = derivatives_of(JAXGAN, kind, case)(x, kernel)
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    assert_close(derivatives_of(JAXGAN, kind, case)(x, kernel), expected)


@pytest.mark.parametrize("in_axes", [(0, 0), (0, None), (None, 0)], ids=["both", "x", "kernel"])
@pytest.mark.parametrize("case", [CASES[0], CASES[3]], ids=str)
def test_ensemble_equals_its_members(in_axes, case):
    xs, kernels = (t if axis == 0 else t[0] for t, axis in zip(random_operands(case, 2), in_axes, strict=True))
    f = derivatives_of(JAXGAN, "conv", case)
    ensemble = jax.jit(jax.vmap(f, in_axes))(xs, kernels)
    for i in range(2):
        member = f(*(t[i] if axis == 0 else t for t, axis in zip((xs, kernels), in_axes, strict=True)))
        assert_close(jax.tree.map(lambda t: t[i], ensemble), member)


def test_grad_and_vmap_commute():
    f = lambda x, kernel: jnp.tanh(conv.conv(x, kernel, (2, 2))).sum()
    xs, kernels = random_operands(CASES[0], 2, 2)  # nested ensembles
    grad_inside = jax.vmap(jax.vmap(jax.grad(f, (0, 1))))
    grad_outside = jax.grad(lambda xs, kernels: jax.vmap(jax.vmap(f))(xs, kernels).sum(), (0, 1))
    assert_close(jax.jit(grad_inside)(xs, kernels), jax.jit(grad_outside)(xs, kernels))


def test_ensemble_has_no_grouped_convolutions():
    xs, kernels = random_operands(CASES[1], 3)
    jaxpr = str(jax.make_jaxpr(jax.vmap(derivatives_of(JAXGAN, "transposed", CASES[1])))(xs, kernels))
    assert "conv_general_dilated" in jaxpr
    assert "feature_group_count=3" not in jaxpr
    assert "batch_group_count=3" not in jaxpr


@pytest.mark.parametrize("case", [CASES[0], CASES[2]], ids=str)
def test_float32_error_is_similar_to_that_of_lax(case):
    x, kernel = random_operands(case)
    expected = jax.tree.leaves(derivatives_of(LAX, "conv", case)(x, kernel))
    relative_error = lambda single, double: np.linalg.norm(np.float64(single) - double) / np.linalg.norm(double)

    def max_error(functions):
        values = derivatives_of(functions, "conv", case)(jnp.float32(x), jnp.float32(kernel))
        return max(map(relative_error, jax.tree.leaves(values), expected))

    assert max_error(JAXGAN) < 3 * max_error(LAX)


def test_derivatives_in_a_loop():
    x, kernel = random_operands(CASES[0])
    f = derivatives_of(JAXGAN, "transposed", CASES[0])
    loop = lambda x, kernel: lax.fori_loop(0, 2, lambda i, out: jax.tree.map(jnp.add, out, f(x, kernel)), f(x, kernel))
    assert_close(jax.jit(loop)(x, kernel), jax.tree.map(lambda t: 3.0 * t, f(x, kernel)))


@pytest.mark.parametrize("parallel", ["shard_map", "pmap"])
def test_shards_on_two_devices_equal_single_evaluations(parallel):
    x, kernel = random_operands(CASES[0])
    x = jnp.stack([x, 2.0 * x])
    f = derivatives_of(JAXGAN, "conv", CASES[0])
    devices = jax.devices()[:2]
    if parallel == "pmap":
        sharded = jax.pmap(f, AXIS_NAME, in_axes=(0, None), devices=devices)(x, kernel)
    else:
        mesh = jax.make_mesh((2,), (AXIS_NAME,), (AxisType.Auto,), devices=devices)
        local = lambda x, kernel: jax.tree.map(lambda t: t[None], f(x[0], kernel))
        specs = {"in_specs": (PartitionSpec(AXIS_NAME), PartitionSpec()), "out_specs": PartitionSpec(AXIS_NAME)}
        sharded = jax.jit(jax.shard_map(local, mesh=mesh, check_vma=False, **specs))(x, kernel)
    for i in range(2):
        assert_close(jax.tree.map(lambda t: t[i], sharded), f(x[i], kernel))


def test_strides_and_padding_may_be_lists():
    x, kernel = random_operands(CASES[0])
    for f in JAXGAN.values():
        assert_close(f(x, kernel, [2, 2], [[1, 1], [1, 1]]), f(x, kernel, (2, 2), ((1, 1), (1, 1))))


def test_one_stride_stands_for_all_axes():
    x, kernel = random_operands(CASES[0])
    for f in JAXGAN.values():
        assert_close(f(x, kernel, 2), f(x, kernel, (2, 2)))
