"""A game with unknown names is refused, and its updates are those that its phases define."""

import dataclasses

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxgan.core.game import Game, Network, Phase, Player, init_state, input_spec
from jaxgan.core.update import make_update
from jaxgan.training.loop import distinct_due_sets


class Number(nn.Module):
    start: float

    @nn.compact
    def __call__(self, x, train=True):
        return x * self.param("value", nn.initializers.constant(self.start), ())


def bilinear(h=0.1, **changes):
    """Returns the game min over x, max over y of x y, started at (1, 2), whose steps are known in closed form."""
    x, y = Network("x", Number(1.0), (input_spec(),)), Network("y", Number(2.0), (input_spec(),))
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


def run(game, steps):
    """Returns the state after so many steps."""
    update, state = make_update(game), init_state(game, jax.random.key(0))
    for step in range(steps):
        state, _ = update(game.due_phases(step), state, {}, jax.random.key(0))
    return state


def test_alternating_and_simultaneous_descent():
    alternating, simultaneous = run(bilinear(), 1).params, run(bilinear(simultaneous=True), 1).params
    np.testing.assert_allclose([alternating["x"]["value"], alternating["y"]["value"]], [1 - 0.1 * 2.1, 2.1], rtol=1e-6)
    np.testing.assert_allclose([simultaneous["x"]["value"], simultaneous["y"]["value"]], [0.8, 2.1], rtol=1e-6)


def test_a_simultaneous_phase_keeps_the_buffers_that_an_earlier_phase_changed():
    count = lambda state: state.with_buffers(count=state.buffers["count"] + 1.0)
    phases = (
        Phase("y", "y", lambda state, batch, key: (0.0 * state.params["y"]["value"], (count(state), {}))),
        Phase("x", "x", lambda state, batch, key: (0.0 * state.params["x"]["value"], (state, {}))),
    )
    game = bilinear(phases=phases, buffers={"count": np.float32(0)}, simultaneous=True)
    assert run(game, 3).buffers["count"] == 3.0


def test_a_moving_average_follows_its_network():
    state = run(bilinear(ema={"x": lambda step: jnp.float32(0.75)}), 1)
    np.testing.assert_allclose(state.ema["x"].params["value"], 0.75 * 1 + 0.25 * 0.79, rtol=1e-6)
    chex.assert_trees_all_equal(state.with_ema().params["x"], state.ema["x"].params)


def test_a_phase_sees_its_own_batches():
    """A step of two batches of two: one phase sees the first, one the second, and one both."""
    seen = lambda state, batch, key: (0.0 * state.params["x"]["value"], (state, {"sum": batch["real"].sum()}))
    phases = tuple(Phase(name, "x", seen, batches=n) for name, n in (("a", (0,)), ("b", (1,)), ("c", (0, 1))))
    game = bilinear(phases=phases)
    batch = {"real": jnp.array([1.0, 2.0, 30.0, 40.0]), "index": jnp.arange(4)}
    _, scalars = make_update(game)(game.phases, init_state(game, jax.random.key(0)), batch, jax.random.key(0))
    assert game.num_batches == 2
    assert [float(scalars[f"{name}/sum"]) for name in "abc"] == [3.0, 70.0, 73.0]
    np.testing.assert_array_equal(game.batches_of(phases[2], batch)["index"], np.arange(4))


def test_phases_are_due_by_every_start_and_stop():
    phase = Phase("p", "x", lambda *_: None, every=5, start=4, stop=15)
    assert [s for s in range(30) if phase.is_due(s)] == [4, 9, 14]
    due = jax.vmap(phase.is_due)(jnp.arange(30))
    assert [s for s in range(30) if due[s]] == [4, 9, 14]


def test_distinct_due_sets_are_complete():
    loss = bilinear().phases[0].loss
    phases = (
        Phase("a", "x", loss, every=4),
        Phase("b", "y", loss, start=10),
        Phase("c", "x", loss, stop=10, every=16),
    )
    game = bilinear(phases=phases)
    sets = distinct_due_sets(game)
    assert {game.due_phases(step) for step in range(200)} == set(sets)
    assert len(sets) <= 6


def test_the_randomness_of_a_phase_does_not_depend_on_the_other_due_phases():
    def phase(name, every):
        draw = lambda state, batch, key: (0.0 * state.params["x"]["value"], (state, {"draw": jax.random.uniform(key)}))
        return Phase(name, "x", draw, every=every)

    game = bilinear(phases=(phase("a", 1), phase("b", 1)))
    update, state = make_update(game), init_state(game, jax.random.key(0))
    both = update(game.phases, state, {}, jax.random.key(1))[1]
    alone = update(game.phases[1:], state, {}, jax.random.key(1))[1]
    assert both["b/draw"] == alone["b/draw"] != both["a/draw"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"players": {"x": Player(("z",), optax.sgd(1.0)), "y": Player(("y",), optax.sgd(1.0))}}, "player's network z"),
        ({"players": {"x": Player(("x",), optax.sgd(1.0))}}, "phase's player y"),
        ({"ema": {"z": lambda step: 0.9}}, "averaged network z"),
        ({"phases": (Phase("x", "x", None), Phase("x", "y", None))}, "duplicate phase: x"),
        ({"phases": (Phase("x", "x", None, every=0),)}, "phase x: every is 0; it must be at least 1"),
        ({"phases": (Phase("x", "x", None, batches=()),)}, r"phase x: batches are \(\); name at least one of 0, 1"),
    ],
)
def test_a_game_with_unknown_or_duplicate_names_is_an_error(changes, message):
    with pytest.raises(ValueError, match=message):
        bilinear(**changes)
