"""Experiments by name: a frozen config, and a pure function that builds from it all that there is to train."""

import dataclasses
import difflib
import hashlib
import importlib.metadata
import inspect
import io
import json
import tokenize
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np
from jax import Array
from PIL import Image

from jaxgan.data.datasets import Images
from jaxgan.data.source import Source
from jaxgan.errors import Problem
from jaxgan.game import Game, Network, Phase


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config:
    """What every experiment has. Subclasses add their own fields; the comment behind a field is its help."""

    steps: int = 20_000  # how far to train; a step is one batch, and one move of the discriminator
    batch_size: int = 256  # examples a step, over all devices
    seed: int = 0  # all that is random follows from it
    seeds: int = 1  # how many to train in one program: seed, seed + 1, ...
    log_every: int = 500  # steps
    sample_every: int = 5_000  # steps, a multiple of log_every
    evaluate_every: int = 5_000  # steps, a multiple of log_every
    save_every: int = 5_000  # steps, a multiple of log_every

    def __post_init__(self) -> None:
        """Refuse what cannot be, in a sentence."""
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if field.name == "seed":
                if not 0 <= value < 2**31:
                    raise Problem(f"seed {value} must be between 0 and 2147483647")
            elif isinstance(value, int) and not isinstance(value, bool) and value < 1:
                raise Problem(f"{field.name} {value} must be at least 1")
            elif isinstance(value, float) and not 0 <= value < float("inf"):
                raise Problem(f"{field.name} {value} must be a finite number, not below 0")
        for name in PERIODS:
            if left := (period := getattr(self, name)) % self.log_every:
                use = " or ".join(str(n) for n in (period - left, period - left + self.log_every) if n)
                raise Problem(f"{name} {period} must be a multiple of log_every {self.log_every}; use {use}")


PERIODS = ("sample_every", "evaluate_every", "save_every")
FREE = ("steps", "log_every", *PERIODS)  # fields that do not change the path of training: a run may go on with others


def identity(config: Config) -> dict[str, Any]:
    """The fields that make a run what it is."""
    return {name: value for name, value in dataclasses.asdict(config).items() if name not in FREE}


def config_hash(name: str, config: Config) -> str:
    """Eight hexadecimal digits that differ where the experiment or its identity does."""
    text = json.dumps([name, identity(config)], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def describe(config: type[Config]) -> dict[str, str]:
    """The comment behind each field, in the order of the fields."""
    comments: dict[str, str] = {}
    for cls in reversed(config.__mro__[:-1]):
        name = None
        for token in tokenize.generate_tokens(io.StringIO(inspect.getsource(cls)).readline):
            if token.type == tokenize.NAME and token.string in cls.__annotations__ and token.start[1] == 4:
                name = token.string
            elif token.type == tokenize.COMMENT and name:
                comments[name] = token.string.lstrip("# ")
            elif token.type == tokenize.NEWLINE:
                name = None
    return {f.name: comments.get(f.name, "") for f in dataclasses.fields(config)}


@dataclasses.dataclass(frozen=True, eq=False)
class Experiment:
    """A game, what it is played on, and how its result is looked at."""

    game: Game
    source: Source
    sample: Callable[..., Array]  # (state, one key a sample [n], labels [n] if there are classes) -> samples; pure
    evaluate: Callable[[np.ndarray], Mapping[str, float]]  # samples as `finish` gives them -> metrics
    picture: Callable[[np.ndarray], Image.Image]
    pictured: int = 64  # samples in a picture
    classes: int = 0  # that samples can be asked of; sample i is of class i % classes unless others are asked
    data: Callable[[str], Images] | None = None  # split -> the images that samples are compared with


@dataclasses.dataclass(frozen=True)
class Entry:
    """An experiment on the register."""

    name: str
    config: Config
    build: Callable[[Any], Experiment]
    paper: str
    dataset: str
    shows: str
    cost: str  # how long it takes, and where


_register: dict[str, Entry] = {}


def register(name: str, config: Config, *, paper: str, dataset: str, shows: str, cost: str) -> Callable:
    """Put `build(config) -> Experiment` on the register under `name`, with `config` as its defaults.

    The name is `method/dataset`. Raises ValueError if it is taken.
    """

    def add(build: Callable[[Any], Experiment]) -> Callable[[Any], Experiment]:
        if name in _register:
            raise ValueError(f"experiment {name} is registered twice")
        _register[name] = Entry(name, config, build, paper, dataset, shows, cost)
        return build

    return add


def entries() -> dict[str, Entry]:
    """All experiments by name: those imported, and those of installed packages (entry point `jaxgan.experiments`)."""
    for point in importlib.metadata.entry_points(group="jaxgan.experiments"):
        point.load()
    return dict(sorted(_register.items()))


def get(name: str) -> Entry:
    """The experiment of that name. Raises Problem with the nearest names if there is none."""
    found = entries()
    if name not in found:
        raise Problem(f"no experiment {name!r}; {nearest(name, found)}")
    return found[name]


def summary(entry: Entry) -> dict[str, Any]:
    """What an experiment is made of: config, networks, players and phases as rows."""
    game, comments = entry.build(entry.config).game, describe(type(entry.config))
    owner = {network: name for name, player in game.players.items() for network in player.networks}
    return {
        **{name: getattr(entry, name) for name in ("name", "paper", "dataset", "shows", "cost")},
        "config": [
            {"name": name, "default": getattr(entry.config, name), "help": text} for name, text in comments.items()
        ],
        "networks": [_network(network) | {"owner": owner.get(network.name)} for network in game.networks],
        "players": [{"name": name, "networks": player.networks} for name, player in game.players.items()],
        "phases": [
            {"name": p.name, "player": p.player, "every": p.every, "start": p.start}
            | {"stop": None if p.stop == Phase.stop else p.stop}
            for p in game.phases
        ],
    }


def _network(network: Network) -> dict[str, Any]:
    params, buffers = jax.eval_shape(network.init, jax.random.key(0))
    apply = lambda params, buffers: network.module.apply({"params": params, **buffers}, *inputs, train=False)
    inputs = network.zeros()
    shapes = lambda tree: [["B", *x.shape[1:]] for x in jax.tree.leaves(tree)]
    return {
        "name": network.name,
        "module": type(network.module).__name__,
        "parameters": sum(x.size for x in jax.tree.leaves(params)),
        "inputs": shapes(inputs),
        "outputs": shapes(jax.eval_shape(apply, params, buffers)),
    }


def nearest(word: str, known: Mapping[str, Any]) -> str:
    """Say which known word was probably meant."""
    near = difflib.get_close_matches(word, known, 3, 0.5)
    near = near or [k for k in known if word in k.split("/")][:5]
    return f"did you mean {' or '.join(near)}?" if near else f"there are {', '.join(known)}"
