"""A run on one page: all that it wrote is there, with one seed and with several, while it trains and afterwards."""

import dataclasses
import json
import re

import numpy as np
import pytest
from helpers import same, small

import launch
from jaxgan import registry, run_report
from jaxgan.data.digits import digits
from jaxgan.errors import Problem
from jaxgan.evaluate import measures, records
from jaxgan.evaluate import small as classifiers
from jaxgan.evaluate.reals import Reals
from jaxgan.metrics import read
from jaxgan.parallel import Devices
from jaxgan.train import train

SEEDS = 2


def measured(entry):
    """The entry with measures by name while it trains."""

    def build(config):
        of = lambda split: digits()
        evaluate = measures.during(("fd", "prdc", "balance"), of)
        return dataclasses.replace(entry.build(config), evaluate=evaluate, data=of)

    return dataclasses.replace(entry, build=build)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        patch.setattr(classifiers, "RECIPE", dataclasses.replace(classifiers.RECIPE, images=5_000))
        entry, config = small("r3gan/digits", seeds=SEEDS)
        yield train(measured(entry), config, tmp_path_factory.mktemp("run"), Devices.take(1))


def test_evaluations_do_not_change_the_path(run, tmp_path):
    entry, config = small("r3gan/digits", seeds=SEEDS, evaluate_every=1_000)
    plain = train(entry, config, tmp_path, Devices.take(1))
    assert same(plain.state, run.state)
    often, seldom = (read(one.workdir / "metrics.jsonl") for one in (run, plain))
    assert "eval/fd_digits" in often[0]
    assert "eval/classes" not in seldom[0]
    assert often[0]["d/loss"] == seldom[0]["d/loss"]


def test_the_protocol_of_the_evaluator_is_in_the_work_directory(run):
    found = json.loads((run.workdir / "evaluator.json").read_text())
    assert {f"eval/{name}" for name in found} == {n for n in read(run.workdir / "metrics.jsonl")[0] if "eval/" in n}
    assert found["fd_digits"]["n_fake"] == 2_000
    assert {"evaluator", "weights", "accuracy", "data", "n_real"} <= found["fd_digits"].keys()


def test_a_record_a_number_and_all_of_it_on_the_page(run):
    found, pictures = records.measure(run, ("fd", "neighbours"), Reals(lambda split: digits()), 300)
    assert [record["metric"] for record in found] == [
        "fd_digits",
        "neighbour_ratio",
        "copied",
        "copied_of_training_images",
    ]
    assert list(pictures) == ["neighbours"]
    protocol = {"evaluator", "n_real", "n_fake", "data", "sample_seed", "step", "name", "hash", "seed", "seeds"}
    protocol |= {"versions", "git", "hardware", "date"}
    for record in found:
        json.dumps(record, allow_nan=False)
        assert protocol <= record.keys()
        assert len(record["value"]["seeds"]) == SEEDS
        assert record["value"]["median"] == np.median(record["value"]["seeds"])
    file = run.workdir / "evaluations.jsonl"
    file.write_text("".join(json.dumps(record) + "\n" for record in [run.evaluate(200), *found]))
    pictures["neighbours"].save(run.workdir / "neighbours.png")

    page = run_report.write(run.workdir, run.workdir).read_text()
    assert not re.search(r'(src|href)="(?!data:|#)', page)  # It needs no other file.
    metrics = [name for name in read(run.workdir / "metrics.jsonl")[-1] if "/" in name]
    assert all(name in page for name in metrics)
    assert page.count("<figcaption>") == 3  # samples at steps 5 and 10, and neighbours
    assert all(name in page for name in ("fd_digits", "neighbour_ratio", "copied", "batch_size", run.entry.paper))
    assert f"{SEEDS} seeds)" in page
    assert found[0]["weights"][:8] in page


def test_the_command_line_measures_by_name(run, capsys, monkeypatch):
    monkeypatch.setitem(registry._register, run.entry.name, run.entry)
    file = run.workdir / "evaluations.jsonl"
    before = len(read(file))
    words = ["evaluate", str(run.workdir), "--metrics", "fd", "neighbours", "--samples", "200", "--reals", "500"]
    assert launch.main(words) == 0
    said = capsys.readouterr().out
    assert "classifier of digits" in said
    assert "500 reals" in said
    assert str(run.workdir / "neighbours.png") in said
    assert launch.main([*words, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found == read(file)[before + 4 :]
    assert [record["n_real"] for record in found if record["metric"] == "fd_digits"] == [500]


def test_points_have_no_such_measures(tmp_path):
    entry, config = small("r3gan/ring")
    ring = train(entry, config, tmp_path, Devices.take(1))
    with pytest.raises(Problem, match="samples of r3gan/ring are points"):
        records.measure(ring, ("fd",), Reals(None), 10)
    assert "eval/covered" in run_report.write(tmp_path, tmp_path / "page").read_text()
    (tmp_path / "metrics.jsonl").unlink()
    with pytest.raises(Problem, match="has no metrics yet"):
        run_report.write(tmp_path, tmp_path)
