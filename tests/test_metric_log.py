"""The log of a run: summaries over seeds, lines that survive a kill, and TensorBoard without torch."""

import json
import math
import sys

import numpy as np
import pytest

from jaxgan.training import metric_log


def test_a_number_is_logged_as_a_float_and_several_seeds_as_their_quartiles():
    assert metric_log.summarise_seeds(np.float32(1.5)) == 1.5
    assert metric_log.summarise_seeds(math.nan) is None
    summary = metric_log.summarise_seeds([4.0, 1.0, 2.0, 3.0])
    assert summary == {"median": 2.5, "low": 1.75, "high": 3.25, "seeds": [4.0, 1.0, 2.0, 3.0]}
    assert metric_log.median_over_seeds(summary) == 2.5
    assert metric_log.median_over_seeds(1.5) == 1.5
    assert metric_log.summarise_seeds([1.0, math.inf])["seeds"] == [1.0, None]


def test_a_last_line_that_was_cut_off_is_dropped(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 5}\n{"step": 10}\n{"st')
    assert metric_log.read_log(path) == [{"step": 5}, {"step": 10}]
    assert metric_log.read_log(tmp_path / "missing.jsonl") == []


def test_a_continued_log_drops_the_lines_of_steps_that_are_taken_again(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text("".join(json.dumps({"step": step, "seconds": step / 10}) + "\n" for step in (5, 10, 15)))
    log = metric_log.MetricLog(tmp_path, step=10)
    log.write({"step": 15, "seconds": 2.0, "d/loss": None})
    log.close()
    assert [(record["step"], record["seconds"]) for record in metric_log.read_log(path)] == [(5, 0.5), (10, 1), (15, 2)]
    assert log.seconds == 1.0


def test_a_blocked_module_cannot_be_imported_unless_it_was_before(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delitem(sys.modules, "colorsys", raising=False)
    with metric_log.blocked_import("colorsys"), pytest.raises(ImportError):
        import colorsys
    import colorsys

    with metric_log.blocked_import("colorsys"):
        import colorsys as again
    assert again is colorsys is sys.modules["colorsys"]
