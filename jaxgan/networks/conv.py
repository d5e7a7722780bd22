"""Convolutions of images [B, H, W, C] that are fast on the CPU backend, to any order of derivative.

A convolution is one trilinear form <conv(x, kernel), g>. Its three partial maps (the output, the gradient in x, the
gradient in the kernel) are each other's derivatives, so one rule closes the set, and a gradient penalty of any order
runs three hand-picked formulations. Plain autodiff of `lax` leaves the set: the kernel gradient of a transposed
convolution, in a generator or in a penalty, becomes a form that XLA's CPU backend runs 20 to 35 times slower.

Reverse mode only on the CPU: `jax.jvp` and `jax.hessian` do not pass a `custom_vjp`.
"""

import jax
import jax.numpy as jnp
from jax import Array, lax

from jaxgan.networks import trilinear, winograd
from jaxgan.networks.trilinear import Form, Padding, Pair

FEW_GROUPS = 16  # so many are written out; more would compile for long


def conv2d(x: Array, kernel: Array, strides: Pair = (1, 1), padding: str | Padding = "SAME", groups: int = 1) -> Array:
    """Convolve x [B, H, W, I] with kernel [h, w, I / groups, O], as `lax.conv_general_dilated` does."""
    if isinstance(padding, str):
        padding = lax.padtype_to_pads(x.shape[1:3], kernel.shape[:2], strides, padding)
    return _trilinear(Form(x.shape, kernel.shape, tuple(strides), tuple(map(tuple, padding)), groups), x, kernel, None)


def conv_transpose2d(x: Array, kernel: Array, strides: Pair = (1, 1), padding: str | Padding = "SAME") -> Array:
    """Transposed convolution of x [B, H, W, I] with kernel [h, w, I, O], as `lax.conv_transpose` (and flax) do."""
    # It is the gradient in the input of a convolution, from the larger image to x's, with the kernel turned round.
    along = list(zip(x.shape[1:3], kernel.shape[:2], strides, strict=True))
    if isinstance(padding, str):
        size = [n * s + (max(k - s, 0) if padding == "VALID" else 0) for n, k, s in along]
        padding = lax.padtype_to_pads(size, kernel.shape[:2], strides, padding)
    else:  # of x with s - 1 zeros between its pixels, by the convention of `lax.conv_transpose`
        size = [(n - 1) * s + 2 - k + low + high for (n, k, s), (low, high) in zip(along, padding, strict=True)]
        padding = [(k - 1 - low, k - 1 - high) for (_, k, _), (low, high) in zip(along, padding, strict=True)]
    larger = (x.shape[0], *size, kernel.shape[3])
    form = Form(larger, kernel.shape, tuple(strides), tuple(map(tuple, padding)), turned=True)
    return _trilinear(form, None, kernel, x)


def _trilinear(form: Form, *operands: Array | None) -> Array:
    """The form's partial map in the one operand of (x, kernel, g) that is None. The backend is asked only here."""
    if jax.default_backend() == "cpu":
        return _closed(form, *operands)
    return trilinear.upright(trilinear.native, form, *operands)


@jax.custom_vjp
def _closed(form: Form, *operands: Array | None) -> Array:
    return _by_member(form, *operands)


def _forward(form, *operands):
    return _closed(form, *operands), (form, operands)


def _backward(residuals, cotangent):
    """The gradient in an operand: the partial map in it, with the cotangent in the place that was empty."""
    form, operands = residuals
    full = [cotangent if t is None else t for t in operands]
    without = lambda i: _closed(form, *full[:i], None, *full[i + 1 :])
    return None, *(None if t is None else without(i) for i, t in enumerate(operands))


_closed.defvjp(_forward, _backward)


@jax.jit  # Traced once for all layers alike.
def _by_hand(form: Form, *operands: Array | None) -> Array:
    """The fastest of the formulations for the CPU."""
    if form.groups > 1 and (form.groups <= FEW_GROUPS or operands[1] is None):
        return trilinear.by_group(_by_hand, form, *operands)
    dtypes = {t.dtype for t in operands if t is not None}
    if len(dtypes) == 1 and winograd.suits(form, *dtypes):
        return winograd.evaluate(form, *operands)
    return trilinear.upright(trilinear.by_products, form, *operands)


_by_member = jax.custom_batching.custom_vmap(_by_hand)


@_by_member.def_vmap
def _batch(size, batched, form, *operands):
    """Ensembles member by member: XLA would group the convolution, two to four times slower on the CPU."""
    if not all(jax.tree.leaves(batched)):  # One operand is shared, and `lax` folds the axis into batch or channels.
        axes = [0 if b else None for b in batched[1:]]
        return jax.vmap(_by_hand, (None, *axes))(form, *operands), True
    member = lambda i: _by_member(form, *(None if t is None else t[i] for t in operands))
    return jnp.stack([member(i) for i in range(size)]), True
