"""How long a step takes to trace and to compile, against the same with the convolutions of `lax`."""

import contextlib
import time
from collections.abc import Iterator
from typing import Any

import jax

from benchmarks import clock, steps, works
from benchmarks.works import Work


def rows(tiny: bool = False) -> Iterator[dict[str, Any]]:
    """A row for convolutional networks of each kind; no cache takes part."""
    names = ("dcgan_none", "dcgan_wgan_gp", "sngan_resnet_hinge", "r3gan_r1_r2")[: 1 if tiny else None]
    for work in (work for work in works.ALL if work.name in names):
        with _no_cache():
            taken = [
                (_seconds(work, contextlib.nullcontext()), _seconds(work, steps.native()))
                for _ in range(1 if tiny else 5)
            ]
        ours, native = zip(*taken, strict=True)
        times = clock.spread("ours_s", ours) | clock.spread("native_s", native) | clock.ratios(ours, native)
        yield {"name": f"compile/{work.name}"} | times


def _seconds(work: Work, within: contextlib.AbstractContextManager[None]) -> float:
    jax.clear_caches()
    with within:
        started = time.perf_counter()
        steps.lowered(work).compile()
        return time.perf_counter() - started


@contextlib.contextmanager
def _no_cache() -> Iterator[None]:
    before = jax.config.jax_enable_compilation_cache
    jax.config.update("jax_enable_compilation_cache", False)
    try:
        yield
    finally:
        jax.config.update("jax_enable_compilation_cache", before)
