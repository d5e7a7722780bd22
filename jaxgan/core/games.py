"""Games of one generator and one discriminator, and transformations of games.

`two_player` builds the game of most papers from a loss, two optimizers, a penalty and other terms. `unrolled` and
`consensus` take a game and return another one.
"""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
import optax
from jax import Array

from jaxgan.core import axis, optim, prng
from jaxgan.core.augment import Augmentation
from jaxgan.core.game import Batch, Game, Network, Params, Phase, Player, Scalars, TrainState
from jaxgan.core.losses import AdversarialLoss
from jaxgan.core.penalties import Penalty
from jaxgan.core.terms import (
    Forward,
    Pass,
    Term,
    adversarial,
    compose_forward,
    for_term,
    initial_buffers,
    logged_scalars,
    logits_of,
)
from jaxgan.errors import UserError, did_you_mean

Latent = Callable[[Array], Array]  # example keys [B] -> z [B, Z]
Generate = Callable[[TrainState, Batch, Array], tuple[Array, TrainState]]
Discriminate = Callable[[TrainState, Array, Batch, Array], tuple[Any, TrainState]]


def two_player(
    generator: Network,
    discriminator: Network,
    loss: AdversarialLoss | Term,
    latent: Latent,
    *,
    g_optimizer: optax.GradientTransformation,
    d_optimizer: optax.GradientTransformation,
    penalty: Penalty | None = None,
    penalty_weight: float | Callable[[Array], Array] = 1.0,
    penalty_every: int = 1,
    terms: Sequence[Term] = (),
    g_networks: Sequence[Network] = (),
    n_critic: int = 1,
    g_batches: tuple[int, ...] = (0,),
    augment: Augmentation | None = None,
    ema: Callable[[Array], Array] | None = None,
    simultaneous: bool = False,
) -> Game:
    """Returns the game that updates the discriminator at every step and the generator at every `n_critic`-th.

    Args:
        generator: z [B, Z], then its extra inputs, to examples [B, ...].
        discriminator: Examples [B, ...], then its extra inputs, to logits [B], or to a dict of outputs with "logits".
            Fakes have the labels of the batch.
        loss: What each player minimises: a loss on logits, or a term.
        latent: Draws z from example keys.
        g_optimizer: The generator's optimizer.
        d_optimizer: The discriminator's optimizer.
        penalty: Added to the discriminator's loss, times its weight. Its gradients are taken in unaugmented examples.
        penalty_weight: A number, or a function of the step.
        penalty_every: With a value above 1 the penalty is a phase of its own, every so many steps and so many times as
            heavy (lazy regularisation, Karras et al. 2020, appendix B).
        terms: Methods that add to the losses, keep buffers or change the forward pass, in any combination.
        g_networks: Further networks that the generator's player trains, such as an encoder.
        n_critic: Discriminator updates per generator update.
        g_batches: `Phase.batches` of the generator; the discriminator sees batch 0.
        augment: Applied to everything that the discriminator sees, reals and fakes alike.
        ema: decay(step) of the moving average of the generator player's parameters. None keeps no average.
        simultaneous: Whether both players update from the parameters before the step.
    """
    loss_term = loss if isinstance(loss, Term) else adversarial(loss)
    all_terms = (loss_term, *terms)
    networks_alone = _forward(generator, discriminator, latent, augment)
    forward = compose_forward(all_terms, networks_alone)

    def d_pass(state: TrainState, batch: Batch, z_key: Array, key: Array) -> Pass:
        """Returns the pass of the discriminator's phase, whose state has the updates of all buffers."""
        z = forward.draw(state, batch, z_key)
        fake, state = forward.generate(state, z, batch, z_key)
        real = forward.real(state, batch, _reserved_key(key, 4))
        real_out, state = forward.discriminate(state, real, batch, _reserved_key(key, 0))
        fake_out, state = forward.discriminate(state, fake, batch, _reserved_key(key, 1))
        drawn = networks_alone.draw(state, batch, z_key)
        return Pass(state, batch, _reserved_key(key, 3), z, real, fake, real_out, fake_out, forward, drawn)

    def g_pass(state: TrainState, batch: Batch, key: Array) -> Pass:
        """Returns the pass of the generator's phase, which does not update the discriminator's buffers."""
        z = forward.draw(state, batch, key)
        fake, state = forward.generate(state, z, batch, key)
        # XLA removes the pass over reals where no term uses it.
        real = forward.real(state, batch, _reserved_key(key, 4))
        real_out, _ = forward.discriminate(state, real, batch, _reserved_key(key, 1))
        fake_out, _ = forward.discriminate(state, fake, batch, _reserved_key(key, 2))
        drawn = networks_alone.draw(state, batch, key)
        return Pass(state, batch, _reserved_key(key, 3), z, real, fake, real_out, fake_out, forward, drawn)

    def weighted_penalty(state: TrainState, real: Array, fake: Array, batch: Batch, key: Array) -> Array:
        critic = lambda x: logits_of(forward.discriminate(state, x, batch, _reserved_key(key, 0))[0])
        value = penalty(critic, real, fake, prng.example_keys(key, batch["index"]))
        return (penalty_weight(state.step) if callable(penalty_weight) else penalty_weight) * value

    def d_loss(state: TrainState, batch: Batch, key: Array) -> tuple[Array, tuple[TrainState, Scalars]]:
        z_key, penalty_key = jax.random.split(key)
        p = d_pass(state, batch, z_key, key)
        scalars = {"real_logits": p.real_logits.mean(), "fake_logits": p.fake_logits.mean()}
        value, state = loss_term.d(for_term(p, 0, loss_term)), p.state
        if penalty is not None and penalty_every == 1:
            scalars["penalty"] = weighted_penalty(state, p.real, p.fake, batch, penalty_key)
            value += scalars["penalty"]
        for n, term in enumerate(all_terms):
            own = for_term(p, n, term)
            if n and term.d is not None:
                scalars[term.name] = term.d(own)
                value += scalars[term.name]
            if term.update is not None:
                buffer = term.update(own)
                state = state.with_buffers(**{term.name: buffer})
                scalars |= logged_scalars(term.name, buffer)
        return value, (state, scalars)

    def lazy_penalty(state: TrainState, batch: Batch, key: Array) -> tuple[Array, tuple[TrainState, Scalars]]:
        z_key, penalty_key = jax.random.split(key)
        fake, _ = forward.generate(state, forward.draw(state, batch, z_key), batch, z_key)
        real = forward.real(state, batch, _reserved_key(key, 4))
        return penalty_every * weighted_penalty(state, real, fake, batch, penalty_key), (state, {})

    def g_loss(state: TrainState, batch: Batch, key: Array) -> tuple[Array, tuple[TrainState, Scalars]]:
        p = g_pass(state, batch, key)
        value, scalars = loss_term.g(for_term(p, 0, loss_term)), {}
        for n, term in enumerate(terms, 1):
            if term.g is not None:
                scalars[term.name] = term.g(for_term(p, n, term))
                value += scalars[term.name]
        return value, (p.state, scalars)

    phases = [Phase("d", "discriminator", d_loss)]
    if penalty is not None and penalty_every > 1:
        phases.append(Phase("d_penalty", "discriminator", lazy_penalty, penalty_every))
    phases.append(Phase("g", "generator", g_loss, every=n_critic, start=n_critic - 1, batches=g_batches))
    trained_by_g = (generator, *g_networks)
    networks = (generator, discriminator, *g_networks)
    game = Game(
        networks=networks,
        players={
            "generator": Player(tuple(network.name for network in trained_by_g), g_optimizer),
            "discriminator": Player((discriminator.name,), d_optimizer),
        },
        phases=tuple(phases),
        buffers=initial_buffers(all_terms, networks),
        ema={} if ema is None else {network.name: ema for network in trained_by_g},
        simultaneous=simultaneous,
    )
    return game if augment is None else with_augmentation(game, augment, forward.discriminate)


def with_augmentation(game: Game, augment: Augmentation, discriminate: Discriminate) -> Game:
    """Returns the game with an augmentation's buffers and, if it adapts, the phase `augment` that updates them.

    `discriminate(state, x, batch, key)` returns the discriminator's output at the augmented examples x, and the state.
    """

    def update(state: TrainState, batch: Batch, key: Array) -> tuple[TrainState, Scalars]:
        real_out, _ = discriminate(state, batch["real"], batch, _reserved_key(key, 0))
        return augment.update(state, logits_of(real_out))

    phases = [] if augment.update is None else [Phase("augment", None, update, augment.every)]
    buffers = {**game.buffers, **augment.buffers}
    return dataclasses.replace(game, phases=(*game.phases, *phases), buffers=buffers)


def _forward(generator: Network, discriminator: Network, latent: Latent, augment: Augmentation | None) -> Forward:
    """Returns the functions that call the networks on a batch and supply their latents and extra inputs."""

    def draw(state: TrainState, batch: Batch, key: Array) -> Array:
        return latent(prng.example_keys(key, batch["index"]))

    def generate(state: TrainState, z: Array, batch: Batch, key: Array) -> tuple[Array, TrainState]:
        return generator(state, z, *generator.extra_args(batch, _reserved_key(key, 0)))

    def discriminate(state: TrainState, x: Array, batch: Batch, key: Array) -> tuple[Any, TrainState]:
        x = x if augment is None else augment.apply(state, x, prng.example_keys(key, batch["index"]))
        return discriminator(state, x, *discriminator.extra_args(batch, _reserved_key(key, 0)))

    return Forward(draw, generate, lambda state, batch, key: batch["real"], discriminate)


def forward_functions(
    generator: Network, discriminator: Network, latent: Latent, augment: Augmentation | None = None
) -> tuple[Generate, Discriminate]:
    """Returns two functions that call the networks on a batch and supply their latents and extra inputs.

    `generate(state, batch, key) -> (fakes, state)` draws fresh latents; `discriminate(state, x, batch, key) ->
    (output, state)` augments x first.
    """

    forward = _forward(generator, discriminator, latent, augment)

    def generate(state: TrainState, batch: Batch, key: Array) -> tuple[Array, TrainState]:
        return forward.generate(state, forward.draw(state, batch, key), batch, key)

    return generate, forward.discriminate


def _reserved_key(key: Array, n: int) -> Array:
    """Returns a key that differs from all example keys: those fold in positions, which count up from 0."""
    return jax.random.fold_in(key, np.uint32(2**32 - 1 - n))


def unrolled(game: Game, k: int, differentiate: bool = True) -> Game:
    """Returns the game whose generator trains against the discriminator after `k` further updates (Metz et al. 2016).

    The updates use the discriminator's optimizer and its current state, one batch and one draw of noise, and the
    generator's gradient passes through them, unless `differentiate` is False. The discriminator itself, which must have
    exactly one phase, trains as before. Adam needs `eps_root` above 0 here: where a gradient is 0 the derivative of its
    update is infinite.
    """
    if k == 0:
        return game
    player = game.players["discriminator"]
    (d_phase,) = (phase for phase in game.phases if phase.player == "discriminator")

    def look_ahead(state: TrainState, batch: Batch, key: Array) -> TrainState:
        def d_update(carry, _):
            params, opt_state = carry
            grads = _player_gradient(game, d_phase, state.with_params(**params), batch, key)
            return player.update(grads, opt_state, params, state), None

        params = {name: state.params[name] for name in player.networks}
        (params, _), _ = jax.lax.scan(d_update, (params, state.opt_state["discriminator"]), length=k)
        return state.with_params(**(params if differentiate else jax.lax.stop_gradient(params)))

    def unroll(phase: Phase) -> Phase:
        def loss(state: TrainState, batch: Batch, key: Array):
            ahead_key, key = jax.random.split(key)
            value, (after, scalars) = phase.loss(look_ahead(state, batch, ahead_key), batch, key)
            return value, (dataclasses.replace(after, params=state.params), scalars)

        return dataclasses.replace(phase, loss=loss) if phase.player == "generator" else phase

    return dataclasses.replace(game, phases=tuple(unroll(phase) for phase in game.phases))


def consensus(game: Game, weight: float) -> Game:
    """Returns the game whose losses all gain weight / 2 ||v||^2, with v the gradients of all players' losses.

    Each gradient is taken in the parameters of the loss's own player. Reference: Mescheder et al. 2017, "The numerics
    of GANs".
    """

    def regularise(phase: Phase) -> Phase:
        def loss(state: TrainState, batch: Batch, key: Array):
            key, *keys = jax.random.split(key, 1 + len(game.phases))
            value, (after, scalars) = phase.loss(state, batch, key)
            v = [_player_gradient(game, p, state, batch, k) for p, k in zip(game.phases, keys, strict=True)]
            penalty = 0.5 * optax.tree.norm(v, squared=True)
            return value + weight * penalty, (after, {**scalars, "consensus": penalty})

        return dataclasses.replace(phase, loss=loss)

    return dataclasses.replace(game, phases=tuple(regularise(phase) for phase in game.phases))


def freeze(game: Game, names: Sequence[str]) -> Game:
    """Returns the game in which some parameters do not train (freeze the discriminator's first layers for FreezeD).

    Batch statistics and other buffers still follow the data, and a look-ahead of `unrolled` moves all parameters.
    Reference: Mo et al. 2020, arXiv 2002.10964.

    Args:
        game: The game.
        names: Paths such as "discriminator/Conv_0", or names of networks. Parameters at or below them are frozen.

    Raises UserError for a path with no parameter.
    """
    params = {network.name: jax.eval_shape(network.init, jax.random.key(0))[0] for network in game.networks}
    paths = [optim.parameter_path(path) for path, _ in jax.tree_util.tree_leaves_with_path(params)]
    is_below = lambda path, name: path == name or path.startswith(f"{name}/")
    for name in names:
        if not any(is_below(path, name) for path in paths):
            parts = dict.fromkeys("/".join(path.split("/")[:2]) for path in paths)
            raise UserError(f"freeze: there is no parameter {name!r}; {did_you_mean(name, [*params, *parts])}")
    is_frozen = lambda path: any(is_below(path, name) for name in names)
    players = {
        name: dataclasses.replace(player, optimizer=optim.freeze(player.optimizer, is_frozen))
        for name, player in game.players.items()
    }
    return dataclasses.replace(game, players=players)


def _player_gradient(game: Game, phase: Phase, state: TrainState, batch: Batch, key: Array) -> dict[str, Params]:
    """Returns the gradient of a phase's loss in its player's parameters, over the whole batch on all devices."""
    params = {name: state.params[name] for name in game.players[phase.player].networks}
    return axis.pmean(jax.grad(lambda params: phase.loss(state.with_params(**params), batch, key)[0])(params))
