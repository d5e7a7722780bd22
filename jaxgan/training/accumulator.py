"""Sums of logged scalars on the device, fetched once per line of the log."""

import dataclasses
from collections.abc import Iterable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxgan.core.game import Scalars

NEVER = np.int32(2**31 - 1)


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class ScalarAccumulator:
    """Sums of scalars since they were last fetched, and the step at which each loss first was not finite.

    Attributes:
        total: float32 [] by name.
        count: int32 [] by name, how often the scalar was added.
        first_nonfinite_step: int32 [] by `phase/loss`; NEVER while all values are finite.
    """

    total: dict[str, Array]
    count: dict[str, Array]
    first_nonfinite_step: dict[str, Array]

    @classmethod
    def zeros(cls, names: Iterable[str], seeds: int = 1) -> "ScalarAccumulator":
        """Returns an empty accumulator of host arrays, with a leading axis for several seeds."""
        names, shape = tuple(names), [seeds] if seeds > 1 else []
        losses = [name for name in names if name.endswith("/loss")]
        return cls(
            {name: np.full(shape, np.float32(0)) for name in names},
            {name: np.full(shape, np.int32(0)) for name in names},
            {name: np.full(shape, NEVER) for name in losses},
        )

    def update(self, step: Array, scalars: Scalars) -> "ScalarAccumulator":
        """Returns the accumulator with the scalars of one step added. Names that are absent keep their sums."""
        total = self.total | {name: self.total[name] + x for name, x in scalars.items()}
        count = self.count | {name: self.count[name] + 1 for name in scalars}
        first = {
            name: jnp.minimum(first, jnp.where(jnp.isfinite(scalars[name]), NEVER, step))
            for name, first in self.first_nonfinite_step.items()
            if name in scalars
        }
        return ScalarAccumulator(total, count, self.first_nonfinite_step | first)

    def to_json(self) -> dict[str, Any] | None:
        """Returns the sums as a JSON value from which `from_json` restores them exactly. Call it on host arrays.

        Returns None if nothing was added.
        """
        if not any(np.any(n) for n in self.count.values()):
            return None
        return jax.tree.map(lambda x: np.asarray(x).tolist(), dataclasses.asdict(self))

    def from_json(self, value: Any) -> "ScalarAccumulator":
        """Returns the accumulator that `to_json` was called on, for an empty one of the same scalars.

        If `value` is None or of other scalars, because the code has changed since, the empty one is returned.
        """
        if value is None or self.count.keys() != value["count"].keys():
            return self
        fields = dataclasses.asdict(self)
        arrays = jax.tree.map(lambda empty, x: np.asarray(x, empty.dtype).reshape(empty.shape), fields, value)
        return ScalarAccumulator(**arrays)

    def means(self) -> dict[str, np.ndarray]:
        """Returns the mean of every scalar that was added: [], or [K] for K seeds. Call it on host arrays."""
        return {name: np.asarray(self.total[name] / n) for name, n in self.count.items() if np.all(n)}

    def first_nonfinite(self) -> tuple[int, str] | None:
        """Returns the first step with a loss that is not finite, and the loss's name. Call it on host arrays."""
        step, name = min((int(np.min(step)), name) for name, step in self.first_nonfinite_step.items())
        return None if step == NEVER else (step, name)
