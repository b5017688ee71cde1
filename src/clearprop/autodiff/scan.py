"""``scan``: a loop that carries something along, as recurrent networks do.

Executed eagerly it is a Python loop, recorded step by step. While a function is traced it is one node with a body, see
`loop`; values, gradients and random numbers are the same.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from clearprop.arguments import function, whole
from clearprop.autodiff.custom import apply_custom
from clearprop.autodiff.traced_scan import TracedScan, next_carry
from clearprop.autodiff.tree import flatten, flatten_like, rebuild
from clearprop.errors import ShapeError
from clearprop.graph import state
from clearprop.primitives.shaping import concat, reshape, take_range
from clearprop.tensor import Tensor, as_tensor


def scan(
    f: Callable[[Any, Any], tuple[Any, Any]],
    init: Any,
    xs: Any,
    *,
    length: int | None = None,
    reverse: bool = False,
) -> tuple[Any, Any]:
    """Call ``carry, y = f(carry, x)`` for every x along the first axis of ``xs``, one after the other.

    Args:
        f: takes the carry and one x, and returns the next carry, nested and shaped like this one, and an output.
        init: the first carry, a tensor or a nesting of tensors.
        xs: a tensor, or a nesting of tensors, with the steps along the first axis; None if there is nothing to read.
        length: how many steps; follows from ``xs`` unless that is None.
        reverse: from the last x to the first; the outputs stand at the places of their x all the same.

    Returns:
        The last carry, and the outputs of all steps stacked along a new first axis (None if f returns None).

    Raises:
        ShapeError: if ``xs`` have different lengths, there is no step, or the carry changes its nesting or shape.
        DTypeError: if the carry changes its dtype.

    >>> import clearprop as cp
    >>> total, running = cp.scan(lambda total, x: (total + x, total + x), cp.tensor(0.0), cp.tensor([1.0, 2.0, 3.0]))
    >>> total, running
    (Tensor(6., dtype=float32), Tensor([1., 3., 6.], dtype=float32))
    """
    function("scan", "f", f, "a function of the carry and one x, which returns the next carry and an output")
    steps = _steps(xs, length)
    if state.tracer is not None:
        traced = TracedScan(f, init, xs, steps, reverse)
        if traced.is_faithful:
            return traced.apply()
    carry = [as_tensor(x) for x in flatten(init)]
    elements = [_unstack(as_tensor(x)) for x in flatten(xs)]
    outputs: list[Any] = []
    for step in reversed(range(steps)) if reverse else range(steps):
        following, y = f(rebuild(init, carry), rebuild(xs, [parts[step] for parts in elements]))
        carry = next_carry(init, carry, following)
        outputs.append(y)
    if reverse:
        outputs.reverse()
    rows = [flatten_like(y, outputs[0]) for y in outputs]
    if None in rows:
        raise ShapeError("scan: the outputs of the steps are nested in different ways")
    columns = zip(*[row for row in rows if row is not None], strict=True)
    return rebuild(init, carry), rebuild(outputs[0], [_stack([as_tensor(y) for y in column]) for column in columns])


def _steps(xs: Any, length: int | None) -> int:
    if length is not None:
        whole("scan", "length", length)
    shapes = [as_tensor(x).shape for x in flatten(xs)]
    if any(not shape for shape in shapes):
        raise ShapeError("scan: xs holds a tensor without axes", hint="the steps are the first axis of each tensor")
    lengths = {shape[0] for shape in shapes} | ({length} if length is not None else set())
    if len(lengths) != 1:
        raise ShapeError(
            f"scan: xs have shapes {shapes}, length is {length}; there must be one number of steps",
            hint="length=… if xs is None, else tensors with equal first axes",
        )
    (steps,) = lengths
    if steps < 1:
        raise ShapeError("scan: there are no steps, so nobody knows what the outputs look like")
    return steps


def _unstack(x: Tensor) -> list[Tensor]:
    """All x[i], as one operation: its gradient is the stack of theirs, and not a sum of arrays of the size of x."""

    def forward(_: Any, x: Tensor) -> list[Tensor]:
        return [reshape(take_range(x, 0, i, i + 1), shape=x.shape[1:]) for i in range(x.shape[0])]

    def backward(_: Any, *gradients: Tensor) -> Tensor:
        return _stack(gradients)

    return list(apply_custom("unstack", forward, backward, [x], is_derivative=True))


def _stack(ys: Sequence[Tensor]) -> Tensor:
    rows = [reshape(y, shape=(1, *y.shape)) for y in ys]
    return concat(*rows, axis=0, lengths=(1,) * len(rows))
