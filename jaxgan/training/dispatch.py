"""Calls of compiled steps: one step at a time for convolutions on the CPU, and many steps in one call elsewhere."""

import contextlib
import time
from collections.abc import Callable, Iterator

import jax
import numpy as np

from jaxgan.core.game import Game
from jaxgan.cpu.malloc import keep_freed_memory
from jaxgan.cpu.matmul_backend import xla_options
from jaxgan.data.streams import Window, WindowData, prefetch
from jaxgan.training.devices import Devices
from jaxgan.training.experiment import Config
from jaxgan.training.loop import SHARDED_INPUTS, LoopInputs, LoopState, TrainLoop, distinct_due_sets, run_key

DISPATCH_SECONDS = 0.5  # work per dispatch: long enough to hide its cost, short enough to stop promptly

Dispatch = Callable[[LoopState, int, int], tuple[LoopState, int]]
Announce = Callable[[str], contextlib.AbstractContextManager[None]]  # Shows what is compiled inside the context.
# (step) -> inputs for this step, and the first step that they do not serve.
GetInputs = Callable[[int], tuple[LoopInputs, int]]


def make_dispatch(
    game: Game,
    loop: TrainLoop,
    windows: Iterator[Window],
    config: Config,
    devices: Devices,
    announce: Announce = contextlib.nullcontext,
) -> Dispatch:
    """Returns `dispatch(carry, step, end) -> (carry, step)`, which runs one compiled call and waits for it.

    A call runs about `DISPATCH_SECONDS` of steps, not beyond `end` nor beyond the current window. It waits because
    simulated CPU devices deadlock on a long queue of collectives.
    """
    get_inputs = _inputs_by_step(windows, config, devices)
    if jax.default_backend() == "cpu" and any(network.convolutional for network in game.networks):
        return _dispatch_single_steps(game, loop, devices, get_inputs, announce)
    params = jax.eval_shape(lambda key: [network.init(key)[0] for network in game.networks], jax.random.key(0))
    options = xla_options(params, config.batch_size // devices.count)
    return _dispatch_many_steps(loop, devices, get_inputs, options, announce)


def _inputs_by_step(windows: Iterator[Window], config: Config, devices: Devices) -> GetInputs:
    """Returns a function that yields the loop's inputs for increasing steps; windows are prefetched to the devices."""
    key = devices.init_replicated(lambda: run_key(config))

    def put(window: Window) -> LoopInputs:
        sharded = devices.put_sharded(window.sharded.read, config.batch_size) if window.sharded.shapes else {}
        data = WindowData(devices.put_replicated(window.replicated), sharded)
        return LoopInputs(data, key, num_steps=np.int32(1))

    feed = prefetch(windows, put)
    inputs, stop = None, 0

    def get(step: int) -> tuple[LoopInputs, int]:
        nonlocal inputs, stop
        if step >= stop:
            inputs, stop = next(feed)
        return inputs, stop

    return get


def _dispatch_single_steps(
    game: Game, loop: TrainLoop, devices: Devices, get_inputs: GetInputs, announce: Announce
) -> Dispatch:
    """One step at a time, for CPU convolutions: inside a loop XLA runs them up to four times slower.

    Phases that are always due together are one program. Otherwise each phase is a program of its own, compiled when it
    is first due, so that a phase that is due together with different others is compiled once.
    """
    keep_freed_memory()
    compiled = {}
    count = len({part for due in distinct_due_sets(game) for part in loop.step_parts(due)})

    def dispatch(carry: LoopState, step: int, end: int) -> tuple[LoopState, int]:
        inputs, _ = get_inputs(step)
        for part in loop.step_parts(game.due_phases(step)):
            if part in compiled:
                carry = compiled[part](carry, inputs)
                continue
            compiled[part] = devices.compile_step(loop.part(part), SHARDED_INPUTS)
            with announce(f"{part.name}, {len(compiled)} of {count}"):
                carry = compiled[part](carry, inputs)
        return jax.block_until_ready(carry), step + 1

    return dispatch


def _dispatch_many_steps(
    loop: TrainLoop, devices: Devices, get_inputs: GetInputs, options: dict, announce: Announce
) -> Dispatch:
    """As many steps per call as take about `DISPATCH_SECONDS`."""
    run_steps = devices.compile_step(loop.run_steps, SHARDED_INPUTS, options)
    steps_per_second = 0.0

    def dispatch(carry: LoopState, step: int, end: int) -> tuple[LoopState, int]:
        nonlocal steps_per_second
        inputs, stop = get_inputs(step)
        n = min(end, stop) - step
        if jax.process_count() == 1:  # Several processes must choose the same number without communication.
            n = min(n, max(1, int(steps_per_second * DISPATCH_SECONDS)))
        started = time.perf_counter()
        with announce("all phases, 1 of 1") if not steps_per_second else contextlib.nullcontext():
            carry = jax.block_until_ready(run_steps(carry, inputs._replace(num_steps=np.int32(n))))
        steps_per_second = n / (time.perf_counter() - started)
        return carry, step + n

    return dispatch
