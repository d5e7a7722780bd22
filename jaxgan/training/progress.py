"""Progress of a training run: a bar on a terminal, occasional lines elsewhere."""

import contextlib
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from typing import Any

from tqdm import tqdm

from jaxgan.training.metric_log import median_over_seeds

SECONDS_BETWEEN_LINES = 10.0  # where there is no terminal


def duration(seconds: float) -> str:
    """Returns a duration in words, such as `0.52 s`, `14 s`, `35 min` or `3.2 h`."""
    for limit, unit, scale in (
        (120, "s", 1),
        (7_200, "min", 60),
        (172_800, "h", 3_600),
        (float("inf"), "days", 86_400),
    ):
        if seconds < limit:
            value = seconds / scale
            return f"{value:.0f} {unit}" if value >= 10 else f"{value:.2g} {unit}"
    raise ValueError(f"{seconds} s must be finite")


class Progress:
    """Shows the step, images per second, losses and remaining time."""

    def __init__(self, step: int, steps: int, batch_size: int) -> None:
        """Starts at `step` of `steps`."""
        self.step, self.steps, self.batch_size = step, steps, batch_size
        self.rate = self.losses = ""
        self.compiled: tuple[float, int] | None = None  # time and step after the first dispatch
        self.last_line = 0.0
        self.has_shown_pace = False
        self.bar = tqdm(
            total=steps,
            initial=step,
            disable=None,  # where there is no terminal
            desc="compiling",
            bar_format="{percentage:3.0f}% |{bar:20}| step {n_fmt}/{total_fmt} · {remaining} left · {desc}",
        )

    def update(self, step: int) -> None:
        """Shows that `step` steps are done."""
        now = time.perf_counter()
        if self.compiled is None:
            self.compiled = now, step
            self.bar.unpause()
        elif now > self.compiled[0]:
            self.rate = f"{(step - self.compiled[1]) / (now - self.compiled[0]) * self.batch_size:,.0f} images/s"
        self.bar.set_description_str(self.rate + self.losses, refresh=False)
        self.bar.update(step - self.step)
        self.step = step

    @contextlib.contextmanager
    def compiling(self, what: str) -> Iterator[None]:
        """Shows a clock and that `what` is being compiled, until the context ends. Without a terminal: one line."""
        if self.bar.disable:
            print(f"compiling ({what})", file=sys.stderr, flush=True)
            yield
            return
        started, done = time.perf_counter(), threading.Event()

        def show_clock() -> None:
            while not done.wait(1.0):
                self.bar.set_description_str(f"compiling ({what}), {time.perf_counter() - started:.0f} s")

        self.bar.set_description_str(f"compiling ({what})")
        clock = threading.Thread(target=show_clock, daemon=True)
        clock.start()
        try:
            yield
        finally:
            done.set()
            clock.join()

    def show_losses(self, record: Mapping[str, Any]) -> None:
        """Shows the losses of a log record from now on. Without a terminal it prints a line, but not too often."""
        losses = {name: median_over_seeds(value) for name, value in record.items() if name.endswith("/loss")}
        self.losses = "".join(f" · {name} {value:.3f}" for name, value in losses.items() if value is not None)
        now = time.perf_counter()
        if self.bar.disable and (self.step == self.steps or now - self.last_line > SECONDS_BETWEEN_LINES):
            self.last_line = now
            print(f"step {self.step}/{self.steps} · {self.rate}{self.losses}", file=sys.stderr, flush=True)

    def show_pace(self) -> None:
        """Prints once how long 1,000 images and the remaining steps take on this machine, if that is known."""
        if self.compiled is None or self.has_shown_pace or self.step <= self.compiled[1]:
            return
        self.has_shown_pace = True
        per_step = (time.perf_counter() - self.compiled[0]) / (self.step - self.compiled[1])
        remaining = self.steps - self.step
        pace = f"1,000 images take {duration(1_000 * per_step / self.batch_size)} on this machine"
        left = f"; the remaining {remaining:,} steps about {duration(per_step * remaining)}" if remaining else ""
        tqdm.write(pace + left, file=sys.stderr)

    def close(self) -> None:
        """Leaves the bar as it is."""
        self.bar.close()
