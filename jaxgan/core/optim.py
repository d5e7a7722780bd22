"""Additions to optax for GANs: RMSProp, clipping, freezing, lazy Adam, averages and schedules counted in images."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax.traverse_util import flatten_dict, unflatten_dict
from jax import Array

Projection = Callable[[optax.Params, Any], optax.Params]  # (params, buffers), each by network name -> params


def project(projection: Projection) -> optax.GradientTransformationExtraArgs:
    """Returns a transformation after which the parameters are projection(updated params, buffers).

    It must come last in a chain. Its `update` takes the keyword `buffers`, which a game supplies: the buffers of the
    player's networks, such as batch statistics. It raises ValueError if it is not given the parameters.
    """

    def update(
        updates: optax.Updates,
        state: optax.OptState,
        params: optax.Params | None = None,
        *,
        buffers: Any = None,
        **_: Any,
    ) -> tuple[optax.Updates, optax.OptState]:
        if params is None:
            raise ValueError("a projection needs the parameters; call optimizer.update(grads, opt_state, params)")
        projected = projection(jax.tree.map(jnp.add, params, updates), buffers)
        return jax.tree.map(jnp.subtract, projected, params), state

    return optax.GradientTransformationExtraArgs(lambda params: optax.EmptyState(), update)


def rmsprop(lr: optax.ScalarOrSchedule, decay: float = 0.99, eps: float = 1e-8) -> optax.GradientTransformation:
    """Returns RMSProp as in PyTorch and Chainer: gradients are divided by sqrt(v) + eps.

    `optax.rmsprop` divides by sqrt(v + eps) by default. Gradients below 1e-4, as those of critics with clipped weights,
    are then damped.
    """
    return optax.rmsprop(lr, decay, eps, eps_in_sqrt=False)


def clip_weights(limit: float) -> optax.GradientTransformationExtraArgs:
    """Returns a transformation that keeps parameters in [-limit, limit] (Arjovsky et al. 2017, Algorithm 1, line 7).

    It must come last in a chain, see `project`.
    """
    return project(lambda params, buffers: jax.tree.map(lambda p: jnp.clip(p, -limit, limit), params))


def clip_singular_values(every: int = 1) -> optax.GradientTransformationExtraArgs:
    """Returns a transformation that applies `with_clipped_singular_values` at every `every`-th update.

    It must come last in a chain, see `project`.
    """
    is_due = lambda count: count % every == every - 1
    return optax.conditionally_transform(project(with_clipped_singular_values), is_due)


def with_clipped_singular_values(params: Mapping[str, Any], buffers: Mapping[str, Any]) -> dict[str, Any]:
    """Returns parameters whose kernels have singular values of at most 1 (Saito et al. 2017, arXiv 1611.06624).

    A kernel [..., O] is clipped as a matrix with O columns. The scale of a batch norm is clipped to [0.01 s, s], where
    s is the running standard deviation of its input. Both are as in the authors' code. Other parameters stay.

    Args:
        params: Parameters by network name.
        buffers: Collections of the same networks, with `batch_stats` if they have batch norm.
    """
    statistics, clipped = flatten_dict(buffers), {}
    for (network, *layer, name), x in flatten_dict(params).items():
        variance = statistics.get((network, "batch_stats", *layer, "var"))
        if name == "kernel":
            x = _clip_kernel(x)
        elif name == "scale" and variance is not None:
            x = jnp.clip(x, 0.01 * jnp.sqrt(variance), jnp.sqrt(variance))
        clipped[network, *layer, name] = x
    return unflatten_dict(clipped)


def _clip_kernel(kernel: Array) -> Array:
    u, s, vh = jnp.linalg.svd(kernel.reshape(-1, kernel.shape[-1]), full_matrices=False)
    # The excess is subtracted, so that a kernel without any stays exactly as it is.
    return kernel - ((u * jnp.maximum(s - 1.0, 0.0)[None]) @ vh).reshape(kernel.shape)


def freeze(
    optimizer: optax.GradientTransformation, is_frozen: Callable[[str], bool]
) -> optax.GradientTransformationExtraArgs:
    """Returns an optimizer that leaves some parameters as they are.

    Its state is that of `optimizer`, which sees zero gradients for the frozen parameters.

    Args:
        optimizer: Trains the other parameters.
        is_frozen: path of a parameter, such as "discriminator/Conv_0/kernel" -> whether it is frozen.
    """

    def zero_frozen(tree: optax.Updates) -> optax.Updates:
        return jax.tree_util.tree_map_with_path(
            lambda path, x: jnp.zeros_like(x) if is_frozen(parameter_path(path)) else x, tree
        )

    def update(updates: optax.Updates, state: optax.OptState, params: optax.Params | None = None, **extra: Any):
        updates, state = optimizer.update(zero_frozen(updates), state, params, **extra)
        return zero_frozen(updates), state  # Weight decay changes parameters without a gradient.

    optimizer = optax.with_extra_args_support(optimizer)
    return optax.GradientTransformationExtraArgs(optimizer.init, update)


def parameter_path(path: Sequence[Any]) -> str:
    """Returns the path of a leaf in a tree of parameters, such as "discriminator/Conv_0/kernel"."""
    return jax.tree_util.keystr(tuple(path), simple=True, separator="/")


def lazy_adam(lr: float, every: int, b1: float = 0.0, b2: float = 0.99) -> optax.GradientTransformation:
    """Returns Adam for a player that has a second phase every `every` steps, its lazy regularisation.

    The learning rate, and the betas as exponents, are multiplied by c = every / (every + 1), so that an interval of
    `every` steps has the same effect with the additional update as without (Karras et al. 2020, appendix B).

    Args:
        lr: Learning rate without lazy regularisation.
        every: Steps between the additional updates.
        b1: Adam's beta1 without lazy regularisation.
        b2: Adam's beta2 without lazy regularisation.
    """
    c = every / (every + 1)
    return optax.adam(lr * c, b1**c, b2**c)


def ema_decay(
    half_life: float | optax.Schedule, batch_size: int, ramp_up: float | None = None
) -> Callable[[Array], Array]:
    """Returns decay(step) of a moving average for `Game.ema`.

    Args:
        half_life: Images after which an old value has half its weight, or a schedule of that over the images seen. With
            0 the average is the newest value.
        batch_size: Images per step.
        ramp_up: Limits the half-life to this fraction of the images seen (0.05 in StyleGAN2-ADA). At step 0 the decay
            is then 0, so that the average starts from the first trained parameters.
    """

    def decay(step: Array) -> Array:
        seen = jnp.float32(step) * batch_size  # images, before this step
        life = half_life(seen) if callable(half_life) else half_life
        life = life if ramp_up is None else jnp.minimum(life, ramp_up * seen)
        return jnp.exp2(-batch_size / jnp.float32(life))

    return decay


def in_images(schedule: optax.Schedule, batch_size: int, every: float = 1) -> optax.Schedule:
    """Returns a schedule over a player's updates from a schedule over images.

    Args:
        schedule: Function of the number of images.
        batch_size: Images per step.
        every: Steps of the game per update of the player: 5 for the generator of WGAN, 16 / 17 for a discriminator
            that has a second phase every 16 steps.
    """
    # In floating point, because int32 overflows at 2.1e9 images.
    return lambda count: schedule(jnp.float32(count) * (batch_size * every))
