"""What to run first on a new machine: `python -m benchmarks.gpu_check --json gpu.json`, in less than 8 minutes.

It checks that every registered experiment trains on the accelerator, that the accelerator agrees with the CPU, that all
ways to compile agree, and that a run resumes to the bit; then it times training steps, also in PyTorch if torch is
installed. Data sets that are not on the machine are replaced by noise. On the CPU it does the same.
"""

import concurrent.futures
import contextlib
import dataclasses
import datetime
import functools
import json
import math
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np
import optax

from benchmarks import steps, workloads
from jaxgan.core import axis
from jaxgan.core.game import TrainState, init_state
from jaxgan.core.update import make_update
from jaxgan.data import datasets
from jaxgan.data.datasets import Dataset
from jaxgan.errors import UserError
from jaxgan.io import atomic
from jaxgan.runs import registry
from jaxgan.runs.registry import Entry
from jaxgan.runs.run import train_entry
from jaxgan.training.checkpoint import checksums
from jaxgan.training.devices import Devices
from jaxgan.training.experiment import PERIOD_FIELDS, Config
from jaxgan.training.in_memory import train_in_memory

SECONDS = 8 * 60.0
STEPS = 3
BATCH_PER_DEVICE = 16
THREADS = 8  # experiments that are compiled at a time
TOLERANCE = 1e-3  # relative, of a loss in float32 on another backend
BFLOAT16_TOLERANCE = 0.05
# Games of different structure: points, images, labels, spectral norm, dropout, four networks.
COMPARED = ("r3gan/ring", "infogan/ring", "cyclegan/plane", "wgan_gp/digits_conv", "cgan/digits", "sngan/digits")
TIMED = ("dcgan_r1", "dcgan_none", "sngan_resnet_hinge", "r3gan_r1_r2")

Record = dict[str, Any]  # at least `check`, `name`, and `passed`: True, False, or None if it was not run
Check = Callable[[], Mapping[str, Any]]


@dataclasses.dataclass(frozen=True)
class Options:
    """Check that everything works on this machine, and time training steps."""

    json: Path | None = None  # file to which the result is written
    seconds: float = SECONDS  # checks that would start later are left out, and listed as such
    tiny: bool = False  # a few checks on small inputs, to test this command

    def run(self) -> int:
        """Runs all checks and prints a line for each. Returns 0 if none failed, or else 1."""
        deadline = time.monotonic() + self.seconds
        records = []
        for record in all_checks(deadline, self.tiny):
            records.append(record)
            print(_line(record), flush=True)
            if self.json:
                atomic.write_text(self.json, json.dumps(environment() | {"checks": records}, indent=2) + "\n")
        failed = [record for record in records if record["passed"] is False]
        left_out = [record for record in records if record["passed"] is None]
        print(f"{len(records) - len(failed) - len(left_out)} passed, {len(failed)} failed, {len(left_out)} left out")
        return 1 if failed else 0


def environment() -> Record:
    """Returns devices, versions and date."""
    from jaxgan.training.workdir import git_commit, hardware, versions

    memory = [(device.memory_stats() or {}).get("bytes_limit") for device in jax.local_devices()]
    return {
        "backend": jax.default_backend(),
        "devices": [device.device_kind for device in jax.devices()],
        "memory_bytes": memory,
        "hardware": hardware(),
        "versions": versions(),
        "git": git_commit(),
        "date": datetime.date.today().isoformat(),
    }


def all_checks(deadline: float, tiny: bool) -> Iterator[Record]:
    """Yields the records of all checks. A check that raises is a failed one; none starts after `deadline`."""
    compared = COMPARED[:1] if tiny else COMPARED
    with noise_images():
        trained = compared if tiny else list(registry.entries())
        yield from run_concurrently("trains", {name: functools.partial(train, name) for name in trained}, deadline)
        checks = [("equals the CPU", name, functools.partial(compare_with_cpu, name)) for name in compared]
        checks += [] if tiny else [("bfloat16", "dcgan/digits", functools.partial(compare_bfloat16, "dcgan/digits"))]
        checks += [("pmap equals shard_map", name, functools.partial(compare_modes, name)) for name in compared]
        checks += [("resumes to the bit", name, functools.partial(resume, name)) for name in compared]
        for check, name, compute in checks:
            yield run_check(check, name, compute, deadline)
    if not tiny:
        yield run_check("reaches ten classes", "r3gan/digits", train_digits, deadline)
    for workload in workloads.WORKLOADS:
        if workload.name in (TIMED[:1] if tiny else TIMED):
            for sized in workloads.for_this_backend(workload):
                yield run_check(
                    "step time", f"{sized.name}, {sized.dtype}", lambda w=sized: time_step(w, tiny), deadline
                )


def run_check(check: str, name: str, compute: Check, deadline: float) -> Record:
    """Returns the record of one check: what `compute` returned, or why it failed or was not run."""
    record = {"check": check, "name": name}
    if time.monotonic() > deadline:
        return record | {"passed": None, "reason": "out of time"}
    started = time.perf_counter()
    try:
        result = {"passed": True} | dict(compute())
    except ImportError as error:
        result = {"passed": None, "reason": f"{error.name} is not installed"}
    except Exception as error:  # The other checks are run all the same.
        result = {"passed": False, "reason": f"{type(error).__name__}: {datasets.first_line(error)}"}
    return record | result | {"seconds": round(time.perf_counter() - started, 2)}


def run_concurrently(check: str, computations: Mapping[str, Check], deadline: float) -> Iterator[Record]:
    """Yields the records of a check on several experiments, a few at a time: most of their time is compilation."""
    with concurrent.futures.ThreadPoolExecutor(1 if jax.default_backend() == "cpu" else THREADS) as pool:
        futures = [pool.submit(run_check, check, name, f, deadline) for name, f in computations.items()]
        yield from (future.result() for future in futures)


def small_run(name: str, **settings: Any) -> tuple[Entry, Config]:
    """Returns an experiment with a small batch and few steps. Its networks are those of its defaults."""
    entry = registry.get(name)
    few = dict.fromkeys(("steps", "log_every", *PERIOD_FIELDS), STEPS)
    batch_size = BATCH_PER_DEVICE * jax.device_count()
    return entry, dataclasses.replace(entry.config, **{**few, "batch_size": batch_size, **settings})


def train(name: str) -> Mapping[str, Any]:
    """Trains a few steps on all devices. Passes if all losses are finite."""
    entry, config = small_run(name)
    _, scalars = train_in_memory(entry.build(config), config, Devices.all(), STEPS)
    losses = {key: float(np.median(value)) for key, value in scalars.items() if key.endswith("/loss")}
    return {"losses": losses, "passed": all(map(math.isfinite, losses.values()))}


def compare_with_cpu(name: str) -> Mapping[str, Any]:
    """Compares the losses of the first step with those of the CPU, with matrix products in float32."""
    entry, config = small_run(name)
    experiment = entry.build(config)
    update = make_update(experiment.game)

    def first_losses(device: jax.Device) -> dict[str, float]:
        def losses(data: Any, key: jax.Array) -> dict[str, jax.Array]:
            state = init_state(experiment.game, key)
            batch = experiment.source.batch(data, key, jnp.int32(0), axis.global_indices(config.batch_size))
            return update(experiment.game.phases, state, batch, key)[1]

        window = next(experiment.source.windows(jax.random.key(0), 0))
        with jax.default_device(device), jax.default_matmul_precision("float32"):
            scalars = jax.device_get(jax.jit(losses)(window.shapes, jax.random.key(0)))
        return {key: float(value) for key, value in scalars.items() if key.endswith("/loss")}

    here, cpu = (first_losses(device) for device in (jax.devices()[0], jax.devices("cpu")[0]))
    return _agreement(here, cpu, TOLERANCE)


def compare_bfloat16(name: str) -> Mapping[str, Any]:
    """Compares the losses of a few steps in bfloat16 with those in float32."""
    losses = []
    for bfloat16 in (True, False):
        entry, config = small_run(name, bfloat16=bfloat16)
        _, scalars = train_in_memory(entry.build(config), config, Devices.all(), STEPS)
        losses.append({key: float(value) for key, value in scalars.items() if key.endswith("/loss")})
    return _agreement(*losses, BFLOAT16_TOLERANCE)


def _agreement(a: Mapping[str, float], b: Mapping[str, float], tolerance: float) -> Mapping[str, Any]:
    difference = max(abs(a[key] - b[key]) / max(abs(b[key]), 1.0) for key in b)
    return {"difference": difference, "tolerance": tolerance, "passed": difference <= tolerance}


def compare_modes(name: str) -> Mapping[str, Any]:
    """Compares the parameters after a few steps of gradient descent that `pmap` and `shard_map` compiled."""
    entry, config = small_run(name)
    experiment = entry.build(config)
    sgd = {key: dataclasses.replace(p, optimizer=optax.sgd(1e-3)) for key, p in experiment.game.players.items()}
    experiment = dataclasses.replace(experiment, game=dataclasses.replace(experiment.game, players=sgd))
    pmap, shard_map = (
        train_in_memory(experiment, config, Devices.all(None, mode), STEPS)[0].params for mode in ("pmap", "shard_map")
    )
    differences = jax.tree.map(lambda x, y: float(np.abs(x - y).max(initial=0.0)), pmap, shard_map)
    difference = max(jax.tree.leaves(differences))
    return {"difference": difference, "tolerance": TOLERANCE, "passed": difference <= TOLERANCE}


def resume(name: str) -> Mapping[str, Any]:
    """Compares a run that was stopped and continued with one that was not. Passes if they are equal to the bit."""
    entry, config = small_run(name, sample_every=2 * STEPS, evaluate_every=2 * STEPS)
    config = dataclasses.replace(config, steps=2 * STEPS)
    with tempfile.TemporaryDirectory() as folder, without_evaluation():

        def state(run: str, steps: int) -> TrainState:
            return train_entry(entry, dataclasses.replace(config, steps=steps), Path(folder) / run).state

        state("resumed", STEPS)
        resumed, whole = checksums(state("resumed", 2 * STEPS)), checksums(state("whole", 2 * STEPS))
    different = [key for key in whole if whole[key] != resumed[key]]
    hint = {"hint": "XLA_FLAGS=--xla_gpu_deterministic_ops=true"} if different else {}
    return {"different_arrays": len(different), "of": len(whole), "passed": not different} | hint


def train_digits() -> Mapping[str, Any]:
    """Trains r3gan/digits for 4,000 steps. Passes if its samples show all ten digits."""
    import sklearn  # noqa: F401  Has the digits, and judges the samples.

    entry = registry.get("r3gan/digits")
    steps = dict.fromkeys(("steps", "log_every", *PERIOD_FIELDS), 4_000)
    with tempfile.TemporaryDirectory() as folder:
        run = train_entry(entry, dataclasses.replace(entry.config, **steps), Path(folder) / "run")
        classes = run.metrics()["eval/classes"][-1]
    return {"classes": float(classes), "passed": bool(classes == 10)}


def time_step(workload: workloads.Workload, tiny: bool) -> Mapping[str, Any]:
    """Times a training step, and PyTorch's if torch is installed."""
    (row,) = steps.rows(workload, tiny)
    return row


@contextlib.contextmanager
def without_evaluation() -> Iterator[None]:
    """Trains without previews and evaluations inside the context."""
    from jaxgan.training import monitor, sampling

    with (
        mock.patch.object(monitor.Monitor, "draw_preview"),
        mock.patch.object(sampling, "evaluate_state", return_value=({}, {})),
    ):
        yield


@contextlib.contextmanager
def noise_images(count: int = 256) -> Iterator[None]:
    """Replaces every TFDS data set by `count` images of noise in the same shape, inside the context."""

    def noise(name: str, *_: Any, size: int | None = None, **__: Any) -> Dataset:
        shape = (28, 28, 1) if "mnist" in name else (size or 32, size or 32, 3)
        rng = np.random.default_rng(0)
        images = rng.integers(0, 256, (count, *shape), np.uint8)
        return Dataset(name, images, rng.integers(0, 10, count, np.int32), tuple("0123456789"))

    with (
        tempfile.TemporaryDirectory() as folder,
        mock.patch.object(datasets, "prepared_folder", return_value=Path(folder)),
        mock.patch.object(datasets, "cached_dataset", lambda name, files, read: (noise(name, size=files[-1]), None)),
        mock.patch.object(datasets, "open_tfds", noise),
    ):
        yield


def _line(record: Record) -> str:
    status = {True: "passed", False: "FAILED", None: "left out"}[record["passed"]]
    shown = ("reason", "difference", "different_arrays", "classes", "ours_ms", "ratio", "seconds")
    details = ", ".join(f"{key} {record[key]}" for key in shown if key in record)
    return f"{status:9}{record['check']:24}{record['name']:32}{details}"


def main(arguments: list[str]) -> int:
    """Runs the command line."""
    import tyro

    try:
        return tyro.cli(Options, args=arguments, prog="python -m benchmarks.gpu_check").run()
    except UserError as error:
        print(error, file=sys.stderr)
        return error.exit_code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
