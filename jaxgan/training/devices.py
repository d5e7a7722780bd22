"""Compiles functions for all devices, by `jax.shard_map` or `jax.pmap`, and moves arrays to and from them.

Every device holds the whole training state and computes on its shard of each batch (`axis.global_indices`). After each
phase the state is the same on all devices, because `update` averages everything that a loss changes.
"""

import dataclasses
from collections.abc import Callable
from typing import Any, Literal

import chex
import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from jaxgan.core.axis import AXIS_NAME
from jaxgan.errors import UserError

ParallelMode = Literal["shard_map", "pmap"]


@dataclasses.dataclass(frozen=True)
class Devices:
    """The devices of a run, and how functions are compiled for them."""

    mesh: Mesh
    mode: ParallelMode = "shard_map"

    @classmethod
    def all(cls, count: int | None = None, mode: ParallelMode = "shard_map") -> "Devices":
        """Returns the first `count` devices of all processes, or all of them. Raises UserError if there are fewer."""
        devices = jax.devices()
        if count is not None and not 1 <= count <= len(devices):
            raise UserError(f"{count} devices requested, but there are {len(devices)} ({devices[0].device_kind})")
        return cls(_mesh(devices[:count]), mode)

    @classmethod
    def local(cls) -> "Devices":
        """Returns the devices of this process, for computations that other processes do not take part in."""
        return cls(_mesh(jax.local_devices()))

    @property
    def count(self) -> int:
        """The number of devices."""
        return self.mesh.size

    @property
    def replicated(self) -> NamedSharding:
        """The sharding that keeps a whole copy on each device."""
        return NamedSharding(self.mesh, P())

    def check_batch_size(self, batch_size: int) -> None:
        """Raises UserError if the batch cannot be split evenly."""
        if remainder := batch_size % self.count:
            below = batch_size - remainder
            nearest = " or ".join(str(n) for n in (below, below + self.count) if n)
            raise UserError(f"batch_size {batch_size} does not divide over {self.count} devices; use {nearest}")

    def init_replicated(self, init: Callable[..., Any], *args: chex.ArrayTree) -> Any:
        """Runs `init(*args)` on every device. The result's leaves do not share memory, so that they can be donated."""
        # Runs once. At LLVM's first level it compiles almost three times as fast, with the same results to the bit.
        options = {"xla_backend_optimization_level": 1} if jax.default_backend() == "cpu" else None
        return jax.jit(init, out_shardings=self.replicated, compiler_options=options)(*args)

    def put_replicated(self, tree: chex.ArrayTree) -> chex.ArrayTree:
        """Copies host arrays to every device."""
        return jax.device_put(tree, self.replicated)

    def put_sharded(self, read_rows: Callable[[np.ndarray], chex.ArrayTree], batch_size: int) -> chex.ArrayTree:
        """Splits arrays [batch_size, ...] evenly over the devices.

        `read_rows` returns the rows at given positions of the batch. Each process reads the rows of its own devices.
        """
        shard_size = batch_size // self.count
        local = [(i, d) for i, d in enumerate(self.mesh.devices.flat) if d.process_index == jax.process_index()]
        rows = read_rows(np.concatenate([np.arange(i * shard_size, (i + 1) * shard_size) for i, _ in local]))
        leading = (self.count, shard_size) if self.mode == "pmap" else (batch_size,)

        def put(x: np.ndarray) -> jax.Array:
            shape = *leading, *x.shape[1:]
            shards = x.reshape(len(local), shape[0] // self.count, *shape[1:])
            arrays = [jax.device_put(shard, device) for shard, (_, device) in zip(shards, local, strict=True)]
            return jax.make_array_from_single_device_arrays(shape, NamedSharding(self.mesh, P(AXIS_NAME)), arrays)

        return jax.tree.map(put, rows)

    def compile_step(
        self, step: Callable[[Any, Any], Any], sharded: Any = False, compiler_options: dict[str, Any] | None = None
    ) -> Callable[[Any, Any], Any]:
        """Compiles `step(carry, inputs) -> carry` over the devices. The carry is donated.

        Args:
            step: A per-device function. The carry comes from `replicate`.
            sharded: A prefix tree of `inputs`: True where a device gets its shard, False where it gets the whole.
            compiler_options: Options of XLA. `jax.pmap` does not take any.
        """
        if self.mode == "pmap":
            axes = 0, jax.tree.map(lambda s: 0 if s else None, sharded)
            return jax.pmap(step, AXIS_NAME, in_axes=axes, devices=list(self.mesh.devices.flat), donate_argnums=0)
        # With check_vma=True gradients in a replicated state arrive summed, and averaging would leave them N times too
        # large.
        specs = P(), jax.tree.map(lambda s: P(AXIS_NAME) if s else P(), sharded)
        mapped = jax.shard_map(step, mesh=self.mesh, in_specs=specs, out_specs=P(), check_vma=False)
        return jax.jit(mapped, donate_argnums=0, compiler_options=compiler_options)

    def compile_rowwise(self, f: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
        """Compiles `f(shared, rows)`, which treats each of the rows [N, ...] alone, with the rows split evenly."""
        specs = (P(), P(AXIS_NAME))
        return jax.jit(jax.shard_map(f, mesh=self.mesh, in_specs=specs, out_specs=P(AXIS_NAME)))

    def replicate(self, tree: chex.ArrayTree) -> chex.ArrayTree:
        """Converts a tree with sharding `replicated` to the carry of a compiled step.

        For pmap leaves are stacked over this process's devices; for shard_map they stay as they are.
        """
        if self.mode == "shard_map":
            return tree
        n = len(self.mesh.local_devices)
        return jax.tree.map(lambda x: np.broadcast_to(np.asarray(x), (n, *x.shape)), tree)

    def unreplicate(self, carry: chex.ArrayTree) -> chex.ArrayTree:
        """The inverse of `replicate`: a tree with sharding `replicated`, as checkpoints store it."""
        if self.mode == "shard_map":
            return carry

        def join(x: jax.Array) -> jax.Array:
            copies = [shard.data.reshape(x.shape[1:]) for shard in x.addressable_shards]
            return jax.make_array_from_single_device_arrays(x.shape[1:], self.replicated, copies)

        return jax.tree.map(join, carry)

    def local_copy(self, carry: chex.ArrayTree) -> chex.ArrayTree:
        """Returns the carry's values on one device of this process."""
        return jax.tree.map(lambda x: x.addressable_data(0), self.unreplicate(carry))


def _mesh(devices: list[jax.Device]) -> Mesh:
    return jax.make_mesh((len(devices),), (AXIS_NAME,), (AxisType.Auto,), devices=devices)
