"""The register of experiments by name."""

import dataclasses
import importlib
import importlib.metadata
import importlib.util
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax

from jaxgan.core.game import Network, Phase
from jaxgan.errors import UserError, did_you_mean
from jaxgan.settings import setting_metadata
from jaxgan.training.experiment import Config, Experiment

CPU = "2 CPU cores"


@dataclasses.dataclass(frozen=True)
class Entry:
    """A registered experiment.

    Attributes:
        name: `method/dataset`.
        config: Its default settings.
        build: config -> Experiment.
        paper: Authors, year and arXiv number.
        dataset: The data in a few words.
        shows: What it demonstrates.
        task: The heading under which it is listed.
        minutes: Expected training time with default settings on `hardware`, or None if it is not known.
        hardware: What `minutes` refers to.
        test_settings: Settings with which the tests run it, beyond few steps of batches of 16 examples. A group of
            examples that must be on one device needs a larger batch: tests use up to eight devices.
    """

    name: str
    config: Config
    build: Callable[[Any], Experiment]
    paper: str = ""
    dataset: str = ""
    shows: str = ""
    task: str = ""
    minutes: float | None = None
    hardware: str = CPU
    test_settings: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def make(self, config: Config) -> Experiment:
        """Returns `build(config)`. Raises UserError instead of other errors if settings do not go together."""
        try:
            return self.build(config)
        except (ArithmeticError, ValueError) as error:
            raise UserError(f"{self.name} cannot be built with these settings: {error}") from error

    @property
    def cost(self) -> str:
        """The expected training time and hardware, in words."""
        return format_minutes(self.minutes, self.hardware)


def format_minutes(minutes: float | None, hardware: str) -> str:
    """Returns a duration in words: `3 s, 2 CPU cores`, `20 min, 2 CPU cores`, or `not measured, 1 GPU`."""
    if minutes is None:
        return f"not measured, {hardware}"
    for limit, unit, scale in ((1, "s", 60), (120, "min", 1), (float("inf"), "h", 1 / 60)):
        if minutes < limit:
            return f"{minutes * scale:.0f} {unit}, {hardware}"
    raise ValueError(f"minutes {minutes} must be finite")


_register: dict[str, Entry] = {}
_imported: list[Path] = []

Build = Callable[[Any], Experiment]


def register(
    name: str,
    config: Config,
    *,
    paper: str,
    dataset: str,
    shows: str,
    task: str,
    minutes: float | None,
    hardware: str = CPU,
    test_settings: Mapping[str, Any] | None = None,
) -> Callable[[Build], Build]:
    """Returns a decorator that registers `build(config) -> Experiment` under `name`, with `config` as its defaults.

    The other arguments are the attributes of `Entry`. Raises ValueError if the name is taken.
    """

    def add(build: Build) -> Build:
        if name in _register:
            raise ValueError(f"experiment {name} is registered twice")
        _register[name] = Entry(
            name, config, build, paper, dataset, shows, task, minutes, hardware, test_settings or {}
        )
        return build

    return add


def entries() -> dict[str, Entry]:
    """Returns all experiments by name: those imported, and those of installed packages.

    A package brings experiments by an entry point in the group `jaxgan.experiments`.
    """
    for point in importlib.metadata.entry_points(group="jaxgan.experiments"):
        point.load()
    return dict(sorted(_register.items()))


def get(name: str) -> Entry:
    """Returns the experiment of that name. Raises UserError with the closest names if there is none."""
    known = entries()
    if name not in known:
        raise UserError(f"no experiment {name!r}; {did_you_mean(name, known)}")
    return known[name]


def import_file(path: Path) -> None:
    """Imports a Python file, so that the experiments and figures in it are registered.

    Raises UserError if the file does not exist or cannot be imported.
    """
    if not os.path.isfile(path):  # `Path.is_file` raises for names that are too long.
        raise UserError(f"--import {path}: there is no such file")
    if path.suffix != ".py":
        raise UserError(f"--import {path}: the name of a Python file must end in .py")
    name = path.stem
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    sys.path.insert(0, str(path.parent.resolve()))
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise UserError(f"--import {path} failed: {type(error).__name__}: {error}") from error
    _imported.append(path)


def imported_files() -> tuple[Path, ...]:
    """Returns the files that `import_file` has imported, for commands that need them again."""
    return tuple(_imported)


def field_help(config: type[Config]) -> dict[str, str]:
    """Returns the help text of each setting, in the order of the fields."""
    return {name: metadata.get("help", "") for name, metadata in setting_metadata(config).items()}


def describe_experiment(entry: Entry) -> dict[str, Any]:
    """Returns an experiment's settings, networks, players and phases as lists of rows, for display or JSON."""
    game, help_texts = entry.build(entry.config).game, field_help(type(entry.config))
    owner = {network: name for name, player in game.players.items() for network in player.networks}
    about = ("name", "paper", "dataset", "shows", "task", "minutes", "hardware")
    return {
        **{name: getattr(entry, name) for name in about},
        "config": [
            {"setting": name, "default": getattr(entry.config, name), "meaning": text}
            for name, text in help_texts.items()
        ],
        "networks": [_describe_network(network) | {"player": owner.get(network.name)} for network in game.networks],
        "players": [{"player": name, "networks": player.networks} for name, player in game.players.items()],
        "phases": [
            {"phase": p.name, "player": p.player, "every": p.every, "start": p.start}
            | {"stop": None if p.stop == Phase.stop else p.stop}
            for p in game.phases
        ],
    }


def _describe_network(network: Network) -> Mapping[str, Any]:
    params, buffers = jax.eval_shape(network.init, jax.random.key(0))
    inputs = network.zero_inputs()
    outputs = jax.eval_shape(
        lambda p, b: network.module.apply({"params": p, **b}, *inputs, train=False), params, buffers
    )
    shapes = lambda tree: [["B", *x.shape[1:]] for x in jax.tree.leaves(tree)]
    return {
        "network": network.name,
        "module": type(network.module).__name__,
        "parameters": sum(x.size for x in jax.tree.leaves(params)),
        "inputs": shapes(inputs),
        "outputs": shapes(outputs),
    }
