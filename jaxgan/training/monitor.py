"""The log, previews, evaluations and progress bar of a run."""

import sys
import time

import numpy as np

from jaxgan.core.game import TrainState
from jaxgan.training import sampling
from jaxgan.training.experiment import Config, Experiment
from jaxgan.training.metric_log import MetricLog, summarise_seeds
from jaxgan.training.progress import Progress
from jaxgan.training.workdir import WorkDir

EVALUATION_SAMPLES = 2_000  # per evaluation while training


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
        """Writes samples/STEP.png, or other files that show this kind of output, for each seed.

        STEP-backward.png shows the other direction of an experiment that learns to translate in both.
        """
        directions = {"": self.experiment, "-backward": self.experiment.backward}
        for k, seed_state in enumerate(sampling.split_seeds(state, self.config.seeds)):
            name = f"{step:08d}" if self.config.seeds == 1 else f"{step:08d}-seed{self.config.seed + k}"
            for suffix, experiment in directions.items():
                if experiment is None:
                    continue
                samples = sampling.make_sampler(experiment)(seed_state, experiment.preview_count, 0)
                for path in experiment.output.write_preview(samples, self.work.samples, name + suffix):
                    self.log.add_preview(path, step)

    def close(self) -> None:
        """Closes the logs."""
        self.progress.close()
        self.log.close()
