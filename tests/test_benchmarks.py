"""The benchmarks run; what they measure is not a test's business."""

import pytest

from benchmarks import loop, seeds, start


@pytest.mark.parametrize(
    ("rows", "fields"),
    [
        (start.rows, {"cold_s", "warm_s"}),
        (loop.rows, {"bare_ms", "train_ms", "part"}),
        (seeds.rows, {"one_ms", "eight_ms", "ratio"}),
    ],
)
def test_a_benchmark_runs(rows, fields):
    row = next(rows(tiny=True))
    assert fields < set(row)
    assert all(row[field] > 0 for field in fields)
