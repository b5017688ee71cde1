r"""Convolution as networks mean it (cross-correlation), and its two gradients, as three primitives.

A window of weights moves over an image, and at each place the products of all elements are added up. With image x,
weights w and output y, all three primitives come from one sum, in which every term has one factor of each:

    S = sum of x[n, c, stride t + dilation k - low] w[o, c, k] y[n, o, t]

    convolution                    its derivative by y, which needs x and w
    convolution_data_gradient      its derivative by x, which needs y and w; also known as transposed convolution
    convolution_weight_gradient    its derivative by w, which needs x and y

Each is linear in either input. So the VJP of each by one input is another of the three, and so are all the gradients of
gradients: the three are closed. They work for any number of spatial axes. How the sums are computed, by matrix products,
is in `correlation`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from clearprop.errors import DTypeError, ShapeError
from clearprop.primitive import Formula, Primitive, Spec, Value, register, spec_of
from clearprop.primitives.correlation import correlate, data_gradient, weight_gradient
from clearprop.primitives.families import NUMBERS, check_kind
from clearprop.primitives.shaping import permute, reshape
from clearprop.primitives.windows import Lengths, Padding, checked_lengths


def _join(x: Value, axis: int, groups: int = 1) -> Value:
    """The batch, axis 0, made part of the axis that is ``axis`` without it: inside of each of its groups.

    (B, …, groups L, …) -> (…, groups B L, …).
    """
    batch, *lengths = x.shape
    parted = reshape(x, shape=(batch, *lengths[:axis], groups, lengths[axis] // groups, *lengths[axis + 1 :]))
    others = range(axis + 2, len(parted.shape))
    moved = permute(parted, axes=(*range(1, axis + 2), 0, *others))
    return reshape(moved, shape=(*lengths[:axis], batch * lengths[axis], *lengths[axis + 1 :]))


def _part(x: Value, axis: int, size: int, groups: int = 1) -> Value:
    """The opposite of `_join`: (…, groups B L, …) -> (B, …, groups L, …), where B is ``size``."""
    lengths = x.shape
    length = lengths[axis] // size
    parted = reshape(x, shape=(*lengths[:axis], groups, size, length // groups, *lengths[axis + 1 :]))
    others = range(axis + 2, len(parted.shape))
    moved = permute(parted, axes=(axis + 1, *range(axis + 1), *others))
    return reshape(moved, shape=(size, *lengths[:axis], length, *lengths[axis + 1 :]))


class _Convolution(Primitive):
    """What the three have in common. Each has two inputs, in the order x, w, y, and attributes that say how it moves."""

    join_first: int
    """The axis of the first input and of the output that a batch of first inputs joins: N, or channels in groups."""

    join_second: int

    def flops(self, output: Spec, *inputs: Spec, **attributes: Any) -> int:
        x, w, y = self.shapes(output, *inputs)
        return 2 * math.prod(y) * math.prod(w[1:])


@lru_cache(maxsize=1024)
def _check_shapes(
    name: str, x: Lengths, w: Lengths, y: Lengths | None, stride: Lengths, padding: Padding, dilation: Lengths, groups: int
) -> Lengths:
    ...
