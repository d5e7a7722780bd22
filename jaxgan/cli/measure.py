"""The verbs that use a trained run: evaluate, sample."""

import dataclasses
import errno
import functools
import json
import os
import sys
from pathlib import Path
from typing import Any, ClassVar

import tyro

from jaxgan.cli import formatting
from jaxgan.cli.output import announce_folder, check_writable
from jaxgan.cli.train import from_setting_fields, setting_fields, use_data_dir
from jaxgan.errors import SystemFailure, UserError
from jaxgan.io import atomic
from jaxgan.render import pictures
from jaxgan.render.outputs import Images, Lines, Samples, Videos
from jaxgan.runs.run import Run, load, read_config
from jaxgan.settings import setting
from jaxgan.training.sampling import EvaluationSettings, SampleSettings

READ_ONLY = (errno.EROFS, errno.EACCES, errno.EPERM)  # A run that may only be read can still be measured.


@dataclasses.dataclass(frozen=True, kw_only=True)
class Evaluate(EvaluationSettings):
    """Measure a run, and append the results to its evaluations.jsonl."""

    kept: ClassVar[str] = "nothing was recorded, and what was computed about the real images stays in the cache"

    workdir: tyro.conf.Positional[Path]
    metrics: tuple[str, ...] = ()  # names such as `fd prdc`; by default the experiment's own
    data_dir: Path | None = None  # where TFDS data sets are; $JAXGAN_DATA_DIR or ~/tensorflow_datasets by default
    inception_weights: Path | None = None  # file for fid, kid and is; the published weights are fetched by default
    json: bool = False  # print an object, or with --metrics a list of objects

    def run(self) -> None:
        """Measures, writes and prints the results."""
        from jaxgan.evaluate import metrics

        use_data_dir(self.data_dir)
        metrics.get(self.metrics)  # Unknown names are reported before anything is loaded.
        records, images = self._measure()
        failure = self._write(records, images)  # Before printing, whose output may go to a pipe that is closed.
        self._print(records, images if failure is None else {})
        if failure is not None:
            sentence = f"the numbers were not recorded: {self.workdir} cannot be written: {failure.strerror}"
            if failure.errno not in READ_ONLY:
                raise SystemFailure(sentence) from failure
            print(sentence, file=sys.stderr)

    def _write(self, records: list[dict[str, Any]], images: dict[str, Any]) -> OSError | None:
        """Writes the results to the work directory. Returns the error if that is not possible."""
        try:
            lines = "".join(json.dumps(record) + "\n" for record in records)
            atomic.append_text(self.workdir / "evaluations.jsonl", lines)
            for name, image in images.items():
                pictures.save(image, self.workdir / f"{name}.png")
        except OSError as error:
            return error

    def _print(self, records: list[dict[str, Any]], images: dict[str, Any]) -> None:
        if self.json:
            print(json.dumps(records if "metric" in records[0] else records[0], indent=2))
            return
        first = records[0]
        count = first.get("samples", self.samples)
        print(f"{first['name']} at step {first['step']}, {count} samples, config {first['hash']}")
        for record in records:
            print("\n".join(_lines(record)))
        for name in images:
            print(f"  {self.workdir / name}.png")

    def _measure(self) -> tuple[list[dict[str, Any]], dict[str, Any]]:
        from jaxgan.evaluate import metrics
        from jaxgan.evaluate.reference import ReferenceSet
        from jaxgan.runs import records

        run = load(self.workdir)
        if not self.metrics and run.experiment.evaluate is not None:
            return [run.evaluate(self.samples, self.seed)], {}
        reference = ReferenceSet(run.experiment.data, self.reals, self.inception_weights)
        names = self.metrics
        if not names:
            names = metrics.default_names(reference)
            print(
                f"{run.entry.name} has no metrics of its own; measuring {', '.join(names)}. "
                "`--metrics fid kid is` measures by the Inception network, whose weights are downloaded once.",
                file=sys.stderr,
            )
        return records.measure(run, names, reference, self.samples, self.seed)


def _lines(record: dict[str, Any]) -> list[str]:
    """Returns what is printed of a record: one metric, or all `eval/` values of an experiment's own evaluation."""
    if "metric" in record:
        return [f"  {record['metric']:26}{formatting.cell(record['value']):14}{_short_protocol(record)}"]
    values = {name.removeprefix("eval/"): value for name, value in record.items() if name.startswith("eval/")}
    return [f"  {name:18}{formatting.cell(value)}" for name, value in values.items()]


def _short_protocol(record: dict[str, Any]) -> str:
    parts = [record["evaluator"]]
    if "accuracy" in record:
        parts.append(f"accuracy {record['accuracy']:.4f}")
    if "n_real" in record:
        parts.append(f"{record['n_real']:,} reals")
    if record["metric"] == "coverage":
        parts.append(f"{record['expected_coverage']} expected")
    return ", ".join(parts)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sample(SampleSettings):
    """Draw samples from a run; `sample WORKDIR --help` also lists the options of its experiment."""

    kept: ClassVar[str] = "no file was written"

    workdir: tyro.conf.Positional[Path]
    classes: tuple[int, ...] = setting((), "classes to draw from, in turn; all by default", low=0)
    interpolate: int | None = None  # frames from each sample to the next, as videos; only for images
    mix_grid: tuple[int, int] | None = None  # rows and columns of a grid that mixes styles, in place of --n; StyleGAN
    out: Path | None = None  # .npz, .png, .gif, .webp, .wav, .txt as the samples allow; in WORKDIR, or text is printed
    truncate: float | None = None  # draw entries of normal latents again that are beyond this number
    psi: float | None = None  # multiply latents by this number below 1, which moves them towards their mean
    direction: int | None = None  # move latents along this direction of the largest changes, 0 the first (SeFa)
    distance: float = 3.0  # how far, with --direction
    accept: float | None = None  # share of samples that the discriminator accepts, such as 0.2 (DRS)
    langevin: int = setting(0, "steps of Langevin dynamics on the latents (DDLS)", low=0)
    backward: bool = False  # translate held-out images in the other direction, which CycleGAN learns as well

    def run(self, **options: Any) -> None:
        """Writes the samples, or prints them; `options` are those of the experiment."""
        entry, config = read_config(self.workdir)
        output = Videos() if self.interpolate else entry.make(config).output
        if self.mix_grid is not None:
            output = Images(functools.partial(pictures.grid, columns=1 + self.mix_grid[1]))
        if self.out is None and isinstance(output, Lines):
            run = load(self.workdir)
            print("\n".join(output.lines(self._draw(run, options))))
            return
        out = self.out or self.workdir / f"samples{output.preview_suffixes[0]}"
        output.check_suffix(out)
        check_writable(out, "--out")
        announce_folder(out)
        run = load(self.workdir)
        if self.backward:
            output = run.translating(backward=True).output
        samples = self._draw(run, options)
        try:
            output.write(samples, out)
        except OSError as error:
            raise SystemFailure(f"cannot write {out}: {error.strerror}") from error
        print(f"{out}: {self._count} samples of {run.entry.name} at step {run.step}")

    @property
    def _count(self) -> int:
        """The number of samples that are drawn."""
        return sum(self.mix_grid) if self.mix_grid else self.n

    def _draw(self, run: Run, options: dict[str, Any]) -> Samples:
        from jaxgan.runs import refine

        chosen = {
            "--truncate": self.truncate,
            "--psi": self.psi,
            "--direction": self.direction,
            "--accept": self.accept,
            "--langevin": self.langevin or None,
            "--interpolate": self.interpolate,
            "--mix-grid": self.mix_grid,
            "--backward": self.backward or None,
        }
        if len(given := [flag for flag, value in chosen.items() if value is not None]) > 1:
            raise UserError(f"{' and '.join(given)} cannot be combined; use one of them")
        labels = [self.classes[i % len(self.classes)] for i in range(self._count)] if self.classes else None
        where = {"seed": self.seed, "member": self.member, "labels": labels}
        if self.truncate is not None:
            return refine.sample_truncated(run, self.n, self.truncate, **where)
        if self.psi is not None:
            return refine.sample_scaled(run, self.n, self.psi, **where)
        if self.direction is not None:
            return refine.sample_moved(run, self.n, self.direction, self.distance, **where)
        if self.accept is not None:
            return refine.sample_rejected(run, self.n, self.accept, **where)
        if self.langevin:
            return refine.sample_langevin(run, self.n, self.langevin, **where)
        if self.interpolate is not None:
            return run.interpolate(self.n, self.interpolate, **where, **options)
        if self.mix_grid is not None:
            images = run.mix_grid(*self.mix_grid, **where, **options)
            return images.reshape(-1, *images.shape[2:])
        return run.sample(self.n, self.seed, self.member, labels, backward=self.backward, **options)


def sample_command(arguments: list[str]) -> Any:
    """Returns the options of `sample WORKDIR`: those of `Sample`, and the sampling options of the run's experiment."""
    if not arguments or not os.path.exists(os.path.join(arguments[0], "config.json")):  # Path raises for long names.
        return Sample
    entry, config = read_config(Path(arguments[0]))
    defaults = entry.build(config).sample_options
    if defaults is None:
        return Sample

    def run(self: Any) -> None:
        options = from_setting_fields(defaults, self)
        self.sample_options.run(**{field.name: getattr(options, field.name) for field in dataclasses.fields(options)})

    fields = [("sample_options", Sample, dataclasses.field()), *setting_fields(defaults)]
    command = dataclasses.make_dataclass("sample", fields, namespace={"run": run, "kept": Sample.kept})
    command.__doc__ = Sample.__doc__
    return command
