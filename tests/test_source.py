import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import held
from jax.sharding import AxisType, PartitionSpec
from scipy.stats import kstest

from jaxgan.axis import AXIS, positions
from jaxgan.data import source
from jaxgan.data.datasets import Dataset
from jaxgan.errors import Problem

N, BATCH = 45, 16  # An epoch ends within a batch.


def numbers(n: int) -> Dataset:
    labels = np.arange(n, dtype=np.int32)
    return Dataset("numbers", labels.astype(np.uint8).reshape(n, 1, 1, 1), labels)


@pytest.fixture
def numbered() -> source.Source:
    """Images that are their own number, and labelled with it."""
    return source.images(lambda: numbers(N), BATCH)


@pytest.fixture(params=["images", "density"])
def any_source(request, numbered) -> source.Source:
    return numbered if request.param == "images" else source.density(lambda key: jax.random.normal(key, [2]))


def stream(s, key, start, steps):
    """The labels of `steps` batches in a row."""
    steps = start + jnp.arange(steps)
    labels = jax.jit(jax.vmap(lambda step: s.batch(held(s), key, step, jnp.arange(BATCH))["label"]))(steps)
    return np.asarray(labels).ravel()


@pytest.mark.parametrize("start", [0, N * 3, N * (2**31 // N - 1)])
def test_every_image_comes_once_an_epoch_over_the_borders_of_epochs(numbered, start, key):
    epochs = stream(numbered, key, start, N).reshape(BATCH, N)
    np.testing.assert_array_equal(np.sort(epochs, axis=1), np.tile(np.arange(N), [BATCH, 1]))
    assert len({tuple(order) for order in epochs}) == BATCH


def test_the_stream_goes_on_where_steps_wrap_round_the_data(numbered, key):
    np.testing.assert_array_equal(stream(numbered, key, N - 5, 10)[5 * BATCH :], stream(numbered, key, N, 5))


def test_image_and_label_belong_together_and_grey_levels_fill_minus_one_to_one(numbered, key):
    batch = numbered.batch(held(numbered), key, jnp.int32(2), jnp.arange(BATCH))
    np.testing.assert_allclose((batch["real"].ravel() + 1) * 127.5, batch["label"], atol=1e-4)
    extremes = source.images(lambda: Dataset("extremes", np.array([0, 255], np.uint8).reshape(2, 1, 1, 1)), 2)
    batch = extremes.batch(held(extremes), key, jnp.int32(0), jnp.arange(2))
    assert sorted(batch["real"].ravel().tolist()) == [-1.0, 1.0]
    assert set(batch) == {"real", "index"}


def test_a_batch_of_a_density_is_a_draw_for_each_key(key):
    draw = lambda key: jax.random.normal(key, [2])
    batch = source.density(draw).batch({}, key, jnp.int32(7), jnp.arange(3))
    keys = [jax.random.fold_in(jax.random.fold_in(key, 7), i) for i in range(3)]
    np.testing.assert_array_equal(batch["real"], [draw(k) for k in keys])


def test_eight_devices_draw_the_batch_of_one(any_source, key):
    alone = lambda key, step: any_source.batch(held(any_source), key, step, positions(BATCH))
    mesh = jax.make_mesh((8,), (AXIS,), axis_types=(AxisType.Auto,))
    spread = jax.shard_map(alone, mesh=mesh, in_specs=PartitionSpec(), out_specs=PartitionSpec(AXIS), check_vma=False)
    spread, alone = jax.jit(spread), jax.jit(alone)
    for step in jnp.arange(3):
        jax.tree.map(np.testing.assert_array_equal, spread(key, step), alone(key, step))


def test_seeds_are_an_axis_and_steps_a_loop(any_source, key):
    keys = jax.random.split(key, 3)
    index = jnp.arange(BATCH)

    def total(key):
        add = lambda step, sum: sum + any_source.batch(held(any_source), key, step, index)["real"]
        return jax.lax.fori_loop(0, 5, add, jnp.zeros_like(add(jnp.int32(0), 0.0)))

    together = jax.jit(jax.vmap(total))(keys)
    alone = [sum(any_source.batch(held(any_source), k, jnp.int32(s), index)["real"] for s in range(5)) for k in keys]
    np.testing.assert_allclose(together, alone, rtol=1e-5, atol=1e-6)
    assert not np.allclose(together[0], together[1])


def test_images_that_cannot_be_served_are_refused():
    images = np.zeros([4, 1, 1, 1], np.uint8)
    asked = lambda data, batch_size: held(source.images(lambda: data, batch_size))
    with pytest.raises(ValueError, match="uint8"):
        asked(Dataset("floats", images.astype(np.float32)), 2)
    with pytest.raises(ValueError, match="3 labels for 4 images"):
        asked(Dataset("short", images, np.zeros(3, np.int32)), 2)
    with pytest.raises(Problem, match=f"at most {2**30}"):
        asked(Dataset("small", images), 2**31)


def test_nothing_is_read_before_training_begins():
    def load():
        raise AssertionError

    made = source.images(load, BATCH)
    with pytest.raises(AssertionError):
        held(made)


def test_images_are_mirrored_half_of_the_time_and_alike_with_their_pairs(key):
    images = np.arange(64, dtype=np.uint8).reshape(64, 1, 1, 1) + np.array([0, 100], np.uint8)[None, None, :, None]
    made = source.paired(lambda: (Dataset("x", images), Dataset("y", images)), 64, flip=True)
    batches = [made.batch(held(made), key, jnp.int32(step), jnp.arange(64)) for step in range(8)]
    x, y = (np.concatenate([b[name] for b in batches]) for name in "xy")
    np.testing.assert_array_equal(x, y)
    turned = (x[:, 0, 0, 0] > x[:, 0, 1, 0]).mean()
    assert 0.4 < turned < 0.6


def test_dequantised_images_fill_their_grey_levels_evenly(key):
    made = source.images(lambda: Dataset("grey", np.full([4, 8, 8, 1], 7, np.uint8)), 64, dequantise=True)
    x = (made.batch(held(made), key, jnp.int32(0), jnp.arange(64))["real"] + 1) * 128 - 7
    assert kstest(np.ravel(x), "uniform").pvalue > 1e-3


def test_pairs_must_be_pairs():
    with pytest.raises(Problem, match="4 images of numbers cannot be paired with 5"):
        held(source.paired(lambda: (numbers(4), numbers(5)), 2))


def test_stacked_images_are_three_independent_ones(numbered, key):
    made = source.stacked(numbered, classes=N)
    batch = made.batch(held(made), key, jnp.int32(3), jnp.arange(BATCH))
    colours = np.rint((batch["real"][:, 0, 0] + 1) * 127.5).astype(int)
    np.testing.assert_array_equal(colours @ [N**2, N, 1], batch["label"])
    assert len({tuple(c) for c in colours.T}) == 3
