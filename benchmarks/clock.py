"""Times of things that do the same work, taken in turns: a shared machine is slow and fast for all of them alike."""

import statistics
import time
from collections.abc import Callable, Mapping, Sequence

import jax
import jax.numpy as jnp

Play = Callable[[int], None]  # play so many steps, and wait for them
ROUNDS = 7


def in_turns(sides: Mapping[str, Play], rounds: int = ROUNDS, seconds: float = 1.0) -> dict[str, list[float]]:
    """Milliseconds a step of each side, by round, in blocks of so many seconds after a step that is not timed."""
    taken, steps = {name: [] for name in sides}, {}
    for name, play in sides.items():  # The first steps compile, the next say how long one is.
        play(2)
        steps[name] = max(1, int(seconds * 1e3 / _clock(play, 2)))
    for _ in range(rounds):
        for name, play in sides.items():
            play(1)
            taken[name].append(_clock(play, steps[name]))
    return taken


def _clock(play: Play, n: int) -> float:
    started = time.perf_counter()
    play(n)
    return 1e3 * (time.perf_counter() - started) / n


def ratios(above: Sequence[float], below: Sequence[float]) -> dict[str, float]:
    """The median of the rounds' ratios, the least and the greatest."""
    found = [a / b for a, b in zip(above, below, strict=True)]
    return {
        "ratio": round(statistics.median(found), 3),
        "ratio_low": round(min(found), 3),
        "ratio_high": round(max(found), 3),
    }


def spread(name: str, taken: Sequence[float]) -> dict[str, float]:
    """Median, least and greatest of some times, as parts of a row."""
    parts = {"": statistics.median(taken), "_low": min(taken), "_high": max(taken)}
    return {f"{name}{part}": float(f"{value:.4g}") for part, value in parts.items()}


def peak(dtype: str = "float32", size: int | None = None) -> float:
    """The machine's FLOP/s in products of square matrices: the best of a few."""
    size = size or (2_048 if jax.default_backend() == "cpu" else 8_192)
    x = jnp.ones((size, size), dtype)
    product = jax.jit(jnp.matmul)

    def play(n: int) -> None:
        jax.block_until_ready([product(x, x) for _ in range(n)])

    return 2e3 * size**3 / min(in_turns({"product": play}, rounds=5, seconds=0.5)["product"])
