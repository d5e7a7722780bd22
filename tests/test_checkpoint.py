"""A checkpoint is restored only if its checksums match; otherwise the one before it is."""

import dataclasses
import itertools
import os
import shutil
import threading
import time

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxgan.core.game import TrainState
from jaxgan.errors import SystemFailure, UserError
from jaxgan.training.checkpoint import Checkpoints
from jaxgan.training.workdir import Identity


def state_at(step):
    normal = lambda i, *shape: jax.random.normal(jax.random.key(step + i), shape)
    params = {"generator": {"kernel": normal(0, 64, 64)}, "discriminator": {"kernel": normal(1, 64)}}
    return TrainState(jnp.int32(step), params, {}, {"generator": normal(2, 64, 64)}, {"generator": normal(3, 3)})


SHAPES = jax.eval_shape(lambda: state_at(0))


@pytest.fixture
def written(tmp_path):
    checkpoints = Checkpoints(tmp_path / "checkpoints")
    for step in (10, 20, 30):
        checkpoints.save(state_at(step))
    checkpoints.close()
    return tmp_path / "checkpoints"


def files_by_size(folder):
    return sorted((p for p in folder.rglob("*") if p.is_file()), key=lambda p: p.stat().st_size)


def flip_bit(folder):
    path = files_by_size(folder)[-1]
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0x10
    path.write_bytes(data)


def truncate(folder):
    path = files_by_size(folder)[-1]
    os.truncate(path, path.stat().st_size // 2)


def delete(folder):
    files_by_size(folder)[-1].unlink()


def delete_checksums(folder):
    shutil.rmtree(folder / "meta")


def test_the_newest_state_is_restored(written):
    chex.assert_trees_all_equal(Checkpoints(written).restore(SHAPES).state, state_at(30), strict=True)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # Orbax abandons its readers.
@pytest.mark.parametrize(
    ("damage", "reason"),
    [(flip_bit, "the checksum of|reading"), (truncate, "reading"), (delete, "reading"), (delete_checksums, "meta")],
)
def test_a_damaged_checkpoint_is_set_aside_and_the_one_before_it_restored(written, damage, reason):
    damage(written / "30")
    checkpoints = Checkpoints(written)
    with pytest.warns(UserWarning, match=rf"{written}/30 is damaged and was skipped: .*({reason})"):
        restored = checkpoints.restore(SHAPES, set_aside=True)
    chex.assert_trees_all_equal(restored.state, state_at(20))
    assert checkpoints.steps() == [10, 20]
    checkpoints.save(state_at(30))  # The run takes these steps again and can write them again.
    checkpoints.close()
    chex.assert_trees_all_equal(Checkpoints(written).restore(SHAPES).state, state_at(30))
    assert len(list((written.parent / "set_aside").iterdir())) == 1


@pytest.fixture
def of_runs(tmp_path):
    """Checkpoints at steps 10 and 20 of two runs that differ in one setting, and a function that opens them."""
    fields = {"config": {"gamma": 1.0}, "hash": "1", "versions": {"jax": "0"}}
    identities = {"one": Identity("test/run", **fields), "two": Identity("test/run", **fields)._replace(config={})}
    open_run = lambda name, **options: Checkpoints(tmp_path / name / "steps", identity=identities[name], **options)
    for name in identities:
        checkpoints = open_run(name)
        for step in (10, 20):
            checkpoints.save(state_at(step), {"of": name})
        checkpoints.close()
    return open_run


def test_a_checkpoint_of_another_run_or_step_is_not_restored(of_runs, tmp_path):
    shutil.copytree(tmp_path / "two/steps/20", tmp_path / "one/steps/30")
    shutil.copytree(tmp_path / "one/steps/10", tmp_path / "one/steps/40")
    with pytest.warns(UserWarning, match="does not belong here") as warned:
        restored = of_runs("one").restore(SHAPES, set_aside=True)
    chex.assert_trees_all_equal(restored.state, state_at(20))
    assert restored.partial_sums == {"of": "one"}
    assert restored.versions == {"jax": "0"}
    first, second = (str(warning.message) for warning in warned)
    assert "40 does not belong here and was skipped: it is of step 10" in first
    assert "30 does not belong here and was skipped: it is of step 20" in second
    os.replace(tmp_path / "two/steps/20", tmp_path / "one/steps/20.new")
    shutil.rmtree(tmp_path / "one/steps/20")
    os.replace(tmp_path / "one/steps/20.new", tmp_path / "one/steps/20")
    with pytest.warns(UserWarning, match="20 does not belong here and was skipped: gamma is None there and 1.0 here"):
        assert int(of_runs("one").restore(SHAPES).state.step) == 10


def test_settings_or_networks_that_do_not_fit_the_checkpoints_are_called_that(of_runs, tmp_path):
    shutil.rmtree(tmp_path / "one/steps")
    os.replace(tmp_path / "two/steps", tmp_path / "one/steps")
    with pytest.raises(UserError, match=r"do not belong to .*one/config.json: gamma is None there and 1.0 here"):
        of_runs("one").restore(SHAPES)
    wider = dataclasses.replace(SHAPES, params={**SHAPES.params, "generator": {"kernel": jnp.ones([2])}})
    with pytest.raises(UserError, match=r"other networks .* params/generator/kernel is float32\[64, 64\] there and"):
        Checkpoints(tmp_path / "one/steps").restore(wider)
    assert sorted(path.name for path in (tmp_path / "one/steps").iterdir()) == ["10", "20"]


def test_damaged_metadata_are_found(written):
    path = written / "30" / "meta" / "metadata"
    path.write_text(path.read_text().replace("partial_sums", "partial_suns"))
    with pytest.warns(UserWarning, match="30 is damaged and was skipped: the checksum of its metadata"):
        chex.assert_trees_all_equal(Checkpoints(written).restore(SHAPES).state, state_at(20))


def test_a_disk_without_room_is_found_before_a_save(tmp_path, monkeypatch):
    checkpoints = Checkpoints(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(100, 90, 10))
    with pytest.raises(SystemFailure, match=r"step 10: it takes 0.0 MB and the disk has 0.0 MB left; there is no"):
        checkpoints.save(state_at(10))


def test_readers_beside_a_trainer_that_replaces_checkpoints_find_the_newest(tmp_path):
    trainer, stop, newest = Checkpoints(tmp_path), threading.Event(), []

    def save():
        for step in itertools.count(1):
            if stop.is_set():
                return
            trainer.save(state_at(step))
            trainer.wait()
            newest.append(step)

    thread = threading.Thread(target=save)
    thread.start()
    try:
        while len(newest) < 3:
            time.sleep(0.01)
        for _ in range(30):
            before = newest[-1]
            restored = Checkpoints(tmp_path, read_only=True).restore(SHAPES).state
            assert int(restored.step) >= before
            chex.assert_trees_all_equal(restored, state_at(int(restored.step)))
    finally:
        stop.set()
        thread.join()


def test_if_all_checkpoints_are_damaged_nothing_is_moved(written):
    for step in ("10", "20", "30"):
        flip_bit(written / step)
    before = {path: path.read_bytes() for path in files_by_size(written)}
    with pytest.warns(UserWarning, match="damaged"), pytest.raises(SystemFailure, match="no good checkpoint is left"):
        Checkpoints(written).restore(SHAPES, set_aside=True)
    assert before == {path: path.read_bytes() for path in files_by_size(written)}


def test_a_read_only_restore_moves_nothing(written):
    flip_bit(written / "30")
    with pytest.warns(UserWarning, match="damaged"):
        restored = Checkpoints(written, read_only=True).restore(SHAPES)
    chex.assert_trees_all_equal(restored.state, state_at(20))
    assert (written / "30").exists()


def test_the_newest_three_are_kept(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    for step in range(10, 70, 10):
        checkpoints.save(state_at(step))
    checkpoints.wait()
    assert checkpoints.steps() == [40, 50, 60]


def test_given_steps_are_never_removed(tmp_path):
    checkpoints = Checkpoints(tmp_path, keep=[20])
    for step in range(10, 70, 10):
        checkpoints.save(state_at(step))
    checkpoints.wait()
    assert checkpoints.steps() == [20, 40, 50, 60]
    chex.assert_trees_all_equal(checkpoints.restore_step(20, SHAPES).state, state_at(20))
    with pytest.raises(SystemFailure, match=f"{tmp_path}/30 cannot be read"):
        checkpoints.restore_step(30, SHAPES)


def test_a_saved_state_can_be_donated_at_once(tmp_path):
    checkpoints, add = Checkpoints(tmp_path), jax.jit(lambda x: x + 1, donate_argnums=0)
    state = {"kernel": jnp.arange(2_000_000.0)}
    checkpoints.save(TrainState(jnp.int32(1), state, {}, {}, {}))
    changed = add(state["kernel"])
    checkpoints.close()
    shapes = TrainState(SHAPES.step, {"kernel": jax.eval_shape(lambda: changed)}, {}, {}, {})
    restored = Checkpoints(tmp_path).restore(shapes)
    np.testing.assert_array_equal(restored.state.params["kernel"], np.arange(2_000_000.0))
