"""The verb benchmark."""

import dataclasses
from pathlib import Path

import tyro

from jaxgan.cli.train import use_data_dir
from jaxgan.training.devices import Devices


@dataclasses.dataclass(frozen=True)
class Benchmark:
    """Train every method on one data set with an equal budget of images, and compare them. Resumes method by method."""

    dataset: tyro.conf.Positional[str]  # the second part of the experiments' names, such as `digits`
    methods: tuple[str, ...] = ()  # the first parts, such as `lecam bcr`; all that are registered by default
    seeds: int = 5  # seeds of each method, trained in one program
    images: int = 320_000  # real images that a seed is shown in training
    samples: int = 2_000  # samples that are measured, of each seed
    width: int | None = None  # the setting `width` of all methods; their own by default
    batch_size: int | None = None  # examples per step of all methods; their own by default
    metrics: tuple[str, ...] = ("fd", "prdc", "balance")  # names of metrics; the first one sorts the table
    workdir: Path = Path("runs/benchmark")  # a folder for each data set and method
    data_dir: Path | None = None  # where TFDS data sets are; $JAXGAN_DATA_DIR or ~/tensorflow_datasets by default
    devices: int = 1  # how many devices to train on

    @property
    def kept(self) -> str:
        """What Ctrl-C leaves."""
        return f"methods that were measured are kept in {self.workdir}, and the same command continues"

    def run(self) -> None:
        """Runs what is missing and prints the table."""
        from jaxgan.reports import benchmark

        use_data_dir(self.data_dir)
        budget = benchmark.Budget(self.images, self.seeds, self.samples, self.width, self.batch_size)
        devices = Devices.all(self.devices)
        folder = benchmark.compare(self.dataset, self.methods, budget, self.metrics, self.workdir, devices)
        print((folder / "table.md").read_text())
        print(f"{folder}/results.json, table.md, figure.png")
