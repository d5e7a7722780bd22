"""Training stops, continues, refuses and fails as documented, and loses nothing."""

import dataclasses
import gzip
import json
import resource
import signal
import sys
import time

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import short_run, with_game, with_sgd

import jaxgan
from jaxgan.data import sources
from jaxgan.errors import SystemFailure, TrainingDiverged, TrainingStopped, UserError
from jaxgan.runs import registry
from jaxgan.runs.run import train_entry
from jaxgan.training import monitor, trainer
from jaxgan.training.devices import Devices
from jaxgan.training.experiment import PERIOD_FIELDS
from jaxgan.training.metric_log import read_log

RING = "r3gan/ring"
PERIODS = (*PERIOD_FIELDS, "log_every")
TIMEOUT = 300  # seconds, for child processes: many times what they take


def train(workdir, name=RING, devices=1, **settings):
    return train_entry(*short_run(name, **settings), workdir, devices)


@pytest.fixture
def start_training(start_process, tmp_path, monkeypatch):
    """Starts `train r3gan/ring` in a process, for longer than any test takes, and waits for its first checkpoint."""
    monkeypatch.setattr(monitor, "EVALUATION_SAMPLES", 2_000)  # As in the process, whose log is compared with ours.

    def start(wait=True):
        periods = [f"--{name.replace('_', '-')}=20" for name in PERIODS]
        options = ["--workdir", str(tmp_path / "run"), "--devices=1", "--steps=10000000", *periods]
        process = start_process([sys.executable, "-m", "jaxgan", "train", RING, *options])
        deadline = time.time() + TIMEOUT
        while wait and not list((tmp_path / "run").glob("checkpoints/[0-9]*0")) and time.time() < deadline:
            assert process.poll() is None, process.communicate()[1]
            time.sleep(0.05)
        return process

    return start


def train_with_defaults(steps, workdir):
    """Trains as `start_training` does, in this process."""
    config = dataclasses.replace(registry.get(RING).config, **dict.fromkeys(PERIODS, 20), steps=steps)
    return train_entry(registry.get(RING), config, workdir, 1)


def assert_continues(tmp_path, steps):
    """Asserts that the run in tmp_path/run continues to the state of a run that was never stopped."""
    whole, run = (train_with_defaults(steps, tmp_path / name) for name in ("whole", "run"))
    assert_same(run, whole)


def assert_same(run, whole):
    """Asserts that two runs have the same state, and but for seconds the same log, previews and evaluations."""
    chex.assert_trees_all_equal(run.state, whole.state)
    for log in zip(*(read_log(each.workdir / "metrics.jsonl") for each in (run, whole)), strict=True):
        first, second = ({**record, "seconds": None} for record in log)
        assert first == second
    first, second = (sorted((each.workdir / "samples").iterdir()) for each in (run, whole))
    assert [path.name for path in first] == [path.name for path in second]
    assert all(a.read_bytes() == b.read_bytes() for a, b in zip(first, second, strict=True))


def test_sigterm_saves_and_the_run_continues(tmp_path, start_training):
    process = start_training()
    process.send_signal(signal.SIGTERM)
    _, stderr = process.communicate(timeout=TIMEOUT)
    assert process.returncode == 128 + signal.SIGTERM
    assert "stopped by SIGTERM and saved at step" in stderr
    stopped = jaxgan.load(tmp_path / "run")
    chex.assert_trees_all_equal(train_with_defaults(stopped.step, tmp_path / "whole").state, stopped.state)
    assert_continues(tmp_path, stopped.step + 25)


def test_sigkill_during_a_save_loses_only_steps_that_were_not_saved(tmp_path, start_training):
    process = start_training()
    deadline = time.time() + TIMEOUT
    while not list(tmp_path.glob("run/checkpoints/*tmp*")) and time.time() < deadline:
        pass
    process.kill()
    process.communicate()
    assert_continues(tmp_path, jaxgan.load(tmp_path / "run").step + 25)
    assert not list(tmp_path.glob("run/checkpoints/*tmp*"))


def test_a_checkpoint_is_due_after_some_time_whatever_the_period(tmp_path, monkeypatch):
    monkeypatch.setattr(trainer, "SAVE_SECONDS", 0.0)
    train(tmp_path, log_every=2, sample_every=10, evaluate_every=10, save_every=10)
    assert {path.name for path in (tmp_path / "checkpoints").glob("[0-9]*")} == {"6", "8", "10"}


def test_a_second_trainer_is_refused(start_training):
    start_training()
    second = start_training(wait=False)
    _, stderr = second.communicate(timeout=TIMEOUT)
    assert second.returncode == 2
    assert "another trainer is running in" in stderr


@pytest.fixture
def send_signals(monkeypatch):
    """Sends this process signals during the dispatch that reaches step 7, which is a period of no setting."""

    def send(*signals):
        make_dispatch = trainer.make_dispatch

        def make(*args):
            dispatch = make_dispatch(*args)

            def dispatch_and_send(carry, step, end):
                carry, step = dispatch(carry, step, min(end, 7) if step < 7 else end)
                if step == 7:
                    for number in signals:
                        signal.raise_signal(number)
                return carry, step

            return dispatch_and_send

        monkeypatch.setattr(trainer, "make_dispatch", make)

    return send


@pytest.mark.parametrize(
    ("signals", "error", "saved"),
    [
        ([signal.SIGTERM], TrainingStopped, 7),
        ([signal.SIGINT], TrainingStopped, 7),
        ([signal.SIGINT, signal.SIGINT], KeyboardInterrupt, 5),  # The second one does not wait for a save.
        ([signal.SIGTERM, signal.SIGINT], KeyboardInterrupt, 5),
    ],
)
def test_a_run_that_was_stopped_by_a_signal_resumes(tmp_path, send_signals, monkeypatch, signals, error, saved):
    handlers = [signal.getsignal(number) for number in signals]
    with monkeypatch.context() as patch:
        patch.setattr(trainer, "make_dispatch", trainer.make_dispatch)  # Restored on leaving this block.
        send_signals(*signals)
        with pytest.raises(error) as raised:
            train(tmp_path / "run")
    if error is TrainingStopped:
        assert raised.value.exit_code == 128 + signals[0]
    assert [signal.getsignal(number) for number in signals] == handlers
    assert jaxgan.load(tmp_path / "run").step == saved
    assert_same(train(tmp_path / "run"), train(tmp_path / "whole"))


@pytest.mark.parametrize("seeds", [1, 2])
def test_a_stop_between_lines_of_the_log_leaves_no_trace(tmp_path, send_signals, monkeypatch, seeds):
    settings = {"seeds": seeds, "log_every": 10, **dict.fromkeys(PERIOD_FIELDS, 20), "steps": 30}
    with monkeypatch.context() as patch:
        patch.setattr(trainer, "make_dispatch", trainer.make_dispatch)
        send_signals(signal.SIGTERM)
        with pytest.raises(TrainingStopped, match="saved at step 7"):
            train(tmp_path / "run", **settings)
    assert not read_log(tmp_path / "run" / "metrics.jsonl")
    assert not list((tmp_path / "run" / "samples").iterdir())
    assert_same(train(tmp_path / "run", **settings), train(tmp_path / "whole", **settings))


def test_losses_beyond_a_bound_are_warned_about_once(tmp_path):
    with pytest.warns(UserWarning, match="d/loss is .*beyond 1e.06: the run has probably diverged") as warned:
        train(tmp_path, gamma=1e30)
    assert len(warned) == 1


@pytest.mark.parametrize("devices", [1, 2])
def test_a_run_of_eight_devices_resumes_on_fewer(tmp_path, devices):
    entry, config = short_run("wgan_gp/digits_conv")
    entry = with_sgd(entry)
    half = dataclasses.replace(config, steps=5)
    train_entry(entry, half, tmp_path / "moved", 8)
    whole = train_entry(entry, config, tmp_path / "whole", 8)
    moved = train_entry(entry, config, tmp_path / "moved", devices)
    chex.assert_trees_all_close(moved.state, whole.state, atol=1e-5)


def test_a_run_of_pmap_resumes_with_shard_map(tmp_path):
    train(tmp_path, "minimax/digits", Devices.all(4, "pmap"), steps=5)
    run = train(tmp_path, "minimax/digits", Devices.all(4))
    chex.assert_trees_all_equal(run.state.params, jaxgan.load(tmp_path).state.params)


def diverge_at(step):
    """Returns a function that makes the generator's loss of a game infinite from a step on."""

    def change(game):
        d, g = game.phases

        def loss(state, batch, key):
            value, aux = g.loss(state, batch, key)
            return jnp.where(state.step >= step, jnp.inf, value), aux

        return dataclasses.replace(game, phases=(d, dataclasses.replace(g, loss=loss)))

    return change


@pytest.mark.parametrize("seeds", [1, 2])
def test_a_run_that_diverges_stops_with_the_loss_and_the_step(tmp_path, seeds):
    entry, config = short_run(RING, steps=20, seeds=seeds)
    with pytest.raises(TrainingDiverged, match=rf"g/loss is not finite at step 12; .* is {tmp_path}/checkpoints/10"):
        train_entry(with_game(entry, diverge_at(12)), config, tmp_path, 1)
    assert TrainingDiverged.exit_code == 3
    assert jaxgan.load(tmp_path).step == 10


def test_another_config_is_refused_and_its_differences_are_listed(tmp_path):
    train(tmp_path)
    before = (tmp_path / "config.json").read_bytes()
    with pytest.raises(UserError, match=r"gamma is 0.4 there and 0.8 here, .*seed|seed is 0 there and 1 here, .*gamma"):
        train(tmp_path, gamma=0.8, seed=1)
    with pytest.raises(UserError, match="holds a run of r3gan/ring; choose another --workdir for minimax/ring"):
        train(tmp_path, "minimax/ring")
    assert (tmp_path / "config.json").read_bytes() == before


def test_a_finished_run_is_not_changed(tmp_path):
    chex.assert_trees_all_equal(train(tmp_path).state, train(tmp_path).state)
    assert [record["step"] for record in read_log(tmp_path / "metrics.jsonl")] == [5, 10]


def test_logs_and_previews_do_not_influence_training(tmp_path):
    seldom = train(tmp_path / "seldom", sample_every=10, evaluate_every=10)
    often = train(tmp_path / "often", **dict.fromkeys(PERIODS, 1))
    chex.assert_trees_all_equal(seldom.state, often.state)


def test_a_work_directory_holds_config_log_previews_and_checkpoints(tmp_path):
    run = train(tmp_path, "minimax/digits", seeds=2)
    config = json.loads((tmp_path / "config.json").read_text())
    assert config["name"] == "minimax/digits"
    assert config["config"]["seeds"] == 2
    assert {"jax", "flax", "optax", "python"} <= set(config["versions"])
    records = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [record["step"] for record in records] == [5, 10]
    assert all({"images", "seconds", "d/loss", "g/loss"} <= set(record) for record in records)
    assert len(records[0]["d/loss"]["seeds"]) == 2
    assert max(path.name for path in (tmp_path / "samples").iterdir()) == "00000010-seed1.png"
    assert list(tmp_path.glob("events*"))
    loaded = jaxgan.load(tmp_path)
    for member in (0, 1):
        samples = loaded.sample(70, seed=3, member=member)
        assert samples.shape == (70, 8, 8, 1)
        assert samples.dtype == np.uint8
        np.testing.assert_array_equal(samples, run.sample(70, seed=3, member=member))
        np.testing.assert_array_equal(samples[:5], loaded.sample(5, seed=3, member=member))
    assert (loaded.sample(5, member=0) != loaded.sample(5, member=1)).any()


@pytest.fixture
def compilation_cache_off():
    """Keeps programs out of the compilation cache: the limit would cut them, and other tests read them."""
    seconds = jax.config.jax_persistent_cache_min_compile_time_secs
    jax.config.update("jax_persistent_cache_min_compile_time_secs", float("inf"))
    yield
    jax.config.update("jax_persistent_cache_min_compile_time_secs", seconds)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # Orbax abandons its writers.
@pytest.mark.parametrize("file_limit", [20_000, 200_000])  # bytes: too few for a preview, or for a checkpoint
def test_a_full_disk_is_a_system_failure_and_loses_nothing(tmp_path, file_limit, compilation_cache_off):
    first = train(tmp_path, width=512)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    message = rf"could not write .*the last good checkpoint is {tmp_path}/checkpoints/10"
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (file_limit, hard))
        with pytest.raises(SystemFailure, match=message):
            train(tmp_path, width=512, steps=20)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    chex.assert_trees_all_equal(jaxgan.load(tmp_path).state, first.state)


def test_data_that_cannot_be_read_are_found_before_anything_is_compiled_or_written(tmp_path, monkeypatch):
    def read_slowly():
        time.sleep(1.2)  # Longer than a start that compiles in the meantime would wait.
        raise UserError("the images of the pair c have unequal sizes")

    def build(config):
        experiment = registry.get(RING).build(config)
        return dataclasses.replace(experiment, source=sources.arrays(read_slowly, config.batch_size))

    entry, config = short_run(RING)
    monkeypatch.setattr(Devices, "init_replicated", lambda *args: pytest.fail("compiled"))
    with pytest.raises(UserError, match="unequal sizes"):
        train_entry(dataclasses.replace(entry, build=build), config, tmp_path / "run", 1)
    assert not (tmp_path / "run").exists()


def test_a_work_directory_that_cannot_be_written_is_a_user_error(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="cannot write to the work directory"):
        train(tmp_path / "file" / "run")


@pytest.mark.parametrize(("batch_size", "nearest"), [(4, "8"), (12, "8 or 16")])
def test_a_batch_that_does_not_divide_is_refused_with_sizes_that_do(tmp_path, batch_size, nearest):
    with pytest.raises(UserError, match=f"does not divide over 8 devices; use {nearest}"):
        train(tmp_path, batch_size=batch_size, devices=8)


def test_a_profile_contains_steps_and_the_work_between_them(tmp_path):
    train_entry(*short_run(RING), tmp_path, 1, profile=True)
    (trace,) = tmp_path.glob("profile/**/perfetto_trace.json.gz")
    events = gzip.decompress(trace.read_bytes()).decode()
    assert all(name in events for name in ("run_steps", "report", "save"))
