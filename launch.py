"""Train, look at and measure GANs by name: `python launch.py VERB ...`."""

import concurrent.futures
import dataclasses
import functools
import itertools
import json
import os
import re
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np
import tyro

import experiments  # noqa: F401  Registers them.
import jaxgan
from jaxgan import figures, pictures, registry
from jaxgan.data import datasets
from jaxgan.data.folder import folder
from jaxgan.data.prepare import prepare
from jaxgan.errors import Problem, Stopped, Unmet
from jaxgan.parallel import Devices, Parallel

USAGE = """usage: python launch.py VERB ...

  list [--json]                 every experiment: paper, data, what it shows, how long it takes
  show NAME [--json]            its settings, networks, players and phases
  train NAME [--workdir DIR]    train it, or go on where it stopped; `train NAME --help` lists its settings
  evaluate WORKDIR              measure a run; --metrics fd prdc ... beside what it measures while it trains
  sample WORKDIR [--out FILE]   draw from a run, to a .png or an .npz
  figure [ID ...]               make a paper's figure and judge its claims; without an id, list them
  report [WORKDIR]              a run on one page of HTML; without WORKDIR, all figures that were made
  bench [NAME ...]              time whole training steps, beside PyTorch where it is installed; --help has the names
  data NAME                     prepare a data set of TFDS, or look at a folder of images, and show what is in it

`python launch.py VERB --help` says more."""


@dataclasses.dataclass(frozen=True)
class List:
    """Every experiment."""

    json: bool = False  # print a list of objects


@dataclasses.dataclass(frozen=True)
class Show:
    """What an experiment is made of."""

    name: tyro.conf.Positional[str]  # as `list` gives it
    json: bool = False  # print an object


@dataclasses.dataclass(frozen=True)
class Where:
    """Where a run is written and what computes it; the result does not depend on it, but for rounding."""

    workdir: Path | None = None  # all is written here; runs/NAME if not given
    data_dir: Path | None = None  # where data sets of TFDS are; $JAXGAN_DATA_DIR or ~/tensorflow_datasets if not given
    parallel: Parallel = "shard_map"  # how rounds are compiled for several devices
    devices: int | None = None  # how many to use; all if not given
    profile: bool = False  # trace a stretch of training into WORKDIR/profile, for TensorBoard or ui.perfetto.dev
    coordinator: str | None = None  # HOST:PORT of process 0, or `auto` to ask the cluster's environment
    processes: int | None = None  # how many processes there are, unless the environment says
    process: int | None = None  # which of them this one is, unless the environment says


@dataclasses.dataclass(frozen=True)
class Evaluate:
    """Measure a run, and append what was found to its evaluations.jsonl."""

    workdir: tyro.conf.Positional[Path]
    metrics: tuple[str, ...] = ()  # by name, such as `fd prdc`; the experiment's own if not given
    samples: int = 10_000  # how many to draw
    reals: int | None = None  # how many real images to compare with, drawn at random; all if not given
    data_dir: Path | None = None  # where data sets of TFDS are; $JAXGAN_DATA_DIR or ~/tensorflow_datasets if not given
    inception_weights: Path | None = None  # of fid, kid and is; the published ones are fetched if not given
    seed: int = 0  # of the samples
    json: bool = False  # print an object, or with --metrics a list of them


@dataclasses.dataclass(frozen=True)
class Sample:
    """Draw from a run."""

    workdir: tyro.conf.Positional[Path]
    n: int = 64  # how many to draw
    seed: int = 0  # of the samples
    member: int = 0  # which of the seeds that were trained together, from 0 on
    out: Path | None = None  # a .png or an .npz; WORKDIR/samples.png if not given


@dataclasses.dataclass(frozen=True)
class Figure:
    """Make figures of papers, and judge what the papers claim. Exit code 4 if a claim does not hold."""

    ids: tyro.conf.Positional[tuple[str, ...]] = ()  # `paper/figure`, or `all`; none lists them
    workdir: Path = Path("runs/figures")  # a folder for each id, and the runs they are made of in cache/
    data_dir: Path | None = None  # where data sets of TFDS are; $JAXGAN_DATA_DIR or ~/tensorflow_datasets if not given
    devices: int = 1  # how many to train on
    jobs: int = 1  # how many figures to make at a time; most keep one core busy
    json: bool = False  # print a list of objects


@dataclasses.dataclass(frozen=True)
class Report:
    """Write report.html, which needs no other file: of a run, or of every figure that was made."""

    workdir: tyro.conf.Positional[Path] = Path("runs/figures")  # of a run, or where the figures are
    out: Path | None = None  # the folder to write to; WORKDIR if not given


@dataclasses.dataclass(frozen=True)
class Data:
    """Prepare a data set if it is not there, and show what is in it: shape, range, mean, classes."""

    name: tyro.conf.Positional[str]  # `mnist` or another of TFDS's names, or a folder of images, each subfolder a class
    split: str = "train"  # of a TFDS data set, as TFDS writes it
    data_dir: Path | None = None  # where TFDS keeps them; $JAXGAN_DATA_DIR or ~/tensorflow_datasets if not given
    feature: str = "image"  # what TFDS calls the images, such as input_image where there are pairs
    size: int | None = None  # side of the square that images are cropped and resized to; a folder needs it
    channels: int = 3  # of the images of a folder, 1 or 3
    refuse: bool = False  # fail where a file of a folder is no good image, instead of leaving it out
    json: bool = False  # print an object


def list_(options: List) -> None:
    """Print the register."""
    rows = [
        {f: getattr(e, f) for f in ("name", "paper", "dataset", "shows", "cost")} for e in registry.entries().values()
    ]
    if options.json:
        print(json.dumps(rows, indent=2))
        return
    idea = lambda row: (row["paper"], row["shows"])
    wide = {field: max(len(row[field]) for row in rows) + 2 for field in ("name", "dataset")}
    for (paper, shows), group in itertools.groupby(sorted(rows, key=idea), idea):
        print(f"{shows} [{paper}]")
        for row in group:
            print("  " + "".join(f"{row[field]:{width}}" for field, width in wide.items()) + row["cost"])


def show(options: Show) -> None:
    """Print an experiment."""
    entry = registry.get(options.name)
    about = registry.summary(entry)
    if options.json:
        print(json.dumps(about, indent=2))
        return
    print(f"{entry.name}: {entry.shows}\n{entry.paper}; {entry.dataset}; {entry.cost}\n")
    for part in ("config", "networks", "players", "phases"):
        print(part)
        for row in about[part]:
            name, *rest = row.values()
            shown = [str(value) if isinstance(value, float) else _cell(value) for value in rest]
            print(f"  {name:18}" + "".join(f"{text:16}  " for text in shown).rstrip())
        print()


def train(name: str, where: Where, config: registry.Config) -> None:
    """Train, and say what was written where."""
    from jaxgan.train import train

    _look_in(where.data_dir)
    if where.coordinator:
        jax.config.update("jax_cpu_collectives_implementation", "gloo")
        known = (
            (None, None, None) if where.coordinator == "auto" else (where.coordinator, where.processes, where.process)
        )
        jax.distributed.initialize(*known)
    workdir = where.workdir or Path("runs") / name
    devices = Devices.take(where.devices, where.parallel)
    run = train(registry.get(name), config, workdir, devices, profile=where.profile)
    if jax.process_index() == 0:
        last = max((workdir / "samples").iterdir()).name
        print(
            f"\n{name} is trained to step {run.step:,}. In {workdir}:\n"
            f"  samples/       pictures of {run.experiment.pictured} samples; the newest is {last}\n"
            f"  metrics.jsonl  losses and evaluations, a line every {config.log_every} steps\n"
            f"  checkpoints/   what `jaxgan.load('{workdir}')` reads\n"
            f"Next:\n"
            f"  python launch.py report {workdir}\n"
            f"  python launch.py evaluate {workdir}\n"
            f"  python launch.py sample {workdir} --n 256 --out samples.png\n"
            f"  python launch.py train {name} --workdir {workdir} --steps {2 * config.steps}"
        )


def _look_in(data_dir: Path | None) -> None:
    if data_dir:  # Processes that make figures side by side have it too.
        os.environ["JAXGAN_DATA_DIR"] = str(data_dir)


def evaluate(options: Evaluate) -> None:
    """Measure a run."""
    from jaxgan.evaluate import measures, records
    from jaxgan.evaluate.reals import Reals

    _look_in(options.data_dir)
    measures.get(options.metrics)
    run, drawn = jaxgan.load(options.workdir), {}
    if options.metrics:
        reals = Reals(run.experiment.data, options.reals, options.inception_weights)
        found, drawn = records.measure(run, options.metrics, reals, options.samples, options.seed)
    else:
        found = [run.evaluate(options.samples, options.seed)]
    with (options.workdir / "evaluations.jsonl").open("a") as file:
        file.writelines(json.dumps(record) + "\n" for record in found)
    for name, picture in drawn.items():
        pictures.save(picture, options.workdir / f"{name}.png")
    if options.json:
        print(json.dumps(found if options.metrics else found[0], indent=2))
        return
    first = found[0]
    print(f"{first['name']} at step {first['step']}, {options.samples} samples, config {first['hash']}")
    for record in found:
        if "metric" in record:
            print(f"  {record['metric']:26}{_cell(record['value']):14}{_by(record)}")
            continue
        for name, value in record.items():
            if name.startswith("eval/"):
                print(f"  {name.removeprefix('eval/'):18}{_cell(value)}")
    for name in drawn:
        print(f"  {options.workdir / name}.png")


def _by(record: dict[str, Any]) -> str:
    """By what a number was taken, in a few words."""
    marks = [record["evaluator"]]
    marks += [f"accuracy {record['accuracy']:.4f}"] if "accuracy" in record else []
    marks += [f"{record['n_real']:,} reals"] if "n_real" in record else []
    marks += [f"{record['expected_coverage']} expected"] if record["metric"] == "coverage" else []
    return ", ".join(marks)


def sample(options: Sample) -> None:
    """Draw from a run."""
    out = options.out or options.workdir / "samples.png"
    if out.suffix not in (".png", ".npz"):
        raise Problem(f"--out {out} must end in .png or .npz")
    run = jaxgan.load(options.workdir)
    samples = run.sample(options.n, options.seed, options.member)
    try:
        if out.suffix == ".npz":
            np.savez(out, samples=samples)
        else:
            pictures.save(run.experiment.picture(samples), out)
    except OSError as error:
        raise Problem(f"cannot write {out}: {error.strerror}") from error
    print(f"{out}: {options.n} samples of {run.entry.name} at step {run.step}")


def figure(options: Figure) -> None:
    """Make figures, or list them."""
    _look_in(options.data_dir)
    found = figures.entries()
    if not options.ids:
        last = {id: figures.read(options.workdir, id) for id in found}
        if options.json:
            about = [{f: getattr(e, f) for f in ("id", "paper", "shows", "cost")} for e in found.values()]
            print(json.dumps([row | {"last": last[row["id"]]} for row in about], indent=2))
            return
        for entered in found.values():
            print(f"{entered.id:24}{entered.cost:24}{_standing(last[entered.id])}")
            print(f"    {entered.shows} [{entered.paper}]")
        return
    chosen = list(found) if options.ids == ("all",) else [figures.get(id).id for id in options.ids]
    results, problems = [], []
    for id, made in (_in_turn if options.jobs == 1 else _side_by_side)(chosen, options):
        if isinstance(made, Problem):  # The other figures may still be made.
            problems.append(made)
            print(f"{id}: {made}", file=sys.stderr)
            continue
        results.append(made)
        if not options.json:
            print(f"{id}: {found[id].shows} [{found[id].paper}]")
            for claim in made["claims"]:
                mark = "holds" if claim["holds"] else "FAILS"
                print(f"  {mark}  {claim['text']}: {figures.measured(claim)} ({figures.bound(claim)})")
            print(f"  {options.workdir / id}/figure.png, figure.pdf, data.npz, result.json\n", flush=True)
    if options.json:
        print(json.dumps(results, indent=2))
    if problems:
        problems[0].args = (f"{len(problems)} of {len(chosen)} figures could not be made",)
        raise problems[0]
    if failed := [result["id"] for result in results if not result["holds"]]:
        raise Unmet(f"claims fail in {len(failed)} of {len(chosen)} figures: {', '.join(failed)}")


Made = Iterator[tuple[str, dict[str, Any] | Problem]]


def _in_turn(ids: list[str], options: Figure) -> Made:
    devices = Devices.take(options.devices)
    for id in ids:
        try:
            yield id, figures.make(figures.get(id), options.workdir, devices)
        except Stopped:
            raise
        except Problem as problem:
            yield id, problem


def _side_by_side(ids: list[str], options: Figure) -> Made:
    """Make each figure by a process of its own, some at a time, and without a word of their progress.

    They share out the cores: on the CPU small networks lose more to threads that wait for each other than they gain.
    """
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    turns = itertools.count()

    def take_share() -> None:  # Of a thread, and what it starts has the same.
        if cores:
            os.sched_setaffinity(0, cores[next(turns) % len(cores) :: options.jobs])

    words = [sys.executable, __file__, "figure", "--json", "--workdir", options.workdir, "--devices", options.devices]

    def make(id: str) -> dict[str, Any] | Problem:
        done = subprocess.run([*map(str, words), id], capture_output=True, text=True, check=False)
        if done.returncode in (0, Unmet.exit_code):
            return json.loads(done.stdout)[0]
        said = done.stderr.strip().splitlines()
        why = next((line for line in said if line.startswith(f"{id}: ")), said[-1])
        problem = Problem(why.removeprefix(f"{id}: "))
        problem.exit_code = done.returncode
        return problem

    def seconds(id: str) -> float:
        cost = re.match(r"(\d+) (s|min|h)", figures.get(id).cost)
        return float(cost[1]) * {"s": 1, "min": 60, "h": 3600}[cost[2]] if cost else 0.0

    with concurrent.futures.ThreadPoolExecutor(options.jobs, initializer=take_share) as pool:
        longest_first = sorted(ids, key=seconds, reverse=True)  # So that none is left alone at the end.
        made = {pool.submit(make, id): id for id in longest_first}
        try:
            for future in concurrent.futures.as_completed(made):
                yield made[future], future.result()
        finally:
            pool.shutdown(cancel_futures=True)  # After Ctrl-C, which those that run have got too, begin no other.


def _standing(result: dict[str, Any] | None) -> str:
    if result is None:
        return "not made yet"
    held = sum(claim["holds"] for claim in result["claims"])
    return f"{held} of {len(result['claims'])} claims hold ({result['protocol']['date']})"


def report(options: Report) -> None:
    """Write the report."""
    from jaxgan import report, run_report

    write = run_report.write if (options.workdir / "config.json").exists() else report.write
    out = write(options.workdir, options.out or options.workdir)
    print(f"{out}: open it in a browser")


def data(options: Data) -> None:
    """Show what a model would be trained on."""
    path, odd = Path(options.name), {}
    if path.is_dir():
        if options.size is None:
            raise Problem(f"say to which --size the images of {path} are to be cropped and resized, such as 64")
        found, odd = folder(path, options.size, options.channels, options.refuse)
    else:
        prepare(options.name, options.data_dir)
        found = datasets.records(
            options.name, options.split, size=options.size, feature=options.feature, directory=options.data_dir
        )
        found = found.whole() if datasets.fits(found) else found  # The whole is kept, decoded.
    about = datasets.statistics(found)
    if options.json:
        print(json.dumps(about | {"left_out": odd}, indent=2))
        return
    for file, why in odd.items():
        print(f"left out: {file} {why}", file=sys.stderr)
    for name, value in about.items():
        counts = ", ".join(f"{k} {v:,}" for k, v in value.items()) if isinstance(value, dict) else _cell(value)
        print(f"{name:10}{counts}")


VERBS: dict[str, tuple[type, Callable[[Any], None]]] = {
    "list": (List, list_),
    "show": (Show, show),
    "evaluate": (Evaluate, evaluate),
    "sample": (Sample, sample),
    "figure": (Figure, figure),
    "report": (Report, report),
    "data": (Data, data),
}


def main(words: list[str]) -> int:
    """Do what the words say; the exit code is 0, or what `jaxgan.errors` says."""
    warnings.showwarning = lambda message, *_, **__: print(f"warning: {message}", file=sys.stderr)
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "jaxgan" / "xla"
    if not jax.config.jax_compilation_cache_dir:
        jax.config.update("jax_compilation_cache_dir", str(cache))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.1)
    try:
        _parse(words)()
    except Problem as problem:
        print(f"{problem}", file=sys.stderr)
        return problem.exit_code
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # The reader has seen enough.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def _parse(words: list[str]) -> Callable[[], None]:
    verb, *rest = words or ["--help"]
    if verb in ("-h", "--help"):
        return lambda: print(USAGE)
    prog = f"launch.py {verb}"
    if verb in VERBS:
        kind, do = VERBS[verb]
        options = tyro.cli(kind, args=rest, prog=prog)
        return lambda: do(options)
    if verb == "bench":
        from benchmarks.__main__ import Options, main  # As slow to import as training is.

        return functools.partial(main, tyro.cli(Options, args=rest, prog=prog))
    if verb != "train":
        raise Problem(f"no verb {verb!r}; {registry.nearest(verb, [*VERBS, 'train', 'bench'])}")
    if not rest or rest[0].startswith("-"):
        raise Problem("train what? `python launch.py train NAME`; `python launch.py list` has the names")
    name, *rest = rest
    entry = registry.get(name)
    config = (type(entry.config), dataclasses.field(default=entry.config))
    job = dataclasses.make_dataclass("Job", [("where", Where, dataclasses.field(default=Where())), ("config", *config)])
    job.__doc__ = f"{entry.shows} {entry.paper}."
    chosen = tyro.cli(job, args=rest, prog=f"{prog} {name}", config=(tyro.conf.OmitArgPrefixes,))
    return lambda: train(name, chosen.where, chosen.config)


def _cell(value: Any) -> str:
    if isinstance(value, dict):
        median, low, high = (_cell(value[k]) for k in ("median", "low", "high"))
        return f"{median} ({low} to {high} over {len(value['seeds'])} seeds)"
    if isinstance(value, float):
        return f"{value:.4g}"
    return ", ".join(map(_cell, value)) if isinstance(value, list | tuple) else str(value)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
