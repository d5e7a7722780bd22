"""One step of any game: the only place that takes a gradient in parameters."""

import dataclasses
from collections.abc import Callable

import jax
import optax
from jax import Array

from jaxgan import axis
from jaxgan.game import Batch, Game, Metrics, Phase, TrainState

Update = Callable[[tuple[Phase, ...], TrainState, Batch, Array], tuple[TrainState, Metrics]]


def make_update(game: Game) -> Update:
    """Return the pure `update(due, state, batch, key) -> (state, metrics)` that plays the phases in `due`, in order.

    `key` is the run's: the draws of a phase depend on it, on the step and on the phase's place in the game, and on
    nothing else. Gradients, metrics and the buffers that a loss changed are averaged over the data axis. Metrics are
    named `phase/name`, and each phase has `phase/loss`.
    """

    def play(phase: Phase, state: TrainState, at: TrainState, batch: Batch, key: Array) -> tuple[TrainState, Metrics]:
        player = game.players[phase.player]

        def loss(own):
            value, (after, metrics) = phase.loss(at.using(**own), batch, key)
            changed = {name: b for name, b in after.buffers.items() if b is not at.buffers[name]}
            return value, (changed, {"loss": value, **metrics})

        own = {n: at.params[n] for n in player.networks}
        grads, (changed, metrics) = axis.mean(jax.grad(loss, has_aux=True)(own))
        mine = {n: state.params[n] for n in player.networks}
        with jax.numpy_dtype_promotion("standard"):  # optax raises decays to integer powers.
            updates, opt = player.optimizer.update(grads, state.opt[phase.player], mine)
        state = state.using(**optax.apply_updates(mine, updates)).holding(**changed)
        state = dataclasses.replace(state, opt={**state.opt, phase.player: opt})
        return state, {f"{phase.name}/{name}": value for name, value in metrics.items()}

    def update(due: tuple[Phase, ...], state: TrainState, batch: Batch, key: Array) -> tuple[TrainState, Metrics]:
        key, before, metrics = jax.random.fold_in(key, state.step), state.params, {}
        for phase in due:
            at = state.using(**before) if game.simultaneous else state
            # By its place in the game, not by a split: the draw must not depend on who else is due.
            state, found = play(phase, state, at, batch, jax.random.fold_in(key, game.phases.index(phase)))
            metrics |= found
        decays = {name: decay(state.step) for name, decay in game.ema.items()}
        ema = {n: optax.incremental_update(state.params[n], state.ema[n], 1.0 - d) for n, d in decays.items()}
        return dataclasses.replace(state, step=state.step + 1, ema=ema), metrics

    return update
