"""What a loss must return, and what `make_update` says if it does not."""

import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
import pytest

from jaxgan.core.game import Game, Network, Phase, Player, init_state, input_spec
from jaxgan.core.update import make_update
from jaxgan.errors import UserError


class Scale(nn.Module):
    """x [B, 1] times one parameter."""

    @nn.compact
    def __call__(self, x, train=True):
        return x * self.param("scale", nn.initializers.ones, (1,))[None]


def run(loss, buffers=None):
    """Runs one step of a game with a single phase named "d"."""
    game = Game(
        networks=(Network("net", Scale(), (input_spec(1),)),),
        players={"player": Player(("net",), optax.sgd(0.1))},
        phases=(Phase("d", "player", loss),),
        buffers=buffers or {},
    )
    state = init_state(game, jax.random.key(0))
    batch = {"real": jnp.ones([2, 1]), "index": jnp.arange(2)}
    return make_update(game)(game.phases, state, batch, jax.random.key(0))


def net(state, batch):
    return state.params["net"]["scale"].sum() * batch["real"].mean()


def test_a_loss_that_keeps_its_contract_runs():
    state, scalars = run(lambda state, batch, key: (net(state, batch), (state, {"x": jnp.float32(2)})))
    assert scalars.keys() == {"d/loss", "d/x"}
    assert int(state.step) == 1


def other_params(state, batch, key):
    return net(state, batch), (state.with_params(net={"scale": jnp.zeros(1)}), {})


def longer_buffer(state, batch, key):
    return net(state, batch), (state.with_buffers(anchor=jnp.zeros(2)), {})


@pytest.mark.parametrize(
    ("loss", "sentence"),
    [
        (lambda s, b, k: 3, "must return .*, not int"),
        (lambda s, b, k: net(s, b), r"must return .*, not float32\[\]"),
        (lambda s, b, k: (net(s, b), s), r"must return .*, not \(float32\[\], TrainState\)"),
        (lambda s, b, k: (net(s, b), ({}, s)), "must return"),
        (lambda s, b, k: (b["real"], (s, {})), r"must be a floating-point scalar, not float32\[2, 1\]"),
        (lambda s, b, k: (net(s, b), (s, {"x": b["real"]})), r"scalar 'x' of .* not float32\[2, 1\]; take its mean"),
        (lambda s, b, k: (net(s, b), (s, {"x": jnp.int32(1)})), r"scalar 'x' .* not int32\[\]"),
        (
            lambda s, b, k: (b["label"].mean(), (s, {})),
            r"asks for 'label' at .*test_update.py:\d+; the batch has real, index, the game has the networks net "
            "and the buffers anchor; use data with classes",
        ),
        (lambda s, b, k: (net(s, b), (s.with_buffers(new=jnp.zeros(1)), {})), "adds the buffer 'new'; declare"),
        (lambda s, b, k: (s.params["nett"]["scale"].sum(), (s, {})), "asks for 'nett'"),
        (lambda s, b: (net(s, b), (s, {})), r"must take \(state, batch, key\), but it takes \(s, b\)"),
        (lambda s, b, k: (net(s, b), (s, {"x": {"y": net(s, b)}})), r"scalar 'x' .* not \{y: float32\[\]\}"),
        (lambda s, b, k: (net(s, b), (s, {"x": "high"})), "scalar 'x' .* not str"),
        (lambda s, b, k: (net(s, b), (s, {"loss": net(s, b)})), "is named 'loss'"),
        (lambda s, b, k: (net(s, b), (dataclasses.replace(s, step=s.step + 1), {})), "returned another state.step"),
        (lambda s, b, k: (net(s, b), (dataclasses.replace(s, ema={}), {})), "returned another state.ema"),
        (lambda s, b, k: (net(s, b), (dataclasses.replace(s, buffers={}), {})), "structure of buffer 'net'"),
        (other_params, "returned other parameters of 'net'"),
        (longer_buffer, r"structure of buffer 'anchor': float32\[2\], before float32\[1\]"),
    ],
)
def test_a_loss_that_breaks_its_contract_is_named(loss, sentence):
    with pytest.raises(UserError, match=sentence) as error:
        run(loss, {"anchor": jnp.zeros(1)})
    assert "the loss of phase 'd'" in str(error.value)


def test_python_numbers_are_logged_as_arrays():
    _, scalars = run(lambda state, batch, key: (net(state, batch), (state, {"x": 0.5})))
    assert scalars["d/x"].dtype == jnp.float32


def test_any_other_error_of_a_loss_has_a_note_with_its_phase():
    with pytest.raises(AttributeError) as error:
        run(lambda state, batch, key: (state.parms["net"], (state, {})))
    assert "in the loss of phase 'd'" in error.value.__notes__


def test_implicit_promotion_is_located():
    mixed = lambda s, b, k: (net(s, b) + (b["real"] * b["index"]).sum(), (s, {}))
    with pytest.raises(UserError, match=r"phase 'd' mixes dtypes or ranks at .*test_update.py:\d+: "):
        run(mixed)
    ranks = lambda s, b, k: (net(s, b) + (b["real"] * b["real"][:, 0]).sum(), (s, {}))
    with pytest.raises(UserError, match=r"phase 'd' mixes dtypes or ranks at .*test_update.py:\d+: "):
        run(ranks)


def test_a_phase_without_a_player_updates_buffers_alone():
    count = lambda s, b, k: (s.with_buffers(count=s.buffers["count"] + 1), {"seen": b["real"].mean()})
    game = Game(
        networks=(Network("net", Scale(), (input_spec(1),)),),
        players={"player": Player(("net",), optax.sgd(0.1))},
        phases=(Phase("count", None, count, every=4, start=3),),
        buffers={"count": jnp.int32(0)},
    )
    state = init_state(game, jax.random.key(0))
    batch = {"real": jnp.ones([2, 1]), "index": jnp.arange(2)}
    update = make_update(game)
    for step in range(8):
        state, scalars = update(game.due_phases(step), state, batch, jax.random.key(0))
        assert int(state.buffers["count"]) == (step + 1) // 4
    assert scalars.keys() == {"count/seen"}
    assert float(state.params["net"]["scale"][0]) == 1.0


def test_a_phase_without_a_player_must_not_return_a_loss():
    game = Game(
        networks=(Network("net", Scale(), (input_spec(1),)),),
        players={},
        phases=(Phase("x", None, lambda s, b, k: (net(s, b), (s, {}))),),
    )
    with pytest.raises(UserError, match=r"the update of phase 'x' has no player, so it must return \(state, scalars\)"):
        make_update(game)(
            game.phases, init_state(game, jax.random.key(0)), {"real": jnp.ones([2, 1])}, jax.random.key(0)
        )


def test_a_key_error_of_another_dict_is_not_explained_away():
    with pytest.raises(KeyError):
        run(lambda s, b, k: ({}[3], (s, {})))


def test_a_buffer_must_not_have_the_name_of_a_network():
    with pytest.raises(ValueError, match="buffer net has the name of a network"):
        run(lambda s, b, k: (net(s, b), (s, {})), {"net": jnp.zeros(1)})


def test_simultaneous_phases_see_the_parameters_before_the_step():
    loss = lambda state, batch, key: (0.5 * state.params["net"]["scale"].sum() ** 2, (state, {}))
    game = Game(
        networks=(Network("net", Scale(), (input_spec(1),)),),
        players={"player": Player(("net",), optax.sgd(0.5))},
        phases=(Phase("a", "player", loss), Phase("b", "player", loss)),
    )
    batch = {"real": jnp.ones([2, 1]), "index": jnp.arange(2)}
    for simultaneous, expected in ((False, 0.25), (True, 0.0)):
        one = dataclasses.replace(game, simultaneous=simultaneous)
        state = init_state(one, jax.random.key(0))
        after, _ = make_update(one)(one.phases, state, batch, jax.random.key(0))
        assert float(after.params["net"]["scale"][0]) == expected
