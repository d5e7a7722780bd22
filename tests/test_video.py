"""Tests of videos: shapes on Bezier curves, files, content metrics, and the networks of VGAN, MoCoGAN and TGAN."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose
from PIL import Image
from scipy.interpolate import BPoly

from experiments import mocogan as mocogan_experiment
from experiments import tgan as tgan_experiment
from jaxgan.data import videos
from jaxgan.errors import UserError
from jaxgan.evaluate import content
from jaxgan.networks import mocogan, tgan, vgan
from jaxgan.render.outputs import Videos, to_uint8

FRAMES, SIZE = 8, 16


@pytest.fixture(scope="module")
def clips():
    sample = videos.shapes(FRAMES, SIZE)
    return jax.device_get(jax.jit(jax.vmap(sample))(jax.random.split(jax.random.key(0), 64)))


def test_a_bezier_curve_is_that_of_scipy():
    points, t = np.random.default_rng(0).normal(size=(4, 2)).astype(np.float32), np.linspace(0, 1, 7, dtype=np.float32)
    assert_allclose(videos.bezier(jnp.asarray(points), jnp.asarray(t)), BPoly(points[:, None], [0, 1])(t), atol=1e-5)


def test_the_background_rests_and_the_mask_is_where_the_shape_is(clips):
    assert clips.video.shape == (64, FRAMES, SIZE, SIZE, 3)
    assert np.abs(clips.video).max() <= 1
    outside = np.ma.masked_array(clips.video, np.broadcast_to(clips.mask[..., None] > 0, clips.video.shape))
    assert (outside.max(1) - outside.min(1)).max() < 1e-5
    inside = clips.mask == 1
    colours = np.broadcast_to(clips.colour[:, None, None, None], clips.video.shape)
    assert_allclose(clips.video[inside], colours[inside], atol=1e-5)


def test_content_of_the_data_stays_and_moves_as_drawn(clips):
    shapes = to_uint8(clips.video)
    found = content.find_shapes(shapes)
    assert found.visible.all()
    assert np.abs(found.centres - clips.centres).max() < 0.6
    metrics = content.content_metrics(shapes)
    assert metrics["acd"] < 0.15
    assert metrics["motion"] > 0.3


def test_the_average_content_distance():
    colours = np.array([[[0.0, 0, 0], [3, 4, 0], [0, 0, 0]]])
    assert_allclose(content.average_content_distance(colours), 2 * (5 + 5 + 0) / 6)
    assert content.average_content_distance(np.ones((2, 4, 3))) == 0


def test_an_empty_video_has_no_shape():
    metrics = content.content_metrics(np.zeros((1, 4, 8, 8, 3), np.uint8))
    assert metrics == {"acd": 0, "visible": 0, "motion": 0}


def test_a_moving_digit_keeps_its_pixels(key):
    images = np.random.default_rng(0).integers(1, 256, (3, 4, 4, 1), np.uint8)
    video = videos.moving_digits(images, 5, 9)(key)
    assert video.shape == (5, 9, 9, 1)
    pixels = [sorted(frame[frame > 0]) for frame in to_uint8(np.asarray(video))]
    assert all(p == pixels[0] for p in pixels)
    assert pixels[0] in [sorted(image.ravel()) for image in images]


def test_gifs_and_numbered_frames_are_read(tmp_path):
    frames = np.random.default_rng(0).integers(0, 2, (4, 8, 8, 1), np.uint8) * np.array([[[[255, 255, 255]]]], np.uint8)
    Videos().write(frames[None], tmp_path / "a.webp")
    (tmp_path / "b").mkdir()
    for i in (10, 9, 2, 1):  # In the order of numbers, not of letters.
        Image.fromarray(np.full((8, 8, 3), 10 * i, np.uint8)).save(tmp_path / "b" / f"frame_{i}.png")
    loaded = videos.load_folder(tmp_path, 3, 8)
    assert loaded.shape == (2, 3, 8, 8, 3)
    assert loaded[1, :, 0, 0, 0].tolist() == [10, 20, 90]


def test_bad_videos_are_explained(tmp_path):
    with pytest.raises(UserError, match="is not a folder"):
        videos.load_folder(tmp_path / "missing", 2, 8)
    with pytest.raises(UserError, match="has no GIF"):
        videos.load_folder(tmp_path, 2, 8)
    Image.new("RGB", (8, 8)).save(tmp_path / "one.gif")
    with pytest.raises(UserError, match=r"one\.gif has 1 frames, fewer than the 2"):
        videos.load_folder(tmp_path, 2, 8)
    (tmp_path / "one.gif").write_bytes(b"GIF89a nothing")
    with pytest.raises(UserError, match=r"one\.gif is damaged"):
        videos.load_folder(tmp_path, 2, 8)
    (tmp_path / "one.gif").unlink()
    Image.new("RGB", (8, 8)).save(tmp_path / "title.png")
    with pytest.raises(UserError, match=r"title\.png has no number"):
        videos.load_folder(tmp_path, 1, 8)


def test_vgans_video_is_foreground_where_the_mask_is_and_background_elsewhere(key):
    generator, z = vgan.Generator(16, width=2), jax.random.normal(key, [2, 3])
    layers = generator.apply(generator.init(key, z, train=False), z, train=False)
    assert layers.video.shape == (2, 8, 16, 16, 3)
    expected = layers.mask * layers.foreground + (1 - layers.mask) * layers.background[:, None]
    assert_allclose(layers.video, expected, atol=1e-6)


def test_the_papers_networks_have_the_papers_shapes(key):
    layers = jax.eval_shape(lambda z: vgan.Generator().init_with_output(key, z, train=False)[0], jnp.zeros((1, 100)))
    assert layers.video.shape == (1, 32, 64, 64, 3)
    variables = jax.eval_shape(vgan.Discriminator().init, key, layers.video)
    assert variables["params"]["Dense_0"]["kernel"].shape == (512 * 2 * 4 * 4, 1)


def test_mocogans_content_and_motion(key):
    generator = mocogan.Generator(4, 8, 1, content=2, motion=3, width=2)
    z = jax.random.normal(key, [1, 2 + (1 + 4) * 3])
    variables = generator.init(key, z, train=False)
    video = lambda z: generator.apply(variables, z, train=False)[0]
    assert video(z).shape == (4, 8, 8, 1)
    # Noise of a frame changes this frame and later ones. The first noise is the state before the first frame.
    changed = lambda i: (np.abs(video(z.at[0, 2 + i * 3].add(1.0)) - video(z)).max((1, 2, 3)) > 0).tolist()
    assert changed(3) == [False, False, True, True]
    assert changed(0) == [True, True, True, True]


def test_mocogans_discriminators_see_noise_before_each_convolution(key):
    x, keys = jax.random.normal(key, [2, 7, 16, 16, 3]), jax.random.split(key, 2)
    variables = mocogan.Discriminator(2).init(key, x, keys)
    kernels = [variables["params"][f"Conv_{i}"]["kernel"].shape for i in range(2)]
    assert kernels == [(4, 4, 4, 3, 2), (4, 4, 4, 2, 4)]
    assert variables["params"]["Dense_0"]["kernel"].shape == (1 * 4 * 4 * 4, 1)
    logits = lambda noise, keys: mocogan.Discriminator(2, noise).apply(variables, x, keys, train=False)
    other_keys = jax.random.split(jax.random.key(1), 2)
    assert_allclose(logits(0.0, keys), logits(0.0, other_keys))
    assert (logits(0.2, keys) != logits(0.2, other_keys)).all()
    images = mocogan.Discriminator(2).init(key, x[:, 0], keys)["params"]
    assert images["Conv_0"]["kernel"].shape == (4, 4, 3, 2)


def test_videos_that_are_too_short_for_the_discriminator_are_refused():
    assert [mocogan.shortest_video(size) for size in (8, 16, 64)] == [4, 7, 13]
    with pytest.raises(UserError, match="frames 6 are too few for frames of 16 x 16 pixels; use --frames 7"):
        mocogan_experiment.build(mocogan_experiment.Config(frames=6))


def test_a_random_frame_belongs_to_its_video(key):
    clips = jnp.arange(40.0).reshape(20, 2, 1, 1, 1)
    frames = mocogan_experiment.random_frames(clips, jax.random.split(key, 20)).ravel()
    assert (frames // 2 == jnp.arange(20.0)).all()
    assert set((frames % 2).tolist()) == {0.0, 1.0}


def random_variables(module, key, *inputs):
    """Returns variables of a module as random positive numbers, so that no part of it is without effect."""
    leaves, structure = jax.tree.flatten(jax.eval_shape(lambda: module.init(key, *inputs, train=False)))
    numbers = np.random.default_rng(0)
    return jax.tree.unflatten(structure, [jnp.float32(numbers.uniform(-0.2, 1, x.shape) ** 2) for x in leaves])


def test_tgans_latents_over_time_are_transposed_convolutions(key):
    module, z = tgan.TemporalGenerator(frames=8, width=8), jax.random.uniform(key, [2, 3], minval=-1)
    variables = random_variables(module, key, z)
    params, stats = (jax.device_get(variables[name]) for name in ("params", "batch_stats"))

    def activate(x, i):
        mean, var = stats[f"BatchNorm_{i}"]["mean"], stats[f"BatchNorm_{i}"]["var"]
        return np.maximum((x - mean) / np.sqrt(var + 1e-5) * params[f"BatchNorm_{i}"]["scale"], 0)

    def double(x, kernel):
        """Entry t of x adds to the entries 2t - 1, 2t, 2t + 1 and 2t + 2 of the output."""
        out = np.zeros((len(x), 2 * x.shape[1] + 2, kernel.shape[-1]))
        for t in range(x.shape[1]):
            for k in range(4):
                out[:, 2 * t + k] += x[:, t] @ kernel[3 - k]  # flax does not flip the kernel
        return out[:, 1:-1]

    x = activate((np.asarray(z) @ params["Dense_0"]["kernel"])[:, None], 0)
    for i in (0, 1):
        x = activate(double(x, params[f"ConvTranspose_{i}"]["kernel"]), i + 1)
    expected = np.tanh(double(x, params["ConvTranspose_2"]["kernel"]) + params["ConvTranspose_2"]["bias"])
    assert expected.shape == (2, 8, 3)
    assert_allclose(module.apply(variables, z, train=False), expected, atol=1e-5)


def test_tgans_frames_differ_only_by_their_own_latents(key):
    module, z = tgan.Generator(2, 8, 1, width=2), jax.random.uniform(key, [2, 3], minval=-1)
    variables = random_variables(module, key, z)
    params = variables["params"]
    video = lambda params: module.apply(variables | {"params": params}, z, train=False)
    without = lambda layer: video(params | {layer: jax.tree.map(jnp.zeros_like, params[layer])})
    difference = lambda a, b: np.abs(a - b).max()
    assert video(params).shape == (2, 2, 8, 8, 1)
    same_frames = without("Dense_1")  # the layer of the frames' latents
    assert difference(same_frames[:, 0], same_frames[:, 1]) < 1e-6
    assert difference(same_frames[0], same_frames[1]) > 1e-3
    assert difference(without("Dense_0")[:, 0], without("Dense_0")[:, 1]) > 1e-3


def test_tgans_networks_have_the_papers_shapes(key):
    params = jax.eval_shape(tgan.Generator().init, key, jnp.zeros((1, 100)))["params"]
    make_video = lambda: tgan.Generator().init_with_output(key, jnp.zeros((1, 100)), train=False)[0]
    assert jax.eval_shape(make_video).shape == (1, 16, 64, 64, 3)
    shapes = lambda layers, name: [layers[f"{name}_{i}"]["kernel"].shape[-2:] for i in range(4)]
    assert shapes(params["TemporalGenerator_0"], "ConvTranspose") == [(512, 256), (256, 128), (128, 128), (128, 100)]
    assert shapes(params, "ConvTranspose") == [(512, 256), (256, 128), (128, 64), (64, 32)]
    assert [params[f"Dense_{i}"]["kernel"].shape for i in (0, 1)] == [(100, 4 * 4 * 256)] * 2
    assert params["Conv_0"]["kernel"].shape == (3, 3, 32, 3)


@pytest.mark.parametrize(("frames", "size"), [(6, 16), (2, 16), (8, 64)])
def test_tgans_number_of_frames_is_checked(frames, size):
    with pytest.raises(UserError, match=f"frames is {frames}; use a power of two of at least {size // 4}"):
        tgan_experiment.build(tgan_experiment.Config(frames=frames, size=size))
