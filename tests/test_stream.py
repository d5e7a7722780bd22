"""Streamed data give the batches that data in memory give, wherever a run starts and whatever it runs on."""

import dataclasses
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import same, small

from jaxgan.data import datasets, source, stream
from jaxgan.data.datasets import Dataset
from jaxgan.errors import Problem
from jaxgan.parallel import Devices
from jaxgan.registry import Entry
from jaxgan.train import train

BATCH = 16


@pytest.fixture
def streamed(monkeypatch):
    """Nothing fits any more, and a window is a few steps."""

    def begin():
        monkeypatch.setattr(datasets, "HELD", 0)
        monkeypatch.setattr(stream, "WINDOW", 7_000)

    return begin


def images(n=45):
    rng = np.random.default_rng(0)
    return Dataset(
        "noise", rng.integers(0, 256, [n, 8, 8, 1], np.uint8), rng.integers(0, 10, n, np.int32), tuple("0123456789")
    )


def batches(made, key, start, steps):
    """The batches of `steps` steps from `start` on."""
    windows, window, found = made.windows(key, start), None, []
    draw = jax.jit(made.batch)
    for step in range(start, start + steps):
        if window is None or step >= window.stop:
            window = next(windows)
            arrays = {**window.arrays, **window.rows.read(np.arange(BATCH))}
        found.append(jax.device_get(draw(arrays, key, jnp.int32(step), jnp.arange(BATCH))))
    return found


@pytest.mark.parametrize("start", [0, 5, 2**31 - 60])
def test_streamed_batches_are_those_from_memory_to_the_bit(streamed, key, start):
    made = source.images(images, BATCH, flip=True, dequantise=True)
    whole = batches(made, key, start, 20)
    streamed()
    assert next(made.windows(key, start)).stop < start + 20
    assert same(batches(made, key, start, 20), whole)


def test_streamed_pairs_are_those_from_memory(streamed, key):
    made = source.paired(lambda: (images(), images()), BATCH, flip=True)
    whole = batches(made, key, 0, 5)
    streamed()
    found = batches(made, key, 0, 5)
    assert same(found, whole)
    np.testing.assert_array_equal(found[3]["x"], found[3]["y"])


@pytest.mark.parametrize(("devices", "parallel"), [(1, "shard_map"), (4, "shard_map"), (4, "pmap")])
def test_a_streamed_run_is_a_run_from_memory_and_resumes_within_a_window(tmp_path, streamed, devices, parallel):
    entry, config = small("minimax/digits")
    devices = Devices.take(devices, parallel)
    whole = train(entry, config, tmp_path / "whole", devices)
    streamed()
    for steps in (5, 10):  # The windows hold six steps.
        found = train(entry, dataclasses.replace(config, steps=steps), tmp_path / "streamed", devices)
    assert same(found.state, whole.state)


def test_a_process_reads_the_rows_of_its_devices_and_no_more(streamed, key):
    streamed()
    taken = []

    @dataclasses.dataclass(frozen=True)
    class Watched(Dataset):
        def take(self, numbers):
            taken.extend(np.atleast_1d(numbers))
            return super().take(numbers)

    made = source.images(lambda: Watched("watched", images().images), BATCH)
    window = next(made.windows(key, 0))
    whole = window.rows.read(np.arange(BATCH))["stream"]["real"]
    taken.clear()
    mine = np.array([2, 3, 10, 11])
    np.testing.assert_array_equal(window.rows.read(mine)["stream"]["real"], whole[mine])
    assert len(taken) == 4 * window.stop


def test_a_damaged_record_is_named_through_all_threads(streamed, key):
    @dataclasses.dataclass(frozen=True)
    class Damaged(Dataset):
        def take(self, numbers):
            if 7 in numbers:
                raise Problem("record 7 of noise is damaged")
            return super().take(numbers)

    streamed()
    made = source.images(lambda: Damaged("noise", images().images), BATCH)
    feed = stream.ahead(made.windows(key, 0), lambda window: window.rows.read(np.arange(BATCH)))
    with pytest.raises(Problem, match="record 7 of noise is damaged"):
        list(itertools.islice(feed, 3))  # Six steps each: more than an epoch.


def test_the_next_window_is_put_while_the_present_one_is_used_and_an_error_is_raised_when_it_is_due():
    put = []

    def windows():
        for stop in (3, 6, 9):
            yield stream.Window({}, stop)
        raise Problem("record 7 is damaged")

    feed = stream.ahead(windows(), lambda window: put.append(window.stop) or window.stop)
    assert [next(feed)[1], next(feed)[1], next(feed)[1]] == [3, 6, 9]
    assert put == [3, 6, 9]
    with pytest.raises(Problem, match="record 7 is damaged"):
        next(feed)


def test_what_cannot_be_streamed_is_refused(streamed, key, tmp_path):
    streamed()
    made = source.images(images, BATCH)
    for several in (source.stacked(made), source.unpaired(made, made)):
        with pytest.raises(Problem, match="needs data that fit in memory"):
            next(several.windows(key, 0))
    with pytest.raises(Problem, match="serve one seed; leave out --seeds"):
        train(*small("minimax/digits", seeds=2), tmp_path, Devices.take(1))


def played_on(name: str, data: Dataset) -> tuple[Entry, object]:
    """An experiment on other data than its own."""
    entry, config = small(name)
    build = lambda config: dataclasses.replace(
        entry.build(config), source=source.images(lambda: data, config.batch_size)
    )
    return dataclasses.replace(entry, build=build), config


def test_labels_asked_of_data_without_are_a_problem_when_training_begins(tmp_path):
    data = dataclasses.replace(images(), labels=None, classes=())
    with pytest.raises(Problem, match="played by labels, and its data have none"):
        train(*played_on("cgan/digits", data), tmp_path, Devices.take(1))


def test_images_of_another_shape_are_a_problem_when_training_begins(tmp_path):
    data = Dataset("colours", np.zeros([20, 8, 8, 3], np.uint8))
    with pytest.raises(Problem, match=r"8 x 8 x 3.*8 x 8 x 1"):
        train(*played_on("minimax/digits", data), tmp_path, Devices.take(1))
