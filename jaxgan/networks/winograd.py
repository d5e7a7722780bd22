"""Convolutions by fewer products: Winograd's F(2 x 2, r x r), r = 2 or 3 (Lavin & Gray 2016, arXiv 1509.09308).

Of the trilinear form <conv(x, kernel), g>, each operand is taken to (r + 1)² points by a map of small integers, and at
each point the form is one of matrices. So four outputs cost (r + 1)² products where the sum has 4 r²: 2.25 times fewer
for 3 x 3 taps, 1.78 times for 2 x 2. A kernel of r s taps and stride s is one of r taps and stride 1 over images whose
pixels are blocks of s x s.

The partial map in an operand takes the others to the points, multiplies, and comes back by the transpose of that
operand's map. The error of float32 is about that of the sum.
"""

import math
from collections.abc import Iterable

import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from jaxgan.networks.trilinear import Form, Pair, fit, map_chunks, sum_over_chunks

Weights = tuple[tuple[float, ...], ...]

# By r, the maps of one axis to its r + 1 points: of r taps, of the r + 1 pixels under two outputs, of two outputs.
TAPS = {2: ((1, 0), (1, 1), (0, 1)), 3: ((1, 0, 0), (0.5, 0.5, 0.5), (0.5, -0.5, 0.5), (0, 0, 1))}
PIXELS = {2: ((1, -1, 0), (0, 1, 0), (0, -1, 1)), 3: ((1, 0, -1, 0), (0, 1, 1, 0), (0, -1, 1, 0), (0, -1, 0, 1))}
OUTPUTS = {2: ((1, 0), (1, 1), (0, 1)), 3: ((1, 0), (1, 1), (1, -1), (0, 1))}

LEAST = 2**28  # products in the sum: below, what is gained does not pay for compiling the maps
POINT_BYTES = 12 * 2**20  # Per chunk, of the larger operand: more leaves the cache, less starves the products.


def suits(form: Form, dtype: jnp.dtype) -> bool:
    """Whether the form has two or three taps of stride 1 along both axes, type and size for it to be worth while."""
    (h, w), (sh, sw) = form.kernel_shape[:2], form.strides
    r = h // sh
    exact = dtype in (jnp.float32, jnp.float64)
    large = math.prod(form.out_shape[:3]) * math.prod(form.kernel_shape) >= LEAST
    return exact and large and form.groups == 1 and r in TAPS and (h, w) == (r * sh, r * sw)


def evaluate(form: Form, x: Array | None, kernel: Array | None, g: Array | None) -> Array:
    """Evaluate the partial map in the operand that is None, over chunks of images whose points stay in the cache."""
    r = form.kernel_shape[0] // form.strides[0]
    (b, h, w, o), (sh, sw), c = form.out_shape, form.strides, form.x_shape[3]
    tiles = -(-h // 2), -(-w // 2)
    to_x = lambda x: _image_points(form, r, tiles, x)
    to_g = lambda g: _output_points(r, tiles, g)
    size = jnp.result_type(*(t for t in (x, kernel, g) if t is not None)).itemsize
    n = fit(b, (r + 1) ** 2 * math.prod(tiles) * max(sh * sw * c, o) * size, POINT_BYTES)
    if kernel is None:
        product = "pnc,pno->poc" if form.turned else "pnc,pno->pco"
        points = sum_over_chunks(lambda x, g: jnp.einsum(product, to_x(x), to_g(g)), n, x, g)
        return _kernel(form, r, points)
    at = _kernel_points(form, r, kernel)
    if g is None:
        output = lambda x: _output(to_x(x) @ at, r, tiles, (h, w))
        return map_chunks(output, n, x)
    return map_chunks(lambda g: _image(form, r, tiles, to_g(g) @ at.swapaxes(1, 2)), n, g)


def _image_points(form: Form, r: int, tiles: Pair, x: Array) -> Array:
    """Images [B, H, W, C] at the points, [(r + 1)², B tiles, s s C]."""
    (sh, sw), (th, tw), (b, _, _, c) = form.strides, tiles, x.shape
    n, m = 2 * th + r - 1, 2 * tw + r - 1
    x = lax.pad(x, jnp.zeros((), x.dtype), _edges(form, n, m))
    x = x.reshape(b, n, sh, m, sw, c).swapaxes(2, 3).reshape(b, n, m, -1)
    x = _stacked(PIXELS[r], [x[:, i : i + 2 * th - 1 : 2] for i in range(r + 1)], 0)
    x = _mapped(PIXELS[r], [x[:, :, :, j : j + 2 * tw - 1 : 2] for j in range(r + 1)], 1)
    return x.reshape((r + 1) ** 2, -1, sh * sw * c)


def _image(form: Form, r: int, tiles: Pair, points: Array) -> Array:
    """The transpose of `_image_points`: images, where tiles overlap their sum."""
    (sh, sw), (th, tw), c = form.strides, tiles, form.x_shape[3]

    def pixels(terms: list[Array], axis: int) -> Array:
        """Pixels of tiles along an axis, [tiles + 1, 2] in its place: a pair ends one tile and begins the next."""
        of_tile = [_sum(weights, terms) for weights in _transposed(PIXELS[r])]
        edge = [(0, 0)] * terms[0].ndim
        met = lambda i, y: jnp.pad(of_tile[i + 2 * y], [*edge[:axis], (y, 1 - y), *edge[axis + 1 :]])
        return jnp.stack([sum(met(i, y) for y in (0, 1) if i + 2 * y <= r) for i in (0, 1)], axis + 1)

    x = pixels(list(points.reshape(r + 1, r + 1, -1, th, tw, sh * sw * c)), 2)
    x = pixels(list(x), 3)  # b, th + 1, 2, tw + 1, 2, s s c
    n, m = 2 * th + 2, 2 * tw + 2
    x = x.reshape(-1, n, m, sh, sw, c).swapaxes(2, 3).reshape(-1, n * sh, m * sw, c)
    return lax.pad(x, jnp.zeros((), x.dtype), [(-low, -high, 0) for low, high, _ in _edges(form, n, m)])


def _edges(form: Form, n: int, m: int) -> list[tuple[int, int, int]]:
    """The padding of images to n x m blocks."""
    along = zip(form.padding, (n, m), form.strides, form.x_shape[1:3], strict=True)
    return [(0, 0, 0), *((low, blocks * s - size - low, 0) for (low, _), blocks, s, size in along), (0, 0, 0)]


def _kernel_points(form: Form, r: int, kernel: Array) -> Array:
    """A kernel at the points, [(r + 1)², s s C, O], in the order of memory that it has itself."""
    (sh, sw), (i, o) = form.strides, kernel.shape[2:]
    if form.turned:
        taps = kernel[::-1, ::-1].reshape(r, sh, r, sw, i, o).transpose(0, 2, 4, 1, 3, 5).reshape(r, r, i, -1)
    else:
        taps = kernel.reshape(r, sh, r, sw, i, o).swapaxes(1, 2).reshape(r, r, -1, o)
    points = _mapped(TAPS[r], list(_mapped(TAPS[r], list(taps), 1)), 1)
    points = points.reshape(-1, *taps.shape[2:])
    return points.swapaxes(1, 2) if form.turned else points


def _kernel(form: Form, r: int, points: Array) -> Array:
    """The transpose of `_kernel_points`, of points in the kernel's order of memory."""
    (sh, sw), (i, o) = form.strides, form.kernel_shape[2:]
    # As a product: a sum would be fused into all that reads the gradient, and computed as often.
    taps = jnp.asarray(np.kron(TAPS[r], TAPS[r]).T, points.dtype) @ points.reshape(len(points), -1)
    if form.turned:
        return taps.reshape(r, r, i, sh, sw, o).transpose(0, 3, 1, 4, 2, 5).reshape(form.kernel_shape)[::-1, ::-1]
    return taps.reshape(r, r, sh, sw, i, o).swapaxes(1, 2).reshape(form.kernel_shape)


def _output_points(r: int, tiles: Pair, g: Array) -> Array:
    """Outputs [B, h, w, O] at the points, [(r + 1)², B tiles, O]."""
    (_, h, w, o), (th, tw) = g.shape, tiles
    g = jnp.pad(g, ((0, 0), (0, 2 * th - h), (0, 2 * tw - w), (0, 0)))
    g = _stacked(OUTPUTS[r], [g[:, i::2] for i in (0, 1)], 0)
    g = _mapped(OUTPUTS[r], [g[:, :, :, j::2] for j in (0, 1)], 1)
    return g.reshape((r + 1) ** 2, -1, o)


def _output(points: Array, r: int, tiles: Pair, size: Pair) -> Array:
    """The transpose of `_output_points`: outputs of h x w pixels."""
    (th, tw), (h, w), o = tiles, size, points.shape[-1]
    cells = _stacked(_transposed(OUTPUTS[r]), list(points.reshape(r + 1, r + 1, -1, th, tw, o)), 3)
    cells = _mapped(_transposed(OUTPUTS[r]), list(cells), 4)  # b, th, 2, tw, 2, o
    return cells.reshape(-1, 2 * th, 2 * tw, o)[:, :h, :w]


def _mapped(weights: Weights, terms: list[Array], axis: int) -> Array:
    """A map of one axis, given as the terms along it: its sums as a new axis, in one loop, which compiles soon."""
    ones = [1] * terms[0].ndim
    column = lambda i: jnp.array([row[i] for row in weights], terms[i].dtype).reshape(*ones[:axis], -1, *ones[axis:])
    return sum(column(i) * jnp.expand_dims(term, axis) for i, term in enumerate(terms))


def _stacked(weights: Weights, terms: list[Array], axis: int) -> Array:
    """The same sum by sum, with nothing for zeros: the faster where XLA would fuse it with the map that follows."""
    return jnp.stack([_sum(row, terms) for row in weights], axis)


def _sum(weights: Iterable[float], terms: list[Array]) -> Array:
    """The terms by their weights, without those of weight 0."""
    first, *rest = (t if w == 1 else w * t for w, t in zip(weights, terms, strict=True) if w)
    return sum(rest, first)


def _transposed(weights: Weights) -> Weights:
    return tuple(zip(*weights, strict=True))
