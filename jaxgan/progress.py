"""What a person sees while a run trains: a bar on a terminal, a line now and then in a log."""

import sys
import time
from collections.abc import Mapping
from typing import Any

from tqdm import tqdm

from jaxgan.metrics import middle

QUIET = 10.0  # seconds between lines where there is no terminal


class Progress:
    """Step, images a second, losses and time left."""

    def __init__(self, step: int, steps: int, batch_size: int) -> None:
        """Start at `step` of `steps`."""
        self.step, self.steps, self.batch_size = step, steps, batch_size
        self.rate = self.losses = ""
        self.warm: tuple[float, int] | None = None  # time and step after the first dispatch, which mostly compiles
        self.said = 0.0
        self.bar = tqdm(
            total=steps,
            initial=step,
            disable=None,  # where there is no terminal
            desc="compiling",
            bar_format="{percentage:3.0f}% |{bar:20}| step {n_fmt}/{total_fmt} · {remaining} left · {desc}",
        )

    def move(self, step: int) -> None:
        """Show that `step` steps are done."""
        now = time.perf_counter()
        if self.warm is None:
            self.warm = now, step
            self.bar.unpause()
        elif now > self.warm[0]:
            self.rate = f"{(step - self.warm[1]) / (now - self.warm[0]) * self.batch_size:,.0f} images/s"
        self.bar.set_description_str(self.rate + self.losses, refresh=False)
        self.bar.update(step - self.step)
        self.step = step

    def log(self, record: Mapping[str, Any]) -> None:
        """Show the losses from now on; without a terminal print a line, but not too often."""
        losses = {name: middle(value) for name, value in record.items() if name.endswith("/loss")}
        self.losses = "".join(f" · {name} {value:.3f}" for name, value in losses.items() if value is not None)
        now = time.perf_counter()
        if self.bar.disable and (self.step == self.steps or now - self.said > QUIET):
            self.said = now
            print(f"step {self.step}/{self.steps} · {self.rate}{self.losses}", file=sys.stderr, flush=True)

    def close(self) -> None:
        """Leave the bar as it is."""
        self.bar.close()
