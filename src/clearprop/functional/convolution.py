"""Convolutions of images, and their transposes, in the names and arguments of PyTorch.

What networks call a convolution is, in the words of the lecture notes, a cross-correlation: the window is laid over the
image as it is. In a convolution proper it is turned round first; see `correlation`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from clearprop import primitives
from clearprop.arguments import is_whole
from clearprop.array.promotion import ArrayLike, as_float, cast_to
from clearprop.errors import ShapeError, UsageError
from clearprop.functional.checks import check_dtype, named
from clearprop.functional.windows import (
    SPATIAL,
    Setting,
    like_input,
    moves_of,
    one_per_axis,
    with_batch_axis,
)
from clearprop.primitive import numpy_dtype
from clearprop.primitives.windows import Lengths, Moves, checked_lengths, reaches
from clearprop.tensor import Tensor, as_tensor


def conv1d(
    x: ArrayLike,
    weight: ArrayLike,
    bias: ArrayLike | None = None,
    stride: Setting = 1,
    padding: Setting | str = 0,
    dilation: Setting = 1,
    groups: int = 1,
) -> Tensor:
    """`conv2d` along one axis: (N, C, L), (out, C / groups, K) -> (N, out, places).

    >>> import clearprop.functional as F
    >>> F.conv1d([[[1.0, 2.0, 4.0, 8.0]]], [[[-1.0, 1.0]]])
    Tensor([[[1., 2., 4.]]], dtype=float32)
    """
    return _convolved("conv1d", 1, x, weight, bias, stride, padding, dilation, groups)


def conv2d(
    x: ArrayLike,
    weight: ArrayLike,
    bias: ArrayLike | None = None,
    stride: Setting = 1,
    padding: Setting | str = 0,
    dilation: Setting = 1,
    groups: int = 1,
) -> Tensor:
    """A window of weights moves over images; at each place the products of all elements are added up.

    z[n, o, i, j] = bias[o] + Σ_c,k,l x[n, c, i + k, j + l] weight[o, c, k, l], without stride, padding and dilation.
    In the words of the lecture notes this is a cross-correlation, see `cross_correlate`.

    Args:
        x: (N, C, H, W), or one image (C, H, W). Integers are taken as numbers of the weight's dtype.
        weight: (out, C / groups, K, L).
        bias: (out,), or None.
        stride: by how much the window moves, one number for all axes or one for each; so are padding and dilation.
        padding: so many zeros on both sides of each axis; "valid" for none; "same" for as many as keep the lengths
            (without a stride; of an odd number one more behind).
        dilation: how far apart the elements of the window lie.
        groups: cuts channels and outputs into so many parts, each seeing its own; C of them make it depthwise.

    Returns:
        (N, out, places, places), where there are (H + 2 padding - dilation (K - 1) - 1) // stride + 1 places.

    Raises:
        ShapeError: names the weight (by its name in the network) if channels, groups or axes do not fit, and if the
            window is larger than the image.
        DTypeError: if x and weight are floating-point numbers of different dtypes.
        UsageError: for settings that are no whole numbers, or out of their range.

    >>> import clearprop as cp
    >>> image = cp.reshape(cp.arange(9.0), (1, 1, 3, 3))
    >>> cp.functional.conv2d(image, [[[[0.0, 1.0], [2.0, 3.0]]]])
    Tensor([[[[19., 25.],
              [37., 43.]]]], dtype=float32)
    """
    return _convolved("conv2d", 2, x, weight, bias, stride, padding, dilation, groups)


def conv3d(
    x: ArrayLike,
    weight: ArrayLike,
    bias: ArrayLike | None = None,
    stride: Setting = 1,
    padding: Setting | str = 0,
    dilation: Setting = 1,
    groups: int = 1,
) -> Tensor:
    """`conv2d` along three axes: (N, C, D, H, W), (out, C / groups, J, K, L) -> (N, out, places, places, places).

    >>> import clearprop as cp
    >>> cp.functional.conv3d(cp.ones((1, 2, 4, 4, 4)), cp.ones((3, 2, 2, 3, 3)), stride=(2, 1, 1)).shape
    (1, 3, 2, 2, 2)
    """
    return _convolved("conv3d", 3, x, weight, bias, stride, padding, dilation, groups)


def conv_transpose1d(
    x: ArrayLike,
    weight: ArrayLike,
    bias: ArrayLike | None = None,
    stride: Setting = 1,
    padding: Setting = 0,
    output_padding: Setting = 0,
    groups: int = 1,
    dilation: Setting = 1,
) -> Tensor:
    """`conv_transpose2d` along one axis: (N, C, L), (C, out / groups, K) -> (N, out, length).

    >>> import clearprop.functional as F
    >>> F.conv_transpose1d([[[1.0, 2.0]]], [[[1.0, 10.0, 100.0]]], stride=2)
    Tensor([[[  1.,  10., 102.,  20., 200.]]], dtype=float32)
    """
    return _transposed("conv_transpose1d", 1, x, weight, bias, stride, padding, output_padding, groups, dilation)


def conv_transpose2d(
    x: ArrayLike,
    weight: ArrayLike,
    bias: ArrayLike | None = None,
    stride: Setting = 1,
    padding: Setting = 0,
    output_padding: Setting = 0,
    groups: int = 1,
    dilation: Setting = 1,
) -> Tensor:
    """The transpose of `conv2d`: each number of x lays the window, multiplied by it, over the output.

    As a linear map it is the transpose of the convolution with the same settings, so it is that convolution's gradient
    by its image. It makes small images large: a stride moves the window in the output.

    Args:
        x: (N, C, H, W), or one image (C, H, W).
        weight: (C, out / groups, K, L).
        bias: (out,), or None.
        padding: so much is cut off from both sides of the output.
        output_padding: so much is added behind: several lengths have as many places under a stride, and this chooses
            one; less than the stride or the dilation.

    Returns:
        (N, out, lengths), where a length is (H - 1) stride - 2 padding + dilation (K - 1) + output_padding + 1.

    Raises:
        ShapeError, DTypeError, UsageError: as `conv2d`.

    >>> import clearprop as cp
    >>> cp.functional.conv_transpose2d([[[[1.0, 2.0]]]], cp.ones((1, 1, 2, 2)), stride=2)
    Tensor([[[[1., 1., 2., 2.],
              [1., 1., 2., 2.]]]], dtype=float32)
    """
    return _transposed("conv_transpose2d", 2, x, weight, bias, stride, padding, output_padding, groups, dilation)


def conv_transpose3d(
    x: ArrayLike,
    weight: ArrayLike,
    bias: ArrayLike | None = None,
    stride: Setting = 1,
    padding: Setting = 0,
    output_padding: Setting = 0,
    groups: int = 1,
    dilation: Setting = 1,
) -> Tensor:
    """`conv_transpose2d` along three axes: (N, C, D, H, W), (C, out / groups, J, K, L) -> (N, out, lengths).

    >>> import clearprop as cp
    >>> cp.functional.conv_transpose3d(cp.ones((1, 2, 2, 2, 2)), cp.ones((2, 3, 2, 2, 2)), stride=2).shape
    (1, 3, 4, 4, 4)
    """
    return _transposed("conv_transpose3d", 3, x, weight, bias, stride, padding, output_padding, groups, dilation)


def _convolved(
    name: str,
    axes: int,
    x: ArrayLike,
    weight: ArrayLike,
    bias: ArrayLike | None,
    stride: Setting,
    padding: Setting | str,
    dilation: Setting,
    groups: int,
) -> Tensor:
    """A convolution along so many axes."""
    given, w = _operands(name, axes, x, weight, "(out, in / groups, {})")
    images = with_batch_axis(name, given, axes)
    _check_groups(name, groups, w.shape[0], named("weight", weight), "outputs")
    _check_channels(name, given, images.shape[1], w.shape[1] * groups, axes, named("weight", weight), w.shape)
    moves = moves_of(name, w.shape[2:], stride, padding, dilation, "valid", "same")._replace(groups=int(groups))
    checked_lengths(name, images.shape, w.shape[2:], moves)
    z = primitives.convolution(images, w, moves=moves)
    return like_input(_plus_bias(name, z, bias, weight), given, axes)


def _transposed(
    name: str,
    axes: int,
    x: ArrayLike,
    weight: ArrayLike,
    bias: ArrayLike | None,
    stride: Setting,
    padding: Setting,
    output_padding: Setting,
    groups: int,
    dilation: Setting,
) -> Tensor:
    """The transpose of a convolution along so many axes: the primitive that is its gradient by data."""
    given, w = _operands(name, axes, x, weight, "(in, out / groups, {})")
    images = with_batch_axis(name, given, axes)
    _check_groups(name, groups, w.shape[0], named("weight", weight), "inputs")
    _check_channels(name, given, images.shape[1], w.shape[0], axes, named("weight", weight), w.shape)
    moves = moves_of(name, w.shape[2:], stride, padding, dilation)._replace(groups=int(groups))
    more = one_per_axis(name, "output_padding", output_padding, axes, least=0)
    _check_output_padding(name, more, moves)
    lengths = transposed_lengths(images.shape[2:], w.shape[2:], moves, more)
    if min(lengths) < 1:
        raise ShapeError(
            f"{name}: x has shape {given.shape}; a padding of {padding} leaves nothing of its output",
            hint="less padding",
        )
    moves, beyond = _cut_behind(moves, more)
    inside = tuple(length - behind for length, behind in zip(lengths, beyond, strict=True))
    z = primitives.convolution_data_gradient(images, w, lengths=inside, moves=moves)
    if any(beyond):
        none = (0,) * z.ndim
        z = primitives.pad(z, before=none, after=(0, 0, *beyond), between=none)
    return like_input(_plus_bias(name, z, bias, weight), given, axes)


def transposed_lengths(lengths: Sequence[int], window: Lengths, moves: Moves, output_padding: Lengths) -> Lengths:
    """The spatial lengths of the output of a transposed convolution."""
    return tuple(
        (length - 1) * stride - sum(pair) + reach + more
        for length, reach, stride, pair, more in zip(
            lengths, reaches(window, moves.dilation), moves.stride, moves.padding, output_padding, strict=True
        )
    )


def _cut_behind(moves: Moves, output_padding: Lengths) -> tuple[Moves, Lengths]:
    """Settings that cut off less behind, by what is to be added there; and what is left of that.

    So the convolution that is transposed has exactly as many places as the input is long. What is left lies behind all
    windows; only if it is as much as a stride would it be a place of its own, and must be added to the result.
    """
    padding, beyond = [], []
    for (low, high), more, stride in zip(moves.padding, output_padding, moves.stride, strict=True):
        left = more - min(high, more)
        padding.append((low, high - min(high, more)))
        beyond.append(left if left >= stride else 0)
    return moves._replace(padding=tuple(padding)), tuple(beyond)


def _operands(name: str, axes: int, x: ArrayLike, weight: ArrayLike, layout: str) -> tuple[Tensor, Tensor]:
    """Image and weight as tensors of one floating-point dtype."""
    images, w = as_tensor(x), as_float(weight)
    if w.ndim != axes + 2:
        wanted = layout.format(SPATIAL[axes])
        raise ShapeError(
            f"{name}: {named('weight', weight)} has shape {w.shape}; it must be {wanted}",
            hint="an axis of outputs, one of inputs, and those of the window",
        )
    check_dtype(name, "x", images, w, weight)
    return cast_to(images, numpy_dtype(w)), w


def _check_groups(name: str, groups: Any, count: int, label: str, what: str) -> None:
    if not is_whole(groups) or groups < 1:
        raise UsageError(f"{name}: groups={groups!r}", hint="a whole number from 1 on")
    if count % groups:
        raise ShapeError(
            f"{name}: groups={groups} does not divide the {count} {what} of {label}",
            hint="a number of groups that divides the channels going in and coming out",
        )


def _check_channels(name: str, x: Tensor, have: int, want: int, axes: int, label: str, shape: tuple[int, ...]) -> None:
    """Raise ShapeError unless the images have as many channels as the weight takes."""
    if have == want:
        return
    hint = f"an x with {want} channels, or a layer that takes {have}"
    if x.ndim == axes + 1 and want == 1:
        hint = (
            f"x.reshape({x.shape[0]}, 1, {', '.join(map(str, x.shape[1:]))}), if these are {have} images: the axis of "
        )
        hint += "the channel is missing"
    elif x.shape[-1] == want:
        hint = f"cp.moveaxis(x, -1, {x.ndim - axes - 1}): the channels come before the spatial axes"
    raise ShapeError(
        f"{name}: x has shape {x.shape}, {have} channels; {label} has shape {shape} and takes {want}", hint
    )


def _check_output_padding(name: str, more: Lengths, moves: Moves) -> None:
    if any(one >= max(by, apart) for one, by, apart in zip(more, moves.stride, moves.dilation, strict=True)):
        raise UsageError(
            f"{name}: output_padding={more}, with stride {moves.stride} and dilation {moves.dilation}",
            hint="less than the stride or the dilation: more would add lengths that no window reaches",
        )


def _plus_bias(name: str, z: Tensor, bias: ArrayLike | None, weight: ArrayLike) -> Tensor:
    if bias is None:
        return z
    b = as_float(bias)
    label = named("bias", bias)
    if b.shape != z.shape[1:2]:
        raise ShapeError(
            f"{name}: {label} has shape {b.shape}; it must be ({z.shape[1]},), one for each output",
            hint=f"{label} of shape ({z.shape[1]},), or None",
        )
    check_dtype(name, label, b, z, weight)
    return primitives.add(z, primitives.broadcast(b, shape=z.shape, axes=(0, *range(2, z.ndim))))
