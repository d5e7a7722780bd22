"""Time from the start of a process to the end of its first training step, with cold and warm compilation caches."""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from typing import Any

NEEDS_DATA = ("dcgan/mnist", "cyclegan/mnist_inverted")  # left out where its data set is not prepared

# Trains by the command line and exits after the first dispatch.
SCRIPT = """
import os, sys, time
import launch
from jaxgan.training import trainer

make_dispatch = trainer.make_dispatch

def make_single_dispatch(*args):
    dispatch = make_dispatch(*args)
    def dispatch_and_exit(*args):
        dispatch(*args)
        print(time.time(), flush=True)
        os._exit(0)
    return dispatch_and_exit

trainer.make_dispatch = make_single_dispatch
sys.exit(launch.main(["train", sys.argv[1], "--workdir", sys.argv[2]]))
"""


def rows(tiny: bool = False) -> Iterator[dict[str, Any]]:
    """Yields the seconds to import the package, then to the first step of each experiment: cold, and median of warm."""
    imports = [_run_seconds([sys.executable, "-c", "import jaxgan"]) for _ in range(1 if tiny else 5)]
    yield {"name": "start/import", "import_s": round(statistics.median(imports), 2)}
    for name in ("r3gan/ring", "dcgan/digits", "pix2pix/shapes", *NEEDS_DATA):
        with tempfile.TemporaryDirectory() as folder:
            try:
                times = [_first_step_seconds(name, folder, i) for i in range(2 if tiny else 6)]
            except subprocess.CalledProcessError as error:
                if name not in NEEDS_DATA:
                    raise
                print(f"start/{name} is left out: {error.stderr.strip().splitlines()[-1]}", file=sys.stderr)
                continue
        yield {"name": f"start/{name}", "cold_s": times[0], "warm_s": statistics.median(times[1:]), "runs": times}


def _run_seconds(command: list[str]) -> float:
    started = time.time()
    subprocess.run(command, check=True)
    return time.time() - started


def _first_step_seconds(name: str, cache: str, i: int) -> float:
    """Returns the seconds of start `i`; starts with the same `cache` folder share its compilation cache."""
    env = {k: v for k, v in os.environ.items() if k != "JAX_COMPILATION_CACHE_DIR"} | {"XDG_CACHE_HOME": cache}
    command = [sys.executable, "-c", SCRIPT, name, f"{cache}/run{i}"]
    started = time.time()
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=True)
    return round(float(done.stdout.split()[-1]) - started, 2)
