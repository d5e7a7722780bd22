"""Metrics: summed on the device while a round runs, fetched once a log period, written as one JSON object a line."""

import contextlib
import dataclasses
import json
import math
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxgan.game import Metrics

NEVER = np.int32(2**31 - 1)


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Tally:
    """Sums of metrics since they were last fetched, and the step at which each loss first was not finite."""

    total: dict[str, Array]  # float32 []
    count: dict[str, Array]  # int32 []
    broken: dict[str, Array]  # int32 [], by `phase/loss`; NEVER while all is well

    @classmethod
    def empty(cls, names: Iterable[str], seeds: int = 1) -> "Tally":
        """A tally of nothing, on the host; with a leading axis for several seeds."""
        full = lambda value: np.full([seeds] if seeds > 1 else [], value)
        names = tuple(names)
        losses = [n for n in names if n.endswith("/loss")]
        fill = lambda names, value: {n: full(value) for n in names}
        return cls(fill(names, np.float32(0)), fill(names, np.int32(0)), fill(losses, NEVER))

    def add(self, step: Array, metrics: Metrics) -> "Tally":
        """Count the metrics of one step; those of phases that were not due are left as they are."""
        total = self.total | {n: self.total[n] + x for n, x in metrics.items()}
        count = self.count | {n: self.count[n] + 1 for n in metrics}
        fails = {n: jnp.where(jnp.isfinite(metrics[n]), NEVER, step) for n in metrics if n in self.broken}
        return Tally(total, count, self.broken | {n: jnp.minimum(self.broken[n], s) for n, s in fails.items()})

    def means(self) -> dict[str, np.ndarray]:
        """The mean of every metric that was counted: [], or [K] for K seeds. On the host."""
        return {n: np.asarray(self.total[n] / c) for n, c in self.count.items() if np.all(c)}

    def first_failure(self) -> tuple[int, str] | None:
        """The first step at which a loss was not finite and the loss's name, if there is one. On the host."""
        step, name = min((int(np.min(s)), n) for n, s in self.broken.items())
        return None if step == NEVER else (step, name)


def summary(value: Any) -> Any:
    """What is written of a metric: a number, or for K seeds their median, quartiles and values. NaN becomes null."""
    value = np.asarray(value, np.float64)
    if value.ndim == 0:
        return float(value) if math.isfinite(value) else None
    low, median, high = np.quantile(value, [0.25, 0.5, 0.75])
    return {"median": summary(median), "low": summary(low), "high": summary(high), "seeds": [summary(v) for v in value]}


def middle(value: Any) -> float | None:
    """The number, or the median over seeds, of what `summary` wrote."""
    return value["median"] if isinstance(value, Mapping) else value


class Writer:
    """Appends to metrics.jsonl, and to TensorBoard where tensorboardX is installed."""

    def __init__(self, directory: Path, step: int) -> None:
        """Open the log of a run that continues at `step`: lines after it belong to steps that will be played again."""
        self.path = directory / "metrics.jsonl"
        kept = [record for record in read(self.path) if record["step"] <= step]
        self.seconds = kept[-1]["seconds"] if kept else 0.0  # spent on the steps before this start
        fresh = self.path.with_suffix(".tmp")
        fresh.write_text("".join(json.dumps(record) + "\n" for record in kept))
        os.replace(fresh, self.path)
        self.file = self.path.open("a", buffering=1)
        try:
            with without("torch"):
                import tensorboardX
        except ImportError:
            self.board = None
        else:
            self.board = tensorboardX.SummaryWriter(str(directory), purge_step=step + 1)

    def write(self, record: Mapping[str, Any]) -> None:
        """Write one record: `step`, `images`, `seconds`, and metrics as `summary` gives them."""
        self.file.write(json.dumps(record) + "\n")
        if self.board is not None:
            for name in record.keys() - {"step", "images", "seconds"}:
                if (value := middle(record[name])) is not None:
                    self.board.add_scalar(name, value, record["step"])

    def close(self) -> None:
        """Close the files."""
        self.file.close()
        if self.board is not None:
            self.board.close()


@contextlib.contextmanager
def without(name: str) -> Iterator[None]:
    """While inside, a module that was not imported before cannot be: tensorboardX would take seconds for torch."""
    absent = name not in sys.modules
    if absent:
        sys.modules[name] = None
    try:
        yield
    finally:
        if absent:
            del sys.modules[name]


def read(path: Path) -> list[dict[str, Any]]:
    """All whole lines of a metrics.jsonl; a last line cut off by a kill is dropped."""
    if not path.exists():
        return []
    lines = path.read_text().split("\n")
    return [json.loads(line) for line in lines[:-1] if line]
