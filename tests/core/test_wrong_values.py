"""What tensors cannot be made of, or done with, is said in one line, with a way out."""

from __future__ import annotations

from typing import Any

import pytest

import clearprop as cp


@pytest.mark.parametrize("value", ["text", None, {"a": 1}, [1.0, "x"], 10**30, object()])
def test_a_tensor_of_what_is_no_number(value: Any) -> None:
    with pytest.raises(cp.DTypeError, match=r"a tensor cannot be made of .*\n(.*\n)*Try: numbers"):
        cp.tensor(value)


def test_a_number_that_the_named_dtype_cannot_hold() -> None:
    with pytest.raises(cp.DTypeError, match="a tensor cannot be made of 'ones'"):
        cp.tensor("ones", dtype=cp.float32)


def test_lists_of_unequal_lengths() -> None:
    with pytest.raises(cp.ShapeError, match="Try: pad the shorter ones"):
        cp.tensor([[1.0], [1.0, 2.0]])


def test_an_upstream_gradient_that_is_no_number() -> None:
    with pytest.raises(cp.DTypeError, match="cannot be made of 'ones'"):
        cp.tensor(1.0, requires_grad=True).backward("ones")


def test_changing_a_value_in_place() -> None:
    with pytest.raises(TypeError, match=r"x\.at\[index\]\.set"):
        cp.zeros(3)[0] = 1.0
    with pytest.raises(TypeError, match=r"cell\.assign"):
        cp.Parameter([1.0])[0] = 1.0


def test_a_function_called_like_a_class() -> None:
    class Square(cp.Function):
        pass

    with pytest.raises(cp.GradientError, match=r"Try: Square\.apply"):
        Square(cp.zeros(1))


def test_the_gradient_of_a_comparison() -> None:
    with pytest.raises(cp.GradientError, match="it returned bool"):
        cp.grad(lambda x: x > 0.0)(cp.tensor(1.0))


def test_a_format_is_for_one_number() -> None:
    assert f"{cp.tensor(1.25):.1f} {cp.Cell([2.0]):.2f} {cp.tensor(3)}" == "1.2 2.00 Tensor(3, dtype=int64)"
    with pytest.raises(cp.ShapeError, match="one element"):
        f"{cp.tensor([1.0, 2.0]):.1f}"
    with pytest.raises(cp.TraceError, match="no numbers yet"):
        cp.compile(lambda x: f"{x.sum():.2f}", executor="reference")(cp.ones(2))
