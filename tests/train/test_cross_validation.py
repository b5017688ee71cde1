"""Folds, cross-validation and search: what is found is what training by hand finds; interrupted work goes on."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.train.networks import blobs, mlp
from tests.train.small import assert_same_weights, weights

import clearprop as cp
from clearprop import nn, optim, train
from clearprop.data import ArrayDataset, DataLoader, Subset, TextDataset
from clearprop.data.tokenizer import CharTokenizer
from clearprop.errors import DataError, DivergenceError, FileError, UsageError
from clearprop.train import Plan, k_fold_split

EPOCHS = 4


def dataset(examples: int = 90) -> ArrayDataset:
    x, y = blobs(examples)
    return ArrayDataset(x + 2 * np.random.default_rng(1).standard_normal(x.shape).astype(np.float32), y)


def build(hidden: int = 8, lr: float = 0.02) -> Plan:
    model = nn.Sequential(mlp(16, hidden), nn.ReLU(), nn.Dropout(0.1), nn.Linear(hidden, 4))
    return Plan(
        model=model, loss=nn.CrossEntropyLoss(), optimizer=optim.AdamW(model.parameters(), lr=lr), batch_size=16
    )


def validated(**more: Any) -> train.CrossValidation:
    settings = {"epochs": EPOCHS, "folds": 3, "metrics": ["accuracy"], "compile": False, "progress": False}
    return train.cross_validate(more.pop("build", build), more.pop("dataset", dataset()), **settings | more)


# Folds --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("folds", [2, 3, 7])
@pytest.mark.parametrize("stratify", [None, False])
def test_each_example_is_measured_on_once(folds: int, stratify: bool | None) -> None:
    data = ArrayDataset(np.arange(50), np.arange(50) % 3)
    measured = []
    for training, validation in k_fold_split(data, folds, stratify=stratify):
        mine, held_out = ({int(data[i][0]) for i in part.indices} for part in (training, validation))
        assert mine | held_out == set(range(50))
        assert not mine & held_out
        assert len(held_out) in (50 // folds, -(-50 // folds))
        measured += sorted(held_out)
    assert sorted(measured) == list(range(50))


def test_every_class_has_its_share_of_each_fold() -> None:
    labels = np.repeat([0, 1, 2], [40, 20, 7])
    for stratify in (None, True):
        for _, validation in k_fold_split(ArrayDataset(labels, labels), 5, stratify=stratify, seed=3):
            counts = np.bincount(labels[validation.indices], minlength=3)
            assert counts[:2].tolist() == [8, 4]
            assert counts[2] in (1, 2)
    plain = [
        np.bincount(labels[v.indices], minlength=3)[0]
        for _, v in k_fold_split(ArrayDataset(labels, labels), 5, stratify=False)
    ]
    assert set(plain) != {8}


def test_the_seed_decides() -> None:
    data = dataset()
    one, same, other = (k_fold_split(data, 3, seed=seed)[0][1].indices.tolist() for seed in (0, 0, 1))
    assert one == same != other


def test_labels_of_a_part_and_of_a_list_and_none() -> None:
    labels = np.tile([0, 1], 20)
    part = Subset(ArrayDataset(labels, labels), np.arange(20))
    assert all(labels[part.indices[v.indices]].sum() == 2 for _, v in k_fold_split(part, 5, stratify=True))
    assert len(k_fold_split([(np.zeros(2), i % 2) for i in range(10)], 5, stratify=True)) == 5
    text = TextDataset("to be or not to be " * 5, CharTokenizer.train("to be or not"), block_size=8)
    assert len(k_fold_split(text, 3)) == 3
    with pytest.raises(DataError, match="no label"):
        k_fold_split(text, 3, stratify=True)


@pytest.mark.parametrize("folds", [1, 0, 2.0, True, None])
def test_what_is_no_number_of_folds(folds: Any) -> None:
    with pytest.raises(UsageError, match="folds"):
        k_fold_split(dataset(), folds)


def test_more_folds_than_examples() -> None:
    with pytest.raises(DataError, match="4 examples for 5 folds"):
        k_fold_split(dataset(4), 5)


# Cross-validation ---------------------------------------------------------------------------------------------------


def test_a_fold_is_an_ordinary_training() -> None:
    result = validated(seed=7)
    training, validation = k_fold_split(dataset(), 3, seed=7)[1]
    cp.random.seed(7 + 2)
    plan = build()
    history = train.fit(
        plan.model, DataLoader(training, 16, shuffle=True, seed=9), loss=plan.loss, optimizer=plan.optimizer,
        epochs=EPOCHS, validation=DataLoader(validation, 256), metrics=["accuracy"], compile=False, progress=False,
    )  # fmt: skip
    for name in ("loss", "val_loss", "val_accuracy"):
        np.testing.assert_array_equal(result.curve(name)[1], history.column(name))
    assert_same_weights(weights(result.models[1]), weights(plan.model))


def test_the_mean_over_the_folds_finds_the_number_of_epochs() -> None:
    result = validated(epochs=12, build=lambda: build(64, 0.05))
    curve = result.curve("val_loss")
    assert curve.shape == (3, 12)
    assert result.best_epochs == curve.mean(0).argmin() + 1 < 12
    np.testing.assert_allclose(result.history.column("val_loss"), curve.mean(0))
    np.testing.assert_array_equal(result.scores, curve[:, result.best_epochs - 1])
    assert (result.mean, result.std) == (result.scores.mean(), result.scores.std())
    assert result.history.best_epoch == result.best_epochs
    by_accuracy = validated(epochs=12, build=lambda: build(64, 0.05), monitor="val_accuracy")
    assert by_accuracy.best_epochs == by_accuracy.curve("val_accuracy").mean(0).argmax() + 1


def test_refit_trains_with_everything_for_so_many_epochs() -> None:
    result = validated()
    model, history = result.refit(progress=False)
    cp.random.seed(0)
    plan = build()
    train.fit(plan.model, DataLoader(dataset(), 16, shuffle=True, seed=0), loss=plan.loss, optimizer=plan.optimizer,
              epochs=result.best_epochs, compile=False, progress=False)  # fmt: skip
    assert_same_weights(weights(model), weights(plan.model))
    assert len(history.epochs) == result.best_epochs
    other, _ = result.refit(seed=1, progress=False)
    assert not np.array_equal(next(iter(other.parameters())).numpy(), next(iter(model.parameters())).numpy())


def test_the_same_each_time_and_random_numbers_go_on() -> None:
    cp.random.seed(5)
    before = cp.random.default_generator.state_dict()
    one = validated()
    assert cp.random.default_generator.state_dict() == before
    cp.random.seed(6)
    np.testing.assert_array_equal(one.curve("val_loss"), validated().curve("val_loss"))
    assert not np.array_equal(one.curve("val_loss"), validated(seed=1).curve("val_loss"))


def test_what_it_prints() -> None:
    result = validated()
    lines = str(result).splitlines()
    assert lines[0].startswith(f"3 folds, best after {result.best_epochs} of {EPOCHS} epochs")
    assert lines[1].split() == ["fold", "val_loss", "val_accuracy"]
    assert [line.split()[0] for line in lines[2:]] == ["1", "2", "3", "mean", "±"]
    assert f"{result.mean:.4f}" in lines[5]
    assert "±" in repr(result)
    assert [history.name for history in result.histories] == ["fold-1", "fold-2", "fold-3"]
    assert result._repr_html_().count("<tr>") == 6


def test_a_display_of_one_line_for_each_fold(capsys: pytest.CaptureFixture[str]) -> None:
    validated(progress=True)
    lines = capsys.readouterr().err.splitlines()
    assert [line.split("  ")[0] for line in lines] == ["fold 1/3", "fold 2/3", "fold 3/3"]
    assert all("val_loss" in line for line in lines)


def test_the_mean_of_the_folds_is_a_record_to_compare(tmp_path: Path) -> None:
    small, large = (validated(settings={"hidden": hidden}) for hidden in (2, 16))
    page = train.compare([small.history, large.history], tmp_path / "page.html").read_text()
    assert "hidden" in page
    train.write_report(small.history, tmp_path / "report.html")


# Interrupted --------------------------------------------------------------------------------------------------------


class CtrlC:
    """A plan whose loss presses Ctrl-C when it has been asked so many times."""

    def __init__(self, at: int) -> None:
        self.left = at

    def build(self, **settings: Any) -> Plan:
        plan = build(**settings)
        cross_entropy = nn.CrossEntropyLoss()

        def loss(output: Any, target: Any) -> Any:
            self.left -= 1
            if self.left == 0:
                os.kill(os.getpid(), signal.SIGINT)
            return cross_entropy(output, target)

        plan.loss = loss
        return plan


@pytest.mark.parametrize("at", [1, 9, 30, 50])
def test_ctrl_c_keeps_what_is_done_and_the_same_call_goes_on(tmp_path: Path, at: int) -> None:
    whole = validated(build=CtrlC(-1).build)
    with pytest.raises(train.TrainingInterrupted) as caught:
        validated(build=CtrlC(at).build, folder=tmp_path)
    assert f"cross_validate(..., folder={os.fspath(tmp_path)!r})" in str(caught.value)
    assert "of 3 folds are done, the next is saved" in str(caught.value)
    counting = CtrlC(-1)
    result = validated(build=counting.build, folder=tmp_path)
    for name in ("loss", "val_loss", "val_accuracy"):
        np.testing.assert_array_equal(result.curve(name), whole.curve(name))
    for one, other in zip(result.models, whole.models, strict=True):
        assert_same_weights(weights(one), weights(other))
    asked = -1 - counting.left
    again = CtrlC(-1)
    np.testing.assert_array_equal(
        validated(build=again.build, folder=tmp_path).curve("val_loss"), whole.curve("val_loss")
    )
    assert (asked > 0, again.left) == (True, -1)  # nothing was trained again


def test_without_a_folder_ctrl_c_is_what_it_ever_is() -> None:
    with pytest.raises(KeyboardInterrupt) as caught:
        validated(build=CtrlC(5).build)
    assert not isinstance(caught.value, train.TrainingInterrupted)


def test_more_epochs_are_added_and_fewer_refused(tmp_path: Path) -> None:
    validated(folder=tmp_path)
    longer = validated(folder=tmp_path, epochs=EPOCHS + 2)
    np.testing.assert_array_equal(longer.curve("val_loss"), validated(epochs=EPOCHS + 2).curve("val_loss"))
    with pytest.raises(UsageError, match="holds a training of 6 epochs, more than 4"):
        validated(folder=tmp_path)


def test_the_folder_of_other_work_is_refused(tmp_path: Path) -> None:
    validated(folder=tmp_path)
    for more in ({"seed": 1}, {"folds": 4}, {"settings": {"hidden": 9}}, {"dataset": dataset(80)}):
        with pytest.raises(UsageError, match="another run"):
            validated(folder=tmp_path, **more)
    model, _ = validated(folder=tmp_path).refit(progress=False)
    again, history = validated(folder=tmp_path).refit(progress=False)
    assert_same_weights(weights(again), weights(model))
    assert history.path is not None
    assert train.History.read(tmp_path).best_epoch is not None


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(FileError, match=r"cannot write|not a folder"):
        validated(folder=tmp_path / "file")


# Search -------------------------------------------------------------------------------------------------------------


def searched(grid: Any, **more: Any) -> train.Search:
    settings = {"epochs": 3, "folds": 2, "metrics": ["accuracy"], "compile": False, "progress": False}
    return train.search(more.pop("build", build), dataset(), grid, **settings | more)


def test_a_search_is_a_cross_validation_of_each_setting() -> None:
    found = searched({"hidden": [2, 16], "lr": [0.02, 0.002]})
    assert [dict(one) for one in found.params] == [
        {"hidden": 2, "lr": 0.02}, {"hidden": 2, "lr": 0.002}, {"hidden": 16, "lr": 0.02}, {"hidden": 16, "lr": 0.002},
    ]  # fmt: skip
    alone = [validated(settings=one, epochs=3, folds=2) for one in found.params]
    for one, own in zip(found.results, alone, strict=True):
        assert one is not None
        np.testing.assert_array_equal(one.curve("val_loss"), own.curve("val_loss"))
    best = int(np.argmin([one.mean for one in alone]))
    assert (found.best_index, found.best_params) == (best, dict(found.params[best]))
    assert (found.best_score, found.best_epochs) == (alone[best].mean, alone[best].best_epochs)
    assert_same_weights(weights(found.refit(progress=False).model), weights(alone[best].refit(progress=False).model))


def test_results_under_the_names_of_scikit_learn() -> None:
    found = searched([{"hidden": 2}, {"hidden": 16, "lr": 0.01}], monitor="val_accuracy")
    results = found.cv_results
    assert list(results) == [
        "mean_fit_time", "std_fit_time", "param_hidden", "param_lr", "params", "split0_test_score", "split1_test_score",
        "mean_test_score", "std_test_score", "rank_test_score", "epochs",
    ]  # fmt: skip
    assert results["param_lr"] == [None, 0.01]
    scores = np.array([results["split0_test_score"], results["split1_test_score"]])
    np.testing.assert_allclose(results["mean_test_score"], scores.mean(0))
    np.testing.assert_allclose(results["std_test_score"], scores.std(0))
    assert results["mean_test_score"][found.best_index] == max(results["mean_test_score"])
    assert sorted(results["rank_test_score"]) == [1, 2]
    assert results["rank_test_score"][found.best_index] == 1


def test_a_table_with_the_best_first(tmp_path: Path) -> None:
    found = searched({"hidden": [2, 16]})
    head, first, second = str(found).splitlines()[1:]
    assert head.split() == ["rank", "hidden", "val_loss", "epochs", "time"]
    assert (first.split()[:2], second.split()[:2]) == (["1", str(found.best_params["hidden"])], ["2", "2"])
    assert "hidden=16" in repr(found)
    assert found._repr_html_().count("<tr>") == 3
    page = train.compare(found.histories, tmp_path / "page.html").read_text()
    assert "hidden=16" in page


def test_a_setting_that_diverges_is_passed_over(capsys: pytest.CaptureFixture[str]) -> None:
    def plan(lr: float) -> Plan:
        made = build()
        made.optimizer = optim.SGD(made.model.parameters(), lr=lr)
        made.loss = lambda output, target: (output**2).mean() + (made.model[0][0].weight.value ** 4).sum()
        return made

    found = searched({"lr": [1e6, 1e-4]}, build=plan, monitor="val_loss", progress=True)
    assert found.results[0] is None
    assert found.best_params == {"lr": 1e-4}
    assert "diverged" in str(found).splitlines()[-1]
    assert np.isnan(found.cv_results["mean_test_score"][0])
    assert found.cv_results["rank_test_score"] == [2, 1]
    assert "lr=1000000.0: fit: " in capsys.readouterr().err
    with pytest.raises(DivergenceError, match="with all settings"):
        searched({"lr": [1e6]}, build=plan)


def test_a_search_goes_on_also_with_more_settings(tmp_path: Path) -> None:
    counting = CtrlC(40)
    with pytest.raises(train.TrainingInterrupted, match=r"search\(\.\.\., folder="):
        searched({"hidden": [2, 16]}, build=counting.build, folder=tmp_path)
    found = searched({"hidden": [2, 16, 5]}, build=CtrlC(-1).build, folder=tmp_path)
    whole = searched({"hidden": [2, 16, 5]}, build=CtrlC(-1).build)
    assert found.cv_results["mean_test_score"] == whole.cv_results["mean_test_score"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["hidden=16", "hidden=2", "hidden=5"]
    found.refit(progress=False)
    assert train.History.read(tmp_path / "hidden=5").config == {"hidden": 5}


# Wrong use ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("grid", "words"),
    [({}, "empty"), ([], "empty"), ({"hidden": []}, "empty"), ({"hidden": 3}, "values of hidden"), ("hidden", "a str"),
     ({"hidden": "ab"}, "values of hidden"), ([3], "3"), (7, "an? int"), ({"hiden": [3]}, "build takes hidden, lr"),
     ([{"hidden": 2}, {"hidden": 2}], "twice")],
)  # fmt: skip
def test_grids_that_are_none(grid: Any, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        searched(grid)


@pytest.mark.parametrize(
    ("more", "words"),
    [({"build": build()}, "build is a Plan"), ({"build": mlp(16, 4)}, "build is a"), ({"build": 3}, "build is a int"),
     ({"build": lambda: mlp(16, 4)}, "build returned a Sequential"), ({"settings": {"width": 3}}, "build takes"),
     ({"epochs": 0}, "epochs"), ({"epochs": 2.0}, "epochs"), ({"folds": 1}, "folds"), ({"seed": "x"}, "seed"),
     ({"monitor": "loss"}, "val_loss, val_accuracy"), ({"monitor": "val_f1"}, "val_loss, val_accuracy"),
     ({"mode": "best"}, "mode"), ({"dataset": 3}, "dataset is a int"), ({"folder": 3}, "no path")],
)  # fmt: skip
def test_arguments_that_make_no_sense(more: Any, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        validated(**more)


def test_a_figure_that_does_not_say_which_way() -> None:
    def margin(output: Any, target: Any) -> Any:
        return output.max(axis=1).mean()

    with pytest.raises(UsageError, match="is more of 'val_margin' better"):
        validated(metrics=[margin], monitor="val_margin")
    result = validated(metrics=[margin], monitor="val_margin", mode="max")
    assert result.best_epochs == result.curve("val_margin").mean(0).argmax() + 1


def test_augmentation_is_for_training_alone() -> None:
    def nothing_left(images: Any, labels: Any) -> Any:
        return images * 0, labels

    def halved(images: Any, labels: Any) -> Any:
        return images / 2, labels

    plan = build()
    plan.transform, plan.validation_transform = nothing_left, halved
    ((images, _),) = list(plan.measuring_loader(dataset()))
    np.testing.assert_allclose(images.numpy(), dataset().arrays[0] / 2)
    assert all(not batch.numpy().any() and len(batch) <= 16 for batch, _ in plan.loader(dataset(), seed=0))


def test_early_stopping_is_not_for_folds() -> None:
    def plan() -> Plan:
        made = build()
        made.callbacks = [train.EarlyStopping()]
        return made

    with pytest.raises(UsageError, match="EarlyStopping"):
        validated(build=plan)
    with pytest.raises(UsageError, match="the folds have no figure 'f1'"):
        validated().curve("f1")
