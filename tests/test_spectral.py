"""Tests of spectral norm, its power iteration and gradient, and of SN-GAN's networks."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose

from jaxgan.networks import dcgan, mlp, resnet
from jaxgan.networks.layers import Conv, largest_singular_value, spectral_norm
from jaxgan.networks.sngan import Critic, Generator


class Normed(nn.Module):
    """A network that consists of one layer with spectral norm."""

    kind: str = "dense"

    @nn.compact
    def __call__(self, x, train=True):
        return spectral_norm(train, nn.Dense(5) if self.kind == "dense" else Conv(5, (3, 2)))(x)


def matrix(params):
    """Returns the kernel reshaped to [fan_in, fan_out], in float64."""
    (kernel,) = (np.asarray(x, np.float64) for x in jax.tree.leaves(params) if x.ndim > 1)
    return kernel.reshape(-1, kernel.shape[-1])


def buffers(spectral):
    """Returns the layer's buffers "u" and "sigma"."""
    leaves = jax.tree_util.tree_leaves_with_path(spectral)
    return {jax.tree_util.keystr(path).rstrip("']").split("/")[-1]: np.asarray(leaf) for path, leaf in leaves}


def iterate(kernel, u):
    """Returns v, u and sigma after one power iteration in float64."""
    normalise = lambda x: x / np.linalg.norm(x)
    v = normalise(kernel @ u)
    u = normalise(kernel.T @ v)
    return v, u, v @ kernel @ u


@pytest.fixture(params=["dense", "conv"])
def layer(request, key):
    module = Normed(request.param)
    x = jax.random.normal(key, (4, 3) if request.param == "dense" else (4, 6, 6, 3))
    return module, x, module.init(key, x, train=False)


def test_each_training_call_does_one_power_iteration(layer):
    module, x, variables = layer
    kernel, u = matrix(variables["params"]), np.float64(buffers(variables["spectral"])["u"][0])
    for _ in range(3):
        out, state = module.apply(variables, x, mutable="spectral")
        _, u, sigma = iterate(kernel, u)
        actual = buffers(state["spectral"])
        assert_allclose(actual["u"][0], u, rtol=1e-4, atol=1e-6)
        assert_allclose(actual["sigma"], sigma, rtol=1e-5)
        plain = nn.Dense(5) if module.kind == "dense" else nn.Conv(5, (3, 2))
        params = jax.tree.map(lambda t, sigma=sigma: t / np.float32(sigma), variables["params"])
        assert_allclose(out, plain.apply({"params": next(iter(params.values()))}, x), rtol=1e-4, atol=1e-6)
        variables = {**variables, **state}


def test_sigma_converges_to_the_largest_singular_value(layer):
    module, x, variables = layer
    update = jax.jit(lambda spectral: module.apply({**variables, "spectral": spectral}, x, mutable="spectral")[1])
    spectral = variables["spectral"]
    for _ in range(100):
        spectral = update(spectral)["spectral"]
    expected = np.linalg.svd(matrix(variables["params"]), compute_uv=False)[0]
    assert_allclose(buffers(spectral)["sigma"], expected, rtol=1e-5)


@pytest.mark.parametrize("iterations", [3, 30])
def test_several_power_iterations_in_one_call_equal_as_many_calls(key, iterations):
    w, u = jax.random.normal(key, (7, 5)), jnp.ones((1, 5))
    sigma, next_u = largest_singular_value(w, u, iterations)
    for _ in range(iterations):
        expected, u = largest_singular_value(w, u)
    assert_allclose(sigma, expected, rtol=1e-6)
    assert_allclose(next_u, u, rtol=1e-5)
    if iterations == 30:
        assert_allclose(sigma, np.linalg.svd(w, compute_uv=False)[0], rtol=1e-4)


def test_buffers_change_only_in_training_and_independently_of_the_batch(layer):
    module, x, variables = layer
    _, evaluated = module.apply(variables, x, train=False, mutable="spectral")
    _, trained = module.apply(variables, x, mutable="spectral")
    _, trained_on_other_batch = module.apply(variables, 3.0 - x[:2], mutable="spectral")
    leaves = lambda tree: [np.asarray(t).tobytes() for t in jax.tree.leaves(tree)]
    assert leaves(evaluated) == leaves({"spectral": variables["spectral"]})
    assert leaves(trained) == leaves(trained_on_other_batch) != leaves(evaluated)


def test_no_gradient_flows_through_the_power_iteration(key):
    """With fixed u and v, the gradient of <A, W / σ> is (A - <A, W / σ> v u') / σ (Miyato et al. 2018, Eq. 12)."""
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
def test_output_is_independent_of_the_scale_of_the_kernel(layer, scale):
    module, x, variables = layer
    scaled = {**variables, "params": jax.tree.map(lambda t: t * scale, variables["params"])}
    assert_allclose(module.apply(scaled, x, train=False), module.apply(variables, x, train=False), rtol=1e-4, atol=1e-6)


def test_initial_kernels_are_those_of_the_initialiser(key):
    """Only the forward pass divides them: with and without spectral norm the initial parameters are the same bits."""
    images, labels = jnp.zeros((1, 16, 16, 3)), jnp.zeros(1, jnp.int32)
    networks = {
        "resnet critic": (functools.partial(resnet.Critic, (8, 8), classes=3, attention=8), (images, labels)),
        "resnet generator": (
            functools.partial(resnet.Generator, 3, (8, 8), 8, classes=3, attention=8),
            (jnp.zeros((1, 4)), labels),
        ),
        "dcgan": (functools.partial(dcgan.Discriminator, 8, norm=False), (images,)),
        "mlp": (functools.partial(mlp.Critic, 8), (images,)),
    }
    for name, (network, inputs) in networks.items():
        with_norm, without = (network(spectral=spectral).init(key, *inputs, train=False) for spectral in (True, False))
        kernels = {jax.tree_util.keystr(path): x for path, x in jax.tree.leaves_with_path(without["params"])}
        for path, x in jax.tree.leaves_with_path(with_norm["params"]):
            np.testing.assert_array_equal(x, kernels[jax.tree_util.keystr(path)], err_msg=name)
        spectral = jax.tree.leaves_with_path(with_norm["spectral"])
        vectors = np.concatenate([np.ravel(x) for path, x in spectral if path[-1].key.endswith("/u")])
        assert 0.7 < vectors.std() < 1.3  # N(0, 1), as in the authors' code


def test_initial_kernels_of_the_convolutional_critic_are_lecun_normal(key):
    params = jax.jit(lambda: Critic(width=32, base=4).init(key, jnp.zeros((1, 16, 16, 3)), train=False))()["params"]
    for name, layer in params.items():
        kernel = np.asarray(layer["kernel"])
        if kernel.size > 5_000:
            assert_allclose(kernel.std() * np.sqrt(kernel[..., 0].size), 1.0, rtol=0.05, err_msg=name)


def test_critic_has_the_layers_of_the_paper():
    """For 32 x 32 pixels it has seven convolutions and a dense layer, each with its own u."""
    init = lambda: Critic(width=4).init(jax.random.key(0), jnp.zeros((1, 32, 32, 3)), train=False)
    variables = jax.eval_shape(init)
    sides, widths = [3, 4] * 3 + [3], [4, 4, 8, 8, 16, 16, 32]
    convs = [(k, k, i, o) for k, i, o in zip(sides, [3, *widths], widths, strict=False)]
    assert [t.shape for t in jax.tree.leaves(variables["params"]) if t.ndim > 1] == [*convs, (4 * 4 * 32, 1)]
    vectors = [t.shape for t in jax.tree.leaves(variables["spectral"]) if t.ndim > 1]
    assert vectors == [(1, o) for o in (*widths, 1)]


def test_generator_has_the_layers_of_the_paper():
    """For 32 x 32 pixels it has a dense layer and four convolutions, with 512, 256, 128 and 64 input channels."""
    module, z = Generator(32), jnp.zeros((2, 128))
    variables = jax.eval_shape(lambda: module.init(jax.random.key(0), z, train=False))
    kernels = {x.shape for x in jax.tree.leaves(variables["params"]) if x.ndim > 1}
    assert kernels == {(128, 4 * 4 * 512), (4, 4, 512, 256), (4, 4, 256, 128), (4, 4, 128, 64), (3, 3, 64, 3)}
    assert jax.eval_shape(lambda v: module.apply(v, z, train=False), variables).shape == (2, 32, 32, 3)
