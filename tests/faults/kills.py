"""Trainers in processes of their own that are killed, or that find the disk full."""

import contextlib
import multiprocessing
import os
import random
import resource
import shutil
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from jaxgan.errors import UserError
from jaxgan.training.metric_log import read_log
from jaxgan.training.workdir import saved_steps

from .reference import Fault, Reference, check_state, train, without_seconds

CHILD_SECONDS = 120  # after which a trainer that neither ends nor was killed counts as lost


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
        self.context.set_forkserver_preload([__name__, "orbax.checkpoint"])

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


def last_line(path: Path) -> str:
    """Returns the last line of a file."""
    return (path.read_text().strip().splitlines() or ["nothing on stderr"])[-1]


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
