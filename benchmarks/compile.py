"""Time to trace and compile a step, compared with the same step with the convolutions of `lax`."""

import contextlib
import time
from collections.abc import Iterator
from typing import Any

import jax

from benchmarks import steps, timing, workloads
from benchmarks.workloads import Workload


def rows(tiny: bool = False) -> Iterator[dict[str, Any]]:
    """Yields one row for one workload of each convolutional family, and for a penalised DCGAN. No cache is used."""
    names = ("dcgan_none", "dcgan_wgan_gp", "sngan_resnet_hinge", "r3gan_r1_r2")[: 1 if tiny else None]
    for workload in (w for w in workloads.WORKLOADS if w.name in names):
        ours, native = [], []
        with _without_compilation_cache():
            for _ in range(1 if tiny else 5):
                ours.append(_compile_seconds(workload))
                with steps.lax_convolutions():
                    native.append(_compile_seconds(workload))
        times = timing.summarise_times("ours_s", ours) | timing.summarise_times("native_s", native)
        yield {"name": f"compile/{workload.name}"} | times | timing.summarise_ratios(ours, native)


def _compile_seconds(workload: Workload) -> float:
    jax.clear_caches()
    started = time.perf_counter()
    steps.lower_step(workload).compile()
    return time.perf_counter() - started


@contextlib.contextmanager
def _without_compilation_cache() -> Iterator[None]:
    before = jax.config.jax_enable_compilation_cache
    jax.config.update("jax_enable_compilation_cache", False)
    try:
        yield
    finally:
        jax.config.update("jax_enable_compilation_cache", before)
