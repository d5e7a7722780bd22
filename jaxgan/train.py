"""Train an experiment: restore or start, play rounds, and between them log, sample, evaluate and save."""

import contextlib
import itertools
import signal
import sys
import threading
import time
from collections.abc import Callable, Collection, Iterator
from pathlib import Path

import jax
import numpy as np
from jax.experimental import multihost_utils

from jaxgan import metrics, pictures, run
from jaxgan.checkpoint import Checkpoints, newest
from jaxgan.data.stream import Window, ahead
from jaxgan.errors import Diverged, Failed, Stopped
from jaxgan.evaluate.measures import During
from jaxgan.game import Game, Network, TrainState
from jaxgan.memory import keep_freed
from jaxgan.parallel import Devices
from jaxgan.products import compiler_options
from jaxgan.progress import Progress
from jaxgan.registry import Config, Entry, Experiment
from jaxgan.rounds import SPLIT, Carry, Given, Rounds
from jaxgan.run import Run
from jaxgan.workdir import WorkDir

DISPATCH_SECONDS = 0.5  # of steps in one dispatch: long enough to cost nothing, short enough to stop at once
TRACED = 50  # steps in a profile: enough to see, few enough to open
EVALUATED = 2_000  # samples in an evaluation while training

Dispatch = Callable[[Carry, int, int], tuple[Carry, int]]


def train(
    entry: Entry,
    config: Config,
    workdir: Path,
    devices: Devices,
    keep: Collection[int] = (),
    profile: bool = False,
) -> Run:
    """Train to `config.steps`, from the newest good checkpoint in `workdir` if there is one.

    Logs, samples, evaluations and checkpoints are taken between rounds and change nothing in the path of training.
    The steps in `keep`, multiples of `config.log_every`, are saved too, and their checkpoints stay. With `profile`, the
    last steps before the log's second line, and its writing, are traced into `workdir`/profile.
    Raises Problem for what cannot be done as asked, Diverged when a loss is not finite, Stopped after SIGINT or
    SIGTERM (once the state is saved), Failed when the machine fails.
    """
    devices.check(config.batch_size)
    try:
        return _train(entry, config, workdir, devices, keep, profile)
    except OSError as error:
        why = error.strerror or error
        raise Failed(f"could not write to {workdir}: {why}; {newest(workdir / 'checkpoints')}") from error


def _train(entry: Entry, config: Config, workdir: Path, devices: Devices, keep: Collection[int], profile: bool) -> Run:
    with contextlib.ExitStack() as stack:
        stopped = stack.enter_context(signals())
        leads = jax.process_index() == 0  # Of several processes only the first writes, but for checkpoints.
        if leads:
            work = stack.enter_context(WorkDir(workdir))
            work.claim(entry, config)
        experiment, rounds = run.build(entry, config)
        checkpoints = stack.enter_context(contextlib.closing(Checkpoints(workdir / "checkpoints", keep=keep)))
        like = run.abstract_state(rounds, config, devices.replicated)
        state = checkpoints.restore(like, set_aside=True)
        if state is None:
            state = devices.make(lambda: rounds.start(run.run_key(config)))
        step = int(state.step)
        if leads:
            observer = stack.enter_context(contextlib.closing(Observer(work, experiment, config, step)))
        windows = experiment.source.windows(run.data_key(config), step)
        first = next(windows)
        run.check(experiment, config, first.like)
        empty = metrics.Tally.empty(rounds.names(first.like), config.seeds)
        dispatch = make_dispatch(experiment.game, rounds, itertools.chain([first], windows), config, devices)
        second = (step // config.log_every + 1) * config.log_every  # where the log has its next line
        carry = devices.carried(Carry(state, devices.put(empty)))
        stop = stopped()

        def advance(end: int) -> None:
            nonlocal carry, step, stop
            while step < end and not stop:
                carry, step = dispatch(carry, step, end)
                stop = stopped()
                if leads:
                    observer.progress.move(step)

        while step < config.steps and not stop:
            end = min(step - step % config.log_every + config.log_every, config.steps)
            with contextlib.ExitStack() as traced:
                if profile and leads and step == second:
                    advance(end - TRACED)
                    traced.enter_context(jax.profiler.trace(workdir / "profile", create_perfetto_trace=True))
                advance(end)
                tally = jax.device_get(devices.one(carry.tally))
                if failure := tally.first_failure():
                    checkpoints.wait()
                    at, what = failure
                    raise Diverged(f"{what} is not finite at step {at}; {newest(workdir / 'checkpoints')}")
                last = step == config.steps or stop is not None
                if leads:
                    observer.see(devices.one(carry.state), step, tally.means(), last)
                if last or step in keep or step % config.save_every == 0:
                    checkpoints.save(devices.whole(carry.state))
                carry = carry._replace(tally=devices.carried(devices.put(empty)))
        checkpoints.wait()
        if stop and step < config.steps:
            where = f"and saved at step {step}" if step else "before the first step"
            raise Stopped(f"stopped by {stop.name} {where}; the same command goes on from there", stop)
        return Run(workdir, entry, config, experiment, devices.one(carry.state))


def make_dispatch(game: Game, rounds: Rounds, windows: Iterator[Window], config: Config, devices: Devices) -> Dispatch:
    """Return `dispatch(carry, step, end) -> (carry, step)`: the one place that decides how many steps a dispatch holds.

    About half a second of them, and neither beyond `end` nor beyond what a window serves. It waits for them: simulated
    devices dead-lock on a long queue of collectives, and half a second of work hides the wait.
    """
    key, given, stop = devices.make(lambda: run.run_key(config)), None, 0

    def put(window: Window) -> Given:
        rows = devices.split(window.rows.read, config.batch_size) if window.rows.like else {}
        return Given(devices.put(window.arrays), rows, key, n=np.int32(1))

    feed = ahead(windows, put)

    def give(step: int) -> Given:
        nonlocal given, stop
        if step >= stop:
            given, stop = next(feed)
        return given

    if jax.default_backend() == "cpu" and any(convolves(n) for n in game.networks):
        # Inside a loop XLA's CPU backend runs convolutions up to four times slower.
        keep_freed()
        one = {}

        def by_step(carry: Carry, step: int, end: int) -> tuple[Carry, int]:
            due = game.due(step)
            if due not in one:
                one[due] = devices.compile(rounds.one(due), SPLIT)
            return jax.block_until_ready(one[due](carry, give(step))), step + 1

        return by_step

    options = compiler_options(game, config.batch_size // devices.mesh.size)
    many, rate = devices.compile(rounds.many, SPLIT, options), 0.0  # steps a second

    def by_round(carry: Carry, step: int, end: int) -> tuple[Carry, int]:
        nonlocal rate
        given = give(step)
        n = min(end, stop) - step
        if jax.process_count() == 1:  # Several processes must agree on n without a word.
            n = min(n, max(1, int(rate * DISPATCH_SECONDS)))
        start = time.perf_counter()
        carry = jax.block_until_ready(many(carry, given._replace(n=np.int32(n))))
        rate = n / (time.perf_counter() - start)
        return carry, step + n

    return by_round


def convolves(network: Network) -> bool:
    """Whether there is a convolution in a network."""
    inputs = jax.eval_shape(network.init, jax.random.key(0)), network.inputs
    forward = lambda variables, inputs: network.module.apply(
        {"params": variables[0], **variables[1]}, *inputs, train=False
    )
    return "conv_general_dilated" in str(jax.make_jaxpr(forward)(*inputs))


class Observer:
    """What looks at a run from outside: the log, the pictures, the evaluations and the progress bar."""

    def __init__(self, work: WorkDir, experiment: Experiment, config: Config, step: int) -> None:
        """Go on with the logs of a run that is at `step`."""
        self.work, self.experiment, self.config = work, experiment, config
        self.writer = metrics.Writer(work.path, step)
        self.progress = Progress(step, config.steps, config.batch_size)
        self.started = time.perf_counter() - self.writer.seconds
        if step:
            print(f"going on from step {step} in {work.path}", file=sys.stderr)

    def see(self, state: TrainState, step: int, means: dict[str, np.ndarray], last: bool) -> None:
        """Log the means; evaluate and draw if it is time, or if this is the last look."""
        seconds = time.perf_counter() - self.started
        record = {"step": step, "images": step * self.config.batch_size, "seconds": round(seconds, 3)}
        record |= {name: metrics.summary(value) for name, value in means.items()}
        if last or step % self.config.evaluate_every == 0:
            record |= run.evaluate(self.experiment, state, self.config.seeds, EVALUATED, seed=0)
            if isinstance(self.experiment.evaluate, During):
                self.work.write("evaluator.json", self.experiment.evaluate.protocol)
        if last or step % self.config.sample_every == 0:
            self.draw(state, step)
        self.writer.write(record)
        self.progress.log(record)

    def draw(self, state: TrainState, step: int) -> None:
        """Write samples/<step>.png, for several seeds one a seed."""
        sample = run.make_sampler(self.experiment)
        for k, member in enumerate(run.members(state, self.config.seeds)):
            name = f"{step:08d}.png" if self.config.seeds == 1 else f"{step:08d}-seed{self.config.seed + k}.png"
            image = self.experiment.picture(sample(member, self.experiment.pictured, 0))
            pictures.save(image, self.work.samples / name)

    def close(self) -> None:
        """Close the logs."""
        self.progress.close()
        self.writer.close()


@contextlib.contextmanager
def signals() -> Iterator[Callable[[], signal.Signals | None]]:
    """While inside, note SIGTERM and SIGINT instead of dying; yields a function that says which one came.

    All processes of a run get the same answer. A second SIGINT interrupts at once.
    """
    came: list[signal.Signals] = []

    def note(number: int, _) -> None:
        if came and number == signal.SIGINT:
            raise KeyboardInterrupt
        came.append(signal.Signals(number))

    def first() -> signal.Signals | None:
        number = came[0] if came else 0
        if jax.process_count() > 1:
            number = int(np.max(multihost_utils.process_allgather(np.int32(number))))
        return signal.Signals(number) if number else None

    if threading.current_thread() is not threading.main_thread():
        yield first
        return
    before = {number: signal.signal(number, note) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield first
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
