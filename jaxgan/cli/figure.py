"""The verbs figure and report."""

import concurrent.futures
import contextlib
import dataclasses
import itertools
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import tyro
from tqdm import tqdm

from jaxgan.cli.output import announce_folder, check_writable
from jaxgan.cli.total_progress import TotalProgress
from jaxgan.cli.train import use_data_dir
from jaxgan.errors import ClaimFailed, TrainingStopped, UserError
from jaxgan.reports import figures
from jaxgan.runs import registry
from jaxgan.settings import Settings, setting
from jaxgan.training.devices import Devices

SECONDS_TO_START = 5.0  # of a process that makes a figure
UNKNOWN_MINUTES = 60.0  # assumed for a figure that was not timed

Result = dict[str, Any]  # the contents of a result.json


@dataclasses.dataclass(frozen=True)
class Figure(Settings):
    """Make figures of papers and check the papers' claims. Exit code 4 if a claim does not hold."""

    ids: tyro.conf.Positional[tuple[str, ...]] = ()  # `paper/figure`, or `all`; without ids the figures are listed
    long: bool = False  # with `all`: also make the figures that take more than 15 minutes
    workdir: Path = Path("runs/figures")  # a folder for each id, and the runs that they share in cache/
    data_dir: Path | None = None  # where TFDS data sets are; $JAXGAN_DATA_DIR or ~/tensorflow_datasets by default
    devices: int = setting(1, "how many devices to train on")
    jobs: int = setting(1, "how many figures to make at a time; most keep one core busy", high=1_000)
    json: bool = False  # print a list of objects

    @property
    def kept(self) -> str:
        """What Ctrl-C leaves."""
        return f"finished figures and saved runs are kept in {self.workdir}, and the same command continues"

    def run(self) -> None:
        """Makes the figures and prints their claims."""
        use_data_dir(self.data_dir)
        if not self.ids:
            self._list()
            return
        check_writable(self.workdir / "result.json", "--workdir")
        ids = self._all() if self.ids == ("all",) else [figures.get(id).id for id in self.ids]
        results, errors = [], []
        with contextlib.closing(self._progress(ids)) as progress:
            make = self._make_in_parallel if self.jobs > 1 else self._make_in_turn
            for id, result in make(ids, progress):
                with tqdm.external_write_mode():
                    if isinstance(result, UserError):  # The other figures are made all the same.
                        errors.append(result)
                        print(f"{id}: {result}", file=sys.stderr)
                        continue
                    results.append(result)
                    if not self.json:
                        self._print(result)
        if self.json:
            print(json.dumps(results, indent=2))
        if errors:
            errors[0].args = (f"{len(errors)} of {len(ids)} figures could not be made",)
            raise errors[0]
        if failed := [result["id"] for result in results if not result["holds"]]:
            raise ClaimFailed(f"claims fail in {len(failed)} of {len(ids)} figures: {', '.join(failed)}")

    def _all(self) -> list[str]:
        """Returns all figures, without the long ones unless `long`."""
        left_out = [] if self.long else [id for id, entry in figures.entries().items() if entry.is_long]
        if left_out:
            limit = figures.LONG_MINUTES
            print(f"left out, because they take over {limit} min each: {', '.join(left_out)}", file=sys.stderr)
            print("make them by name, or with --long", file=sys.stderr)
        return [id for id in figures.entries() if id not in left_out]

    def _progress(self, ids: list[str]) -> TotalProgress:
        """Returns the progress of all figures. Those that need no work count a moment."""

        def seconds(id: str) -> float:
            entry = figures.get(id)
            try:
                made = figures.is_made(entry, self.workdir)
            except UserError:  # A damaged result; `make` reports it.
                made = True
            return SECONDS_TO_START + (0.0 if made else 60 * (entry.minutes or UNKNOWN_MINUTES))

        return TotalProgress({id: seconds(id) for id in ids}, self.jobs)

    def _list(self) -> None:
        results = {id: figures.read_result(self.workdir, id) for id in figures.entries()}
        if self.json:
            names = ("id", "paper", "shows", "minutes", "hardware")
            rows = [
                {name: getattr(entry, name) for name in names}
                | {"last": results[id], "stale": results[id] is not None and figures.is_stale(entry, results[id])}
                for id, entry in figures.entries().items()
            ]
            print(json.dumps(rows, indent=2))
            return
        for id, entry in figures.entries().items():
            print(f"{id:24}{entry.cost:24}{_status(entry, results[id])}\n    {entry.shows} [{entry.paper}]")

    def _print(self, result: Result) -> None:
        print(f"{result['id']}: {result['shows']} [{result['paper']}]")
        for claim in result["claims"]:
            status = "holds" if claim["holds"] else "FAILS"
            print(f"  {status}  {claim['text']}: {figures.format_value(claim)} ({figures.format_bound(claim)})")
        folder = self.workdir / result["id"]
        print(f"  {folder}/figure.png, figure.pdf, data.npz, result.json\n", flush=True)

    def _make_in_turn(self, ids: list[str], progress: TotalProgress) -> Iterator[tuple[str, Result | UserError]]:
        devices = Devices.all(self.devices)
        for id in ids:
            progress.start(id)
            try:
                result = figures.make(figures.get(id), self.workdir, devices)
            except TrainingStopped:
                raise
            except UserError as error:
                result = error
            progress.finish(id)
            yield id, result

    def _make_in_parallel(self, ids: list[str], progress: TotalProgress) -> Iterator[tuple[str, Result | UserError]]:
        """Makes each figure in a process of its own, `jobs` at a time, the longest first.

        The processes share out the CPU cores: small networks lose more to threads that wait for each other than they
        gain from them.
        """
        cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
        turns = itertools.count()

        def pin_thread() -> None:  # Processes that a thread starts inherit its cores.
            if cores:
                os.sched_setaffinity(0, cores[next(turns) % len(cores) :: self.jobs])

        longest_first = sorted(ids, key=lambda id: figures.get(id).minutes or 0.0, reverse=True)
        with concurrent.futures.ThreadPoolExecutor(self.jobs, initializer=pin_thread) as pool:
            futures = {pool.submit(self._make_in_process, id, progress): id for id in longest_first}
            try:
                for future in concurrent.futures.as_completed(futures):
                    yield futures[future], future.result()
            finally:
                pool.shutdown(cancel_futures=True)  # After Ctrl-C the processes have stopped: start no others.

    def _make_in_process(self, id: str, progress: TotalProgress) -> Result | UserError:
        options = ["--json", "--workdir", str(self.workdir), "--devices", str(self.devices)]
        options += [word for file in registry.imported_files() for word in ("--import", str(file))]
        progress.start(id)
        done = subprocess.run([*_this_program(), "figure", id, *options], capture_output=True, text=True, check=False)
        progress.finish(id)
        if done.returncode in (0, ClaimFailed.exit_code):
            return json.loads(done.stdout)[0]
        lines = done.stderr.strip().splitlines() or [f"ended with exit code {done.returncode}"]
        message = next((line for line in lines if line.startswith(f"{id}: ")), lines[-1])
        error = UserError(message.removeprefix(f"{id}: "))
        error.exit_code = done.returncode
        return error


def _this_program() -> list[str]:
    """Returns the command that starts this program again."""
    program = Path(sys.argv[0])
    is_script = program.suffix == ".py" and program.name != "__main__.py"
    return [sys.executable, str(program)] if is_script else [sys.executable, "-m", "jaxgan"]


def _status(entry: figures.FigureEntry, result: Result | None) -> str:
    if result is None:
        return "not made yet"
    holding = sum(claim["holds"] for claim in result["claims"])
    stale = ", stale: its code or settings have changed since" if figures.is_stale(entry, result) else ""
    return f"{holding} of {len(result['claims'])} claims hold ({result['protocol']['date']}{stale})"


@dataclasses.dataclass(frozen=True)
class Report(Settings):
    """Write report.html, a page that needs no other file, about a run or about every figure that was made."""

    kept: ClassVar[str] = "no page was written"

    workdir: tyro.conf.Positional[Path] = Path("runs/figures")  # of a run, or the folder of the figures
    out: Path | None = None  # the folder to write to; WORKDIR by default

    def run(self) -> None:
        """Writes the report."""
        from jaxgan.reports import figure_report, run_report

        out = self.out or self.workdir
        if not self.workdir.is_dir() and self.workdir != Path("runs/figures"):
            raise UserError(f"{self.workdir} does not exist or is not a folder; give the folder of a run or of figures")
        if self.workdir.is_dir():
            check_writable(out / "report.html", "--out")
            announce_folder(out / "report.html")
        is_run = (self.workdir / "config.json").exists()
        page = (run_report if is_run else figure_report).write(self.workdir, out)
        print(f"{page}: open it in a browser")
