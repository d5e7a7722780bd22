"""The only place that names devices: a round compiled over all of them by `jax.shard_map` or by `jax.pmap`.

Every device holds the whole state, plays on its share of each batch (`axis.positions`), and ends each phase with the
same state as all others, because `update` averages what a loss changed.
"""

import dataclasses
from collections.abc import Callable
from typing import Any, Literal

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from jaxgan.axis import AXIS
from jaxgan.errors import Problem

Parallel = Literal["shard_map", "pmap"]


@dataclasses.dataclass(frozen=True)
class Devices:
    """The devices that a run uses, and how its rounds are compiled for them."""

    mesh: Mesh
    parallel: Parallel = "shard_map"

    @classmethod
    def take(cls, count: int | None = None, parallel: Parallel = "shard_map") -> "Devices":
        """The first `count` devices, or all that there are, of all processes."""
        there = jax.devices()
        if count is not None and not 1 <= count <= len(there):
            raise Problem(f"{count} devices asked for; there are {len(there)} ({there[0].device_kind})")
        return cls(jax.make_mesh((count or len(there),), (AXIS,), (AxisType.Auto,), devices=there[:count]), parallel)

    @classmethod
    def take_local(cls) -> "Devices":
        """Those of this process: for what it computes without the others."""
        there = jax.local_devices()
        return cls(jax.make_mesh((len(there),), (AXIS,), (AxisType.Auto,), devices=there))

    @property
    def replicated(self) -> NamedSharding:
        """The sharding of the state and the data: a whole copy on each device."""
        return NamedSharding(self.mesh, P())

    def check(self, batch_size: int) -> None:
        """Raise a Problem where the batch cannot be split evenly."""
        if left := batch_size % self.mesh.size:
            fit = [n for n in (batch_size - left, batch_size - left + self.mesh.size) if n]
            use = " or ".join(map(str, fit))
            raise Problem(f"batch_size {batch_size} does not divide over {self.mesh.size} devices; use {use}")

    def make(self, f: Callable[[], Any]) -> Any:
        """Call f on every device alike. States are made so: each leaf gets a buffer of its own, fit for donation."""
        return jax.jit(f, out_shardings=self.replicated)()

    def put(self, tree: Any) -> Any:
        """Copy host arrays to every device."""
        return jax.device_put(tree, self.replicated)

    def split(self, read: Callable[[np.ndarray], Any], n: int) -> Any:
        """Give each device its share of arrays [n, ...], of which `read` gives the rows at these positions.

        Each process reads what its own devices hold, and no more.
        """
        share = n // self.mesh.size
        mine = [(i, d) for i, d in enumerate(self.mesh.devices.flat) if d.process_index == jax.process_index()]
        rows = read(np.concatenate([np.arange(i * share, (i + 1) * share) for i, _ in mine]))
        inner = (self.mesh.size, share) if self.parallel == "pmap" else (n,)

        def place(x: np.ndarray) -> jax.Array:
            shape = *inner, *x.shape[1:]
            of_one = x.reshape(len(mine), shape[0] // self.mesh.size, *shape[1:])
            shares = [jax.device_put(part, device) for part, (_, device) in zip(of_one, mine, strict=True)]
            return jax.make_array_from_single_device_arrays(shape, NamedSharding(self.mesh, P(AXIS)), shares)

        return jax.tree.map(place, rows)

    def compile(
        self, play: Callable[[Any, Any], Any], split: Any = False, options: dict[str, Any] | None = None
    ) -> Callable[[Any, Any], Any]:
        """Compile `play(carry, given) -> carry`; the carry is laid out by `carried`, and donated.

        `split` says of which parts of what is given, a tree that begins as it does, each device gets its share alone.
        `options` are the compiler's; `jax.pmap` takes none.
        """
        if self.parallel == "pmap":
            axes = 0, jax.tree.map(lambda s: 0 if s else None, split)
            return jax.pmap(play, AXIS, in_axes=axes, devices=list(self.mesh.devices.flat), donate_argnums=0)
        # check_vma=False: else gradients in a replicated state arrive summed, and averaged they stay N times too big.
        specs = P(), jax.tree.map(lambda s: P(AXIS) if s else P(), split)
        mapped = jax.shard_map(play, mesh=self.mesh, in_specs=specs, out_specs=P(), check_vma=False)
        return jax.jit(mapped, donate_argnums=0, compiler_options=options)

    def map(self, f: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
        """Compile `f(shared, rows)`, which treats each of the rows [N, ...] by itself, to split them evenly."""
        return jax.jit(jax.shard_map(f, mesh=self.mesh, in_specs=(P(), P(AXIS)), out_specs=P(AXIS)))

    def carried(self, tree: Any) -> Any:
        """Lay out a replicated tree as compiled rounds carry it: for pmap, stacked over this process's devices."""
        if self.parallel == "shard_map":
            return tree
        n = len(self.mesh.local_devices)
        return jax.tree.map(lambda x: np.broadcast_to(np.asarray(x), (n, *x.shape)), tree)

    def whole(self, carry: Any) -> Any:
        """The inverse of `carried`: what checkpoints hold."""
        if self.parallel == "shard_map":
            return carry

        def join(x: jax.Array) -> jax.Array:
            copies = [shard.data.reshape(x.shape[1:]) for shard in x.addressable_shards]
            return jax.make_array_from_single_device_arrays(x.shape[1:], self.replicated, copies)

        return jax.tree.map(join, carry)

    def one(self, carry: Any) -> Any:
        """One device's copy of what is carried."""
        return jax.tree.map(lambda x: x.addressable_data(0), self.whole(carry))
