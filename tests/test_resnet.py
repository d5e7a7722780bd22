"""The residual networks' sizes and shapes, and what attention and minibatch deviation keep."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxgan.networks import resnet


def variables(module, *inputs):
    """Shapes of a module's variables and of its output."""
    made = jax.eval_shape(lambda: module.init(jax.random.key(0), *inputs, train=False))
    out = jax.eval_shape(lambda made: module.apply(made, *inputs, train=False), made)
    return made, out


def size(tree):
    return sum(x.size for x in jax.tree.leaves(tree))


def test_the_critic_for_cifar_has_the_papers_size():
    made, out = variables(resnet.Critic(), jnp.zeros([2, 32, 32, 3]))
    conv = lambda i, o, side: side**2 * i * o + o
    first = conv(3, 128, 3) + conv(128, 128, 3) + conv(3, 128, 1)
    second = 2 * conv(128, 128, 3) + conv(128, 128, 1)
    assert size(made["params"]) == first + second + 2 * 2 * conv(128, 128, 3) + 128
    assert out.shape == (2,)
    assert size(made["spectral"]) > 0


@pytest.mark.parametrize(
    ("side", "generator", "critic"),
    [
        (32, resnet.Generator(3), resnet.Critic()),
        (32, resnet.Generator(1, (128,) * 3, first=128), resnet.Critic(spectral=False, pool=jnp.mean)),
        (48, resnet.Generator(3, (256, 128, 64), first=512, bottom=6), resnet.Critic((64, 128, 256, 512, 1024), 4)),
        (64, resnet.Generator(3, (512, 256, 128, 64), first=1024), resnet.Critic((64, 128, 256, 512, 1024), 4)),
    ],
)
def test_images_have_the_size_that_critics_take(side, generator, critic):
    made, out = variables(generator, jnp.zeros([2, 128]))
    assert out.shape == (2, side, side, generator.channels)
    assert variables(critic, jnp.zeros(out.shape))[1].shape == (2,)
    assert ("spectral" in variables(critic, jnp.zeros(out.shape))[0]) is critic.spectral
    assert "batch_stats" in made


def test_a_class_matters_to_both_once_their_weights_differ(key):
    labels = jnp.array([0, 1])
    generator = resnet.Generator(1, (8,), first=8, classes=2)
    z = jnp.broadcast_to(jax.random.normal(key, [4]), (2, 4))
    made = generator.init(key, z, labels, train=False)
    same = generator.apply(made, z, labels, train=False)
    np.testing.assert_allclose(same[0], same[1], atol=1e-6)  # All classes begin alike.
    made["params"]["ConditionalNorm_0"]["bias"] += jnp.array([[0.0], [1.0]])
    other = generator.apply(made, z, labels, train=False)
    np.testing.assert_allclose(other[0], same[0], atol=1e-6)
    assert np.abs(other[1] - same[1]).max() > 1e-3
    critic = resnet.Critic((8, 8), 1, classes=2)
    images = jnp.broadcast_to(same[:1], same.shape)
    logits = critic.apply(critic.init(key, images, labels, train=False), images, labels, train=False)
    assert abs(logits[0] - logits[1]) > 1e-3


def test_down_undoes_up(key):
    x = jax.random.normal(key, [2, 4, 6, 3])
    np.testing.assert_allclose(resnet.downsample(resnet.upsample(x)), x, rtol=1e-6)


def test_attention_starts_as_the_identity_weighs_to_one_and_knows_no_order_of_queries(key):
    x = jax.random.normal(key, [2, 4, 4, 16])
    module = resnet.SelfAttention(spectral=False)
    made = module.init(key, x)
    out, seen = module.apply({"params": made["params"]}, x, mutable="intermediates")
    np.testing.assert_array_equal(out, x)
    (weights,) = seen["intermediates"]["weights"]
    assert weights.shape == (2, 16, 4)
    np.testing.assert_allclose(weights.sum(-1), 1.0, rtol=1e-5)
    made["params"]["gamma"] = jnp.float32(1.0)
    # Blocks of the pooling may change places: each place still sees the same set.
    blocks = lambda x: jnp.concatenate([x[:, 2:], x[:, :2]], axis=1)
    attend = lambda x: module.apply({"params": made["params"]}, x)
    np.testing.assert_allclose(attend(blocks(x)), blocks(attend(x)), atol=1e-5)
    assert np.abs(attend(x) - x).max() > 1e-2


@pytest.mark.parametrize("spectral", [False, True])
def test_attention_stands_once_at_the_map_asked_for(spectral, key):
    """It starts as the identity, and its parameters are those of a layer for so many channels."""
    z = jax.random.normal(key, [2, 4])
    generator = lambda **options: resnet.Generator(3, (16, 8), first=16, spectral=spectral, **options)
    made, _ = variables(generator(attention=8), z)
    assert [made["params"][name]["gamma"].shape for name in made["params"] if "Attention" in name] == [()]
    assert size(made["params"]["SelfAttention_0"]) == 1 + 2 * 16 * 2 + 2 * 16 * 8
    assert ("spectral" in made) is spectral
    critic = resnet.Critic((16, 16, 16, 16), attention=8, spectral=spectral)
    of_critic, _ = variables(critic, jnp.zeros([2, 16, 16, 3]))
    assert sum("Attention" in name for name in of_critic["params"]) == 1
    assert size(of_critic["params"]["SelfAttention_0"]) == 1 + 2 * 16 * 2 + 2 * 16 * 8
    if not spectral:
        whole = generator(attention=8).init(key, z, train=False)
        plain = {**whole, "params": {n: p for n, p in whole["params"].items() if "Attention" not in n}}
        assert_equal = np.testing.assert_array_equal
        assert_equal(generator(attention=8).apply(whole, z, train=False), generator().apply(plain, z, train=False))
