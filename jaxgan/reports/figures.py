"""Figures of papers as claims: which runs a figure needs, what is measured on them, what the paper says, and a plot."""

import contextlib
import dataclasses
import datetime
import fcntl
import functools
import json
import math
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from jaxgan.errors import SystemFailure, UserError, command_name, did_you_mean
from jaxgan.io import atomic
from jaxgan.reports.source_digest import source_digest
from jaxgan.runs import registry
from jaxgan.runs.registry import CPU, Entry, format_minutes
from jaxgan.runs.run import Run, load_steps, train_entry
from jaxgan.training import workdir
from jaxgan.training.devices import Devices
from jaxgan.training.experiment import PERIOD_FIELDS, Config, config_hash, identity_fields
from jaxgan.training.metric_log import median_over_seeds, read_log

DPI = 200  # of figure.png
LONG_MINUTES = 15  # figures that take longer are made by name, or by `figure all --long`
LOG_LINES = 100  # at least so many per run. A run can be saved at each of them.

Numbers = Mapping[str, Any]  # Numbers, lists and dicts of them are written to result.json, arrays to data.npz.
Runs = Mapping[str, tuple[Run, ...]]  # By the label of a RunSpec: the run at each of the requested steps.


@dataclasses.dataclass(frozen=True)
class RunSpec:
    """A run that a figure needs.

    Attributes:
        experiment: Its name, or an entry that is not registered because only a figure uses it.
        steps: The steps at which the run is examined. 0 is the initial state.
        settings: Settings that differ from the experiment's defaults.
    """

    experiment: str | Entry
    steps: tuple[int, ...]
    settings: Mapping[str, Any]

    def resolve(self, reduced: bool = False) -> "ResolvedRun":
        """Returns the experiment with its config. `reduced` keeps the number of examined steps but makes them few."""
        entry = registry.get(self.experiment) if isinstance(self.experiment, str) else self.experiment
        steps, settings = self.steps, dict(self.settings)
        if reduced:
            steps = tuple(range(len(steps))) if 0 in steps else tuple(range(1, len(steps) + 1))
            settings = {**entry.test_settings, **settings}
            settings |= {"seeds": min(settings.get("seeds", entry.config.seeds), 2)}
            settings |= {"batch_size": min(settings.get("batch_size", entry.config.batch_size), 16)}
        last, period = max(steps), math.gcd(*steps)
        lines = next(
            n for n in range(1, period + 1) if period % n == 0 and (n * last >= LOG_LINES * period or n == period)
        )
        periods = dict.fromkeys(PERIOD_FIELDS, last) | {"log_every": period // lines}
        return ResolvedRun(entry, dataclasses.replace(entry.config, **settings, **periods, steps=last), steps)


def run_spec(experiment: str | Entry, *steps: int, **settings: Any) -> RunSpec:
    """Returns the `RunSpec` of an experiment with changed `settings`, examined at `steps`."""
    return RunSpec(experiment, steps, settings)


@dataclasses.dataclass(frozen=True)
class ResolvedRun:
    """A `RunSpec` with its entry and config."""

    entry: Entry
    config: Config
    steps: tuple[int, ...]

    def describe(self) -> dict[str, Any]:
        """Returns what identifies the run, for the figure's record."""
        return {
            "name": self.entry.name,
            "hash": config_hash(self.entry.name, self.config),
            "config": identity_fields(self.config),
            "at": list(self.steps),
        }


@dataclasses.dataclass(frozen=True)
class Claim:
    """A statement of a paper: a measured number lies between two bounds.

    Attributes:
        text: The statement, with unit and comparison.
        number: The key of the number in what `Figure.measure` returns. For several seeds the median counts.
        least: Lower bound.
        most: Upper bound.
    """

    text: str
    number: str
    least: float = -math.inf
    most: float = math.inf

    def check(self, numbers: Numbers) -> dict[str, Any]:
        """Returns the claim with the measured value and whether it holds. A value that is not finite does not."""
        value = median_over_seeds(to_json(numbers[self.number]))
        bounds = {"least": self.least, "most": self.most}
        return {
            "text": self.text,
            "number": self.number,
            **{name: bound for name, bound in bounds.items() if math.isfinite(bound)},
            "value": value,
            "holds": value is not None and self.least <= value <= self.most,
        }


@dataclasses.dataclass(frozen=True)
class Figure:
    """A figure to reproduce.

    Attributes:
        measure: runs by label -> numbers and arrays.
        claims: What the paper says about the numbers.
        plot: numbers and arrays -> matplotlib Figure, made with `plots.subplots`. It does not see the runs, so a figure
            can be drawn again from its data.
        runs: The runs that it needs, by label.
    """

    measure: Callable[[Runs], Numbers]
    claims: tuple[Claim, ...]
    plot: Callable[[Numbers], Any]
    runs: Mapping[str, RunSpec] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class FigureEntry:
    """A registered figure; `minutes` is the expected time from an empty cache on `hardware`.

    With `uses_classifier` its claims hold only for a feature classifier (`jaxgan.evaluate.classifier`) that is trained
    in full.
    """

    id: str
    build: Callable[[], Figure]
    paper: str
    shows: str
    minutes: float | None
    hardware: str = CPU
    uses_classifier: bool = False

    @property
    def cost(self) -> str:
        """The expected time and hardware, in words."""
        return format_minutes(self.minutes, self.hardware)

    @property
    def is_long(self) -> bool:
        """Whether it takes more than `LONG_MINUTES`, or was not timed."""
        return self.minutes is None or self.minutes > LONG_MINUTES

    @property
    def command(self) -> str:
        """The command that makes the figure."""
        return f"{command_name()} figure {self.id}"


_register: dict[str, FigureEntry] = {}


def register(
    id: str,
    *,
    paper: str,
    shows: str,
    minutes: float | None,
    hardware: str = CPU,
    uses_classifier: bool = False,
) -> Callable[[Callable[[], Figure]], Callable[[], Figure]]:
    """Returns a decorator that registers `build() -> Figure` as `paper/figure`, see `FigureEntry`.

    Raises ValueError for a taken id.
    """

    def add(build: Callable[[], Figure]) -> Callable[[], Figure]:
        if id in _register:
            raise ValueError(f"figure {id} is registered twice")
        _register[id] = FigureEntry(id, build, paper, shows, minutes, hardware, uses_classifier)
        return build

    return add


def entries() -> dict[str, FigureEntry]:
    """Returns all figures by id. They are registered by the packages that register experiments."""
    registry.entries()
    return dict(sorted(_register.items()))


def get(id: str) -> FigureEntry:
    """Returns the figure of that id. Raises UserError with the closest ids if there is none."""
    known = entries()
    if id not in known:
        raise UserError(f"no figure {id!r}; {did_you_mean(id, known)}")
    return known[id]


def make(entry: FigureEntry, root: Path, devices: Devices, reduced: bool = False) -> dict[str, Any]:
    """Trains missing runs, measures, checks the claims, plots, and writes everything to root/ID.

    Runs are cached in root/cache by their config, so that figures share them. A result that was made from the same runs
    by the same code is returned as it is.

    Args:
        entry: The figure.
        root: The folder of all figures.
        devices: Where missing runs are trained.
        reduced: Runs of a few steps, to test that the figure can be made. Its claims mean nothing.

    Returns:
        The contents of result.json.
    """
    figure, folder, cache = entry.build(), root / entry.id, root / "cache"
    resolved = {label: spec.resolve(reduced) for label, spec in figure.runs.items()}
    inputs = _result_inputs(entry, resolved) | _environment() | {"reduced": reduced}
    previous = read_result(root, entry.id)
    if previous and _is_current(previous, inputs):
        return previous
    runs = {label: load_or_train(run, cache, devices) for label, run in resolved.items()}
    training = {label: _training_record(examined[-1].workdir) for label, examined in runs.items()}
    if any(record["git"] != inputs["git"] for record in training.values()):
        message = f"{entry.id}: some runs were trained by another commit; to train them again delete {cache}"
        print(message, file=sys.stderr)
    started = time.perf_counter()
    numbers = figure.measure(runs)
    claims = [claim.check(numbers) for claim in figure.claims]
    folder.mkdir(parents=True, exist_ok=True)
    draw(figure, numbers, folder)
    seconds = sum(record["seconds"] for record in training.values()) + time.perf_counter() - started
    made = {
        "trained": training,
        "seconds": round(seconds, 1),
        "hardware": workdir.hardware(),
        "date": datetime.date.today().isoformat(),
    }
    result = {
        "id": entry.id,
        "paper": entry.paper,
        "shows": entry.shows,
        "command": entry.command,
        "holds": all(claim["holds"] for claim in claims),
        "claims": claims,
        "numbers": to_json({name: x for name, x in numbers.items() if not isinstance(x, np.ndarray)}),
        "protocol": inputs | made,
    }
    np.savez(folder / "data.npz", **{name: x for name, x in numbers.items() if isinstance(x, np.ndarray)})
    atomic.write_text(folder / "result.json", json.dumps(result, indent=2) + "\n")
    return result


def _result_inputs(entry: FigureEntry, resolved: Mapping[str, ResolvedRun]) -> dict[str, Any]:
    """Returns what a figure is made from: its runs with their settings, and its own source."""
    return {
        "runs": {label: run.describe() for label, run in resolved.items()},
        "code": source_digest(entry.build),
    }


def _environment() -> dict[str, Any]:
    """Returns the commit and the versions, on which a result depends as well."""
    return {"git": workdir.git_commit(), "versions": workdir.versions()}


def _is_current(result: Mapping[str, Any], inputs: Mapping[str, Any]) -> bool:
    """Returns whether a result was made from the same inputs, by code that was committed."""
    return _has_inputs(result, inputs) and not (inputs["git"] or "").endswith("+")


def _has_inputs(result: Mapping[str, Any], inputs: Mapping[str, Any]) -> bool:
    protocol = result["protocol"]
    return {name: protocol.get(name) for name in inputs} == json.loads(json.dumps(inputs))


def is_stale(entry: FigureEntry, result: Mapping[str, Any]) -> bool:
    """Returns whether the settings of a figure's runs, or the figure's own source, have changed since a result."""
    resolved = {label: spec.resolve() for label, spec in entry.build().runs.items()}
    return not _has_inputs(result, _result_inputs(entry, resolved))


def is_made(entry: FigureEntry, root: Path) -> bool:
    """Returns whether `make` would return the last result as it is."""
    resolved = {label: spec.resolve() for label, spec in entry.build().runs.items()}
    previous = read_result(root, entry.id)
    inputs = _result_inputs(entry, resolved) | _environment() | {"reduced": False}
    return previous is not None and _is_current(previous, inputs)


def _training_record(folder: Path) -> dict[str, Any]:
    """Returns how long a run was trained, and by which commit."""
    return {
        "seconds": read_log(folder / "metrics.jsonl")[-1]["seconds"],
        "git": json.loads((folder / "config.json").read_text())["git"],
    }


def read_result(root: Path, id: str) -> dict[str, Any] | None:
    """Returns the last result of a figure, or None if it was never made. Raises UserError if it is damaged."""
    try:
        return json.loads((root / id / "result.json").read_text())
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise UserError(f"{root / id / 'result.json'} is damaged: {error}; delete it") from error


def load_or_train(run: ResolvedRun, cache: Path, devices: Devices) -> tuple[Run, ...]:
    """Returns the run at each of its examined steps, from the cache or trained as far as it is missing."""
    # Training and measuring share one experiment, and so its compiled sampler.
    entry = dataclasses.replace(run.entry, build=functools.cache(run.entry.build))
    folder = cache / entry.name / config_hash(entry.name, run.config)
    folder.mkdir(parents=True, exist_ok=True)
    with _lock(folder / ".figures"):  # Another process that needs the same run waits and then finds it trained.
        saved = {int(path.name) for path in (folder / "checkpoints").glob("[0-9]*") if path.name.isdigit()}
        if any(step not in saved for step in run.steps if 0 < step <= max(saved, default=0)):
            shutil.rmtree(folder / "checkpoints")  # It passed an examined step without saving it.
            (folder / "metrics.jsonl").unlink(missing_ok=True)
            saved = set()
        if max(run.steps) not in saved:
            print(f"training {entry.name} to step {max(run.steps):,} in {folder}", file=sys.stderr)
            train_entry(entry, run.config, folder, devices, keep=run.steps)
        try:
            return load_steps(folder, entry, run.config, run.steps)
        except SystemFailure as error:  # Damaged, or written by networks that have changed since.
            raise SystemFailure(f"{error}; to train it again delete {folder}") from error


@contextlib.contextmanager
def _lock(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def draw(figure: Figure, numbers: Numbers, folder: Path) -> None:
    """Writes figure.png and figure.pdf."""
    from jaxgan.render import plots  # Importing matplotlib takes a moment.

    with plots.style():
        fig = figure.plot(numbers)
        fig.savefig(folder / "figure.png", dpi=DPI)
        fig.savefig(folder / "figure.pdf")


def format_bound(claim: Mapping[str, Any]) -> str:
    """Returns the bounds of a checked claim, such as `≥ 0.8, ≤ 1.2`."""
    least, most = claim.get("least"), claim.get("most")
    if least == most:
        return f"= {least:g}"
    return ", ".join(f"{sign} {x:g}" for sign, x in (("≥", least), ("≤", most)) if x is not None)


def format_value(claim: Mapping[str, Any]) -> str:
    """Returns the measured number of a checked claim."""
    return "not finite" if claim["value"] is None else f"{claim['value']:.4g}"


def to_json(value: Any) -> Any:
    """Converts numbers, and lists and dicts of them, to what JSON can hold. NaN and infinities become None."""
    if isinstance(value, Mapping):
        return {name: to_json(x) for name, x in value.items()}
    if isinstance(value, list | tuple):
        return [to_json(x) for x in value]
    if isinstance(value, str | bool | int | None):
        return value
    value = float(value)
    return value if math.isfinite(value) else None
