"""Whole training runs and schedules against PyTorch's recorded ones, in float64; clipping too.

What is run stands in `tests/reference/optimizers`. Where torch is installed, the record is made again.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.reference.optimizers import cases
from tests.reference.optimizers.cases import EPOCHS, START, STEPS, Schedule, Trajectory

import clearprop as cp
from clearprop import nn, optim

FIGURES = Path(__file__).parents[1] / "reference" / "optimizers" / "figures"
TRAJECTORIES, SCHEDULES = cases.trajectories(), cases.schedules()


@cache
def recorded(topic: str) -> dict[str, Any]:
    lines = [json.loads(line) for line in (FIGURES / f"{topic}.jsonl").read_text().splitlines()]
    return {line["case"]: line for line in lines}


class Run(cases.Run):
    """The training run that `record.py` lets PyTorch do."""

    def __init__(self, case: Trajectory) -> None:
        self.weight, self.b = (cp.Parameter(START[name], name=name) for name in ("weight", "bias"))
        super().__init__(optim, case, self.weight, self.b)

    def next(self, number: int) -> None:
        x, y = cases.batch(number)
        self.step(number, cp.functional.mse_loss(cp.tanh(x @ self.weight + self.b), y))


@pytest.mark.parametrize("case", TRAJECTORIES, ids=Trajectory.label)
def test_trajectory_is_torchs(case: Trajectory) -> None:
    run, points = Run(case), iter(recorded("trajectories")[case.label()]["points"])
    for step in range(STEPS):
        run.next(step)
        if step in case.points():
            point = next(points)
            np.testing.assert_allclose(run.weight.numpy(), point["weight"], rtol=1e-9, err_msg=f"step {step}")
            np.testing.assert_allclose(run.b.numpy(), point["bias"], rtol=1e-9, err_msg=f"step {step}")


@pytest.mark.parametrize("case", TRAJECTORIES, ids=Trajectory.label)
def test_a_run_that_is_saved_and_resumed_is_the_same_to_the_bit(case: Trajectory, tmp_path: Path) -> None:
    whole, first, second = Run(case), Run(case), Run(case)
    for step in range(20):
        whole.next(step)
    for step in range(8):
        first.next(step)
    if case.bias_added_at:
        second.optimizer.add_param_group({"params": [second.b], **(case.bias or {})})
    saved = first.optimizer.state_dict()
    cp.save(tmp_path / "state.safetensors", saved["state"])
    text = json.dumps(saved["param_groups"])
    second.weight.assign(first.weight.value)
    second.b.assign(first.b.value)
    second.optimizer.load_state_dict(
        {"state": cp.load(tmp_path / "state.safetensors"), "param_groups": json.loads(text)}
    )
    if first.scheduler is not None:
        second.scheduler.load_state_dict(json.loads(json.dumps(first.scheduler.state_dict())))
    for step in range(8, 20):
        second.next(step)
    np.testing.assert_array_equal(second.weight.numpy(), whole.weight.numpy())
    np.testing.assert_array_equal(second.b.numpy(), whole.b.numpy())


@pytest.mark.parametrize("case", SCHEDULES, ids=Schedule.label)
def test_schedule_is_torchs(case: Schedule) -> None:
    expected = recorded("schedules")[case.label()]
    found = cases.follow(optim, case, [cp.Parameter([0.0]) for _ in case.rates])
    # Some of PyTorch's cosines drift: it computes each rate from the one before.
    np.testing.assert_allclose(found["rates"], expected["rates"], rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(found["momenta"], expected["momenta"], rtol=1e-12)


@pytest.mark.parametrize("case", SCHEDULES, ids=Schedule.label)
def test_a_schedule_goes_on_from_its_state_alone(case: Schedule) -> None:
    """It sets learning rates and momenta as they were; the optimizer's own state is not needed for them."""

    def make() -> Any:
        settings = {"momentum": 0.9} if case.optimizer == "SGD" else {}
        groups = [{"params": [cp.Parameter([0.0])], "lr": rate} for rate in case.rates]
        return cases.make_schedule(optim, getattr(optim, case.optimizer)(groups, **settings), case.spec)

    def settings(scheduler: Any) -> list[Any]:
        return [dict(group, params=None) for group in scheduler.optimizer.param_groups]

    first, figures = make(), cases.plateau_figures(case.figures) if case.figures else []
    for epoch in range(EPOCHS):
        if epoch in (0, 1, 9, 30):
            second = make()
            second.load_state_dict(json.loads(json.dumps(first.state_dict())))
            assert settings(second) == settings(first)
            assert second.state_dict() == first.state_dict() or case.figures == "nan"
        for scheduler in (first, second):
            scheduler.step(*figures[epoch : epoch + 1])
        assert settings(second) == settings(first)


@pytest.mark.parametrize("label", recorded("clipping"))
def test_clipping_is_torchs(label: str) -> None:
    case = recorded("clipping")[label]
    parameters = [cp.Parameter(np.zeros_like(np.array(g))) for g in case["gradients"]]
    for parameter, g in zip(parameters, case["gradients"], strict=True):
        parameter.grad = cp.tensor(np.array(g))
    norm = nn.utils.clip_grad_norm_(parameters, case["max_norm"], float(case["norm_type"]))
    np.testing.assert_allclose(norm.item(), case["norm"], rtol=1e-12)
    for parameter, expected in zip(parameters, case["clipped"], strict=True):
        np.testing.assert_allclose(parameter.grad.numpy(), expected, rtol=1e-12)


@pytest.mark.parametrize("topic", ["trajectories", "schedules", "clipping"])
def test_the_record_is_what_torch_computes_here(topic: str) -> None:
    pytest.importorskip("torch", reason="torch is not installed: its recorded figures are taken as they are")
    from tests.reference.optimizers.record import figures

    live = {line["case"]: line for line in json.loads(json.dumps(figures(topic)))}
    assert live.keys() == recorded(topic).keys()
    for label, line in live.items():
        compare(line, recorded(topic)[label], label)


def compare(live: Any, expected: Any, place: str) -> None:
    if isinstance(expected, dict):
        assert live.keys() == expected.keys(), place
        for key in expected:
            compare(live[key], expected[key], f"{place}: {key}")
    elif isinstance(expected, list) and isinstance(expected[0], (dict, list)):
        assert len(live) == len(expected), place
        for i, (one, other) in enumerate(zip(live, expected, strict=True)):
            compare(one, other, f"{place}[{i}]")
    elif isinstance(expected, (list, float)):
        np.testing.assert_allclose(
            np.array(live, float), np.array(expected, float), rtol=1e-10, atol=1e-14, err_msg=place
        )
    else:
        assert live == expected, place
