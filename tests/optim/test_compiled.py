"""Every optimizer in a compiled training step: the update is part of the program, settings are read at each call."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tests.reference.optimizers import cases
from tests.reference.optimizers.cases import START, Trajectory

import clearprop as cp
from clearprop import optim

STEPS = 8
CASES = [case for case in cases.trajectories() if not case.bias_from and not case.bias_added_at]


def train(case: Trajectory, compiled: bool) -> list[np.ndarray[Any, Any]]:
    """Parameters and state at the end; the learning rate is halved on the way, and a schedule is stepped outside."""
    weight, bias = (cp.Parameter(START[name], name=name) for name in ("weight", "bias"))
    groups: Any = [weight, bias] if case.bias is None else [{"params": [weight]}, {"params": [bias], **case.bias}]
    optimizer = getattr(optim, case.name)(groups, **case.settings)
    scheduler = cases.make_schedule(optim, optimizer, case.schedule) if case.schedule else None
    times = 0

    def step(x: Any, y: Any) -> Any:
        nonlocal times
        times += 1
        optimizer.zero_grad()
        loss = cp.functional.mse_loss(cp.tanh(x @ weight + bias), y)
        loss.backward()
        optimizer.step()
        return loss

    run = cp.compile(step, executor="reference") if compiled else step
    for number in range(STEPS):
        run(*map(cp.asarray, cases.batch(number)))
        if scheduler is not None:
            scheduler.step()
        elif number == STEPS // 2:
            optimizer.param_groups[0]["lr"] *= 0.5
    assert times == (1 if compiled else STEPS)  # traced once, and never again
    return [weight.numpy(), bias.numpy(), *(tensor.numpy() for tensor in optimizer.state_dict()["state"].values())]


@pytest.mark.parametrize("case", CASES, ids=Trajectory.label)
def test_a_compiled_step_is_the_eager_one_to_the_bit(case: Trajectory) -> None:
    for one, other in zip(train(case, True), train(case, False), strict=True):
        np.testing.assert_array_equal(one, other)


def test_gradients_set_to_zero_instead_of_none() -> None:
    w = cp.Parameter([1.0, 2.0])
    optimizer = optim.SGD([w], lr=0.5)

    def step(x: Any) -> Any:
        (w * x).sum().backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=False)

    cp.compile(step, keep_grads=True)(cp.tensor([1.0, 3.0]))
    assert w.grad is not None
    assert (w.value.tolist(), w.grad.tolist()) == ([0.5, 0.5], [0.0, 0.0])


def test_a_parameter_that_never_gets_a_gradient_does_not_keep_a_step_from_being_compiled() -> None:
    def trained(compiled: bool) -> list[Any]:
        used, unused = cp.Parameter([1.0, 2.0]), cp.Parameter([3.0])
        optimizer = optim.Adam([used, unused], lr=0.1)

        def step(x: Any) -> None:
            optimizer.zero_grad()
            (used * x).sum().backward()
            optimizer.step()

        run = cp.compile(step) if compiled else step
        for _ in range(3):
            run(cp.tensor([1.0, 3.0]))
        counts = [optimizer.state[parameter]["step"].value.item() for parameter in (used, unused)]
        return [used.value.tolist(), unused.value.tolist(), counts]

    assert trained(True) == trained(False)
    assert trained(True)[2] == [3, 0]


@pytest.mark.parametrize("name", ["Adam", "Adagrad", "NAdam"])
def test_a_parameter_without_a_gradient_in_one_step_is_counted_by_itself_from_then_on(name: str) -> None:
    """The program of the steps before counted for both with one clock, and was taken again."""

    def trained(compiled: bool) -> list[np.ndarray[Any, Any]]:
        weight, bias = cp.Parameter(np.array([1.0, 2.0])), cp.Parameter(np.array([0.5, -1.0]))
        optimizer = getattr(optim, name)([weight, bias], lr=0.1)
        update = cp.compile(optimizer.step, executor="reference") if compiled else optimizer.step
        for with_bias in (True, True, False, True, False, True):
            optimizer.zero_grad()
            (weight * weight * bias if with_bias else weight * weight).sum().backward()
            update()
        return [weight.numpy(), bias.numpy(), *(x.numpy() for x in optimizer.state_dict()["state"].values())]

    for one, other in zip(trained(True), trained(False), strict=True):
        np.testing.assert_array_equal(one, other)
