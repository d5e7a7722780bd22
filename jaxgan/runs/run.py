"""Trained runs: train by name, load a work directory, sample and measure."""

import contextlib
import dataclasses
import functools
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import numpy as np
from jax.sharding import SingleDeviceSharding

from jaxgan.core import games
from jaxgan.core.game import TrainState
from jaxgan.errors import UserError, did_you_mean
from jaxgan.render.outputs import Images, Samples
from jaxgan.runs import registry
from jaxgan.runs.registry import Entry
from jaxgan.settings import check_values
from jaxgan.training import sampling
from jaxgan.training.experiment import ADDED_FIELDS, Config, Experiment, config_hash
from jaxgan.training.loop import TrainLoop, abstract_state, build_loop, run_key
from jaxgan.training.metric_log import read_log
from jaxgan.training.transfer import Start, matching_networks, transfer_weights
from jaxgan.training.workdir import (
    Identity,
    config_from_fields,
    protocol,
    read_record,
    saved_steps,
    stored_config,
)

if TYPE_CHECKING:
    from jaxgan.training.checkpoint import Checkpoints  # Importing Orbax takes a second.


@dataclasses.dataclass(frozen=True)
class Run:
    """A trained run: its settings, its state, and what can be done with them.

    Attributes:
        workdir: Its work directory.
        entry: Its experiment on the register.
        config: Its settings.
        experiment: What `entry.build(config)` returned.
        state: The state of all seeds. With several seeds all leaves but the step have a leading axis.
    """

    workdir: Path
    entry: Entry
    config: Config
    experiment: Experiment
    state: TrainState

    @property
    def step(self) -> int:
        """The number of steps taken."""
        return int(self.state.step)

    @functools.cached_property
    def seed_states(self) -> list[TrainState]:
        """The states of the seeds that were trained together, one by one."""
        return sampling.split_seeds(self.state, self.config.seeds)

    def sample(
        self,
        n: int,
        seed: int = 0,
        member: int = 0,
        labels: Sequence[int] | None = None,
        *,
        backward: bool = False,
        **options: Any,
    ) -> Samples:
        """Draws samples with averaged parameters, in the type of `experiment.output`.

        Images are uint8 [n, H, W, C] and points float32 [n, D]. `jaxgan.render.outputs` has all kinds.

        Sample i depends on `seed`, i and its label alone, not on n.

        Args:
            n: How many, at least 1.
            seed: Seed of the latents.
            member: Which of the seeds that were trained together, from 0.
            labels: The class of each sample, for class-conditional experiments. By default i % classes.
            backward: Translate held-out images in the other direction, for experiments that learn both.
            **options: Options that differ from `experiment.sample_options`.

        Raises UserError for a value out of range, for an unknown option, and if the run has no other direction.
        """
        self._check_request(n, seed, member, labels)
        experiment = self.translating(backward=True) if backward else self.experiment
        sampler = sampling.make_sampler(experiment, self._sample_options(options))
        return sampler(self.seed_states[member], n, seed, labels)

    def interpolate(
        self,
        n: int,
        frames: int,
        seed: int = 0,
        member: int = 0,
        labels: Sequence[int] | None = None,
        **options: Any,
    ) -> np.ndarray:
        """Returns images uint8 [n, frames, H, W, C] on the way from each of n samples to the next one.

        Arguments are those of `sample`, which draws the first frames; n is at most 63. Latents are interpolated along
        an arc, and the styles of StyleGAN2 along a line.

        Raises UserError for a value out of range, an unknown option, or an experiment that cannot interpolate.
        """
        self._check_request(n, seed, member, labels)
        if self.experiment.interpolate is None or not isinstance(self.experiment.output, Images):
            raise UserError(f"{self.entry.name} cannot interpolate; it needs a generator of images from latents")
        if n >= sampling.CHUNK or frames < 1:
            raise UserError(
                f"cannot interpolate {n} samples in {frames} frames; use 1 to 63 samples and 1 frame or more"
            )
        state, options = self.seed_states[member], self._sample_options(options)
        return sampling.interpolate(self.experiment, state, n, frames, seed, labels, options)

    def mix_grid(
        self,
        rows: int,
        columns: int,
        seed: int = 0,
        member: int = 0,
        labels: Sequence[int] | None = None,
        **options: Any,
    ) -> np.ndarray:
        """Returns images uint8 [1 + rows, 1 + columns, H, W, C] that mix the styles of samples (Karras et al. 2019).

        The image in row i and column j has the coarse features of the first image of row i and the fine ones of the
        first image of column j. These are samples 0, ..., rows + columns - 1, first the rows. The corner is white.

        Arguments are those of `sample`; the option `mix` is the first layer with the styles of the column, by default
        the middle one.

        Raises UserError for a value out of range, an unknown option, or a generator without styles.
        """
        if self.experiment.mix is None:
            raise UserError(f"{self.entry.name} cannot mix styles; its generator has none")
        if min(rows, columns) < 1:
            raise UserError(f"cannot mix styles in {rows} rows and {columns} columns; use 1 or more")
        self._check_request(rows + columns, seed, member, labels)
        state, options = self.seed_states[member], self._sample_options(options)
        return sampling.mix_grid(self.experiment, state, rows, columns, seed, labels, options)

    def _check_request(self, n: int, seed: int, member: int, labels: Sequence[int] | None) -> None:
        check_values(sampling.SampleSettings, n=n, seed=seed, member=member)
        self._check_member(member)
        classes = self.experiment.classes
        if labels is not None and not classes:
            raise UserError(f"{self.entry.name} has no classes, so it takes no labels")
        if labels is not None and (len(labels) != n or not all(0 <= label < classes for label in labels)):
            raise UserError(f"labels must be {n} numbers from 0 to {classes - 1}")

    def translate(self, images: np.ndarray, seed: int = 0, member: int = 0, *, backward: bool = False) -> np.ndarray:
        """Returns the translations of images uint8 [N, H, W, C], with averaged parameters.

        Images may have another size than those of training. Where the network needs a multiple of some number, they are
        padded by mirroring, and the translations are cropped. The translation of an image depends on the image and on
        `seed` alone, up to rounding.

        Args:
            images: The images.
            seed: Seed of the noise, for networks that have noise.
            member: Which of the seeds that were trained together, from 0.
            backward: Translate in the other direction, for experiments that learn both.

        Raises UserError if the run does not translate images, or not in this direction, and for images of another
        number of channels.
        """
        self._check_member(member)
        experiment = self.translating(backward)
        multiple, channels = experiment.inputs.multiple, experiment.inputs.shape[-1]
        if images.dtype != np.uint8 or images.ndim != 4 or images.shape[-1] != channels:
            kind = "grey images [N, H, W, 1]" if channels == 1 else "colour images [N, H, W, 3]"
            raise UserError(
                f"{self.entry.name} translates uint8 {kind}, not {images.dtype} arrays of shape {list(images.shape)}"
            )
        h, w = images.shape[1:3]
        padding = [(0, 0), (0, -h % multiple), (0, -w % multiple), (0, 0)]
        padded = np.pad(images, padding, mode="symmetric")
        out = sampling.make_translator(experiment)(self.seed_states[member], padded, seed)
        scale = out.shape[1] // padded.shape[1]
        return out[:, : scale * h, : scale * w]

    def translating(self, backward: bool = False) -> Experiment:
        """Returns the experiment whose samples are translations in one direction.

        Raises UserError if the run does not translate images, or not in this direction.
        """
        experiment = self.experiment.backward if backward else self.experiment
        if self.experiment.inputs is None:
            source = "labels and noise" if self.experiment.classes else "noise"
            raise UserError(f"{self.entry.name} makes images from {source}; it does not translate images")
        if experiment is None:
            raise UserError(f"{self.entry.name} learns to translate in one direction; leave out --backward")
        return experiment

    def network(self, name: str, member: int = 0) -> Callable[..., Any]:
        """Returns a network as a function of its inputs, in evaluation mode, with averaged parameters if there are any.

        Raises UserError for an unknown name.
        """
        self._check_member(member)
        networks = {network.name: network for network in self.experiment.game.networks}
        if name not in networks:
            raise UserError(f"{self.entry.name} has no network {name!r}; it has {', '.join(networks)}")
        return networks[name].bind(self.seed_states[member].with_ema(), train=False)

    def evaluate(self, samples: int = 10_000, seed: int = 0) -> dict[str, Any]:
        """Returns the experiment's own metrics of so many samples as `eval/name`, with the protocol they depend on.

        An experiment that translates images measures each held-out image at most once. Raises UserError for a value out
        of range.
        """
        check_values(sampling.EvaluationSettings, samples=samples, seed=seed)
        samples = sampling.evaluation_count(self.experiment, samples)
        values, _ = sampling.evaluate_state(self.experiment, self.state, self.config.seeds, samples, seed)
        return values | protocol(self.entry.name, self.config, step=self.step, samples=samples, sample_seed=seed)

    def metrics(self) -> dict[str, np.ndarray]:
        """Returns the log as arrays by name, float64 [T], or [T, K] for K seeds.

        All arrays have one entry per line of the log; a value that a line does not have is NaN.
        """
        records = read_log(self.workdir / "metrics.jsonl")
        columns: dict[str, list[Any]] = {name: [] for record in records for name in record}
        for record in records:
            for name, column in columns.items():
                value = record.get(name)
                column.append(value["seeds"] if isinstance(value, dict) else value)
        return {name: _log_column(column) for name, column in columns.items()}

    def _sample_options(self, changes: dict[str, Any]) -> Any:
        defaults = self.experiment.sample_options
        known = [] if defaults is None else [field.name for field in dataclasses.fields(defaults)]
        for name in changes:
            if name not in known:
                hint = f"; it has {', '.join(known)}" if known else ""
                raise UserError(f"{self.entry.name} has no sampling option {name!r}{hint}")
        if not changes:
            return defaults
        check_values(type(defaults), **changes)
        return dataclasses.replace(defaults, **changes)

    def _check_member(self, member: int) -> None:
        if not 0 <= member < self.config.seeds:
            raise UserError(f"member {member} is not in {self.workdir}, which has {self.config.seeds} seed(s)")


def _log_column(values: list[Any]) -> np.ndarray:
    """Stacks logged values, with NaN for those that are missing or were not finite."""
    width = max((len(value) for value in values if isinstance(value, list)), default=None)
    missing = None if width is None else [None] * width
    return np.array([missing if value is None else value for value in values], np.float64)


def train(
    name: str,
    *,
    workdir: str | Path | None = None,
    devices: int | None = None,
    **settings: Any,
) -> Run:
    """Trains a registered experiment and returns the run: `train("dcgan/digits", steps=500, seeds=4)`.

    Args:
        name: As `jaxgan.experiments()` lists it.
        workdir: Where the run is written; runs/NAME by default. A run that is already there is continued with its own
            settings.
        devices: How many devices to use; all by default.
        **settings: Settings that differ from those of the run, or else from `default_config`.

    Raises UserError for an unknown name or setting, and the errors of `jaxgan.training.trainer.train`.
    """
    entry = registry.get(name)
    known = [field.name for field in dataclasses.fields(entry.config)]
    for setting in settings:
        if setting not in known:
            raise UserError(f"{name} has no setting {setting!r}; {did_you_mean(setting, known)}")
    default = default_config(entry, workdir, settings.get("start_from"))
    return train_entry(entry, dataclasses.replace(default, **settings), workdir, devices)


def default_config(entry: Entry, workdir: str | Path | None = None, start_from: str | None = None) -> Config:
    """Returns the settings that need not be given: of the run in `workdir`, or a new run's.

    A new run has the experiment's defaults. If it starts from a run of the same experiment it has that run's settings.
    Raises UserError if a config.json is damaged.
    """
    stored = stored_config(Path(workdir or default_workdir(entry.name)), entry.name, entry.config)
    if stored is not None:
        return stored
    if start_from is not None and (source := stored_config(Path(start_from), entry.name, entry.config)) is not None:
        return dataclasses.replace(source, **{name: getattr(entry.config, name) for name in ADDED_FIELDS})
    return entry.config


def default_workdir(name: str) -> Path:
    """Returns runs/NAME."""
    return Path("runs") / name


def train_entry(
    entry: Entry, config: Config, workdir: str | Path | None = None, devices: Any = None, **options: Any
) -> Run:
    """Trains an experiment that need not be registered.

    Args:
        entry: The experiment.
        config: Its settings.
        workdir: runs/NAME by default.
        devices: A `Devices`, or how many devices to use; all by default.
        **options: `keep` and `profile` of `jaxgan.training.trainer.train`.
    """
    from jaxgan.training.devices import Devices
    from jaxgan.training.trainer import train  # Importing Orbax takes a second.

    config = config.resolved()
    devices = devices if isinstance(devices, Devices) else Devices.all(devices)
    workdir = Path(workdir or default_workdir(entry.name))
    start = None
    if config.start_from is not None and not saved_steps(workdir / "checkpoints"):
        config, start = _start(entry, config)
    elif config.start_from is not None and config.start_step is None:  # The step that was the newest then.
        stored = stored_config(workdir, entry.name, entry.config)
        config = dataclasses.replace(config, start_step=stored and stored.start_step)
    experiment = build(entry, config)
    state = train(entry.name, experiment, config, workdir, devices, start=start, **options)
    return Run(workdir, entry, config, experiment, state)


def build(entry: Entry, config: Config) -> Experiment:
    """Returns an experiment, with the parameters frozen that `config.freeze` names. Raises UserError for a bad name."""
    experiment = entry.make(config)
    if not config.freeze:
        return experiment
    return dataclasses.replace(experiment, game=games.freeze(experiment.game, config.freeze))


def _start(entry: Entry, config: Config) -> tuple[Config, Start]:
    """Loads the run that `config.start_from` names. Returns the config with its step, and its weights to start from."""
    folder = Path(config.start_from)
    source_entry, source_config = read_config(folder)
    if config.start_step is None:
        source = load_newest(folder, source_entry, source_config)
    else:
        (source,) = load_steps(folder, source_entry, source_config, [config.start_step])
    if source_config.seeds != config.seeds:
        raise UserError(f"{folder} has {source_config.seeds} seed(s); start from it with --seeds {source_config.seeds}")
    experiment, _, shapes = _restore_target(entry, config)
    taken = matching_networks(source.state, shapes)
    others = [name for name in shapes.params if name not in taken]
    if not taken:
        raise UserError(f"no network of {source_entry.name} in {folder} has the name and shape of one of {entry.name}")
    fresh = f"; fresh: {', '.join(others)}" if others else ""
    print(f"starting from step {source.step} of {folder}: {', '.join(taken)}{fresh}", file=sys.stderr)
    state = jax.device_get(source.state)
    into = lambda fresh: transfer_weights(state, fresh, experiment.game, config.seeds)
    record = {"run": config.start_from, "name": source_entry.name, "step": source.step}
    record |= {"hash": config_hash(source_entry.name, source_config), "taken": taken, "fresh": others}
    return dataclasses.replace(config, start_step=source.step), Start(into, record)


def load(workdir: str | Path) -> Run:
    """Loads the newest good checkpoint of a work directory. No code from it is run.

    Raises UserError if the directory holds no run, and SystemFailure if all its checkpoints are damaged.
    """
    return load_newest(Path(workdir), *read_config(Path(workdir)))


def read_config(workdir: Path) -> tuple[Entry, Config]:
    """Returns the experiment and the settings of a work directory. Raises UserError if it holds no run."""
    if not workdir.is_dir():
        reason = "is not a folder" if workdir.exists() else "does not exist"
        raise UserError(f"{workdir} {reason}; give the work directory of a run")
    name, fields = read_record(workdir)
    entry = registry.get(name)
    return entry, config_from_fields(workdir, name, entry.config, fields)


def load_newest(workdir: Path, entry: Entry, config: Config) -> Run:
    """Loads the newest good checkpoint of a run whose experiment and settings are known."""
    experiment, _, like = _restore_target(entry, config)
    with contextlib.closing(_open_checkpoints(workdir, entry, config)) as checkpoints:
        newest = checkpoints.restore(like)
    if newest is None:
        raise UserError(f"{workdir} has no checkpoint yet")
    return Run(workdir, entry, config, experiment, newest.state)


def load_steps(workdir: Path, entry: Entry, config: Config, steps: Sequence[int]) -> tuple[Run, ...]:
    """Loads a run as it was at each of `steps`, whose checkpoints were kept. Step 0 is the initial state.

    Raises SystemFailure if a checkpoint is missing or damaged.
    """
    experiment, loop, like = _restore_target(entry, config)
    with contextlib.closing(_open_checkpoints(workdir, entry, config)) as checkpoints:
        states = [
            checkpoints.restore_step(step, like).state if step else jax.jit(loop.init)(run_key(config))
            for step in steps
        ]
    return tuple(Run(workdir, entry, config, experiment, state) for state in states)


def _open_checkpoints(workdir: Path, entry: Entry, config: Config) -> "Checkpoints":
    """Opens the checkpoints of a run for reading."""
    from jaxgan.training.checkpoint import Checkpoints  # Importing Orbax takes a second.

    return Checkpoints(workdir / "checkpoints", read_only=True, identity=Identity.of(entry.name, config))


def _restore_target(entry: Entry, config: Config) -> tuple[Experiment, TrainLoop, TrainState]:
    """Returns an experiment, its loop, and the abstract state to restore on the first device."""
    experiment = build(entry, config)
    loop = build_loop(experiment, config)
    return experiment, loop, abstract_state(loop, config, SingleDeviceSharding(jax.devices()[0]))
