"""Selects the library that XLA uses for matrix products on the CPU."""

import functools
import math
from typing import Any

import chex
import jax

EIGEN_OPTIONS: dict[str, Any] = {"xla_cpu_experimental_ynn_fusion_type": ""}  # disables YNNPACK
EIGEN_RANGE = 2**18, 2**23  # scalar multiplications per product, [min, max), for which Eigen is faster than YNNPACK


def xla_options(params: chex.ArrayTree, batch_size: int) -> dict[str, Any]:
    """Returns the XLA compiler options with which fully connected networks train fastest on this backend.

    XLA's default library YNNPACK uses one core for products of medium size, for which Eigen uses all cores. YNNPACK is
    faster for smaller and for larger products. The size that decides is the number of scalar multiplications of the
    largest product, which is `batch_size` times the size of the largest leaf.

    Args:
        params: Parameters of all networks that are trained together, as arrays or `jax.ShapeDtypeStruct`.
        batch_size: Number of examples on one device.

    Returns:
        Options for `jax.jit(..., compiler_options=...)`. Empty on other backends than the CPU, and if this version of
        XLA does not have the option.
    """
    if jax.default_backend() != "cpu" or not _eigen_options_supported():
        return {}
    multiplications = batch_size * max((math.prod(leaf.shape) for leaf in jax.tree.leaves(params)), default=0)
    return EIGEN_OPTIONS if EIGEN_RANGE[0] <= multiplications < EIGEN_RANGE[1] else {}


@functools.cache
def _eigen_options_supported() -> bool:
    """Returns whether this version of XLA accepts `EIGEN_OPTIONS`."""
    try:
        jax.jit(lambda: 0, compiler_options=EIGEN_OPTIONS)()
    except jax.errors.JaxRuntimeError:
        return False
    return True
