"""A round: many steps of a game in one compiled program, batches, noise, due phases and metrics included."""

import functools
import itertools
import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax

from jaxgan import axis
from jaxgan.data.source import Source
from jaxgan.data.stream import Arrays
from jaxgan.errors import Problem
from jaxgan.game import Game, Phase, TrainState, init
from jaxgan.metrics import Tally
from jaxgan.threefry import unrolled
from jaxgan.update import make_update


class Carry(NamedTuple):
    """What a round changes."""

    state: TrainState
    tally: Tally


class Given(NamedTuple):
    """What a round only reads."""

    arrays: Arrays  # the source's, the same on each device
    rows: Arrays  # the source's, each device's own
    key: Array  # the run's
    n: Array | int  # int32 []: how many steps


SPLIT = Given(arrays=False, rows=True, key=False, n=False)  # over the devices
Play = Callable[[Carry, Given], Carry]


class Rounds(NamedTuple):
    """How a game starts, and the two ways to play it. They agree to the bit where both are used."""

    start: Callable[[Array], TrainState]  # key -> the state at step 0
    many: Play  # n steps
    one: Callable[[tuple[Phase, ...]], Play]  # due -> the step at which just these phases are due
    names: Callable[[Arrays], tuple[str, ...]]  # of all the metrics there can be, given what the source holds


def make_rounds(game: Game, source: Source, batch_size: int) -> Rounds:
    """Return the functions that play `game` on batches of `batch_size` examples, over all devices, from `source`.

    All are pure. The number of steps is an argument, not part of the program: one program serves every length, and
    what a step computes does not depend on where a run was cut. `key` is the run's.
    """
    update = make_update(game)
    sets = due_sets(game)

    def play(due: tuple[Phase, ...], carry: Carry, given: Given) -> Carry:
        (state, tally), (_, data_key, noise_key) = carry, parts(unrolled(given.key))
        batch = source.batch({**given.arrays, **given.rows}, data_key, state.step, axis.positions(batch_size))
        after, metrics = update(due, state, batch, noise_key)
        return Carry(after, tally.add(state.step, metrics))

    @jax.jit  # Traced once for shapes, values and names.
    def start(key: Array) -> TrainState:
        return init(game, parts(key)[0])

    def many(carry: Carry, given: Given) -> Carry:
        branches = [functools.partial(play, due, given=given) for due in sets]
        return lax.fori_loop(0, given.n, lambda _, c: lax.switch(_which(game, sets, c.state.step), branches, c), carry)

    def names(arrays: Arrays) -> tuple[str, ...]:
        def metrics(arrays: Arrays, key: Array):
            state = start(key)
            batch = source.batch(arrays, key, state.step, axis.positions(batch_size))
            try:
                return update(game.phases, state, batch, key)[1]
            except KeyError as error:
                if error.args != ("label",):
                    raise
                raise Problem("this game is played by labels, and its data have none; take data with classes") from None

        return tuple(jax.eval_shape(metrics, arrays, jax.random.key(0)))

    return Rounds(start, many, lambda due: functools.partial(play, due), names)


def parts(key: Array) -> Array:
    """A run's key in three: for the start, for the data, for the noise."""
    return jax.random.split(key, 3)


def over_seeds(rounds: Rounds) -> Rounds:
    """The same for K seeds at once: keys [K], and a leading axis K on all but the step, which all seeds share.

    The step stays without that axis so that a choice of phases stays a choice: batched, it would play them all.
    """
    state = TrainState(step=None, params=0, buffers=0, opt=0, ema=0)
    axes = Carry(state, 0), Given(arrays=None, rows=None, key=0, n=None)
    vmap = lambda play: jax.vmap(play, axes, axes[0])
    return Rounds(jax.vmap(rounds.start, 0, state), vmap(rounds.many), lambda due: vmap(rounds.one(due)), rounds.names)


def due_sets(game: Game) -> list[tuple[Phase, ...]]:
    """The distinct sets of phases that are ever due together: few, so that each is one branch of the program."""
    period = math.lcm(*(p.every for p in game.phases))
    edges = {0} | {p.start for p in game.phases} | {p.stop for p in game.phases if p.stop != Phase.stop}
    steps = itertools.chain.from_iterable(range(edge, edge + period) for edge in sorted(edges))
    return list(dict.fromkeys(game.due(step) for step in steps))


def _which(game: Game, sets: list[tuple[Phase, ...]], step: Array) -> Array:
    """The place in `sets` of the phases due at `step`."""
    due = jnp.stack([phase.due(step) for phase in game.phases])
    table = jnp.array([[phase in due for phase in game.phases] for due in sets])
    return jnp.argmax((table == due[None]).all(1))
