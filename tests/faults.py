"""A campaign of faults against training and the command line: `python -m tests.faults --minutes 30`.

Four kinds of fault are tried in turn, each drawn from the seed and its number: a trainer is killed, a file of a run is
damaged, a file system is full, a command line is wrong. Afterwards the run is read, and its state is compared with that
of a run that was never disturbed. The campaign counts what is

* lost: a checkpoint that was complete before the fault cannot be restored, or the run cannot go on to the same log;
* silent: a state or a log that is wrong, or older than it was, without a warning or an error;
* a traceback: an error that is not a sentence.
"""

import collections
import contextlib
import dataclasses
import datetime
import io
import json
import math
import multiprocessing
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import Any
from unittest import mock

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # Trainers are forked from a process without threads.

import optax
import tyro

from jaxgan.cli.main import VERBS, main
from jaxgan.core import losses, penalties, prng
from jaxgan.data import synthetic
from jaxgan.errors import UserError
from jaxgan.networks import mlp
from jaxgan.runs import registry, targets
from jaxgan.runs.run import load, load_steps, train_entry
from jaxgan.training import experiment, monitor
from jaxgan.training.checkpoint import checksums
from jaxgan.training.experiment import Experiment, setting
from jaxgan.training.metric_log import read_log
from jaxgan.training.workdir import git_commit, hardware, saved_steps, versions

NAME = "faults/ring"
SAVE_EVERY = 10
STEPS = 400
CHILD_SECONDS = 120  # after which a trainer that neither ends nor was killed counts as lost
EXIT_CODES = {0, 1, 2, 3, 4, 128 + signal.SIGINT, 128 + signal.SIGTERM}
WEIGHTS = {"kills": 0.45, "damages": 0.3, "full disks": 0.1, "bad commands": 0.15}  # shares of the time


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(experiment.Config):
    """Settings of a run that is small and saves often."""

    steps: int = STEPS
    batch_size: int = 16
    log_every: int = SAVE_EVERY
    sample_every: int = 50
    evaluate_every: int = 50
    save_every: int = SAVE_EVERY
    width: int = setting(8, "units of a hidden layer")


def build(config: Config) -> Experiment:
    """Returns small fully connected networks on a ring of Gaussians."""
    adam = optax.adam(1e-3, b1=0.5)
    return targets.density(synthetic.ring()).two_player(
        config,
        mlp.Generator((2,), config.width, depth=1),
        mlp.Critic(config.width, depth=1),
        losses.non_saturating,
        prng.normal_latent(2),
        g_optimizer=adam,
        d_optimizer=adam,
        penalty=penalties.r1,
    )


ENTRY = registry.Entry(NAME, Config(), build)


@dataclasses.dataclass(frozen=True)
class Reference:
    """A run that was never disturbed.

    Attributes:
        root: Holds `run`, the run with its newest checkpoints, and `other`, a run that differs in its seed.
        checksums: By step, of the states that it saved.
        log: Its records, without seconds.
    """

    root: Path
    checksums: Mapping[int, Mapping[str, int]]
    log: list[dict[str, Any]]


class Fault(Exception):
    """What a fault must not lead to. `kind` is lost, silent or traceback."""

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(text)
        self.kind = kind


def make_reference(root: Path) -> Reference:
    """Trains the undisturbed runs."""
    steps = range(SAVE_EVERY, STEPS + 1, SAVE_EVERY)
    train(root / "run", keep=steps)
    runs = load_steps(root / "run", ENTRY, Config(), steps)
    states = {run.step: checksums(run.state) for run in runs}
    for step in saved_steps(root / "run" / "checkpoints")[:-3]:
        shutil.rmtree(root / "run" / "checkpoints" / str(step))
    train(root / "other", steps=30, seed=1)
    return Reference(root, states, without_seconds(read_log(root / "run" / "metrics.jsonl")))


def without_seconds(log: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Returns records without what differs between equal runs."""
    return [{name: value for name, value in record.items() if name != "seconds"} for record in log]


def train(workdir: Path, keep: Collection[int] = (), **settings: Any) -> None:
    """Trains the run, with small evaluations."""
    with mock.patch.object(monitor, "EVALUATION_SAMPLES", 200):
        train_entry(ENTRY, Config(**settings), workdir, 1, keep=keep)


# Trainers in processes of their own.


def train_in_child(workdir: str, stderr: str, file_limit: int | None) -> None:
    """Trains to the end, with stderr in a file, and files of at most `file_limit` bytes as if the disk were full."""
    os.dup2(os.open(stderr, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), sys.stderr.fileno())
    sys.stderr = os.fdopen(sys.stderr.fileno(), "w", buffering=1, closefd=False)
    if file_limit is not None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (file_limit, resource.RLIM_INFINITY))
    try:
        train(Path(workdir))
    except UserError as error:
        print(error, file=sys.stderr)
        sys.exit(error.exit_code)


class Trainers:
    """Starts trainers, forked from a process that has imported everything and has no threads."""

    def __init__(self) -> None:
        self.context = multiprocessing.get_context("forkserver")
        self.context.set_forkserver_preload([__spec__.name if __spec__ else __name__, "orbax.checkpoint"])

    @contextlib.contextmanager
    def start(self, workdir: Path, stderr: Path, file_limit: int | None = None) -> Iterator[Any]:
        """Yields a process that trains in `workdir`; it is killed at the end."""
        process = self.context.Process(target=train_in_child, args=(str(workdir), str(stderr), file_limit))
        process.start()
        try:
            yield process
        finally:
            process.kill()
            process.join()


# Kills.


class Kills:
    """Kills the trainer of one run again and again, until it is trained, and then that of a fresh run."""

    def __init__(self, reference: Reference, trainers: Trainers, root: Path) -> None:
        self.reference, self.trainers, self.root = reference, trainers, root
        self.workdir = root / "killed"

    def __call__(self, draw: random.Random) -> None:
        """Kills one trainer and reads what it left. Raises Fault."""
        before = saved_steps(self.workdir / "checkpoints")
        stderr = self.root / "killed.txt"
        with self.trainers.start(self.workdir, stderr) as process:
            wait_for_kill(draw, process, self.workdir)
            complete = saved_steps(self.workdir / "checkpoints")
            process.kill()
            process.join()
            killed = process.exitcode == -signal.SIGKILL
        if not killed and process.exitcode != 0:
            raise Fault("lost", f"the run does not go on: {last_line(stderr)}")
        if complete or before:
            check_state(self.reference, self.workdir, at_least=max(complete + before), may_warn=False)
        if not killed:  # It was trained to the end before its time came.
            if without_seconds(read_log(self.workdir / "metrics.jsonl")) != self.reference.log:
                raise Fault("silent", "the log differs from that of a run that was never killed")
            shutil.rmtree(self.workdir)


def wait_for_kill(draw: random.Random, process: Any, workdir: Path) -> None:
    """Waits for a random moment: while it starts, while it trains, or while a checkpoint is being written."""
    kind, delay = draw.choice(("start", "train", "train", "save")), draw.random()
    stop = time.monotonic() + CHILD_SECONDS
    if kind == "start":
        process.join(4.0 * delay)
        return
    at_start = saved_steps(workdir / "checkpoints")[-1:]
    while process.is_alive() and time.monotonic() < stop and saved_steps(workdir / "checkpoints")[-1:] == at_start:
        time.sleep(0.01)
    if kind == "train":
        process.join(1.5 * delay)
        return
    process.join(0.5 * delay)
    while process.is_alive() and time.monotonic() < stop and not list((workdir / "checkpoints").glob("*tmp*")):
        pass


def check_state(reference: Reference, workdir: Path, at_least: int, may_warn: bool) -> None:
    """Loads a run. Raises Fault unless its state is that of the reference, or an error or warning says otherwise."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            state = load(workdir).state
        except UserError as error:
            if may_warn:
                return
            raise Fault("lost", f"nothing can be restored: {error}") from error
        except Exception as error:
            raise Fault("traceback", f"load: {type(error).__name__}: {error}") from error
    step = int(state.step)
    if checksums(state) != reference.checksums.get(step):
        raise Fault("silent", f"the state of step {step} is wrong")
    if step < at_least and not (may_warn and caught):
        raise Fault("silent" if may_warn else "lost", f"step {step} was restored, and {at_least} was complete")


def last_line(path: Path) -> str:
    """Returns the last line of a file."""
    return (path.read_text().strip().splitlines() or ["nothing on stderr"])[-1]


# Full disks.


class FullDisks:
    """Lets a trainer go on while its files may only have some size."""

    def __init__(self, reference: Reference, trainers: Trainers, root: Path) -> None:
        self.reference, self.trainers, self.root = reference, trainers, root

    def __call__(self, draw: random.Random) -> None:
        """Runs one trainer. Raises Fault."""
        workdir, stderr = self.root / "full", self.root / "full.txt"
        shutil.rmtree(workdir, ignore_errors=True)
        step = draw.choice(("fresh", "later"))
        if step == "later":
            shutil.copytree(self.reference.root / "run", workdir)
            for newest in saved_steps(workdir / "checkpoints")[-draw.randint(1, 2) :]:
                shutil.rmtree(workdir / "checkpoints" / str(newest))
        before = saved_steps(workdir / "checkpoints")
        limit = int(10 ** draw.uniform(2.0, 4.7))
        with self.trainers.start(workdir, stderr, limit) as process:
            process.join(CHILD_SECONDS)
            if process.is_alive():
                raise Fault("lost", f"with files of {limit} bytes the trainer hangs")
        if "Traceback" in stderr.read_text():
            raise Fault("traceback", f"with files of {limit} bytes: {last_line(stderr)}")
        if process.exitcode and "could not write" not in last_line(stderr) and "cannot write" not in last_line(stderr):
            raise Fault("traceback", f"the last line on stderr is {last_line(stderr)!r}")
        if process.exitcode not in (0, 1, 2):
            raise Fault("traceback", f"exit code {process.exitcode}")
        if before:
            check_state(self.reference, workdir, at_least=before[-1], may_warn=False)


# Damages.


class Damages:
    """Damages the files of a finished run."""

    def __init__(self, reference: Reference, root: Path) -> None:
        self.reference, self.workdir = reference, root / "damaged"

    def __call__(self, draw: random.Random) -> None:
        """Damages a copy of the run and reads it. Raises Fault."""
        shutil.rmtree(self.workdir, ignore_errors=True)
        shutil.copytree(self.reference.root / "run", self.workdir)
        for _ in range(draw.choice((1, 1, 1, 2, 3))):
            draw.choice(DAMAGES)(draw, self.workdir, self.reference.root)
        check_state(self.reference, self.workdir, at_least=STEPS, may_warn=True)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            try:
                log = without_seconds(read_log(self.workdir / "metrics.jsonl"))
            except UserError:
                return
            except Exception as error:
                raise Fault("traceback", f"read_log: {type(error).__name__}: {error}") from error
        cut_off = log == self.reference.log[: len(log)]  # As after a kill.
        if any(record not in self.reference.log for record in log) or not (caught or cut_off):
            raise Fault("silent", "the log is wrong")


def files(folder: Path) -> list[Path]:
    """Returns all files below a folder, in order."""
    return sorted(path for path in folder.rglob("*") if path.is_file())


def any_file(draw: random.Random, workdir: Path) -> Path:
    """Returns a file of the checkpoints, of the newest one most of the time, or config.json."""
    newest = saved_steps(workdir / "checkpoints")[-1:]
    folder = workdir / "checkpoints" / str(*newest) if newest and draw.random() < 0.8 else workdir / "checkpoints"
    return draw.choice([*files(folder), workdir / "config.json"])


def edit(path: Path, change: Callable[[bytearray], Any]) -> None:
    """Changes the bytes of a file, if it is still there."""
    if path.is_file():
        data = bytearray(path.read_bytes())
        change(data)
        path.write_bytes(data)


def flip_bits(draw: random.Random, workdir: Path, _: Path) -> None:
    """Flips one to three bits."""

    def flip(data: bytearray) -> None:
        for _ in range(draw.randint(1, 3) if data else 0):
            data[draw.randrange(len(data))] ^= 1 << draw.randrange(8)

    edit(any_file(draw, workdir), flip)


def truncate(draw: random.Random, workdir: Path, _: Path) -> None:
    """Cuts a file off."""
    edit(any_file(draw, workdir), lambda data: data.__delitem__(slice(draw.randrange(len(data) + 1), None)))


def overwrite(draw: random.Random, workdir: Path, _: Path) -> None:
    """Overwrites a part of a file by zeros or noise."""

    def change(data: bytearray) -> None:
        start, length = draw.randrange(len(data) + 1), draw.randint(1, 512)
        new = bytes(length) if draw.random() < 0.5 else draw.randbytes(length)
        data[start : start + length] = new[: len(data) - start]

    edit(any_file(draw, workdir), change)


def append(draw: random.Random, workdir: Path, _: Path) -> None:
    """Appends noise to a file."""
    edit(any_file(draw, workdir), lambda data: data.extend(draw.randbytes(draw.randint(1, 100))))


def delete(draw: random.Random, workdir: Path, _: Path) -> None:
    """Deletes a file."""
    any_file(draw, workdir).unlink(missing_ok=True)


def swap(draw: random.Random, workdir: Path, _: Path) -> None:
    """Exchanges the contents of two files."""
    first, second = any_file(draw, workdir), any_file(draw, workdir)
    if first.is_file() and second.is_file():
        contents = first.read_bytes(), second.read_bytes()
        second.write_bytes(contents[0])
        first.write_bytes(contents[1])


def replace_checkpoint(draw: random.Random, workdir: Path, root: Path) -> None:
    """Puts another checkpoint, or one of another run, in the place of one, or beyond the newest."""
    source = draw.choice(sorted((draw.choice((root / "run", root / "other")) / "checkpoints").iterdir()))
    target = workdir / "checkpoints" / str(draw.choice([*saved_steps(workdir / "checkpoints"), STEPS + SAVE_EVERY]))
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(source, target)


def change_setting(draw: random.Random, workdir: Path, _: Path) -> None:
    """Changes a value in config.json, to one of another type or to another number."""

    def change(data: bytearray) -> None:
        with contextlib.suppress(ValueError, KeyError, AttributeError):
            record = json.loads(bytes(data))
            fields = draw.choice((record, record["config"]))
            fields[draw.choice(sorted(fields))] = draw.choice((None, "x", -1, 3, 2**70, 1.5, [], {}, True, [[1]]))
            data[:] = json.dumps(record).encode()

    edit(workdir / "config.json", change)


def damage_log(draw: random.Random, workdir: Path, _: Path) -> None:
    """Damages the log so that lines are no records any more. Changed digits cannot be found, because it has no sums."""

    def change(data: bytearray) -> None:
        start = draw.randrange(len(data) + 1)
        kind = draw.choice(("cut", "zeros", "utf-8", "line"))
        if kind == "cut":
            del data[start:]
        elif kind == "zeros":
            data[start : start + 20] = bytes(len(data[start : start + 20]))
        elif kind == "utf-8":
            data[start:start] = b"\xff\xfe"
        else:
            line = draw.choice((b"[" * 10_000, b"{}", b'{"step": 3}', b"NaN", b'{"step": "1", "seconds": 1}', b"\0\0"))
            lines = data.split(b"\n")
            lines.insert(draw.randrange(len(lines)), line)
            data[:] = b"\n".join(lines)

    edit(workdir / "metrics.jsonl", change)


DAMAGES = (
    *(flip_bits, flip_bits, truncate, overwrite, append, delete, swap),
    *(replace_checkpoint, change_setting, damage_log),
)


# Bad command lines.

ODD_PATHS = ("nowhere", "file", "folder", "folder/empty.json", "bad_config", "a\0b", "", "x" * 300, "💥", "/dev/null")
ODD_VALUES = ("", "-1", "0", "nan", "inf", "-inf", "1e400", "ten", "0x10", "\0", "💥", "--", "None", "1.5", "9" * 30)


class BadCommands:
    """Runs command lines with one or more mistakes in this process."""

    def __init__(self, root: Path) -> None:
        self.root = root / "commands"
        (self.root / "folder").mkdir(parents=True)
        (self.root / "bad_config").mkdir()
        for path in ("file", "folder/empty.json"):
            (self.root / path).touch()
        (self.root / "bad_config" / "config.json").write_text('{"name": "r3gan/ring", "config": {"steps": "x"}}')

    def __call__(self, draw: random.Random) -> None:
        """Runs one command line. Raises Fault."""
        words = draw.choice(COMMANDS)(draw)
        output = io.StringIO()
        with contextlib.chdir(self.root), contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
            try:
                code = main(words)
            except SystemExit as error:
                code = error.code
            except Exception as error:
                raise Fault("traceback", f"{words}: {type(error).__name__}: {error}") from error
        if code not in EXIT_CODES or "Traceback" in output.getvalue():
            raise Fault("traceback", f"{words}: exit code {code}")
        if code and not output.getvalue().strip():
            raise Fault("silent", f"{words}: exit code {code} without a word")


def misspelt(draw: random.Random, word: str) -> str:
    """Returns a word with a letter left out, doubled or exchanged."""
    if not word:
        return "x"
    i = draw.randrange(len(word))
    return word[:i] + draw.choice(("", word[i] * 2, "x")) + word[i + 1 :]


def bad_verb(draw: random.Random) -> list[str]:
    """A verb that does not exist."""
    return [draw.choice((misspelt(draw, draw.choice(list(VERBS))), *ODD_VALUES)), "r3gan/ring"]


def bad_name(draw: random.Random) -> list[str]:
    """An experiment or figure that does not exist."""
    name = draw.choice((misspelt(draw, "r3gan/ring"), misspelt(draw, "gan/saturation"), *ODD_VALUES))
    return [draw.choice(("train", "show", "figure")), f"{name}-", "--workdir", "folder"][: draw.choice((2, 4))]


def bad_setting(draw: random.Random) -> list[str]:
    """A setting with an odd value or name. The work directory is below a file, so that nothing is trained."""
    name = draw.choice(list(vars(registry.get("r3gan/ring").config))).replace("_", "-")
    flag = draw.choice((name, name, name, misspelt(draw, name)))
    return ["train", "r3gan/ring", "--workdir", "file/run", f"--{flag}", draw.choice(ODD_VALUES)]


def bad_option(draw: random.Random) -> list[str]:
    """An option of a verb with an odd value."""
    verb, flags = draw.choice(sorted(OPTIONS.items()))
    flag = draw.choice(flags)
    name = ["r3gan/ring", "--workdir", "file/run"] if verb == "train" else [draw.choice(ODD_PATHS)]
    return [verb, *name, draw.choice((flag, flag, misspelt(draw, flag))), draw.choice((*ODD_VALUES, *ODD_PATHS))]


def bad_path(draw: random.Random) -> list[str]:
    """A work directory, data set or file that is none."""
    verb = draw.choice(("evaluate", "sample", "report", "data", "list", "train"))
    path = draw.choice(ODD_PATHS)
    if verb == "list":
        return ["list", "--import", path]
    if verb == "train":
        return ["train", "dcgan/own", "--size", "8", "--width", "4", "--workdir", "file/run", "--data", path]
    return [verb, path]


OPTIONS = {
    "evaluate": ("--samples", "--reals", "--metrics", "--seed", "--inception-weights", "--data-dir"),
    "sample": ("--n", "--seed", "--member", "--classes", "--out"),
    "data": ("--size", "--channels", "--split", "--feature", "--data-dir"),
    "report": ("--out",),
    "list": ("--task", "--paper", "--max-minutes"),
    "train": ("--devices", "--parallel", "--from", "--step", "--freeze", "--workdir"),
}
COMMANDS = (bad_verb, bad_name, bad_setting, bad_setting, bad_option, bad_option, bad_path)


# The campaign.


@dataclasses.dataclass(frozen=True)
class Options:
    """Kill trainers, damage runs, fill disks and give bad commands, and count what is lost, silent or a traceback."""

    minutes: float = 1.0  # how long
    seed: int = 0  # of everything that is drawn
    json: Path | None = None  # file for the counts
    most: tuple[tuple[str, int], ...] = ()  # at most so many of a kind, such as `kills 500 damages 1000`

    def run(self) -> None:
        """Runs the campaign and prints its counts. Exits with code 1 if anything went wrong."""
        result = campaign(self.minutes, self.seed, dict(self.most))
        text = json.dumps(result, indent=2)
        print(text)
        if self.json:
            self.json.write_text(text + "\n")
        sys.exit(1 if result["failures"] else 0)


def campaign(minutes: float, seed: int = 0, most: Mapping[str, int] | None = None) -> dict[str, Any]:
    """Tries faults for so many minutes, or until there were `most` of each kind. Returns counts and failures."""
    started, spent = time.monotonic(), dict.fromkeys(WEIGHTS, 0.0)
    tried, bad, failures = collections.Counter(), collections.Counter(), []
    limits = {kind: (most or {}).get(kind, math.inf) for kind in WEIGHTS}
    with tempfile.TemporaryDirectory() as folder, mock.patch.dict(os.environ):
        root = Path(folder)
        os.environ["JAX_COMPILATION_CACHE_DIR"] = str(root / "xla")  # Of the trainers, which compile the same.
        os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
        os.environ["PYTHONWARNINGS"] = "ignore::RuntimeWarning:runpy"
        registry.entries()
        registry._register.setdefault(NAME, ENTRY)
        reference, trainers = make_reference(root), Trainers()
        attempts = {
            "kills": Kills(reference, trainers, root),
            "damages": Damages(reference, root),
            "full disks": FullDisks(reference, trainers, root),
            "bad commands": BadCommands(root),
        }
        while time.monotonic() - started < 60 * minutes:
            open_kinds = [kind for kind in WEIGHTS if tried[kind] < limits[kind]]
            if not open_kinds:
                break
            kind = min(open_kinds, key=lambda kind: spent[kind] / WEIGHTS[kind])
            begun, case = time.monotonic(), f"{seed}/{kind}/{tried[kind]}"
            try:
                attempts[kind](random.Random(case))
            except Fault as fault:
                bad[fault.kind] += 1
                failures.append({"case": case, "kind": fault.kind, "what": str(fault)})
            except Exception:
                bad["traceback"] += 1
                failures.append({"case": case, "kind": "traceback", "what": traceback.format_exc(limit=-3)})
            tried[kind] += 1
            spent[kind] += time.monotonic() - begun
    return {
        **{kind: tried[kind] for kind in WEIGHTS},
        **{kind: bad[kind] for kind in ("lost", "silent", "traceback")},
        "failures": failures,
        "seed": seed,
        "minutes": round((time.monotonic() - started) / 60, 1),
        "command": f"python -m tests.faults --minutes {minutes:g} --seed {seed}",
        "hardware": hardware(),
        "versions": versions(),
        "git": git_commit(),
        "date": datetime.date.today().isoformat(),
    }


if __name__ == "__main__":
    tyro.cli(Options, prog="python -m tests.faults").run()
