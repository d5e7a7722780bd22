"""Starts a new run from the weights of another run."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax

from jaxgan.core.game import Averages, Game, TrainState, init_optimizers


class Start(NamedTuple):
    """The weights from which a new run starts.

    Attributes:
        transfer: fresh state -> the state to start from.
        record: Where the weights are from, for config.json.
    """

    transfer: Callable[[TrainState], TrainState]
    record: Mapping[str, Any]


def matching_networks(source: TrainState, fresh: TrainState) -> list[str]:
    """Returns the names of the networks of `fresh` that have the same parameters and buffers, by shape, in `source`."""

    def layout(state: TrainState, name: str) -> Any:
        leaves, structure = jax.tree.flatten((state.params[name], state.buffers[name]))
        return structure, [(x.shape, x.dtype) for x in leaves]

    return [name for name in fresh.params if name in source.params and layout(source, name) == layout(fresh, name)]


def transfer_weights(source: TrainState, fresh: TrainState, game: Game, seeds: int = 1) -> TrainState:
    """Returns `fresh` with the parameters, buffers and averages of the `matching_networks` of `source`.

    The step is 0 and the optimizers start anew.

    Args:
        source: The state of another run, of as many seeds.
        fresh: The initial state of the new run.
        game: The game of the new run.
        seeds: How many seeds the states hold. With several their leaves have a leading axis.
    """
    names = matching_networks(source, fresh)
    params = fresh.params | {name: source.params[name] for name in names}
    buffers = fresh.buffers | {name: source.buffers[name] for name in names}
    current = {name: Averages(source.params[name], source.buffers[name]) for name in names}
    ema = {name: source.ema.get(name, current[name]) if name in names else old for name, old in fresh.ema.items()}
    init = lambda params: init_optimizers(game, params)
    opt_state = (jax.vmap(init) if seeds > 1 else init)(params)
    return dataclasses.replace(fresh, params=params, buffers=buffers, opt_state=opt_state, ema=ema)
