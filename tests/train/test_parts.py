"""The parts of the training room: early stopping, evaluation, states as files."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.train.small import assert_same_weights, fit, make, weights

import clearprop as cp
from clearprop import nn, train
from clearprop.data import DataLoader, digits
from clearprop.errors import DataError, UsageError
from clearprop.train.checkpoint import read_state, write_state
from clearprop.train.pack import pack, unpack

# Evaluation -----------------------------------------------------------------------------------------------------------


def test_evaluation() -> None:
    model = make()["model"]
    loader = DataLoader(digits("test"), batch_size=100)
    result = train.evaluate(model, loader, loss=nn.CrossEntropyLoss(), metrics=["accuracy"], class_names="0123456789")
    assert result.confusion is not None
    assert result.confusion.sum() == result.examples == 355
    assert result.metrics["accuracy"] == np.trace(result.confusion) / 355
    assert model.training  # it was, and is again
    x, y = (cp.asarray(array) for array in digits("test").arrays)
    assert result.metrics["loss"] == pytest.approx(nn.CrossEntropyLoss()(model.eval()(x), y).item(), rel=1e-5)


def test_an_evaluation_that_has_no_answer() -> None:
    loader = DataLoader(digits("test"), batch_size=100)
    with pytest.raises(DataError, match="3 class names, 10 outputs of the network, labels from 0 to 9"):
        train.evaluate(make()["model"], loader, class_names="abc")
    with pytest.raises(DataError, match="has no batches"):
        train.evaluate(make()["model"], [])


# Early stopping -------------------------------------------------------------------------------------------------------


class Script(train.Metric):
    """A metric that says what a test has written."""

    name = "measure"

    def __init__(self, values: list[float]) -> None:
        self.values = values
        self.calls = 0

    def reset(self) -> None:
        self.calls += 1

    def update(self, output: Any, target: Any) -> None:
        pass

    def compute(self) -> float:
        return self.values[min(self.calls, len(self.values)) - 1]


class KeepWeights(train.Callback):
    def __init__(self) -> None:
        self.after: list[dict[str, Any]] = []

    def on_epoch_end(self, run: train.Run) -> None:
        self.after.append(weights(run.model))


@pytest.mark.parametrize(
    ("values", "options", "best", "epochs"),
    [
        ([3, 2, 1, 4, 5, 0], {"patience": 2}, 3, 5),
        ([3, 2, 1, 4, 5, 0], {"patience": 3}, 6, 6),
        ([1, 2, 3, 2, 2, 9], {"patience": 2, "mode": "max"}, 3, 5),
        ([3.0, 2.9, 2.7, 2.6, 2.4, 2.3], {"patience": 2, "min_delta": 0.25}, 5, 6),
        ([math.nan, 2, math.nan, math.nan, 1, 1], {"patience": 2}, 2, 4),
        ([1, 2, 3, 4, 5, 6], {"patience": None}, 1, 6),
        ([2, 2, 2, 2, 2, 2], {"patience": 1}, 1, 2),
    ],
)
def test_early_stopping(values: list[float], options: dict[str, Any], best: int, epochs: int) -> None:
    kept = KeepWeights()
    arguments = make(epochs=6) | {"metrics": [Script(values)], "validation": None}
    arguments["callbacks"] = [kept, train.EarlyStopping("measure", **options)]
    history = fit(arguments)
    assert len(history.epochs) == epochs
    assert (history.best_epoch, history.monitor) == (best, "measure")
    assert_same_weights(weights(arguments["model"]), kept.after[best - 1])
    if epochs < 6:
        assert history.stop_reason.startswith("stopped early, as measure was not better for")
    else:
        assert history.stop_reason == ""


def test_early_stopping_may_keep_the_last_weights() -> None:
    kept = KeepWeights()
    arguments = make(epochs=3) | {"metrics": [Script([1, 2, 3])]}
    fit(arguments, callbacks=[kept, train.EarlyStopping("measure", restore_best=False)])
    assert_same_weights(weights(arguments["model"]), kept.after[-1])


@pytest.mark.parametrize(
    ("monitor", "mode"),
    [("val_loss", "min"), ("val_macro f1", "max"), ("val_auc", "max"), ("val_perplexity", "min"), ("r2_score", "max"),
     ("top-5 accuracy", "max"), ("lossless", "min"), ("rmse", "min")],
)  # fmt: skip
def test_early_stopping_knows_which_way_is_better(monitor: str, mode: str) -> None:
    assert train.EarlyStopping(monitor).mode == mode


def test_early_stopping_that_can_never_stop() -> None:
    with pytest.raises(UsageError, match="patience is 0"):
        train.EarlyStopping(patience=0)
    with pytest.raises(UsageError, match="mode is 'best'"):
        train.EarlyStopping(mode="best")  # type: ignore[arg-type]


# States ---------------------------------------------------------------------------------------------------------------


def test_a_state_comes_back_to_the_bit(tmp_path: Path) -> None:
    state = {
        "weights": {"w": np.array([1.5, -0.0], np.float32), "empty": np.zeros((0, 3)), "flag": np.array(True)},
        "numbers": [1, 2**64 - 1, 0.1, math.inf, -math.inf, None, True, "text"],
        "betas": (0.9, 0.999),
        "by number": {0: {"step": cp.tensor(3)}, (1, 2): np.float32(0.25)},
        "dict": {"array": "this is no array"},
        "nan": math.nan,
    }
    write_state(tmp_path / "state", state)
    back = read_state(tmp_path / "state")
    assert back["numbers"] == state["numbers"]
    assert back["betas"] == (0.9, 0.999)
    assert back["by number"][0]["step"] == 3
    assert back["dict"] == {"array": "this is no array"}
    assert math.isnan(back["nan"])
    for name, array in state["weights"].items():
        assert back["weights"][name].tobytes() == array.tobytes()
        assert back["weights"][name].dtype == array.dtype


def test_what_a_state_cannot_hold() -> None:
    with pytest.raises(UsageError, match="a checkpoint cannot hold callbacks/0/file: it is a object"):
        pack({"callbacks": [{"file": object()}]})


@pytest.mark.parametrize("text", ["", "{", '{"array": "w"}', '{"code": "x"}', '{"dict": 3}', '{"a": 1, "b": 2}'])
def test_a_text_that_no_state_has_made(text: str) -> None:
    with pytest.raises(DataError, match="the saved state is damaged"):
        unpack({}, text)
