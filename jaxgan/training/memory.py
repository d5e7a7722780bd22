"""The memory that a run needs, compared with what its devices have before anything is compiled."""

import math
import os
from pathlib import Path
from typing import Any

import chex
import jax

from jaxgan.core.game import init_state
from jaxgan.errors import UserError
from jaxgan.training.devices import Devices
from jaxgan.training.experiment import Config, Experiment

# In addition to the state a step holds at least a gradient and an update of the parameters, and a save holds a copy.
STATE_FACTOR = 2
CGROUP_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")  # versions 2 and 1


def check_training_memory(experiment: Experiment, config: Config, devices: Devices) -> None:
    """Raises UserError if training needs more memory than the devices have, or if the networks cannot be built.

    The need is a lower bound: for each seed `STATE_FACTOR` times the training state, and one batch of network inputs.
    Activations are not counted.
    """
    try:
        state = jax.eval_shape(lambda: init_state(experiment.game, jax.random.key(0)))
    except (ArithmeticError, ValueError) as error:
        raise UserError(f"networks cannot be built with these settings: {error}") from error
    batch = config.batch_size * num_bytes([network.inputs for network in experiment.game.networks])
    per_device = config.seeds * (STATE_FACTOR * num_bytes(state) + batch / devices.count)
    local = list(devices.mesh.local_devices)
    shares_host = local[0].platform == "cpu"  # Simulated devices share the memory of the machine.
    require(
        per_device * (len(local) if shares_host else 1),
        device_memory(local[0]),
        "training needs at least {} of memory for networks, optimizers and batches",
        "choose smaller networks, a smaller batch_size or fewer seeds",
    )


def require(needed: float, available: int | None, need: str, advice: str) -> None:
    """Raises UserError if `needed` bytes are more than `available`; None is unknown. `need` has a {} for the amount."""
    if available is not None and needed > available:
        raise UserError(f"{need.format(format_bytes(needed))}, and there are {format_bytes(available)}; {advice}")


def num_bytes(tree: chex.ArrayTree) -> int:
    """Returns the bytes of all arrays, or shapes, in a tree."""
    return sum(math.prod(x.shape) * x.dtype.itemsize for x in jax.tree.leaves(tree))


def device_memory(device: jax.Device) -> int | None:
    """Returns the bytes of memory that a device can use, or None if it does not say."""
    if device.platform == "cpu":
        return host_memory()
    stats: dict[str, Any] = device.memory_stats() or {}
    return stats.get("bytes_limit")


def host_memory() -> int:
    """Returns the bytes of memory that this process can use: those of the machine, or the limit of its container."""
    limits = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    for path in CGROUP_LIMITS:
        try:
            limits.append(int(Path(path).read_text()))
        except (OSError, ValueError):  # There is no such file, or it says "max".
            continue
    return min(limits)


def format_bytes(n: float) -> str:
    """Returns a number of bytes in words: `512 B`, `1.5 GB`."""
    units = ("B", "kB", "MB", "GB", "TB", "PB", "EB")
    power = min(int(math.log(max(n, 1), 1000)), len(units) - 1)
    return f"{n / 1000**power:.3g} {units[power]}"
