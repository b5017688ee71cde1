"""Layers as functions: their parameters are arguments, their state is the caller's."""

from __future__ import annotations

from clearprop.array import add, matmul
from clearprop.array.promotion import ArrayLike
from clearprop.cell import Parameter
from clearprop.errors import ShapeError
from clearprop.functional.checks import check_dtype, named
from clearprop.tensor import Tensor, as_tensor


def linear(x: ArrayLike, weight: ArrayLike, bias: ArrayLike | None = None) -> Tensor:
    """x @ W + b, with the weights stored [in, out] as the lecture notes write them.

    Args:
        x: (…, in); a single example (in,) too.
        weight: (in, out).
        bias: (out,), or None.

    Returns:
        (…, out).

    Raises:
        DTypeError: floating-point numbers of another dtype than the weight's.
        ShapeError: names the weight (by its name in the network) and the number of features it takes.

    >>> import clearprop.functional as F
    >>> F.linear([[1.0, 2.0]], [[1.0, 0.0, 1.0], [0.0, 1.0, 1.0]], [10.0, 20.0, 30.0])
    Tensor([[11., 22., 33.]], dtype=float32)
    """
    x, w = as_tensor(x), as_tensor(weight)
    check_dtype("linear", "x", x, w, weight)
    try:
        product = matmul(x, w)  # (…, in) @ (in, out) -> (…, out)
        return product if bias is None else add(product, bias)
    except ShapeError:
        problem = _misfit(x, weight, bias)
        if problem is None:
            raise
        raise problem from None


def _misfit(x: ArrayLike, weight: ArrayLike, bias: ArrayLike | None) -> ShapeError | None:
    """What to say when the arguments of `linear` do not fit together; None if they do."""
    have, want = as_tensor(x).shape, as_tensor(weight).shape
    label = named("weight", weight)
    if len(want) != 2:
        return ShapeError(
            f"linear: {label} has shape {want}; it must be a matrix (in, out)",
            hint="weight.reshape(in, out)",
        )
    if not have or have[-1] != want[0]:
        hint = f"nn.Linear({have[-1] if have else 1}, {want[1]}), or an x with {want[0]} features"
        if len(have) > 2 and _size(have[1:]) == want[0]:
            hint = "nn.Flatten() in front of it"
        elif have and have[-1] == want[1] and not isinstance(weight, Parameter):
            hint = "weight.mT: weights are stored [in, out]"
        return ShapeError(
            f"linear: x has shape {have}, {label} has shape {want}: the last axis of x must have {want[0]} features",
            hint=hint,
        )
    if bias is not None and as_tensor(bias).shape != want[1:]:
        of_bias = named("bias", bias)
        return ShapeError(
            f"linear: {label} has shape {want}, {of_bias} has shape {as_tensor(bias).shape}",
            hint=f"a bias of shape {want[1:]}, or None",
        )
    return None


def _size(shape: tuple[int, ...]) -> int:
    product = 1
    for length in shape:
        product *= length
    return product
