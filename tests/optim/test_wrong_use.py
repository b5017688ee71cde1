"""Gradients, states and settings that are not what an optimizer can work with: one clear error with a hint."""

from __future__ import annotations

import math
from typing import Any

import pytest

import clearprop as cp
from clearprop import nn, optim
from clearprop.errors import DataError, DTypeError, ShapeError, UsageError
from clearprop.optim import lr_scheduler, swa_utils

OPTIMIZERS = [optim.SGD, optim.Adam, optim.AdamW, optim.RMSprop, optim.Adagrad, optim.Adadelta, optim.Lion, optim.NAdam]


def parameter() -> cp.Parameter:
    return cp.Parameter(cp.zeros((2, 3)))


@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_a_gradient_that_would_be_broadcast(kind: Any) -> None:
    held = parameter()
    optimizer = kind([held], lr=0.1)
    held.grad = cp.ones(3)
    with pytest.raises(ShapeError, match=r"has shape \(2, 3\), its gradient has shape \(3,\)[\s\S]*Try: "):
        optimizer.step()
    held.grad = cp.ones((2, 3), dtype=cp.float64)
    with pytest.raises(DTypeError, match=r"is float32, its gradient is float64"):
        optimizer.step()
    held.grad = "steep"  # type: ignore[assignment]
    with pytest.raises(UsageError, match="the gradient of a parameter is a str"):
        optimizer.step()
    assert not held.numpy().any()


def test_what_is_no_state() -> None:
    optimizer = optim.SGD([parameter()], lr=0.1)
    state = optimizer.state_dict()
    for wrong in ({**state, "param_groups": None}, {**state, "state": []}):
        with pytest.raises(DataError, match=r"state and param_groups are[\s\S]*Try: optimizer.state_dict\(\)"):
            optimizer.load_state_dict(wrong)


def test_a_closure_that_cannot_be_called() -> None:
    with pytest.raises(UsageError, match="closure is 3"):
        optim.SGD([parameter()], lr=0.1).step(3)  # type: ignore[arg-type]


def test_a_setting_that_there_is_not() -> None:
    with pytest.raises(KeyError, match="SGD has no setting 'learning_rate'; it has lr"):
        optim.SGD([parameter()], lr=0.1).param_groups[0]["learning_rate"]


def test_a_cycle_whose_height_is_no_function() -> None:
    with pytest.raises(UsageError, match="CyclicLR: scale_fn is 3"):
        lr_scheduler.CyclicLR(optim.SGD([parameter()], lr=0.1, momentum=0.9), 0.1, 1.0, scale_fn=3)  # type: ignore[arg-type]


def test_averages_by_what_is_no_function() -> None:
    with pytest.raises(UsageError, match=r"AveragedModel: multi_avg_fn is 0\.9"):
        swa_utils.AveragedModel(nn.Linear(1, 1), multi_avg_fn=0.9)  # type: ignore[arg-type]


class TestMeasuringStatisticsAnew:
    def test_there_are_no_batches(self) -> None:
        model = nn.BatchNorm1d(1)
        model(cp.asarray([[1.0], [3.0]]))
        before = model.state_dict()
        with pytest.raises(DataError, match="update_bn: there are no batches"):
            swa_utils.update_bn([], model)
        assert all((model.state_dict()[name] == value).item() for name, value in before.items())

    def test_a_batch_that_does_not_fit_changes_nothing(self) -> None:
        model = nn.BatchNorm1d(1)
        model(cp.asarray([[1.0], [3.0]]))
        mean = model.running_mean
        assert mean is not None
        before = mean.value.item()
        with pytest.raises(ShapeError):
            swa_utils.update_bn([cp.zeros((4, 1)), cp.zeros((4, 2))], model)
        assert mean.value.item() == before
        assert model.momentum == 0.1

    def test_what_is_no_loader_and_what_is_no_network(self) -> None:
        with pytest.raises(UsageError, match="the loader is a NoneType"):
            swa_utils.update_bn(None, nn.BatchNorm1d(1))  # type: ignore[arg-type]
        with pytest.raises(UsageError, match="update_bn: the model is a int"):
            swa_utils.update_bn([], 3)  # type: ignore[arg-type]


@pytest.mark.parametrize("limit", [-1, math.nan, "a", None])
def test_a_limit_for_gradients_that_is_none(limit: Any) -> None:
    with pytest.raises(UsageError, match="clip_grad_norm_: max_norm="):
        nn.utils.clip_grad_norm_([parameter()], limit)
    with pytest.raises(UsageError, match="clip_grad_value_: clip_value="):
        nn.utils.clip_grad_value_([parameter()], limit)


def test_the_largest_absolute_value_by_its_name() -> None:
    held = parameter()
    held.grad = cp.asarray([[1.0, -4.0, 0.0], [0.0, 2.0, 0.0]])
    assert nn.utils.clip_grad_norm_([held], 10.0, norm_type="inf").item() == 4.0
