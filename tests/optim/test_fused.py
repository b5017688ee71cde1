"""Optimizers that change all parameters by one native function: the same steps, whatever else is done."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest

import clearprop as cp
from clearprop import optim
from clearprop.errors import UsageError

SETTINGS: list[tuple[str, dict[str, Any]]] = [
    ("SGD", {"lr": 0.1}),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 0.01}),
    ("Adam", {"lr": 0.01, "amsgrad": True}),
    ("AdamW", {"lr": 0.01, "weight_decay": 0.1}),
    ("Adagrad", {"lr": 0.1, "lr_decay": 0.1}),
]


def parameters() -> list[cp.Parameter]:
    random = np.random.default_rng(0)
    return [cp.Parameter(random.standard_normal(shape)) for shape in ((30, 50), (50,))]


def made(name: str, settings: dict[str, Any], *, fused: bool) -> Any:
    return getattr(optim, name)(parameters(), **settings, fused=fused)


def take_steps(optimizer: Any, steps: int = 6) -> list[np.ndarray[Any, Any]]:
    """The second parameter has no gradient in one of them; the rate is halved on the way. Returns all numbers."""
    weight, bias = optimizer.param_groups[0].params
    for number in range(steps):
        optimizer.zero_grad()
        y = cp.tanh(cp.ones((4, 30), dtype=cp.float64) @ weight)
        (y if number == 2 else y * bias).sum().backward()
        optimizer.step()
        if number == 3:
            optimizer.param_groups[0]["lr"] *= 0.5
    state = optimizer.state_dict()["state"].values()
    return [weight.numpy(), bias.numpy(), *(tensor.numpy() for tensor in state)]


@pytest.mark.parametrize(("name", "settings"), SETTINGS)
def test_steps_are_those_of_the_plain_one(name: str, settings: dict[str, Any]) -> None:
    plain, fused = (take_steps(made(name, settings, fused=fused)) for fused in (False, True))
    for one, other in zip(fused, plain, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-12)


def test_all_parameters_are_changed_by_one_program() -> None:
    optimizer = made("Adam", {}, fused=True)
    take_steps(optimizer, 2)
    update = optimizer._fused_update
    with cp.no_grad():
        names = [operation for kernel in update.profile().kernels for operation in kernel.operations]
    assert names.count("sqrt") == 2 + 1  # of both second moments, and of the factor that they have in common
    assert update.traces == 1


def test_a_copy_changes_its_own_parameters() -> None:
    optimizer = made("Adam", {}, fused=True)
    take_steps(optimizer, 1)
    before = [p.numpy().copy() for p in optimizer.param_groups[0].params]
    take_steps(copy.deepcopy(optimizer), 1)
    for one, other in zip(optimizer.param_groups[0].params, before, strict=True):
        np.testing.assert_array_equal(one.numpy(), other)


def test_in_a_compiled_step_it_is_part_of_the_program() -> None:
    optimizer = made("SGD", {"lr": 0.1}, fused=True)
    weight, _ = optimizer.param_groups[0].params

    @cp.compile
    def step() -> Any:
        optimizer.zero_grad()
        loss = (weight * weight).sum()
        loss.backward()
        optimizer.step()
        return loss

    losses = [step().item() for _ in range(3)]
    assert losses[2] < losses[0]
    assert optimizer._fused_update is None


def test_it_is_true_or_false() -> None:
    with pytest.raises(UsageError, match="fused"):
        optim.Adam(parameters(), fused="yes")  # type: ignore[arg-type]
