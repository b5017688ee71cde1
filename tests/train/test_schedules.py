"""Schedules and averages inside `fit`: what they are given, and that a resumed run goes on with them to the bit."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.train import small
from tests.train.small import EPOCHS, StopAtStep, assert_same_weights, checkpoint, fit, weights

from clearprop import nn, optim, train
from clearprop.errors import UsageError
from clearprop.optim import lr_scheduler
from clearprop.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

STEPS = 15 * EPOCHS


def plateau(optimizer: Any, **settings: Any) -> Any:
    return lr_scheduler.ReduceLROnPlateau(optimizer, **{"factor": 0.5, "patience": 0, **settings})


def warm_up_and_cosine(optimizer: Any) -> Any:
    parts = [
        lr_scheduler.LinearLR(optimizer, start_factor=0.1, total_iters=10),
        lr_scheduler.CosineAnnealingLR(optimizer, T_max=STEPS - 10),
    ]
    return lr_scheduler.SequentialLR(optimizer, parts, milestones=[10])


SCHEDULES: dict[str, tuple[Callable[[Any], Any], dict[str, Any]]] = {
    "plateau": (lambda o: plateau(o, threshold=0.2), {"schedule": "epoch"}),
    "plateau of an accuracy": (
        lambda o: plateau(o, mode="max", threshold=0.05, cooldown=1),
        {"schedule": "epoch", "monitor": "val_accuracy"},
    ),
    "warm-up and cosine": (warm_up_and_cosine, {"schedule": "step"}),
    "one cycle": (lambda o: lr_scheduler.OneCycleLR(o, max_lr=0.05, total_steps=STEPS), {"schedule": "step"}),
    "chain": (
        lambda o: lr_scheduler.ChainedScheduler(
            [lr_scheduler.ExponentialLR(o, 0.9), lr_scheduler.CosineAnnealingWarmRestarts(o, 2)]
        ),
        {"schedule": "epoch"},
    ),
}


def arguments(name: str) -> dict[str, Any]:
    made = small.make()
    make, more = SCHEDULES[name]
    return made | more | {"scheduler": make(made["optimizer"]), "callbacks": []}


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("step", [29, 30])  # in an epoch, and at its end
def test_a_resumed_run_is_the_same_to_the_bit(name: str, step: int, tmp_path: Path) -> None:
    whole = arguments(name)
    expected = fit(whole)
    broken = arguments(name)
    with pytest.raises(ZeroDivisionError):
        fit(broken, checkpoint=checkpoint(tmp_path), callbacks=[StopAtStep(step)])
    resumed = arguments(name)
    found = fit(resumed, resume=tmp_path / "checkpoint.safetensors", callbacks=[StopAtStep(10**6)])
    assert small.figures(found) == small.figures(expected)
    assert_same_weights(weights(resumed["model"]), weights(whole["model"]))
    assert resumed["scheduler"].state_dict() == whole["scheduler"].state_dict()
    assert resumed["optimizer"].param_groups[0]["betas"] == whole["optimizer"].param_groups[0]["betas"]


def test_used_objects_can_be_resumed_with() -> None:
    """What a schedule has changed, a momentum too, does not make it another run."""
    made = arguments("one cycle")
    run = train.Run(made["model"], made["data"], **{
        key: made[key] for key in ("loss", "optimizer", "epochs", "scheduler", "schedule")
    })  # fmt: skip
    run.identify()
    before = run.state_dict()["identity"]
    for _ in range(5):
        made["scheduler"].step()
    run.identify()
    assert run.state_dict()["identity"] == before


def test_a_checkpoint_of_another_schedule_is_refused(tmp_path: Path) -> None:
    fit(arguments("plateau"), checkpoint=tmp_path / "checkpoint.safetensors", epochs=1)
    for name, words in (
        ("plateau of an accuracy", "mode='max'.*looks at val_accuracy"),
        ("warm-up and cosine", r"now SequentialLR\(schedulers=\[LinearLR\(start_factor=0.1"),
    ):
        with pytest.raises(UsageError, match=words):
            fit(arguments(name), resume=tmp_path / "checkpoint.safetensors")


def test_a_plateau_is_given_the_figure_of_each_epoch() -> None:
    seen: list[float] = []

    class Watched(lr_scheduler.ReduceLROnPlateau):
        def step(self, metrics: Any = None) -> None:
            seen.append(metrics)
            super().step(metrics)

    for monitor, mode in (("val_loss", "min"), ("val_accuracy", "max"), ("loss", "min"), ("accuracy", "max")):
        seen.clear()
        made = small.make(epochs=3)
        made |= {"scheduler": Watched(made["optimizer"], mode), "schedule": "epoch", "monitor": monitor}  # type: ignore[arg-type]
        assert fit(made).column(monitor).tolist() == seen


def test_a_plateau_lowers_the_learning_rate() -> None:
    made = small.make(epochs=5)
    optimizer = made["optimizer"]
    made |= {"scheduler": plateau(optimizer, threshold=100.0, threshold_mode="abs"), "schedule": "epoch"}
    assert fit(made).column("lr").tolist() == [0.02, 0.02, 0.01, 0.005, 0.0025]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"schedule": "step"}, 'looks at the figures of epochs\nTry: schedule="epoch"'),
        (
            {"validation": None},
            r"'val_loss'; the figures of this run are loss, accuracy\nTry: fit\(..., validation=...\)",
        ),
        ({"monitor": "val_f1"}, "'val_f1'; the figures of this run are loss, accuracy, val_loss, val_accuracy"),
        ({"monitor": "val_accuracy"}, "mode='min', but of 'val_accuracy' more is better\nTry: mode='max'"),
    ],
)
def test_a_plateau_without_a_figure_is_refused_before_the_first_step(changes: Any, words: str) -> None:
    made = arguments("plateau") | changes
    before = weights(made["model"])
    with pytest.raises(UsageError, match=words):
        fit(made)
    assert_same_weights(weights(made["model"]), before)


@pytest.mark.parametrize(("schedule", "steps"), [("step", STEPS - 1), ("epoch", EPOCHS - 1)])
def test_a_cycle_shorter_than_the_run_is_refused_before_the_first_step(schedule: Any, steps: int) -> None:
    made = small.make()
    made |= {"scheduler": lr_scheduler.OneCycleLR(made["optimizer"], 0.1, steps), "schedule": schedule}
    with pytest.raises(UsageError, match=rf"OneCycleLR has {steps} steps; the run has {steps + 1}"):
        fit(made)


@pytest.mark.parametrize("each", ["step", "epoch"])
def test_averages_are_gone_on_with(each: Any, tmp_path: Path) -> None:
    def averaging() -> tuple[dict[str, Any], AveragedModel]:
        made = small.make()
        average = AveragedModel(made["model"], multi_avg_fn=get_ema_multi_avg_fn(0.9), use_buffers=True)
        return made | {"callbacks": [train.AverageWeights(average, each)]}, average

    whole, expected = averaging()
    fit(whole)
    assert expected.n_averaged.item() == (STEPS if each == "step" else EPOCHS)
    assert not expected.training
    assert not expected.module.training
    broken, _ = averaging()
    with pytest.raises(ZeroDivisionError):
        fit(broken, checkpoint=checkpoint(tmp_path), callbacks=[*broken["callbacks"], StopAtStep(33)])
    resumed, found = averaging()
    fit(resumed, resume=tmp_path / "checkpoint.safetensors", callbacks=[*resumed["callbacks"], StopAtStep(10**6)])
    assert_same_weights(weights(found), weights(expected))
    assert (weights(found)["module.1.weight"] != weights(resumed["model"])["1.weight"]).any()


def test_averages_of_something_else() -> None:
    model = nn.Linear(1, 1)
    with pytest.raises(UsageError, match="averages nothing"):
        train.AverageWeights(model)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="each='batch'"):
        train.AverageWeights(optim.swa_utils.AveragedModel(model), each="batch")  # type: ignore[arg-type]
