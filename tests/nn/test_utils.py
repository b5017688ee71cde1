"""Clipping, norms, and parameters as one vector."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import clearprop as cp
from clearprop import nn
from clearprop.errors import GradientError, ShapeError, UsageError


def with_gradients(*gradients: Any) -> list[cp.Parameter]:
    parameters = []
    for g in gradients:
        p = cp.Parameter(np.zeros_like(np.asarray(g, np.float32)))
        p.grad = cp.tensor(g)
        parameters.append(p)
    return parameters


def gradients(parameters: list[cp.Parameter]) -> list[Any]:
    return [None if p.grad is None else p.grad.tolist() for p in parameters]


def test_a_norm_below_the_limit_changes_nothing() -> None:
    parameters = [*with_gradients([3.0, 4.0], [0.0]), cp.Parameter([1.0])]
    assert nn.utils.clip_grad_norm_(iter(parameters), 5.1).item() == 5.0
    assert gradients(parameters) == [[3.0, 4.0], [0.0], None]


@pytest.mark.parametrize(
    ("norm_type", "norm"), [(2.0, 5.0), (1.0, 7.0), (math.inf, 4.0), ("inf", 4.0), (3.0, 91.0 ** (1.0 / 3.0))]
)
def test_norms(norm_type: Any, norm: float) -> None:
    parameters = with_gradients([[3.0]], [-4.0])
    tensors = [p.grad for p in parameters if p.grad is not None]
    assert nn.utils.get_total_norm(tensors, norm_type).item() == pytest.approx(norm)
    assert nn.utils.clip_grad_norm_(parameters, 0.5, norm_type).item() == pytest.approx(norm)
    assert gradients(parameters) == [[[pytest.approx(1.5 / norm)]], [pytest.approx(-2.0 / norm)]]


def test_clipping_with_a_norm_that_is_known() -> None:
    parameters = with_gradients([3.0], [4.0])
    nn.utils.clip_grads_with_norm_(parameters, 1.0, cp.tensor(10.0))
    assert gradients(parameters) == [[pytest.approx(0.3)], [pytest.approx(0.4)]]


def test_mixed_types_and_no_gradients() -> None:
    p, q = cp.Parameter(np.zeros(1, np.float32)), cp.Parameter(np.zeros(1))
    p.grad, q.grad = cp.tensor(np.float32([3.0])), cp.tensor(np.array([4.0]))
    assert nn.utils.clip_grad_norm_([p, q], 1.0).item() == 5.0
    assert (p.grad.dtype, q.grad.dtype) == (cp.float32, cp.float64)
    assert nn.utils.clip_grad_norm_([], 1.0).item() == 0.0
    assert nn.utils.get_total_norm(cp.tensor([3.0, 4.0])).item() == 5.0


def test_a_norm_that_is_not_finite() -> None:
    for bad in (math.inf, math.nan):
        parameters = with_gradients([bad], [1.0])
        with pytest.raises(GradientError, match=f"the norm of the gradients is {bad}"):
            nn.utils.clip_grad_norm_(parameters, 1.0, error_if_nonfinite=True)
        assert gradients(parameters)[1] == [1.0]
        nn.utils.clip_grad_norm_(parameters, 1.0)
        assert math.isnan(gradients(parameters)[0][0])


def test_clipping_by_value() -> None:
    parameters = [*with_gradients([-5.0, 0.5, math.inf]), cp.Parameter([1.0])]
    nn.utils.clip_grad_value_(parameters, 1)
    assert gradients(parameters) == [[-1.0, 0.5, 1.0], None]


def test_parameters_as_a_vector_and_back() -> None:
    model = nn.Sequential(nn.Linear(2, 3), nn.PReLU())
    vector = nn.utils.parameters_to_vector(model.parameters())
    assert vector.shape == (10,)
    (vector * vector).sum().backward()
    np.testing.assert_allclose(model[0].weight.grad.numpy(), 2.0 * model[0].weight.numpy())  # type: ignore[attr-defined]
    nn.utils.vector_to_parameters(vector.detach() * 2.0, model.parameters())
    np.testing.assert_allclose(nn.utils.parameters_to_vector(model.parameters()).numpy(), 2.0 * vector.numpy())
    nn.utils.vector_to_parameters(np.arange(10.0), model.parameters())  # type: ignore[arg-type]
    assert model[0].weight.value.tolist() == [[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]]  # type: ignore[attr-defined]
    assert model[0].weight.value.node.is_leaf  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda p: nn.utils.clip_grad_norm_(p, -1.0), UsageError, "max_norm=-1.0"),
        (lambda p: nn.utils.clip_grad_norm_(p, math.nan), UsageError, "max_norm=nan"),
        (lambda p: nn.utils.clip_grad_norm_(p, 1.0, 0.0), UsageError, "norm_type=0.0"),
        (lambda p: nn.utils.clip_grad_norm_(p, 1.0, "two"), UsageError, "norm_type='two'"),
        (lambda p: nn.utils.clip_grad_norm_(p, None), UsageError, "max_norm=None"),
        (lambda p: nn.utils.clip_grad_norm_([p.grad], 1.0), UsageError, "clip_grad_norm_: Tensor is not a parameter"),
        (lambda p: nn.utils.clip_grad_norm_(nn.Linear(1, 1), 1.0), UsageError, "Linear is not a parameter"),
        (lambda p: nn.utils.clip_grad_value_(p, -1.0), UsageError, "clip_value=-1.0"),
        (lambda p: nn.utils.parameters_to_vector([]), UsageError, "there are no parameters"),
        (lambda p: nn.utils.vector_to_parameters(cp.ones(3), [p]), ShapeError, r"shape \(3,\); the parameters have 2"),
        (lambda p: nn.utils.vector_to_parameters(cp.ones((2, 1)), [p]), ShapeError, r"has shape \(2, 1\)"),
    ],
)
def test_wrong_arguments(call: Any, error: Any, words: str) -> None:
    (p,) = with_gradients([1.0, 2.0])
    with pytest.raises(error, match=words):
        call(p)
