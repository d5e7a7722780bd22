"""Trains an experiment: restores or initialises it, runs compiled steps, and logs, samples, evaluates and saves."""

import concurrent.futures
import contextlib
import itertools
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.experimental import multihost_utils

from jaxgan.core.game import Game, TrainState, init_state, load_pretrained
from jaxgan.core.update import strict_promotion
from jaxgan.cpu.malloc import keep_freed_memory
from jaxgan.cpu.matmul_backend import xla_options
from jaxgan.data.streams import Window, WindowData, prefetch
from jaxgan.errors import SystemFailure, TrainingDiverged, TrainingStopped, UserError
from jaxgan.training import sampling
from jaxgan.training.accumulator import ScalarAccumulator
from jaxgan.training.checkpoint import Checkpoint, Checkpoints, describe_newest
from jaxgan.training.devices import Devices
from jaxgan.training.experiment import Config, Experiment
from jaxgan.training.loop import (
    SHARDED_INPUTS,
    LoopInputs,
    LoopState,
    TrainLoop,
    abstract_state,
    build_loop,
    data_key,
    distinct_due_sets,
    run_key,
)
from jaxgan.training.memory import check_training_memory
from jaxgan.training.metric_log import MetricLog, summarise_seeds
from jaxgan.training.progress import Progress
from jaxgan.training.transfer import Start
from jaxgan.training.workdir import Identity, WorkDir, check_claim, has_progress, versions

DISPATCH_SECONDS = 0.5  # work per dispatch: long enough to hide its cost, short enough to stop promptly
SAVE_SECONDS = 180.0  # A checkpoint is due after so long, whatever `save_every`.
PROFILED_STEPS = 50
EVALUATION_SAMPLES = 2_000  # per evaluation while training
MISSING_DATA_SECONDS = 1.0  # in which missing data are found, so that nothing is compiled without them
LARGE_LOSS = 1e6  # mean of a line of the log beyond which a run is warned about

Dispatch = Callable[[LoopState, int, int], tuple[LoopState, int]]
Announce = Callable[[str], contextlib.AbstractContextManager[None]]  # Shows what is compiled inside the context.
StopSignal = Callable[[], signal.Signals | None]


def train(
    name: str,
    experiment: Experiment,
    config: Config,
    workdir: Path,
    devices: Devices,
    keep: Collection[int] = (),
    profile: bool = False,
    start: Start | None = None,
) -> TrainState:
    """Trains to `config.steps`, starting from the newest good checkpoint in `workdir` if there is one.

    Logs, previews, evaluations and checkpoints happen between steps and do not influence training. Settings and data
    are checked before anything is written.

    Args:
        name: The experiment's name, stored in `workdir`.
        experiment: What to train.
        config: Its settings.
        workdir: Created if it does not exist. One trainer at a time can use it.
        devices: Where to train.
        keep: Steps whose checkpoints are written and never removed; multiples of `config.log_every`.
        profile: Traces the last `PROFILED_STEPS` steps before the second line of the log into `workdir`/profile.
        start: Weights from which a run starts that has no checkpoint yet; random ones by default.

    Returns:
        The final state, on one device of this process.

    Raises:
        UserError: The request cannot be carried out as given.
        TrainingDiverged: A loss is not finite.
        TrainingStopped: SIGINT or SIGTERM arrived; the state is saved.
        SystemFailure: The work directory cannot be written.
    """
    devices.check_batch_size(config.batch_size)
    check_training_memory(experiment, config, devices)
    try:
        with contextlib.ExitStack() as stack:
            trainer = Trainer(name, experiment, config, workdir, devices, stack, keep, start)
            return trainer.run(profile)
    except OSError as error:
        newest = describe_newest(workdir / "checkpoints")
        raise SystemFailure(f"could not write to {workdir}: {error.strerror or error}; {newest}") from error


class Trainer:
    """One run of `train`."""

    def __init__(
        self,
        name: str,
        experiment: Experiment,
        config: Config,
        workdir: Path,
        devices: Devices,
        stack: contextlib.ExitStack,
        keep: Collection[int],
        start: Start | None,
    ) -> None:
        """Reads the data, claims the work directory, restores or initialises the state, and opens the logs.

        `stack` closes what was opened.
        """
        check_claim(workdir, name, config)
        loop = build_loop(experiment, config)

        def init() -> TrainState:
            load_pretrained(experiment.game)
            return devices.init_replicated(lambda: loop.init(run_key(config)))

        fresh = opened = None
        if not has_progress(workdir):  # The data are read before anything is written, while `init` is compiled.
            with concurrent.futures.ThreadPoolExecutor(1) as pool:
                reading = pool.submit(open_windows, experiment, config, 0)
                concurrent.futures.wait([reading], timeout=MISSING_DATA_SECONDS)
                fresh = None if reading.done() and reading.exception() else init()
                opened = reading.result()
            check_shapes(experiment, config, opened[0].shapes)
        self.experiment, self.config, self.workdir, self.devices, self.keep = experiment, config, workdir, devices, keep
        self.stop_signal = stack.enter_context(catch_stop_signals())
        self.writes_logs = jax.process_index() == 0  # All processes write checkpoints.
        if self.writes_logs:
            work = stack.enter_context(WorkDir(workdir))
            check_claim(workdir, name, config)  # Again, because another trainer may have finished in the meantime.
        newest = self._restore(loop, name, stack)
        state = init() if fresh is None and newest is None else fresh
        if newest is not None:
            state = newest.state
        elif start is not None:
            state = devices.put_replicated(start.transfer(jax.device_get(devices.local_copy(state))))
        self.step = int(state.step)
        if opened is None or self.step:
            opened = open_windows(experiment, config, self.step)
            check_shapes(experiment, config, opened[0].shapes)
        first_window, windows = opened
        self.zeros = ScalarAccumulator.zeros(loop.scalar_names(first_window.shapes), config.seeds)
        if self.writes_logs:
            work.claim(name, config, start and start.record)
            self.monitor = stack.enter_context(contextlib.closing(Monitor(work, experiment, config, self.step)))
        announce = self.monitor.progress.compiling if self.writes_logs else contextlib.nullcontext
        self.dispatch = make_dispatch(experiment.game, loop, windows, config, devices, announce)
        accumulator = self.zeros.from_json(newest and newest.partial_sums)
        self.carry = devices.replicate(LoopState(state, devices.put_replicated(accumulator)))
        self.stopped_by = self.stop_signal()
        self.warned_of_losses = False
        self.saved_at = time.monotonic()

    def _restore(self, loop: TrainLoop, name: str, stack: contextlib.ExitStack) -> Checkpoint | None:
        """Opens the checkpoints, and returns the newest good one if there is any."""
        config, devices, directory = self.config, self.devices, self.workdir / "checkpoints"
        checkpoints = Checkpoints(directory, keep=self.keep, identity=Identity.of(name, config))
        self.checkpoints = stack.enter_context(contextlib.closing(checkpoints))
        newest = checkpoints.restore(abstract_state(loop, config, devices.replicated), set_aside=True)
        if newest is not None:
            _warn_of_versions(newest.versions)
        elif self.writes_logs and has_progress(self.workdir):
            print(f"{directory} holds no checkpoint yet; training starts again at step 0", file=sys.stderr)
        return newest

    def run(self, profile: bool) -> TrainState:
        """Trains to the last step. Returns the state."""
        config = self.config
        profiled_log_step = (self.step // config.log_every + 1) * config.log_every if profile else None
        while self.step < config.steps and not self.stopped_by:
            log_step = min(self.step - self.step % config.log_every + config.log_every, config.steps)
            with contextlib.ExitStack() as tracing:
                if self.writes_logs and self.step == profiled_log_step:
                    self.advance(log_step - PROFILED_STEPS)
                    tracing.enter_context(jax.profiler.trace(self.workdir / "profile", create_perfetto_trace=True))
                self.advance(log_step)
                self.report()
        self.checkpoints.wait()
        if self.stopped_by and self.step < config.steps:
            saved = f"and saved at step {self.step}" if self.step else "before the first step"
            message = f"stopped by {self.stopped_by.name} {saved}; the same command continues from there"
            raise TrainingStopped(message, self.stopped_by)
        return self.devices.local_copy(self.carry.state)

    def advance(self, end: int) -> None:
        """Runs steps up to `end`, or until a stop signal arrives."""
        while self.step < end and not self.stopped_by:
            self.carry, self.step = self.dispatch(self.carry, self.step, end)
            self.stopped_by = self.stop_signal()
            if self.writes_logs:
                self.monitor.progress.update(self.step)

    def report(self) -> None:
        """Logs the mean scalars since the last report, and samples, evaluates and saves if that is due."""
        config, devices = self.config, self.devices
        accumulator = jax.device_get(devices.local_copy(self.carry.accumulator))
        if nonfinite := accumulator.first_nonfinite():
            self.checkpoints.wait()
            step, loss = nonfinite
            newest = describe_newest(self.workdir / "checkpoints")
            raise TrainingDiverged(f"{loss} is not finite at step {step}; {newest}")
        is_last = self.step == config.steps
        if is_last or self.step % config.log_every == 0:  # After a stop between lines the sums are saved instead.
            self._warn_of_large_losses(accumulator)
            if self.writes_logs:
                self.monitor.report(devices.local_copy(self.carry.state), self.step, accumulator.means(), is_last)
            accumulator = self.zeros
            self.carry = self.carry._replace(accumulator=devices.replicate(devices.put_replicated(self.zeros)))
        is_due = self.step in self.keep or self.step % config.save_every == 0 or self._save_is_overdue()
        if is_last or self.stopped_by or is_due:
            self.checkpoints.save(devices.unreplicate(self.carry.state), accumulator.to_json())
            self.saved_at = time.monotonic()

    def _save_is_overdue(self) -> bool:
        """Returns whether the last checkpoint is `SAVE_SECONDS` old. Several processes save at the same steps only."""
        return jax.process_count() == 1 and time.monotonic() - self.saved_at > SAVE_SECONDS

    def _warn_of_large_losses(self, accumulator: ScalarAccumulator) -> None:
        """Warns once if the mean of a loss is beyond `LARGE_LOSS`."""
        means = {name: np.abs(x).max() for name, x in accumulator.means().items() if name.endswith("/loss")}
        name = max(means, key=means.get, default=None)
        if name is not None and means[name] > LARGE_LOSS and not self.warned_of_losses:
            self.warned_of_losses = True
            warnings.warn(
                f"{name} is {means[name]:.2g} at step {self.step}, beyond {LARGE_LOSS:.0e}: the run has probably "
                "diverged; a lower learning rate or penalty weight may help",
                stacklevel=2,
            )


def open_windows(experiment: Experiment, config: Config, step: int) -> tuple[Window, Iterator[Window]]:
    """Returns the window of data that contains `step`, and an iterator over it and all later ones.

    Raises UserError if the data cannot be read.
    """
    windows = experiment.source.windows(data_key(config), step, experiment.game.num_batches)
    first = next(windows)
    return first, itertools.chain([first], windows)


def _warn_of_versions(stored: Mapping[str, str]) -> None:
    """Warns if other versions wrote a checkpoint: the run continues, but not to the same bits."""
    here = versions()
    changes = [f"{name} {stored[name]}, now {here.get(name)}" for name in stored if stored[name] != here.get(name)]
    if changes:
        warnings.warn(f"the checkpoint was written with other versions: {'; '.join(changes)}", stacklevel=2)


def check_shapes(experiment: Experiment, config: Config, data: WindowData) -> None:
    """Raises UserError if generated images do not have the shape of the data, or if batches or samples mix dtypes.

    `data` are the shapes of a window.
    """

    def shapes(data: WindowData, key: Array) -> tuple[Array | None, Array]:
        with strict_promotion("the source of batches"):
            batch = experiment.source.batch(data, key, jnp.int32(0), jnp.arange(config.batch_size))
        given = [jnp.zeros(x.shape, x.dtype) for x in sampling.given_shapes(experiment)]
        state = init_state(experiment.game, key).with_ema()
        with strict_promotion("the sampling function"):
            return batch.get("real"), experiment.sample(state, key[None], *given)

    real, fake = jax.eval_shape(shapes, data, jax.random.key(0))
    if real is not None and real.ndim == fake.ndim == 4 and real.shape[1:] != fake.shape[1:]:
        data_shape, fake_shape = (" x ".join(map(str, x.shape[1:])) for x in (real, fake))
        raise UserError(f"the data have shape {data_shape}, but this experiment generates {fake_shape}")


def make_dispatch(
    game: Game,
    loop: TrainLoop,
    windows: Iterator[Window],
    config: Config,
    devices: Devices,
    announce: Announce = contextlib.nullcontext,
) -> Dispatch:
    """Returns `dispatch(carry, step, end) -> (carry, step)`, which runs one compiled call and waits for it.

    A call runs about `DISPATCH_SECONDS` of steps, not beyond `end` nor beyond the current window. It waits because
    simulated CPU devices deadlock on a long queue of collectives.
    """
    get_inputs = _inputs_by_step(windows, config, devices)
    if jax.default_backend() == "cpu" and any(network.convolutional for network in game.networks):
        return _dispatch_single_steps(game, loop, devices, get_inputs, announce)
    params = jax.eval_shape(lambda key: [network.init(key)[0] for network in game.networks], jax.random.key(0))
    options = xla_options(params, config.batch_size // devices.count)
    return _dispatch_many_steps(loop, devices, get_inputs, options, announce)


# (step) -> inputs for this step, and the first step that they do not serve.
GetInputs = Callable[[int], tuple[LoopInputs, int]]


def _inputs_by_step(windows: Iterator[Window], config: Config, devices: Devices) -> GetInputs:
    """Returns a function that yields the loop's inputs for increasing steps; windows are prefetched to the devices."""
    key = devices.init_replicated(lambda: run_key(config))

    def put(window: Window) -> LoopInputs:
        sharded = devices.put_sharded(window.sharded.read, config.batch_size) if window.sharded.shapes else {}
        data = WindowData(devices.put_replicated(window.replicated), sharded)
        return LoopInputs(data, key, num_steps=np.int32(1))

    feed = prefetch(windows, put)
    inputs, stop = None, 0

    def get(step: int) -> tuple[LoopInputs, int]:
        nonlocal inputs, stop
        if step >= stop:
            inputs, stop = next(feed)
        return inputs, stop

    return get


def _dispatch_single_steps(
    game: Game, loop: TrainLoop, devices: Devices, get_inputs: GetInputs, announce: Announce
) -> Dispatch:
    """One step at a time, for CPU convolutions: inside a loop XLA runs them up to four times slower.

    Each phase is a program of its own, compiled when it is first due, so that a phase that is due together with
    different others is compiled once.
    """
    keep_freed_memory()
    compiled = {}
    count = len({part for due in distinct_due_sets(game) for part in loop.step_parts(due)})

    def dispatch(carry: LoopState, step: int, end: int) -> tuple[LoopState, int]:
        inputs, _ = get_inputs(step)
        for part in loop.step_parts(game.due_phases(step)):
            if part in compiled:
                carry = compiled[part](carry, inputs)
                continue
            compiled[part] = devices.compile_step(loop.part(part), SHARDED_INPUTS)
            with announce(f"{part.name}, {len(compiled)} of {count}"):
                carry = compiled[part](carry, inputs)
        return jax.block_until_ready(carry), step + 1

    return dispatch


def _dispatch_many_steps(
    loop: TrainLoop, devices: Devices, get_inputs: GetInputs, options: dict, announce: Announce
) -> Dispatch:
    """As many steps per call as take about `DISPATCH_SECONDS`."""
    run_steps = devices.compile_step(loop.run_steps, SHARDED_INPUTS, options)
    steps_per_second = 0.0

    def dispatch(carry: LoopState, step: int, end: int) -> tuple[LoopState, int]:
        nonlocal steps_per_second
        inputs, stop = get_inputs(step)
        n = min(end, stop) - step
        if jax.process_count() == 1:  # Several processes must choose the same number without communication.
            n = min(n, max(1, int(steps_per_second * DISPATCH_SECONDS)))
        started = time.perf_counter()
        with announce("all phases, 1 of 1") if not steps_per_second else contextlib.nullcontext():
            carry = jax.block_until_ready(run_steps(carry, inputs._replace(num_steps=np.int32(n))))
        steps_per_second = n / (time.perf_counter() - started)
        return carry, step + n

    return dispatch


class Monitor:
    """Writes what a person sees of a run: the log, previews, evaluations and the progress bar."""

    def __init__(self, work: WorkDir, experiment: Experiment, config: Config, step: int) -> None:
        """Continues the logs of a run that is at `step`."""
        self.work, self.experiment, self.config = work, experiment, config
        self.log = MetricLog(work.path, step)
        self.progress = Progress(step, config.steps, config.batch_size)
        self.started = time.perf_counter() - self.log.seconds
        if step:
            print(f"continuing from step {step} in {work.path}", file=sys.stderr)

    def report(self, state: TrainState, step: int, means: dict[str, np.ndarray], is_last: bool) -> None:
        """Logs mean scalars, and evaluates and draws a preview if that is due or `is_last`."""
        config = self.config
        self.progress.show_pace()
        seconds = time.perf_counter() - self.started
        record = {"step": step, "images": step * config.batch_size, "seconds": round(seconds, 3)}
        record |= {name: summarise_seeds(value) for name, value in means.items()}
        if is_last or step % config.evaluate_every == 0:
            values, protocols = sampling.evaluate_state(
                self.experiment, state, config.seeds, EVALUATION_SAMPLES, seed=0
            )
            record |= values
            if protocols:
                self.work.write_json("evaluator.json", protocols)
        if is_last or step % config.sample_every == 0:
            self.draw_preview(state, step)
        self.log.write(record)
        self.progress.show_losses(record)

    def draw_preview(self, state: TrainState, step: int) -> None:
        """Writes samples/STEP.png, or other files that show this kind of output, for each seed."""
        sample = sampling.make_sampler(self.experiment)
        for k, seed_state in enumerate(sampling.split_seeds(state, self.config.seeds)):
            name = f"{step:08d}" if self.config.seeds == 1 else f"{step:08d}-seed{self.config.seed + k}"
            samples = sample(seed_state, self.experiment.preview_count, 0)
            for path in self.experiment.output.write_preview(samples, self.work.samples, name):
                self.log.add_preview(path, step)

    def close(self) -> None:
        """Closes the logs."""
        self.progress.close()
        self.log.close()


@contextlib.contextmanager
def catch_stop_signals() -> Iterator[StopSignal]:
    """Records SIGTERM and SIGINT instead of dying. Yields a function that returns the first one, or None.

    All processes of a run get the same answer. A second SIGINT raises KeyboardInterrupt.
    """
    received: list[signal.Signals] = []

    def record(number: int, _: object) -> None:
        if received and number == signal.SIGINT:
            raise KeyboardInterrupt
        received.append(signal.Signals(number))

    def first() -> signal.Signals | None:
        number = received[0] if received else 0
        if jax.process_count() > 1:
            number = int(np.max(multihost_utils.process_allgather(np.int32(number))))
        return signal.Signals(number) if number else None

    if threading.current_thread() is not threading.main_thread():
        yield first
        return
    previous = {number: signal.signal(number, record) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield first
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
