"""Compares all methods on one data set with an equal budget of images. Results are kept method by method."""

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxgan.errors import TrainingStopped, UserError, did_you_mean
from jaxgan.evaluate import metrics
from jaxgan.evaluate.reference import ReferenceSet
from jaxgan.io import atomic
from jaxgan.render import plots
from jaxgan.runs import records, registry
from jaxgan.runs.registry import Entry
from jaxgan.runs.run import Run, train_entry
from jaxgan.training.devices import Devices
from jaxgan.training.experiment import Config, config_hash

Result = dict[str, Any]  # a method's record: its settings, its metrics with their protocols, or why there are none

# What a column's numbers have in common. Methods whose protocol differs are not put into the same column.
PROTOCOL_FIELDS = ("metric", "evaluator", "weights", "resize", "data", "n_real", "n_fake")


@dataclasses.dataclass(frozen=True)
class Budget:
    """What all methods are given.

    Attributes:
        images: Steps times batch size of a seed. Players that draw batches of their own, as those of R3GAN do, see as
            many real images each.
        seeds: How many seeds are trained, in one program.
        samples: Samples that are measured, of each seed.
        width: The setting `width` of all methods that have it; None keeps their own.
        batch_size: Examples per step of all methods; None keeps their own.
    """

    images: int
    seeds: int
    samples: int
    width: int | None = None
    batch_size: int | None = None

    def config(self, entry: Entry) -> Config:
        """Returns a method's settings under this budget. It evaluates, draws and saves at the end alone."""
        batch_size = self.batch_size or entry.config.batch_size
        steps = max(1, self.images // batch_size)
        log_every = max(1, steps // 20)
        steps -= steps % log_every
        changes = dict.fromkeys(("steps", "sample_every", "evaluate_every", "save_every"), steps)
        changes["batch_size"] = batch_size
        if self.width is not None and hasattr(entry.config, "width"):
            changes["width"] = self.width
        return dataclasses.replace(entry.config, **changes, log_every=log_every, seeds=self.seeds)


def methods_on(dataset: str, methods: Sequence[str] = ()) -> list[Entry]:
    """Returns the experiments that are registered on a data set, of the given methods or all.

    Raises UserError for an unknown data set or method.
    """
    on_dataset = {name: entry for name, entry in registry.entries().items() if name.endswith(f"/{dataset}")}
    if not on_dataset:
        known = sorted({name.split("/")[1] for name in registry.entries()})
        raise UserError(f"no method is registered on {dataset!r}; {did_you_mean(dataset, known)}")
    names = [f"{method}/{dataset}" for method in methods] or list(on_dataset)
    for name in names:
        if name not in on_dataset:
            raise UserError(f"no method {name!r}; {did_you_mean(name, on_dataset)}")
    return [on_dataset[name] for name in names]


def run_method(entry: Entry, budget: Budget, names: Sequence[str], folder: Path, devices: Devices) -> Result:
    """Trains and measures a method, or returns what is recorded of the same settings in `folder`/result.json.

    A method that cannot be trained or measured has a "failure" instead of metrics.
    """
    config, path = budget.config(entry), folder / "result.json"
    wanted = {
        "name": entry.name,
        "hash": config_hash(entry.name, config),
        "steps": config.steps,
        "samples": budget.samples,
        "metrics": list(names),
    }
    if path.exists():
        known = json.loads(path.read_text())
        if {key: known.get(key) for key in wanted} == wanted:
            return known
    result = {**wanted, "paper": entry.paper, "shows": entry.shows, "batch_size": config.batch_size}
    try:
        run = train_entry(entry, config, folder / "run", devices)
        reference = ReferenceSet(run.experiment.data)
        conditional = ("agreement",) if run.experiment.classes else ()
        measured, _ = records.measure(run, (*names, *conditional), reference, budget.samples)
        result |= {"seconds": _training_seconds(run), "parameters": _parameters(run), "records": measured}
    except TrainingStopped:
        raise
    except UserError as error:
        result["failure"] = str(error)
    atomic.write_text(path, json.dumps(result, indent=1))
    return result


def _training_seconds(run: Run) -> float:
    """Returns the seconds of training per seed."""
    return float(run.metrics()["seconds"][-1]) / run.config.seeds


def _parameters(run: Run) -> int:
    return sum(x.size for x in jax.tree.leaves(run.seed_states[0].params))


def columns(results: Sequence[Result]) -> list[dict[str, Any]]:
    """Returns the distinct protocols of all records, one for each column, in order of appearance."""
    protocols = [_protocol(record) for result in results for record in result.get("records", ())]
    return list({json.dumps(protocol): protocol for protocol in protocols}.values())


def _protocol(record: dict[str, Any]) -> dict[str, Any]:
    return {field: record[field] for field in PROTOCOL_FIELDS if field in record}


def value(result: Result, column: dict[str, Any]) -> Any:
    """Returns a method's value in a column: a number, a summary over seeds, or None."""
    values = [record["value"] for record in result.get("records", ()) if _protocol(record) == column]
    return values[0] if values else None


def median(x: Any) -> float:
    """Returns a number, or the median of a summary over seeds; infinity where there is none."""
    x = x["median"] if isinstance(x, dict) else x
    return float("inf") if x is None else float(x)


def without_repetition(result: Result) -> Result:
    """Returns a result in which what all records have in common is said once, as "common"."""
    records = result.get("records", [])
    own = {*PROTOCOL_FIELDS, "value"}
    is_common = lambda field: field not in own and all(record.get(field) == records[0][field] for record in records)
    common = {field: value for field, value in records[0].items() if is_common(field)} if records else {}
    rest = [{field: value for field, value in record.items() if field not in common} for record in records]
    return {**result, "common": common, "records": rest} if records else result


def ranked(results: Sequence[Result], by: str) -> tuple[list[Result], list[Result]]:
    """Returns the measured methods, the smallest median of metric `by` first, and the failed ones."""
    of_metric = [column for column in columns(results) if column["metric"] == by]
    best = lambda result: min((median(value(result, column)) for column in of_metric), default=float("inf"))
    measured = [result for result in results if "failure" not in result]
    return sorted(measured, key=best), [result for result in results if "failure" in result]


def table(results: Sequence[Result], by: str, metrics: Sequence[str] = ()) -> str:
    """Returns the comparison in Markdown: a row for each method, median and quartiles over seeds, then the failures.

    Args:
        results: What `run_method` returned.
        by: The metric by which methods are sorted.
        metrics: The metrics of the columns; all by default.
    """
    measured, failed = ranked(results, by)
    cols = [column for column in columns(measured) if not metrics or column["metric"] in metrics]
    head = ["method", *(column["metric"] for column in cols), "seconds", "parameters"]
    rows = [head, ["---"] * len(head)]
    for result in measured:
        cells = [_cell(value(result, column)) for column in cols]
        seconds = f"{result['seconds']:,.{0 if result['seconds'] >= 10 else 1}f}"
        rows.append([f"`{result['name']}`", *cells, seconds, f"{result['parameters']:,}"])
    lines = [f"| {' | '.join(row)} |" for row in rows]
    notes = [f"- `{result['name']}`: {result['failure']}" for result in failed]
    return "\n".join([*lines, *(["", "Not measured:", "", *notes] if notes else [])])


def _cell(x: Any) -> str:
    if x is None:
        return ""
    number = lambda x: "diverged" if x is None else f"{x:.3g}"
    if not isinstance(x, dict):
        return number(x)
    middle, low, high = (number(x[name]) for name in ("median", "low", "high"))
    return middle if low == middle == high else f"{middle} ({low} to {high})"


class Point(NamedTuple):
    """A method in the figure: seconds of training, and median and quartiles of its metric."""

    name: str
    seconds: float
    middle: float
    low: float
    high: float


def points(results: Sequence[Result], by: str) -> list[Point]:
    """Returns the methods whose metric `by` is finite, the smallest median first."""
    measured = []
    for result in ranked(results, by)[0]:
        for column in (column for column in columns(results) if column["metric"] == by):
            x = value(result, column)
            low, high = (x["low"], x["high"]) if isinstance(x, dict) else (x, x)
            if None not in (low, high) and np.isfinite(median(x)):
                measured.append(Point(result["name"].split("/")[0], result["seconds"], median(x), low, high))
    return measured


def frontier(methods: Sequence[Point]) -> list[Point]:
    """Returns the methods of which none is both faster and better."""
    is_beaten = lambda a: any(b.seconds < a.seconds and b.middle < a.middle for b in methods)
    return [method for method in methods if not is_beaten(method)]


def plot(results: Sequence[Result], by: str) -> Any:
    """Returns the figure of metric `by`: methods with quartiles, best first; and medians against training seconds."""
    from matplotlib.ticker import LogFormatter  # Takes a moment to import.

    methods = points(results, by)
    fig, ((left, right),) = plots.subplots(1, 2, height=max(2.6, 0.6 + 0.13 * len(methods)))
    rows, middles = range(len(methods)), [method.middle for method in methods]
    left.hlines(rows, [method.low for method in methods], [method.high for method in methods], linewidth=1)
    left.plot(middles, rows, "o", markersize=3)
    left.set(xlabel=f"{by}, median and quartiles", xscale="log", ylim=(len(methods) - 0.5, -0.5))
    left.set_yticks(rows, [method.name for method in methods], fontsize=6)
    best = sorted(frontier(methods), key=lambda method: method.seconds)
    for shown, line, color in ((methods, "o", "0.6"), (best, "o-", plots.COLOURS[0])):
        x, y = [method.seconds for method in shown], [method.middle for method in shown]
        right.plot(x, y, line, markersize=3, linewidth=0.8, color=color)
    for method in best:
        at = (method.seconds, method.middle)
        right.annotate(method.name, at, fontsize=6, xytext=(3, 3), textcoords="offset points")
    right.set(xlabel="seconds of training per seed", ylabel=by, xscale="log", yscale="log")
    for axis in (right.xaxis, right.yaxis, left.xaxis):  # 3 instead of 3 x 10^0
        axis.set_major_formatter(LogFormatter())
    right.xaxis.set_minor_formatter(LogFormatter(minor_thresholds=(1.5, 0.4)))
    return fig


def compare(
    dataset: str, methods: Sequence[str], budget: Budget, names: Sequence[str], workdir: Path, devices: Devices
) -> Path:
    """Runs what is missing, writes results.json, table.md and figure.png, and returns their folder `workdir`/`dataset`.

    The files are written again after each method, so that an interrupted comparison can be read.
    """
    metrics.get(names)
    folder, results = workdir / dataset, []
    for entry in methods_on(dataset, methods):
        results.append(run_method(entry, budget, names, folder / entry.name.split("/")[0], devices))
        write(results, folder, budget)
    return folder


def write(results: Sequence[Result], folder: Path, budget: Budget) -> None:
    """Writes results.json, table.md and figure.png, sorted by the first metric."""
    by = next((column["metric"] for column in columns(results)), "")
    compact = [without_repetition(result) for result in results]
    about = {"budget": dataclasses.asdict(budget), "by": by, "results": compact}
    atomic.write_text(folder / "results.json", json.dumps(about, indent=1))
    atomic.write_text(folder / "table.md", table(results, by) + "\n")
    if by:
        with plots.style(), atomic.replacing(folder / "figure.png") as temporary:
            plot(results, by).savefig(temporary, dpi=200)
