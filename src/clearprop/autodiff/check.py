"""Gradients against central differences: to see whether the backward pass is right.

(f(x + εv) - f(x - εv)) / 2ε is compared with the derivative along v that backpropagation gives, in float64, where a
step of 1e-6 leaves some 10 correct digits. One random direction for each input finds nearly every mistake at the cost
of two evaluations; only where it fails is the difference taken element by element.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from clearprop.arguments import function, whole
from clearprop.autodiff.backward import no_grad
from clearprop.autodiff.transforms import grad, jvp
from clearprop.autodiff.tree import flatten
from clearprop.errors import DTypeError, GradientError
from clearprop.primitive import numpy_dtype
from clearprop.tensor import Tensor, as_tensor

Array = np.ndarray[Any, Any]

_WORST_SHOWN = 5


def check_gradients(
    f: Callable[..., Any],
    *inputs: Any,
    order: int = 1,
    eps: float = 1e-6,
    rtol: float = 1e-5,
    atol: float = 1e-7,
    seed: int = 0,
) -> None:
    """Check the gradients of a function against central differences; returns nothing if they agree.

    Args:
        f: takes the inputs as tensors, returns a tensor or a nesting of tensors.
        inputs: arrays or tensors; the floating-point ones are cast to float64 and checked.
        order: 2 checks the gradients of gradients too, and so on.
        eps: the step, relative to the size of the input's elements.
        rtol, atol: how far apart the two may be.
        seed: of the random directions.

    Raises:
        GradientError: names the input, and by how much its worst elements differ.
        DTypeError: if f computes in less than float64, where no such comparison is possible.

    >>> import clearprop as cp
    >>> cp.check_gradients(lambda x, y: cp.sin(x) * y, [0.5, 1.0], [2.0, 3.0], order=2)
    """
    function("check_gradients", "f", f, "a function of tensors: cp.check_gradients(lambda x: …, x)")
    whole("check_gradients", "seed", seed, 0)
    arrays = [np.array(as_tensor(x).array) for x in inputs]
    arrays = [array.astype(np.float64) if array.dtype.kind == "f" else array for array in arrays]
    random = np.random.default_rng(seed)
    scalar = _projected(f, arrays, random)
    numbers = [i for i, array in enumerate(arrays) if array.dtype.kind == "f"]
    if not numbers:
        raise DTypeError("check_gradients: none of the inputs is floating-point", hint="pass 1.0 instead of 1")
    gradients = grad(scalar, argnums=numbers)(*map(Tensor, arrays))
    check = _Comparison(scalar, arrays, eps, rtol, atol)
    for i, gradient in zip(numbers, gradients, strict=True):
        check.compare(i, np.asarray(gradient.array), random)
    if order > 1:
        check_gradients(
            lambda *xs: grad(scalar, argnums=numbers)(*xs),
            *arrays, order=order - 1, eps=eps, rtol=rtol, atol=atol, seed=seed + 1,
        )  # fmt: skip


def _projected(f: Callable[..., Any], arrays: Sequence[Array], random: np.random.Generator) -> Callable[..., Tensor]:
    """f followed by a random weighting of its outputs: a scalar, whose gradient sees every output."""
    with no_grad():
        outputs = [as_tensor(y) for y in flatten(f(*map(Tensor, arrays)))]
    for y in outputs:
        if y.dtype.is_floating and numpy_dtype(y) != np.float64:
            raise DTypeError(
                f"check_gradients: the function returned {y.dtype.name}, which is too coarse for differences",
                hint="make its parameters and constants float64: model.to(cp.float64)",
            )
    weights = [random.standard_normal(y.shape) if y.dtype.is_floating else None for y in outputs]

    def scalar(*xs: Any) -> Tensor:
        total: Any = 0.0
        for y, weight in zip(flatten(f(*xs)), weights, strict=True):
            if weight is not None:
                total = total + (as_tensor(y) * weight).sum()
        return as_tensor(total)

    return scalar


class _Comparison:
    """Backpropagation on one side, differences on the other."""

    def __init__(self, f: Callable[..., Tensor], arrays: Sequence[Array], eps: float, rtol: float, atol: float) -> None:
        self.f, self.arrays, self.eps, self.rtol, self.atol = f, arrays, eps, rtol, atol

    def compare(self, i: int, gradient: Array, random: np.random.Generator) -> None:
        """Along a random direction, forward mode included; element by element where that fails."""
        if gradient.size == 0:
            return
        direction = np.asarray(random.standard_normal(gradient.shape))
        expected = self._difference(i, direction)
        found = float(np.sum(gradient * direction))
        if not self._close(found, expected):
            self._report(i, gradient)
            raise GradientError(
                f"check_gradients: input {i}: along a random direction backpropagation gives {found:.8g}, differences "
                f"give {expected:.8g}, though every single element agrees"
            )
        pushed = self._push(i, direction)
        if not self._close(pushed, found):
            raise GradientError(
                f"check_gradients: input {i}: forward mode gives {pushed:.8g}, reverse mode {found:.8g}",
                hint="compare the rules jvp and vjp of the primitives used",
            )

    def _close(self, a: float, b: float) -> bool:
        return bool(np.isclose(a, b, rtol=self.rtol, atol=self.atol, equal_nan=True))

    def _difference(self, i: int, direction: Array) -> float:
        step = self.eps * max(1.0, float(np.max(np.abs(self.arrays[i]), initial=0.0)))
        with no_grad():
            ahead, behind = (self._value(i, self.arrays[i] + sign * step * direction) for sign in (1.0, -1.0))
        return (ahead - behind) / (2.0 * step)

    def _value(self, i: int, moved: Array) -> float:
        arrays = [moved if j == i else array for j, array in enumerate(self.arrays)]
        return float(self.f(*map(Tensor, arrays)).item())

    def _push(self, i: int, direction: Array) -> float:
        def of_one(x: Tensor) -> Tensor:
            return self.f(*[x if j == i else Tensor(array) for j, array in enumerate(self.arrays)])

        _, dy = jvp(of_one, (Tensor(self.arrays[i]),), (Tensor(direction),))
        return float(dy.item())

    def _report(self, i: int, gradient: Array) -> None:
        """Raise with the elements that differ most, if any does."""
        differences = np.zeros(gradient.shape)
        for index in np.ndindex(*gradient.shape):
            unit = np.zeros(gradient.shape)
            unit[index] = 1.0
            differences[index] = self._difference(i, unit)
        error = np.abs(gradient - differences)
        wrong = ~np.isclose(gradient, differences, rtol=self.rtol, atol=self.atol, equal_nan=True)
        if not wrong.any():
            return
        order = np.argsort(np.where(wrong, np.nan_to_num(error, nan=np.inf), -1.0), axis=None)[::-1]
        lines = []
        for flat in order[: min(_WORST_SHOWN, int(wrong.sum()))]:
            index = tuple(int(k) for k in np.unravel_index(flat, gradient.shape))
            got, expected = gradient[index], differences[index]
            ratio = f", {got / expected:.4g} times as much" if expected else ""
            lines.append(
                f"  [{', '.join(map(str, index))}]: backward gives {got:.8g}, differences {expected:.8g}{ratio}"
            )
        raise GradientError(
            f"check_gradients: the gradient by input {i} (shape {gradient.shape}) is wrong in {int(wrong.sum())} of "
            f"{gradient.size} elements; the worst:\n" + "\n".join(lines),
            hint="a contribution that is not added, a missing sum over a broadcast axis, a transposed operand",
        )
