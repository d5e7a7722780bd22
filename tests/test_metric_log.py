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


def line(step, **fields):
    return {"step": step, "images": 16 * step, "seconds": 0.5} | fields


def write_lines(path, *lines):
    path.write_bytes(b"".join((x if isinstance(x, bytes) else json.dumps(x).encode()) + b"\n" for x in lines))


def test_a_last_line_that_was_cut_off_is_dropped(tmp_path):
    path = tmp_path / "metrics.jsonl"
    write_lines(path, line(5), line(10))
    path.write_bytes(path.read_bytes() + b'{"st')
    assert metric_log.read_log(path) == [line(5), line(10)]
    assert metric_log.read_log(tmp_path / "missing.jsonl") == []


DAMAGED_LINES = [
    b"garbage",
    b"\0" * 40,
    b'{"step": 10, "images": 16, "seconds": "\xff\xfe"}',
    b"[" * 100_000,
    b"[1, 2]",
    {"step": 10},
    line("10"),
    line(10, **{"d/loss": "high"}),
    line(10, **{"d/loss": {"median": 1.0}}),
    {"step": True, "images": 16, "seconds": 1.0},
]


@pytest.mark.parametrize("damaged", DAMAGED_LINES, ids=range(len(DAMAGED_LINES)))
def test_a_damaged_line_is_left_out_with_a_warning(tmp_path, damaged):
    path = tmp_path / "metrics.jsonl"
    write_lines(path, line(5), damaged, line(15))
    with pytest.warns(UserWarning, match=r"metrics.jsonl: left out 1 damaged line\(s\): 2"):
        assert metric_log.read_log(path) == [line(5), line(15)]


def test_a_continued_log_drops_the_lines_of_steps_that_are_taken_again(tmp_path):
    path = tmp_path / "metrics.jsonl"
    write_lines(path, line(5), line(10), line(15))
    log = metric_log.MetricLog(tmp_path, step=10)
    log.write(line(15, **{"seconds": 2.0, "d/loss": None}))
    log.close()
    kept = [(record["step"], record["seconds"]) for record in metric_log.read_log(path)]
    assert kept == [
        (5, 0.5),
        (10, 0.5),
        (15, 2),
    ]
    assert log.seconds == 0.5


def test_events_are_written_for_tensorboard(tmp_path):
    tensorboard = pytest.importorskip("tensorboardX")
    from tensorboardX.proto import event_pb2

    log = metric_log.MetricLog(tmp_path, step=10)
    log.write(line(15, **{"d/loss": 0.5, "g/loss": None}))
    log.close()
    (path,) = tmp_path.glob("events*")
    data, events = path.read_bytes(), []
    while data:  # Length, its checksum, event, its checksum.
        length = int.from_bytes(data[:8], "little")
        events.append(event_pb2.Event.FromString(data[12 : 12 + length]))
        data = data[16 + length :]
    _, start, scalars = events
    assert start.step == 11  # Hides what an earlier start wrote from there on.
    assert start.session_log.status == event_pb2.SessionLog.START
    assert scalars.step == 15
    assert {value.tag: value.simple_value for value in scalars.summary.value} == {"d/loss": 0.5}
    assert tensorboard


def test_a_blocked_module_cannot_be_imported_unless_it_was_before(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delitem(sys.modules, "colorsys", raising=False)
    with metric_log.blocked_import("colorsys"), pytest.raises(ImportError):
        import colorsys
    import colorsys

    with metric_log.blocked_import("colorsys"):
        import colorsys as again
    assert again is colorsys is sys.modules["colorsys"]
