"""Streamed data give the same batches as data in memory, for every first step and number of devices."""

import dataclasses
import itertools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import first_window_data, short_run
from PIL import Image

from jaxgan.data import datasets, folders, pairs, resolution, sources, streams
from jaxgan.data.datasets import Dataset
from jaxgan.data.streams import Window, WindowData
from jaxgan.errors import UserError
from jaxgan.runs.registry import Entry
from jaxgan.runs.run import train_entry
from jaxgan.training.devices import Devices
from jaxgan.training.experiment import Config
from jaxgan.training.loop import draw_batches

BATCH = 16


@pytest.fixture
def start_streaming(monkeypatch):
    """From the call on, all data sets are streamed, in windows of six steps of 16 digits."""

    def start():
        monkeypatch.setattr(datasets, "MAX_IN_MEMORY_BYTES", 0)
        monkeypatch.setattr(streams, "WINDOW_BYTES", 7_000)

    return start


def noise(n=45):
    rng = np.random.default_rng(0)
    images, labels = rng.integers(0, 256, [n, 8, 8, 1], np.uint8), rng.integers(0, 10, n, np.int32)
    return Dataset("noise", images, labels, tuple("0123456789"))


def consecutive_batches(source, key, start, num_steps):
    windows, window, batches = source.windows(key, start), None, []
    draw = jax.jit(source.batch)
    for step in range(start, start + num_steps):
        if window is None or step >= window.stop:
            window = next(windows)
            data = WindowData(window.replicated, window.sharded.read(np.arange(BATCH)))
        batches.append(jax.device_get(draw(data, key, jnp.int32(step), jnp.arange(BATCH))))
    return batches


@pytest.mark.parametrize("start", [0, 5, 2**31 - 60])
def test_streamed_batches_equal_those_from_memory(start_streaming, key, start):
    source = sources.images(noise, BATCH, flip=True, dequantise=True)
    from_memory = consecutive_batches(source, key, start, 20)
    start_streaming()
    assert next(source.windows(key, start)).stop < start + 20
    chex.assert_trees_all_equal(consecutive_batches(source, key, start, 20), from_memory, strict=True)


def test_steps_of_several_batches_equal_those_from_memory(start_streaming, key):
    """A step of two batches takes two of the source's. The windows hold whole steps, also when a run resumes in one."""
    source = sources.images(noise, BATCH)
    draw = jax.jit(lambda data, step: draw_batches(source, 2, data, key, step, BATCH))

    def reals(start: int, num_steps: int) -> np.ndarray:
        windows, window, result = source.windows(key, start, 2), None, []
        for step in range(start, start + num_steps):
            if window is None or step >= window.stop:
                window = next(windows)
                data = WindowData(window.replicated, window.sharded.read(np.arange(BATCH)))
            batch = draw(data, jnp.int32(step))
            np.testing.assert_array_equal(batch["index"], np.arange(2 * BATCH))
            result.append(batch["real"])
        return np.stack(result)

    from_memory = reals(0, 9)
    batches = [source.batch(first_window_data(source), key, jnp.int32(n), jnp.arange(BATCH)) for n in (16, 17)]
    np.testing.assert_allclose(from_memory[8], np.concatenate([batch["real"] for batch in batches]), atol=1e-6)
    start_streaming()
    np.testing.assert_array_equal(reals(0, 9), from_memory)
    np.testing.assert_array_equal(reals(4, 5), from_memory[4:])


def test_streamed_pairs_equal_those_from_memory(start_streaming, key):
    source = sources.paired(lambda: (noise(), noise()), BATCH, flip=True)
    from_memory = consecutive_batches(source, key, 0, 5)
    start_streaming()
    streamed = consecutive_batches(source, key, 0, 5)
    chex.assert_trees_all_equal(streamed, from_memory, strict=True)
    np.testing.assert_array_equal(streamed[3]["x"], streamed[3]["y"])


def test_several_sources_are_streamed_at_once(start_streaming, key):
    """Data sets of unequal length, one of which has larger images, so that its windows are shorter."""
    large = Dataset("large", np.random.default_rng(1).integers(0, 256, [20, 8, 12, 3], np.uint8))
    source = sources.unpaired(sources.images(noise, BATCH, flip=True), sources.images(lambda: large, BATCH, crop=5))
    from_memory = consecutive_batches(source, key, 3, 12)
    start_streaming()
    streamed = consecutive_batches(source, key, 3, 12)
    chex.assert_trees_all_equal(streamed, from_memory, strict=True)
    assert streamed[0]["x"].shape == (BATCH, 8, 8, 1)
    assert streamed[0]["y"].shape == (BATCH, 5, 5, 3)


@pytest.fixture
def pair_folders(tmp_path, monkeypatch):
    """Two folders "x" and "y" with 12 images of the same names, and a folder "xy" with both side by side."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    images = np.random.default_rng(0).integers(0, 256, [12, 20, 44, 3], np.uint8)
    for n, image in enumerate(images):
        for folder, part in (("x", image[:, :22]), ("y", image[:, 22:]), ("xy", image)):
            (tmp_path / folder / f"class{n % 2}").mkdir(parents=True, exist_ok=True)
            Image.fromarray(part).save(tmp_path / folder / f"class{n % 2}" / f"{n}.png")
    (tmp_path / "x" / "class0" / "notes.txt").write_text("no image")
    return tmp_path


def test_images_in_folders_that_are_read_when_needed_equal_those_in_memory(start_streaming, pair_folders):
    root = pair_folders

    def load() -> dict[str, datasets.ImageData]:
        folder, notes = folders.load_folder(root / "x", 16)
        pair = pairs.load_paired_folders(root / "y", root / "x", 16, channels=(1, 3))
        halves = pairs.load_side_by_side(root / "xy", 16, "BtoA")
        assert list(notes.left_out) == ["class0/notes.txt"]
        return {"folder": folder, "y": pair[0], "x": pair[1], "right": halves[0], "left": halves[1]}

    from_memory = load()
    start_streaming()
    for _ in range(2):  # The second time with a cached list of files.
        for name, data in load().items():
            assert (type(data), type(from_memory[name])) == (datasets.DiskDataset, Dataset)
            assert (data.shape, data.classes) == (from_memory[name].shape, from_memory[name].classes)
            rows = np.array([3, 0, 11, 3])
            chex.assert_trees_all_equal(data.read(rows), from_memory[name].read(rows))
    chex.assert_trees_all_equal(data.in_memory().images, from_memory["left"].images)
    Image.new("RGB", (20, 18)).save(root / "y" / "class0" / "0.png")
    with pytest.raises(UserError, match="the images of the pair class0/0 have unequal sizes, 20 x 18 and 22 x 20"):
        pairs.load_paired_folders(root / "y", root / "x", 16)


def test_streamed_super_resolution_equals_that_from_memory(start_streaming, pair_folders, key):
    load = lambda: pairs.hold_out(folders.load_folder(pair_folders / "x", 16)[0], "train")
    source = sources.paired(lambda: resolution.low_high_resolution(load(), 4), BATCH, flip=True, crop=3)
    from_memory = consecutive_batches(source, key, 0, 3)
    start_streaming()
    streamed = consecutive_batches(source, key, 0, 3)
    chex.assert_trees_all_equal(streamed, from_memory, strict=True)
    assert (streamed[0]["x"].shape, streamed[0]["y"].shape) == ((BATCH, 3, 3, 3), (BATCH, 12, 12, 3))


@pytest.mark.parametrize(("count", "mode"), [(1, "shard_map"), (4, "shard_map"), (4, "pmap")])
def test_a_streamed_run_equals_one_from_memory_and_resumes_within_a_window(tmp_path, start_streaming, count, mode):
    entry, config = short_run("minimax/digits")
    devices = Devices.all(count, mode)
    from_memory = train_entry(entry, config, tmp_path / "memory", devices)
    start_streaming()
    for steps in (5, 10):
        streamed = train_entry(entry, dataclasses.replace(config, steps=steps), tmp_path / "streamed", devices)
    chex.assert_trees_all_equal(streamed.state, from_memory.state, strict=True)


def test_only_the_rows_at_the_given_positions_are_read(start_streaming, key):
    start_streaming()
    indices_read = []

    @dataclasses.dataclass(frozen=True)
    class RecordingDataset(Dataset):
        def read(self, indices):
            indices_read.extend(np.atleast_1d(indices))
            return super().read(indices)

    source = sources.images(lambda: RecordingDataset("recording", noise().images), BATCH)
    window = next(source.windows(key, 0))
    whole = window.sharded.read(np.arange(BATCH))["real"]
    assert window.shapes.sharded["real"].shape == whole.shape
    indices_read.clear()
    positions = np.array([2, 3, 10, 11])
    np.testing.assert_array_equal(window.sharded.read(positions)["real"], whole[positions])
    assert len(indices_read) == 4 * window.stop


def test_an_error_of_a_reading_thread_is_raised(start_streaming, key):
    @dataclasses.dataclass(frozen=True)
    class DamagedDataset(Dataset):
        def read(self, indices):
            if 7 in indices:
                raise UserError("record 7 of noise is damaged")
            return super().read(indices)

    start_streaming()
    source = sources.images(lambda: DamagedDataset("noise", noise().images), BATCH)
    feed = streams.prefetch(source.windows(key, 0), lambda window: window.sharded.read(np.arange(BATCH)))
    with pytest.raises(UserError, match="record 7 of noise is damaged"):
        list(itertools.islice(feed, 3))  # Six steps each: more than an epoch.


def test_prefetch_puts_one_window_ahead_and_raises_an_error_when_its_window_is_due():
    stops = []

    def windows():
        for stop in (3, 6, 9):
            yield Window({}, stop)
        raise UserError("record 7 is damaged")

    def put(window):
        stops.append(window.stop)
        return window.stop

    feed = streams.prefetch(windows(), put)
    assert [next(feed)[1], next(feed)[1], next(feed)[1]] == [3, 6, 9]
    assert stops == [3, 6, 9]
    with pytest.raises(UserError, match="record 7 is damaged"):
        next(feed)


def test_sources_that_cannot_be_streamed_are_refused(start_streaming, key, tmp_path):
    start_streaming()
    source = sources.images(noise, BATCH)
    with pytest.raises(UserError, match="needs data that fit in memory"):
        next(sources.stack_channels(source).windows(key, 0))
    with pytest.raises(UserError, match="streamed data serve one seed; leave out --seeds"):
        train_entry(*short_run("minimax/digits", seeds=2), tmp_path, Devices.all(1))


def with_data(name: str, data: Dataset) -> tuple[Entry, Config]:
    """Returns an experiment with other data."""
    entry, config = short_run(name)

    def build(config):
        return dataclasses.replace(entry.build(config), source=sources.images(lambda: data, config.batch_size))

    return dataclasses.replace(entry, build=build), config


def test_missing_labels_are_reported_before_training(tmp_path):
    data = dataclasses.replace(noise(), labels=None, classes=())
    with pytest.raises(UserError, match=r"label.*use data with classes"):
        train_entry(*with_data("cgan/digits", data), tmp_path, Devices.all(1))


def test_images_of_another_shape_are_reported_before_training(tmp_path):
    data = Dataset("colours", np.zeros([20, 8, 8, 3], np.uint8))
    with pytest.raises(UserError, match=r"8 x 8 x 3.*8 x 8 x 1"):
        train_entry(*with_data("minimax/digits", data), tmp_path, Devices.all(1))
