"""From the start of the process to the end of the first training step, with a cold and a warm compilation cache."""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from typing import Any

PREPARED = ("dcgan/mnist",)  # need data that a machine may not have

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
    """Seconds to import the package, and to the first step by experiment: cold, then the median of warm starts."""
    imports = [_seconds([sys.executable, "-c", "import jaxgan"]) for _ in range(1 if tiny else 5)]
    yield {"name": "start/import", "import_s": round(statistics.median(imports), 2)}
    for name in ("r3gan/ring", "dcgan/digits", *PREPARED):
        with tempfile.TemporaryDirectory() as folder:
            try:
                taken = [_first_step(name, folder, i) for i in range(2 if tiny else 6)]
            except subprocess.CalledProcessError as error:
                if name not in PREPARED:
                    raise
                print(f"start/{name} is left out: {error.stderr.strip().splitlines()[-1]}", file=sys.stderr)
                continue
        yield {"name": f"start/{name}", "cold_s": taken[0], "warm_s": statistics.median(taken[1:]), "runs": taken}


def _seconds(words: list[str]) -> float:
    before = time.time()
    subprocess.run(words, check=True)
    return time.time() - before


def _first_step(name: str, folder: str, i: int) -> float:
    env = {k: v for k, v in os.environ.items() if k != "JAX_COMPILATION_CACHE_DIR"} | {"XDG_CACHE_HOME": folder}
    before = time.time()
    words = [sys.executable, "-c", RUN, name, f"{folder}/run{i}"]
    said = subprocess.run(words, env=env, capture_output=True, text=True, check=True)
    return round(float(said.stdout.split()[-1]) - before, 2)
