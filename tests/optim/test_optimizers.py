"""Groups, settings, state, and the errors that users will read."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import clearprop as cp
from clearprop import nn, optim
from clearprop.cell import Cell
from clearprop.errors import DataError, UsageError

ALL = [
    optim.SGD, optim.Adam, optim.AdamW, optim.RMSprop, optim.Adagrad, optim.Adadelta, optim.Adamax, optim.NAdam,
    optim.RAdam, optim.Lion,
]  # fmt: skip


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
    for make in ALL:
        with_gradient.assign([1.0])
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
        for make in ALL:
            p = cp.Parameter(np.ones(3, dtype.dtype))
            optimizer = make([p], lr=0.1, weight_decay=0.1)
            (p * p).sum().backward()
            optimizer.step()
            assert p.dtype == dtype
            assert p.value.node is not None
            assert p.value.node.is_leaf


@pytest.mark.parametrize("maximize", [False, True])
@pytest.mark.parametrize("decay", [0.0, 0.3])
def test_lion_is_that_of_the_paper(decay: float, maximize: bool) -> None:
    """Algorithm 2 of Chen et al. 2023, written down again; there is no Lion in PyTorch."""
    beta1, beta2, lr = 0.9, 0.97, 0.01
    theta, m = np.sin(np.arange(6.0)).reshape(2, 3), np.zeros((2, 3))
    p = cp.Parameter(theta)
    optimizer = optim.Lion([p], lr=lr, betas=(beta1, beta2), weight_decay=decay, maximize=maximize)
    for step in range(100):
        g = np.cos(theta * 3.0 + step)
        p.grad = cp.asarray(np.cos(p.numpy() * 3.0 + step))
        optimizer.step()
        g = -g if maximize else g
        c = beta1 * m + (1.0 - beta1) * g
        theta = theta - lr * (np.sign(c) + decay * theta)
        m = beta2 * m + (1.0 - beta2) * g
        np.testing.assert_allclose(p.numpy(), theta, rtol=1e-9, err_msg=f"step {step}")
    np.testing.assert_allclose(optimizer.state[p]["exp_avg"].numpy(), m, rtol=1e-9)


@pytest.mark.parametrize("make", ALL)
def test_a_closure_computes_the_gradients(make: Any) -> None:
    p = cp.Parameter([3.0])
    optimizer = make([p], lr=0.1)

    def closure() -> Any:
        optimizer.zero_grad()
        loss = (p * p).sum()
        loss.backward()
        return loss

    with cp.no_grad():
        assert optimizer.step(closure).item() == 9.0
    assert p.value.item() < 3.0
    assert optimizer.step() is None


@pytest.mark.parametrize("make", ALL)
def test_maximize_goes_the_other_way(make: Any) -> None:
    up, down = (cp.Parameter(np.ones(1)) for _ in range(2))
    up.grad = down.grad = cp.asarray(np.ones(1))
    make([down], lr=0.1, weight_decay=0.0).step()
    make([up], lr=0.1, weight_decay=0.0, maximize=True).step()
    assert up.value.item() - 1.0 == pytest.approx(1.0 - down.value.item(), rel=1e-5)
    assert up.value.item() > 1.0


@pytest.mark.parametrize("make", ALL)
@pytest.mark.parametrize("other", ALL)
def test_state_of_another_optimizer(make: Any, other: Any) -> None:
    """Nothing is loaded, unless it has the same settings and state, as Adam and AdamW."""
    p = parameter(1.0)
    first, second = other([p], lr=0.5, weight_decay=0.25), make([p], lr=0.1)
    first.step()
    alike = {make, other} == {optim.Adam, optim.AdamW} or make is other
    if alike:
        second.load_state_dict(first.state_dict())
        assert second.state_dict() == first.state_dict()
    else:
        before = second.state_dict()
        with pytest.raises(DataError, match=second.__class__.__name__):
            second.load_state_dict(first.state_dict())
        assert second.state_dict() == before


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
        (lambda p: optim.SGD([p], momentum=0.9, dampening=0.1, nesterov=True), "nesterov=True needs a momentum and no"),
        (lambda p: optim.SGD([{"params": [p], "nesterov": True}]), "there are momentum=0.0 and dampening=0.0"),
        (lambda p: optim.SGD([p], nesterov="yes"), r"nesterov='yes'\nTry: True or False"),
        (lambda p: optim.SGD([{"params": 3}]), "'params' is int, not a list"),
        (lambda p: optim.SGD([{"params": nn.Linear(1, 1)}]), "'params' is Linear, not a list"),
        (lambda p: optim.Adam([{"params": [p], "betas": 0.9}]), r"betas=0\.9 are not two numbers"),
        (lambda p: optim.Adam([p], betas=(0.9, -0.1)), "from 0 to below 1"),
        (lambda p: optim.Adam([p], lr=(0.1, 0.2)), r"lr=\(0\.1, 0\.2\) is not a number"),
        (lambda p: optim.Adam([p], amsgrad=1), "amsgrad=1"),
        (lambda p: optim.RMSprop([p], alpha=1.5), r"optim\.RMSprop: alpha=1\.5\nTry: from 0 to 1"),
        (lambda p: optim.Adadelta([p], rho=-0.5), r"rho=-0\.5"),
        (lambda p: optim.Adagrad([p], initial_accumulator_value=-1.0), "initial_accumulator_value=-1.0"),
        (lambda p: optim.Lion([p], betas=(1.0, 0.9)), r"optim\.Lion: betas=\(1\.0, 0\.9\)"),
        (lambda p: optim.Lion([]), "there are no parameters"),
        (lambda p: optim.SGD([p]).add_param_group([p]), "a group is a dictionary with 'params'"),
        (lambda p: optim.SGD([p]).add_param_group({"params": [p]}), "given twice"),
        (lambda p: optim.SGD([p]).add_param_group({"params": [cp.Parameter([1.0])], "lr": -1.0}), "lr=-1.0"),
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


@pytest.mark.parametrize(
    ("make", "options"),
    [
        (optim.SGD, {"momentum": 0.9, "dampening": 0.5}),
        (optim.Adam, {"amsgrad": True, "weight_decay": 0.1}),
        (optim.RMSprop, {"centered": True, "momentum": 0.9}),
        (optim.Adagrad, {"lr_decay": 0.1}),
    ],
)
def test_loading_switches_options_off(make: Any, options: Any) -> None:
    plain, rich = make([parameter(1.0)]), make([parameter(1.0)], **options)
    for optimizer in (plain, rich):
        optimizer.step()
    before = plain.state_dict()
    rich.load_state_dict(before)
    assert rich.state_dict() == before
    rich.step()
    plain.step()
    assert next(iter(rich.state)).value.item() != 1.0
    assert rich.state_dict() == plain.state_dict()


@pytest.mark.parametrize(
    ("saved", "words"),
    [
        ({"state": {}, "param_groups": [{"lr": 0.1}]}, r"a saved group has no 'params': {'lr': 0.1}"),
        (None, "no state of an optimizer: NoneType"),
        ({"weight": cp.ones(1)}, "no state of an optimizer: names weight"),
        ({"state": {}, "param_groups": []}, r"groups with \[\] parameters"),
    ],
)
def test_what_is_no_state_of_an_optimizer(saved: Any, words: str) -> None:
    with pytest.raises(DataError, match=words):
        optim.SGD([parameter(1.0)]).load_state_dict(saved)


def test_state_of_a_scheduled_optimizer_fits_one_without_a_schedule() -> None:
    scheduled, plain = (optim.SGD([parameter(1.0)], lr=0.5) for _ in range(2))
    optim.lr_scheduler.ExponentialLR(scheduled, 0.5).step()
    plain.load_state_dict(scheduled.state_dict())
    assert (plain.param_groups[0]["lr"], plain.param_groups[0]["initial_lr"]) == (0.25, 0.5)
    scheduled.load_state_dict(optim.SGD([parameter(1.0)], lr=0.125).state_dict())
    assert (scheduled.param_groups[0]["lr"], scheduled.param_groups[0]["initial_lr"]) == (0.125, 0.5)


def test_options_can_be_switched_on_later() -> None:
    """Momentum and dampening, the largest of Adam, the mean of RMSprop: their state begins then."""
    p = parameter(1.0)
    sgd = optim.SGD([p], lr=1.0)
    sgd.step()
    sgd.param_groups[0].update(momentum=0.5, dampening=0.5)
    sgd.step()  # the first gradient of the momentum is not dampened
    sgd.step()
    assert p.value.item() == 1.0 - 1.0 - 1.0 - (0.5 * 1.0 + 0.5)
    adam = optim.Adam([p])
    adam.param_groups[0]["amsgrad"] = True
    adam.step()
    assert set(adam.state[p]) == {"step", "exp_avg", "exp_avg_sq", "max_exp_avg_sq"}
    rmsprop = optim.RMSprop([p])
    rmsprop.param_groups[0].update(centered=True, momentum=0.9)
    rmsprop.step()
    assert set(rmsprop.state[p]) == {"square_avg", "grad_avg", "momentum_buffer"}
    restored = optim.RMSprop([p])
    restored.load_state_dict(rmsprop.state_dict())
    assert restored.state_dict() == rmsprop.state_dict()


def test_dampening_leaves_the_first_gradient_of_each_parameter_whole() -> None:
    early, late = parameter(0.0), cp.Parameter([0.0])
    optimizer = optim.SGD([early, late], lr=1.0, momentum=1.0, dampening=0.75)
    optimizer.step()
    late.grad = cp.ones(1)
    optimizer.step()
    assert (early.value.item(), late.value.item()) == (-1.0 - 1.25, -1.0)


def test_groups_of_adagrad_begin_where_they_say() -> None:
    p, q = parameter(0.0), parameter(0.0)
    groups = [{"params": [p]}, {"params": [q], "initial_accumulator_value": 3.0}]
    optim.Adagrad(groups, lr=1.0, eps=0.0).step()
    assert (p.value.item(), q.value.item()) == (-1.0, -0.5)


def test_settings_of_a_wrong_kind() -> None:
    parameters = list(nn.Linear(2, 3).parameters())
    with pytest.raises(cp.errors.UsageError, match=r"betas=0\.9"):
        optim.Adam(parameters, betas=0.9)  # type: ignore[arg-type]
    group = optim.SGD(parameters).param_groups[0]
    with pytest.raises(cp.errors.UsageError, match="SGD has no setting learning_rate"):
        group["learning_rate"] = 0.1
    assert "learning_rate" not in group
    with pytest.raises(cp.errors.UsageError, match="cannot be removed"):
        del group["lr"]
    with pytest.raises(cp.errors.UsageError, match="cannot be replaced"):
        group["params"] = []
