"""A game refuses names that do not meet, and its moves are the ones that its phases say."""

import dataclasses

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxgan.game import Game, Network, Phase, Player, init, spec
from jaxgan.rounds import due_sets
from jaxgan.update import make_update


class Number(nn.Module):
    start: float

    @nn.compact
    def __call__(self, x, train=True):
        return x * self.param("value", nn.initializers.constant(self.start), ())


def bilinear(h=0.1, **changes):
    """Min over x, max over y of x y, from (1, 2): the game whose every step is known."""
    x, y = Network("x", Number(1.0), (spec(),)), Network("y", Number(2.0), (spec(),))
    one = jnp.ones([1])
    product = lambda state: (x.bind(state)(one) * y.bind(state)(one)).sum()
    return dataclasses.replace(
        Game(
            networks=(x, y),
            players={"x": Player(("x",), optax.sgd(h)), "y": Player(("y",), optax.sgd(h))},
            phases=(
                Phase("y", "y", lambda state, batch, key: (-product(state), (state, {}))),
                Phase("x", "x", lambda state, batch, key: (product(state), (state, {}))),
            ),
        ),
        **changes,
    )


def after(game, steps):
    update, state = make_update(game), init(game, jax.random.key(0))
    for step in range(steps):
        state, _ = update(game.due(step), state, {}, jax.random.key(0))
    return state


def test_alternating_and_simultaneous_descent():
    alternating, simultaneous = after(bilinear(), 1).params, after(bilinear(simultaneous=True), 1).params
    np.testing.assert_allclose([alternating["x"]["value"], alternating["y"]["value"]], [1 - 0.1 * 2.1, 2.1], rtol=1e-6)
    np.testing.assert_allclose([simultaneous["x"]["value"], simultaneous["y"]["value"]], [0.8, 2.1], rtol=1e-6)


def test_a_simultaneous_phase_keeps_what_an_earlier_one_wrote_into_a_buffer():
    count = lambda state: state.holding(count=state.buffers["count"] + 1.0)
    phases = (
        Phase("y", "y", lambda state, batch, key: (0.0 * state.params["y"]["value"], (count(state), {}))),
        Phase("x", "x", lambda state, batch, key: (0.0 * state.params["x"]["value"], (state, {}))),
    )
    game = bilinear(phases=phases, buffers={"count": np.float32(0)}, simultaneous=True)
    assert after(game, 3).buffers["count"] == 3.0


def test_a_moving_average_follows_its_network():
    state = after(bilinear(ema={"x": lambda step: jnp.float32(0.75)}), 1)
    np.testing.assert_allclose(state.ema["x"]["value"], 0.75 * 1 + 0.25 * 0.79, rtol=1e-6)
    chex.assert_trees_all_equal(state.averaged().params["x"], state.ema["x"])


def test_phases_are_due_by_every_start_and_stop():
    phase = Phase("p", "x", lambda *_: None, every=5, start=4, stop=15)
    assert [s for s in range(30) if phase.due(s)] == [4, 9, 14]
    due = jax.vmap(phase.due)(jnp.arange(30))
    assert [s for s in range(30) if due[s]] == [4, 9, 14]


def test_due_sets_are_few_and_complete():
    loss = bilinear().phases[0].loss
    windows = (
        Phase("a", "x", loss, every=4),
        Phase("b", "y", loss, start=10),
        Phase("c", "x", loss, stop=10, every=16),
    )
    game = bilinear(phases=windows)
    sets = due_sets(game)
    assert {game.due(step) for step in range(200)} == set(sets)
    assert len(sets) <= 6


def test_a_draw_does_not_depend_on_who_else_is_due():
    def phase(name, every):
        draw = lambda state, batch, key: (0.0 * state.params["x"]["value"], (state, {"draw": jax.random.uniform(key)}))
        return Phase(name, "x", draw, every=every)

    game = bilinear(phases=(phase("a", 1), phase("b", 1)))
    update, state = make_update(game), init(game, jax.random.key(0))
    both = update(game.phases, state, {}, jax.random.key(1))[1]
    alone = update(game.phases[1:], state, {}, jax.random.key(1))[1]
    assert both["b/draw"] == alone["b/draw"] != both["a/draw"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"players": {"x": Player(("z",), optax.sgd(1.0)), "y": Player(("y",), optax.sgd(1.0))}}, "player's network z"),
        ({"players": {"x": Player(("x",), optax.sgd(1.0))}}, "phase's player y"),
        ({"ema": {"z": lambda step: 0.9}}, "averaged network z"),
        ({"phases": (Phase("x", "x", None), Phase("x", "y", None))}, "two of one phase: x"),
        ({"phases": (Phase("x", "x", None, every=0),)}, "every must be at least 1"),
    ],
)
def test_a_game_whose_names_do_not_meet_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        bilinear(**changes)
