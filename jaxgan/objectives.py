"""Games of one generator against one discriminator: what most papers change is a loss, a penalty or an optimiser."""

from collections.abc import Callable

import jax
import optax
from jax import Array

from jaxgan import latents
from jaxgan.game import Batch, Game, Network, Phase, Player, TrainState
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
    n_critic: int = 1,
    ema: Callable[[Array], Array] | None = None,
    simultaneous: bool = False,
) -> Game:
    """Return the game in which the discriminator moves at each step, and the generator at each `n_critic`-th.

    The generator takes z [B, Z] to examples, the discriminator examples to logits [B]. `penalty`, its weight in it, is
    added to the discriminator's loss. `ema` is decay(step) of the generator's moving average; without it there is none.
    """
    G, D = generator, discriminator

    def d_loss(state: TrainState, batch: Batch, key: Array):
        z_key, penalty_key = jax.random.split(key)
        real = batch["real"]
        fake, state = G(state, latent(latents.each(z_key, batch["index"])))
        real_logits, state = D(state, real)
        fake_logits, state = D(state, fake)
        value = loss.d(real_logits, fake_logits)
        metrics = {"real_logits": real_logits.mean(), "fake_logits": fake_logits.mean()}
        if penalty is not None:
            metrics["penalty"] = penalty(D.bind(state), real, fake, latents.each(penalty_key, batch["index"]))
            value += metrics["penalty"]
        return value, (state, metrics)

    def g_loss(state: TrainState, batch: Batch, key: Array):
        fake, state = G(state, latent(latents.each(key, batch["index"])))
        critic = D.bind(state)
        return loss.g(critic(batch["real"]), critic(fake)), (state, {})  # A loss without use for reals costs no pass.

    return Game(
        networks=(G, D),
        players={"generator": Player((G.name,), g_optimizer), "discriminator": Player((D.name,), d_optimizer)},
        phases=(
            Phase("d", "discriminator", d_loss),
            Phase("g", "generator", g_loss, every=n_critic, start=n_critic - 1),
        ),
        ema={} if ema is None else {G.name: ema},
        simultaneous=simultaneous,
    )
