"""The benchmarks run; what they measure is not a test's business."""

import itertools

import pytest

from benchmarks import clock, compile, loop, memory, price, seeds, start, steps, works


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
)
def test_a_benchmark_runs(rows, fields):
    row = next(rows(tiny=True))
    assert fields < set(row)
    assert all(row[field] > 0 for field in fields)


@pytest.mark.parametrize(
    "work", [work for work in works.ALL if work.family in ("mlp", "dcgan")][::2], ids=lambda w: w.name
)
def test_a_step_is_timed_where_there_is_no_torch(work, monkeypatch):
    monkeypatch.setattr(steps.importlib.util, "find_spec", lambda name: None)
    (row,) = steps.rows(work, tiny=True)
    assert row["ours_ms"] > 0
    assert row["flops"] > 0
    assert "peer" not in row


def test_sides_take_turns_and_are_warm():
    played = []
    sides = {name: lambda n, name=name: played.append((name, n)) for name in "ab"}
    taken = clock.in_turns(sides, rounds=3, seconds=0.0)
    assert [name for name, _ in itertools.groupby(played, lambda turn: turn[0])] == list("abababab")
    assert all(len(times) == 3 for times in taken.values())


def test_ratios_are_of_rounds_not_of_medians():
    assert clock.ratios([1.0, 4.0, 9.0], [1.0, 2.0, 9.0]) == {"ratio": 1.0, "ratio_low": 1.0, "ratio_high": 2.0}


def test_every_family_and_penalty_counts_its_operations():
    dcgan = {work.name: steps.flops(works.tiny(work)) for work in works.ALL if work.family == "dcgan"}
    assert dcgan["dcgan_none"] < dcgan["dcgan_r1"] < dcgan["dcgan_wgan_gp"]
