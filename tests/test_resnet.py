"""Tests of the residual networks: numbers of parameters, shapes, class conditioning and self-attention."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxgan.networks import resnet


def shapes(module, *inputs):
    """Returns the shapes of a module's variables and of its output."""
    variables = jax.eval_shape(lambda: module.init(jax.random.key(0), *inputs, train=False))
    out = jax.eval_shape(lambda variables: module.apply(variables, *inputs, train=False), variables)
    return variables, out


def num_params(tree):
    return sum(x.size for x in jax.tree.leaves(tree))


def test_critic_for_cifar_has_as_many_parameters_as_in_the_paper():
    variables, out = shapes(resnet.Critic(), jnp.zeros([2, 32, 32, 3]))
    conv = lambda i, o, side: side**2 * i * o + o
    block_1 = conv(3, 128, 3) + conv(128, 128, 3) + conv(3, 128, 1)
    block_2 = 2 * conv(128, 128, 3) + conv(128, 128, 1)
    assert num_params(variables["params"]) == block_1 + block_2 + 2 * 2 * conv(128, 128, 3) + 128
    assert out.shape == (2,)
    assert num_params(variables["spectral"]) > 0


@pytest.mark.parametrize(("widen_first", "count"), [(False, 10_141_440), (True, 19_542_720)])
def test_critic_for_48_pixels_widens_in_the_second_convolution_of_a_block(widen_first, count):
    """As in the authors' code, whose last layer has no bias. SAGAN's blocks widen in the first convolution."""
    critic = resnet.Critic((64, 128, 256, 512, 1024), downs=4, widen_first=widen_first)
    variables, _ = shapes(critic, jnp.zeros([2, 48, 48, 3]))
    conv = lambda i, o, side: side**2 * i * o + o
    total, inputs = 0, 3
    for n, width in enumerate(critic.widths):
        hidden = width if widen_first or n == 0 else inputs
        total += conv(inputs, hidden, 3) + conv(hidden, width, 3) + conv(inputs, width, 1)
        inputs = width
    assert num_params(variables["params"]) == total + 1024 == count


@pytest.mark.parametrize(
    ("side", "generator", "critic"),
    [
        (32, resnet.Generator(3), resnet.Critic()),
        (32, resnet.Generator(1, (128,) * 3, first=128), resnet.Critic(spectral=False, pool=jnp.mean)),
        (48, resnet.Generator(3, (256, 128, 64), first=512, bottom=6), resnet.Critic((64, 128, 256, 512, 1024), 4)),
        (64, resnet.Generator(3, (512, 256, 128, 64), first=1024), resnet.Critic((64, 128, 256, 512, 1024), 4)),
    ],
)
def test_critics_accept_the_generators_images(side, generator, critic):
    g_variables, images = shapes(generator, jnp.zeros([2, 128]))
    assert images.shape == (2, side, side, generator.channels)
    assert "batch_stats" in g_variables
    d_variables, logits = shapes(critic, jnp.zeros(images.shape))
    assert logits.shape == (2,)
    assert ("spectral" in d_variables) is critic.spectral


def test_labels_change_images_and_logits(key):
    labels = jnp.array([0, 1])
    generator = resnet.Generator(1, (8,), first=8, classes=2)
    z = jnp.broadcast_to(jax.random.normal(key, [4]), (2, 4))
    variables = generator.init(key, z, labels, train=False)
    initial = generator.apply(variables, z, labels, train=False)
    np.testing.assert_allclose(initial[0], initial[1], atol=1e-6)  # Scales and biases are initialised as 1 and 0.
    variables["params"]["ConditionalNorm_0"]["bias"] += jnp.array([[0.0], [1.0]])
    changed = generator.apply(variables, z, labels, train=False)
    np.testing.assert_allclose(changed[0], initial[0], atol=1e-6)
    assert np.abs(changed[1] - initial[1]).max() > 1e-3
    critic = resnet.Critic((8, 8), 1, classes=2)
    images = jnp.broadcast_to(initial[:1], initial.shape)
    logits = critic.apply(critic.init(key, images, labels, train=False), images, labels, train=False)
    assert abs(logits[0] - logits[1]) > 1e-3


def test_downsample_inverts_upsample(key):
    x = jax.random.normal(key, [2, 4, 6, 3])
    np.testing.assert_allclose(resnet.downsample(resnet.upsample(x)), x, rtol=1e-6)


def test_attention_is_the_identity_at_first_and_equivariant_to_permutations_of_blocks(key):
    x = jax.random.normal(key, [2, 4, 4, 16])
    module = resnet.SelfAttention(spectral=False)
    params = module.init(key, x)["params"]
    out, state = module.apply({"params": params}, x, mutable="intermediates")
    np.testing.assert_array_equal(out, x)
    (weights,) = state["intermediates"]["weights"]
    assert weights.shape == (2, 16, 4)
    np.testing.assert_allclose(weights.sum(-1), 1.0, rtol=1e-5)
    params["gamma"] = jnp.float32(1.0)
    # A permutation of the pooling windows does not change the set of keys and values.
    swap_halves = lambda x: jnp.concatenate([x[:, 2:], x[:, :2]], axis=1)
    attend = lambda x: module.apply({"params": params}, x)
    np.testing.assert_allclose(attend(swap_halves(x)), swap_halves(attend(x)), atol=1e-5)
    assert np.abs(attend(x) - x).max() > 1e-2


@pytest.mark.parametrize("spectral", [False, True])
def test_networks_have_one_attention_layer_at_the_given_size(spectral, key):
    """The layer has the parameters for 16 channels, and without spectral norm it does not change initial images."""
    z = jax.random.normal(key, [2, 4])
    generator = lambda **options: resnet.Generator(3, (16, 8), first=16, spectral=spectral, **options)
    g_variables, _ = shapes(generator(attention=8), z)
    assert [p["gamma"].shape for name, p in g_variables["params"].items() if "Attention" in name] == [()]
    assert num_params(g_variables["params"]["SelfAttention_0"]) == 1 + 2 * 16 * 2 + 2 * 16 * 8
    assert ("spectral" in g_variables) is spectral
    critic = resnet.Critic((16, 16, 16, 16), attention=8, spectral=spectral)
    d_variables, _ = shapes(critic, jnp.zeros([2, 16, 16, 3]))
    assert sum("Attention" in name for name in d_variables["params"]) == 1
    assert num_params(d_variables["params"]["SelfAttention_0"]) == 1 + 2 * 16 * 2 + 2 * 16 * 8
    if not spectral:
        variables = generator(attention=8).init(key, z, train=False)
        images = generator(attention=8).apply(variables, z, train=False)
        params = {name: p for name, p in variables["params"].items() if "Attention" not in name}
        without = generator().apply({**variables, "params": params}, z, train=False)
        np.testing.assert_array_equal(images, without)
