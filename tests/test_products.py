"""The choice of a library for matrix products."""

import jax
import pytest

from jaxgan import products
from jaxgan.game import Network, spec
from jaxgan.networks import mlp


class Game:
    """Of a game, its networks."""

    def __init__(self, width: int) -> None:
        self.networks = (Network("critic", mlp.Critic(width, 2), (spec(2),)),)


@pytest.mark.parametrize(("width", "batch", "eigen"), [(32, 64, False), (128, 256, True), (512, 256, False)])
def test_middling_products_are_eigens(width: int, batch: int, eigen: bool):
    assert products.compiler_options(Game(width), batch) == (products.EIGEN if eigen else {})


def test_xla_takes_the_option():
    assert products._known()


def test_an_unknown_option_is_not_used(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(products, "EIGEN", {"xla_cpu_no_such_option": ""})
    products._known.cache_clear()
    assert not products._known()
    assert products.compiler_options(Game(128), 256) == {}
    monkeypatch.undo()
    products._known.cache_clear()
    assert jax.jit(lambda: 1, compiler_options=products.EIGEN)() == 1
