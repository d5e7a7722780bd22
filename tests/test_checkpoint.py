"""A checkpoint is restored only if its checksums match; otherwise the one before it is."""

import os
import shutil

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxgan.core.game import TrainState
from jaxgan.errors import SystemFailure
from jaxgan.training.checkpoint import Checkpoints


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
