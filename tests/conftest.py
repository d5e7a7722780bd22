"""Eight simulated devices, no silent broadcasts or promotions, and a compilation cache of the tests' own."""

import os
import tempfile

# The tests mostly compile: without LLVM's optimisations that takes half the time, and the programs are the same.
os.environ["XLA_FLAGS"] = "--xla_force_host_platform_device_count=8 --xla_backend_optimization_level=0"
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", os.path.join(tempfile.gettempdir(), "jaxgan-tests-xla"))

import jax
import pytest

from jaxgan import train

jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.5)
train.keep_freed = lambda: None  # With it steps are faster, but compiling takes a quarter longer.


@pytest.fixture
def key() -> jax.Array:
    return jax.random.key(0)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes longest, so that no worker is left alone with it at the end."""
    items.sort(key=lambda item: not any(word in item.name for word in ("resumed", "processes")))
