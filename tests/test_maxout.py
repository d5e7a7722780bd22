"""Tests of dropout and of the fully connected networks for MNIST."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose

from experiments import gan_mnist
from jaxgan.data.digits import digits
from jaxgan.networks import maxout
from jaxgan.networks.layers import dropout


def test_dropout_keeps_the_given_share_and_the_mean_and_depends_only_on_the_examples_key(key):
    keys = jax.random.split(key, 64)
    x = jax.random.uniform(key, [64, 500], minval=0.5)
    y = dropout(x, keys, 0.8)
    assert_allclose((y != 0).mean(), 0.8, atol=0.01)
    assert_allclose(y.mean(), x.mean(), rtol=0.02)
    assert_allclose(y[y != 0], (x / 0.8)[y != 0], rtol=1e-6)
    np.testing.assert_array_equal(dropout(x[32:], keys[32:], 0.8), y[32:])


@pytest.mark.parametrize("classes", [0, 10])
def test_networks_have_as_many_parameters_as_in_the_papers(classes, key):
    """The original has layers 100-1200-1200-784 and 784-240x5-240x5-1; cGAN has those of its section 4.1."""
    count = lambda variables: sum(x.size for x in jax.tree.leaves(variables["params"]))
    labels, keys = [jnp.zeros([1], jnp.int32)] * bool(classes), jax.random.split(key, 1)
    generator = maxout.Generator((28, 28, 1), classes=classes)
    discriminator = maxout.Discriminator(classes=classes)
    g = generator.init(key, jnp.zeros([1, 100]), *labels, *([keys] if classes else []))
    d = discriminator.init(key, jnp.zeros([1, 784]), *labels, keys)
    dense = lambda *shapes: sum(i * o + o for i, o in shapes)
    if classes:
        assert count(g) == dense((100, 200), (10, 1000), (1200, 1200), (1200, 784))
        assert count(d) == dense((784, 1200), (10, 250), (290, 960), (240, 1))
    else:
        assert count(g) == dense((100, 1200), (1200, 1200), (1200, 784))
        assert count(d) == dense((784, 1200), (240, 1200), (240, 1))


def test_discriminator_drops_out_only_in_training(key):
    x, keys = jax.random.uniform(key, [4, 9]), jax.random.split(key, 4)
    module = maxout.Discriminator(units=24)
    variables = module.init(key, x, keys)
    logits = lambda keys, train: module.apply(variables, x, keys, train=train)
    np.testing.assert_array_equal(logits(keys, False), logits(keys[::-1], False))
    assert not np.allclose(logits(keys, True), logits(keys[::-1], True))


def test_generator_can_be_initialised_at_the_mean_image(key):
    init = gan_mnist.mean_pixels(digits)
    bias = jax.jit(lambda: init(key, (64,), jnp.float32))()
    mean = digits().images.reshape(-1, 64).mean(0) / 255
    assert_allclose(jax.nn.sigmoid(bias), mean, rtol=1e-5, atol=2e-7)
    module = maxout.Generator((8, 8, 1), bias_init=init)
    images = module.apply(module.init(key, jnp.zeros([1, 100])), jnp.zeros([3, 100]))
    assert_allclose(images[1].ravel(), 2 * mean - 1, atol=1e-5)
