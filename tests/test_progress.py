"""The pace of a run in words."""

import pytest

from jaxgan.training import progress
from jaxgan.training.progress import Progress, duration


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.034, "0.034 s"), (4.0, "4 s"), (119.0, "119 s"), (150.0, "2.5 min"), (11_520.0, "3.2 h"), (6e5, "6.9 days")],
)
def test_durations_in_words(seconds, words):
    assert duration(seconds) == words


def test_the_pace_is_measured_after_the_first_dispatch_and_shown_once(monkeypatch, capsys):
    now = [100.0]
    monkeypatch.setattr(progress.time, "perf_counter", lambda: now[0])
    shown = Progress(step=0, steps=100, batch_size=50)
    shown.update(1)  # This took long: it compiled.
    shown.show_pace()
    now[0] += 2.0
    shown.update(11)
    shown.show_pace()
    shown.show_pace()
    line = "1,000 images take 4 s on this machine; the remaining 89 steps about 18 s\n"
    assert capsys.readouterr().err == line
    shown.close()
