"""Groups, settings, state, and the errors that users will read."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import clearprop as cp
from clearprop import nn, optim
from clearprop.errors import DataError, GradientError, UsageError
from clearprop.tensor import Cell


def parameter(*values: float) -> cp.Parameter:
    p = cp.Parameter(list(values))
    p.grad = cp.ones(len(values))
    return p


def test_settings_read_and_assign_like_numbers() -> None:
    p = parameter(1.0)
    optimizer = optim.SGD([p], lr=0.5)
    optimizer.param_groups[0]["lr"] *= 0.5
    optimizer.step()
    assert optimizer.param_groups[0]["lr"] == 0.25
    assert p.value.item() == 0.75
    adam = optim.Adam([p])
    adam.param_groups[0]["betas"] = (0.5, 0.6)
    assert dict(adam.param_groups[0], params=None) == {
        "params": None, "lr": 1e-3, "betas": (0.5, 0.6), "eps": 1e-8, "weight_decay": 0.0,
        "amsgrad": False, "maximize": False, "decoupled_weight_decay": False,
    }  # fmt: skip


def test_settings_and_state_are_cells_that_keep_their_identity() -> None:
    optimizer = optim.Adam([parameter(1.0)], lr=0.5)
    group, (state,) = optimizer.param_groups[0], optimizer.state.values()
    cells = dict(state)
    assert set(cells) == {"step", "exp_avg", "exp_avg_sq"}
    assert all(isinstance(cell, Cell) for cell in cells.values())
    before = group.tensor("lr")
    optimizer.step()
    group["lr"] = 0.25
    assert group.tensor("lr") is not before
    assert all(state[name] is cell for name, cell in cells.items())


def test_momentum_and_decay_can_be_switched_on_later() -> None:
    p = parameter(1.0)
    optimizer = optim.SGD([p], lr=1.0)
    assert not optimizer.state[p]
    optimizer.param_groups[0]["momentum"] = 0.5
    optimizer.step()
    optimizer.step()
    assert p.value.item() == 1.0 - 1.0 - 1.5


def test_parameters_without_a_gradient_stay() -> None:
    with_gradient, without = parameter(1.0), cp.Parameter([1.0])
    for make in (optim.SGD, optim.Adam, optim.AdamW):
        make([with_gradient, without], lr=0.1).step()
    assert without.value.item() == 1.0
    assert with_gradient.value.item() < 1.0


def test_groups_have_settings_of_their_own() -> None:
    fast, slow, late = parameter(1.0), parameter(1.0), parameter(1.0)
    optimizer = optim.SGD([{"params": fast}, {"params": [slow], "lr": 0.25}], lr=0.5)
    optimizer.add_param_group({"params": [late], "lr": 0.125})
    optimizer.step()
    assert [p.value.item() for p in (fast, slow, late)] == [0.5, 0.75, 0.875]


def test_steps_are_not_recorded_and_keep_the_dtype() -> None:
    for dtype in (cp.float16, cp.float32, cp.float64):
        for make in (optim.SGD, optim.Adam, optim.AdamW):
            p = cp.Parameter(np.ones(3, dtype.dtype))
            optimizer = make([p], lr=0.1, weight_decay=0.1)
            (p * p).sum().backward()
            optimizer.step()
            assert p.dtype == dtype
            assert p.value.node is not None
            assert p.value.node.is_leaf


def test_old_graphs_keep_the_old_value() -> None:
    p = parameter(2.0)
    before = p * 3.0
    optim.SGD([p], lr=1.0).step()
    p.grad = None
    before.backward(cp.ones(1))
    assert before.item() == 6.0
    assert p.grad.item() == 3.0


def test_zero_grad() -> None:
    p = parameter(1.0)
    optimizer = optim.SGD([p], lr=1.0)
    optimizer.zero_grad(set_to_none=False)
    assert p.grad.tolist() == [0.0]
    optimizer.zero_grad()
    assert p.grad is None


def test_parameters_that_are_updated_together_share_a_count() -> None:
    first, second = parameter(1.0), parameter(1.0)
    optimizer = optim.Adam([first, second])
    assert optimizer.state[first]["step"] is optimizer.state[second]["step"]
    second.grad = None
    optimizer.step()
    assert [optimizer.state[p]["step"].item() for p in (first, second)] == [1, 0]
    second.grad = cp.ones(1)
    optimizer.step()
    assert [optimizer.state[p]["step"].item() for p in (first, second)] == [2, 1]


def test_saved_state_does_not_change_with_training() -> None:
    p = parameter(1.0)
    optimizer = optim.SGD([p], lr=1.0, momentum=0.9)
    saved = optimizer.state_dict()
    optimizer.step()
    assert saved["state"]["0.momentum_buffer"].tolist() == [0.0]
    assert saved["param_groups"] == [
        {"params": [0], "lr": 1.0, "momentum": 0.9, "dampening": 0.0, "weight_decay": 0.0, "nesterov": False,
         "maximize": False}
    ]  # fmt: skip


def test_state_that_does_not_fit_changes_nothing() -> None:
    saved = optim.Adam([parameter(1.0), parameter(1.0, 2.0)], lr=0.5).state_dict()
    p, q = parameter(1.0), parameter(1.0)
    optimizer = optim.Adam([p, q], lr=0.25)
    with pytest.raises(DataError, match=r"shape: 1.exp_avg of a parameter has shape \(2,\) instead of \(1,\)"):
        optimizer.load_state_dict(saved)
    del saved["state"]["0.step"]
    saved["state"]["2.exp_avg"] = cp.zeros(1)
    with pytest.raises(DataError, match=r"missing: 0.step\n  unexpected: 2.exp_avg"):
        optimizer.load_state_dict(saved)
    assert optimizer.param_groups[0]["lr"] == 0.25
    with pytest.raises(DataError, match=r"groups with \[2\] parameters; optim.Adam has groups with \[1\]"):
        optim.Adam([p]).load_state_dict(saved)
    with pytest.raises(DataError, match=r"optim.SGD"):
        optim.SGD([p, q]).load_state_dict(optim.SGD([p, q], momentum=0.5).state_dict() | {"param_groups": [
            {"params": [0, 1], "lr": 0.1, "momentum": 0.0, "dampening": 0.0, "weight_decay": 0.0, "nesterov": False,
             "maximize": False}
        ]})  # fmt: skip


def test_loading_switches_momentum_on() -> None:
    p = parameter(1.0)
    first = optim.SGD([p], lr=1.0, momentum=0.5)
    first.step()
    second = optim.SGD([p], lr=0.1)
    second.load_state_dict(first.state_dict())
    assert second.param_groups[0]["momentum"] == 0.5
    assert second.state[p]["momentum_buffer"].value.tolist() == [1.0]


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda p: optim.SGD([], lr=0.1), "there are no parameters"),
        (lambda p: optim.SGD(nn.ReLU().parameters(), lr=0.1), "there are no parameters"),
        (lambda p: optim.SGD([p, p], lr=0.1), r"the parameter w is given twice"),
        (lambda p: optim.SGD([{"params": [p]}, {"params": [p]}], lr=0.1), "given twice"),
        (lambda p: optim.SGD(p, lr=0.1), r"Try: \[parameter\]"),
        (lambda p: optim.SGD(nn.Linear(1, 1), lr=0.1), r"Try: model.parameters\(\)"),
        (lambda p: optim.SGD(nn.Linear(1, 1).named_parameters(), lr=0.1), r"Try: model.parameters\(\)"),
        (lambda p: optim.SGD([cp.tensor(1.0, requires_grad=True)], lr=0.1), "a tensor, which is a value"),
        (lambda p: optim.SGD([p], lr=-0.1), r"optim.SGD: lr=-0.1\nTry: a number from 0 on"),
        (lambda p: optim.SGD([p], lr=math.nan), "lr=nan"),
        (lambda p: optim.SGD([p], lr=math.inf), "lr=inf"),
        (lambda p: optim.SGD([p], lr="fast"), "lr='fast' is not a number"),
        (lambda p: optim.SGD([p], lr=0.1, momentum=-1.0), "momentum=-1.0"),
        (lambda p: optim.SGD([p], lr=0.1, weight_decay=-1.0), "weight_decay=-1.0"),
        (lambda p: optim.SGD([p], lr=0.1, nesterov=True), "needs a momentum"),
        (lambda p: optim.Adam([p], betas=(0.9, 1.0)), "from 0 to below 1"),
        (lambda p: optim.Adam([p], betas=(0.9,)), "are not two numbers"),
        (lambda p: optim.Adam([p], eps=-1.0), "eps=-1.0"),
        (lambda p: optim.Adam([{"params": [p], "momentum": 0.9}]), "optim.Adam has no setting momentum"),
        (lambda p: optim.Adam([{"parameters": [p]}]), "a group is a dictionary with 'params'"),
        (lambda p: optim.lr_scheduler.StepLR(optim.SGD([p]), 0), "step_size=0"),
        (lambda p: optim.lr_scheduler.CosineAnnealingLR(optim.SGD([p]), 0), "T_max=0"),
        (lambda p: optim.lr_scheduler.LambdaLR(optim.SGD([p]), [abs, abs]), "2 functions for 1 groups"),
    ],
)
def test_wrong_arguments(make: Any, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        make(cp.Parameter([1.0], name="w"))


def test_assigning_a_wrong_setting_leaves_the_old_one() -> None:
    optimizer = optim.SGD([parameter(1.0)], lr=0.5)
    with pytest.raises(UsageError):
        optimizer.param_groups[0]["lr"] = -1.0
    assert optimizer.param_groups[0]["lr"] == 0.5


def test_a_gradient_that_is_not_finite_can_be_an_error() -> None:
    p = parameter(1.0)
    p.grad = cp.tensor([math.inf])
    with pytest.raises(GradientError, match="the norm of the gradients is inf"):
        nn.utils.clip_grad_norm_([p], 1.0, error_if_nonfinite=True)
    assert nn.utils.clip_grad_norm_([cp.Parameter([1.0])], 1.0).item() == 0.0


def test_clipping_by_value() -> None:
    p = parameter(1.0, 2.0, 3.0)
    p.grad = cp.tensor([-5.0, 0.5, 5.0])
    nn.utils.clip_grad_value_([p], 1.0)
    assert p.grad.tolist() == [-1.0, 0.5, 1.0]


def test_state_of_another_optimizer() -> None:
    p = parameter(1.0)
    with pytest.raises(DataError, match="this state has the settings lr, momentum"):
        optim.Adam([p]).load_state_dict(optim.SGD([p]).state_dict())


def test_settings_of_a_wrong_kind() -> None:
    parameters = list(nn.Linear(2, 3).parameters())
    with pytest.raises(cp.errors.UsageError, match=r"betas=0\.9"):
        optim.Adam(parameters, betas=0.9)  # type: ignore[arg-type]
    with pytest.raises(cp.errors.UsageError, match="not an optimizer"):
        optim.lr_scheduler.CosineAnnealingLR(0.1, T_max=3)  # type: ignore[arg-type]
