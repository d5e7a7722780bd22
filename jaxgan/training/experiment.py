"""An experiment: the game to train, its data, and how its samples are drawn, shown and measured."""

import dataclasses
import hashlib
import json
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from jax import Array

from jaxgan.core.game import Game, TrainState
from jaxgan.data.datasets import ImageData
from jaxgan.data.sources import Source
from jaxgan.errors import UserError
from jaxgan.render.outputs import Output, Samples
from jaxgan.settings import INT32_MAX, Settings, setting


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(Settings):
    """The settings that every experiment has. Subclasses add their own fields with `setting`.

    Raises UserError for a value outside its range.
    """

    steps: int = setting(20_000, "training steps; a step is one batch and one discriminator update", high=10**9)
    batch_size: int = setting(256, "examples per step, over all devices", high=2**20)
    seed: int = setting(0, "seed of everything random", low=0)
    seeds: int = setting(1, "how many seeds to train in one program: seed, seed + 1, ...", high=4096)
    log_every: int = setting(500, "steps between lines of the log")
    sample_every: int = setting(5_000, "steps between previews; a multiple of log_every")
    evaluate_every: int = setting(5_000, "steps between evaluations; a multiple of log_every")
    save_every: int = setting(5_000, "steps between checkpoints; a multiple of log_every")
    start_from: str | None = setting(None, "work directory of a run whose networks this run starts from")
    start_step: int | None = setting(None, "step of that run; its newest checkpoint by default")
    freeze: tuple[str, ...] = setting((), "parameters that do not train, such as discriminator/Conv_0 or generator")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.seed + self.seeds - 1 > INT32_MAX:
            raise UserError(f"seed {self.seed} with seeds {self.seeds} goes beyond the last seed, {INT32_MAX:,}")
        for name in PERIOD_FIELDS:
            period = getattr(self, name)
            if remainder := period % self.log_every:
                below = period - remainder
                nearest = " or ".join(str(n) for n in (below, below + self.log_every) if n)
                raise UserError(f"{name} {period} must be a multiple of log_every {self.log_every}; use {nearest}")

    def resolved(self) -> "Config":
        """Returns the settings of a new run: those that depend on the machine, where they are None, are chosen."""
        return self


PERIOD_FIELDS = ("sample_every", "evaluate_every", "save_every")
RESUMABLE_FIELDS = ("steps", "log_every", *PERIOD_FIELDS)  # A resumed run may change these: training does not.

ADDED_FIELDS = ("start_from", "start_step", "freeze")  # Runs of older versions lack them, which means the default.


def identity_fields(config: Config) -> dict[str, Any]:
    """Returns the settings that determine the path of training: all but `RESUMABLE_FIELDS`.

    `ADDED_FIELDS` are left out at their default, so that the hashes of older runs stay as they are.
    """
    fields = {name: value for name, value in dataclasses.asdict(config).items() if name not in RESUMABLE_FIELDS}
    is_default = lambda name: name in ADDED_FIELDS and fields[name] == getattr(Config, name)
    return {name: value for name, value in fields.items() if not is_default(name)}


def config_hash(name: str, config: Config) -> str:
    """Returns eight hexadecimal digits that identify an experiment's name and its `identity_fields`."""
    text = json.dumps([name, identity_fields(config)], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:8]


class Evaluation(NamedTuple):
    """Metrics of samples, and how each of them was measured."""

    values: dict[str, float]
    protocols: dict[str, dict[str, Any]] = {}  # noqa: RUF012  By metric: evaluator, reference data, sample counts.


class Inputs(NamedTuple):
    """The images that an image-to-image experiment samples from, in place of latents.

    Attributes:
        load: Returns held-out images uint8 [M, H, W, C]. Sample i is made from image i % M.
        shape: [H, W, C] of these images.
        multiple: Number of which the heights and widths of images must be multiples.
    """

    load: Callable[[], np.ndarray]
    shape: tuple[int, ...]
    multiple: int = 1


@dataclasses.dataclass(frozen=True, eq=False)
class Experiment:
    """A game, its data, and how its samples are drawn, shown and measured.

    Attributes:
        game: The networks, players and phases.
        source: The batches that the game is trained on.
        sample: Pure function (state, keys [N], *given [N, ...], **options) -> samples [N, ...]. Given are labels if
            `classes` is not 0, and images to translate if there are `inputs`. Options are the fields of
            `sample_options`.
        evaluate: (samples, state) -> metrics of samples as `output.postprocess` returns them, and of the state. None if
            the experiment has no metrics of its own.
        output: The kind of the samples, with their type and the files that show them.
        preview_count: How many samples a preview shows.
        classes: Number of classes that can be requested; sample i has class i % classes unless labels are given.
        inputs: The images that samples are made from, if the experiment translates images.
        backward: For an experiment that learns to translate in both directions: the other direction of the same game.
        data: split name -> the real images that samples are compared with, if there are any.
        interpolate: Pure function (state, keys [N], other keys [N], t, *labels [N], **options) -> samples [N, ...] at
            the fraction t of the way between the latents of the two keys, or None.
        mix: Pure function (state, sources, style sources, **options) -> samples [N, ...] with the coarse features of
            one sample and the fine ones of another, or None. Sources are sequences of keys [N] and, if there are
            classes, labels [N].
        sample_options: None, or a frozen dataclass of `setting` fields with the default options of `sample`, such as a
            truncation, or which of several generators to use.
        latent: example keys -> the input of the network "generator" from which `sample` draws, if that is what it does.
    """

    game: Game
    source: Source
    sample: Callable[..., Array]
    evaluate: Callable[[Samples, TrainState], Evaluation] | None
    output: Output
    preview_count: int = 64
    classes: int = 0
    inputs: Inputs | None = None
    backward: "Experiment | None" = None
    data: Callable[[str], ImageData] | None = None
    interpolate: Callable[..., Array] | None = None
    mix: Callable[..., Array] | None = None
    sample_options: Any = None
    latent: Callable[[Array], Array] | None = None
