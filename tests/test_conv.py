"""Convolutions: values, first and second derivatives equal those of `lax`, alone, as ensembles and on devices."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from jax.sharding import AxisType, PartitionSpec
from numpy.testing import assert_allclose

from jaxgan.axis import AXIS
from jaxgan.networks import conv, trilinear, winograd

LAYOUT = ("NHWC", "HWIO", "NHWC")
OURS = {"conv": conv.conv2d, "transposed": conv.conv_transpose2d}
NATIVE = {"conv": lax.conv_general_dilated, "transposed": lax.conv_transpose}
CASES = [  # size, kernel, strides, padding
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
]


@pytest.fixture(autouse=True)
def _float64(monkeypatch):
    monkeypatch.setattr(winograd, "LEAST", 0)
    jax.clear_caches()  # What was traced by other constants.
    with jax.enable_x64(True):
        yield


def derivatives(f):
    """A function to (value, gradients, gradients of a penalty on the gradients) of f(x, kernel)."""
    gradients = jax.grad(lambda x, kernel: jnp.tanh(f(x, kernel)).sum(), (0, 1))

    def penalty(x, kernel):
        gx, gk = gradients(x, kernel)
        return (gx**2).sum() + jnp.sin(gk).sum()

    return jax.jit(lambda x, kernel: (f(x, kernel), gradients(x, kernel), jax.grad(penalty, (0, 1))(x, kernel)))


def bound(functions, kind, case):
    _, _, strides, padding = case
    options = {"dimension_numbers": LAYOUT} if functions is NATIVE else {}
    return derivatives(lambda x, kernel: functions[kind](x, kernel, strides, padding, **options))


def operands(case, *axes):
    size, kernel, _, _ = case
    rng = np.random.default_rng(0)
    return jnp.array(rng.normal(size=(*axes, 6, *size, 2))), jnp.array(rng.normal(size=(*axes, *kernel, 2, 3)))


def assert_equal(ours, theirs):
    jax.tree.map(lambda a, b: assert_allclose(a, b, rtol=1e-9, atol=1e-9), ours, theirs)


@pytest.mark.parametrize("kind", OURS)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_equals_lax_to_second_order(kind, case, monkeypatch):
    monkeypatch.setattr(trilinear, "PATCH_BYTES", 2**12)  # In chunks of one to six images.
    monkeypatch.setattr(winograd, "POINT_BYTES", 2**14)
    x, kernel = operands(case)
    assert_equal(bound(OURS, kind, case)(x, kernel), bound(NATIVE, kind, case)(x, kernel))


@pytest.mark.parametrize(("backend", "few"), [("cpu", 4), ("cpu", 1), ("gpu", 4)])
@pytest.mark.parametrize("groups", [2, 4], ids=["grouped", "depthwise"])
@pytest.mark.parametrize(("side", "strides", "padding"), [((3, 3), (1, 1), "SAME"), ((1, 2), (2, 1), "VALID")])
def test_groups_equal_lax_to_second_order(side, strides, padding, groups, backend, few, monkeypatch):
    monkeypatch.setattr(conv, "FEW_GROUPS", few)
    rng = np.random.default_rng(0)
    x, kernel = jnp.array(rng.normal(size=(2, 5, 6, 4))), jnp.array(rng.normal(size=(*side, 4 // groups, 8)))
    ours = lambda x, kernel: conv.conv2d(x, kernel, strides, padding, groups)
    options = {"dimension_numbers": LAYOUT, "feature_group_count": groups}
    theirs = lambda x, kernel: lax.conv_general_dilated(x, kernel, strides, padding, **options)
    monkeypatch.setattr(jax, "default_backend", lambda: backend)
    assert_equal(derivatives(ours)(x, kernel), derivatives(theirs)(x, kernel))


def test_an_ensemble_of_groups_equals_its_members():
    rng = np.random.default_rng(0)
    xs, kernels = jnp.array(rng.normal(size=(2, 3, 4, 4, 4))), jnp.array(rng.normal(size=(2, 3, 3, 2, 4)))
    f = derivatives(lambda x, kernel: conv.conv2d(x, kernel, groups=2))
    assert_equal(jax.vmap(f)(xs, kernels), jax.tree.map(lambda *t: jnp.stack(t), *map(f, xs, kernels)))


@pytest.mark.parametrize("kind", OURS)
@pytest.mark.parametrize("case", [CASES[0], CASES[3]], ids=str)
def test_accelerators_compute_the_same(kind, case, monkeypatch):
    x, kernel = operands(case)
    expected = bound(OURS, kind, case)(x, kernel)
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    assert_equal(bound(OURS, kind, case)(x, kernel), expected)


@pytest.mark.parametrize("mapped", [(0, 0), (0, None), (None, 0)], ids=["both", "x", "kernel"])
@pytest.mark.parametrize("case", [CASES[0], CASES[3]], ids=str)
def test_an_ensemble_equals_its_members(mapped, case):
    xs, kernels = (t if axis == 0 else t[0] for t, axis in zip(operands(case, 2), mapped, strict=True))
    f = bound(OURS, "conv", case)
    ensemble = jax.jit(jax.vmap(f, mapped))(xs, kernels)
    for i in range(2):
        member = f(*(t[i] if axis == 0 else t for t, axis in zip((xs, kernels), mapped, strict=True)))
        assert_equal(jax.tree.map(lambda t: t[i], ensemble), member)


def test_the_gradient_of_an_ensemble_is_the_ensemble_of_gradients():
    f = lambda x, kernel: jnp.tanh(conv.conv2d(x, kernel, (2, 2))).sum()
    xs, kernels = operands(CASES[0], 2, 2)  # two axes, one inside the other
    inside = jax.vmap(jax.vmap(jax.grad(f, (0, 1))))
    outside = jax.grad(lambda xs, kernels: jax.vmap(jax.vmap(f))(xs, kernels).sum(), (0, 1))
    assert_equal(jax.jit(inside)(xs, kernels), jax.jit(outside)(xs, kernels))


def test_an_ensemble_has_no_grouped_convolutions():
    xs, kernels = operands(CASES[1], 3)
    text = str(jax.make_jaxpr(jax.vmap(bound(OURS, "transposed", CASES[1])))(xs, kernels))
    assert "conv_general_dilated" in text
    assert "feature_group_count=3" not in text
    assert "batch_group_count=3" not in text


@pytest.mark.parametrize("case", [CASES[0], CASES[2]], ids=str)
def test_float32_is_about_as_exact_as_the_sum(case):
    x, kernel = operands(case)
    exact = jax.tree.leaves(bound(NATIVE, "conv", case)(x, kernel))
    found = [jax.tree.leaves(bound(f, "conv", case)(jnp.float32(x), jnp.float32(kernel))) for f in (OURS, NATIVE)]
    norm = lambda single, double: np.linalg.norm(np.float64(single) - double) / np.linalg.norm(double)
    ours, theirs = (max(map(norm, single, exact)) for single in found)
    assert ours < 3 * theirs


def test_in_a_loop():
    x, kernel = operands(CASES[0])
    f = bound(OURS, "transposed", CASES[0])
    loop = lambda x, kernel: lax.fori_loop(0, 2, lambda i, out: jax.tree.map(jnp.add, out, f(x, kernel)), f(x, kernel))
    assert_equal(jax.jit(loop)(x, kernel), jax.tree.map(lambda t: 3.0 * t, f(x, kernel)))


@pytest.mark.parametrize("parallel", ["shard_map", "pmap"])
def test_on_devices(parallel):
    x, kernel = operands(CASES[0])
    x = jnp.stack([x, 2.0 * x])
    f = bound(OURS, "conv", CASES[0])
    devices = jax.devices()[:2]
    if parallel == "pmap":
        found = jax.pmap(f, AXIS, in_axes=(0, None), devices=devices)(x, kernel)
    else:
        mesh, spread = jax.make_mesh((2,), (AXIS,), (AxisType.Auto,), devices=devices), PartitionSpec(AXIS)
        local = lambda x, kernel: jax.tree.map(lambda t: t[None], f(x[0], kernel))
        specs = {"in_specs": (spread, PartitionSpec()), "out_specs": spread}
        found = jax.jit(jax.shard_map(local, mesh=mesh, check_vma=False, **specs))(x, kernel)
    for i in range(2):
        assert_equal(jax.tree.map(lambda t: t[i], found), f(x[i], kernel))


def test_explicit_padding_may_be_a_list():
    x, kernel = operands(CASES[0])
    for f in OURS.values():
        assert_equal(f(x, kernel, [2, 2], [[1, 1], [1, 1]]), f(x, kernel, (2, 2), ((1, 1), (1, 1))))
