"""Schedules: what PyTorch cannot be asked for. That their rates are PyTorch's stands in `test_against_torch.py`."""

from __future__ import annotations

import json
import math
from functools import partial
from typing import Any

import numpy as np
import pytest

import clearprop as cp
from clearprop import optim
from clearprop.errors import DataError, UsageError
from clearprop.optim import lr_scheduler


def sgd(*rates: float, **settings: Any) -> optim.SGD:
    return optim.SGD([{"params": [cp.Parameter([1.0])], "lr": rate} for rate in rates or (1.0,)], **settings)


def rates(scheduler: Any, epochs: int) -> list[float]:
    found = []
    for _ in range(epochs):
        found.append(scheduler.optimizer.param_groups[0]["lr"])
        scheduler.step()
    return found


def test_a_rate_that_the_user_changes_is_gone_on_from() -> None:
    optimizer = sgd(1.0)
    scheduler = lr_scheduler.StepLR(optimizer, step_size=2, gamma=0.5)
    scheduler.step()
    optimizer.param_groups[0]["lr"] = 0.1
    scheduler.step()
    scheduler.step()
    assert scheduler.get_last_lr() == [0.05]


def test_schedules_of_one_optimizer_start_from_its_first_rate() -> None:
    optimizer = sgd(1.0)
    first = lr_scheduler.ExponentialLR(optimizer, gamma=0.5)
    for _ in range(3):
        first.step()
    assert optimizer.param_groups[0]["initial_lr"] == 1.0
    assert lr_scheduler.LambdaLR(optimizer, lambda epoch: 0.5).get_last_lr() == [0.5]


def test_closed_forms_do_not_drift() -> None:
    scheduler = lr_scheduler.CosineAnnealingLR(sgd(0.3), T_max=2000)
    for _ in range(3999):
        scheduler.step()
    assert scheduler.get_last_lr() == [0.3 * (1.0 + math.cos(math.pi * 3999 / 2000)) / 2.0]


def test_warm_up_and_cosine_as_pytorch_users_write_it() -> None:
    optimizer = sgd(1.0)
    warm_up = lr_scheduler.LinearLR(optimizer, start_factor=0.2, total_iters=4)
    cosine = lr_scheduler.CosineAnnealingLR(optimizer, T_max=4)
    found = rates(lr_scheduler.SequentialLR(optimizer, [warm_up, cosine], milestones=[4]), 9)
    half = (1.0 + math.cos(math.pi / 4.0)) / 2.0
    np.testing.assert_allclose(found, [0.2, 0.4, 0.6, 0.8, 1.0, half, 0.5, 1.0 - half, 0.0], atol=1e-15)


def test_restarts_can_be_stepped_by_fractions_of_an_epoch() -> None:
    by_fractions, by_epochs = (
        lr_scheduler.CosineAnnealingWarmRestarts(sgd(1.0), T_0=2, T_mult=3) for _ in range(2)
    )  # fmt: skip
    for epoch in range(12):
        by_fractions.step(epoch + 0.5)
        assert by_fractions.last_epoch == epoch
        by_fractions.step(epoch + 1)
        by_epochs.step()
        assert by_fractions.get_last_lr() == by_epochs.get_last_lr()
        assert (by_fractions.T_cur, by_fractions.T_i) == (by_epochs.T_cur, by_epochs.T_i)
    by_fractions.step(5.0)  # 3 of 6 epochs of the second cosine
    np.testing.assert_allclose(by_fractions.get_last_lr(), [0.5])


def test_a_last_epoch_begins_with_the_one_after_it() -> None:
    whole = lr_scheduler.PolynomialLR(sgd(0.5, 0.1), total_iters=9, power=2.0)
    for _ in range(5):
        whole.step()
    optimizer = sgd(0.01, 0.01)
    optimizer.load_state_dict(whole.optimizer.state_dict())
    resumed = lr_scheduler.PolynomialLR(optimizer, total_iters=9, power=2.0, last_epoch=4)
    assert resumed.last_epoch == whole.last_epoch
    assert resumed.get_last_lr() == whole.get_last_lr()
    with pytest.raises(UsageError, match="last_epoch=4, but the groups have no initial_lr"):
        lr_scheduler.StepLR(sgd(0.1), 3, last_epoch=4)


def test_one_cycle_ends() -> None:
    scheduler = lr_scheduler.OneCycleLR(sgd(0.1), max_lr=1.0, total_steps=4, anneal_strategy="linear")
    for _ in range(4):
        scheduler.step()
    assert scheduler.get_last_lr() == scheduler.min_lrs
    with pytest.raises(UsageError, match="OneCycleLR: step 5 of 4"):
        scheduler.step()


@pytest.mark.parametrize("total", [1, 2, 10])
def test_one_cycle_with_phases_of_no_length(total: int) -> None:
    found = rates(lr_scheduler.OneCycleLR(sgd(0.1), max_lr=1.0, total_steps=total, pct_start=0.1), total)
    assert found[-1] == pytest.approx(1.0 / 25.0 / 1e4)


def test_momentum_is_left_alone_if_it_is_not_to_cycle() -> None:
    optimizer = sgd(0.1, momentum=0.7)
    scheduler = lr_scheduler.OneCycleLR(optimizer, max_lr=1.0, total_steps=4, cycle_momentum=False)
    scheduler.step()
    assert optimizer.param_groups[0]["momentum"] == 0.7
    adagrad = optim.Adagrad([cp.Parameter([1.0])])
    lr_scheduler.OneCycleLR(adagrad, max_lr=1.0, total_steps=4, cycle_momentum=False)
    with pytest.raises(UsageError, match="Adagrad has neither momentum nor betas to cycle"):
        lr_scheduler.OneCycleLR(adagrad, max_lr=1.0, total_steps=4)


def test_schedules_inside_schedules() -> None:
    """A sequence as the second part of a sequence, and a chain there: neither works in PyTorch."""
    optimizer = sgd(1.0)

    def exponential(gamma: float) -> Any:
        return lr_scheduler.ExponentialLR(optimizer, gamma)

    inner = lr_scheduler.SequentialLR(optimizer, [exponential(0.5), exponential(2.0)], milestones=[2])
    chain = lr_scheduler.ChainedScheduler([exponential(0.5), lr_scheduler.ConstantLR(optimizer, 0.25, 1)])
    outer = lr_scheduler.SequentialLR(optimizer, [exponential(3.0), inner, chain], milestones=[2, 5])
    assert rates(outer, 8) == [1.0, 3.0, 1.0, 0.5, 1.0, 0.25, 0.5, 0.25]
    state = json.loads(json.dumps(outer.state_dict()))
    outer.step()
    expected = outer.get_last_lr()
    outer.load_state_dict(state)
    outer.step()
    assert outer.get_last_lr() == expected


def test_plateau_takes_tensors_and_keeps_within_its_limits() -> None:
    optimizer = sgd(1.0, 0.2)
    scheduler = lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.5, patience=0, min_lr=[0.4, 0.0], eps=0.15)
    for loss in (1.0, 1.0, 1.0, 1.0):
        scheduler.step(cp.tensor(loss))
    assert scheduler.get_last_lr() == [0.5, 0.2]
    assert (scheduler.best, scheduler.last_epoch) == (1.0, 4)


def test_a_schedule_shows_its_settings() -> None:
    optimizer = sgd(1.0)
    warm_up = lr_scheduler.LinearLR(optimizer, 0.5)
    by_function = lr_scheduler.LambdaLR(optimizer, math.exp)
    assert repr(lr_scheduler.SequentialLR(optimizer, [warm_up, by_function], [5])) == (
        "SequentialLR(schedulers=[LinearLR(start_factor=0.5, end_factor=1.0, total_iters=5), "
        "LambdaLR(lr_lambdas=[exp])], milestones=[5])"
    )


def test_a_schedule_by_a_partial_function_shows_no_address() -> None:
    """Such words are compared when a run is resumed in another process."""
    schedule = lr_scheduler.LambdaLR(sgd(1.0), partial(pow, 0.9, mod=None))
    assert repr(schedule) == "LambdaLR(lr_lambdas=[pow(0.9, mod=None)])"


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda o: lr_scheduler.StepLR(o, 0), r"StepLR: step_size=0\nTry: a whole number, from 1 on"),
        (lambda o: lr_scheduler.StepLR(o, 2.5), "step_size=2.5"),
        (lambda o: lr_scheduler.StepLR(o, 2, gamma=-1.0), r"gamma=-1\.0\nTry: a number from 0 on"),
        (lambda o: lr_scheduler.StepLR(o, 2, last_epoch=-2), "last_epoch=-2"),
        (lambda o: lr_scheduler.MultiStepLR(o, 30), "MultiStepLR: milestones=30"),
        (lambda o: lr_scheduler.MultiStepLR(o, [30, 1.5]), r"milestones=\[30, 1.5\]"),
        (lambda o: lr_scheduler.MultiStepLR(o, [-1]), r"milestones=\[-1\]"),
        (lambda o: lr_scheduler.ConstantLR(o, factor=1.5), r"factor=1\.5\nTry: a number from 0 to 1"),
        (lambda o: lr_scheduler.LinearLR(o, start_factor=0.0), r"start_factor=0\.0\nTry: a number above 0, at most 1"),
        (lambda o: lr_scheduler.LinearLR(o, end_factor=2), "end_factor=2"),
        (lambda o: lr_scheduler.ExponentialLR(o, gamma=math.inf), "gamma=inf"),
        (lambda o: lr_scheduler.ExponentialLR(o, gamma="half"), "gamma='half'"),
        (lambda o: lr_scheduler.PolynomialLR(o, power=math.nan), "power=nan"),
        (lambda o: lr_scheduler.CosineAnnealingLR(o, 0), "T_max=0"),
        (lambda o: lr_scheduler.CosineAnnealingLR(o, 3, eta_min=-0.1), "eta_min=-0.1"),
        (lambda o: lr_scheduler.CosineAnnealingLR(0.1, T_max=3), "0.1 is not an optimizer"),
        (lambda o: lr_scheduler.CosineAnnealingWarmRestarts(o, 3, T_mult=1.5), "T_mult=1.5"),
        (lambda o: lr_scheduler.CosineAnnealingWarmRestarts(o, 3).step(-1.0), "epoch=-1.0"),
        (lambda o: lr_scheduler.LambdaLR(o, [abs, abs]), "2 functions for 1 groups"),
        (lambda o: lr_scheduler.LambdaLR(o, 0.5), "lr_lambda=0.5"),
        (lambda o: lr_scheduler.LambdaLR(o, lambda epoch: -1.0), r"LambdaLR: lr_lambda\(0\)=-1\.0"),
        (lambda o: lr_scheduler.LambdaLR(o, lambda epoch: None), r"LambdaLR: lr_lambda\(0\)=None"),
        (lambda o: lr_scheduler.MultiplicativeLR(o, lambda epoch: math.nan).step(), r"lr_lambda\(1\)=nan"),
        (lambda o: lr_scheduler.CyclicLR(o, [0.1, 0.2], 1.0), "base_lr has 2 numbers for 1 groups"),
        (lambda o: lr_scheduler.CyclicLR(o, 0.1, 1.0, mode="square"), "mode='square'"),
        (lambda o: lr_scheduler.CyclicLR(o, 0.1, 1.0, scale_mode="step"), "scale_mode='step'"),
        (lambda o: lr_scheduler.CyclicLR(o, 0.1, 1.0, max_momentum=-0.5), "max_momentum=-0.5"),
        (lambda o: lr_scheduler.OneCycleLR(o, 0.1), "how many steps will there be"),
        (lambda o: lr_scheduler.OneCycleLR(o, 0.1, epochs=3), "how many steps will there be"),
        (lambda o: lr_scheduler.OneCycleLR(o, 0.1, total_steps=0), "total_steps=0"),
        (lambda o: lr_scheduler.OneCycleLR(o, 0.1, 9, pct_start=1.5), "pct_start=1.5"),
        (lambda o: lr_scheduler.OneCycleLR(o, 0.1, 9, div_factor=0.0), r"div_factor=0\.0\nTry: a number above 0"),
        (lambda o: lr_scheduler.OneCycleLR(o, 0.1, 9, anneal_strategy="cosine"), "anneal_strategy='cosine'"),
        (lambda o: lr_scheduler.ReduceLROnPlateau(o, "least"), "mode='least'"),
        (lambda o: lr_scheduler.ReduceLROnPlateau(o, factor=1.0), r"factor=1\.0\nTry: a number below 1"),
        (lambda o: lr_scheduler.ReduceLROnPlateau(o, patience=-1), "patience=-1"),
        (lambda o: lr_scheduler.ReduceLROnPlateau(o, threshold_mode="percent"), "threshold_mode='percent'"),
        (lambda o: lr_scheduler.ReduceLROnPlateau(o, min_lr=[0.1, 0.2]), "min_lr has 2 numbers for 1 groups"),
        (lambda o: lr_scheduler.ReduceLROnPlateau(o).step(), r"step\(\) is given no figure"),
        (lambda o: lr_scheduler.ReduceLROnPlateau(o).step("low"), r"step\('low'\) is given no figure"),
        (lambda o: lr_scheduler.SequentialLR(o, [], []), "schedulers="),
        (lambda o: lr_scheduler.SequentialLR(o, [lr_scheduler.StepLR(o, 3)], [3]), r"milestones=\[3\] for 1 schedules"),
        (lambda o: lr_scheduler.SequentialLR(o, [lr_scheduler.StepLR(o, 3)] * 3, [5, 5]), r"milestones=\[5, 5\]"),
        (lambda o: lr_scheduler.SequentialLR(o, [lr_scheduler.StepLR(o, 3)] * 2, [2.5]), r"milestones=\[2.5\]"),
        (
            lambda o: lr_scheduler.SequentialLR(sgd(), [lr_scheduler.StepLR(o, 3)], []),
            "StepLR is a schedule of another",
        ),
        (lambda o: lr_scheduler.SequentialLR(o, [lr_scheduler.ReduceLROnPlateau(o)], []), "needs a figure"),
        (lambda o: lr_scheduler.ChainedScheduler([o]), "is not a schedule"),
        (lambda o: lr_scheduler.ChainedScheduler(lr_scheduler.StepLR(o, 3)), "a list of schedules"),
    ],
)
def test_wrong_arguments(make: Any, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        make(sgd())


def test_settings_may_be_numpys() -> None:
    scheduler = lr_scheduler.MultiStepLR(sgd(), np.array([1, 2]), gamma=np.float32(0.5))
    assert rates(scheduler, 3) == [1.0, 0.5, 0.25]
    assert json.loads(json.dumps(scheduler.state_dict()))["last_lr"] == [0.25]


def test_a_group_that_is_added_needs_another_schedule() -> None:
    optimizer = sgd()
    scheduler = lr_scheduler.StepLR(optimizer, 1)
    optimizer.add_param_group({"params": [cp.Parameter([1.0])]})
    with pytest.raises(UsageError, match="has 2 groups of parameters now; the schedule was made for 1"):
        scheduler.step()
    assert scheduler.last_epoch == 0


def test_state_that_does_not_fit_changes_nothing() -> None:
    scheduler = lr_scheduler.ExponentialLR(sgd(1.0), gamma=0.5)
    scheduler.step()
    for saved, words in (
        (lr_scheduler.StepLR(sgd(), 3).state_dict(), "ExponentialLR: this state is of a StepLR"),
        (lr_scheduler.ExponentialLR(sgd(1.0, 2.0), 0.5).state_dict(), "is of 2 groups of parameters"),
        ({"last_epoch": 3}, "it lacks base_lrs, last_lr, schedule"),
        (None, "it is a NoneType"),
    ):
        with pytest.raises(DataError, match=words):
            scheduler.load_state_dict(saved)  # type: ignore[arg-type]
    assert (scheduler.last_epoch, scheduler.get_last_lr()) == (1, [0.5])
    both = lr_scheduler.ChainedScheduler([scheduler, lr_scheduler.StepLR(scheduler.optimizer, 3)])
    with pytest.raises(DataError, match="of 1 schedules, not of 2"):
        both.load_state_dict(lr_scheduler.ChainedScheduler([scheduler]).state_dict())
    other = lr_scheduler.ChainedScheduler([lr_scheduler.StepLR(sgd(), 3)] * 2)
    with pytest.raises(DataError, match="ExponentialLR: this state is of a StepLR"):
        both.load_state_dict(other.state_dict())


def test_a_schedule_of_ones_own() -> None:
    class Inverse(lr_scheduler.LRScheduler):
        def get_lr(self) -> list[float]:
            return [base / (1 + self.last_epoch) for base in self.base_lrs]

    optimizer = sgd(1.0)
    scheduler = lr_scheduler.SequentialLR(optimizer, [Inverse(optimizer), Inverse(optimizer)], [2])
    assert rates(scheduler, 4) == [1.0, 0.5, 1.0, 0.5]
    with pytest.raises(NotImplementedError, match="LRScheduler needs a method get_lr"):
        lr_scheduler.LRScheduler(optimizer)
