"""Training reaches what the documentation says: each of these runs takes under a minute on two quiet cores."""

import dataclasses

import pytest

import jaxgan
from experiments.figures import unrolled
from jaxgan.runs.run import train_entry


def final(run, name):
    """Returns the last value of a metric in the log."""
    return run.metrics()[f"eval/{name}"][-1]


def periods(steps):
    """Returns settings that log, sample, evaluate and save once, at the end."""
    return dict.fromkeys(("steps", "log_every", "sample_every", "evaluate_every", "save_every"), steps)


def test_the_demonstration_of_the_readme_reaches_ten_classes(tmp_path):
    assert final(jaxgan.train("r3gan/digits", workdir=tmp_path, devices=1, **periods(4_000)), "classes") == 10


@pytest.mark.parametrize(("name", "settings"), [("r3gan/ring", {}), ("wgan_gp/ring", {"n_critic": 1})])
def test_eight_modes_of_the_ring_are_covered(tmp_path, name, settings):
    run = jaxgan.train(name, workdir=tmp_path, devices=1, **periods(10_000), **settings)
    assert final(run, "covered") == 8


def test_the_original_gan_collapses_where_the_paper_says(tmp_path):
    entry = unrolled.PLAIN
    run = train_entry(entry, dataclasses.replace(entry.config, **periods(6_000)), tmp_path, 1)
    assert final(run, "covered") <= 3


def test_several_seeds_from_python(tmp_path):
    run = jaxgan.train("r3gan/ring", workdir=tmp_path, devices=1, steps=500, seeds=2)
    assert run.metrics()["eval/covered"].shape == (1, 2)
    assert run.sample(5, member=1).shape == (5, 2)
    assert "r3gan/ring" in jaxgan.experiments()
    with pytest.raises(jaxgan.errors.UserError, match="no setting 'stpes'; did you mean steps"):
        jaxgan.train("r3gan/ring", stpes=3)
