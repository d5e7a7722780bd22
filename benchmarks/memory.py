"""The most memory that steps take, against what XLA says that state, data and temporaries need."""

import ctypes
import gc
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np

from benchmarks import works
from benchmarks.works import Work
from jaxgan import metrics
from jaxgan.memory import keep_freed
from jaxgan.parallel import Devices
from jaxgan.rounds import SPLIT, Carry, Given, make_rounds
from jaxgan.train import convolves


def rows(tiny: bool = False) -> Iterator[dict[str, Any]]:
    """A row for a network of each kind, each measured in a process of its own."""
    for name in ("mnist_mlp", "dcgan_wgan_gp", "dcgan_none", "r3gan_r1_r2")[: 1 if tiny else None]:
        words = [sys.executable, "-m", "benchmarks.memory", name, *["tiny"] * tiny]
        said = subprocess.run(words, capture_output=True, text=True, check=True)
        yield json.loads(said.stdout.splitlines()[-1])


def measure(work: Work) -> dict[str, Any]:
    """One row, in bytes; on the CPU by the process's resident memory from before the state is made."""
    game, source, place = works.game(work), works.source(work), Devices.take(1)
    rounds, key = make_rounds(game, source, work.batch), jax.random.key(0)
    if any(map(convolves, game.networks)):
        keep_freed()  # As training does.
    held = next(source.windows(key, 0)).arrays
    names = rounds.names(held)
    start = jax.jit(lambda: rounds.start(key), out_shardings=place.replicated)  # Compiled once: that takes memory too.

    def begin() -> tuple[Carry, Given]:
        tally = place.put(metrics.Tally.empty(names, 1))
        return Carry(start(), tally), Given(place.put(held), {}, key, np.int32(1))

    begun = begin()
    play = place.compile(rounds.one(game.phases), SPLIT).lower(*begun).compile()
    says = play.memory_analysis()
    needed = says.argument_size_in_bytes + says.output_size_in_bytes - says.alias_size_in_bytes
    needed += says.temp_size_in_bytes
    del begun
    before = _forget()
    carry, given = begin()
    for _ in range(20):
        carry = jax.block_until_ready(play(carry, given))
    peak = _peak() - before
    return {"name": f"memory/{work.name}", "peak": peak, "needed": needed, "ratio": round(peak / needed, 3)}


def _forget() -> int:
    """Give back what is free, begin a new peak, and return the bytes that are held."""
    gc.collect()
    if jax.default_backend() != "cpu":
        return 0  # A device counts from the start; what was compiled for held no more than what follows.
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")
    return _status("VmRSS")


def _peak() -> int:
    if jax.default_backend() != "cpu":
        return jax.devices()[0].memory_stats()["peak_bytes_in_use"]
    return _status("VmHWM")


def _status(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(name))


if __name__ == "__main__":
    (chosen,) = (work for work in works.ALL if work.name == sys.argv[1])
    print(json.dumps(measure(works.tiny(chosen) if "tiny" in sys.argv else works.here(chosen)[0])))
