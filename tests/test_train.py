"""A run stops, resumes, refuses and fails as it should."""

import dataclasses
import gzip
import json
import resource
import signal
import subprocess
import sys
import time

import jax.numpy as jnp
import numpy as np
import pytest
from helpers import changed, gap, same, sgd, small

import jaxgan
from jaxgan import registry
from jaxgan.errors import Diverged, Failed, Problem
from jaxgan.metrics import read
from jaxgan.parallel import Devices
from jaxgan.train import train

RING = "r3gan/ring"


def launch(*words):
    command = [sys.executable, "launch.py", *map(str, words), "--devices=1"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def long_run(workdir):
    """A run that would take an hour, once it has written a checkpoint."""
    periods = [f"--{name.replace('_', '-')}=20" for name in ("log_every", *registry.PERIODS)]
    process = launch("train", RING, "--workdir", workdir, "--steps", 10_000_000, *periods)
    deadline = time.time() + 120
    while not list(workdir.glob("checkpoints/[0-9]*0")) and time.time() < deadline and process.poll() is None:
        time.sleep(0.05)
    assert process.poll() is None, process.communicate()[1]
    return process


def uninterrupted(steps, workdir):
    entry = registry.get(RING)
    periods = dict.fromkeys(("log_every", *registry.PERIODS), 20)
    config = type(entry.config)(**{**vars(entry.config), **periods, "steps": steps})
    return train(entry, config, workdir, Devices.take(1))


def test_sigterm_saves_and_a_resume_is_as_if_nothing_happened(tmp_path):
    process = long_run(tmp_path / "stopped")
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGTERM
    assert "stopped by SIGTERM and saved at step" in said
    stopped = jaxgan.load(tmp_path / "stopped")
    whole = uninterrupted(stopped.step, tmp_path / "whole")
    assert same(stopped.state, whole.state)
    assert same(
        uninterrupted(stopped.step + 25, tmp_path / "stopped").state,
        uninterrupted(stopped.step + 25, tmp_path / "whole").state,
    )


def test_sigkill_in_mid_save_loses_only_what_was_not_saved(tmp_path):
    process = long_run(tmp_path / "killed")
    deadline = time.time() + 60
    while not list(tmp_path.glob("killed/checkpoints/*tmp*")) and time.time() < deadline:
        pass
    process.kill()
    process.communicate()
    killed = jaxgan.load(tmp_path / "killed")
    steps = killed.step + 25
    assert same(uninterrupted(steps, tmp_path / "killed").state, uninterrupted(steps, tmp_path / "whole").state)
    assert not list(tmp_path.glob("killed/checkpoints/*tmp*"))
    logged = [record["step"] for record in read(tmp_path / "killed" / "metrics.jsonl")]
    assert logged == sorted(set(logged))


def test_a_second_trainer_is_refused(tmp_path):
    process = long_run(tmp_path)
    second = launch("train", RING, "--workdir", tmp_path)
    _, said = second.communicate(timeout=60)
    process.kill()
    process.communicate()
    assert second.returncode == 2
    assert "another trainer is at work" in said


@pytest.mark.parametrize("devices", [1, 2])
def test_saved_on_eight_devices_and_resumed_on_fewer(tmp_path, devices):
    entry, config = small("wgan_gp/digits_conv", steps=5)
    entry = sgd(entry)
    train(entry, config, tmp_path / "moved", Devices.take(8))
    _, config = small("wgan_gp/digits_conv", steps=10)
    whole = train(entry, config, tmp_path / "whole", Devices.take(8))
    moved = train(entry, config, tmp_path / "moved", Devices.take(devices))
    assert gap(moved.state, whole.state) < 1e-5


def test_saved_by_pmap_and_resumed_by_shard_map(tmp_path):
    entry, config = small("minimax/digits", steps=5)
    train(entry, config, tmp_path, Devices.take(4, "pmap"))
    again = train(entry, small("minimax/digits", steps=10)[1], tmp_path, Devices.take(4))
    assert gap(again.state.params, jaxgan.load(tmp_path).state.params) == 0.0


def broken_from(step):
    """Makes the generator's loss infinite from a step on."""

    def change(game):
        d, g = game.phases

        def loss(state, batch, key):
            value, rest = g.loss(state, batch, key)
            return jnp.where(state.step >= step, jnp.inf, value), rest

        return dataclasses.replace(game, phases=(d, dataclasses.replace(g, loss=loss)))

    return change


@pytest.mark.parametrize("seeds", [1, 2])
def test_a_run_that_diverges_stops_and_names_where(tmp_path, seeds):
    entry, config = small(RING, steps=20, seeds=seeds)
    with pytest.raises(Diverged, match=rf"g/loss is not finite at step 12; .* is {tmp_path}/checkpoints/10"):
        train(changed(entry, broken_from(12)), config, tmp_path, Devices.take(1))
    assert Diverged.exit_code == 3
    assert jaxgan.load(tmp_path).step == 10


def test_another_config_is_refused_and_the_fields_are_named(tmp_path):
    train(*small(RING), tmp_path, Devices.take(1))
    before = (tmp_path / "config.json").read_bytes()
    with pytest.raises(Problem, match=r"gamma is 0.4 there and 0.8 here, .*seed|seed is 0 there and 1 here, .*gamma"):
        train(*small(RING, gamma=0.8, seed=1), tmp_path, Devices.take(1))
    with pytest.raises(Problem, match="holds a run of r3gan/ring; choose another --workdir for minimax/ring"):
        train(*small("minimax/ring"), tmp_path, Devices.take(1))
    assert (tmp_path / "config.json").read_bytes() == before


def test_a_run_that_is_done_is_left_as_it_is(tmp_path):
    first = train(*small(RING), tmp_path, Devices.take(1))
    again = train(*small(RING), tmp_path, Devices.take(1))
    assert same(first.state, again.state)
    assert [record["step"] for record in read(tmp_path / "metrics.jsonl")] == [5, 10]


def test_looking_does_not_change_the_path(tmp_path):
    seldom = train(*small(RING, sample_every=10, evaluate_every=10), tmp_path / "seldom", Devices.take(1))
    often = train(
        *small(RING, **dict.fromkeys(("log_every", *registry.PERIODS), 1)), tmp_path / "often", Devices.take(1)
    )
    assert same(seldom.state, often.state)


def test_what_a_work_directory_holds(tmp_path):
    run = train(*small("minimax/digits", seeds=2), tmp_path, Devices.take(1))
    config = json.loads((tmp_path / "config.json").read_text())
    assert config["name"] == "minimax/digits"
    assert config["config"]["seeds"] == 2
    assert {"jax", "flax", "optax", "python"} <= set(config["versions"])
    records = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [record["step"] for record in records] == [5, 10]
    assert all({"images", "seconds", "d/loss", "g/loss"} <= set(record) for record in records)
    assert len(records[0]["d/loss"]["seeds"]) == 2
    assert sorted(p.name for p in (tmp_path / "samples").iterdir())[-1] == "00000010-seed1.png"
    assert list(tmp_path.glob("events*"))
    loaded = jaxgan.load(tmp_path)
    for member in (0, 1):
        samples = loaded.sample(70, seed=3, member=member)
        assert samples.shape == (70, 8, 8, 1)
        assert samples.dtype == np.uint8
        np.testing.assert_array_equal(samples, run.sample(70, seed=3, member=member))
        np.testing.assert_array_equal(samples[:5], loaded.sample(5, seed=3, member=member))
    assert (loaded.sample(5, member=0) != loaded.sample(5, member=1)).any()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # Writers that Orbax gives up on.
@pytest.mark.parametrize("room", [20_000, 200_000])  # bytes a file: too small for a picture, or for a checkpoint
def test_a_full_disk_is_one_sentence_and_loses_nothing(tmp_path, room):
    first = train(*small(RING, width=512), tmp_path, Devices.take(1))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (room, hard))
        with pytest.raises(Failed, match=rf"could not write .*the last good checkpoint is {tmp_path}/checkpoints/10"):
            train(*small(RING, width=512, steps=20), tmp_path, Devices.take(1))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert same(jaxgan.load(tmp_path).state, first.state)


def test_a_work_directory_that_cannot_be_written(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(Problem, match="cannot write to the work directory"):
        train(*small(RING), tmp_path / "file" / "run", Devices.take(1))


@pytest.mark.parametrize("batch_size", [4, 12])
def test_a_batch_that_does_not_divide_is_refused_with_what_would(tmp_path, batch_size):
    with pytest.raises(Problem, match="does not divide over 8 devices; use 8" + (" or 16" if batch_size == 12 else "")):
        train(*small(RING, batch_size=batch_size), tmp_path, Devices.take(8))


def test_a_profile_shows_steps_and_what_is_between_them(tmp_path):
    entry, config = small("r3gan/ring", steps=10)
    train(entry, config, tmp_path, Devices.take(1), profile=True)
    (trace,) = tmp_path.glob("profile/**/perfetto_trace.json.gz")
    events = gzip.decompress(trace.read_bytes()).decode()
    assert all(name in events for name in ("by_round", "see", "save"))
