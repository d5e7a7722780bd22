"""Sources visit every image once per epoch, do not depend on the number of devices, and scale images to [-1, 1]."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import first_window_data
from jax.sharding import AxisType, PartitionSpec
from scipy.stats import kstest

from jaxgan.core import prng
from jaxgan.core.axis import AXIS_NAME, global_indices
from jaxgan.data import sources
from jaxgan.data.datasets import Dataset
from jaxgan.data.streams import WindowData
from jaxgan.errors import UserError
from jaxgan.render.outputs import to_uint8

N, BATCH = 45, 16  # An epoch ends within a batch.


def index_images(n: int) -> Dataset:
    """Returns n images of one pixel, whose value and label are the index of the image."""
    labels = np.arange(n, dtype=np.int32)
    return Dataset("index", labels.astype(np.uint8).reshape(n, 1, 1, 1), labels)


@pytest.fixture
def index_source() -> sources.Source:
    return sources.images(lambda: index_images(N), BATCH)


@pytest.fixture(params=["images", "density"])
def any_source(request, index_source) -> sources.Source:
    return index_source if request.param == "images" else sources.density(lambda key: jax.random.normal(key, [2]))


def consecutive_labels(source, key, start, num_steps):
    """Returns the labels of consecutive batches, [num_steps * BATCH]."""
    data, steps = first_window_data(source), start + jnp.arange(num_steps)
    labels = jax.jit(jax.vmap(lambda step: source.batch(data, key, step, jnp.arange(BATCH))["label"]))(steps)
    return np.asarray(labels).ravel()


@pytest.mark.parametrize("start", [0, N * 3, N * (2**31 // N - 1)])
def test_every_image_comes_once_per_epoch_across_batches(index_source, start, key):
    epochs = consecutive_labels(index_source, key, start, N).reshape(BATCH, N)
    np.testing.assert_array_equal(np.sort(epochs, axis=1), np.tile(np.arange(N), [BATCH, 1]))
    assert len({tuple(order) for order in epochs}) == BATCH


def test_batches_continue_where_the_step_passes_a_multiple_of_the_data_size(index_source, key):
    across = consecutive_labels(index_source, key, N - 5, 10)
    np.testing.assert_array_equal(across[5 * BATCH :], consecutive_labels(index_source, key, N, 5))


def test_image_and_label_belong_together_and_grey_levels_fill_minus_one_to_one(index_source, key):
    batch = index_source.batch(first_window_data(index_source), key, jnp.int32(2), jnp.arange(BATCH))
    np.testing.assert_allclose((batch["real"].ravel() + 1) * 127.5, batch["label"], atol=1e-4)
    extremes = sources.images(lambda: Dataset("extremes", np.array([0, 255], np.uint8).reshape(2, 1, 1, 1)), 2)
    batch = extremes.batch(first_window_data(extremes), key, jnp.int32(0), jnp.arange(2))
    assert sorted(batch["real"].ravel().tolist()) == [-1.0, 1.0]
    assert set(batch) == {"real", "index"}


def test_a_density_draws_one_sample_per_example_key(key):
    sample = lambda key: jax.random.normal(key, [2])
    batch = sources.density(sample).batch(WindowData(), key, jnp.int32(7), jnp.arange(3))
    keys = [jax.random.fold_in(jax.random.fold_in(key, 7), i) for i in range(3)]
    np.testing.assert_array_equal(batch["real"], [sample(k) for k in keys])


def test_eight_devices_draw_the_batch_of_one_device(any_source, key):
    data = first_window_data(any_source)
    draw = lambda key, step: any_source.batch(data, key, step, global_indices(BATCH))
    mesh = jax.make_mesh((8,), (AXIS_NAME,), axis_types=(AxisType.Auto,))
    sharded = jax.shard_map(
        draw, mesh=mesh, in_specs=PartitionSpec(), out_specs=PartitionSpec(AXIS_NAME), check_vma=False
    )
    sharded, single = jax.jit(sharded), jax.jit(draw)
    for step in jnp.arange(3):
        jax.tree.map(np.testing.assert_array_equal, sharded(key, step), single(key, step))


def test_batches_can_be_drawn_under_vmap_over_seeds_and_in_a_loop_over_steps(any_source, key):
    keys, index, data = jax.random.split(key, 3), jnp.arange(BATCH), first_window_data(any_source)

    def total(key):
        add = lambda step, sum: sum + any_source.batch(data, key, step, index)["real"]
        return jax.lax.fori_loop(0, 5, add, jnp.zeros_like(add(jnp.int32(0), 0.0)))

    mapped = jax.jit(jax.vmap(total))(keys)
    single = [sum(any_source.batch(data, k, jnp.int32(s), index)["real"] for s in range(5)) for k in keys]
    np.testing.assert_allclose(mapped, single, rtol=1e-5, atol=1e-6)
    assert not np.allclose(mapped[0], mapped[1])


def test_invalid_images_are_refused():
    images = np.zeros([4, 1, 1, 1], np.uint8)
    with pytest.raises(ValueError, match="are float32; they must be uint8"):
        Dataset("floats", images.astype(np.float32))
    with pytest.raises(ValueError, match="3 labels for 4 images"):
        Dataset("short", images, np.zeros(3, np.int32))
    with pytest.raises(UserError, match=f"use at most {2**30}"):
        first_window_data(sources.images(lambda: Dataset("small", images), 2**31))


def test_data_are_loaded_when_windows_are_asked_for_and_not_before():
    def load():
        raise AssertionError

    source = sources.images(load, BATCH)
    with pytest.raises(AssertionError):
        first_window_data(source)


def test_half_of_the_images_are_mirrored_and_pairs_together(key):
    images = np.arange(64, dtype=np.uint8).reshape(64, 1, 1, 1) + np.array([0, 100], np.uint8)[None, None, :, None]
    source = sources.paired(lambda: (Dataset("x", images), Dataset("y", images)), 64, flip=True)
    data = first_window_data(source)
    batches = [source.batch(data, key, jnp.int32(step), jnp.arange(64)) for step in range(8)]
    x, y = (np.concatenate([b[name] for b in batches]) for name in "xy")
    np.testing.assert_array_equal(x, y)
    mirrored = (x[:, 0, 0, 0] > x[:, 0, 1, 0]).mean()
    assert 0.4 < mirrored < 0.6


def test_pairs_are_cropped_at_the_same_random_place_at_their_own_resolution(key):
    """Pixels of x hold their coordinates; y shows the same at three times the resolution."""
    rows, columns = np.mgrid[0:6, 0:9].astype(np.uint8)
    x = np.broadcast_to(np.stack([rows, columns, 0 * rows], axis=-1), [8, 6, 9, 3])
    y = x.repeat(3, 1).repeat(3, 2)
    source = sources.paired(lambda: (Dataset("x", x), Dataset("y", y)), 64, crop=4)
    batch = source.batch(first_window_data(source), key, jnp.int32(0), jnp.arange(64))
    small, large = (np.rint((np.asarray(batch[name]) + 1) * 127.5) for name in "xy")
    assert small.shape == (64, 4, 4, 3)
    np.testing.assert_array_equal(large, small.repeat(3, 1).repeat(3, 2))
    corners = {tuple(image[0, 0, :2].astype(int)) for image in small}
    assert corners == {(i, j) for i in range(3) for j in range(6)}


def test_sizes_that_cannot_be_paired_or_cropped_are_refused():
    zeros = lambda *shape: Dataset("x".join(map(str, shape)), np.zeros([4, *shape, 1], np.uint8))
    with pytest.raises(UserError, match="6x8 has images of 6 x 8, which is no multiple of the 4 x 4 of 4x4"):
        first_window_data(sources.paired(lambda: (zeros(4, 4), zeros(6, 8)), 2))
    with pytest.raises(UserError, match="a crop of 5 pixels is larger than the images of 4x4, 4 x 4"):
        first_window_data(sources.images(lambda: zeros(4, 4), 2, crop=5))


def test_dequantised_images_fill_their_grey_levels_evenly(key):
    source = sources.images(lambda: Dataset("grey", np.full([4, 8, 8, 1], 7, np.uint8)), 64, dequantise=True)
    batch = source.batch(first_window_data(source), key, jnp.int32(0), jnp.arange(64))
    assert kstest(np.ravel((batch["real"] + 1) * 128 - 7), "uniform").pvalue > 1e-3


def test_dequantised_images_are_converted_back_exactly(key):
    """Noise below 1 keeps every grey level, also at 255, where float32 has steps of 2^-16."""
    images = np.repeat(np.arange(256, dtype=np.uint8)[:, None, None, None], 4_096, axis=1)
    source = sources.images(lambda: Dataset("grey", images), 256, dequantise=True)
    assert source.dequantised
    batch = source.batch(first_window_data(source), key, jnp.int32(0), jnp.arange(256))
    levels = to_uint8(np.asarray(batch["real"]), dequantised=True)
    assert (levels == levels[:, :1]).all()
    np.testing.assert_array_equal(np.unique(levels[:, 0]), np.arange(256))
    assert batch["real"].max() < 1.0


def test_the_noise_of_dequantisation_never_rounds_up_to_the_next_grey_level(monkeypatch, key):
    monkeypatch.setattr(prng, "uniform", lambda keys, *shape: jnp.full([len(keys), *shape], 1.0 - 2.0**-24))
    source = sources.images(lambda: Dataset("white", np.full([1, 1, 1, 1], 255, np.uint8)), 1, dequantise=True)
    batch = source.batch(first_window_data(source), key, jnp.int32(0), jnp.arange(1))
    assert (float(batch["real"][0, 0, 0, 0]) + 1.0) * 128 - 255 == 1.0 - 2.0**-16


def test_paired_data_sets_must_have_equal_lengths():
    with pytest.raises(UserError, match="4 images of index cannot be paired with 5"):
        first_window_data(sources.paired(lambda: (index_images(4), index_images(5)), 2))


def test_unpaired_examples_are_drawn_independently(index_source, key):
    source = sources.unpaired(index_source, sources.density(lambda key: jax.random.normal(key, [2])))
    batch = source.batch(first_window_data(source), key, jnp.int32(3), jnp.arange(BATCH))
    assert {name: x.shape for name, x in batch.items()} == {"x": (BATCH, 1, 1, 1), "y": (BATCH, 2), "index": (BATCH,)}
    twice = sources.unpaired(index_source, index_source)
    batch = twice.batch(first_window_data(twice), key, jnp.int32(3), jnp.arange(BATCH))
    assert not np.array_equal(batch["x"], batch["y"])


def test_stacked_channels_are_three_independent_images(index_source, key):
    source = sources.stack_channels(index_source, num_classes=N)
    batch = source.batch(first_window_data(source), key, jnp.int32(3), jnp.arange(BATCH))
    channels = np.rint((batch["real"][:, 0, 0] + 1) * 127.5).astype(int)
    np.testing.assert_array_equal(channels @ [N**2, N, 1], batch["label"])
    assert len({tuple(c) for c in channels.T}) == 3
