"""Peak memory of training steps, relative to what XLA needs for state, data and temporaries."""

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

from benchmarks import workloads
from benchmarks.workloads import Workload
from jaxgan.cpu.malloc import keep_freed_memory
from jaxgan.data.streams import WindowData
from jaxgan.training.accumulator import ScalarAccumulator
from jaxgan.training.devices import Devices
from jaxgan.training.loop import SHARDED_INPUTS, LoopInputs, LoopState, make_train_loop


def rows(tiny: bool = False) -> Iterator[dict[str, Any]]:
    """Yields one row for each of a few workloads, measured in a process of its own."""
    for name in ("mnist_mlp", "dcgan_wgan_gp", "dcgan_none", "r3gan_r1_r2")[: 1 if tiny else None]:
        command = [sys.executable, "-m", "benchmarks.memory", name, *["tiny"] * tiny]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        yield json.loads(done.stdout.splitlines()[-1])


def measure(workload: Workload) -> dict[str, Any]:
    """Returns one row, in bytes. On the CPU the peak is the growth of the resident set since before initialisation."""
    game, source, devices = workloads.make_game(workload), workloads.make_source(workload), Devices.all(1)
    loop, key = make_train_loop(game, source, workload.batch), jax.random.key(0)
    functions = [loop.run_steps]
    if jax.default_backend() == "cpu" and any(network.convolutional for network in game.networks):
        keep_freed_memory()  # As training does. It also compiles each phase alone.
        functions = [loop.part(part) for part in loop.step_parts(game.phases)]
    window = next(source.windows(key, 0))
    names = loop.scalar_names(window.shapes)
    init = jax.jit(lambda: loop.init(key), out_shardings=devices.replicated)  # Compiling takes memory, so do it once.

    def make_operands() -> tuple[LoopState, LoopInputs]:
        zeros = devices.put_replicated(ScalarAccumulator.zeros(names))
        data = WindowData(devices.put_replicated(window.replicated))
        return LoopState(init(), zeros), LoopInputs(data, key, np.int32(1))

    operands = make_operands()
    programs = [devices.compile_step(f, SHARDED_INPUTS).lower(*operands).compile() for f in functions]
    needed = max(_needed_bytes(program) for program in programs)
    del operands
    before = _reset_peak()
    carry, inputs = make_operands()
    for _ in range(20):
        for program in programs:
            carry = program(carry, inputs)
        jax.block_until_ready(carry)
    peak = _peak() - before
    return {"name": f"memory/{workload.name}", "peak": peak, "needed": needed, "ratio": round(peak / needed, 3)}


def _needed_bytes(program: jax.stages.Compiled) -> int:
    """Returns XLA's count of the arguments, results and temporaries of a program. Donated arguments count once."""
    analysis = program.memory_analysis()
    held = analysis.argument_size_in_bytes + analysis.output_size_in_bytes - analysis.alias_size_in_bytes
    return held + analysis.temp_size_in_bytes


def _reset_peak() -> int:
    """Returns free memory to the system, resets the peak, and returns the bytes still in use."""
    gc.collect()
    if jax.default_backend() != "cpu":
        return 0  # A device's peak cannot be reset. Compiling held no more on it than the steps will.
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")
    return _proc_status("VmRSS")


def _peak() -> int:
    if jax.default_backend() != "cpu":
        return jax.devices()[0].memory_stats()["peak_bytes_in_use"]
    return _proc_status("VmHWM")


def _proc_status(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(name))


if __name__ == "__main__":
    (chosen,) = (w for w in workloads.WORKLOADS if w.name == sys.argv[1])
    print(json.dumps(measure(workloads.tiny(chosen) if "tiny" in sys.argv else workloads.for_this_backend(chosen)[0])))
