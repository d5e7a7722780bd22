"""The estimate of what is left of several tasks."""

import pytest

from jaxgan.cli.total_progress import TotalProgress


def test_the_estimate_follows_the_pace_of_what_is_done(capsys):
    now = [0.0]
    progress = TotalProgress({"a/1": 100, "b/2": 200, "c/3": 50, "d/4": 50}, jobs=2, clock=lambda: now[0])
    assert progress.seconds_left() == pytest.approx(200)  # 400 seconds on two jobs
    progress.start("b/2")
    progress.start("a/1")
    now[0] = 50
    assert progress.seconds_left() == pytest.approx((150 + 50 + 50 + 50) / 2)
    now[0] = 200  # a/1 took twice as long as expected, so b/2 has 200 seconds left, and c and d take 100 each.
    progress.finish("a/1")
    assert progress.seconds_left() == pytest.approx((200 + 100 + 100) / 2)
    assert progress.describe() == "1 of 4 figures made, about 3 min left, making b/2"
    for name in ("c/3", "d/4"):
        progress.start(name)
        progress.finish(name)
    assert progress.seconds_left() == pytest.approx(0.0, abs=200)
    now[0] = 1_000
    progress.finish("b/2")
    assert progress.describe() == "4 of 4 figures made"
    assert capsys.readouterr().err.count("figures made") == 4
    progress.close()


def test_one_long_task_bounds_the_time_of_many_jobs():
    assert TotalProgress({"long": 100, "short": 10}, jobs=4).seconds_left() == pytest.approx(100)
