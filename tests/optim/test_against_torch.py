"""Whole training runs against PyTorch's recorded ones, in float64; schedules and clipping too."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import clearprop as cp
from clearprop import nn, optim

FIGURES = json.loads((Path(__file__).parents[1] / "reference" / "torch_figures.json").read_text())
START = {"weight": np.sin(np.arange(6.0)).reshape(3, 2) * 0.8, "bias": np.array([0.1, -0.2])}
STEPS = 100


def batch(step: int) -> tuple[Any, Any]:
    """As in make_torch_figures.py."""
    return np.sin(np.arange(12.0).reshape(4, 3) * 0.7 + step), np.cos(np.arange(8.0).reshape(4, 2) + 0.3 * step)


class Run:
    """The training run that make_torch_figures.py lets PyTorch do."""

    def __init__(self, case: dict[str, Any]) -> None:
        self.bias_from = case["bias_from"]
        self.weight, self.bias = (cp.Parameter(START[name], name=name) for name in ("weight", "bias"))
        groups: Any = [self.weight, self.bias]
        if case["bias_lr"] is not None:
            groups = [{"params": [self.weight]}, {"params": [self.bias], "lr": case["bias_lr"]}]
        self.optimizer = getattr(optim, case["name"])(groups, **case["settings"])
        self.scheduler = None
        if case["schedule"]:
            name, arguments = case["schedule"]
            self.scheduler = getattr(optim.lr_scheduler, name)(self.optimizer, **arguments)

    def step(self, number: int) -> None:
        x, y = batch(number)
        self.optimizer.zero_grad()
        cp.functional.mse_loss(cp.tanh(x @ self.weight + self.bias), y).backward()
        if number < self.bias_from:
            self.bias.grad = None
        self.optimizer.step()
        if self.scheduler is not None:
            self.scheduler.step()


def label(case: dict[str, Any]) -> str:
    extras = {key: case[key] for key in ("bias_from", "bias_lr", "schedule") if case[key]}
    return "-".join([case["name"], *(f"{key}={value}" for key, value in {**case["settings"], **extras}.items())])


@pytest.mark.parametrize("case", FIGURES["trajectories"], ids=label)
def test_trajectory_is_torchs(case: dict[str, Any]) -> None:
    run = Run(case)
    for step in range(STEPS):
        run.step(step)
        point = case["points"].get(str(step))
        if point is not None:
            np.testing.assert_allclose(run.weight.numpy(), point["weight"], rtol=1e-9, err_msg=f"step {step}")
            np.testing.assert_allclose(run.bias.numpy(), point["bias"], rtol=1e-9, err_msg=f"step {step}")


@pytest.mark.parametrize("case", FIGURES["trajectories"], ids=label)
def test_a_run_that_is_saved_and_resumed_is_the_same_to_the_bit(case: dict[str, Any], tmp_path: Path) -> None:
    whole, first, second = Run(case), Run(case), Run(case)
    for step in range(20):
        whole.step(step)
    for step in range(5):
        first.step(step)
    saved = first.optimizer.state_dict()
    cp.save(tmp_path / "state.safetensors", saved["state"])
    text = json.dumps(saved["param_groups"])
    second.weight.assign(first.weight.value)
    second.bias.assign(first.bias.value)
    second.optimizer.load_state_dict(
        {"state": cp.load(tmp_path / "state.safetensors"), "param_groups": json.loads(text)}
    )
    if first.scheduler is not None:
        second.scheduler.load_state_dict(json.loads(json.dumps(first.scheduler.state_dict())))  # type: ignore[union-attr]
    for step in range(5, 20):
        second.step(step)
    np.testing.assert_array_equal(second.weight.numpy(), whole.weight.numpy())
    np.testing.assert_array_equal(second.bias.numpy(), whole.bias.numpy())


@pytest.mark.parametrize("case", FIGURES["schedules"], ids=lambda case: f"{case['name']}-{case['arguments']}")
def test_schedule_is_torchs(case: dict[str, Any]) -> None:
    optimizer = optim.SGD([cp.Parameter([0.0])], lr=case["lr"])
    scheduler = getattr(optim.lr_scheduler, case["name"])(optimizer, **case["arguments"])
    rates = []
    for _ in case["rates"]:
        rates.append(scheduler.get_last_lr()[0])
        scheduler.step()
    np.testing.assert_allclose(rates, case["rates"], rtol=1e-12, atol=1e-16)


@pytest.mark.parametrize("case", FIGURES["clipping"], ids=lambda case: f"{case['norm_type']}-{case['max_norm']}")
def test_clipping_is_torchs(case: dict[str, Any]) -> None:
    parameters = [cp.Parameter(np.zeros_like(np.array(g))) for g in case["gradients"]]
    for parameter, g in zip(parameters, case["gradients"], strict=True):
        parameter.grad = cp.tensor(np.array(g))
    norm = nn.utils.clip_grad_norm_(parameters, case["max_norm"], float(case["norm_type"]))
    np.testing.assert_allclose(norm.item(), case["norm"], rtol=1e-12)
    for parameter, expected in zip(parameters, case["clipped"], strict=True):
        np.testing.assert_allclose(parameter.grad.numpy(), expected, rtol=1e-12)  # type: ignore[union-attr]
