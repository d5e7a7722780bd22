"""Image-to-image experiments: their losses against closed forms, samples from held-out images, the verb translate."""

import dataclasses
import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from helpers import first_window_data
from numpy.testing import assert_allclose
from PIL import Image

import jaxgan
from experiments import cyclegan, cyclegan_images, esrgan, pix2pix, srgan
from jaxgan.cli.main import main
from jaxgan.core.game import Network, init_state, input_spec
from jaxgan.core.update import make_update
from jaxgan.data import resolution, shapes
from jaxgan.data.datasets import Dataset
from jaxgan.errors import UserError
from jaxgan.reports import run_report
from jaxgan.runs import registry
from jaxgan.runs.run import train_entry
from jaxgan.training.devices import Devices

PERIODS = dict.fromkeys(("log_every", "sample_every", "evaluate_every", "save_every", "steps"), 2)


class Affine(nn.Module):
    """x -> a x + b over all pixels; as a discriminator the logits are the mean channel of each pixel."""

    a: float = 1.0
    logits: bool = False

    @nn.compact
    def __call__(self, x, *keys, train=True):
        a = self.param("a", lambda key: jnp.float32(self.a))
        b = self.param("b", lambda key: jnp.float32(0.0))
        return (a * x + b).mean(-1) if self.logits else a * x + b


def affine(name, a, *, logits=False, channels=1):
    return Network(name, Affine(a, logits), (input_spec(4, 4, channels),))


def sgd_game(build, *networks, **options):
    sgd = optax.sgd(0.0)
    return build(*networks, g_optimizer=sgd, d_optimizer=sgd, **options)


def run_phases(game, batch, key):
    """Returns the scalars that one step logs, at the initial parameters."""
    state = init_state(game, key)
    return make_update(game)(game.phases, state, batch, key)[1]


@pytest.fixture
def pair(key):
    x, y = jax.random.normal(key, (2, 3, 4, 4, 1))
    return {"x": x, "y": y, "index": jnp.arange(3)}


@pytest.mark.parametrize("conditional", [True, False])
def test_the_losses_of_pix2pix_equal_their_closed_forms(conditional, pair, key):
    """G(x) = 0.5 x, and logits are the means of channels: (x + y) / 2 of a pair, or y."""
    networks = affine("generator", 0.5), affine("d", 1.0, logits=True, channels=2 if conditional else 1)
    scalars = run_phases(
        sgd_game(pix2pix.pix2pix, *networks, l1=100.0, adversarial=2.0, conditional=conditional), pair, key
    )
    x, y = (np.float64(pair[name]) for name in "xy")
    real, fake = ((x + y) / 2, (x + 0.5 * x) / 2) if conditional else (y, 0.5 * x)
    softplus = lambda t: np.logaddexp(0, t).mean()
    l1 = np.abs(0.5 * x - y).mean()
    assert_allclose(scalars["d/loss"], 0.5 * (softplus(-real) + softplus(fake)), rtol=1e-5)
    assert_allclose(scalars["g/l1"], l1, rtol=1e-5)
    assert_allclose(scalars["g/loss"], 2.0 * softplus(-fake) + 100.0 * l1, rtol=1e-5)


def test_the_losses_of_cyclegan_equal_their_closed_forms(pair, key):
    """G(x) = 2 x, F(y) = 3 y, so that both cycles multiply by 6; logits are the pixels themselves."""
    networks = (affine("G", 2.0), affine("F", 3.0)), (affine("Dy", 1.0, logits=True), affine("Dx", 1.0, logits=True))
    options = {"adversarial": 0.7, "cycle": 10.0, "backward_cycle": 4.0, "identity": 5.0}
    scalars = run_phases(sgd_game(cyclegan.cycle_gan, *networks, pool=3, **options), pair, key)
    x, y = (np.float64(pair[name]) for name in "xy")
    fooling = ((2 * x - 1) ** 2).mean() + ((3 * y - 1) ** 2).mean()
    size = lambda t: np.abs(t).mean()
    expected = 0.7 * fooling + 10.0 * size(5 * x) + 4.0 * size(5 * y) + 5.0 * (size(2 * y - y) + size(3 * x - x))
    assert_allclose(scalars["g/loss"], expected, rtol=1e-5)
    half_square = lambda real, fake: 0.5 * ((real - 1) ** 2).mean() + 0.5 * (fake**2).mean()
    assert_allclose(scalars["d/loss"], half_square(y, 2 * x) + half_square(x, 3 * y), rtol=1e-5)


IMAGES = np.random.default_rng(0).integers(0, 256, [12, 32, 32, 3], np.uint8)


@pytest.mark.parametrize("module", [srgan, esrgan])
def test_super_resolution_trains_on_pixels_and_then_against_a_discriminator(module, key, monkeypatch):
    settings = {"size": 16, "width": 4, "blocks": 1, "stages": 2, "units": 8, "batch_size": 4, "pretrain": 1}
    if module is esrgan:
        settings["growth"] = 2
    config = module.Config(**settings, **PERIODS)
    monkeypatch.setattr(srgan, "FEATURE_LAYERS", 1)
    experiment = module.build(lambda config, split: Dataset("noise", IMAGES), config)
    game = experiment.game
    features = dataclasses.replace(game.networks[2], pretrained=lambda: jax.tree.map(np.float32, loaded))
    loaded = {"Conv_0": {"kernel": np.full([4, 4, 3, 32], 0.1), "bias": np.zeros(32)}}
    game = dataclasses.replace(game, networks=(*game.networks[:2], features))
    assert [[phase.name for phase in game.due_phases(step)] for step in (0, 1)] == [["pretrain"], ["d", "g"]]
    state, update = jax.jit(lambda key: init_state(game, key))(key), make_update(game)
    assert_allclose(state.params["features"]["Conv_0"]["kernel"], 0.1)
    data = first_window_data(experiment.source)
    batch = experiment.source.batch(data, key, state.step, jnp.arange(4))
    assert (batch["x"].shape, batch["y"].shape) == ((4, 4, 4, 3), (4, 16, 16, 3))
    fake = game.networks[0](state, batch["x"])[0]
    pixel_loss = {srgan: lambda t: (t**2).mean(), esrgan: lambda t: np.abs(t).mean()}[module]
    _, scalars = jax.jit(functools.partial(update, game.due_phases(0)))(state, batch, key)
    assert_allclose(scalars["pretrain/loss"], pixel_loss(np.asarray(fake - batch["y"])), rtol=1e-4)
    after, scalars = jax.jit(functools.partial(update, game.due_phases(1)))(state, batch, key)
    parts = (config.pixels, "pixels"), (config.content, "content"), (config.adversarial, "adversarial")
    assert_allclose(scalars["g/loss"], sum(weight * scalars[f"g/{name}"] for weight, name in parts), rtol=1e-5)
    assert_allclose(after.params["features"]["Conv_0"]["kernel"], 0.1)


def test_bicubic_enlargement_keeps_a_smooth_image():
    ramp = np.broadcast_to(np.arange(0, 240, 4, dtype=np.uint8)[:, None, None], [1, 60, 60, 1])
    low = resolution.low_high_resolution(Dataset("ramp", ramp), 4)[0].images
    error = np.abs(np.int32(resolution.enlarge(low, 4)) - ramp)[:, 8:-8, 8:-8]
    assert error.max() <= 1


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """pix2pix on shapes, trained for two steps, without dropout."""
    entry = registry.get("pix2pix/shapes")
    config = dataclasses.replace(entry.config, batch_size=4, width=4, levels=3, dropouts=0, **PERIODS)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shapes, "SIZES", {"train": 20, "test": 10})
        shapes.load_shapes.cache_clear()
        yield train_entry(entry, config, tmp_path_factory.mktemp("run"), Devices.all(1))
        shapes.load_shapes.cache_clear()


def test_samples_are_translations_of_the_held_out_images(run):
    outlines, _ = shapes.load_shapes("test")
    samples = run.sample(13)
    assert samples.shape == (13, 32, 32, 3)
    # Rounding to grey levels may differ by one between the two programs.
    difference = np.abs(np.int32(run.translate(outlines.images[:3])) - samples[10:13])
    assert difference.max() <= 1
    assert np.ptp(samples[0]) > 0


def test_a_run_is_measured_on_each_held_out_pair_once_and_shown_beside_the_truth(run):
    record = run.evaluate()
    truth = shapes.load_shapes("test")[1].images
    l1 = np.abs(np.int32(run.sample(10)) - truth).mean()
    assert_allclose(record["eval/l1"], l1, rtol=1e-6)
    assert {"eval/psnr", "eval/ssim", "eval/class_iou"} <= set(record)
    with Image.open(run.workdir / "samples" / "00000002.png") as preview:
        pixels = np.asarray(preview)
    outputs_and_truth = run.experiment.output.draw(run.sample(run.experiment.preview_count))
    np.testing.assert_array_equal(pixels, np.asarray(outputs_and_truth))
    assert "g/l1" in run.metrics()


def test_images_of_other_sizes_are_padded_and_cropped(run):
    image = np.random.default_rng(0).integers(0, 256, [1, 13, 18, 1], np.uint8)
    out = run.translate(image)
    assert out.shape == (1, 13, 18, 3)
    padded = np.pad(image, [(0, 0), (0, 3), (0, 6), (0, 0)], mode="symmetric")
    np.testing.assert_array_equal(run.translate(padded)[:, :13, :18], out)


def test_what_cannot_be_translated_is_refused_in_a_sentence(run):
    with pytest.raises(UserError, match=r"translates uint8 grey images \[N, H, W, 1\], not uint8 arrays of shape"):
        run.translate(np.zeros([1, 8, 8, 3], np.uint8))
    with pytest.raises(UserError, match="one direction; leave out --backward"):
        run.translate(np.zeros([1, 8, 8, 1], np.uint8), backward=True)
    with pytest.raises(UserError, match="one direction; leave out --backward"):
        run.sample(1, backward=True)
    for name, source in (("dcgan/digits", "noise"), ("cgan/digits", "labels and noise")):
        entry = registry.get(name)
        other = dataclasses.replace(run, entry=entry, experiment=entry.build(entry.config))
        with pytest.raises(UserError, match=f"{name} makes images from {source}; it does not translate"):
            other.translate(np.zeros([1, 8, 8, 1], np.uint8))
    with pytest.raises(UserError, match=r"size 36 is not a multiple of 2 .* use --levels 2 or less"):
        pix2pix.build_shapes(pix2pix.Config(size=36))


def test_a_folder_is_translated_to_a_folder_with_the_same_names(run, tmp_path, capsys):
    source, out = tmp_path / "in", tmp_path / "out"
    (source / "sub").mkdir(parents=True)
    rng = np.random.default_rng(0)
    for name, size in (("a.png", (16, 16)), ("b.png", (16, 16)), ("sub/c.png", (13, 18))):
        Image.fromarray(rng.integers(0, 256, [*size, 3], np.uint8)).save(source / name)
    assert main(["translate", str(run.workdir), str(source), str(out), "--page", "--truth", str(source)]) == 0
    assert "3 image(s) translated by pix2pix/shapes at step 2" in capsys.readouterr().out
    assert sorted(str(p.relative_to(out)) for p in out.rglob("*.png")) == ["a.png", "b.png", "sub/c.png"]
    with Image.open(out / "sub/c.png") as image:
        assert (image.size, image.mode) == ((18, 13), "RGB")
    assert (out / "index.html").read_text().count("<img") == 9
    assert main(["translate", str(run.workdir), str(source / "a.png"), str(tmp_path / "one.png")]) == 0
    with Image.open(tmp_path / "one.png") as one, Image.open(out / "a.png") as several:
        assert np.abs(np.int32(one) - np.int32(several)).max() <= 1


def test_errors_of_translate_come_before_anything_is_compiled(run, tmp_path, capsys):
    empty, folder = tmp_path / "empty", tmp_path / "folder"
    empty.mkdir()
    folder.mkdir()
    (folder / "a.png").write_bytes(b"nothing")
    for arguments, message in (
        ([empty, tmp_path / "out"], "has no images"),
        ([tmp_path / "missing", tmp_path / "out"], "is not a file or folder"),
        ([folder, tmp_path / "out"], "a.png is damaged"),
        ([folder, folder], "would be overwritten"),
    ):
        assert main(["translate", str(run.workdir), *map(str, arguments)]) == 2
        assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_cyclegan_translates_in_both_directions_and_measures_the_cycle(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    images = {name: rng.integers(0, 256, [20, 8, 8, 1], np.uint8) for name in "xy"}
    monkeypatch.setattr(cyclegan_images, "load_domain", lambda data, *_: Dataset(data, images[data]))
    entry = registry.get("cyclegan/own")
    settings = {"size": 8, "width": 4, "blocks": 1, "halvings": 1, "batch_size": 4, "jitter": 0, "channels": 1}
    run = train_entry(entry, dataclasses.replace(entry.config, **settings, **PERIODS), tmp_path, Devices.all(1))
    x, y = run.experiment.inputs.load(), run.experiment.backward.inputs.load()
    there, back = run.translate(x), run.translate(y, backward=True)
    network = lambda name, images: run.network(name)(jnp.float32(images) / 127.5 - 1)
    for name, inputs, outputs in (("forward", x, there), ("backward", y, back)):
        expected = (np.asarray(network(name, inputs)) + 1) * 127.5
        assert_allclose(outputs, expected, atol=0.51)
    cycle = np.abs(np.int32(run.translate(there, backward=True)) - x).mean()
    assert_allclose(jaxgan.load(tmp_path).evaluate()["eval/cycle"], cycle, rtol=0.02)
    np.testing.assert_array_equal(run.sample(2, backward=True), back[:2])
    for suffix, experiment in (("", run.experiment), ("-backward", run.experiment.backward)):
        with Image.open(tmp_path / "samples" / f"00000002{suffix}.png") as preview:
            shown = run.sample(experiment.preview_count, backward=bool(suffix))
            np.testing.assert_array_equal(preview, experiment.output.draw(shown))
    ((step, tags),) = run_report._previews(tmp_path / "samples")
    assert (step, tags.count("<img")) == (2, 2)
    assert main(["sample", str(tmp_path), "--backward", "--n", "2", "--out", str(tmp_path / "y.npz")]) == 0
    np.testing.assert_array_equal(np.load(tmp_path / "y.npz")["samples"], back[:2])


def test_a_domain_may_be_a_folder_or_part_of_a_tfds_data_set(tmp_path, monkeypatch):
    calls = []
    data = Dataset("data", np.zeros([20, 8, 8, 3], np.uint8))
    monkeypatch.setattr(cyclegan_images.datasets, "open_tfds", lambda *args, **options: calls.append(args) or data)
    monkeypatch.setattr(cyclegan_images, "load_folder", lambda *args: (calls.append(args) or data, {}))
    assert len(cyclegan_images.load_domain("cycle_gan/horse2zebra:trainA", 8, 3, "train")) == 18
    assert len(cyclegan_images.load_domain("mnist", 8, 3, "test")) == 2
    assert len(cyclegan_images.load_domain(str(tmp_path), 8, 3, "test")) == 2
    assert calls == [("cycle_gan/horse2zebra", "trainA"), ("mnist", "train"), (tmp_path, 8, 3)]
    with pytest.raises(UserError, match="has images of 8 x 8 x 3, and the networks take 8 x 8 x 1"):
        cyclegan_images.require_shape(data, (8, 8, 1), "choose other --channels")
