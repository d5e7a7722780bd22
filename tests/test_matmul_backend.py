"""Tests of the choice between XLA's libraries for matrix products."""

from typing import Any

import jax
import jax.numpy as jnp
import pytest

from jaxgan.cpu import matmul_backend
from jaxgan.networks import mlp


def param_shapes(width: int) -> dict[str, Any]:
    """Returns the shapes of a critic's parameters; its largest leaf has width² entries."""
    critic = mlp.Critic(width, depth=2)
    return jax.eval_shape(lambda: critic.init(jax.random.key(0), jnp.zeros([1, 2])))["params"]


@pytest.mark.parametrize(
    ("width", "batch_size", "uses_eigen"),
    [(32, 64, False), (128, 256, True), (128, 512, False), (512, 1, True), (256, 4, True), (512, 256, False)],
)
def test_eigen_is_used_for_products_of_medium_size(width: int, batch_size: int, uses_eigen: bool):
    options = matmul_backend.xla_options(param_shapes(width), batch_size)
    assert options == (matmul_backend.EIGEN_OPTIONS if uses_eigen else {})


def test_the_largest_leaf_of_the_tree_decides():
    networks = {"small": param_shapes(8), "medium": param_shapes(128)}
    assert matmul_backend.xla_options(networks, 256) == matmul_backend.EIGEN_OPTIONS
    assert matmul_backend.xla_options({**networks, "large": param_shapes(512)}, 256) == {}


def test_no_params_give_no_options():
    assert matmul_backend.xla_options({}, 256) == {}


def test_other_backends_get_no_options(monkeypatch: pytest.MonkeyPatch):
    params = param_shapes(128)
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    assert matmul_backend.xla_options(params, 256) == {}


def test_xla_accepts_the_options():
    assert matmul_backend._eigen_options_supported()


def test_options_unknown_to_xla_are_not_used(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(matmul_backend, "EIGEN_OPTIONS", {"xla_cpu_no_such_option": ""})
    matmul_backend._eigen_options_supported.cache_clear()
    assert not matmul_backend._eigen_options_supported()
    assert matmul_backend.xla_options(param_shapes(128), 256) == {}
    monkeypatch.undo()
    matmul_backend._eigen_options_supported.cache_clear()
    assert jax.jit(lambda: 1, compiler_options=matmul_backend.EIGEN_OPTIONS)() == 1
