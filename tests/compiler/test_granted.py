"""What a compiled program takes for granted of arguments, parameters, optimizers and modules."""

from __future__ import annotations

import numpy as np
import pytest

import clearprop as cp
from clearprop import nn, optim
from clearprop.cell import Cell


def test_arguments_of_every_kind_in_turn() -> None:
    """A call that is not like the one before finds its own program."""
    cell = Cell(np.zeros((2, 3)))
    step = cp.compile(lambda x: (cell.assign(cell + 1.0), (cell.value + x).sum())[1], executor="native")
    square = np.arange(6.0).reshape(2, 3)
    kinds = [
        cp.asarray(square),
        square,
        cp.asarray(np.asfortranarray(square)),
        cp.asarray(square[:, ::-1]),
        cp.asarray(square.astype(np.float32)),
        cp.asarray(square[:, :1]),
        cp.tensor(square, requires_grad=True).detach(),
        1.5,
    ]
    count = 0
    for _ in range(3):
        for x in kinds:
            count += 1
            assert step(x).item() == np.broadcast_to(np.asarray(x), (2, 3)).sum() + 6.0 * count
    for _ in range(20):  # at addresses that were others' before
        count += 1
        x = np.random.default_rng(count).random((2, 3))
        np.testing.assert_allclose(step(cp.asarray(x)).item(), x.sum() + 6.0 * count)


def test_freezing_a_parameter_is_another_program() -> None:
    a, b = cp.Parameter(np.ones(3)), cp.Parameter(np.ones(3))
    rule = optim.SGD([a, b], lr=1.0)

    @cp.compile(executor="native")
    def step() -> None:
        rule.zero_grad()
        (a * b).sum().backward()
        rule.step()

    for _ in range(3):
        step()
        a.assign(np.ones(3))
        b.assign(np.ones(3))
    b.requires_grad = False
    step()
    assert (a.value[0].item(), b.value[0].item()) == (0.0, 1.0)
    assert step.traces == 2
    b.requires_grad = True
    a.assign(np.ones(3))
    step()
    assert (a.value[0].item(), b.value[0].item()) == (0.0, 0.0)
    assert step.traces == 2, "the first program is still there"


def test_settings_of_optimizers_take_effect_at_the_next_call() -> None:
    w = cp.Parameter(np.zeros(2))
    rule = optim.SGD([w], lr=1.0, momentum=0.5)

    @cp.compile(executor="native")
    def step() -> None:
        rule.zero_grad()
        w.value.sum().backward()
        rule.step()

    for _ in range(3):
        step()
    assert w.value[0].item() == -(1.0 + 1.5 + 1.75)
    rule.param_groups[0]["lr"] = 0.0
    step()
    assert w.value[0].item() == -4.25
    rule.param_groups[0]["lr"] = 2.0
    rule.param_groups[0]["momentum"] = 0.0
    step()
    assert w.value[0].item() == -6.25
    assert step.traces == 1
    schedule = optim.lr_scheduler.StepLR(rule, 1, gamma=0.5)
    rule.param_groups[0]["lr"] = 2.0
    assert step.traces == 1
    step()
    assert w.value[0].item() == -8.25
    schedule.step()
    assert rule.param_groups[0]["lr"] == 1.0
    step()
    assert w.value[0].item() == -9.25
    w.assign(np.full(2, -6.25))
    rule.param_groups[0]["lr"] = 2.0
    assert step.traces == 1
    rule.param_groups[0]["maximize"] = True  # no number: the step is another one
    step()
    assert w.value[0].item() == -6.25 + 2.0
    rule.param_groups[0]["weight_decay"] = 0.5  # until now there was none
    step()
    assert w.value[0].item() == -4.25 + 2.0 * (1.0 + 0.5 * 4.25)
    assert step.traces == 3


def test_what_an_optimizer_trains_is_looked_at_in_every_call() -> None:
    a, b = cp.Parameter(np.zeros(2)), cp.Parameter(np.zeros(2))
    rule = optim.Adam([a], lr=1.0)

    @cp.compile(executor="native")
    def step() -> None:
        rule.zero_grad()
        (a + b).sum().backward()
        rule.step()

    for _ in range(3):
        step()
    traces = step.traces
    rule.add_param_group({"params": [b]})
    step()
    assert a.value[0].item() == pytest.approx(-4.0)
    assert b.value[0].item() == pytest.approx(-1.0)
    assert step.traces == traces + 1
    other = optim.Adam([a, b], lr=1.0)
    run = cp.compile(lambda: ((a + b).sum().backward(), other.step(), other.zero_grad())[0], executor="native")
    run()
    run()
    state = other.state_dict()
    state["state"] = {**state["state"], "1.step": np.int64(7)}
    other.load_state_dict(state)
    run()
    steps = {name: value.item() for name, value in other.state_dict()["state"].items() if name.endswith("step")}
    assert steps == {"0.step": 3, "1.step": 8}


def test_the_mode_of_a_module_is_looked_at_in_every_call() -> None:
    model = nn.Sequential(nn.Dropout(0.5))
    seen = Cell(np.zeros(64, np.float32))
    run = cp.compile(lambda x: seen.assign(model(x)), executor="native")
    ones = cp.ones(64)
    for _ in range(3):
        run(ones)
        assert set(seen.value.tolist()) == {0.0, 2.0}
    model.eval()
    for _ in range(3):
        run(ones)
        assert set(seen.value.tolist()) == {1.0}
    model.train()
    run(ones)
    assert set(seen.value.tolist()) == {0.0, 2.0}
    assert run.traces == 2


def test_gradients_that_are_set_between_calls() -> None:
    w = cp.Parameter(np.zeros(3))
    rule = optim.SGD([w], lr=1.0)

    @cp.compile(executor="native")
    def step() -> None:
        w.value.sum().backward()
        rule.step()
        rule.zero_grad()

    for _ in range(3):
        step()
        assert w.grad is None
    w.grad = cp.ones(3, dtype=cp.float64) * 10.0
    step()
    assert (w.value[0].item(), w.grad) == (-14.0, None)
    step()
    assert w.value[0].item() == -15.0
