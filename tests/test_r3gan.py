"""Tests of R3GAN's networks: numbers of parameters, initial weights, labels and resampling."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose

from jaxgan.networks import r3gan

G = r3gan.Generator(3, (16, 8, 8), blocks=2, groups=4)
D = r3gan.Discriminator((8, 8, 16), blocks=2, groups=4)


def num_params(tree):
    return sum(x.size for x in jax.tree.leaves(tree))


def shapes(module, *inputs):
    """Returns the shapes of a module's parameters and of its output."""
    variables = jax.eval_shape(lambda: module.init(jax.random.key(0), *inputs, train=False))
    return variables["params"], jax.eval_shape(lambda v: module.apply(v, *inputs, train=False), variables)


def perturbed(variables, key):
    """Adds noise, so that biases and the last kernels of blocks are no longer 0."""
    leaves, treedef = jax.tree.flatten(variables)
    keys = jax.random.split(key, len(leaves))
    return jax.tree.unflatten(
        treedef, [x + 0.1 * jax.random.normal(k, x.shape) for k, x in zip(keys, leaves, strict=True)]
    )


def test_numbers_of_parameters():
    block = lambda w, groups: w * 2 * w + 2 * w + 9 * (2 * w // groups) * 2 * w + 2 * w + 2 * w * w
    params, out = shapes(G, jnp.zeros([2, 5]))
    assert out.shape == (2, 16, 16, 3)
    assert num_params(params) == 16 * 16 + 5 * 16 + 2 * block(16, 4) + 16 * 8 + 4 * block(8, 4) + 8 * 3
    params, out = shapes(D, jnp.zeros([2, 16, 16, 3]))
    assert out.shape == (2,)
    assert num_params(params) == 3 * 8 + 4 * block(8, 4) + 8 * 16 + 2 * block(16, 4) + 16 * 16 + 16


@pytest.mark.parametrize(("side", "base", "stages"), [(28, 7, 3), (32, 4, 4), (64, 4, 5)])
def test_discriminators_accept_the_generators_images(side, base, stages):
    generator = r3gan.Generator(3, (8,) * stages, groups=2, base=base, classes=10)
    discriminator = r3gan.Discriminator((8,) * stages, groups=2, classes=10)
    labels = jnp.zeros([2], jnp.int32)
    g_params, images = shapes(generator, jnp.zeros([2, 4]), labels)
    assert images.shape == (2, side, side, 3)
    d_params, logits = shapes(discriminator, jnp.zeros(images.shape), labels)
    assert logits.shape == (2,)
    assert g_params["basis"].shape == d_params["basis"].shape == (base, base, 8)


def test_networks_are_linear_at_first(key):
    """Blocks, which are the only nonlinear parts, are initialised as the identity."""
    for module, shape in ((G, [2, 5]), (D, [2, 16, 16, 3])):
        x, y = jax.random.normal(key, [2, *shape])
        variables = jax.jit(module.init)(key, x)
        f = jax.jit(lambda x, variables, module=module: module.apply(variables, x))
        assert_allclose(f(2.0 * x + y, variables), 2.0 * f(x, variables) + f(y, variables), atol=1e-5)
        noisy = perturbed(variables, key)
        assert np.abs(f(2.0 * x + y, noisy) - 2.0 * f(x, noisy) - f(y, noisy)).max() > 1e-2


def test_initial_weights_of_blocks_are_he_normal_scaled_by_depth(key):
    module = r3gan.Discriminator((64,), blocks=3, groups=4)
    params = jax.jit(module.init)(key, jnp.zeros([1, 4, 4, 3]))["params"]
    kernel_of = lambda i: np.asarray(params[f"Conv_{i}"]["kernel"])
    gain = math.sqrt(2 / 1.04) * 3**-0.25
    for kernel, fan_in in ((kernel_of(1), 64), (kernel_of(2), 9 * 128 // 4)):
        assert_allclose([kernel.mean(), kernel.std()], [0, gain / math.sqrt(fan_in)], rtol=0.05, atol=0.01)
    assert not kernel_of(3).any()


def test_labels_change_images_and_logits(key):
    labels = jnp.array([0, 1])
    generator, discriminator = (m.clone(classes=2) for m in (G, D))
    z = jnp.broadcast_to(jax.random.normal(key, [5]), (2, 5))
    apply = lambda module, x: jax.jit(lambda: module.apply(module.init(key, x, labels), x, labels))()
    images = apply(generator, z)
    assert np.abs(images[0] - images[1]).max() > 1e-2
    equal_images = jnp.broadcast_to(images[:1], images.shape)
    logits = apply(discriminator, equal_images)
    assert abs(logits[0] - logits[1]) > 1e-4


def test_upsample_is_four_times_the_transpose_of_downsample(key):
    x, y = jax.random.normal(key, [2, 3, 4, 5]), jax.random.normal(key, [2, 6, 8, 5])
    assert_allclose((r3gan.upsample(x) * y).sum(), 4 * (x * r3gan.downsample(y)).sum(), rtol=1e-4)


def bilinear(inputs: int, outputs: int) -> np.ndarray:
    """Returns the matrix [outputs, inputs] of linear interpolation between pixels at half-integer centres, 0 outside.

    Weights fall linearly from the centre of an output pixel to 0 at a distance of one pixel, on the coarser grid.
    """
    centres = lambda n: (np.arange(n) + 0.5) / n
    pixels = min(inputs, outputs)
    distance = np.abs(centres(outputs)[:, None] - centres(inputs)[None]) * pixels
    return np.maximum(1.0 - distance, 0.0) * pixels / inputs


@pytest.mark.parametrize(("resample", "factor"), [(r3gan.upsample, 2), (r3gan.downsample, 0.5)])
def test_resampling_is_bilinear_interpolation_between_pixel_centres(resample, factor, key):
    x = jax.random.normal(key, [2, 6, 8, 3])
    rows, columns = (bilinear(n, int(n * factor)) for n in x.shape[1:3])
    assert_allclose(resample(x), np.einsum("ih,jw,bhwc->bijc", rows, columns, np.float64(x)), atol=1e-6)


def test_resampling_equals_that_of_jax_image_inside_the_image(key):
    """At the edges `jax.image.resize` divides by the sum of the weights that are inside; here pixels outside are 0."""
    x = jax.random.normal(key, [2, 6, 8, 3])
    for resample, factor in ((r3gan.upsample, 2), (r3gan.downsample, 0.5)):
        shape = (2, int(6 * factor), int(8 * factor), 3)
        expected = jax.image.resize(x, shape, "bilinear", antialias=True)
        assert_allclose(resample(x)[:, 1:-1, 1:-1], expected[:, 1:-1, 1:-1], atol=1e-6)


def test_resampling_commutes_with_reflections(key):
    x = jax.random.normal(key, [2, 6, 8, 3])
    for resample in (r3gan.upsample, r3gan.downsample):
        assert_allclose(resample(x[:, ::-1]), resample(x)[:, ::-1], atol=1e-6)
        assert_allclose(resample(x[:, :, ::-1]), resample(x)[:, :, ::-1], atol=1e-6)
