"""The verbs that show what there is: list, show, data."""

import dataclasses
import itertools
import json
import sys
from pathlib import Path
from typing import ClassVar, Literal

import tyro

from jaxgan.cli import formatting
from jaxgan.cli.train import FLAGS
from jaxgan.data import datasets
from jaxgan.data.folders import MAX_SIZE, FileNotes, find_folder, load_folder
from jaxgan.data.prepare import prepare_tfds
from jaxgan.errors import UserError, did_you_mean
from jaxgan.runs import registry
from jaxgan.settings import Settings, setting


@dataclasses.dataclass(frozen=True)
class List(Settings):
    """Show every experiment: paper, data, what it shows, how long it takes."""

    kept: ClassVar[str] = "nothing was changed"

    task: str | None = None  # only experiments of this task, such as "images"
    paper: str | None = None  # only papers whose name contains this text
    max_minutes: float | None = None  # only experiments that are known to take at most so long
    json: bool = False  # print a list of objects

    def run(self) -> None:
        """Prints the experiments, grouped by task and paper."""
        entries = [entry for entry in registry.entries().values() if self._matches(entry)]
        if self.json:
            names = ("name", "task", "paper", "dataset", "shows", "minutes", "hardware")
            print(json.dumps([{name: getattr(entry, name) for name in names} for entry in entries], indent=2))
            return
        if not entries:
            tasks = sorted({entry.task for entry in registry.entries().values()})
            hint = f"; {did_you_mean(self.task, tasks)}" if self.task and self.task not in tasks else ""
            raise UserError(f"no experiment matches{hint}")
        widths = [max(len(getattr(entry, name)) for entry in entries) for name in ("name", "dataset")]
        by_task = lambda entry: entry.task
        by_idea = lambda entry: (entry.paper, entry.shows)
        for task, group in itertools.groupby(sorted(entries, key=by_task), by_task):
            print(f"\n{task.upper()}")
            for (paper, shows), members in itertools.groupby(sorted(group, key=by_idea), by_idea):
                print(f"  {shows} [{paper}]")
                for entry in members:
                    print(f"    {entry.name:{widths[0]}}  {entry.dataset:{widths[1]}}  {entry.cost}")

    def _matches(self, entry: registry.Entry) -> bool:
        short = self.max_minutes is None or (entry.minutes is not None and entry.minutes <= self.max_minutes)
        return short and self.task in (None, entry.task) and (self.paper or "").lower() in entry.paper.lower()


@dataclasses.dataclass(frozen=True)
class Show(Settings):
    """Show an experiment: its settings, networks with parameter counts, players and phases."""

    kept: ClassVar[str] = "nothing was changed"

    name: tyro.conf.Positional[str]  # as `list` shows it
    json: bool = False  # print an object

    def run(self) -> None:
        """Prints the experiment."""
        entry = registry.get(self.name)
        about = registry.describe_experiment(entry)
        if self.json:
            print(json.dumps(about, indent=2))
            return
        print(f"{entry.name}: {entry.shows}\n{entry.paper}; {entry.dataset}; {entry.cost}")
        about["config"] = [row | {"setting": FLAGS.get(row["setting"], row["setting"])} for row in about["config"]]
        for part in ("config", "networks", "players", "phases"):
            print(f"\n{part}\n{formatting.table(about[part])}")


@dataclasses.dataclass(frozen=True)
class Data(Settings):
    """Prepare a TFDS data set if necessary, or read a folder of images, and show what is in it."""

    kept: ClassVar[str] = "finished downloads are kept, and the same command continues"

    name: tyro.conf.Positional[str]  # a name of TFDS such as `mnist`, or a folder of images, each subfolder a class
    split: str = "train"  # split of a TFDS data set, as TFDS writes it
    data_dir: Path | None = None  # where TFDS data sets are; $JAXGAN_DATA_DIR or ~/tensorflow_datasets by default
    feature: str = "image"  # what TFDS calls the images, such as input_image in a set of pairs
    size: int | None = setting(
        None, "side of the square that images are cropped and resized to; required for a folder", high=MAX_SIZE
    )
    channels: Literal[1, 3] = setting(3, "channels of the images of a folder")
    refuse: bool = False  # fail if a file of a folder cannot be used, instead of leaving it out
    json: bool = False  # print an object

    def run(self) -> None:
        """Prints shape, range, mean and classes."""
        dataset, notes = self._load()
        about = datasets.describe(dataset)
        if self.json:
            print(json.dumps(about | notes._asdict(), indent=2))
            return
        for file, reason in notes.left_out.items():
            print(f"left out: {file} {reason}", file=sys.stderr)
        for sentence in notes._replace(left_out={}).sentences():
            print(sentence, file=sys.stderr)
        for name, value in about.items():
            is_histogram = isinstance(value, dict)
            text = ", ".join(f"{k} {v:,}" for k, v in value.items()) if is_histogram else formatting.cell(value)
            print(f"{name:10}{text}")

    def _load(self) -> tuple[datasets.ImageData, FileNotes]:
        path = find_folder(self.name)
        if path is not None:
            if self.size is None:
                raise UserError(f"give the --size that the images of {path} are cropped and resized to, such as 64")
            return load_folder(path, self.size, self.channels, self.refuse)
        prepare_tfds(self.name, self.data_dir)
        options = {"size": self.size, "feature": self.feature, "directory": self.data_dir}
        return datasets.load_or_open_tfds(self.name, self.split, **options), FileNotes({}, {})
