"""Several trials from different first weights, and their votes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.train.small import assert_same_weights, weights
from tests.train.test_cross_validation import CtrlC, build, dataset

import clearprop as cp
from clearprop import train
from clearprop.data import DataLoader
from clearprop.errors import UsageError
from clearprop.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn


def tried(**more: Any) -> train.Trials:
    settings = {"epochs": 3, "n": 3, "metrics": ["accuracy"], "compile": False, "progress": False}
    return train.trials(more.pop("build", build), dataset(), **settings | more)


def test_each_is_an_ordinary_training_with_a_seed_of_its_own() -> None:
    result = tried(seed=4, validation=dataset(30))
    for place, (model, history) in enumerate(zip(result.models, result.histories, strict=True)):
        cp.random.seed(4 + place)
        plan = build()
        own = train.fit(
            plan.model, DataLoader(dataset(), 16, shuffle=True, seed=4 + place), loss=plan.loss, epochs=3,
            optimizer=plan.optimizer, validation=DataLoader(dataset(30), 256), metrics=["accuracy"], compile=False,
            progress=False,
        )  # fmt: skip
        assert_same_weights(weights(model), weights(plan.model))
        np.testing.assert_array_equal(history.column("val_loss"), own.column("val_loss"))
        assert not model.training


def test_mean_and_standard_deviation_of_the_figures() -> None:
    result = tried(validation=dataset(30))
    last = [history.epochs[-1]["val_loss"] for history in result.histories]
    assert result.figures["val_loss"] == (np.mean(last), np.std(last, ddof=1))
    assert list(result.figures) == ["loss", "accuracy", "val_loss", "val_accuracy"]
    lines = str(result).splitlines()
    assert [line.split()[0] for line in lines] == ["trial", "1", "2", "3", "mean", "±"]
    assert "3, val_accuracy" in repr(result)
    assert result._repr_html_().count("<tr>") == 6
    assert tried(n=1).figures["loss"][1] == 0.0


def test_early_stopping_says_which_epoch_counts() -> None:
    def plan() -> train.Plan:
        made = build(64, 0.05)
        made.callbacks = [train.EarlyStopping(patience=None)]
        return made

    result = tried(build=plan, epochs=12, n=2, validation=dataset(30))
    lowest = [history.column("val_loss").min() for history in result.histories]
    assert result.figures["val_loss"][0] == pytest.approx(np.mean(lowest))


def test_averages_of_the_weights_are_measured_and_kept(tmp_path: Path) -> None:
    def plan() -> train.Plan:
        made = build()
        made.evaluated = AveragedModel(made.model, multi_avg_fn=get_ema_multi_avg_fn(0.9))
        made.callbacks = [train.AverageWeights(made.evaluated, validate=True)]
        return made

    settings = {"build": plan, "validation": dataset(30), "n": 2, "folder": tmp_path}
    for result in (tried(**settings), tried(**settings)):  # the second time they are read
        model, history = result.models[1], result.histories[1]
        assert isinstance(model, AveragedModel)
        found = train.evaluate(model, DataLoader(dataset(30), 64), loss=cp.nn.CrossEntropyLoss()).metrics["loss"]
        assert history.epochs[-1]["val_loss"] == pytest.approx(found, rel=1e-5)


@pytest.mark.parametrize("vote", ["mean", "probabilities", "majority"])
def test_together_they_are_no_worse_than_on_the_mean(vote: Any) -> None:
    """The loss of the mean of probabilities, or of logits, is at most the mean of the losses, for it is convex."""
    result = tried(n=4)
    test = DataLoader(dataset(60), 64)
    loss = cp.nn.CrossEntropyLoss()
    single = [train.evaluate(model, test, loss=loss, metrics=["accuracy"]).metrics for model in result.models]
    together = train.evaluate(result.ensemble(vote), test, loss=loss, metrics=["accuracy"]).metrics
    if vote != "majority":
        assert together["loss"] <= np.mean([one["loss"] for one in single])
    assert together["accuracy"] >= np.mean([one["accuracy"] for one in single]) - 0.02


def test_interrupted_trials_go_on_also_with_more_of_them(tmp_path: Path) -> None:
    with pytest.raises(train.TrainingInterrupted, match=r"1 of 3 trials are done[\s\S]*trials\(\.\.\., folder="):
        tried(build=CtrlC(25).build, folder=tmp_path)
    result, whole = tried(n=4, build=CtrlC(-1).build, folder=tmp_path), tried(n=4)
    for one, other in zip(result.models, whole.models, strict=True):
        assert_same_weights(weights(one), weights(other))


@pytest.mark.parametrize("more", [{"n": 0}, {"n": 2.5}, {"validation": 3}, {"epochs": 0}, {"build": 7}])
def test_arguments_that_make_no_sense(more: Any) -> None:
    with pytest.raises(UsageError, match="trials"):
        tried(**more)
