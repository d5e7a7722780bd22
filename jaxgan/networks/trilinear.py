"""The trilinear form <conv(x, kernel), g>, and its partial maps as `lax` has them and as products.

The map in g is the convolution, that in x its input gradient, which a transposed convolution is, and that in the kernel
its kernel gradient. Of the operands (x [B, H, W, I], kernel [h, w, I / groups, O], g [B, H', W', O]) the one that is
None is the one in which a map is asked.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax

Pair = tuple[int, int]
Padding = tuple[Pair, Pair]

PATCH_BYTES = 4 * 2**20  # Per chunk of the kernel gradient: more leaves the cache, less starves the product.


@jax.tree_util.register_static
@dataclasses.dataclass(frozen=True)
class Form:
    """The form, up to the values of its operands."""

    x_shape: tuple[int, ...]
    kernel_shape: tuple[int, ...]
    strides: Pair
    padding: Padding
    groups: int = 1
    turned: bool = False  # the kernel is given as a transposed convolution has it, [h, w, O, I], its taps turned round

    @property
    def out_shape(self) -> tuple[int, ...]:
        """The shape of g."""
        along = zip(self.x_shape[1:3], self.padding, self.kernel_shape, self.strides, strict=False)
        channels = self.kernel_shape[2 if self.turned else 3]
        return self.x_shape[0], *((n + sum(p) - k) // s + 1 for n, p, k, s in along), channels


Evaluate = Callable[[Form, Array | None, Array | None, Array | None], Array]


def upright(evaluate: Evaluate, form: Form, x: Array | None, kernel: Array | None, g: Array | None) -> Array:
    """Evaluate by a function that knows no kernels turned round."""
    if not form.turned:
        return evaluate(form, x, kernel, g)
    h, w, o, i = form.kernel_shape
    form = dataclasses.replace(form, kernel_shape=(h, w, i, o), turned=False)
    turn = lambda kernel: kernel[::-1, ::-1].swapaxes(2, 3)
    return turn(evaluate(form, x, None, g)) if kernel is None else evaluate(form, x, turn(kernel), g)


def by_group(evaluate: Evaluate, form: Form, x: Array | None, kernel: Array | None, g: Array | None) -> Array:
    """Evaluate group by group, each a convolution of its own: `lax` is several times slower on all together.

    Kernel gradients go in a loop, which compiles once; in it other maps would be slow, and are written out.
    """
    (h, w, i, o), groups = form.kernel_shape, form.groups
    each = o // groups
    form = dataclasses.replace(form, x_shape=(*form.x_shape[:3], i), kernel_shape=(h, w, i, each), groups=1)

    def group(n: Array | int) -> Array:
        part = lambda t, size: t if t is None else lax.dynamic_slice_in_dim(t, n * size, size, -1)
        return evaluate(form, part(x, i), part(kernel, each), part(g, each))

    if kernel is None:
        return jnp.moveaxis(lax.map(group, jnp.arange(groups)), 0, 3).reshape(h, w, i, o)
    return jnp.concatenate([group(n) for n in range(groups)], -1)


def native(form: Form, x: Array | None, kernel: Array | None, g: Array | None) -> Array:
    """Evaluate the partial map by `lax`."""
    if g is None:
        return _convolve(form, x, kernel)
    if x is None:
        x = jax.ShapeDtypeStruct(form.x_shape, g.dtype)
        return jax.linear_transpose(lambda x: _convolve(form, x, kernel), x)(g)[0]
    kernel = jax.ShapeDtypeStruct(form.kernel_shape, g.dtype)
    return jax.linear_transpose(lambda kernel: _convolve(form, x, kernel), kernel)(g)[0]


def _convolve(form: Form, x: Array, kernel: Array) -> Array:
    if (form.kernel_shape[:2], form.padding, form.groups) == ((1, 1), ((0, 0), (0, 0)), 1):
        return x[:, :: form.strides[0], :: form.strides[1]] @ kernel[0, 0]  # One product, two to four times faster.
    options = {"dimension_numbers": ("NHWC", "HWIO", "NHWC"), "feature_group_count": form.groups}
    return lax.conv_general_dilated(x, kernel, form.strides, form.padding, **options)


def by_products(form: Form, x: Array | None, kernel: Array | None, g: Array | None) -> Array:
    """Evaluate the kernel gradient, of one group, by products, and other maps by `lax`."""
    if kernel is not None:
        return native(form, x, kernel, g)
    return _by_patches(form, x, g)


def _by_patches(form: Form, x: Array, g: Array) -> Array:
    """Sum patches times g over chunks of images whose patches stay in the cache: up to ten times faster than `lax`."""
    (b, h, w, o), (kh, kw, i, _), (sh, sw) = g.shape, form.kernel_shape, form.strides
    n = fit(b, h * w * kh * kw * i * x.dtype.itemsize, PATCH_BYTES)

    def product(x: Array, g: Array) -> Array:
        x = lax.pad(x, jnp.zeros((), x.dtype), ((0, 0, 0), *((*p, 0) for p in form.padding), (0, 0, 0)))
        columns = jnp.concatenate([x[:, :, j : j + sw * (w - 1) + 1 : sw] for j in range(kw)], -1)
        patches = jnp.concatenate([columns[:, j : j + sh * (h - 1) + 1 : sh] for j in range(kh)], -1)
        # XLA runs transpose(g) @ patches up to twice as fast as transpose(patches) @ g; the barrier keeps the order.
        return lax.optimization_barrier(g.reshape(-1, o).T) @ patches.reshape(-1, kh * kw * i)

    return sum_over_chunks(product, n, x, g).T.reshape(form.kernel_shape)


def fit(count: int, each: int, budget: int) -> int:
    """The largest number that divides `count` and of which `each` bytes a piece fit the budget, or 1."""
    return next(n for n in range(count, 0, -1) if count % n == 0 and (n * each <= budget or n == 1))


def map_chunks(f: Callable[[Array], Array], n: int, x: Array) -> Array:
    """Compute f(x), row by row of x [B, ...] alike, of n rows at a time."""
    if n == len(x):
        return f(x)
    found = lax.map(f, x.reshape(-1, n, *x.shape[1:]))
    return found.reshape(len(x), *found.shape[2:])


def sum_over_chunks(f: Callable[..., Any], n: int, *operands: Array) -> Any:
    """Sum f of n rows of the operands [B, ...] at a time."""
    if n == len(operands[0]):
        return f(*operands)
    chunks = [t.reshape(-1, n, *t.shape[1:]) for t in operands]
    zero = jax.tree.map(lambda t: jnp.zeros(t.shape, t.dtype), jax.eval_shape(f, *(t[0] for t in chunks)))
    return lax.scan(lambda total, chunk: (jax.tree.map(jnp.add, total, f(*chunk)), None), zero, tuple(chunks))[0]
