"""The report of a run, records of its metrics, and evaluations during training, with several seeds."""

import dataclasses
import json
import re

import chex
import numpy as np
import pytest
from helpers import short_run

import launch
from jaxgan.data.digits import digits
from jaxgan.errors import UserError
from jaxgan.evaluate import classifier, metrics
from jaxgan.evaluate.reference import ReferenceSet
from jaxgan.io import json_files
from jaxgan.reports import run_report
from jaxgan.runs import records, registry
from jaxgan.runs.run import train_entry
from jaxgan.training import monitor
from jaxgan.training.devices import Devices
from jaxgan.training.metric_log import read_log

SEEDS = 2


def load_digits(split):
    return digits()


def with_metrics(entry):
    """Returns the entry with named metrics during training."""

    def build(config):
        measure = metrics.make_evaluator(("fd", "prdc", "balance"), load_digits)
        evaluate = lambda samples, state: measure(samples)
        return dataclasses.replace(entry.build(config), evaluate=evaluate, data=load_digits)

    return dataclasses.replace(entry, build=build)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        patch.setattr(classifier, "RECIPE", dataclasses.replace(classifier.RECIPE, images=5_000))
        entry, config = short_run("r3gan/digits", seeds=SEEDS)
        yield train_entry(with_metrics(entry), config, tmp_path_factory.mktemp("run"), Devices.all(1))


def test_evaluations_do_not_change_training(run, tmp_path):
    entry, config = short_run("r3gan/digits", seeds=SEEDS, evaluate_every=1_000)
    plain = train_entry(entry, config, tmp_path, Devices.all(1))
    chex.assert_trees_all_equal(plain.state, run.state)
    log, plain_log = (read_log(each.workdir / "metrics.jsonl") for each in (run, plain))
    assert "eval/fd_digits" in log[0]
    assert "eval/classes" not in plain_log[0]
    assert log[0]["d/loss"] == plain_log[0]["d/loss"]


def test_the_protocols_of_the_evaluations_are_in_the_work_directory(run):
    protocols = json.loads((run.workdir / "evaluator.json").read_text())
    first_line = read_log(run.workdir / "metrics.jsonl")[0]
    assert {f"eval/{name}" for name in protocols} == {name for name in first_line if "eval/" in name}
    assert protocols["fd_digits"]["n_fake"] == monitor.EVALUATION_SAMPLES
    assert {"evaluator", "weights", "accuracy", "data", "n_real"} <= protocols["fd_digits"].keys()


def test_each_metric_has_a_record_and_the_page_shows_everything(run):
    measured, pictures = records.measure(run, ("fd", "neighbours"), ReferenceSet(load_digits), 300)
    names = ["fd_digits", "neighbour_ratio", "copied", "copied_of_training_images"]
    assert [record["metric"] for record in measured] == names
    assert list(pictures) == ["neighbours"]
    protocol = {"evaluator", "n_real", "n_fake", "data", "sample_seed", "step", "name", "hash", "seed", "seeds"}
    protocol |= {"versions", "git", "hardware", "date"}
    for record in measured:
        json.dumps(record, allow_nan=False)
        assert protocol <= record.keys()
        assert len(record["value"]["seeds"]) == SEEDS
        assert record["value"]["median"] == np.median(record["value"]["seeds"])
    file = run.workdir / "evaluations.jsonl"
    file.write_text("".join(json.dumps(record) + "\n" for record in [run.evaluate(200), *measured]))
    pictures["neighbours"].save(run.workdir / "neighbours.png")

    page = run_report.write(run.workdir, run.workdir).read_text()
    assert not re.search(r'(src|href)="(?!data:|#)', page)  # The page refers to no other file.
    assert "&lt;img" not in page
    logged = [name for name in read_log(run.workdir / "metrics.jsonl")[-1] if "/" in name]
    assert all(name in page for name in logged)
    assert page.count("<figcaption>") == 3  # samples at steps 5 and 10, and neighbours
    assert all(name in page for name in (*names, "batch_size", run.entry.paper.split(",")[0]))
    assert f"{SEEDS} seeds)" in page
    assert measured[0]["weights"][:8] in page


def test_text_is_escaped(run, monkeypatch):
    entry = dataclasses.replace(run.entry, shows="<b>1 < 2</b>")
    monkeypatch.setattr(run_report, "read_config", lambda workdir: (entry, run.config))
    page = run_report.write(run.workdir, run.workdir / "escaped").read_text()
    assert "&lt;b&gt;1 &lt; 2&lt;/b&gt;" in page


def test_the_command_line_measures_named_metrics(run, capsys, monkeypatch):
    monkeypatch.setitem(registry._register, run.entry.name, run.entry)
    file = run.workdir / "evaluations.jsonl"
    before = len(json_files.read_lines(file))
    command = ["evaluate", str(run.workdir), "--metrics", "fd", "neighbours", "--samples", "200", "--reals", "500"]
    assert launch.main(command) == 0
    output = capsys.readouterr().out
    assert "classifier of digits" in output
    assert "500 reals" in output
    assert str(run.workdir / "neighbours.png") in output
    assert launch.main([*command, "--json"]) == 0
    measured = json.loads(capsys.readouterr().out)
    assert measured == json_files.read_lines(file)[before + 4 :]
    assert [record["n_real"] for record in measured if record["metric"] == "fd_digits"] == [500]


def test_points_have_no_image_metrics_and_a_run_without_a_log_no_report(tmp_path):
    entry, config = short_run("r3gan/ring")
    ring = train_entry(entry, config, tmp_path, Devices.all(1))
    with pytest.raises(UserError, match="r3gan/ring generates points"):
        records.measure(ring, ("fd",), ReferenceSet(None), 10)
    assert "eval/covered" in run_report.write(tmp_path, tmp_path / "page").read_text()
    (tmp_path / "metrics.jsonl").unlink()
    with pytest.raises(UserError, match="has no metrics yet"):
        run_report.write(tmp_path, tmp_path)
