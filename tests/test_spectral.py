"""Spectral normalisation: one power iteration a call, exact in the limit, and its gradient in closed form."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose

from jaxgan.networks.layers import Conv, spectral_norm
from jaxgan.networks.sngan import Critic, Generator


class Normed(nn.Module):
    """One layer, normalised."""

    kind: str = "dense"

    @nn.compact
    def __call__(self, x, train=True):
        return spectral_norm(train, nn.Dense(5) if self.kind == "dense" else Conv(5, (3, 2)))(x)


def matrix(params):
    (kernel,) = (np.asarray(x, np.float64) for x in jax.tree.leaves(params) if x.ndim > 1)
    return kernel.reshape(-1, kernel.shape[-1])


def buffers(spectral):
    """The one layer's u and sigma."""
    leaves = jax.tree_util.tree_leaves_with_path(spectral)
    return {jax.tree_util.keystr(path).rstrip("']").split("/")[-1]: np.asarray(leaf) for path, leaf in leaves}


def iterate(kernel, u):
    """One power iteration in float64: v, u and the value."""
    unit = lambda x: x / np.linalg.norm(x)
    v = unit(kernel @ u)
    u = unit(kernel.T @ v)
    return v, u, v @ kernel @ u


@pytest.fixture(params=["dense", "conv"])
def layer(request, key):
    module = Normed(request.param)
    x = jax.random.normal(key, (4, 3) if request.param == "dense" else (4, 6, 6, 3))
    return module, x, module.init(key, x, train=False)


def test_a_call_is_one_power_iteration(layer):
    module, x, variables = layer
    kernel, u = matrix(variables["params"]), np.float64(buffers(variables["spectral"])["u"][0])
    for _ in range(3):
        out, changed = module.apply(variables, x, mutable="spectral")
        _, u, sigma = iterate(kernel, u)
        found = buffers(changed["spectral"])
        assert_allclose(found["u"][0], u, rtol=1e-4, atol=1e-6)
        assert_allclose(found["sigma"], sigma, rtol=1e-5)
        plain = nn.Dense(5) if module.kind == "dense" else nn.Conv(5, (3, 2))
        params = jax.tree.map(lambda t, sigma=sigma: t / np.float32(sigma), variables["params"])
        assert_allclose(out, plain.apply({"params": next(iter(params.values()))}, x), rtol=1e-4, atol=1e-6)
        variables = {**variables, **changed}


def test_it_converges_to_the_largest_singular_value(layer):
    module, x, variables = layer
    call = jax.jit(lambda spectral: module.apply({**variables, "spectral": spectral}, x, mutable="spectral")[1])
    spectral = variables["spectral"]
    for _ in range(100):
        spectral = call(spectral)["spectral"]
    exact = np.linalg.svd(matrix(variables["params"]), compute_uv=False)[0]
    assert_allclose(buffers(spectral)["sigma"], exact, rtol=1e-5)


def test_evaluation_and_the_batch_leave_the_iteration_alone(layer):
    module, x, variables = layer
    _, still = module.apply(variables, x, train=False, mutable="spectral")
    _, one = module.apply(variables, x, mutable="spectral")
    _, other = module.apply(variables, 3.0 - x[:2], mutable="spectral")
    leaves = lambda tree: [np.asarray(t).tobytes() for t in jax.tree.leaves(tree)]
    assert leaves(still) == leaves({"spectral": variables["spectral"]})
    assert leaves(one) == leaves(other) != leaves(still)


def test_no_gradient_goes_through_the_iteration(key):
    """With u, v fixed, the gradient of <A, W / σ> is (A - <A, W / σ> v u') / σ (Eq. 12), converged or not."""
    module, eye = Normed(), jnp.eye(3)
    variables = module.init(key, eye, train=False)
    a = jax.random.normal(key, (3, 5))

    def loss(params):
        out, _ = module.apply({**variables, "params": params}, eye, mutable="spectral")
        return (a * out).sum()

    kernel = matrix(variables["params"])
    v, u, sigma = iterate(kernel, np.float64(buffers(variables["spectral"])["u"][0]))
    expected = (a - np.sum(np.asarray(a) * kernel / sigma) * np.outer(v, u)) / sigma
    assert_allclose(matrix(jax.grad(loss)(variables["params"])), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("scale", [1e-5, 1e3])
def test_the_scale_of_the_kernel_is_without_effect(layer, scale):
    module, x, variables = layer
    scaled = {**variables, "params": jax.tree.map(lambda t: t * scale, variables["params"])}
    assert_allclose(module.apply(scaled, x, train=False), module.apply(variables, x, train=False), rtol=1e-4, atol=1e-6)


def test_the_critic_is_the_paper_s():
    """Seven convolutions and a product at 32 pixels, each with a vector of its own."""
    init = lambda: Critic(width=4).init(jax.random.key(0), jnp.zeros((1, 32, 32, 3)), train=False)
    variables = jax.eval_shape(init)
    sides, widths = [3, 4] * 3 + [3], [4, 4, 8, 8, 16, 16, 32]
    inner = [(k, k, i, o) for k, i, o in zip(sides, [3, *widths], widths, strict=False)]
    assert [t.shape for t in jax.tree.leaves(variables["params"]) if t.ndim > 1] == [*inner, (4 * 4 * 32, 1)]
    vectors = [t.shape for t in jax.tree.leaves(variables["spectral"]) if t.ndim > 1]
    assert vectors == [(1, o) for o in (*widths, 1)]


def test_the_generator_is_the_paper_s():
    """A product and four convolutions, of 512, 256, 128 and 64 channels at 32 pixels."""
    module, z = Generator(32), jnp.zeros((2, 128))
    variables = jax.eval_shape(lambda: module.init(jax.random.key(0), z, train=False))
    kernels = {x.shape for x in jax.tree.leaves(variables["params"]) if x.ndim > 1}
    assert kernels == {(128, 4 * 4 * 512), (4, 4, 512, 256), (4, 4, 256, 128), (4, 4, 128, 64), (3, 3, 64, 3)}
    assert jax.eval_shape(lambda made: module.apply(made, z, train=False), variables).shape == (2, 32, 32, 3)
