"""Which of XLA's libraries multiplies a game's matrices on the CPU."""

import functools
import math
from typing import Any

import jax

from jaxgan.game import Game

EIGEN: dict[str, Any] = {"xla_cpu_experimental_ynn_fusion_type": ""}  # no product goes to YNNPACK
ONE_CORE = 2**18, 2**23  # multiplications in a product: worth all cores, and YNNPACK leaves it to one


def compiler_options(game: Game, batch: int) -> dict[str, Any]:
    """XLA's options for a game of fully connected networks on batches of this size: those by which it is faster.

    YNNPACK, XLA's choice, takes one core for products for which Eigen takes all; it is the faster for smaller ones and
    for larger ones.
    """
    if jax.default_backend() != "cpu" or not _known():
        return {}
    params = jax.eval_shape(lambda key: [network.init(key)[0] for network in game.networks], jax.random.key(0))
    largest = max((math.prod(leaf.shape) for leaf in jax.tree.leaves(params)), default=0)
    return EIGEN if ONE_CORE[0] <= batch * largest < ONE_CORE[1] else {}


@functools.cache
def _known() -> bool:
    """Whether this version of XLA has the option."""
    try:
        jax.jit(lambda: 0, compiler_options=EIGEN)()
    except jax.errors.JaxRuntimeError:
        return False
    return True
