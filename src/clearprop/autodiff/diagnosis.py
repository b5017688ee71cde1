"""Why a gradient differs from central differences: which operation, what kind of mistake, or a kink that is none.

The error of a central difference has two parts: truncation, which shrinks with the square of the step, and round-off,
which grows as the step shrinks. Over the step it is a V; where backpropagation is wrong, it is flat instead.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from clearprop.autodiff.backward import no_grad
from clearprop.autodiff.custom import Context
from clearprop.autodiff.tree import flatten
from clearprop.graph import RELEASED, Node, Observer, state
from clearprop.primitive import Value
from clearprop.primitives.control import Parts
from clearprop.tensor import Tensor, as_tensor, tensor

Array = np.ndarray[Any, Any]

STEPS = tuple(10.0**-k for k in range(1, 12))
_SHOWN_STEPS = STEPS[::2]
_MOST_NODES = 2000
_STEP, _RTOL, _ATOL = 1e-6, 1e-4, 1e-7


def central(value: Callable[[float], float], step: float) -> float:
    """The difference quotient of a function of one number, around 0."""
    return (value(step) - value(-step)) / (2.0 * step)


def is_kink(value: Callable[[float], float], gradient: float, step: float, rtol: float, atol: float) -> bool:
    """Whether the slopes to the left and to the right differ, and the gradient is one of those between: a subgradient.

    Both slopes must stay apart as the step shrinks: else there is no kink, but curvature.
    """
    found = []
    for size in (step, step / 8.0):
        here = value(0.0)
        found.append(((here - value(-size)) / size, (value(size) - here) / size))
    gaps = [abs(right - left) for left, right in found]
    allowed = atol + rtol * max(abs(slope) for pair in found for slope in pair)
    if gaps[0] <= 10.0 * allowed or gaps[1] < gaps[0] / 2.0:
        return False
    low, high = min(found[1]), max(found[1])
    return low - 10.0 * allowed <= gradient <= high + 10.0 * allowed


def sweep(
    value: Callable[[float], float], gradient: float, steps: Sequence[float] = STEPS
) -> list[tuple[float, float]]:
    """For each step, how far the central difference is from the gradient."""
    return [(step, abs(central(value, step) - gradient)) for step in steps]


def described_sweep(value: Callable[[float], float], gradient: float) -> str:
    """The sweep in two lines, and what it says."""
    found = sweep(value, gradient, _SHOWN_STEPS)
    steps = "  ".join(f"{step:<7.0e}" for step, _ in found)
    errors = "  ".join(f"{error:<7.1e}" for _, error in found)
    return (
        f"  step   {steps}".rstrip() + f"\n  error  {errors}".rstrip() + "\n  (right gradients leave a V: truncation "
        "shrinks with the step, round-off grows; this error stays)"
    )


# What kind of mistake -------------------------------------------------------------------------------------------------


def probable_cause(gradient: Array, differences: Array, wrong: Array, shapes: Sequence[tuple[int, ...]]) -> str:
    """What the pattern of a wrong gradient looks like.

    Args:
        wrong: which elements differ.
        shapes: of the function's inputs and of what it computes: lengths that may have been forgotten.
    """
    if not np.isfinite(gradient[wrong]).all():
        return "NaN or infinity in the backward pass: cp.record() and tape.birth_of_nan() say where"
    if _alike(gradient, -differences):
        return "the sign: the gradient is minus what it should be"
    if (
        gradient.ndim >= 2
        and gradient.shape[-1] == gradient.shape[-2]
        and _alike(np.swapaxes(gradient, -1, -2), differences)
    ):
        return "a transposed operand: the gradient is right after .mT"
    if not gradient[wrong].any():
        whole = "all of it" if wrong.all() else "these elements"
        return f"a contribution that is not added, or a detach(): backward gives 0 for {whole}"
    ratios = differences[wrong] / np.where(gradient[wrong] == 0.0, np.nan, gradient[wrong])
    if np.isfinite(ratios).all() and np.allclose(ratios, ratios.flat[0], rtol=1e-3):
        return _of_ratio(float(ratios.flat[0]), shapes, everywhere=bool(wrong.all()))
    axes = [axis for axis in range(gradient.ndim) if gradient.shape[axis] > 1 and _is_constant(differences, axis)]
    if axes:
        return f"a missing sum, or mean, over axis {axes[0]}: there the right gradient is the same everywhere"
    return "a contribution that is not added, a missing sum over a broadcast axis, a transposed operand"


def _of_ratio(ratio: float, shapes: Sequence[tuple[int, ...]], *, everywhere: bool) -> str:
    """What it may mean that the right gradient is so many times as large."""
    if not everywhere:
        return f"a factor: in these elements the right gradient is {ratio:.4g} times as large"
    lengths = {n for shape in shapes for n in shape if n > 1}
    whole, inverse = round(ratio), round(1.0 / ratio) if ratio else 0
    if whole > 1 and np.isclose(ratio, whole, rtol=1e-3):
        axis = f"a missing sum over a broadcast axis of length {whole}"
        reason = axis if whole in lengths else "a contribution that is not added"
        return f"{reason}: backward gives 1/{whole} of the gradient"
    if inverse > 1 and np.isclose(1.0 / ratio, inverse, rtol=1e-3):
        reason = (
            f"a sum in the place of a mean over {inverse}" if inverse in lengths else "something that is added twice"
        )
        return f"{reason}: backward gives {inverse} times the gradient"
    return f"a factor: the right gradient is {ratio:.4g} times as large"


def _alike(a: Array, b: Array) -> bool:
    return bool(np.allclose(a, b, rtol=_RTOL, atol=_ATOL)) and bool(np.abs(b).max(initial=0.0) > _ATOL)


def _is_constant(x: Array, axis: int) -> bool:
    return bool(np.allclose(x, np.take(x, [0], axis=axis), rtol=_RTOL, atol=_ATOL))


# Which operation ------------------------------------------------------------------------------------------------------


class Fault(NamedTuple):
    """An operation whose own rule does not agree with differences of its own values.

    Attributes:
        node: it.
        operand: which input.
    """

    node: Node
    operand: int

    def __str__(self) -> str:
        primitive = self.node.primitive
        assert primitive is not None
        name = self.node.attributes.get("function", primitive.name)
        names = primitive.inputs if not primitive.variadic and "function" not in self.node.attributes else ()
        operand = names[self.operand] if self.operand < len(names) else f"argument {self.operand}"
        where = f", at {self.node.where}" if self.node.where else ""
        return f"the operation is {name}: its rule for {operand} disagrees with its own values{where}"


class _Operands(Observer):
    """Keeps the operands of every node, and what it kept for the backward pass."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[Node, list[Any], Any]] = []

    def forward(self, node: Node, arrays: list[Any], output: Any) -> None:
        """A node was recorded."""
        self.seen.append((node, list(arrays), node.residuals))


def faulty_operation(f: Callable[..., Any], inputs: Sequence[Array], random: np.random.Generator) -> Fault | None:
    """The first operation of f, in order, whose rule is wrong by itself; None if there is none."""
    observer, before = _Operands(), state.observer
    state.observer = observer
    try:
        f(*[tensor(x, requires_grad=x.dtype.kind == "f") for x in inputs])
    finally:
        state.observer = before
    for node, arrays, residuals in observer.seen[:_MOST_NODES]:
        index = _disagreeing(node, arrays, residuals, random)
        if index is not None:
            return Fault(node, index)
    return None


def _disagreeing(node: Node, arrays: list[Any], residuals: Any, random: np.random.Generator) -> int | None:
    """The first input of a node along which its rule and a difference of its values are not the same."""
    primitive = node.primitive
    assert primitive is not None
    if residuals is RELEASED:
        return None
    outputs = _outputs(node, arrays)
    if any(y.dtype != np.float64 for y in outputs):
        return None
    g = [np.asarray(random.standard_normal(y.shape)) for y in outputs]
    upstream: Value = g[0] if len(g) == 1 else Parts(dict(enumerate(g)))
    contributions = primitive.vjp(node, upstream, residuals, node.parents)
    for i, contribution in enumerate(contributions):
        x = arrays[i]
        if contribution is None or not isinstance(x, np.ndarray) or x.dtype != np.float64:
            continue
        if not _agrees(node, arrays, i, g, np.asarray(_array(contribution)), random):
            return i
    return None


def _agrees(
    node: Node, arrays: list[Any], i: int, g: Sequence[Array], contribution: Array, random: np.random.Generator
) -> bool:
    """Along a random direction; at a kink, and where there is no number, nothing is said against it."""
    direction = random.standard_normal(arrays[i].shape)

    def value(step: float) -> float:
        moved = [x + step * direction if j == i else x for j, x in enumerate(arrays)]
        return float(sum(np.sum(one * y) for one, y in zip(g, _outputs(node, moved), strict=True)))

    step = _STEP * max(1.0, float(np.abs(arrays[i]).max(initial=0.0)))
    found, expected = float(np.sum(contribution * direction)), central(value, step)
    if not np.isfinite(found + expected) or np.isclose(found, expected, rtol=_RTOL, atol=_ATOL * 10.0):
        return True
    return is_kink(value, found, step, _RTOL, _ATOL)


def _outputs(node: Node, arrays: list[Any]) -> list[Array]:
    """What a node computes from these operands."""
    primitive = node.primitive
    assert primitive is not None
    if "forward" in node.attributes:  # a rule of the user's own
        with no_grad():
            given = [Tensor(x) if isinstance(x, np.ndarray) else x for x in arrays]
            result = node.attributes["forward"](Context(), *given)
        return [np.asarray(as_tensor(y).array) for y in flatten(result)]
    result = primitive.compute(*arrays, **node.attributes)
    return [np.asarray(y) for y in (result if isinstance(result, (tuple, list)) else [result])]


def _array(value: Any) -> Any:
    return value.array if isinstance(value, Tensor) else value
