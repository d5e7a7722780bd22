"""The discriminator of AC-GAN."""

import jax
import jax.numpy as jnp
from numpy.testing import assert_array_equal

from jaxgan.networks.acgan import Discriminator


def test_the_discriminator_has_the_layers_of_the_paper(key):
    module, images, keys = Discriminator(10), jnp.zeros([2, 32, 32, 3]), jax.random.split(key, 2)
    variables = jax.eval_shape(lambda: module.init(key, images, keys, train=False))
    out = jax.eval_shape(lambda v: module.apply(v, images, keys, train=False), variables)
    kernels = [x.shape[-2:] for x in jax.tree.leaves(variables["params"]) if x.ndim > 2]
    assert kernels == [(3, 16), (16, 32), (32, 64), (64, 128), (128, 256), (256, 512)]
    assert {name: x.shape for name, x in out.items()} == {"logits": (2,), "class_logits": (2, 10)}


def test_dropout_acts_in_training_alone_and_depends_on_the_example_keys(key):
    module, x, keys = Discriminator(10, width=2, base=2), jax.random.normal(key, [2, 8, 8, 1]), jax.random.split(key, 2)
    variables = jax.jit(lambda: module.init(key, x, keys, train=False))()
    in_training = jax.jit(lambda keys: module.apply(variables, x, keys, mutable="batch_stats")[0]["class_logits"])
    in_evaluation = jax.jit(lambda keys: module.apply(variables, x, keys, train=False)["class_logits"])
    assert_array_equal(in_evaluation(keys), in_evaluation(keys[::-1]))
    assert jnp.abs(in_training(keys) - in_training(keys[::-1])).max() > 1e-3
