"""A run that starts from the weights of another one, and parameters that do not train."""

import json
import shutil

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from helpers import short_run

import jaxgan
from jaxgan.core import optim
from jaxgan.errors import SystemFailure, UserError
from jaxgan.runs.run import train_entry

KERNEL = "discriminator/Dense_0"


def train(workdir, name="r3gan/ring", **settings):
    return train_entry(*short_run(name, **{"width": 8, **settings}), workdir, 1)


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """A run at step 10 with checkpoints at 5 and 10."""
    return train(tmp_path_factory.mktemp("source"))


def test_frozen_parameters_stay_and_the_others_move_as_without_them():
    params = {"d": {"a": jnp.array([1.0, 2.0]), "b": jnp.array([3.0])}}
    optimizer = optax.adamw(0.1, weight_decay=0.5)
    frozen = optim.freeze(optimizer, lambda path: path.startswith("d/a"))
    grads = jax.tree.map(jnp.ones_like, params)
    with jax.numpy_dtype_promotion("standard"):  # optax raises decay rates to integer powers.
        updates, _ = frozen.update(grads, frozen.init(params), params)
        expected, _ = optimizer.update(grads, optimizer.init(params), params)
    np.testing.assert_array_equal(updates["d"]["a"], 0.0)
    np.testing.assert_array_equal(updates["d"]["b"], expected["d"]["b"])


def test_a_run_starts_from_the_weights_of_another(source, tmp_path, capsys):
    run = train(tmp_path / "run", start_from=str(source.workdir), start_step=5, freeze=(KERNEL, "generator"))
    assert "starting from step 5 of" in capsys.readouterr().err
    (before,) = jaxgan.runs.run.load_steps(source.workdir, source.entry, source.config, [5])
    params = run.state.params
    chex.assert_trees_all_equal(params["generator"], before.state.params["generator"])
    old = before.state.params["discriminator"]
    chex.assert_trees_all_equal(params["discriminator"]["Dense_0"], old["Dense_0"])
    assert (params["discriminator"]["Dense_1"]["kernel"] != old["Dense_1"]["kernel"]).any()
    record = json.loads((tmp_path / "run" / "config.json").read_text())
    assert record["config"]["start_step"] == 5
    assert record["start"] | {"hash": ""} == {
        "run": str(source.workdir),
        "name": "r3gan/ring",
        "step": 5,
        "hash": "",
        "taken": ["discriminator", "generator"],
        "fresh": [],
    }
    with pytest.raises(UserError, match=r"freeze is .* there and .* here"):
        train(tmp_path / "run", start_from=str(source.workdir), start_step=5)


def test_the_newest_step_is_recorded_and_the_run_goes_on_without_its_source(source, tmp_path):
    copy = shutil.copytree(source.workdir, tmp_path / "source")
    first = train(tmp_path / "run", start_from=str(copy), steps=5)
    assert first.config.start_step == 10
    shutil.rmtree(tmp_path / "run" / "checkpoints" / "5")  # As if it had been killed before its first save.
    chex.assert_trees_all_equal(train(tmp_path / "run", start_from=str(copy), steps=5).state, first.state)
    shutil.rmtree(copy)
    run = train(tmp_path / "run", start_from=str(copy))
    assert (run.step, run.config.start_step) == (10, 10)
    again = jaxgan.train("r3gan/ring", workdir=tmp_path / "run", steps=15)
    assert again.step == 15
    assert json.loads((tmp_path / "run" / "config.json").read_text())["start"]["step"] == 10


def test_networks_that_do_not_match_are_fresh(source, tmp_path, capsys):
    train(tmp_path / "run", "r3gan/grid", start_from=str(source.workdir), steps=5, latent=3)
    assert "discriminator; fresh: generator" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"width": 16}, UserError, "no network of r3gan/ring in .* has the name and shape of one of r3gan/ring"),
        ({"seeds": 2}, UserError, "has 1 seed.*start from it with --seeds 1"),
        ({"start_step": 7}, SystemFailure, "7 cannot be read"),
        ({"start_from": "nowhere"}, UserError, "nowhere does not exist"),
        ({"freeze": ("discriminator/Dense_9",)}, UserError, "no parameter 'discriminator/Dense_9'; did you mean"),
    ],
)
def test_a_start_that_is_not_possible_is_refused_before_anything_is_written(source, tmp_path, settings, error, message):
    with pytest.raises(error, match=message):
        train(tmp_path / "run", **{"start_from": str(source.workdir), **settings})
    assert not (tmp_path / "run").exists()
