r"""Convolution as networks mean it (cross-correlation), and its two gradients, as three primitives.

A window of weights moves over an image, and at each place the products of all elements are added up. With image x,
weights w and output y, all three primitives come from one sum, in which every term has one factor of each:

    S = sum over n, o, c, t, k of x[n, c, stride t + dilation k - low] w[o, c, k] y[n, o, t]

    convolution                    its derivative by y, which needs x and w
    convolution_data_gradient      its derivative by x, which needs y and w; also known as transposed convolution
    convolution_weight_gradient    its derivative by w, which needs x and y

Each is linear in either input. So the VJP of each by one input is another of the three, and so are all the gradients of
gradients: the three are closed. They work for any number of spatial axes. How the sums are computed, by matrix
products, is in `correlation`.

In formulas a star is cross-correlation, and an asterisk is convolution in the mathematical sense, whose window is
turned: that is what carries an upstream gradient back to the image.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from clearprop.errors import ShapeError
from clearprop.primitive import Formula, Primitive, Spec, Value, register, spec_of
from clearprop.primitives.correlation import correlate, data_gradient, weight_gradient
from clearprop.primitives.families import NUMBERS, check_dtypes, check_kind
from clearprop.primitives.shaping import permute, reshape
from clearprop.primitives.windows import Lengths, Moves, checked_lengths


class _Convolution(Primitive):
    """What the three have in common: two inputs of one dtype, and the attribute ``moves``."""

    def _check_dtypes(self, *inputs: Spec) -> None:
        named = dict(zip(self.inputs, inputs, strict=True))
        check_kind(self.name, NUMBERS, **named)
        check_dtypes(self.name, **named)

    def _places(self, x: Lengths, w: Lengths, moves: Moves) -> Lengths:
        """The shape of y that belongs to these shapes of x and w; ShapeError if the two do not fit."""
        if len(w) < 2:
            raise ShapeError(f"{self.name}: w has shape {w}; it must be (O, C / groups, *window)")
        lengths = checked_lengths(self.name, x, w[2:], moves)
        groups = moves.groups
        if groups < 1 or w[0] % groups or x[1] != w[1] * groups:
            raise ShapeError(
                f"{self.name}: x has shape {x}, w has shape {w}, groups is {groups}: x must have {w[1]} channels for "
                f"each group, and the groups must divide {w[0]}, the number of outputs",
                hint="x is (N, C, …), w is (O, C / groups, …)",
            )
        return (x[0], w[0], *lengths)

    def _check_output(self, y: Lengths, expected: Lengths) -> None:
        if y != expected:
            raise ShapeError(f"{self.name}: y has shape {y}; for these lengths and moves it must have {expected}")


class Convolution(_Convolution):
    """z[n, o, t] = the sum over c and k of x[n, c, stride t + dilation k - low] w[o, c, k].

    (N, C, *lengths), (O, C / groups, *window) -> (N, O, *places). Each group of outputs sees the channels of its own
    group only.
    """

    formula = Formula(r"z = x \star w", (r"\bar x = \bar z \ast w", r"\bar w = x \star \bar z"))

    def shape(self, *inputs: Spec, **attributes: Any) -> Spec:
        x, w = inputs
        self._check_dtypes(x, w)
        return Spec(self._places(x.shape, w.shape, attributes["moves"]), x.dtype)

    def compute(self, x: Value, w: Value, *, moves: Moves) -> Value:
        self.shape(spec_of(x), spec_of(w), moves=moves)
        return correlate(x, w, moves)

    def vjp_x(self, g: Value, w: Value, x_shape: Lengths, moves: Moves) -> Value:
        return convolution_data_gradient(g, w, lengths=x_shape[2:], moves=moves)

    def vjp_w(self, g: Value, x: Value, w_shape: Lengths, moves: Moves) -> Value:
        return convolution_weight_gradient(x, g, window=w_shape[2:], moves=moves)

    def jvp_x(self, dx: Value, w: Value, moves: Moves) -> Value:
        return convolution(dx, w, moves=moves)

    def jvp_w(self, dw: Value, x: Value, moves: Moves) -> Value:
        return convolution(x, dw, moves=moves)

    def batch(self, values: Sequence[Value], mapped: Sequence[bool], size: int, **attributes: Any) -> Value:
        (x, w), moves = values, attributes["moves"]
        if not mapped[1]:  # images of a batch are more images
            return _part(convolution(_join(x, 0), w, moves=moves), 0, size)
        if not mapped[0]:  # weights of a batch are more outputs
            return _part(convolution(x, _join(w, 0, moves.groups), moves=moves), 1, size, moves.groups)
        return _part(convolution(_join(x, 1), _join(w, 0), moves=_more_groups(moves, size)), 1, size)

    def flops(self, output: Spec, *inputs: Spec, **attributes: Any) -> int:
        return 2 * output.size * math.prod(inputs[1].shape[1:])


class ConvolutionDataGradient(_Convolution):
    """z = zeros, and then z[n, c, stride t + dilation k - low] += y[n, o, t] w[o, c, k] for all o, t and k.

    (N, O, *places), (O, C / groups, *window) -> (N, C, *lengths): the gradient of `Convolution` by its image. Each
    number of y lays the window, multiplied by it, over the image.
    """

    formula = Formula(r"z = y \ast w", (r"\bar y = \bar z \star w", r"\bar w = \bar z \star y"))

    def shape(self, *inputs: Spec, **attributes: Any) -> Spec:
        (y, w), moves = inputs, attributes["moves"]
        self._check_dtypes(y, w)
        if len(w.shape) < 2 or len(y.shape) != len(w.shape):
            raise ShapeError(f"{self.name}: y has shape {y.shape}, w has shape {w.shape}; both must have as many axes")
        shape = (y.shape[0], w.shape[1] * moves.groups, *attributes["lengths"])
        self._check_output(y.shape, self._places(shape, w.shape, moves))
        return Spec(shape, y.dtype)

    def compute(self, y: Value, w: Value, *, lengths: Lengths, moves: Moves) -> Value:
        self.shape(spec_of(y), spec_of(w), lengths=lengths, moves=moves)
        return data_gradient(y, w, lengths, moves)

    def vjp_y(self, g: Value, w: Value, moves: Moves) -> Value:
        return convolution(g, w, moves=moves)

    def vjp_w(self, g: Value, y: Value, w_shape: Lengths, moves: Moves) -> Value:
        return convolution_weight_gradient(g, y, window=w_shape[2:], moves=moves)

    def jvp_y(self, dy: Value, w: Value, lengths: Lengths, moves: Moves) -> Value:
        return convolution_data_gradient(dy, w, lengths=lengths, moves=moves)

    def jvp_w(self, dw: Value, y: Value, lengths: Lengths, moves: Moves) -> Value:
        return convolution_data_gradient(y, dw, lengths=lengths, moves=moves)

    def batch(self, values: Sequence[Value], mapped: Sequence[bool], size: int, **attributes: Any) -> Value:
        (y, w), moves, lengths = values, attributes["moves"], attributes["lengths"]
        if not mapped[1]:
            return _part(convolution_data_gradient(_join(y, 0), w, lengths=lengths, moves=moves), 0, size)
        if not mapped[0]:  # weights of a batch make more channels
            z = convolution_data_gradient(y, _join(w, 1), lengths=lengths, moves=moves)
            return _part(z, 1, size, moves.groups)
        grouped = _more_groups(moves, size)
        return _part(convolution_data_gradient(_join(y, 1), _join(w, 0), lengths=lengths, moves=grouped), 1, size)

    def flops(self, output: Spec, *inputs: Spec, **attributes: Any) -> int:
        return 2 * inputs[0].size * math.prod(inputs[1].shape[1:])


class ConvolutionWeightGradient(_Convolution):
    """z[o, c, k] = the sum over n and t of x[n, c, stride t + dilation k - low] y[n, o, t].

    (N, C, *lengths), (N, O, *places) -> (O, C / groups, *window): the gradient of `Convolution` by its weights. It is a
    cross-correlation too, of the images with the upstream gradients as windows.
    """

    formula = Formula(r"z = x \star y", (r"\bar x = y \ast \bar z", r"\bar y = x \star \bar z"))

    def shape(self, *inputs: Spec, **attributes: Any) -> Spec:
        (x, y), moves = inputs, attributes["moves"]
        self._check_dtypes(x, y)
        if len(x.shape) < 2 or len(y.shape) != len(x.shape):
            raise ShapeError(f"{self.name}: x has shape {x.shape}, y has shape {y.shape}; both must have as many axes")
        shape = (y.shape[1], x.shape[1] // max(1, moves.groups), *attributes["window"])
        self._check_output(y.shape, self._places(x.shape, shape, moves))
        return Spec(shape, x.dtype)

    def compute(self, x: Value, y: Value, *, window: Lengths, moves: Moves) -> Value:
        self.shape(spec_of(x), spec_of(y), window=window, moves=moves)
        return weight_gradient(x, y, window, moves)

    def vjp_x(self, g: Value, y: Value, x_shape: Lengths, moves: Moves) -> Value:
        return convolution_data_gradient(y, g, lengths=x_shape[2:], moves=moves)

    def vjp_y(self, g: Value, x: Value, moves: Moves) -> Value:
        return convolution(x, g, moves=moves)

    def jvp_x(self, dx: Value, y: Value, window: Lengths, moves: Moves) -> Value:
        return convolution_weight_gradient(dx, y, window=window, moves=moves)

    def jvp_y(self, dy: Value, x: Value, window: Lengths, moves: Moves) -> Value:
        return convolution_weight_gradient(x, dy, window=window, moves=moves)

    def batch(self, values: Sequence[Value], mapped: Sequence[bool], size: int, **attributes: Any) -> Value:
        """Each example has weights of its own here: images of a batch make more channels, not more images."""
        (x, y), moves, window = values, attributes["moves"], attributes["window"]
        if not mapped[1]:
            return _part(convolution_weight_gradient(_join(x, 1, moves.groups), y, window=window, moves=moves), 1, size)
        if not mapped[0]:
            z = convolution_weight_gradient(x, _join(y, 1, moves.groups), window=window, moves=moves)
            return _part(z, 0, size, moves.groups)
        grouped = _more_groups(moves, size)
        return _part(convolution_weight_gradient(_join(x, 1), _join(y, 1), window=window, moves=grouped), 0, size)

    def flops(self, output: Spec, *inputs: Spec, **attributes: Any) -> int:
        return 2 * inputs[1].size * math.prod(output.shape[1:])


# Batches --------------------------------------------------------------------------------------------------------------


def _more_groups(moves: Moves, size: int) -> Moves:
    """For a batch of which every example is a group, or several, of its own."""
    return moves._replace(groups=size * moves.groups)


def _join(x: Value, axis: int, groups: int = 1) -> Value:
    """A batch, axis 0, as a part of another axis, inside of each of its groups; ``axis`` is counted without the batch.

    (B, …, groups L, …) -> (…, groups B L, …).
    """
    size, *lengths = x.shape
    before, after = lengths[:axis], lengths[axis + 1 :]
    parted = reshape(x, shape=(size, *before, groups, lengths[axis] // groups, *after))
    moved = permute(parted, axes=(*range(1, axis + 2), 0, *range(axis + 2, len(parted.shape))))
    return reshape(moved, shape=(*before, size * lengths[axis], *after))


def _part(x: Value, axis: int, size: int, groups: int = 1) -> Value:
    """The opposite of `_join`: (…, groups B L, …) -> (B, …, groups L, …), where B is ``size``."""
    before, length, after = x.shape[:axis], x.shape[axis] // size, x.shape[axis + 1 :]
    parted = reshape(x, shape=(*before, groups, size, length // groups, *after))
    moved = permute(parted, axes=(axis + 1, *range(axis + 1), *range(axis + 2, len(parted.shape))))
    return reshape(moved, shape=(size, *before, length, *after))


convolution = register(Convolution())
convolution_data_gradient = register(ConvolutionDataGradient())
convolution_weight_gradient = register(ConvolutionWeightGradient())
