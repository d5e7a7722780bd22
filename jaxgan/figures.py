"""A figure is a claim: which runs it needs, what is measured on them, what the paper says of that, how it is drawn."""

import dataclasses
import datetime
import fcntl
import hashlib
import inspect
import json
import math
import os
import shutil
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from jaxgan import metrics, registry, run, workdir
from jaxgan.errors import Failed, Problem
from jaxgan.parallel import Devices
from jaxgan.registry import Config, Entry
from jaxgan.run import Run

DPI = 200  # of figure.png

Numbers = Mapping[str, Any]  # numbers, lists and dicts of numbers go to result.json, numpy arrays to data.npz
Looks = Mapping[str, tuple[Run, ...]]  # by the label of a need: the run at each of the steps asked for


@dataclasses.dataclass(frozen=True)
class Need:
    """A run that a figure needs: an experiment, the steps to look at it, and what differs from its defaults."""

    experiment: str | Entry  # by name, or one that is not on the register, because it is of use to a figure alone
    at: tuple[int, ...]
    fields: Mapping[str, Any]

    def resolve(self, reduced: bool = False) -> tuple[Entry, Config, tuple[int, ...]]:
        """The experiment, its config and the steps; reduced, as many looks at a run of as many steps."""
        entry = registry.get(self.experiment) if isinstance(self.experiment, str) else self.experiment
        at, fields = self.at, dict(self.fields)
        if reduced:
            at = tuple(range(len(at))) if 0 in at else tuple(range(1, len(at) + 1))
            fields |= {"seeds": min(fields.get("seeds", entry.config.seeds), 2)}
            fields |= {"batch_size": min(fields.get("batch_size", entry.config.batch_size), 16)}
        last = max(at)
        periods = dict.fromkeys(registry.PERIODS, last) | {"log_every": math.gcd(*at)}
        return entry, dataclasses.replace(entry.config, **fields, **periods, steps=last), at


def needs(experiment: str | Entry, *at: int, **fields: Any) -> Need:
    """The experiment with other `fields`, looked at after the steps `at`, of which 0 is before training."""
    return Need(experiment, at, fields)


@dataclasses.dataclass(frozen=True)
class Claim:
    """What a paper says: a number of the measurement lies between bounds. With several seeds their median does."""

    text: str
    number: str  # its key in what `measure` gave
    least: float = -math.inf
    most: float = math.inf

    def judge(self, numbers: Numbers) -> dict[str, Any]:
        """The claim beside the number that was measured; what is not a finite number does not hold."""
        value = metrics.middle(plain(numbers[self.number]))
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
    """`measure` is a function of runs alone, and `plot` of what it gave, so that a picture can be drawn again."""

    measure: Callable[[Looks], Numbers]
    claims: tuple[Claim, ...]
    plot: Callable[[Numbers], Any]  # -> matplotlib.figure.Figure, by `plots.panels`
    runs: Mapping[str, Need] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Entered:
    """A figure on the register."""

    id: str
    build: Callable[[], Figure]
    paper: str
    shows: str
    cost: str  # how long it takes, and where

    @property
    def command(self) -> str:
        """What makes it."""
        return f"python launch.py figure {self.id}"


_register: dict[str, Entered] = {}


def register(id: str, *, paper: str, shows: str, cost: str) -> Callable:
    """Put `build() -> Figure` on the register as `paper/figure`. Raises ValueError if the id is taken."""

    def add(build: Callable[[], Figure]) -> Callable[[], Figure]:
        if id in _register:
            raise ValueError(f"figure {id} is registered twice")
        _register[id] = Entered(id, build, paper, shows, cost)
        return build

    return add


def entries() -> dict[str, Entered]:
    """All figures by id: they are declared beside the experiments of their papers."""
    registry.entries()
    return dict(sorted(_register.items()))


def get(id: str) -> Entered:
    """The figure of that id. Raises Problem with the nearest ids if there is none."""
    found = entries()
    if id not in found:
        raise Problem(f"no figure {id!r}; {registry.nearest(id, found)}")
    return found[id]


def make(entered: Entered, root: Path, devices: Devices, reduced: bool = False) -> dict[str, Any]:
    """Train what is missing, measure, judge, draw; write all under root/id and return what result.json holds.

    Runs are kept in root/cache by their config, so that figures share them. A result that was made of the same runs by
    the same code is not made again. A reduced figure goes through the same moves with runs of a few steps; what it
    claims means nothing.
    """
    figure, folder, cache = entered.build(), root / entered.id, root / "cache"
    wanted = {label: need.resolve(reduced) for label, need in figure.runs.items()}
    asked = _asked(entered, wanted) | {"reduced": reduced}
    before = read(root, entered.id)
    if before and {k: before["protocol"].get(k) for k in asked} == asked and not (asked["git"] or "").endswith("+"):
        return before
    looks = {label: fetch(*want, cache, devices) for label, want in wanted.items()}
    trained = {label: _trained(seen[-1].workdir) for label, seen in looks.items()}
    if any(one["git"] != asked["git"] for one in trained.values()):
        print(f"{entered.id}: its runs were trained by another commit; to do that anew delete {cache}", file=sys.stderr)
    started = time.perf_counter()
    numbers = figure.measure(looks)
    claims = [claim.judge(numbers) for claim in figure.claims]
    folder.mkdir(parents=True, exist_ok=True)
    draw(figure, numbers, folder)
    seconds = sum(one["seconds"] for one in trained.values()) + time.perf_counter() - started
    result = {
        "id": entered.id,
        "paper": entered.paper,
        "shows": entered.shows,
        "command": entered.command,
        "holds": all(claim["holds"] for claim in claims),
        "claims": claims,
        "numbers": plain({name: x for name, x in numbers.items() if not isinstance(x, np.ndarray)}),
        "protocol": asked
        | {
            "trained": trained,
            "seconds": round(seconds, 1),
            "hardware": workdir.hardware(),
            "date": datetime.date.today().isoformat(),
        },
    }
    np.savez(folder / "data.npz", **{name: x for name, x in numbers.items() if isinstance(x, np.ndarray)})
    fresh = folder / "result.tmp"
    fresh.write_text(json.dumps(result, indent=2) + "\n")
    os.replace(fresh, folder / "result.json")
    return result


def _asked(entered: Entered, wanted: Mapping[str, tuple[Entry, Config, tuple[int, ...]]]) -> dict[str, Any]:
    """What a result depends on: where all of it is as before, so is the result."""
    describe = lambda entry, config, at: {
        "name": entry.name,
        "hash": registry.config_hash(entry.name, config),
        "config": registry.identity(config),
        "at": list(at),
    }
    return {
        "runs": {label: describe(*want) for label, want in wanted.items()},
        "code": hashlib.sha256(Path(inspect.getfile(entered.build)).read_bytes()).hexdigest()[:8],
        "git": workdir.git_commit(),
        "versions": workdir.versions(),
    }


def _trained(folder: Path) -> dict[str, Any]:
    """How long a run took, and by which commit."""
    return {
        "seconds": metrics.read(folder / "metrics.jsonl")[-1]["seconds"],
        "git": json.loads((folder / "config.json").read_text())["git"],
    }


def read(root: Path, id: str) -> dict[str, Any] | None:
    """The last result of a figure, if it was made."""
    try:
        return json.loads((root / id / "result.json").read_text())
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise Problem(f"{root / id / 'result.json'} is damaged: {error}; delete it") from error


def fetch(entry: Entry, config: Config, at: tuple[int, ...], cache: Path, devices: Devices) -> tuple[Run, ...]:
    """The run at each of the steps `at`, from the cache, trained as far as it is missing."""
    from jaxgan.train import train  # Orbax takes a second to import.

    folder = cache / entry.name / registry.config_hash(entry.name, config)
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".figures").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # Another process may need the same run: it waits, and finds it trained.
        seen = {int(path.name) for path in (folder / "checkpoints").glob("[0-9]*") if path.name.isdigit()}
        if any(step not in seen for step in at if 0 < step <= max(seen, default=0)):
            shutil.rmtree(folder / "checkpoints")  # It went past a step without a look.
            seen = set()
        if max(at) not in seen:
            print(f"training {entry.name} to step {max(at):,} in {folder}", file=sys.stderr)
            train(entry, config, folder, devices, keep=at)
        try:
            return run.at_steps(folder, entry, config, at)
        except Failed as error:  # Damaged, or made by networks that have changed since.
            raise Failed(f"{error}; to train it anew delete {folder}") from error


def draw(figure: Figure, numbers: Numbers, folder: Path) -> None:
    """Write figure.png and figure.pdf."""
    from jaxgan import plots

    with plots.style():
        page = figure.plot(numbers)
        page.savefig(folder / "figure.png", dpi=DPI)
        page.savefig(folder / "figure.pdf")


def bound(claim: Mapping[str, Any]) -> str:
    """What a judged claim asks of its number."""
    least, most = claim.get("least"), claim.get("most")
    if least == most:
        return f"= {least:g}"
    return ", ".join(f"{sign} {x:g}" for sign, x in (("≥", least), ("≤", most)) if x is not None)


def measured(claim: Mapping[str, Any]) -> str:
    """The number of a judged claim."""
    return "not finite" if claim["value"] is None else f"{claim['value']:.4g}"


def plain(value: Any) -> Any:
    """What JSON can hold of numbers, and of lists and dicts of them: what is not finite becomes null."""
    if isinstance(value, Mapping):
        return {name: plain(x) for name, x in value.items()}
    if isinstance(value, list | tuple):
        return [plain(x) for x in value]
    if isinstance(value, str | bool | int | None):
        return value
    value = float(value)
    return value if math.isfinite(value) else None
