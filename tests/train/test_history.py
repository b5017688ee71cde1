"""The record of a run grows line by line, comes back as it was, or says why it cannot."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.train.small import StopAtStep, assert_same_weights, checkpoint, figures, fit, make, weights

from clearprop import train
from clearprop.errors import DataError, FileError, UsageError
from clearprop.train.history import History
from clearprop.train.lines import dump_lines, parse_lines
from clearprop.train.records import Evaluation, Example, Layer


def full_history() -> History:
    history = History("digits", config={"lr": 0.1, "hidden": [64, 10], "resume": None}, seed=7, command="train digits")
    history.add_step(40, {"loss": 2.5})
    history.add_epoch({"loss": 0.1 + 0.2, "accuracy": np.float32(0.1), "val_loss": math.nan, "lr": 1e-300})
    history.add_epoch({"loss": math.inf, "accuracy": -math.inf, "val_loss": np.float64(0.25), "seconds": 1})
    history.best_epoch, history.monitor, history.stop_reason = 2, "val_loss", "stopped early"
    history.seconds = 1.5
    history.setup = {"optimizer": "AdamW", "optimizer.0.lr": "0.1"}
    history.evaluation = Evaluation({"accuracy": 0.75}, 8, np.array([[3, 1], [1, 3]]), ["NaN", "<dog>"])
    history.evaluation.worst = [Example(3, math.inf, True, "NaN", "<dog>", 0.9, 0.1, picture="iVBO"), Example(1, 0.5)]
    history.input_shape = "(N, 64)"
    history.layers = [Layer("", "Sequential"), Layer("0", "Linear", "(N, 10)", {"weight": (64, 10), "bias": (10,)})]
    history.files = {"weights": "best.safetensors"}
    return history


def refuse_constant(name: str) -> float:
    raise AssertionError(f"{name} is not JSON")


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line, parse_constant=refuse_constant) for line in path.read_text().splitlines()]


def test_comes_back_whole(tmp_path: Path) -> None:
    history = full_history()
    history.write(tmp_path / "history.jsonl")
    from_files = History.read(tmp_path / "history.jsonl"), History.read(tmp_path)
    for other in (*from_files, History.from_dict(history.to_dict())):
        assert other == history
        for name in ("name", "config", "seed", "command", "versions", "machine", "started", "setup", "seconds", "steps",
                     "best_epoch", "monitor", "stop_reason", "input_shape", "layers", "files"):  # fmt: skip
            assert getattr(other, name) == getattr(history, name), name
        assert other.evaluation is not None
        assert other.evaluation.class_names == ["NaN", "<dog>"]
        assert other.evaluation.worst == history.evaluation.worst
        np.testing.assert_array_equal(other.evaluation.confusion, [[3, 1], [1, 3]])
        assert other.evaluation.confusion.dtype == np.int64
        assert other.layers[1].parameters == {"weight": (64, 10), "bias": (10,)}


@given(st.floats())
def test_floats_come_back_to_the_bit(value: float) -> None:
    history = History(versions={}, machine={})
    history.add_epoch({"loss": value})
    text = json.dumps(history.to_dict(), allow_nan=False)
    (row,) = History.from_dict(json.loads(text)).epochs
    assert math.isnan(row["loss"]) if math.isnan(value) else row["loss"].hex() == value.hex()


def test_a_line_for_each_epoch(tmp_path: Path) -> None:
    full_history().write(tmp_path / "history.jsonl")
    first, step, *epochs, last = lines(tmp_path / "history.jsonl")
    assert (first["clearprop_history"], first["name"], first["seed"]) == (2, "digits", 7)
    assert first["versions"]["numpy"] == np.__version__
    assert step == {"step": 40, "loss": 2.5}
    assert epochs[0]["val_loss"] == "NaN"
    assert [epochs[1][name] for name in ("epoch", "loss", "accuracy")] == [2, "Infinity", "-Infinity"]
    assert last["best_epoch"] == 2


def test_two_histories_are_equal_by_what_they_record() -> None:
    history = full_history()
    other = History.from_dict(history.to_dict())
    other.add_epoch({"loss": 0.5})
    assert other != history
    assert history != "digits"


def test_columns_metrics_and_best() -> None:
    history = full_history()
    np.testing.assert_array_equal(history.column("seconds"), [math.nan, 1.0])
    assert history.columns == ["epoch", "loss", "accuracy", "val_loss", "lr", "seconds"]
    assert history.metrics == ["accuracy"]
    assert history.best is history.epochs[1]
    assert history.parameter_count == 650
    assert History().best is None


def test_numbers_of_numpy_become_plain() -> None:
    history = full_history()
    assert all(type(value) in (int, float) for row in history.epochs for value in row.values())
    assert history.epochs[0]["accuracy"] == float(np.float32(0.1))


def test_configuration_becomes_plain_at_once() -> None:
    config = {"loss": len, "path": Path("runs"), "clip": math.inf, "sizes": (1, np.int64(2)), "mean": np.array([0.5])}
    history = History(config=config)
    plain = {"loss": "len", "path": "runs", "clip": "Infinity", "sizes": [1, 2], "mean": [0.5]}
    assert history.config == plain
    history.config["later"] = Path("a")  # the caller may add to it
    assert History.from_dict(history.to_dict()).config == plain | {"later": "a"}


def test_names_that_are_no_text_are_kept(tmp_path: Path) -> None:
    history = History(command="train \udcff")  # as sys.argv gives a file name that is not UTF-8
    history.write(tmp_path / "history.jsonl")
    assert History.read(tmp_path) == history


# While a run goes on --------------------------------------------------------------------------------------------------


class Read(train.Callback):
    """Reads the file after each epoch, as another program would; it has the epochs before this one."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.seen: list[History] = []

    def on_epoch_end(self, run: train.Run) -> None:
        self.seen.append(History.read(self.path))


def test_it_is_written_while_training_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    reader = Read(path)
    history = fit(make(epochs=3), history=path, callbacks=[train.EarlyStopping(), reader])
    assert [len(one.epochs) for one in reader.seen] == [0, 1, 2]
    assert all(figures(one) == figures(history)[: len(one.epochs)] for one in reader.seen)
    first = reader.seen[0]
    assert (first.name, first.seed, first.parameter_count) == ("Sequential", 0, 1210)
    assert first.versions == history.versions
    assert first.started == history.started
    assert first.setup["optimizer"] == "AdamW"
    assert first.setup["data.batch_size"] == "40"
    assert (first.setup["loss"], first.setup["epochs"]) == ("CrossEntropyLoss", "3")
    assert reader.seen[2].seconds == pytest.approx(sum(row["seconds"] for row in history.epochs[:2]))  # not at its end
    assert History.read(path) == history


def test_lines_are_added_and_none_is_written_again(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    history = History(path=path)
    history.flush()
    before = path.read_bytes()
    for epoch in range(1, 4):
        history.add_step(10 * epoch, {"loss": 1.0})
        history.add_epoch({"loss": 0.5})
        history.best_epoch = epoch if epoch < 3 else 2
        history.flush()
        history.flush()  # there is nothing new
        assert path.read_bytes().startswith(before)
        before = path.read_bytes()
    said = [next(iter(line)) for line in lines(path)]
    assert said == ["clearprop_history", "step", "epoch", "best_epoch", "step", "epoch", "best_epoch", "step", "epoch"]
    assert History.read(path) == history


def test_every_half_written_file_is_read(tmp_path: Path) -> None:
    """Cut anywhere after the first line: the whole lines count, a torn one is left out with a warning."""
    full_history().write(tmp_path / "history.jsonl")
    whole = (tmp_path / "history.jsonl").read_bytes()
    first, step, one, two, _ = (len(line) for line in whole.splitlines(keepends=True))
    for cut in range(first, len(whole), 7):
        (tmp_path / "history.jsonl").write_bytes(whole[:cut])
        torn = whole[cut - 1 : cut] != b"\n" and whole[cut : cut + 1] != b"\n"
        if torn:
            with pytest.warns(UserWarning, match="the last line of .*history.jsonl is torn and was left out"):
                history = History.read(tmp_path)
        else:
            history = History.read(tmp_path)
        ends = (first + step + one - 1, first + step + one + two - 1)
        assert len(history.epochs) == sum(cut >= end for end in ends)
        assert len(history.steps) == int(cut >= first + step - 1)
        assert (history.name, history.evaluation) == ("digits", None)


def test_a_file_that_somebody_has_changed_is_written_anew(tmp_path: Path) -> None:
    history = History(path=tmp_path / "history.jsonl")
    for change in ("missing", "torn"):
        history.flush()
        history.add_epoch({"loss": 0.5})
        if change == "missing":
            (tmp_path / "history.jsonl").unlink()
        else:
            with (tmp_path / "history.jsonl").open("a") as file:
                file.write('{"half')
        history.flush()
        assert History.read(tmp_path) == history


def test_a_disk_that_is_full_leaves_whole_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    history = History(path=tmp_path / "history.jsonl")
    history.flush()
    before = (tmp_path / "history.jsonl").read_bytes()
    history.add_epoch({"loss": 0.5})
    real = os.write
    room = [10]

    def write(descriptor: int, content: Any) -> int:
        if not room:
            raise OSError(28, "No space left on device")
        return real(descriptor, content[: room.pop()])

    with monkeypatch.context() as patch:
        patch.setattr("clearprop.train.lines.os.write", write)
        with pytest.raises(FileError, match=r"cannot write .*history.jsonl: No space left on device"):
            history.flush()
    assert (tmp_path / "history.jsonl").read_bytes() == before
    history.flush()  # there is room again
    assert History.read(tmp_path) == history


def test_a_resumed_run_goes_on_with_its_file(tmp_path: Path) -> None:
    """The file has epochs that the checkpoint has not: they are done again, and stand in it once."""
    path, saving = tmp_path / "history.jsonl", train.Checkpoint(tmp_path / "checkpoint.safetensors", every_epochs=2)
    whole = fit(make(epochs=4))
    with pytest.raises(ZeroDivisionError):
        fit(
            make(epochs=4),
            history=path,
            checkpoint=saving,
            callbacks=[train.EarlyStopping(patience=10), StopAtStep(57)],
        )
    assert len(History.read(path).epochs) == 3
    with path.open("a") as file:
        file.write('{"epoch": 4, "lo')  # it was killed in the middle of a line
    arguments = make(epochs=4)
    arguments["callbacks"].append(StopAtStep(0))
    resumed = fit(arguments, history=path, resume=saving.path)
    assert figures(resumed) == figures(whole)
    assert History.read(path) == resumed
    assert [line["epoch"] for line in lines(path) if "epoch" in line] == [1, 2, 3, 4]
    assert resumed.seconds == pytest.approx(sum(row["seconds"] for row in resumed.epochs), rel=0.5)


def test_another_run_is_not_written_over(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    old = History(started="2026-01-01T12:00:00+00:00")
    old.write(path)
    before = path.read_bytes()
    with pytest.raises(UsageError, match="holds the record of another run, begun 2026-01-01T12:00:00"):
        fit(make(), history=path)
    path.write_text("my notes\n")
    with pytest.raises(UsageError, match="is not the record of a run, and is not written over"):
        fit(make(), history=path)
    fit(make(epochs=1), checkpoint=checkpoint(tmp_path))
    path.write_bytes(before)
    arguments = make(epochs=2)
    weights_before = weights(arguments["model"])
    with pytest.raises(UsageError, match="holds the record of another run"):
        fit(arguments, history=path, resume=tmp_path / "checkpoint.safetensors")
    assert path.read_bytes() == before
    assert_same_weights(weights(arguments["model"]), weights_before)
    path.write_text("")
    assert len(History.read(path).epochs if fit(make(epochs=1), history=path) else []) == 1  # an empty one is free


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="its folder does not exist"):
        fit(make(), history=tmp_path / "nowhere" / "history.jsonl")


# Damage ---------------------------------------------------------------------------------------------------------------

FIRST = '{"clearprop_history": 2, "name": "x"}\n'


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "not the history of a training run"),
        ("[]\n", "not the history of a training run"),
        ('{"loss": 1}\n', "not the history of a training run"),
        ('{"epoch": 1}\n', "not the history of a training run"),
        ("\x00\x00", "not the history of a training run"),
        ('{"clearprop_history": 999}\n', "newer clearprop"),
        ('{"clearprop_history": "x"}\n', "damaged"),
        (FIRST + 'nonsense\n{"epoch": 1}\n', "line 2 is no JSON object"),
        (FIRST + '[1]\n{"epoch": 1}\n', "line 2 is no JSON object: it is a list"),
        (FIRST + '{"epoch": 2}\n', "epoch 2 stands where epoch 1 belongs"),
        (FIRST + '{"epoch": 1}\n{"epoch": 1}\n', "epoch 1 stands where epoch 2 belongs"),
        (FIRST + '{"epoch": 1, "loss": "x"}\n', "'x' stands where a number belongs"),
        (FIRST + '{"epoch": 1, "loss": null}\n', "None stands where a number belongs"),
        (FIRST + '{"best_epoch": 3}\n', "the best epoch is 3, of 0"),
        (FIRST + '{"config": 3}\n', "config is 3"),
        (FIRST + '{"seed": 1.5}\n', "seed is 1.5"),
        (FIRST + '{"layers": [{}]}\n', "the entry 'parameters' is missing"),
        (FIRST + '{"layers": 3}\n', "damaged"),
        (FIRST + '{"seconds": []}\n', "stands where a number belongs"),
        (FIRST + '{"evaluation": {}}\n', "is missing"),
        (FIRST + '{"evaluation": {"metrics": {}, "examples": "many", "confusion": null}}\n', "damaged"),
    ],
)
def test_what_is_no_history_is_refused(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "history.jsonl"
    path.write_text(text)
    with pytest.raises(FileError, match=f"cannot read .*history.jsonl: .*{says}") as caught:
        History.read(path)
    assert caught.value.hint


def test_bytes_that_are_no_text(tmp_path: Path) -> None:
    (tmp_path / "history.jsonl").write_bytes(b"\xff\xfe\n")
    with pytest.raises(FileError, match="it is not text"):
        History.read(tmp_path)


def test_what_is_no_record() -> None:
    with pytest.raises(DataError, match="lacks the entry clearprop_history"):
        History.from_dict({"loss": 1})
    record = full_history().to_dict()
    del record["started"]
    with pytest.raises(DataError, match="the entry 'started' is missing"):
        History.from_dict(record)


def test_what_a_newer_clearprop_may_add_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "history.jsonl").write_text(FIRST + '{"epoch": 1, "loss": 2.0}\n{"weather": "fine"}\n')
    assert History.read(tmp_path).epochs == [{"epoch": 1, "loss": 2.0}]


def test_the_reader_adds_nothing_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "history.jsonl").write_text(FIRST)
    history = History.read(tmp_path)
    assert (history.versions, history.machine, history.started) == ({}, {}, "")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileError, match=r"nowhere\.jsonl"):
        History.read(tmp_path / "nowhere.jsonl")
    with pytest.raises(FileError, match=r"is not the folder of a run: it has no history\.jsonl"):
        History.read(tmp_path)


@given(st.lists(st.dictionaries(st.text(), st.integers() | st.text() | st.none()), max_size=5))
def test_lines_of_any_text_come_back(records: list[dict[str, Any]]) -> None:
    assert parse_lines(dump_lines(records)) == (records, False)


@pytest.mark.parametrize("confusion", [[[1, 2]], [[1.5, 0.0], [0.0, 1.0]], [[-1, 0], [0, 1]], [1, 2]])
def test_a_confusion_matrix_is_a_square_of_counts(confusion: list[list[float]]) -> None:
    with pytest.raises(DataError, match="square table of counts"):
        Evaluation({}, 3, np.array(confusion))


def test_one_name_per_class() -> None:
    with pytest.raises(DataError, match="3 class names"):
        Evaluation({}, 3, np.eye(2, dtype=int), ["a", "b", "c"])
    assert Evaluation({}, 2, np.eye(2, dtype=int)).class_names == ["0", "1"]


def test_the_matrix_of_an_evaluation_is_its_own() -> None:
    counts = np.eye(2, dtype=np.int64)
    evaluation = Evaluation({}, 2, counts)
    counts[0, 0] = 99
    np.testing.assert_array_equal(evaluation.confusion, np.eye(2))
