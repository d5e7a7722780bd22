"""Interleaved timing: alternatives run in turns, because a shared machine is slow and fast for all of them alike."""

import statistics
import time
from collections.abc import Callable, Mapping, Sequence

import jax
import jax.numpy as jnp

RunSteps = Callable[[int], None]  # runs that many steps and waits for them
ROUNDS = 7
WARM_UP = 20  # measurements' worth of work before the first: a shared machine may take seconds to reach full speed


def interleaved_times(
    alternatives: Mapping[str, RunSteps], rounds: int = ROUNDS, seconds: float = 1.0
) -> dict[str, list[float]]:
    """Returns milliseconds per step of each alternative, one value per round.

    Args:
        alternatives: What to time, by name.
        rounds: How often each alternative is timed.
        seconds: Length of one measurement. Each is preceded by one step that is not timed, and all by a warm-up of
            `WARM_UP` times this length.
    """
    times, steps = {name: [] for name in alternatives}, {}
    for name, run in alternatives.items():
        run(2)  # compiles
        steps[name] = max(1, int(seconds * 1e3 / _time_per_step(run, 2)))
    started = time.perf_counter()
    while time.perf_counter() - started < WARM_UP * seconds:
        for name, run in alternatives.items():
            run(steps[name])
    for _ in range(rounds):
        for name, run in alternatives.items():
            run(1)
            times[name].append(_time_per_step(run, steps[name]))
    return times


def _time_per_step(run: RunSteps, n: int) -> float:
    started = time.perf_counter()
    run(n)
    return 1e3 * (time.perf_counter() - started) / n


def summarise_ratios(numerators: Sequence[float], denominators: Sequence[float]) -> dict[str, float]:
    """Returns the median, minimum and maximum of the ratios of corresponding rounds, as fields of a row."""
    ratios = [a / b for a, b in zip(numerators, denominators, strict=True)]
    return {
        "ratio": round(statistics.median(ratios), 3),
        "ratio_low": round(min(ratios), 3),
        "ratio_high": round(max(ratios), 3),
    }


def summarise_times(name: str, times: Sequence[float]) -> dict[str, float]:
    """Returns the median, minimum and maximum of times, as fields `name`, `name_low` and `name_high` of a row."""
    values = {"": statistics.median(times), "_low": min(times), "_high": max(times)}
    return {f"{name}{suffix}": float(f"{value:.4g}") for suffix, value in values.items()}


def peak_flops_per_s(dtype: str = "float32", size: int | None = None) -> float:
    """Returns the machine's FLOP/s in products of square matrices: the best of a few rounds."""
    size = size or (2_048 if jax.default_backend() == "cpu" else 8_192)
    x = jnp.ones((size, size), dtype)
    product = jax.jit(jnp.matmul)

    def run(n: int) -> None:
        jax.block_until_ready([product(x, x) for _ in range(n)])

    return 2e3 * size**3 / min(interleaved_times({"product": run}, rounds=5, seconds=0.5)["product"])
