"""The benchmarks run. Their measurements are not tested."""

import itertools
import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import (
    averages,
    compile,
    equivalence,
    gpu_check,
    loop,
    media,
    memory,
    price,
    seeds,
    start,
    steps,
    tables,
    timing,
    workloads,
)


@pytest.mark.parametrize(
    ("rows", "fields"),
    [
        (start.rows, {"import_s"}),
        (loop.rows, {"bare_ms", "train_ms", "ratio"}),
        (seeds.rows, {"steps_per_s", "ratio"}),
        (price.rows, {"ms", "ratio"}),
        (compile.rows, {"ours_s", "native_s", "ratio"}),
        (memory.rows, {"peak", "needed"}),
    ],
    ids=["start", "loop", "seeds", "price", "compile", "memory"],
)
def test_a_benchmark_runs(rows, fields):
    row = next(rows(tiny=True))
    assert fields < set(row)
    assert all(row[field] > 0 for field in fields)


def test_averaged_generators_are_compared_with_each_kind_of_statistics():
    row = next(averages.rows(tiny=True))
    assert row["step"] == 10
    assert all(len(row[kind]) == 3 and min(row[kind]) > 0 for kind in ("averaged", "live", "standing"))
    assert row["averaged"] != row["live"] != row["standing"]


@pytest.mark.parametrize(
    "workload", [w for w in workloads.WORKLOADS if w.family in ("mlp", "dcgan")][::2], ids=lambda w: w.name
)
def test_a_step_is_timed_without_torch(workload, monkeypatch):
    monkeypatch.setattr(steps.importlib.util, "find_spec", lambda name: None)
    (row,) = steps.rows(workload, tiny=True)
    assert row["ours_ms"] > 0
    assert row["flops"] > 0
    assert "peer" not in row


def test_alternatives_are_interleaved_and_warmed_up():
    calls = []
    alternatives = {name: lambda n, name=name: calls.append((name, n)) for name in "ab"}
    times = timing.interleaved_times(alternatives, rounds=3, seconds=0.0)
    assert [name for name, _ in itertools.groupby(calls, lambda call: call[0])] == list("abababab")
    assert all(len(values) == 3 for values in times.values())


def test_ratios_are_of_rounds_not_of_medians():
    ratios = timing.summarise_ratios([1.0, 4.0, 9.0], [1.0, 2.0, 9.0])
    assert ratios == {"ratio": 1.0, "ratio_low": 1.0, "ratio_high": 2.0}


def test_a_penalty_of_higher_order_counts_more_operations():
    dcgan = {w.name: steps.flops(workloads.tiny(w)) for w in workloads.WORKLOADS if w.family == "dcgan"}
    assert dcgan["dcgan_none"] < dcgan["dcgan_r1"] < dcgan["dcgan_wgan_gp"]


def test_importing_the_benchmarks_uses_no_device():
    # Else programs would not run on the calling thread, which must be chosen before. The last call then fails.
    text = "import jax, benchmarks.__main__; jax.config.update('jax_num_cpu_devices', 2)"
    subprocess.run([sys.executable, "-c", text], check=True)


def test_every_stored_row_is_in_one_table():
    rows = json.loads((Path(__file__).parents[1] / "benchmarks/results/cpu.json").read_text())
    lines = [len(table(rows).splitlines()) - 2 for table in (tables.steps_table, tables.own_table)]
    prices = [row for row in rows if row["name"].startswith("price/")]
    single_seeds = [row for row in rows if row["name"].startswith("seeds/") and row["seeds"] == 1]
    assert sum(lines) == len(rows) - len(prices) - len(single_seeds)
    assert len(tables.prices_table(rows).splitlines()) - 2 == len({row["name"].rpartition("/")[2] for row in prices})


def test_a_variant_that_fails_is_reported_and_left_out():
    def fail(n):
        raise RuntimeError("InductorError: no kernel\ndetails")

    good, failed = steps.runnable({"eager": lambda n: None, "compile": fail})
    assert list(good) == ["eager"]
    assert failed == {"compile": "RuntimeError: InductorError: no kernel"}


def test_the_check_of_a_new_machine_passes_here(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(gpu_check, "time_step", lambda workload, tiny: {"ours_ms": 1.0})  # Tested above.
    assert gpu_check.main(["--tiny", "--json", str(tmp_path / "gpu.json")]) == 0
    result = json.loads((tmp_path / "gpu.json").read_text())
    assert {record["check"] for record in result["checks"]} >= {"trains", "equals the CPU", "resumes to the bit"}
    assert all(record["passed"] for record in result["checks"])
    assert "0 failed, 0 left out" in capsys.readouterr().out


def test_a_check_that_raises_has_failed_and_one_without_its_package_is_left_out():
    def missing():
        import a_package_that_is_not_there  # noqa: F401

    never = float("inf")
    assert gpu_check.run_check("c", "n", lambda: 1 / 0, never)["reason"] == "ZeroDivisionError: division by zero"
    assert gpu_check.run_check("c", "n", missing, never)["passed"] is None
    assert gpu_check.run_check("c", "n", dict, deadline=0.0)["reason"] == "out of time"


@pytest.mark.parametrize("comparison", media.COMPARISONS, ids=lambda c: c.name)
def test_experiments_are_timed_without_torch(comparison, monkeypatch):
    monkeypatch.setattr(media.importlib.util, "find_spec", lambda name: None)
    steps_taken = []
    monkeypatch.setattr(media.steps, "make_runner", lambda *_: steps_taken.append)  # Compiling takes long.
    (row,) = media.rows(comparison, tiny=True)
    assert steps_taken[:2] == [comparison.round_steps, comparison.warm_up]
    assert row["ours_ms"] >= 0
    assert "peer" not in row


@pytest.mark.parametrize("comparison", media.COMPARISONS, ids=lambda c: c.name)
def test_the_peers_of_experiments_compute_the_same(comparison):
    pytest.importorskip("torch")
    assert max(media.check(comparison).values()) < equivalence.TOLERANCE
