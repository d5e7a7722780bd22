"""Whole training steps of this project, interleaved with PyTorch's steps of the same game if torch is installed."""

import contextlib
import dataclasses
import functools
import importlib.util
import itertools
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from unittest import mock

import jax
import jax.numpy as jnp

from benchmarks import timing, workloads
from benchmarks.timing import RunSteps
from benchmarks.workloads import Workload
from jaxgan.core.game import Game
from jaxgan.core.update import make_update
from jaxgan.cpu import trilinear
from jaxgan.data.datasets import first_line
from jaxgan.data.sources import Source
from jaxgan.networks import conv
from jaxgan.training.accumulator import ScalarAccumulator
from jaxgan.training.devices import Devices
from jaxgan.training.dispatch import make_dispatch
from jaxgan.training.experiment import Config
from jaxgan.training.loop import LoopState, TrainLoop, data_key, make_train_loop, run_key, vmap_seeds


def rows(workload: Workload, tiny: bool = False) -> Iterator[dict[str, Any]]:
    """Yields one row: step times, the ratio of PyTorch's to ours, and the fraction of the machine's peak FLOP/s.

    Both sides are first checked to compute the same (`equivalence.check`). PyTorch is represented by its fastest
    variant (`peer`). If that is one of torch.func's, the fastest variant that uses `nn.Module` and an optimizer, as
    most PyTorch code does, is timed as well (`module`).
    """
    workload = workloads.tiny(workload) if tiny else workload
    started = time.perf_counter()
    ours = make_runner(workloads.make_game(workload), workloads.make_source(workload), _config(workload))
    ours(1)
    row = {
        "name": workload.name,
        "batch": workload.batch,
        "dtype": workload.dtype,
        "seeds": workload.seeds,
        "sizes": dict(workload.sizes),
        "first_step_s": round(time.perf_counter() - started, 2),
    }
    if importlib.util.find_spec("torch"):
        from benchmarks import equivalence

        row["equal_to"] = max(equivalence.check(workloads.tiny(workload)).values())
    yield compare(row, ours, lambda: _torch_runners(workload), flops(workload), tiny)


def compare(
    row: dict[str, Any], ours: RunSteps, make_peers: Callable[[], Mapping[str, RunSteps]], flops: float, tiny: bool
) -> dict[str, Any]:
    """Returns the row with step times, the ratio of PyTorch's fastest variant to ours, and the FLOP/s.

    Args:
        row: With `dtype` and `seeds`.
        ours: This project's steps.
        make_peers: Returns PyTorch's steps by variant. Not called without torch.
        flops: Operations of one seed's step.
        tiny: Run each alternative once.
    """
    alternatives = {"ours": ours}
    if importlib.util.find_spec("torch"):
        runners, failed = runnable(make_peers())
        row |= _fastest_variants(runners, tiny) | ({"failed": failed} if failed else {})
        alternatives |= {role: runners[row[role]] for role in ("peer", "module") if role in row}
    times = timing.interleaved_times(alternatives, **({"rounds": 1, "seconds": 0.0} if tiny else {}))
    for name, values in times.items():
        row |= timing.summarise_times(f"{name}_ms", values)
    if "peer" in times:
        row |= timing.summarise_ratios(times["peer"], times["ours"])
    if "module" in times:
        ratios = timing.summarise_ratios(times["module"], times["ours"])
        row |= {f"module_{name}": ratio for name, ratio in ratios.items()}
    row |= {"flops": flops, "flops_per_s": row["seeds"] * flops / statistics.median(times["ours"]) * 1e3}
    row["peak_flops_per_s"] = peak_flops_per_s(row["dtype"], 64 if tiny else None)
    return row | {"part_of_peak": round(row["flops_per_s"] / row["peak_flops_per_s"], 3)}


peak_flops_per_s = functools.cache(timing.peak_flops_per_s)


def _config(workload: Workload) -> Config:
    return Config(steps=10**9, batch_size=workload.batch, seeds=workload.seeds)


def _make_loop(game: Game, source: Source, config: Config) -> TrainLoop:
    loop = make_train_loop(game, source, config.batch_size)
    return vmap_seeds(loop) if config.seeds > 1 else loop


def make_runner(game: Game, source: Source, config: Config) -> RunSteps:
    """Returns a function that trains n further steps on one device as `train` does: data and noise, but no logs."""
    devices, step = Devices.all(1), 0
    loop = _make_loop(game, source, config)
    windows = source.windows(data_key(config), 0)
    first_window = next(windows)
    zeros = devices.put_replicated(ScalarAccumulator.zeros(loop.scalar_names(first_window.shapes), config.seeds))
    carry = devices.replicate(LoopState(devices.init_replicated(lambda: loop.init(run_key(config))), zeros))
    dispatch = make_dispatch(game, loop, itertools.chain([first_window], windows), config, devices)

    def run(n: int) -> None:
        nonlocal carry, step
        end = step + n
        while step < end:
            carry, step = dispatch(carry, step, end)

    return run


def _torch_runners(workload: Workload) -> dict[str, RunSteps]:
    """Returns PyTorch's steps by variant, from our initial parameters. On an accelerator bfloat16 means autocast."""
    import torch

    from benchmarks.peer import Peer, supported_variants

    device = "cpu" if jax.default_backend() == "cpu" else "cuda"
    config = _config(workload)
    loop = _make_loop(workloads.make_game(workload), workloads.make_source(workload), config)
    state = jax.device_get(loop.init(run_key(config)))

    def make(variant: str) -> RunSteps:
        peer = Peer(workload, state.params, state.buffers, variant, device)

        def run(n: int) -> None:
            for _ in range(n):
                peer.step()
            if device != "cpu":
                torch.cuda.synchronize()

        return run

    autocast = workload.dtype == "bfloat16" and device != "cpu"
    return {v: make(v) for v in supported_variants(workload, device) if v.endswith("+amp") == autocast}


def runnable(runners: Mapping[str, RunSteps]) -> tuple[dict[str, RunSteps], dict[str, str]]:
    """Runs one step of each variant. Returns those that can be run, and the error of each of the others."""
    good, failed = {}, {}
    for name, run in runners.items():
        try:
            run(1)
        except Exception as error:  # Compilers of PyTorch raise errors of many types.
            failed[name] = f"{type(error).__name__}: {first_line(error)}"
        else:
            good[name] = run
    return good, failed


def _fastest_variants(runners: Mapping[str, RunSteps], tiny: bool) -> dict[str, Any]:
    """Returns the fields `tried_ms`, `peer`, and `module` if the peer is one of torch.func's variants.

    Without variants there are none.
    """
    if not runners:
        return {}
    times = timing.interleaved_times(runners, rounds=1 if tiny else 2, seconds=0.0 if tiny else 0.5)
    tried = {name: float(f"{min(values):.4g}") for name, values in times.items()}
    peer = min(tried, key=tried.get)
    if "functional" not in peer:
        return {"tried_ms": tried, "peer": peer}
    modules = [variant for variant in tried if "functional" not in variant]
    return {"tried_ms": tried, "peer": peer} | ({"module": min(modules, key=tried.get)} if modules else {})


def flops(workload: Workload) -> float:
    """Returns the operations of one seed's step in float32, by `count_flops`."""
    workload = dataclasses.replace(workload, dtype="float32")
    return flops_of(workloads.make_game(workload), workloads.make_source(workload), workload.batch)


def flops_of(game: Game, source: Source, batch_size: int) -> float:
    """Returns the operations of one seed's step of a game, by `count_flops`."""
    with lax_convolutions():
        return lower_update(game, source, batch_size).compile().cost_analysis()["flops"]


def count_flops(function: Callable[..., Any], *args: Any) -> float:
    """Returns the operations of a call by XLA's count, with the convolutions of `lax`.

    This formulation does not multiply zeros of padding and computes nothing twice.
    """
    with lax_convolutions():
        return jax.jit(function).lower(*args).compile().cost_analysis()["flops"]


def lower_step(workload: Workload) -> jax.stages.Lowered:
    """Returns the lowered update of one seed, with the batch as an argument."""
    return lower_update(workloads.make_game(workload), workloads.make_source(workload), workload.batch)


def lower_update(game: Game, source: Source, batch_size: int) -> jax.stages.Lowered:
    """Returns the lowered update of one seed of a game, with the batch as an argument."""
    loop, key = make_train_loop(game, source, batch_size), jax.random.key(0)
    data = next(source.windows(key, 0)).shapes
    state = jax.eval_shape(loop.init, key)
    batch = jax.eval_shape(lambda d, k: source.batch(d, k, jnp.int32(0), jnp.arange(batch_size)), data, key)
    return jax.jit(functools.partial(make_update(game), game.phases)).lower(state, batch, key)


@contextlib.contextmanager
def lax_convolutions() -> Iterator[None]:
    """Replaces our convolutions by those of `lax` inside the context."""
    evaluate = functools.partial(trilinear.with_unflipped_kernel, trilinear.evaluate_with_lax)
    with mock.patch.object(conv, "evaluate_form", evaluate):
        yield
