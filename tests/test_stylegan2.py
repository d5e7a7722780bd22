"""StyleGAN2: modulated convolutions, parameter counts, styles, and agreement with a statement in PyTorch."""

import dataclasses
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose

from experiments import stylegan2 as experiment
from experiments.stylegan2 import NoiseOptions, style_samplers
from jaxgan.core import penalties, prng
from jaxgan.core.game import TrainState, init_state
from jaxgan.core.resample import BINOMIAL, downsample
from jaxgan.networks import stylegan2
from jaxgan.runs import registry
from jaxgan.training import memory, sampling

WIDTHS = (6, 5)
G = stylegan2.Generator(2, WIDTHS, base=4, features=7, depth=2, classes=3, size=7)
D = stylegan2.Discriminator(WIDTHS[::-1], group=2, classes=3, base=4)


def num_params(module, *inputs):
    variables = jax.eval_shape(lambda: module.init(jax.random.key(0), *inputs, train=False))
    return sum(x.size for x in jax.tree.leaves(variables["params"]))


@pytest.fixture(scope="module")
def example():
    """Returns inputs, and variables of G and D whose zero-initialised parameters are random."""
    key = jax.random.key(0)
    z, labels, keys = jax.random.normal(key, [4, 5]), jnp.array([0, 1, 2, 0]), jax.random.split(key, 4)
    images = jax.random.normal(key, [4, 7, 7, 2])

    def perturbed(variables):
        leaves, treedef = jax.tree.flatten(variables)
        noise = jax.random.split(key, len(leaves))
        return treedef.unflatten([x + 0.3 * jax.random.normal(k, x.shape) for x, k in zip(leaves, noise, strict=True)])

    init = jax.jit(lambda: (G.init(key, z, labels, keys, train=False), D.init(key, images, labels, train=False)))
    return (z, labels, keys), images, *map(perturbed, init())


@pytest.mark.parametrize(
    ("size", "width", "depth", "residual", "g_count", "d_count"),
    [
        # Logs of the authors' PyTorch code: --cfg=auto at 1024, whose discriminator that of StyleGAN2 equals.
        (1024, 32, 2, True, 28_794_124, 29_012_513),
        # --cfg=cifar with a mapping network of eight layers has 21,523,475; each further layer has 512 * 513.
        (32, 1024, 2, False, 21_523_475 - 6 * 512 * 513, 20_720_641),
    ],
)
def test_numbers_of_parameters_are_those_of_the_authors(size, width, depth, residual, g_count, d_count):
    widths = stylegan2.widths_by_size(size, 4, width, 512)
    generator = stylegan2.Generator(3, widths, depth=depth)
    keys = jax.random.split(jax.random.key(0), 4)
    assert num_params(generator, jnp.zeros([4, 512]), keys) == g_count
    discriminator = stylegan2.Discriminator(widths[::-1], residual)
    assert num_params(discriminator, jnp.zeros([4, size, size, 3])) == d_count


@pytest.mark.parametrize("demodulate", [True, False])
def test_a_modulated_convolution_equals_a_sum_over_each_examples_kernel(demodulate, key):
    x, kernel = jax.random.normal(key, [3, 5, 6, 4]), jax.random.normal(key, [3, 3, 4, 2])
    style = 1.0 + jax.random.normal(key, [3, 4])
    kernels = np.einsum("bi,hwio->bhwio", style, kernel)
    if demodulate:
        kernels = kernels / np.sqrt((kernels**2).sum((1, 2, 3), keepdims=True))
    padded = np.pad(x, [(0, 0), (1, 1), (1, 1), (0, 0)])
    patches = np.stack([np.stack([padded[:, i : i + 5, j : j + 6] for j in range(3)]) for i in range(3)])
    expected = np.einsum("hwbyxi,bhwio->byxo", patches, kernels)
    assert_allclose(stylegan2.modulated_conv(x, kernel, style, demodulate), expected, rtol=1e-4, atol=1e-4)


def test_an_upsampling_convolution_inserts_zeros_convolves_and_filters(key):
    x, kernel, style = jax.random.normal(key, [2, 3, 3, 4]), jax.random.normal(key, [3, 3, 4, 2]), jnp.ones([2, 4])
    with_zeros = jnp.zeros([2, 11, 11, 4]).at[:, 3:8:2, 3:8:2].set(x)  # margins as wide as kernel and filter
    convolved = stylegan2.modulated_conv(with_zeros, kernel, style)
    expected = 4.0 * downsample(convolved, BINOMIAL, (0, 0), 1)
    assert_allclose(stylegan2.modulated_conv(x, kernel, style, up=True), expected[:, 1:7, 1:7], rtol=1e-4, atol=1e-4)


def test_demodulation_gives_unit_variance_whatever_the_style(key):
    x, kernel = jax.random.normal(key, [8, 16, 16, 64]), jax.random.normal(key, [3, 3, 64, 64])
    for scale in (0.1, 10.0):
        style = scale * jnp.exp(jax.random.normal(key, [8, 64]))
        out = stylegan2.modulated_conv(x, kernel, style)[:, 1:-1, 1:-1]
        assert_allclose(out.std(), 1.0, rtol=0.05)


def test_path_lengths_of_a_linear_map_are_norms_of_its_transpose(key):
    matrix, noise = jax.random.normal(key, [2, 3, 4 * 4]), jax.random.normal(key, [5, 4, 4, 1])
    synthesise = lambda ws: jnp.einsum("blw,lwp->bp", ws, matrix).reshape(5, 4, 4, 1)
    gradients = np.einsum("bp,lwp->blw", noise.reshape(5, -1), matrix) / 4.0  # / √(4 * 4)
    expected = np.sqrt((gradients**2).sum(2).mean(1))
    assert_allclose(penalties.path_lengths(synthesise, jnp.ones([5, 2, 3]), noise), expected, rtol=1e-5)


def test_styles_are_mixed_from_a_layer_on_and_truncated_towards_the_mean(example):
    (z, labels, keys), _, variables, _ = example
    many = [jnp.resize(x, (64, *x.shape[1:])) for x in (z, labels)]
    keys = jax.random.split(jax.random.key(1), 64)
    styles = lambda module, **options: module.apply(
        variables, *many, keys, method="styles", mutable=["average"], **options
    )
    plain, _ = styles(G, train=False)
    mixed, updated = styles(G.clone(mixing=1.0), train=True)
    is_first = np.isclose(mixed, plain).all(2)
    assert is_first[:, 0].all()
    assert not is_first[:, -1].any()
    assert (np.diff(is_first.astype(int)) <= 0).all()
    assert set(is_first.sum(1)) == {1, 2, 3}  # of 4 layers
    mean = variables["average"]["mapping"]["w"]
    assert_allclose(updated["average"]["mapping"]["w"], 0.995 * mean + 0.005 * plain[:, 0].mean(0), rtol=1e-4)
    assert_allclose(styles(G, train=False, psi=0.5)[0] - mean[None, None], 0.5 * (plain - mean[None, None]), atol=1e-5)


def test_samples_have_truncated_and_mixed_styles_and_the_noise_that_is_asked_for():
    styles = lambda state, keys, labels, psi: psi * prng.uniform(keys, 1)[:, None].repeat(4, 1)
    parts = style_samplers(styles, lambda state, ws, keys, noise="random": (ws, noise), 4, NoiseOptions())
    keys, others = jax.random.split(jax.random.key(0), [2, 3])
    ws, noise = parts["sample"](None, keys, truncation=0.5, mix=3, noise="const")
    assert noise == "const"
    assert_allclose(ws[:, :3], 0.5 * styles(None, keys, (), 1.0)[:, :3])
    assert_allclose(ws[:, 3:], 0.5 * styles(None, prng.fold_in(keys, stylegan2.SECOND_LATENT), (), 1.0)[:, 3:])
    ws, _ = parts["interpolate"](None, keys, others, 0.25, truncation=1.0)
    assert_allclose(ws, 0.75 * styles(None, keys, (), 1.0) + 0.25 * styles(None, others, (), 1.0), rtol=1e-6)


def test_a_grid_has_the_coarse_styles_of_its_rows_and_the_fine_ones_of_its_columns():
    styles = lambda state, keys, labels, psi: (
        psi * prng.uniform(keys, 1) + 10.0 * labels[0].astype(jnp.float32)[:, None]
    )[:, None].repeat(4, 1)
    parts = style_samplers(styles, lambda state, ws, keys, noise: ws[:, :, None], 4, NoiseOptions())
    keep = types.SimpleNamespace(postprocess=lambda x: x)
    fake = types.SimpleNamespace(**parts, classes=3, output=keep)
    state = TrainState(jnp.int32(0), {}, {}, {}, {})
    grid = sampling.mix_grid(fake, state, 2, 3, seed=0)[..., 0, 0]
    w = styles(state, sampling.sample_keys(0, 0, 5), (jnp.arange(5) % 3,), 1.0)[:, 0, 0]
    assert grid.shape == (3, 4, 4)
    assert_allclose(grid[1:, 0], np.repeat(w[:2, None], 4, 1))
    assert_allclose(grid[0, 1:], np.repeat(w[2:, None], 4, 1))
    assert_allclose(grid[0, 0], 1.0)
    mixed = lambda first: np.where(np.arange(4) < first, w[:2, None, None], w[None, 2:, None])
    assert_allclose(grid[1:, 1:], mixed(2))
    options = NoiseOptions(mix=3)
    assert_allclose(sampling.mix_grid(fake, state, 2, 3, seed=0, options=options)[1:, 1:, ..., 0, 0], mixed(3))


def test_with_conditional_both_networks_have_labels():
    entry = registry.get("stylegan2/digits")
    config = dataclasses.replace(entry.config, conditional=True, batch_size=8, **entry.test_settings)
    conditional = entry.build(config)
    assert conditional.classes == 10
    state = jax.eval_shape(lambda: init_state(conditional.game, jax.random.key(0)))
    batch = {"real": jnp.zeros([8, 8, 8, 1]), "label": jnp.arange(8), "index": jnp.arange(8)}
    for phase in conditional.game.phases:
        loss, _ = jax.eval_shape(lambda state, phase=phase: phase.loss(state, batch, jax.random.key(0)), state)
        assert loss.shape == ()
    assert state.params["generator"]["mapping"]["Dense_0"]["kernel"].shape == (10, config.styles)
    sources = jax.eval_shape(lambda: (jax.random.split(jax.random.key(0), 8), jnp.arange(8)))
    assert jax.eval_shape(conditional.mix, state, sources, sources).shape == (8, 8, 8, 1)


def test_settings_that_are_not_given_follow_from_the_size_and_the_memory(monkeypatch):
    own = lambda **settings: experiment.OwnConfig(**settings).resolved()
    monkeypatch.setattr(memory, "device_memory", lambda device: 10**12)
    monkeypatch.setattr(jax, "device_count", lambda: 1)
    chosen = {size: own(size=size) for size in (64, 256, 1024)}
    assert {size: (c.width, c.batch_size) for size, c in chosen.items()} == {
        64: (256, 32),
        256: (64, 16),
        1024: (32, 4),
    }
    assert_allclose(chosen[256].gamma, 0.8192)
    assert {size: (c.g_lr, c.d_lr, c.ema_half_life) for size, c in chosen.items()} == {
        64: (0.0025, 0.0025, 10_000),
        256: (0.0025, 0.0025, 5_000),
        1024: (0.002, 0.002, 1_250),
    }
    assert own(size=64, d_lr=1e-3).d_lr == 1e-3
    monkeypatch.setattr(memory, "device_memory", lambda device: 10 * experiment.bytes_per_example(chosen[256]))
    with pytest.warns(UserWarning, match="batches of 8 images in place of the authors' 16"):
        assert own(size=256).batch_size == 8
    assert own(size=256, batch_size=16) == chosen[256]


def test_an_image_depends_on_its_own_key_alone(example):
    (z, labels, keys), _, variables, _ = example
    images = jax.jit(lambda z, labels, keys: G.apply(variables, z, labels, keys, train=False))
    changed = images(z, labels, keys.at[1].set(jax.random.key(9)))
    differs = np.abs(changed - images(z, labels, keys)).max((1, 2, 3)) > 1e-3
    assert list(differs) == [False, True, False, False]


def test_networks_agree_with_a_statement_in_pytorch(example):
    """Images, logits, their gradients, and second derivatives through R1 and path lengths."""
    torch = pytest.importorskip("torch")
    from benchmarks.peer import stylegan2 as peer

    (z, labels, keys), images, g_variables, d_variables = example
    noise = stylegan2.Synthesis(2, WIDTHS, 4).draw_noise(keys)
    y = prng.normal(keys, 7, 7, 2)
    ws = G.apply(g_variables, z, labels, keys, train=False, method="styles")

    def path(params, ws):
        synthesise = lambda ws: G.apply({**g_variables, "params": params}, ws, keys, method="synthesise")
        return penalties.path_lengths(synthesise, ws, y).mean(), synthesise(ws)

    def r1(params, images):
        critic = lambda x: D.apply({"params": params}, x, labels)
        return penalties.r1(critic, images, images, None), critic(images)

    double = lambda x: torch.tensor(np.asarray(x, np.float64))
    t_noise, t_y, t_labels = [double(n) for n in noise], double(y).movedim(-1, 1), torch.tensor(np.int64(labels))
    t_g = peer.Generator(z.shape[1], 2, 3, peer.Synthesis(2, WIDTHS, 4, 7, 7, grouped=True)).double()
    t_d = peer.Discriminator(2, WIDTHS[::-1], 4, group=2, classes=3).double()

    def t_path(ws):
        images = t_g.synthesis(ws, t_noise)
        return peer.path_lengths(images, ws, t_y).mean(), images.movedim(1, -1)

    def t_r1(images):
        critic = lambda x: t_d(x.movedim(-1, 1), t_labels)
        return peer.r1(critic, images), critic(images)

    for ours, theirs, module, variables, inputs in (
        (path, t_path, t_g, g_variables, ws),
        (r1, t_r1, t_d, d_variables, images),
    ):
        params = variables["params"]
        module.load_state_dict({name: x.double() for name, x in peer.to_state(params).items()})
        (value, out), grads = jax.jit(jax.value_and_grad(ours, has_aux=True))(params, inputs)
        t_value, t_out = theirs(double(inputs).requires_grad_())
        assert_allclose(out, t_out.detach(), rtol=1e-4, atol=1e-4)
        assert_allclose(value, t_value.detach(), rtol=1e-4)
        named = dict(module.named_parameters())
        t_grads = torch.autograd.grad(t_value, list(named.values()), materialize_grads=True)
        expected = peer.to_state(grads)
        for name, t_grad in zip(named, t_grads, strict=True):
            assert_allclose(expected[name], t_grad, rtol=1e-3, atol=1e-4 * max(1.0, t_grad.abs().max()))
    assert_allclose(t_g.styles(double(z), t_labels).detach(), ws, rtol=1e-4, atol=1e-5)
