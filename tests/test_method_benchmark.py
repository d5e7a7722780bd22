"""The comparison of methods: equal budgets, resuming, failures, ranking, and columns of one protocol."""

import dataclasses
import json

import pytest

from jaxgan.cli.main import main
from jaxgan.errors import TrainingDiverged, UserError
from jaxgan.reports import benchmark
from jaxgan.reports.benchmark import Budget
from jaxgan.runs import registry

BUDGET = Budget(images=6_400, seeds=2, samples=100, width=8)


def summary(*seeds):
    low, middle, high = sorted(seeds)
    return {"median": middle, "low": low, "high": high, "seeds": list(seeds)}


def result(name, *records):
    return {"name": name, "seconds": 12.0, "parameters": 1_234, "records": list(records)}


def record(metric, value, **protocol):
    return {"metric": metric, "value": value, "evaluator": "e", "n_fake": 100, "step": 5, **protocol}


def test_budgets_are_equal_in_images():
    for name in ("lecam/digits", "infogan/digits", "acgan/digits"):
        config = BUDGET.config(registry.get(name))
        assert config.steps * config.batch_size == pytest.approx(6_400, rel=0.06)
        assert (config.seeds, config.width, config.evaluate_every) == (2, 8, config.steps)
    config = dataclasses.replace(BUDGET, batch_size=16).config(registry.get("lecam/digits"))
    assert (config.steps, config.batch_size) == (400, 16)


def test_methods_are_ranked_by_their_median_and_failures_are_listed():
    results = [
        result("slow/digits", record("fd", summary(3.0, 9.0, 4.0)), record("recall", 0.5)),
        result("good/digits", record("fd", summary(1.0, 2.0, 2.5)), record("recall", summary(1.0, 1.0, 1.0))),
        {"name": "bad/digits", "failure": "d/loss is not finite at step 3"},
    ]
    lines = benchmark.table(results, "fd").splitlines()
    assert lines[0] == "| method | fd | recall | seconds | parameters |"
    assert lines[2] == "| `good/digits` | 2 (1 to 2.5) | 1 | 12 | 1,234 |"
    assert lines[3] == "| `slow/digits` | 4 (3 to 9) | 0.5 | 12 | 1,234 |"
    assert lines[-1] == "- `bad/digits`: d/loss is not finite at step 3"
    left, right = benchmark.plot(results, "fd").axes
    assert [label.get_text() for label in left.get_yticklabels()] == ["good", "slow"]
    assert [text.get_text() for text in right.texts] == ["good", "slow"]  # They take equally long.


def test_numbers_of_different_protocols_are_in_different_columns():
    a, b = record("fd", 1.0, n_real=10), record("fd", 2.0, n_real=20)
    results = [result("a/digits", a), result("b/digits", b)]
    first, second = benchmark.columns(results)
    assert benchmark.value(results[0], first) == 1.0
    assert benchmark.value(results[0], second) is None


def test_methods_that_are_slower_and_worse_are_not_on_the_frontier():
    methods = [benchmark.Point(name, *at, 0, 0) for name, *at in (("a", 1, 9), ("b", 3, 2), ("c", 4, 5), ("d", 9, 1))]
    assert [method.name for method in benchmark.frontier(methods)] == ["a", "b", "d"]


def test_what_all_records_have_in_common_is_said_once():
    records = [record(metric, 1.0, n_real=10) for metric in ("fd", "recall")]
    compact = benchmark.without_repetition(result("a/digits", *records))
    assert compact["common"] == {"step": 5}
    assert compact["records"][0] == {"metric": "fd", "value": 1.0, "evaluator": "e", "n_fake": 100, "n_real": 10}


def test_measured_methods_are_not_trained_again(tmp_path, monkeypatch):
    trained = []

    def train_entry(entry, config, *_):
        trained.append(entry.name)
        raise TrainingDiverged("d/loss is not finite at step 3")

    monkeypatch.setattr(benchmark, "train_entry", train_entry)
    for _ in range(2):
        benchmark.compare("digits", ["lecam", "cr"], BUDGET, ["fd"], tmp_path, None)
    assert trained == ["lecam/digits", "cr/digits"]
    saved = json.loads((tmp_path / "digits" / "results.json").read_text())
    assert [r["failure"] for r in saved["results"]] == ["d/loss is not finite at step 3"] * 2
    benchmark.compare("digits", ["cr"], Budget(images=3_200, seeds=2, samples=100), ["fd"], tmp_path, None)
    assert trained[2:] == ["cr/digits"]


def test_unknown_names_are_reported(capsys):
    with pytest.raises(UserError, match="did you mean digits"):
        benchmark.methods_on("digit")
    assert main(["benchmark", "digits", "--methods", "lecm"]) == 2
    assert "did you mean lecam/digits" in capsys.readouterr().err
