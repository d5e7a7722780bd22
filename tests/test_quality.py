"""Training reaches what the documentation says. Each run takes less than half a minute on two quiet cores."""

import dataclasses
import os
import sys

import pytest

import jaxgan
from experiments.figures import unrolled
from jaxgan.errors import UserError
from jaxgan.runs.run import train_entry
from jaxgan.training.experiment import PERIOD_FIELDS
from jaxgan.training.metric_log import read_log


def last_record(start_process, workdir, name, steps, *options):
    """Trains in a process of its own, with XLA's optimisations and one device, and returns the last line of the log."""
    periods = [f"--{field.replace('_', '-')}={steps}" for field in ("steps", "log_every", *PERIOD_FIELDS)]
    command = [sys.executable, "-m", "jaxgan", "train", name, "--workdir", str(workdir), *periods, *options]
    process = start_process(command, env=os.environ | {"XLA_FLAGS": ""})
    _, stderr = process.communicate(timeout=1_200)
    assert process.returncode == 0, stderr
    return read_log(workdir / "metrics.jsonl")[-1]


def test_the_demonstration_of_the_readme_reaches_ten_classes(tmp_path, start_process):
    assert last_record(start_process, tmp_path, "r3gan/digits", 4_000)["eval/classes"] == 10


@pytest.mark.parametrize(
    ("name", "steps", "options"), [("r3gan/ring", 8_000, []), ("wgan_gp/ring", 12_000, ["--n-critic=1"])]
)
def test_eight_modes_of_the_ring_are_covered(tmp_path, start_process, name, steps, options):
    assert last_record(start_process, tmp_path, name, steps, *options)["eval/covered"] == 8


def test_the_original_gan_collapses_in_the_setting_of_the_unrolled_paper(tmp_path):
    steps = dict.fromkeys(("steps", "log_every", *PERIOD_FIELDS), 3_000)
    run = train_entry(unrolled.PLAIN, dataclasses.replace(unrolled.PLAIN.config, **steps), tmp_path, 1)
    assert run.metrics()["eval/covered"][-1] <= 3


def test_runs_from_python(tmp_path):
    run = jaxgan.train("r3gan/ring", workdir=tmp_path, devices=1, steps=50, seeds=2)
    assert run.metrics()["eval/covered"].shape == (1, 2)
    assert run.sample(5, member=1).shape == (5, 2)
    assert "r3gan/ring" in jaxgan.experiments()
    with pytest.raises(UserError, match="no setting 'stpes'; did you mean steps"):
        jaxgan.train("r3gan/ring", stpes=3)
