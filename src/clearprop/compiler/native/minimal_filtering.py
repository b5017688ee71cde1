"""Minimal filtering, F(2 × 2, 3 × 3): windows of 3 × 3 that move by one place, with fewer multiplications.

Four neighbouring results, a tile, see 4 × 4 elements of an image. Their sums of products are 36 multiplications for
each channel. With Winograd's transforms they are 16, and some additions before and behind:

    y = Aᵀ [(G g Gᵀ) * (Bᵀ d B)] A

where d is what the tile sees, g the window, y the tile, and * multiplies elements: so a convolution becomes 16 matrix
products, one for each of the 4 × 4 positions. All of this is linear in d and in g, so the gradient by g is made of the
same transforms, transposed: Gᵀ [Σ (A dy Aᵀ) * (Bᵀ d B)] G.

A. Lavin, S. Gray, "Fast algorithms for convolutional neural networks" (CVPR 2016), equation 8; S. Winograd, "Arithmetic
complexity of computations" (1980).

The results differ from direct sums by rounding, by some ulp of the largest sum in the tile: so one whose window sees
nothing but zeros need not be 0. An infinity or NaN makes the results not finite whose windows meet it, as ever, and the
others of its tile as well.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from llvmlite import ir

from clearprop.compiler.native.code import Value
from clearprop.primitives.windows import Lengths

ALGORITHM = "minimal filtering"
"""Its name, for people."""
SIDE = 4
"""A tile sees so many elements along each axis, of which two are seen by the next tile as well."""
POSITIONS = SIDE * SIDE
WINDOW = 3
FEWEST = 8
"""Channels, and outputs: with fewer, the transforms take as long as the multiplications that they save."""


def applies(channels: int, outputs: int, groups: int, window: Lengths, stride: Lengths, dilation: Lengths) -> bool:
    """Whether it computes such a convolution, and there is something to be saved."""
    is_square = tuple(window) == (WINDOW, WINDOW) and tuple(stride) == tuple(dilation) == (1, 1)
    return groups == 1 and is_square and min(channels, outputs) >= FEWEST


# The transforms along one axis ----------------------------------------------------------------------------------------


def of_image(b: ir.IRBuilder, d: Sequence[Value]) -> list[Value]:
    """Bᵀ d."""
    return [b.fsub(d[0], d[2]), b.fadd(d[1], d[2]), b.fsub(d[2], d[1]), b.fsub(d[1], d[3])]


def of_window(b: ir.IRBuilder, g: Sequence[Value]) -> list[Value]:
    """G g."""
    half, outer = ir.Constant(g[0].type, 0.5), b.fadd(g[0], g[2])
    return [g[0], b.fmul(half, b.fadd(outer, g[1])), b.fmul(half, b.fsub(outer, g[1])), g[2]]


def to_window(b: ir.IRBuilder, u: Sequence[Value]) -> list[Value]:
    """Gᵀ u, the transpose of `of_window`."""
    half = ir.Constant(u[0].type, 0.5)
    outer, inner = b.fmul(half, b.fadd(u[1], u[2])), b.fmul(half, b.fsub(u[1], u[2]))
    return [b.fadd(u[0], outer), inner, b.fadd(outer, u[3])]


def to_result(b: ir.IRBuilder, m: Sequence[Value]) -> list[Value]:
    """Aᵀ m."""
    return [b.fadd(b.fadd(m[0], m[1]), m[2]), b.fsub(b.fsub(m[1], m[2]), m[3])]


def of_result(b: ir.IRBuilder, y: Sequence[Value]) -> list[Value]:
    """A y, the transpose of `to_result`."""
    return [y[0], b.fadd(y[0], y[1]), b.fsub(y[0], y[1]), b.fneg(y[1])]


Transform = Callable[[ir.IRBuilder, Sequence[Value]], list[Value]]


def along_both(b: ir.IRBuilder, transform: Transform, rows: Iterable[Sequence[Value]]) -> list[Value]:
    """A transform along both axes of a square; row by row."""
    columns = zip(*(transform(b, row) for row in rows), strict=True)
    return [value for row in zip(*(transform(b, column) for column in columns), strict=True) for value in row]
