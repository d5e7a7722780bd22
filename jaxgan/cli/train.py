"""The verb train, whose options are those of the experiment."""

import dataclasses
import os
import typing
from pathlib import Path
from typing import Annotated, Any

import jax
import tyro

from jaxgan.errors import UserError, command_name
from jaxgan.runs import registry
from jaxgan.runs.registry import Entry
from jaxgan.runs.run import Run, train_entry
from jaxgan.training.devices import Devices, ParallelMode
from jaxgan.training.experiment import Config, setting_metadata


@dataclasses.dataclass(frozen=True)
class Train:
    """Train the experiment NAME, or continue its run; `train NAME --help` lists its settings."""

    workdir: Path | None = None  # where the run is written; runs/NAME by default
    data_dir: Path | None = None  # where TFDS data sets are; $JAXGAN_DATA_DIR or ~/tensorflow_datasets by default
    parallel: ParallelMode = "shard_map"  # how steps are compiled for several devices
    devices: int | None = None  # how many devices to use; all by default
    profile: bool = False  # trace a few steps into WORKDIR/profile, for TensorBoard or ui.perfetto.dev
    coordinator: str | None = None  # HOST:PORT of process 0, or `auto` to ask the cluster's environment
    processes: int | None = None  # number of processes, unless the environment says
    process: int | None = None  # index of this process, unless the environment says

    def train(self, entry: Entry, config: Config) -> None:
        """Trains, and prints what was written where."""
        use_data_dir(self.data_dir)
        if self.coordinator:
            self._join_processes()
        run = train_entry(
            entry,
            config,
            self.workdir,
            Devices.all(self.devices, self.parallel),
            profile=self.profile,
        )
        if jax.process_index() == 0:
            _print_summary(run)

    def _join_processes(self) -> None:
        jax.config.update("jax_cpu_collectives_implementation", "gloo")
        address = None if self.coordinator == "auto" else self.coordinator
        options = (None, None) if address is None else (self.processes, self.process)
        jax.distributed.initialize(address, *options)


def train_command(arguments: list[str]) -> Any:
    """Returns the options of `train NAME`: those of `Train`, and the settings of the experiment NAME."""
    if not arguments or arguments[0].startswith("-"):
        command = command_name()
        raise UserError(f"train which experiment? `{command} train NAME`; `{command} list` shows the names")
    entry = registry.get(arguments[0])

    def run(self: Any) -> None:
        self.run_options.train(entry, from_setting_fields(entry.config, self))

    run_options = ("run_options", Train, dataclasses.field(default=Train()))
    fields = [run_options, *setting_fields(entry.config)]
    command = dataclasses.make_dataclass("train", fields, namespace={"run": run})
    command.__doc__ = f"{entry.shows} [{entry.paper}]"
    return command


def setting_fields(defaults: Any) -> list[tuple[str, Any, Any]]:
    """Returns the fields of a dataclass of `setting`s for `dataclasses.make_dataclass`, with help for tyro."""
    types = typing.get_type_hints(type(defaults))
    return [
        (
            name,
            Annotated[types[name], tyro.conf.arg(help=metadata.get("help", ""))],
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


def _print_summary(run: Run) -> None:
    command, name, workdir, config = command_name(), run.entry.name, run.workdir, run.config
    newest = max((workdir / "samples").iterdir()).name
    print(
        f"\n{name} is trained to step {run.step:,}. In {workdir}:\n"
        f"  samples/       previews of {run.experiment.preview_count} samples; the newest is {newest}\n"
        f"  metrics.jsonl  losses and evaluations, one line per {config.log_every} steps\n"
        f"  checkpoints/   read by `jaxgan.load('{workdir}')`\n"
        f"Next:\n"
        f"  {command} report {workdir}\n"
        f"  {command} evaluate {workdir}\n"
        f"  {command} sample {workdir} --n 256 --out samples.png\n"
        f"  {command} train {name} --workdir {workdir} --steps {2 * config.steps}"
    )
