"""What is cheap is computed again by whoever needs it, and not written to memory."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tests.compiler.native.protected import check

import clearprop as cp

RANDOM = np.random.default_rng(0)
X, Y = RANDOM.standard_normal((2, 24, 40))
COLUMN, ROW = RANDOM.standard_normal((24, 1)), RANDOM.standard_normal(40)


def written(f: Any, *arrays: Any) -> list[str]:
    """The names of what kernels write, in their order; the values are compared with NumPy's."""
    compiled = check(f, *arrays, rtol=1e-12)
    return [node.name for kernel in compiled.fusion.kernels for node in kernel.stored]


def test_what_is_left_of_a_mean_is_computed_twice_and_not_written() -> None:
    def f(x: Any) -> Any:
        centered = x - cp.mean(x, axis=1, keepdims=True)
        return (cp.sin(centered) / cp.sum(centered * centered, axis=1, keepdims=True),)

    assert "subtract" not in written(f, X)


def test_several_operations_in_a_row() -> None:
    def f(x: Any, row: Any) -> Any:
        y = (x + row) * 2.0 - 1.0
        return y.max(axis=0), cp.sin(y) * y.max(axis=0)

    assert not {"add", "multiply", "subtract"} & set(written(f, X, ROW)[:-2])


def test_what_only_one_other_kernel_needs_is_computed_there() -> None:
    def f(x: Any, row: Any) -> Any:
        y = cp.nn.functional.gelu(x + row)
        return cp.grad(lambda x: cp.sum(cp.sin(cp.nn.functional.gelu(x + row) @ x.mT)))(x), y

    compiled = check(f, X, ROW, rtol=1e-9)
    exponentials = [kernel for kernel in compiled.fusion.kernels if "exp" in [node.name for node in kernel.nodes]]
    assert len(exponentials) == 1
    assert "erf" not in [node.name for node in exponentials[0].nodes]


def test_of_large_arrays_the_error_function_is_computed_again() -> None:
    def f(x: Any) -> Any:
        return cp.grad(lambda x: cp.sum(cp.square(cp.nn.functional.gelu(x @ row) @ row.mT)))(x)

    row = RANDOM.standard_normal((1, 1 << 10))
    for rows, kept in [(8, 1), (1 << 10, 0)]:
        compiled = check(lambda x: (f(x),), RANDOM.standard_normal((rows, 1)), rtol=1e-9)
        forward = next(k for k in compiled.fusion.kernels if "erf" in [node.name for node in k.nodes])
        assert len(forward.stored) == 1 + kept


def twice(z: Any, again: Any = None) -> Any:
    """Its largest elements, and what needs them and z."""
    return z.max(axis=0), (z if again is None else again) * z.max(axis=0)


@pytest.mark.parametrize(
    "f",
    [
        lambda x, y: twice(x + y),  # two arrays would be read for one
        lambda x, y: twice(cp.exp(x)),  # not cheap
        lambda x, y: ((x + 1.0).max(axis=0), (x + 1.0) @ y.mT),  # a product does not compute its operands
        lambda x, y: (x + 1.0, *twice(x + 1.0)),  # it is asked for
        lambda x, y: twice(x + 1.0, (x + 1.0)[:, ::-1]),  # in another order
    ],
)
def test_others_are_written(f: Any) -> None:
    names = written(f, X, Y)
    assert "add" in names or "exp" in names


def test_but_not_of_one_array() -> None:
    assert "add" not in written(lambda x: twice(x + 1.0), X)


def test_the_gradient_of_a_normalization() -> None:
    def f(x: Any, w: Any, b: Any, g: Any) -> Any:
        return cp.grad(lambda *args: cp.sum(cp.nn.functional.layer_norm(args[0], (40,), *args[1:]) * g), (0, 1, 2))(
            x, w, b
        )

    names = written(f, X, ROW, ROW + 1.0, Y)
    assert names.count("multiply") + names.count("subtract") <= 3  # what is returned, and columns of numbers


@pytest.mark.parametrize(
    "follow", [lambda y: y + 1.0, lambda y: cp.sqrt(cp.sum(y)), lambda y: cp.astype(y, cp.float32)]
)
def test_a_check_stays_where_it_is(follow: Any) -> None:
    """It is one element after the other, too, but no loop nest has code for it."""
    assert "finite" in written(lambda x: (follow(cp.check_finite(cp.exp(x))),), X)
