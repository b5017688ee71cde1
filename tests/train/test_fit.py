"""`fit`: networks learn, what it is given is checked before anything is done, and what goes wrong is named."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.train.small import StopAtStep, assert_same_weights, figures, fit, make, weights

import clearprop as cp
from clearprop import nn, optim, train
from clearprop.data import ArrayDataset, DataLoader
from clearprop.errors import DataError, DivergenceError, FileError, ShapeError, UsageError


def test_a_network_learns_and_is_ready_to_be_used() -> None:
    arguments = make(epochs=6)
    history = fit(arguments)
    assert history.epochs[-1]["val_accuracy"] > 0.8
    assert history.epochs[-1]["loss"] < history.epochs[0]["loss"] / 2
    assert list(history.epochs[0]) == [
        "epoch", "loss", "accuracy", "val_loss", "val_accuracy", "lr", "seconds", "examples_per_second",
    ]  # fmt: skip
    assert not any(module.training for module in arguments["model"].modules())


def test_it_does_what_the_plain_loop_does() -> None:
    ours, plain, compiled = make(), make(), make()
    for one in (ours, plain, compiled):
        one["callbacks"] = []
        one["compile"] = one is compiled
    cp.random.seed(7)
    fit(ours)
    cp.random.seed(7)
    fit(compiled)

    cp.random.seed(7)
    model, optimizer, scheduler = plain["model"], plain["optimizer"], plain["scheduler"]
    for _ in range(plain["epochs"]):
        for x, y in plain["data"]:
            optimizer.zero_grad()
            plain["loss"](model(x), y).backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            scheduler.step()
    assert_same_weights(weights(ours["model"]), weights(model))
    for name, value in weights(compiled["model"]).items():
        np.testing.assert_allclose(value, weights(model)[name], rtol=1e-3, atol=1e-4, err_msg=name)


def test_figures_are_means_over_all_examples() -> None:
    """With nothing learned, they are those of one pass over the data, whatever the batches."""
    x, y = cp.random.normal((10, 3)).numpy(), np.arange(10) % 2
    model = nn.Linear(3, 2)
    optimizer = optim.SGD(model.parameters(), lr=0.0)

    def spread(output: Any, target: Any) -> Any:
        return output.mean() * 0 + float(len(target))

    history = train.fit(
        model, DataLoader(ArrayDataset(x, y), batch_size=4), loss=nn.CrossEntropyLoss(), optimizer=optimizer, epochs=1,
        validation=[(cp.asarray(x), cp.asarray(y))], metrics=[train.metrics.Accuracy(), spread], progress=False,
    )  # fmt: skip
    row = history.epochs[0]
    assert row["loss"] == pytest.approx(row["val_loss"])
    assert row["accuracy"] == row["val_accuracy"] == np.mean(np.asarray(model(cp.asarray(x))).argmax(1) == y)
    assert row["spread"] == pytest.approx((4 * 4 + 4 * 4 + 2 * 2) / 10)


def test_the_record_has_the_network_in_it() -> None:
    history = fit(make(epochs=1))
    assert history.input_shape == "(N, 1, 8, 8)"
    assert [layer.output for layer in history.layers][:3] == ["(N, 10)", "(N, 64)", "(N, 16)"]
    assert history.parameter_count == 64 * 16 + 16 + 16 * 10 + 10
    assert history.seed == 0


def test_a_given_record_is_filled() -> None:
    history = train.History("my run", config={"lr": 0.02}, seed=3)
    assert fit(make(epochs=1), history=history) is history
    assert (history.name, history.seed, len(history.epochs)) == ("my run", 3, 1)


def test_schedules_count_epochs_or_steps() -> None:
    rates = {}
    for schedule in ("epoch", "step"):
        arguments = make(epochs=3)
        arguments["scheduler"] = optim.lr_scheduler.StepLR(arguments["optimizer"], step_size=15, gamma=0.5)
        rates[schedule] = fit(arguments, schedule=schedule).column("lr").tolist()
    assert rates == {"epoch": [0.02, 0.02, 0.02], "step": [0.02, 0.01, 0.005]}  # an epoch has 15 steps


def test_validation_changes_nothing() -> None:
    with_it, without = make(), make()
    for one in (with_it, without):
        one["callbacks"] = []
    without["validation"] = None
    for one in (with_it, without):
        cp.random.seed(3)
        fit(one)
    assert_same_weights(weights(with_it["model"]), weights(without["model"]))


def test_callbacks_are_called_in_order() -> None:
    calls: list[str] = []

    class Note(train.Callback):
        def on_fit_begin(self, run: train.Run) -> None:
            calls.append("begin")

        def on_epoch_begin(self, run: train.Run) -> None:
            calls.append(f"epoch {run.epoch}")

        def on_step_end(self, run: train.Run) -> None:
            assert np.isfinite(run.loss_of_step)
            calls.append("step")

        def on_epoch_end(self, run: train.Run) -> None:
            calls.append(f"end of {run.history.epochs[-1]['epoch']}")
            if run.epoch == 2:
                run.stop("seen enough")

        def on_fit_end(self, run: train.Run) -> None:
            calls.append("end")

    history = fit(make(), callbacks=[Note()])
    steps = ["step"] * 15
    assert calls == ["begin", "epoch 1", *steps, "end of 1", "epoch 2", *steps, "end of 2", "end"]
    assert history.stop_reason == "seen enough"


def test_modules_keep_their_modes_over_a_validation() -> None:
    arguments = make(epochs=2)
    frozen = arguments["model"][2]

    class Freeze(train.Callback):
        def on_epoch_begin(self, run: train.Run) -> None:
            modes.append(frozen.training)

    modes: list[bool] = []
    fit(arguments, callbacks=[Freeze()])
    with train.modes.evaluating(arguments["model"].train()):
        assert not frozen.training
    assert frozen.training


def test_the_display(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = make(epochs=2)
    arguments["progress"] = True
    fit(arguments)
    out, err = capsys.readouterr()
    assert out == ""
    assert [line[:9] for line in err.splitlines()] == ["epoch 1/2", "epoch 2/2"]
    assert err.count("val_accuracy") == 2


# Bad input ------------------------------------------------------------------------------------------------------------


def with_value(value: float) -> ArrayDataset:
    images = np.zeros((20, 1, 8, 8), np.float32)
    images[7, 0, 3, 2] = value
    return ArrayDataset(images, np.zeros(20, np.int64))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_values_that_are_not_finite(value: float) -> None:
    arguments = make(dataset=with_value(value))
    before = weights(arguments["model"])
    with pytest.raises(
        DataError, match=rf"the data, array 0, must be finite: the value at index \(7, 0, 3, 2\) is {value}"
    ):
        fit(arguments)
    assert_same_weights(before, weights(arguments["model"]))


@pytest.mark.parametrize("label", [10, -1])
def test_labels_that_are_no_classes(label: int) -> None:
    labels = np.zeros(100, np.int64)
    labels[90] = label
    arguments = make(dataset=ArrayDataset(np.zeros((100, 64), np.float32), labels))
    before = weights(arguments["model"])
    with pytest.raises(DataError, match=f"labels must be integers from 0 to 9: the label at index 90 is {label}"):
        fit(arguments)
    assert_same_weights(before, weights(arguments["model"]))


def test_labels_that_the_loss_ignores() -> None:
    labels = np.zeros(100, np.int64)
    labels[90] = -100
    fit(make(epochs=1, dataset=ArrayDataset(np.zeros((100, 64), np.float32), labels)))


def test_a_loss_that_is_not_finite(tmp_path: Path) -> None:
    arguments = make(epochs=50)
    arguments |= {"clip_grad_norm": None, "scheduler": None, "callbacks": []}
    arguments["optimizer"] = optim.SGD(arguments["model"].parameters(), lr=1e18)
    path = tmp_path / "checkpoint.safetensors"
    with pytest.raises(
        DivergenceError, match=r"fit: .* (is nan|is inf|finite after step \d+).* \(epoch 1, lr 1e\+18\)"
    ):
        fit(arguments, checkpoint=train.Checkpoint(path, every_steps=1))
    saved = cp.load(path)
    assert all(np.isfinite(np.asarray(tensor)).all() for name, tensor in saved.items() if name.startswith("model/"))


def test_gradients_that_are_not_finite() -> None:
    def steep(output: Any, target: Any) -> Any:
        return cp.sqrt(output * 0).sum()  # 0, with a gradient of 0 · ∞

    arguments = make() | {"loss": steep}
    with pytest.raises(DivergenceError, match="the norm of the gradients of step 1 is nan"):
        fit(arguments)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"data": []}, "the data has no batches"),
        ({"data": iter([1])}, "can be gone through only once"),
        ({"data": 3}, "the data is a int, which gives no batches"),
        ({"data": with_value(0.0)}, "the data is a dataset"),
        ({"data": [cp.zeros((3, 64))]}, "a batch must be a tuple of inputs and a target; this one is a Tensor"),
        ({"data": [(cp.zeros((3, 64)),)]}, "this one is a tuple of 1"),
        ({"validation": []}, "the validation data has no batches"),
        ({"epochs": -1}, "epochs is -1"),
        ({"epochs": 2.5}, "epochs is 2.5"),
        ({"schedule": "batch"}, "schedule='batch'"),
        ({"callbacks": [train.EarlyStopping]}, "EarlyStopping is not a callback\nTry: EarlyStopping()"),
        ({"callbacks": [train.EarlyStopping("val_f1")]}, "the history has no column 'val_f1'; it has loss, accuracy"),
        ({"metrics": [train.metrics.Accuracy]}, r"Accuracy is not a metric\nTry: Accuracy\(\)"),
        ({"metrics": ["acuracy"]}, "there is no metric named 'acuracy'\nTry: 'accuracy'"),
        ({"metrics": ["accuracy", train.metrics.Accuracy()]}, "two columns named 'accuracy'"),
        ({"model": len}, "the model is a builtin_function_or_method"),
        ({"model": nn.Linear(64, 10)}, "the optimizer trains none of the model's parameters"),
    ],
)
def test_arguments_that_make_no_run(change: dict[str, Any], words: str) -> None:
    with pytest.raises((UsageError, DataError), match=words):
        fit(make() | change)


def test_a_scheduler_of_another_optimizer() -> None:
    with pytest.raises(UsageError, match="the scheduler is that of another optimizer"):
        fit(make() | {"scheduler": make()["scheduler"]})


def test_images_of_another_size_name_the_layer() -> None:
    arguments = make(dataset=ArrayDataset(np.zeros((20, 1, 9, 9), np.float32), np.zeros(20, np.int64)))
    with pytest.raises(ShapeError, match="64"):
        fit(arguments)


def test_a_checkpoint_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="its folder does not exist"):
        fit(make(), checkpoint=tmp_path / "missing" / "checkpoint.safetensors")
    for wrong in ({"every_steps": 0}, {"every_seconds": -1.0}, {"every_epochs": 0}):
        with pytest.raises(UsageError, match="a positive number"):
            train.Checkpoint("x", **wrong)


def test_an_error_in_a_callback_passes_through(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError):
        fit(make(), callbacks=[StopAtStep(3)])


def test_two_runs_from_one_seed_are_the_same() -> None:
    runs = [make(seed=5), make(seed=5)]
    histories = []
    for arguments in runs:
        cp.random.seed(9)
        histories.append(figures(fit(copy.copy(arguments))))
    assert histories[0] == histories[1]
    assert_same_weights(weights(runs[0]["model"]), weights(runs[1]["model"]))


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"loss": nn.CrossEntropyLoss}, "the loss is CrossEntropyLoss"),
        ({"loss": "mse"}, "the loss is 'mse'"),
        ({"loss": lambda output, target: output}, "it returned shape"),
        ({"loss": lambda output, target: 1.0}, "it returned a float"),
        ({"optimizer": optim.SGD}, "the optimizer is SGD"),
        ({"optimizer": None}, "the optimizer is None"),
        ({"scheduler": 3}, "the scheduler is 3"),
        ({"metrics": "accuracy"}, "metrics is not a list"),
    ],
)
def test_things_that_are_not_what_they_should_be(wrong: dict[str, Any], named: str) -> None:
    with pytest.raises(UsageError, match=named) as caught:
        train.fit(**{**make(), **wrong})
    assert caught.value.hint


class LanguageModel(nn.Module):
    """Gives scores of shape (N, tokens, classes), with more classes than tokens."""

    def __init__(self) -> None:
        self.embedding = nn.Embedding(20, 20)

    def forward(self, tokens: Any) -> Any:
        return self.embedding(tokens)


def test_classes_may_be_the_last_axis() -> None:
    """The labels are not taken for positions in the sequence, which are fewer."""
    tokens = np.arange(60).reshape(10, 6) % 20
    model = LanguageModel()

    def loss(output: Any, target: Any) -> Any:
        return nn.functional.cross_entropy(output.reshape(-1, 20), target.reshape(-1))

    perplexity = train.metrics.Perplexity(class_axis=-1)
    history = train.fit(
        model, DataLoader(ArrayDataset(tokens, (tokens + 1) % 20), batch_size=4), loss=loss,
        optimizer=optim.AdamW(model.parameters(), lr=0.3), epochs=20, metrics=[perplexity], progress=False,
    )  # fmt: skip
    assert history.epochs[-1]["perplexity"] < 1.5
