"""A checkpoint is trusted only after a check."""

import os
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import same

from jaxgan.checkpoint import Checkpoints
from jaxgan.errors import Failed
from jaxgan.game import TrainState


def state_at(step):
    normal = lambda i, *shape: jax.random.normal(jax.random.key(step + i), shape)
    params = {"generator": {"kernel": normal(0, 64, 64)}, "discriminator": {"kernel": normal(1, 64)}}
    return TrainState(jnp.int32(step), params, {}, {"generator": normal(2, 64, 64)}, {"generator": normal(3, 3)})


LIKE = jax.eval_shape(lambda: state_at(0))


@pytest.fixture
def written(tmp_path):
    checkpoints = Checkpoints(tmp_path / "checkpoints")
    for step in (10, 20, 30):
        checkpoints.save(state_at(step))
    checkpoints.close()
    return tmp_path / "checkpoints"


def files(folder):
    return sorted((p for p in folder.rglob("*") if p.is_file()), key=lambda p: p.stat().st_size)


def flip(folder):
    path = files(folder)[-1]
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0x10
    path.write_bytes(data)


def truncate(folder):
    os.truncate(files(folder)[-1], files(folder)[-1].stat().st_size // 2)


def delete(folder):
    files(folder)[-1].unlink()


def forget(folder):
    shutil.rmtree(folder / "meta")


def test_what_is_read_is_what_was_written(written):
    restored = Checkpoints(written).restore(LIKE)
    assert same(restored, state_at(30))


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # Readers that Orbax gives up on.
@pytest.mark.parametrize(
    ("damage", "named"),
    [(flip, "the checksum of|reading"), (truncate, "reading"), (delete, "reading"), (forget, "meta")],
)
def test_a_damaged_checkpoint_gives_way_to_the_one_before(written, damage, named):
    damage(written / "30")
    checkpoints = Checkpoints(written)
    with pytest.warns(UserWarning, match=rf"{written}/30 is damaged and not used: .*{named}"):
        restored = checkpoints.restore(LIKE, set_aside=True)
    assert same(restored, state_at(20))
    assert checkpoints.steps() == [10, 20]
    checkpoints.save(state_at(30))  # The run plays these steps again, and may write them again.
    checkpoints.close()
    assert same(Checkpoints(written).restore(LIKE), state_at(30))
    assert len(list((written.parent / "damaged").iterdir())) == 1


def test_with_no_good_checkpoint_left_nothing_is_touched(written):
    for step in ("10", "20", "30"):
        flip(written / step)
    before = {path: path.read_bytes() for path in files(written)}
    with pytest.warns(UserWarning, match="damaged"), pytest.raises(Failed, match="no good checkpoint is left"):
        Checkpoints(written).restore(LIKE, set_aside=True)
    assert before == {path: path.read_bytes() for path in files(written)}


def test_reading_moves_nothing(written):
    flip(written / "30")
    with pytest.warns(UserWarning, match="damaged"):
        restored = Checkpoints(written, read_only=True).restore(LIKE)
    assert same(restored, state_at(20))
    assert (written / "30").exists()


def test_the_newest_are_kept(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    for step in range(10, 70, 10):
        checkpoints.save(state_at(step))
    checkpoints.wait()
    assert checkpoints.steps() == [40, 50, 60]


def test_a_state_may_change_as_soon_as_it_is_given(tmp_path):
    checkpoints, add = Checkpoints(tmp_path), jax.jit(lambda x: x + 1, donate_argnums=0)
    state = {"kernel": jnp.arange(2_000_000.0)}
    checkpoints.save(TrainState(jnp.int32(1), state, {}, {}, {}))
    state = add(state["kernel"])
    checkpoints.close()
    restored = Checkpoints(tmp_path).restore(
        TrainState(LIKE.step, {"kernel": jax.eval_shape(lambda: state)}, {}, {}, {})
    )
    np.testing.assert_array_equal(restored.params["kernel"], np.arange(2_000_000.0))
