"""R3GAN's networks: sizes, the start of their weights, and resampling by its filter."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose

from jaxgan.networks import r3gan

G = r3gan.Generator(3, (16, 8, 8), blocks=2, groups=4)
D = r3gan.Discriminator((8, 8, 16), blocks=2, groups=4)


def size(tree):
    return sum(x.size for x in jax.tree.leaves(tree))


def shapes(module, *inputs):
    made = jax.eval_shape(lambda: module.init(jax.random.key(0), *inputs, train=False))
    return made["params"], jax.eval_shape(lambda made: module.apply(made, *inputs, train=False), made)


def perturbed(variables, key):
    """The same, but for last kernels of blocks, which start at 0, and biases."""
    leaves, tree = jax.tree.flatten(variables)
    keys = jax.random.split(key, len(leaves))
    return jax.tree.unflatten(
        tree, [x + 0.1 * jax.random.normal(k, x.shape) for k, x in zip(keys, leaves, strict=True)]
    )


def test_networks_have_the_parameters_of_their_blocks():
    block = lambda w, groups: w * 2 * w + 2 * w + 9 * (2 * w // groups) * 2 * w + 2 * w + 2 * w * w
    params, out = shapes(G, jnp.zeros([2, 5]))
    assert out.shape == (2, 16, 16, 3)
    assert size(params) == 16 * 16 + 5 * 16 + 2 * block(16, 4) + 16 * 8 + 4 * block(8, 4) + 8 * 3
    params, out = shapes(D, jnp.zeros([2, 16, 16, 3]))
    assert out.shape == (2,)
    assert size(params) == 3 * 8 + 4 * block(8, 4) + 8 * 16 + 2 * block(16, 4) + 16 * 16 + 16


@pytest.mark.parametrize(("side", "base", "stages"), [(28, 7, 3), (32, 4, 4), (64, 4, 5)])
def test_images_have_the_size_that_discriminators_take(side, base, stages):
    generator = r3gan.Generator(3, (8,) * stages, groups=2, base=base, classes=10)
    discriminator = r3gan.Discriminator((8,) * stages, groups=2, classes=10)
    labels = jnp.zeros([2], jnp.int32)
    params, out = shapes(generator, jnp.zeros([2, 4]), labels)
    assert out.shape == (2, side, side, 3)
    judged, logits = shapes(discriminator, jnp.zeros(out.shape), labels)
    assert logits.shape == (2,)
    assert params["basis"].shape == judged["basis"].shape == (base, base, 8)


def test_both_networks_start_linear(key):
    """Each block is the identity, and nothing else in them is not linear."""
    for module, shape in ((G, [2, 5]), (D, [2, 16, 16, 3])):
        x, y = jax.random.normal(key, [2, *shape])
        variables = jax.jit(module.init)(key, x)
        f = jax.jit(lambda x, variables, module=module: module.apply(variables, x))
        assert_allclose(f(2.0 * x + y, variables), 2.0 * f(x, variables) + f(y, variables), atol=1e-5)
        other = perturbed(variables, key)
        assert np.abs(f(2.0 * x + y, other) - 2.0 * f(x, other) - f(y, other)).max() > 1e-2


def test_blocks_start_at_he_s_normals_scaled_by_depth(key):
    module = r3gan.Discriminator((64,), blocks=3, groups=4)
    params = jax.jit(module.init)(key, jnp.zeros([1, 4, 4, 3]))["params"]
    by_name = lambda i: np.asarray(params[f"Conv_{i}"]["kernel"])
    gain = math.sqrt(2 / 1.04) * 3**-0.25
    for kernel, fan_in in ((by_name(1), 64), (by_name(2), 9 * 128 // 4)):
        assert_allclose([kernel.mean(), kernel.std()], [0, gain / math.sqrt(fan_in)], rtol=0.05, atol=0.01)
    assert not by_name(3).any()


def test_a_class_matters_to_both(key):
    labels = jnp.array([0, 1])
    generator, discriminator = (m.clone(classes=2) for m in (G, D))
    z = jnp.broadcast_to(jax.random.normal(key, [5]), (2, 5))
    play = lambda module, x: jax.jit(lambda: module.apply(module.init(key, x, labels), x, labels))()
    images = play(generator, z)
    assert np.abs(images[0] - images[1]).max() > 1e-2
    same = jnp.broadcast_to(images[:1], images.shape)
    logits = play(discriminator, same)
    assert abs(logits[0] - logits[1]) > 1e-4


def test_up_is_four_times_the_transpose_of_down(key):
    x, y = jax.random.normal(key, [2, 3, 4, 5]), jax.random.normal(key, [2, 6, 8, 5])
    assert_allclose((r3gan.upsample(x) * y).sum(), 4 * (x * r3gan.downsample(y)).sum(), rtol=1e-4)


def test_resampling_is_exact_on_planes():
    """Bilinear: but for the edges, a function that is linear in the place stays what it is."""
    plane = lambda h, w, step: (3.0 + 2.0 * step * jnp.arange(1.0 * h)[:, None] - step * jnp.arange(1.0 * w)[None])[
        None, ..., None
    ]
    assert_allclose(r3gan.downsample(plane(8, 12, 0.5))[:, 1:, 1:], plane(4, 6, 1.0)[:, 1:, 1:], rtol=1e-6)
    assert_allclose(r3gan.upsample(plane(4, 6, 1.0))[:, :-1, :-1], plane(8, 12, 0.5)[:, :-1, :-1], rtol=1e-6)


def test_the_smoothest_and_the_sharpest_wave_through_the_filter():
    """[1, 2, 1] lets a constant through, and of one that changes its sign at each pixel nothing."""
    wave = jnp.broadcast_to(jnp.resize(jnp.array([1.0, -1.0]), (1, 8, 1, 1)), [1, 8, 8, 1])
    assert_allclose(r3gan.downsample(wave)[:, 1:, 1:], 0.0, atol=1e-6)
