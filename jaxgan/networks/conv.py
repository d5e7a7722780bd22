"""Convolutions of images [B, H, W, C] that are fast on the CPU backend, to any order of derivative.

A convolution is one trilinear form <conv(x, kernel), g>. Its three partial maps (the output, the gradient in x, the
gradient in the kernel) are each other's derivatives, so one rule closes the set, and a gradient penalty of any order
runs three hand-picked formulations. Plain autodiff of `lax` leaves the set: the kernel gradient of a transposed
convolution, in a generator or in a penalty, becomes a form that XLA's CPU backend runs 20 to 35 times slower.

Reverse mode only on the CPU: `jax.jvp` and `jax.hessian` do not pass a `custom_vjp`.
"""

import dataclasses

import jax
import jax.numpy as jnp
from jax import Array, lax

Pair = tuple[int, int]
Padding = tuple[Pair, Pair]

PATCH_BYTES = 4 * 2**20  # Per chunk of the kernel gradient: more leaves the cache, less starves the product.


def conv2d(x: Array, kernel: Array, strides: Pair = (1, 1), padding: str | Padding = "SAME", groups: int = 1) -> Array:
    """Convolve x [B, H, W, I] with kernel [h, w, I / groups, O], as `lax.conv_general_dilated` does."""
    if isinstance(padding, str):
        padding = lax.padtype_to_pads(x.shape[1:3], kernel.shape[:2], strides, padding)
    return _trilinear(_Form(x.shape, kernel.shape, tuple(strides), tuple(map(tuple, padding)), groups), x, kernel, None)


def conv_transpose2d(x: Array, kernel: Array, strides: Pair = (1, 1), padding: str | Padding = "SAME") -> Array:
    """Transposed convolution of x [B, H, W, I] with kernel [h, w, I, O], as `lax.conv_transpose` (and flax) do."""
    # It is the gradient in the input of a convolution with the kernel turned round, from the larger image to x's.
    along = list(zip(x.shape[1:3], kernel.shape[:2], strides, strict=True))
    if isinstance(padding, str):
        size = [n * s + (max(k - s, 0) if padding == "VALID" else 0) for n, k, s in along]
        padding = lax.padtype_to_pads(size, kernel.shape[:2], strides, padding)
    else:  # of x with s - 1 zeros between its pixels, by the convention of `lax.conv_transpose`
        size = [(n - 1) * s + 2 - k + low + high for (n, k, s), (low, high) in zip(along, padding, strict=True)]
        padding = [(k - 1 - low, k - 1 - high) for (_, k, _), (low, high) in zip(along, padding, strict=True)]
    kernel = kernel[::-1, ::-1].swapaxes(2, 3)
    larger = (x.shape[0], *size, kernel.shape[2])
    return _trilinear(_Form(larger, kernel.shape, tuple(strides), tuple(map(tuple, padding))), None, kernel, x)


@jax.tree_util.register_static
@dataclasses.dataclass(frozen=True)
class _Form:
    """The trilinear form <conv(x, kernel), g>, up to the values of its three operands."""

    x_shape: tuple[int, ...]
    kernel_shape: tuple[int, ...]
    strides: Pair
    padding: Padding
    groups: int = 1


def _trilinear(form: _Form, *operands: Array | None) -> Array:
    """The form's partial map in the one operand of (x, kernel, g) that is None. The backend is asked only here."""
    return (_closed if jax.default_backend() == "cpu" else _evaluate)(form, *operands)


@jax.custom_vjp
def _closed(form: _Form, *operands: Array | None) -> Array:
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


def _evaluate(form: _Form, x: Array | None, kernel: Array | None, g: Array | None) -> Array:
    if g is None:
        return _convolve(form, x, kernel)
    if x is None:
        x = jax.ShapeDtypeStruct(form.x_shape, g.dtype)
        return jax.linear_transpose(lambda x: _convolve(form, x, kernel), x)(g)[0]
    return (_kernel_gradient if form.groups == 1 else _grouped_kernel_gradient)(form, x, g)


_by_member = jax.custom_batching.custom_vmap(_evaluate)


@_by_member.def_vmap
def _batch(size, batched, form, *operands):
    """Ensembles member by member: XLA would group the convolution, two to four times slower on the CPU."""
    if not all(jax.tree.leaves(batched)):  # One operand is shared, and `lax` folds the axis into batch or channels.
        axes = [0 if b else None for b in batched[1:]]
        return jax.vmap(_evaluate, (None, *axes))(form, *operands), True
    member = lambda i: _by_member(form, *(None if t is None else t[i] for t in operands))
    return jnp.stack([member(i) for i in range(size)]), True


def _convolve(form: _Form, x: Array, kernel: Array) -> Array:
    if (form.kernel_shape[:2], form.padding, form.groups) == ((1, 1), ((0, 0), (0, 0)), 1):
        return x[:, :: form.strides[0], :: form.strides[1]] @ kernel[0, 0]  # One product, two to four times faster.
    options = {"dimension_numbers": ("NHWC", "HWIO", "NHWC"), "feature_group_count": form.groups}
    return lax.conv_general_dilated(x, kernel, form.strides, form.padding, **options)


def _kernel_gradient(form: _Form, x: Array, g: Array) -> Array:
    """Sum patches times g over chunks of images whose patches stay in the cache: up to ten times faster than `lax`."""
    (b, h, w, o), (kh, kw, i, _), (sh, sw) = g.shape, form.kernel_shape, form.strides
    image = h * w * kh * kw * i * x.dtype.itemsize  # bytes of its patches
    n = next(n for n in range(b, 0, -1) if b % n == 0 and (n * image <= PATCH_BYTES or n == 1))
    chunks = lambda t: t.reshape(b // n, n, *t.shape[1:])

    def add(total, chunk):
        x, g = chunk
        x = lax.pad(x, jnp.zeros((), x.dtype), ((0, 0, 0), *((*p, 0) for p in form.padding), (0, 0, 0)))
        columns = jnp.concatenate([x[:, :, j : j + sw * (w - 1) + 1 : sw] for j in range(kw)], -1)
        patches = jnp.concatenate([columns[:, j : j + sh * (h - 1) + 1 : sh] for j in range(kh)], -1)
        # XLA runs transpose(g) @ patches up to twice as fast as transpose(patches) @ g; the barrier keeps the order.
        return total + lax.optimization_barrier(g.reshape(-1, o).T) @ patches.reshape(-1, kh * kw * i), None

    total, _ = lax.scan(add, jnp.zeros((o, kh * kw * i), x.dtype), (chunks(x), chunks(g)))
    return total.T.reshape(form.kernel_shape)


def _grouped_kernel_gradient(form: _Form, x: Array, g: Array) -> Array:
    """Tap by tap, the batched product of the pixels that meet there: over twenty times faster than `lax`."""
    (h, w, o), (kh, kw, i, _), (sh, sw) = g.shape[1:], form.kernel_shape, form.strides
    x = lax.pad(x, jnp.zeros((), x.dtype), ((0, 0, 0), *((*p, 0) for p in form.padding), (0, 0, 0)))
    apart = lambda t: t.reshape(-1, form.groups, t.shape[-1] // form.groups)
    meet = lambda y, z: x[:, y : y + sh * (h - 1) + 1 : sh, z : z + sw * (w - 1) + 1 : sw]
    taps = [jnp.einsum("ngi,ngo->igo", apart(meet(y, z)), apart(g)) for y in range(kh) for z in range(kw)]
    return jnp.stack(taps).reshape(kh, kw, i, o)
