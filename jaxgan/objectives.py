"""Games of one generator against one discriminator, and games made of games, whatever their losses are.

What most papers change is a loss, a penalty or an optimiser: `two_player`. A player may also mind what the other would
do: `unrolled`, `consensus`.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import optax
from jax import Array

from jaxgan import axis, latents
from jaxgan.augment import Augment
from jaxgan.game import Batch, Game, Network, Params, Phase, Player, TrainState
from jaxgan.losses import Adversarial

Latent = Callable[[Array], Array]  # keys [B] -> z [B, Z]
Penalty = Callable[[Callable[[Array], Array], Array, Array, Array], Array]  # (critic, real, fake, keys [B]) -> scalar


def two_player(
    generator: Network,
    discriminator: Network,
    loss: Adversarial,
    latent: Latent,
    *,
    g_optimizer: optax.GradientTransformation,
    d_optimizer: optax.GradientTransformation,
    penalty: Penalty | None = None,
    penalty_every: int = 1,
    penalty_weight: Callable[[Array], Array] | None = None,
    n_critic: int = 1,
    augment: Augment | None = None,
    ema: Callable[[Array], Array] | None = None,
    simultaneous: bool = False,
) -> Game:
    """Return the game in which the discriminator moves at each step, and the generator at each `n_critic`-th.

    The generator takes z [B, Z] to examples, the discriminator examples to logits [B]; each gets besides what its
    `inputs` declare: the example's label, the same in both networks, or a key for noise. `augment` changes all that
    the discriminator sees, reals and fakes alike; penalties are on gradients in what was before it.

    `penalty`, its weight in it or else its `penalty_weight`(step), is added to the discriminator's loss; with
    `penalty_every` above 1 it is a phase of its own, at each such step and that many times as heavy (lazy
    regularisation, Karras et al. 2020). `ema` is decay(step) of the generator's moving average; without it there is
    none.
    """
    generate, judge = calls(generator, discriminator, latent, augment)

    def penalise(state: TrainState, fake: Array, batch: Batch, key: Array) -> Array:
        critic = lambda x: judge(state, x, batch, _apart(key, 0))[0]
        value = penalty(critic, batch["real"], fake, latents.each(key, batch["index"]))
        return value if penalty_weight is None else penalty_weight(state.step) * value

    def d_loss(state: TrainState, batch: Batch, key: Array):
        z_key, penalty_key = jax.random.split(key)
        fake, state = generate(state, batch, z_key)
        real_logits, state = judge(state, batch["real"], batch, _apart(key, 0))
        fake_logits, state = judge(state, fake, batch, _apart(key, 1))
        value = loss.d(real_logits, fake_logits)
        metrics = {"real_logits": real_logits.mean(), "fake_logits": fake_logits.mean()}
        if penalty is not None and penalty_every == 1:
            metrics["penalty"] = penalise(state, fake, batch, penalty_key)
            value += metrics["penalty"]
        return value, (state, metrics)

    def lazy(state: TrainState, batch: Batch, key: Array):
        z_key, penalty_key = jax.random.split(key)
        fake, _ = generate(state, batch, z_key)
        return penalty_every * penalise(state, fake, batch, penalty_key), (state, {})

    def g_loss(state: TrainState, batch: Batch, key: Array):
        fake, after = generate(state, batch, key)
        logits = lambda x, n: judge(after, x, batch, _apart(key, n))[0]
        return loss.g(logits(batch["real"], 1), logits(fake, 2)), (after, {})  # Reals of no use cost no pass.

    lazily = [] if penalty is None or penalty_every == 1 else [Phase("d_penalty", "discriminator", lazy, penalty_every)]
    return Game(
        networks=(generator, discriminator),
        players={
            "generator": Player((generator.name,), g_optimizer),
            "discriminator": Player((discriminator.name,), d_optimizer),
        },
        phases=(
            Phase("d", "discriminator", d_loss),
            *lazily,
            Phase("g", "generator", g_loss, every=n_critic, start=n_critic - 1),
        ),
        ema={} if ema is None else {generator.name: ema},
        simultaneous=simultaneous,
    )


def calls(
    generator: Network, discriminator: Network, latent: Latent, augment: Augment | None = None
) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """Return how two networks are called on a batch, each with what its `inputs` declare and noise of its own.

    Both give what the network gives, and the state after it: `generate(state, batch, key)`, of fresh latents, and
    `judge(state, x, batch, key)`, of examples x that are augmented first.
    """

    def generate(state: TrainState, batch: Batch, key: Array) -> tuple[Array, TrainState]:
        z = latent(latents.each(key, batch["index"]))
        return generator(state, z, *generator.beside(batch, _apart(key, 0)))

    def judge(state: TrainState, x: Array, batch: Batch, key: Array) -> tuple[Any, TrainState]:
        seen = x if augment is None else augment(x, latents.each(key, batch["index"]))
        return discriminator(state, seen, *discriminator.beside(batch, _apart(key, 0)))

    return generate, judge


def _apart(key: Array, n: int) -> Array:
    """A key apart from those of examples, whose places are folded in from 0 on."""
    return jax.random.fold_in(key, np.uint32(2**32 - 1 - n))


def unrolled(game: Game, k: int) -> Game:
    """Return the game whose generator meets the discriminator as it would be after `k` more moves of its own.

    The moves are of the discriminator's optimiser, from its state, on one batch and one draw of noise, and the
    generator's gradient goes through them (Metz et al. 2016). The discriminator, which must have one phase, moves as
    before. Adam wants `eps_root` above 0 here: where a gradient is 0 the slope of its step is infinite.
    """
    if k == 0:
        return game
    player = game.players["discriminator"]
    (descent,) = (phase for phase in game.phases if phase.player == "discriminator")

    def ahead(state: TrainState, batch: Batch, key: Array) -> TrainState:
        def move(carry, _):
            own, opt = carry
            grads = _gradient(game, descent, state.using(**own), batch, key)
            with jax.numpy_dtype_promotion("standard"):  # As in `update`.
                updates, opt = player.optimizer.update(grads, opt, own)
            return (optax.apply_updates(own, updates), opt), None

        own = {name: state.params[name] for name in player.networks}
        (own, _), _ = jax.lax.scan(move, (own, state.opt["discriminator"]), length=k)
        return state.using(**own)

    def look(phase: Phase) -> Phase:
        def loss(state: TrainState, batch: Batch, key: Array):
            ahead_key, key = jax.random.split(key)
            return phase.loss(ahead(state, batch, ahead_key), batch, key)

        return dataclasses.replace(phase, loss=loss) if phase.player == "generator" else phase

    return dataclasses.replace(game, phases=tuple(look(phase) for phase in game.phases))


def consensus(game: Game, weight: float) -> Game:
    """Return the game whose losses all gain weight / 2 ||v||², where v is made of every loss's gradient.

    Each is the gradient in the parameters of the loss's own player (Mescheder et al. 2017, The numerics of GANs).
    """

    def agree(phase: Phase) -> Phase:
        def loss(state: TrainState, batch: Batch, key: Array):
            key, *keys = jax.random.split(key, 1 + len(game.phases))
            value, (after, metrics) = phase.loss(state, batch, key)
            v = [_gradient(game, p, state, batch, k) for p, k in zip(game.phases, keys, strict=True)]
            square = 0.5 * optax.tree.norm(v, squared=True)
            return value + weight * square, (after, {**metrics, "consensus": square})

        return dataclasses.replace(phase, loss=loss)

    return dataclasses.replace(game, phases=tuple(agree(phase) for phase in game.phases))


def _gradient(game: Game, phase: Phase, state: TrainState, batch: Batch, key: Array) -> dict[str, Params]:
    """The gradient of a phase's loss in its player's parameters, over the whole batch, on all devices."""
    own = {name: state.params[name] for name in game.players[phase.player].networks}
    return axis.mean(jax.grad(lambda own: phase.loss(state.using(**own), batch, key)[0])(own))
