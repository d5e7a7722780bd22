"""The verb train, whose options are those of the experiment."""

import argparse
import dataclasses
import os
import shlex
import socket
import sys
import time
import typing
from collections.abc import Collection, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, ClassVar

import jax
import tyro

from jaxgan.errors import SystemFailure, TrainingDiverged, UserError, command_name, first_line
from jaxgan.runs import registry
from jaxgan.runs.registry import Entry
from jaxgan.runs.run import Run, default_config, default_workdir, train_entry
from jaxgan.settings import Settings, setting, setting_metadata
from jaxgan.training.devices import Devices, ParallelMode
from jaxgan.training.experiment import Config
from jaxgan.training.workdir import saved_steps

CONNECT_SECONDS = 300
FLAGS = {"start_from": "from", "start_step": "step"}  # settings whose flag has another name


@dataclasses.dataclass(frozen=True)
class Train(Settings):
    """Train the experiment NAME, or continue its run with its own settings; `train NAME --help` lists them."""

    kept: ClassVar[str] = "a state that was saved before is kept, and the same command continues from it"

    workdir: Path | None = None  # where the run is written; runs/NAME by default
    data_dir: Path | None = None  # where TFDS data sets are; $JAXGAN_DATA_DIR or ~/tensorflow_datasets by default
    parallel: ParallelMode = "shard_map"  # how steps are compiled for several devices
    devices: int | None = setting(None, "how many devices to use; all by default")
    profile: bool = False  # trace a few steps into WORKDIR/profile, for TensorBoard or ui.perfetto.dev
    coordinator: str | None = None  # HOST:PORT of process 0, or `auto` to ask the cluster's environment
    processes: int | None = setting(None, "number of processes, unless the environment says")
    process: int | None = setting(None, "index of this process, unless the environment says", low=0)

    def __post_init__(self) -> None:
        super().__post_init__()
        given = [f"--{name}" for name in ("processes", "process") if getattr(self, name) is not None]
        if given and self.coordinator in (None, "auto"):
            raise UserError(f"{' and '.join(given)} need --coordinator HOST:PORT, the address of process 0")
        if self.process is not None and self.processes is not None and self.process >= self.processes:
            raise UserError(f"process {self.process} must be less than processes {self.processes}")
        if self.coordinator not in (None, "auto"):
            _check_address(self.coordinator)

    def train(self, entry: Entry, config: Config) -> None:
        """Trains, and prints what was written where."""
        use_data_dir(self.data_dir)
        if self.coordinator:
            self._join_processes()
        workdir = self.workdir or default_workdir(entry.name)
        devices = Devices.all(self.devices, self.parallel)
        try:
            run = train_entry(entry, config, workdir, devices, profile=self.profile)
        except TrainingDiverged as error:
            raise TrainingDiverged(f"{error}; {self._restart(entry, config, workdir)}") from error
        if jax.process_index() == 0:
            self._print_summary(run)

    def _restart(self, entry: Entry, config: Config, workdir: Path) -> str:
        """Returns a sentence part with a command that trains with lower learning rates after a run has diverged."""
        rates = {f.name: getattr(config, f.name) for f in dataclasses.fields(config) if f.name.split("_")[-1] == "lr"}
        words = ["train", entry.name, "--workdir", f"{workdir}-2"]
        words += [word for name, rate in rates.items() for word in (_flag(name), f"{rate / 2:.6g}")]
        if steps := saved_steps(workdir / "checkpoints"):
            words += ["--from", str(workdir), "--step", str(steps[-1])]
            what = "this starts a new run from there"
        else:
            words += _changed_settings(entry.config, config, [*rates, *FLAGS])
            what = "this starts anew"
        rate = " with half the learning rate" if rates else "; change a setting, such as a learning rate"
        return f"{what}{rate}: `{self._command(*words)}`"

    def _command(self, *words: str) -> str:
        """Returns a command of this program that finds the same experiments, and for some verbs the same data."""
        data = ["--data-dir", str(self.data_dir)] if self.data_dir and words[0] in ("train", "evaluate") else []
        imports = [word for file in registry.imported_files() for word in ("--import", str(file))]
        return f"{command_name()} {shlex.join([*words, *data, *imports])}"

    def _print_summary(self, run: Run) -> None:
        name, workdir, config = run.entry.name, str(run.workdir), run.config
        newest = max((path.name for path in (run.workdir / "samples").glob("[0-9]*")), default="none")
        suffix = run.experiment.output.preview_suffixes[0]
        commands = (
            self._command("report", workdir),
            self._command("evaluate", workdir),
            self._command("sample", workdir, "--n", "256", "--out", f"samples{suffix}"),
            self._command("train", name, "--workdir", workdir, "--steps", str(2 * config.steps)),
        )
        print(
            f"\n{name} is trained to step {run.step:,}. In {workdir}:\n"
            f"  samples/       previews of {run.experiment.preview_count} samples; the newest is {newest}\n"
            f"  metrics.jsonl  losses and evaluations, one line per {config.log_every} steps\n"
            f"  checkpoints/   read by `jaxgan.load({workdir!r})`\n"
            "Next:"
        )
        print("\n".join(f"  {command}" for command in commands))

    def _join_processes(self) -> None:
        jax.config.update("jax_cpu_collectives_implementation", "gloo")
        address = None if self.coordinator == "auto" else self.coordinator
        if address and self.process:
            _wait_for(address)
        try:
            jax.distributed.initialize(address, self.processes, self.process)
        except (RuntimeError, ValueError) as error:
            raise SystemFailure(
                f"could not join the other processes by --coordinator {self.coordinator}: {first_line(error)} "
                "Without a cluster that says so, give --coordinator HOST:PORT, --processes and --process."
            ) from error


def _wait_for(address: str) -> None:
    """Waits until process 0 answers. Raises SystemFailure after `CONNECT_SECONDS`, when JAX would end the process."""
    host, _, port = address.rpartition(":")
    deadline = time.monotonic() + CONNECT_SECONDS
    print(f"waiting for process 0 at {address}", file=sys.stderr)
    while True:
        try:
            with socket.create_connection((host.strip("[]"), int(port)), timeout=5):
                return
        except OSError as error:
            if time.monotonic() > deadline:
                raise SystemFailure(
                    f"process 0 did not answer at {address} for {CONNECT_SECONDS} seconds ({first_line(error)}); "
                    "start it, or correct --coordinator"
                ) from error
            time.sleep(0.5)


def _check_address(address: str) -> None:
    """Raises UserError unless `address` is HOST:PORT with a host that is known here."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or not 1 <= int(port) <= 65_535:
        raise UserError(f"--coordinator {address} must be HOST:PORT, the port from 1 to 65535, such as localhost:9876")
    try:
        socket.getaddrinfo(host.strip("[]"), int(port))
    except (OSError, UnicodeError) as error:
        raise UserError(f"--coordinator {address}: no host {host} is known here") from error


def train_command(arguments: list[str]) -> Any:
    """Returns the options of `train NAME`: those of `Train`, and the settings of the experiment NAME."""
    if not arguments or arguments[0].startswith("-"):
        command = command_name()
        raise UserError(f"train which experiment? `{command} train NAME`; `{command} list` shows the names")
    entry = registry.get(arguments[0])
    defaults = _defaults(entry, arguments[1:])

    def run(self: Any) -> None:
        self.run_options.train(entry, from_setting_fields(entry.config, self))

    run_options = ("run_options", Train, dataclasses.field(default=Train()))
    fields = [run_options, *setting_fields(defaults, FLAGS)]
    command = dataclasses.make_dataclass("train", fields, namespace={"run": run, "kept": Train.kept})
    command.__doc__ = f"{entry.shows} [{entry.paper}]"
    return command


def _defaults(entry: Entry, arguments: list[str]) -> Config:
    """Returns the settings that need not be given, see `default_config`."""
    if {"-h", "--help"} & set(arguments):
        return entry.config
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    parser.add_argument("--workdir", type=Path)
    parser.add_argument("--from", dest="start_from")
    try:
        parsed, _ = parser.parse_known_args(arguments)
    except argparse.ArgumentError:  # A flag without its value, which tyro explains.
        return entry.config
    return default_config(entry, parsed.workdir, parsed.start_from)


def _flag(name: str) -> str:
    return f"--{FLAGS.get(name, name).replace('_', '-')}"


def _changed_settings(defaults: Config, config: Config, without: Collection[str]) -> list[str]:
    """Returns the flags of the settings of `config` that differ from `defaults`."""
    words = []
    for name, value in dataclasses.asdict(config).items():
        if value == getattr(defaults, name) or name in without:
            continue
        if isinstance(value, bool):
            words.append(_flag(name) if value else _flag(f"no_{name}"))
        else:
            words += [_flag(name), *map(str, value if isinstance(value, tuple) else [value])]
    return words


def setting_fields(defaults: Any, flags: Mapping[str, str] = MappingProxyType({})) -> list[tuple[str, Any, Any]]:
    """Returns the fields of a dataclass of `setting`s for `dataclasses.make_dataclass`, with help for tyro.

    `flags` are names of flags that differ from those of the settings.
    """
    types = typing.get_type_hints(type(defaults))
    return [
        (
            name,
            Annotated[types[name], tyro.conf.arg(name=flags.get(name), help=metadata.get("help", ""))],
            dataclasses.field(default=getattr(defaults, name)),
        )
        for name, metadata in setting_metadata(type(defaults)).items()
    ]


def from_setting_fields(defaults: Any, command: Any) -> Any:
    """Returns `defaults` with the values that `command` has in its fields from `setting_fields`."""
    names = [field.name for field in dataclasses.fields(defaults)]
    return dataclasses.replace(defaults, **{name: getattr(command, name) for name in names})


def use_data_dir(data_dir: Path | None) -> None:
    """Makes `data_dir` the place of TFDS data sets, for this process and those that it starts."""
    if data_dir:
        os.environ["JAXGAN_DATA_DIR"] = str(data_dir)
