"""The record of a run comes back from JSON as it was, or says why it cannot."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clearprop.errors import DataError, FileError
from clearprop.train.history import Evaluation, History, Layer


def full_history() -> History:
    history = History("digits", config={"lr": 0.1, "hidden": [64, 10], "resume": None}, seed=7, command="train digits")
    history.add_epoch({"loss": 0.1 + 0.2, "accuracy": np.float32(0.1), "val_loss": math.nan, "lr": 1e-300})
    history.add_epoch({"loss": math.inf, "accuracy": -math.inf, "val_loss": np.float64(0.25), "seconds": 1})
    history.add_step(40, {"loss": 2.5})
    history.best_epoch, history.monitor, history.stop_reason = 2, "val_loss", "stopped early"
    history.seconds = 1.5
    history.evaluation = Evaluation({"accuracy": 0.75}, 8, np.array([[3, 1], [1, 3]]), ["NaN", "<dog>"])
    history.input_shape = "(N, 64)"
    history.layers = [Layer("", "Sequential"), Layer("0", "Linear", "(N, 10)", {"weight": (64, 10), "bias": (10,)})]
    history.files = {"weights": "best.safetensors"}
    return history


def refuse_constant(name: str) -> float:
    raise AssertionError(f"{name} is not JSON")


def test_comes_back_whole() -> None:
    history = full_history()
    other = History.from_json(history.to_json())
    assert other == history
    assert vars(other).keys() == vars(history).keys()
    for name, value in vars(history).items():
        if name not in ("epochs", "evaluation"):  # these hold NaN and arrays, which do not compare
            assert getattr(other, name) == value, name
    assert other.evaluation is not None
    assert other.evaluation.class_names == ["NaN", "<dog>"]
    np.testing.assert_array_equal(other.evaluation.confusion, [[3, 1], [1, 3]])
    assert other.evaluation.confusion.dtype == np.int64
    assert other.layers[1].parameters == {"weight": (64, 10), "bias": (10,)}


@given(st.floats())
def test_floats_come_back_to_the_bit(value: float) -> None:
    history = History(versions={}, machine={})
    history.add_epoch({"loss": value})
    (row,) = History.from_json(history.to_json()).epochs
    assert math.isnan(row["loss"]) if math.isnan(value) else row["loss"].hex() == value.hex()


def test_the_file_is_json_by_the_letter() -> None:
    record = json.loads(full_history().to_json(), parse_constant=refuse_constant)
    assert record["epochs"][0]["val_loss"] == "NaN"
    assert [record["epochs"][1][name] for name in ("loss", "accuracy")] == ["Infinity", "-Infinity"]


def test_two_histories_are_equal_by_what_they_record() -> None:
    history = full_history()
    other = History.from_json(history.to_json())
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
    assert History.from_json(history.to_json()).config == plain | {"later": "a"}


def test_saved_and_loaded(tmp_path: Path) -> None:
    path = tmp_path / "history.json"
    full_history().save(path)
    assert History.load(path) == full_history_started_as(path)


def full_history_started_as(path: Path) -> History:
    history = full_history()
    history.started = json.loads(path.read_text())["started"]
    return history


def test_names_that_are_no_text_are_kept(tmp_path: Path) -> None:
    history = History(command="train \udcff")  # as sys.argv gives a file name that is not UTF-8
    history.save(tmp_path / "history.json")
    assert History.load(tmp_path / "history.json") == history


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "damaged"),
        ("[]", "lacks the entry clearprop_history"),
        ('{"loss": 1}', "lacks the entry clearprop_history"),
        ('{"clearprop_history": 1}', "the entry 'name' is missing"),
        ('{"clearprop_history": 999}', "newer clearprop"),
        ('{"clearprop_history": "x"}', "damaged"),
    ],
)
def test_what_is_no_history_is_refused(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(DataError, match=says):
        History.from_json(text)
    path = tmp_path / "history.json"
    path.write_text(text)
    with pytest.raises(FileError, match=f"history.json: .*{says}"):
        History.load(path)


def test_every_truncation_is_refused() -> None:
    text = full_history().to_json().rstrip()
    for length in range(0, len(text), 37):
        with pytest.raises(DataError):
            History.from_json(text[:length])


@pytest.mark.parametrize(
    ("entry", "value"), [("epochs", [{"loss": "x"}]), ("epochs", 3), ("layers", [{}]), ("seconds", [])]
)
def test_wrong_entries_are_refused(entry: str, value: object) -> None:
    record = json.loads(full_history().to_json())
    record[entry] = value
    with pytest.raises(DataError, match="damaged"):
        History.from_json(json.dumps(record))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileError, match=r"nowhere\.json"):
        History.load(tmp_path / "nowhere.json")


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
