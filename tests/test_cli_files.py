"""Experiments in files of the user, and the commands that are printed after a run."""

import dataclasses
import json
import re
import shlex
import shutil
import subprocess
import sys

import jax.numpy as jnp
import pytest
from helpers import call_cli

from jaxgan.errors import command_name
from jaxgan.runs import registry
from jaxgan.training.experiment import PERIOD_FIELDS

OWN_EXPERIMENT = """
from jaxgan.core import losses, prng
from jaxgan.data import synthetic
from jaxgan.networks import mlp
from jaxgan.runs import registry, targets
from jaxgan.training.experiment import Config
import optax

@registry.register(
    "mine/ring", Config(), paper="Mine 2026", dataset="a ring", shows="a file of my own", task="2-D", minutes=1
)
def build(config):
    networks = mlp.Generator((2,), 16, depth=1), mlp.Critic(16, depth=1)
    adam = optax.adam(1e-3)
    target = targets.density(synthetic.ring())
    return target.two_player(
        config, *networks, losses.hinge, prng.normal_latent(2), g_optimizer=adam, d_optimizer=adam
    )
"""


def test_an_experiment_in_a_file_outside_the_checkout(tmp_path):
    (tmp_path / "my_experiments.py").write_text(OWN_EXPERIMENT)
    periods = [f"--{name.replace('_', '-')}=5" for name in ("log_every", *PERIOD_FIELDS)]
    train = ["train", "mine/ring", "--steps=10", "--batch-size=16", *periods, "--import", "my_experiments.py"]
    sample = ["sample", "runs/mine/ring", "--n", "4", "--import", "my_experiments.py"]
    outputs = []
    for words in (train, sample):
        command = [sys.executable, "-m", "jaxgan", *words]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=600, check=False)
        assert done.returncode == 0, done.stderr
        outputs.append(done.stdout)
    assert "python -m jaxgan report runs/mine/ring" in outputs[0]
    assert (tmp_path / "runs/mine/ring/samples.png").exists()


def printed_commands(text):
    """Returns the words of every command of this program that a text contains, without the program itself."""
    start = re.escape(command_name())
    return [shlex.split(words) for words in re.findall(rf"{start} ([a-z]+ [^`\n]*)", text)]


@pytest.fixture
def own_file(tmp_path, monkeypatch):
    """A file with experiments, to be imported from the current folder as if by a process of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(registry, "_register", dict(registry.entries()))
    monkeypatch.setattr(registry, "_imported", [])
    monkeypatch.setattr(sys, "path", list(sys.path))
    again = "registry._register.pop('mine/ring', None)"
    (tmp_path / "my experiments.py").write_text(OWN_EXPERIMENT.replace("\n@", f"\n{again}\n@"))
    return ["--import", "my experiments.py"]


@pytest.mark.parametrize("name", ["r3gan/digits", "mine/ring"])
def test_every_command_that_is_printed_after_a_run_with_changed_settings_works(capsys, own_file, name):
    periods = [f"--{period.replace('_', '-')}=5" for period in ("log_every", *PERIOD_FIELDS)]
    changed = ["--width=8", "--gamma=2"] if name == "r3gan/digits" else []
    options = ["--steps=10", "--batch-size=16", "--seed=3", "--workdir", "a run", *changed, *periods, "--devices=1"]
    imports = own_file if name == "mine/ring" else []
    code, out, _ = call_cli(capsys, "train", name, *options, *imports)
    assert code == 0
    commands = printed_commands(out)
    assert [words[0] for words in commands] == ["report", "evaluate", "sample", "train"]
    for words in commands:
        registry._imported.clear()
        code, out, err = call_cli(capsys, *words)
        assert code == 0, err
    assert "is trained to step 20." in out
    code, _, err = call_cli(capsys, "train", name, "--workdir", "a run", "--seed=4", *imports)
    assert code == 2
    assert "holds a run with another config: seed is 3 there and 4 here" in err


def test_the_command_that_is_printed_after_a_divergence_works(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    periods = [f"--{period.replace('_', '-')}=5" for period in ("log_every", *PERIOD_FIELDS)]
    options = ["--steps=20", "--batch-size=16", "--width=8", *periods, "--devices=1", "--workdir", "run"]
    entry = registry.get("r3gan/ring")

    def diverges(config):
        experiment = entry.build(config)
        d, g = experiment.game.phases

        def loss(state, batch, key):
            value, aux = g.loss(state, batch, key)
            return jnp.where(state.step >= stops[0], jnp.inf, value), aux

        return dataclasses.replace(
            experiment,
            game=dataclasses.replace(experiment.game, phases=(d, dataclasses.replace(g, loss=loss))),
        )

    for stop, command in ((12, "--from run --step 10"), (2, "--width 8")):
        stops = [stop]
        with monkeypatch.context() as patch:
            patch.setitem(registry._register, entry.name, dataclasses.replace(entry, build=diverges))
            code, _, err = call_cli(capsys, "train", entry.name, *options)
        assert code == 3
        assert command in err
        (words,) = printed_commands(err)
        code, _, err = call_cli(capsys, *words, "--steps=5")
        assert code == 0, err
        config = json.loads((tmp_path / "run-2/config.json").read_text())["config"]
        assert (config["width"], config["g_lr"]) == (8, entry.config.g_lr / 2)
        for folder in ("run", "run-2"):
            shutil.rmtree(folder)


@pytest.mark.parametrize("text", ["import nothing_of_that_name", None])
def test_a_file_that_cannot_be_imported_is_named(capsys, tmp_path, text):
    path = tmp_path / "broken.py"
    if text:
        path.write_text(text)
    code, _, err = call_cli(capsys, "list", "--import", path)
    assert code == 2
    assert f"--import {path}" in err
