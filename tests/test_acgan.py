"""The discriminator of AC-GAN."""

import jax
import jax.numpy as jnp
import numpy as np

from jaxgan.networks.acgan import Discriminator


def test_the_discriminator_is_the_paper_s(key):
    """Six convolutions of 16 to 512 channels; dropout is in training alone, and an example's own."""
    keys = jax.random.split(key, 2)
    module = Discriminator(10)
    images = jnp.zeros([2, 32, 32, 3])
    variables = jax.eval_shape(lambda: module.init(key, images, keys, train=False))
    logits, named = jax.eval_shape(lambda made: module.apply(made, images, keys, train=False), variables)
    kernels = [x.shape[-2:] for x in jax.tree.leaves(variables["params"]) if x.ndim > 2]
    assert kernels == [(3, 16), (16, 32), (32, 64), (64, 128), (128, 256), (256, 512)]
    assert (logits.shape, named.shape) == ((2,), (2, 10))
    small = module.clone(width=2, base=2)
    x = jax.random.normal(key, [2, 8, 8, 1])
    variables = jax.jit(lambda: small.init(key, x, keys, train=False))()
    judge = jax.jit(lambda keys: small.apply(variables, x, keys, mutable="batch_stats")[0][1])
    sure = jax.jit(lambda keys: small.apply(variables, x, keys, train=False)[1])
    np.testing.assert_array_equal(sure(keys), sure(keys[::-1]))
    assert np.abs(judge(keys) - judge(keys[::-1])).max() > 1e-3
