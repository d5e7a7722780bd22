"""Progress of several tasks of unequal length: one bar on a terminal, a line per finished task elsewhere."""

import sys
import threading
import time
from collections.abc import Callable, Mapping

from tqdm import tqdm

TRUSTED_SECONDS = 30.0  # expected time of the finished tasks from which their actual time corrects the estimate


class TotalProgress:
    """Shows how many tasks are done, which ones are running, and about how long the rest takes."""

    def __init__(
        self, seconds: Mapping[str, float], jobs: int = 1, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Starts with all tasks waiting.

        Args:
            seconds: The expected time of each task by name.
            jobs: How many tasks run at a time.
            clock: Returns the time in seconds.
        """
        self.seconds, self.jobs, self.clock = dict(seconds), jobs, clock
        self.started: dict[str, float] = {}
        self.waiting = set(seconds)
        self.expected = self.actual = 0.0  # seconds of the finished tasks
        self.lock, self.closed = threading.Lock(), threading.Event()
        total = max(sum(seconds.values()), 1e-9)
        self.bar = tqdm(total=total, disable=None, bar_format="{percentage:3.0f}% |{bar:20}| {desc}")
        if not self.bar.disable:
            threading.Thread(target=self._refresh, daemon=True).start()

    def start(self, name: str) -> None:
        """A task starts."""
        with self.lock:
            self.waiting.discard(name)
            self.started[name] = self.clock()

    def finish(self, name: str) -> None:
        """A task ends."""
        with self.lock:
            self.actual += self.clock() - self.started.pop(name)
            self.expected += self.seconds[name]
        if self.bar.disable:
            print(self.describe(), file=sys.stderr, flush=True)

    def seconds_left(self) -> float:
        """Returns the expected time of the rest, scaled by how long the finished tasks took."""
        pace = self.actual / self.expected if self.expected > TRUSTED_SECONDS else 1.0
        now = self.clock()
        running = [max(pace * self.seconds[name] - (now - start), 0.0) for name, start in self.started.items()]
        left = running + [pace * self.seconds[name] for name in self.waiting]
        return max(sum(left) / self.jobs, *left, 0.0)

    def describe(self) -> str:
        """Returns `3 of 40 figures made, about 12 min left, making a, b`."""
        with self.lock:
            done = len(self.seconds) - len(self.waiting) - len(self.started)
            left = self.seconds_left()
            running = f", making {', '.join(self.started)}" if self.started else ""
        time_left = f", about {_format_seconds(left)} left" if done < len(self.seconds) else ""
        return f"{done} of {len(self.seconds)} figures made{time_left}{running}"

    def _refresh(self) -> None:
        while not self.closed.wait(1.0):
            description, now = self.describe(), self.clock()
            with self.lock:
                running = sum(min(now - start, self.seconds[name]) for name, start in self.started.items())
                self.bar.n = self.expected + running
            self.bar.set_description_str(description)

    def close(self) -> None:
        """Removes the bar."""
        self.closed.set()
        self.bar.leave = False
        self.bar.close()


def _format_seconds(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7_200 else f"{seconds / 3_600:.1f} h"
