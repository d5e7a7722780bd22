"""StyleGAN2: modulated convolutions, parameter counts, styles, and agreement with a statement in PyTorch."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose

from experiments.stylegan2 import NoiseOptions, style_samplers
from jaxgan.core import penalties, prng
from jaxgan.core.resample import BINOMIAL, downsample
from jaxgan.networks import stylegan2

WIDTHS = (6, 5)
G = stylegan2.Generator(2, WIDTHS, base=4, features=7, depth=2, classes=3)
D = stylegan2.Discriminator(WIDTHS[::-1], group=2, classes=3)


def num_params(module, *inputs):
    variables = jax.eval_shape(lambda: module.init(jax.random.key(0), *inputs, train=False))
    return sum(x.size for x in jax.tree.leaves(variables["params"]))


@pytest.fixture(scope="module")
def example():
    """Returns inputs, and variables of G and D whose zero-initialised parameters are random."""
    key = jax.random.key(0)
    z, labels, keys = jax.random.normal(key, [4, 5]), jnp.array([0, 1, 2, 0]), jax.random.split(key, 4)
    images = jax.random.normal(key, [4, 8, 8, 2])

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


def test_an_image_depends_on_its_own_key_alone(example):
    (z, labels, keys), _, variables, _ = example
    images = jax.jit(lambda z, labels, keys: G.apply(variables, z, labels, keys, train=False))
    changed = images(z, labels, keys.at[1].set(jax.random.key(9)))
    differs = np.abs(changed - images(z, labels, keys)).max((1, 2, 3)) > 1e-3
    assert list(differs) == [False, True, False, False]


def test_networks_agree_with_a_statement_in_pytorch(example):
    """Images, logits, their gradients, and second derivatives through R1 and path lengths."""
    torch = pytest.importorskip("torch")
    (z, labels, keys), images, g_variables, d_variables = example
    noise = stylegan2.Synthesis(2, WIDTHS, 4).draw_noise(keys)
    y = prng.normal(keys, 8, 8, 2)
    ws = G.apply(g_variables, z, labels, keys, train=False, method="styles")

    def path(params, ws):
        synthesise = lambda ws: G.apply({**g_variables, "params": params}, ws, keys, method="synthesise")
        return penalties.path_lengths(synthesise, ws, y).mean(), synthesise(ws)

    def r1(params, images):
        critic = lambda x: D.apply({"params": params}, x, labels)
        return penalties.r1(critic, images, images, None), critic(images)

    tree = lambda variables: jax.tree.map(lambda x: torch.tensor(np.asarray(x), dtype=torch.float64), variables)
    for ours, reference, params, inputs in (
        (path, TorchGenerator(torch, noise, y), g_variables["params"], ws),
        (r1, TorchDiscriminator(torch, labels), d_variables["params"], images),
    ):
        (value, out), grads = jax.jit(jax.value_and_grad(ours, (0, 1), has_aux=True))(params, inputs)
        t_params = jax.tree.map(lambda x: x.requires_grad_(), tree(params))
        t_inputs = tree(inputs).requires_grad_()
        t_value, t_out = reference(t_params, t_inputs)
        assert_allclose(out, t_out.detach(), rtol=1e-4, atol=1e-4)
        assert_allclose(value, t_value.detach(), rtol=1e-4)
        leaves = [t_inputs, *jax.tree.leaves(t_params)]
        t_grads = torch.autograd.grad(t_value, leaves, allow_unused=True)
        for grad, t_grad in zip([grads[1], *jax.tree.leaves(grads[0])], t_grads, strict=True):
            expected = np.zeros(grad.shape) if t_grad is None else t_grad.numpy()
            assert_allclose(grad, expected, rtol=1e-3, atol=1e-4 * max(1.0, np.abs(expected).max()))


class TorchNetwork:
    """Layers of StyleGAN2 in PyTorch, on images [B, C, H, W], with grouped convolutions of modulated kernels."""

    def __init__(self, torch):
        self.torch, self.F = torch, torch.nn.functional
        self.filter = torch.tensor(np.outer(BINOMIAL, BINOMIAL))

    def activate(self, x):
        return math.sqrt(2) * self.F.leaky_relu(x, 0.2)

    def dense(self, p, x):
        return x @ p["kernel"] / math.sqrt(len(p["kernel"])) + p["bias"]

    def blur(self, x, pad, stride=1):
        x = self.F.pad(x, (pad[0], pad[1], pad[0], pad[1]))
        kernel = self.filter.repeat(x.shape[1], 1, 1, 1)
        return self.F.conv2d(x, kernel, stride=stride, groups=x.shape[1])

    def upsample(self, x):
        with_zeros = self.torch.zeros(*x.shape[:2], 2 * x.shape[2], 2 * x.shape[3], dtype=x.dtype)
        with_zeros[:, :, ::2, ::2] = x
        return 4.0 * self.blur(with_zeros, (2, 1))


class TorchGenerator(TorchNetwork):
    def __init__(self, torch, noise, y):
        super().__init__(torch)
        self.noise, self.y = ([torch.tensor(np.asarray(n)).double() for n in noise], torch.tensor(np.asarray(y)))

    def modulated(self, p, x, w, demodulate=True, up=False):
        b, i, h, _ = x.shape
        style = self.dense(p["Dense_0"], w)
        kernel = p["kernel"].permute(3, 2, 0, 1)[None] * style[:, None, :, None, None]
        if not demodulate:
            kernel = kernel / math.sqrt(i)
        else:
            kernel = kernel / ((kernel**2).sum((2, 3, 4), keepdim=True) + 1e-8).sqrt()
        x, o, side = x.reshape(1, b * i, h, h), kernel.shape[1], kernel.shape[-1]
        if not up:
            return self.F.conv2d(x, kernel.reshape(b * o, i, side, side), padding=side // 2, groups=b).reshape(
                b, o, h, h
            )
        kernel = kernel.flip(3, 4).transpose(1, 2).reshape(b * i, o, side, side)
        x = self.F.conv_transpose2d(x, kernel, stride=2, groups=b)
        return 4.0 * self.blur(x.reshape(b, o, 2 * h + 1, 2 * h + 1), (1, 1))

    def layer(self, p, x, w, noise, up=False):
        x = self.modulated(p, x, w, up=up) + noise[:, None] * p["noise_strength"]
        return self.activate(x + p["bias"][:, None, None])

    def synthesise(self, params, ws):
        p = params["synthesis"]
        x = p["constant"].permute(2, 0, 1)[None].repeat(len(ws), 1, 1, 1)
        to_image = lambda name, x, w: self.modulated(p[name], x, w, False) + p[name]["bias"][:, None, None]
        x = self.layer(p["StyledConv_0"], x, ws[:, 0], self.noise[0])
        image = to_image("ToImage_0", x, ws[:, 1])
        x = self.layer(p["StyledConv_1"], x, ws[:, 1], self.noise[1], up=True)
        x = self.layer(p["StyledConv_2"], x, ws[:, 2], self.noise[2])
        return (self.upsample(image) + to_image("ToImage_1", x, ws[:, 3])).permute(0, 2, 3, 1)

    def __call__(self, params, ws):
        images = self.synthesise(params, ws)
        loss = (images * self.y).sum() / 8
        (grads,) = self.torch.autograd.grad(loss, ws, create_graph=True)
        return (grads**2).sum(2).mean(1).sqrt().mean(), images


class TorchDiscriminator(TorchNetwork):
    def __init__(self, torch, labels):
        super().__init__(torch)
        self.labels = torch.tensor(np.asarray(labels)).long()

    def conv(self, p, x, stride=1, padding=None):
        side, _, i, _ = p["kernel"].shape
        kernel = p["kernel"].permute(3, 2, 0, 1) / math.sqrt(i * side**2)
        return self.F.conv2d(x, kernel, p.get("bias"), stride, side // 2 if padding is None else padding)

    def normalise(self, x):
        return x / ((x**2).mean(1, keepdim=True) + 1e-8).sqrt()

    def embed(self, p):
        w = self.normalise(self.dense(p["Dense_0"], self.F.one_hot(self.labels, 3).double()))
        for n in range(1, 9):
            layer = p[f"Dense_{n}"]
            w = self.activate(0.01 * (w @ layer["kernel"] / math.sqrt(w.shape[1]) + layer["bias"]))
        return w

    def logits(self, p, x):
        x = self.activate(self.conv(p["Conv_0"], x.permute(0, 3, 1, 2)))
        inner = self.blur(self.activate(self.conv(p["Conv_1"], x)), (2, 2))
        inner = self.activate(self.conv(p["Conv_2"], inner, stride=2, padding=0))
        x = (inner + self.conv(p["Conv_3"], self.blur(x, (1, 1), 2))) / math.sqrt(2)
        groups = x.permute(0, 2, 3, 1).reshape(2, 2, -1)
        std = (groups.var(1, unbiased=False) + 1e-8).sqrt().mean(1).repeat_interleave(2)
        x = self.torch.cat([x, std[:, None, None, None].expand(-1, 1, 4, 4)], 1)
        x = self.activate(self.conv(p["Conv_4"], x)).permute(0, 2, 3, 1).reshape(len(x), -1)
        x = self.dense(p["Dense_1"], self.activate(self.dense(p["Dense_0"], x)))
        return (x * self.embed(p["Mapping_0"])).sum(1) / math.sqrt(x.shape[1])

    def __call__(self, params, x):
        logits = self.logits(params, x)
        (grads,) = self.torch.autograd.grad(logits.sum(), x, create_graph=True)
        return 0.5 * (grads**2).sum((1, 2, 3)).mean(), logits
