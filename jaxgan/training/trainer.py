"""Trains an experiment: restores or initialises it, runs compiled steps, and logs, samples, evaluates and saves."""

import contextlib
import itertools
import sys
import time
import warnings
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxgan.core.game import TrainState, init_state, load_pretrained
from jaxgan.core.update import strict_promotion
from jaxgan.data.streams import Window, WindowData
from jaxgan.errors import SystemFailure, TrainingDiverged, TrainingStopped, UserError
from jaxgan.training import sampling
from jaxgan.training.accumulator import ScalarAccumulator
from jaxgan.training.checkpoint import Checkpoint, Checkpoints, describe_newest
from jaxgan.training.devices import Devices
from jaxgan.training.dispatch import make_dispatch
from jaxgan.training.experiment import Config, Experiment
from jaxgan.training.loop import LoopState, TrainLoop, abstract_state, build_loop, data_key, run_key
from jaxgan.training.memory import check_training_memory
from jaxgan.training.monitor import Monitor
from jaxgan.training.signals import catch_stop_signals
from jaxgan.training.transfer import Start
from jaxgan.training.workdir import Identity, WorkDir, check_claim, has_progress, versions

SAVE_SECONDS = 180.0  # A checkpoint is due after so long, even if `save_every` is longer.
PROFILED_STEPS = 50
LARGE_LOSS = 1e6  # mean of a line of the log beyond which a run is warned about


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
    are checked before anything is compiled or written.

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
            return devices.init_replicated(loop.init, devices.init_replicated(lambda: run_key(config)))

        fresh = opened = None
        if not has_progress(workdir):  # The data are read before anything is compiled or written.
            opened = open_windows(experiment, config, 0)
            check_shapes(experiment, config, opened[0].shapes)
            fresh = init()
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
