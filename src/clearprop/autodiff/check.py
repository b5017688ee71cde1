"""Gradients against central differences: to see whether the backward pass is right.

(f(x + εv) - f(x - εv)) / 2ε is compared with the derivative along v that backpropagation gives, in float64, where a
step of 1e-6 leaves some 10 correct digits. One random direction for each input finds nearly every mistake at the cost
of two evaluations; only where it fails is the difference taken element by element. Then the error says which operation
it is, how the error depends on the step, and what the mistake looks like, see `clearprop.autodiff.diagnosis`. At a kink
any slope between those of its two sides is right.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NoReturn

import numpy as np

from clearprop.arguments import function, whole
from clearprop.autodiff.backward import no_grad
from clearprop.autodiff.diagnosis import (
    STEPS,
    central,
    described_sweep,
    faulty_operation,
    is_kink,
    probable_cause,
    sweep,
)
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
        GradientError: names the input, by how much its worst elements differ, the operation whose rule is wrong, and
            what the mistake looks like.
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
    check = _Comparison(f, scalar, arrays, eps, rtol, atol)
    for i, gradient in zip(numbers, gradients, strict=True):
        check.compare(i, np.asarray(gradient.array), random)
    if order > 1:
        check_gradients(
            lambda *xs: grad(scalar, argnums=numbers)(*xs),
            *arrays, order=order - 1, eps=eps, rtol=rtol, atol=atol, seed=seed + 1,
        )  # fmt: skip


def difference_errors(
    f: Callable[..., Any], *inputs: Any, steps: Sequence[float] = STEPS, seed: int = 0
) -> list[tuple[float, float]]:
    """How far central differences are from the gradient, by step: truncation falls with the step, round-off rises.

    Args:
        f, inputs, seed: as in `check_gradients`; the difference is taken along one random direction of all inputs.
        steps: absolute ones.

    Returns:
        pairs of a step and its error.

    >>> import clearprop as cp
    >>> errors = dict(difference_errors(cp.exp, [0.5, 1.0]))
    >>> errors[0.1] > errors[1e-05] < errors[1e-11]
    True
    """
    function("difference_errors", "f", f, "a function of tensors")
    arrays = [np.array(as_tensor(x).array, np.float64) for x in inputs]
    random = np.random.default_rng(seed)
    scalar = _projected(f, arrays, random)
    directions = [np.asarray(random.standard_normal(x.shape)) for x in arrays]
    gradients = grad(scalar, argnums=list(range(len(arrays))))(*map(Tensor, arrays))
    slope = sum(float(np.sum(g.array * v)) for g, v in zip(gradients, directions, strict=True))

    def value(step: float) -> float:
        with no_grad():
            moved = (Tensor(x + step * v) for x, v in zip(arrays, directions, strict=True))
            return float(scalar(*moved).item())

    return sweep(value, slope, steps)


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

    def __init__(
        self,
        f: Callable[..., Any],
        scalar: Callable[..., Tensor],
        arrays: Sequence[Array],
        eps: float,
        rtol: float,
        atol: float,
    ) -> None:
        self.f, self.scalar, self.arrays, self.eps, self.rtol, self.atol = f, scalar, arrays, eps, rtol, atol

    def compare(self, i: int, gradient: Array, random: np.random.Generator) -> None:
        """Along a random direction, forward mode included; element by element where that fails."""
        if gradient.size == 0:
            return
        direction = np.asarray(random.standard_normal(gradient.shape))
        expected = central(self._along(i, direction), self._step(i))
        found = float(np.sum(gradient * direction))
        if not self._close(found, expected) and not self._elements_agree(i, gradient, random):
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

    def _step(self, i: int) -> float:
        return self.eps * max(1.0, float(np.max(np.abs(self.arrays[i]), initial=0.0)))

    def _along(self, i: int, direction: Array) -> Callable[[float], float]:
        """The function's value so many steps from where it is checked."""

        def value(step: float) -> float:
            arrays = [x + step * direction if j == i else x for j, x in enumerate(self.arrays)]
            with no_grad():
                return float(self.scalar(*map(Tensor, arrays)).item())

        return value

    def _push(self, i: int, direction: Array) -> float:
        def of_one(x: Tensor) -> Tensor:
            return self.scalar(*[x if j == i else Tensor(array) for j, array in enumerate(self.arrays)])

        _, dy = jvp(of_one, (Tensor(self.arrays[i]),), (Tensor(direction),))
        return float(dy.item())

    # Element by element -------------------------------------------------------------------------------------------

    def _elements_agree(self, i: int, gradient: Array, random: np.random.Generator) -> bool:
        """Whether kinks explain the difference; False if all elements agree.

        Raises:
            GradientError: an element is wrong.
        """
        differences = np.zeros(gradient.shape)
        for index in np.ndindex(*gradient.shape):
            differences[index] = central(self._element(i, index), self._step(i))
        wrong = ~np.isclose(gradient, differences, rtol=self.rtol, atol=self.atol, equal_nan=True)
        kinks = np.zeros(gradient.shape, np.bool_)
        for index in map(tuple, np.argwhere(wrong)):
            kinks[index] = is_kink(self._element(i, index), float(gradient[index]), self._step(i), self.rtol, self.atol)
        if (wrong & ~kinks).any():
            self._report(i, gradient, differences, wrong & ~kinks, random)
        return bool(kinks.any())

    def _element(self, i: int, index: tuple[int, ...]) -> Callable[[float], float]:
        unit = np.zeros(self.arrays[i].shape)
        unit[index] = 1.0
        return self._along(i, unit)

    def _report(
        self, i: int, gradient: Array, differences: Array, wrong: Array, random: np.random.Generator
    ) -> NoReturn:
        """Raise with the elements that differ most, the operation that makes them, and what it looks like."""
        error = np.where(wrong, np.nan_to_num(np.abs(gradient - differences), nan=np.inf), -1.0)
        order = np.argsort(error, axis=None)[::-1]
        places = [tuple(int(k) for k in np.unravel_index(flat, gradient.shape)) for flat in order]
        lines = []
        for index in places[: min(_WORST_SHOWN, int(wrong.sum()))]:
            got, expected = gradient[index], differences[index]
            ratio = f", {got / expected:.4g} times as much" if expected else ""
            lines.append(
                f"  [{', '.join(map(str, index))}]: backward gives {got:.8g}, differences {expected:.8g}{ratio}"
            )
        lines.append(described_sweep(self._element(i, places[0]), float(gradient[places[0]])))
        fault = faulty_operation(self.f, self.arrays, random)
        if fault is not None:
            lines.append(f"  {fault}")
        shapes = [x.shape for x in self.arrays] + ([] if fault is None else [fault.node.shape])
        raise GradientError(
            f"check_gradients: the gradient by input {i} (shape {gradient.shape}) is wrong in {int(wrong.sum())} of "
            f"{gradient.size} elements; the worst:\n" + "\n".join(lines),
            hint=f"look for {probable_cause(gradient, differences, wrong, shapes)}",
        )
