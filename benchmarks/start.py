"""From the start of the process to the end of the first training step, with a cold and a warm compilation cache."""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from typing import Any

RUN = """
import os, sys, time
import launch
from jaxgan import train

make_dispatch = train.make_dispatch

def stop_after_one(*args):
    dispatch = make_dispatch(*args)
    def once(*args):
        dispatch(*args)
        print(time.time(), flush=True)
        os._exit(0)
    return once

train.make_dispatch = stop_after_one
launch.main(["train", sys.argv[1], "--workdir", sys.argv[2]])
"""


def rows(tiny: bool = False) -> Iterator[dict[str, Any]]:
    """Seconds to the first step, by experiment: cold, then the median of several warm starts."""
    for name in ("r3gan/ring", "r3gan/digits_conv"):
        with tempfile.TemporaryDirectory() as folder:
            taken = [_first_step(name, folder, i) for i in range(2 if tiny else 6)]
        yield {"name": f"start/{name}", "cold_s": taken[0], "warm_s": statistics.median(taken[1:]), "runs": taken}


def _first_step(name: str, folder: str, i: int) -> float:
    env = {k: v for k, v in os.environ.items() if k != "JAX_COMPILATION_CACHE_DIR"} | {"XDG_CACHE_HOME": folder}
    before = time.time()
    words = [sys.executable, "-c", RUN, name, f"{folder}/run{i}"]
    said = subprocess.run(words, env=env, capture_output=True, text=True, check=True)
    return round(float(said.stdout.split()[-1]) - before, 2)
