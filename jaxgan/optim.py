"""What optax lacks for GANs: weight clipping, moving averages and schedules that are counted in images.

What it has: `optax.clip_by_global_norm` clips gradients; `optax.linear_schedule` holds, then decays. Two time scales
need nothing, for each player has an optimiser, and so a rate, of its own.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax
from jax import Array


def clip_weights(limit: float) -> optax.GradientTransformation:
    """Leave every parameter within [-limit, limit], to rounding (Arjovsky et al. 2017, Algorithm 1, line 7).

    Last in a chain. Raises a ValueError where `update` is not given the parameters.
    """

    def update(updates: optax.Updates, params: optax.Params | None) -> optax.Updates:
        if params is None:
            raise ValueError("clip_weights needs the parameters; call optimizer.update(grads, opt_state, params)")
        return jax.tree.map(lambda p, u: jnp.clip(p + u, -limit, limit) - p, params, updates)

    return optax.stateless(update)


def ema_decay(
    half_life: float | optax.Schedule, batch_size: int, ramp_up: float | None = None
) -> Callable[[Array], Array]:
    """Return decay(step) of a moving average that forgets half in `half_life` images, for `Game.ema`.

    The half-life may be a schedule over the images seen.

    With `ramp_up`, 0.05 in StyleGAN2-ADA, the half-life is at most that fraction of the images seen: at step 0 the
    decay is 0, and the average starts at the first parameters that were trained.
    """

    def decay(step: Array) -> Array:
        seen = jnp.float32(step) * batch_size  # images, before this step
        life = half_life(seen) if callable(half_life) else half_life
        life = life if ramp_up is None else jnp.minimum(life, ramp_up * seen)
        return jnp.exp2(-batch_size / life)

    return decay


def in_images(schedule: optax.Schedule, batch_size: int, every: float = 1) -> optax.Schedule:
    """Return a schedule over an optimiser's updates from one over images.

    `every` is how many steps of the game go to one update of the player: 5 for the generator of WGAN, 16 / 17 for a
    discriminator with a second phase every 16 steps.
    """
    return lambda count: schedule(jnp.float32(count) * (batch_size * every))  # int32 ends at 2.1e9 images.
