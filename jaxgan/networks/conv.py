"""Convolutions over any number of spatial axes that are fast on XLA's CPU backend, with gradients of any order.

Examples have shape [B, *size, C]: sequences [B, T, C], images [B, H, W, C], videos [B, T, H, W, C].

A convolution is a trilinear form <conv(x, kernel), g>. Its three partial maps are the output, the gradient in x and the
gradient in the kernel, and the gradients of each are the other two. One `custom_vjp` therefore covers all orders of
differentiation, and gradient penalties use the same three fast implementations. Autodiff of `lax` produces other
convolutions: on the CPU, the kernel gradient of a transposed convolution is 20 to 35 times slower.

On the CPU these functions support reverse mode only: `jax.jvp` and `jax.hessian` fail, because of the `custom_vjp`.
"""

import functools
import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jax import Array, lax

from jaxgan.cpu import trilinear, winograd
from jaxgan.cpu.trilinear import Padding, TrilinearForm

MAX_FEW = 4  # positions, as many as 2 x 2: `lax` takes up to 30 times as long as a matrix product for each tap.
MAX_UNROLLED_GROUPS = 16  # Unrolling more groups takes too long to compile.

Strides = int | Sequence[int]


def conv(x: Array, kernel: Array, strides: Strides = 1, padding: str | Padding = "SAME", groups: int = 1) -> Array:
    """Returns the convolution of x [B, *size, I] with kernel [*sides, I / groups, O], as `lax.conv_general_dilated`.

    Args:
        x: Examples [B, *size, I].
        kernel: Kernel [*sides, I / groups, O], with as many sides as x has spatial axes.
        strides: Stride in all axes, or in each.
        padding: "SAME", "VALID", or (low, high) for each axis.
        groups: Number of groups into which the channels are divided.

    Returns:
        Examples [B, *out_size, O].
    """
    size, sides = x.shape[1:-1], kernel.shape[:-2]
    strides = _per_axis(strides, len(sides))
    if isinstance(padding, str):
        padding = lax.padtype_to_pads(size, sides, strides, padding)
    form = TrilinearForm(x.shape, kernel.shape, strides, tuple(map(tuple, padding)), groups)
    return evaluate_form(form, x, kernel, None)


def conv_transpose(x: Array, kernel: Array, strides: Strides = 1, padding: str | Padding = "SAME") -> Array:
    """Returns the transposed convolution of x [B, *size, I] with kernel [*sides, I, O], as `lax.conv_transpose`.

    Explicit padding (low, high) is that of x after s - 1 zeros have been inserted between entries at stride s, which is
    the convention of `lax.conv_transpose` and flax.
    """
    # A transposed convolution is the input gradient of a convolution from the larger size, with a flipped kernel.
    sides = kernel.shape[:-2]
    strides = _per_axis(strides, len(sides))
    axes = list(zip(x.shape[1:-1], sides, strides, strict=True))
    if isinstance(padding, str):
        size = [n * s + (max(k - s, 0) if padding == "VALID" else 0) for n, k, s in axes]
        padding = lax.padtype_to_pads(size, sides, strides, padding)
    else:
        size = [(n - 1) * s + 2 - k + low + high for (n, k, s), (low, high) in zip(axes, padding, strict=True)]
        padding = [(k - 1 - low, k - 1 - high) for k, (low, high) in zip(sides, padding, strict=True)]
    out_shape = (x.shape[0], *size, kernel.shape[-1])
    form = TrilinearForm(out_shape, kernel.shape, strides, tuple(map(tuple, padding)), flipped=True)
    return evaluate_form(form, None, kernel, x)


def _per_axis(strides: Strides, n: int) -> tuple[int, ...]:
    return (strides,) * n if isinstance(strides, int) else tuple(strides)


def evaluate_form(form: TrilinearForm, x: Array | None, kernel: Array | None, g: Array | None) -> Array:
    """Returns the partial map of `form` in the one operand that is None, by the fastest method for the backend."""
    if jax.default_backend() == "cpu":
        return _evaluate_with_vjp(form, x, kernel, g)
    return trilinear.with_unflipped_kernel(trilinear.evaluate_with_lax, form, x, kernel, g)


@jax.custom_vjp
def _evaluate_with_vjp(form: TrilinearForm, *operands: Array | None) -> Array:
    """Returns the partial map, differentiable to any order."""
    return _evaluate_with_vmap(form, *operands)


def _vjp_forward(form, *operands):
    return _evaluate_with_vjp(form, *operands), (form, operands)


def _vjp_backward(residuals, cotangent):
    """Returns the gradient in each operand: the partial map in it, where the cotangent fills the empty operand."""
    form, operands = residuals
    filled = [cotangent if t is None else t for t in operands]
    partial_map = lambda i: _evaluate_with_vjp(form, *filled[:i], None, *filled[i + 1 :])
    return None, *(None if t is None else partial_map(i) for i, t in enumerate(operands))


_evaluate_with_vjp.defvjp(_vjp_forward, _vjp_backward)


@jax.jit  # Layers with the same shapes share one trace.
def _evaluate_on_cpu(form: TrilinearForm, *operands: Array | None) -> Array:
    """Returns the partial map by the method that is fastest on the CPU."""
    if tuple(map(len, trilinear.used_taps(form))) != form.kernel_shape[:-2]:
        return trilinear.with_used_taps(_evaluate_on_cpu, form, *operands)
    if form.groups > 1 and (form.groups <= MAX_UNROLLED_GROUPS or operands[1] is None):
        return trilinear.evaluate_per_group(_evaluate_on_cpu, form, *operands)
    if form.groups == 1 and len(form.strides) == 1:
        evaluate = functools.partial(trilinear.with_blocks_in_channels, trilinear.evaluate_with_matmul)
        return trilinear.with_unflipped_kernel(evaluate, form, *operands)
    if form.groups == 1 and len(form.strides) == 3:
        evaluate = functools.partial(trilinear.with_first_axis_in_channels, _evaluate_on_cpu)
        return trilinear.with_unflipped_kernel(evaluate, form, *operands)
    if form.groups == 1 and max(form.strides) > 1 and math.prod(form.out_shape[1:-1]) <= MAX_FEW:
        return trilinear.evaluate_with_taps(form, *operands)
    dtypes = {t.dtype for t in operands if t is not None}
    if len(dtypes) == 1 and winograd.is_supported(form, *dtypes):
        return winograd.evaluate(form, *operands)
    return trilinear.evaluate_with_matmul(form, *operands)


_evaluate_with_vmap = jax.custom_batching.custom_vmap(_evaluate_on_cpu)


@_evaluate_with_vmap.def_vmap
def _evaluate_ensemble(axis_size, in_batched, form, *operands):
    """Evaluates an ensemble member by member: XLA's grouped convolution is two to four times slower on the CPU."""
    if not all(jax.tree.leaves(in_batched)):  # With a shared operand, `lax` folds the axis into batch or channels.
        axes = [0 if batched else None for batched in in_batched[1:]]
        return jax.vmap(_evaluate_on_cpu, (None, *axes))(form, *operands), True
    evaluate_member = lambda i: _evaluate_with_vmap(form, *(None if t is None else t[i] for t in operands))
    return jnp.stack([evaluate_member(i) for i in range(axis_size)]), True
