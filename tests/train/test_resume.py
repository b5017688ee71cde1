"""Exact resume: a run that was interrupted anywhere ends like one that was not, to the bit."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from types import FunctionType
from typing import Any

import numpy as np
import pytest
from tests.train.small import StopAtStep, assert_same_weights, checkpoint, figures, fit, make, weights

import clearprop as cp
from clearprop import nn, optim, train
from clearprop.data import ArrayDataset, DataLoader, digits
from clearprop.errors import FileError, UsageError
from clearprop.files import load

STEPS = 15  # of an epoch


def interrupted(path: Path, step: int, **more: Any) -> None:
    arguments = make()
    arguments["callbacks"] = [*arguments["callbacks"], StopAtStep(step)]
    with pytest.raises(ZeroDivisionError):
        fit(arguments, checkpoint=train.Checkpoint(path, every_steps=1), **more)


@pytest.fixture(scope="module")
def whole() -> tuple[dict[str, Any], list[dict[str, float]], float]:
    """Weights and figures of a run that was not interrupted, and the random number that comes next."""
    arguments = make()
    arguments["callbacks"] = [*arguments["callbacks"], StopAtStep(-1)]
    history = fit(arguments)
    return weights(arguments["model"]), figures(history), cp.random.uniform().item()


@pytest.mark.parametrize("step", [1, 2, STEPS, STEPS + 1, 2 * STEPS - 1, 3 * STEPS + 7, 4 * STEPS])
def test_a_run_that_broke_off_at_a_step(tmp_path: Path, whole: Any, step: int) -> None:
    path = tmp_path / "checkpoint.safetensors"
    interrupted(path, step)
    arguments = make(seed=0)
    arguments["callbacks"] = [*arguments["callbacks"], StopAtStep(-1)]
    cp.random.seed(1234)  # what the program has drawn before does not matter
    history = fit(arguments, resume=path)
    assert_same_weights(weights(arguments["model"]), whole[0])
    assert figures(history) == whole[1]
    assert cp.random.uniform().item() == whole[2]


def test_again_and_again(tmp_path: Path, whole: Any) -> None:
    """A crash in every fifth step, and every resumed run with the objects of the one before."""
    path = tmp_path / "checkpoint.safetensors"
    arguments = make()
    early_stopping = arguments["callbacks"][0]
    saving = train.Checkpoint(path, every_steps=2)
    for step in range(5, 4 * STEPS, 5):
        arguments["callbacks"] = [early_stopping, StopAtStep(step)]
        with pytest.raises(ZeroDivisionError):
            fit(arguments, checkpoint=saving, resume=path if step > 5 else None)
    arguments["callbacks"] = [early_stopping, StopAtStep(-1)]
    history = fit(arguments, resume=path)
    assert_same_weights(weights(arguments["model"]), whole[0])
    assert figures(history) == whole[1]


def test_a_run_that_is_done_stays_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.safetensors"
    first = make()
    history = fit(first, checkpoint=path)
    second = make(seed=0)
    again = fit(second, resume=path)
    assert_same_weights(weights(first["model"]), weights(second["model"]))
    assert figures(again) == figures(history)


def test_more_epochs_are_added(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.safetensors"
    fit(make(epochs=2), checkpoint=path)
    longer = make(epochs=4)
    history = fit(longer, resume=path)
    whole = make(epochs=4)
    assert figures(history) == figures(fit(whole))
    assert_same_weights(weights(longer["model"]), weights(whole["model"]))


def test_batches_in_a_list(tmp_path: Path) -> None:
    """Data that have no state of their own are gone on with by counting."""
    path = tmp_path / "checkpoint.safetensors"
    batches = list(DataLoader(ArrayDataset(*digits("train")[:120]), batch_size=20))

    def run(stop: int, **more: Any) -> dict[str, Any]:
        arguments = {**make(), "data": batches, "scheduler": None}
        arguments["callbacks"] = [*arguments["callbacks"], StopAtStep(stop)]
        fit(arguments, **more)
        return weights(arguments["model"])

    with pytest.raises(ZeroDivisionError):
        run(9, checkpoint=train.Checkpoint(path, every_steps=1))
    assert_same_weights(run(-1, resume=path), run(-1))


class Script(train.Metric):
    """A metric that says what a test has written."""

    name = "measure"

    def __init__(self) -> None:
        self.epoch = 0

    def reset(self) -> None:
        self.epoch += 1

    def update(self, output: Any, target: Any) -> None:
        pass

    def compute(self) -> float:
        return [2.0, 1.0, 3.0, 3.0, 0.0, 0.0][self.epoch - 1]


def test_early_stopping_goes_on_waiting_and_keeps_the_best_weights(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.safetensors"

    def run(stop: int, **more: Any) -> tuple[train.History, dict[str, Any]]:
        arguments = make(epochs=6) | {"metrics": [Script()], "validation": None}
        arguments["callbacks"] = [train.EarlyStopping("measure", patience=2), StopAtStep(stop)]
        return fit(arguments, **more), weights(arguments["model"])

    with pytest.raises(ZeroDivisionError):
        run(3 * STEPS + 5, checkpoint=path)
    (resumed, its_weights), (whole, weights_of_whole) = run(-1, resume=path), run(-1)
    assert (len(resumed.epochs), resumed.best_epoch) == (len(whole.epochs), whole.best_epoch) == (4, 2)
    assert_same_weights(its_weights, weights_of_whole)


class InterruptInValidation(nn.Module):
    """A loss that sends Ctrl-C in a validation."""

    def __init__(self, at: int) -> None:
        self.at = at
        self.calls = 0
        self.inner = nn.CrossEntropyLoss()

    def forward(self, output: Any, target: Any) -> Any:
        if not output.requires_grad:
            self.calls += 1
            if self.calls == self.at:
                os.kill(os.getpid(), signal.SIGINT)
        return self.inner(output, target)


@pytest.mark.parametrize("at", [1, 3, 6])  # a validation has 4 batches
def test_ctrl_c_in_a_validation(tmp_path: Path, whole: Any, at: int) -> None:
    path = tmp_path / "checkpoint.safetensors"
    arguments = make() | {"loss": InterruptInValidation(at + 1)}  # the first call looks at the shapes
    arguments["callbacks"] = [*arguments["callbacks"], StopAtStep(-1)]
    with pytest.raises(train.TrainingInterrupted):
        fit(arguments, checkpoint=path)
    arguments = make() | {"loss": InterruptInValidation(-1)}
    arguments["callbacks"] = [*arguments["callbacks"], StopAtStep(-1)]
    history = fit(arguments, resume=path)
    assert_same_weights(weights(arguments["model"]), whole[0])
    assert figures(history) == whole[1]


class InterruptAtStep(train.Callback):
    """Ctrl-C in a step."""

    def on_step_end(self, run: train.Run) -> None:
        if run.position.step == 20:
            os.kill(os.getpid(), signal.SIGINT)


def test_ctrl_c_saves_and_says_how_to_go_on(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.safetensors"
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(train.TrainingInterrupted) as caught:
        fit(make() | {"callbacks": [InterruptAtStep()]}, checkpoint=path)
    assert isinstance(caught.value, KeyboardInterrupt)
    assert str(caught.value) == (
        "stopped in epoch 2 of 4, after step 20; the run is saved\n"
        f"To go on: fit(..., resume={str(path)!r})"
    )  # fmt: skip
    assert signal.getsignal(signal.SIGINT) is before
    saved = train.checkpoint.read_state(path)["position"]
    assert (saved["epoch"], saved["batch"], saved["step"]) == (1, 5, 20)


def test_ctrl_c_without_a_checkpoint_is_the_usual_one() -> None:
    with pytest.raises(KeyboardInterrupt) as caught:
        fit(make() | {"callbacks": [InterruptAtStep()]})
    assert not isinstance(caught.value, train.TrainingInterrupted)


# SIGKILL --------------------------------------------------------------------------------------------------------------

CHILD = """
import json, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from small import figures, fit, make, weights
from clearprop import train
from clearprop.files import save

class Tell(train.Callback):
    def on_step_end(self, run):
        print(run.position.step, flush=True)

folder = Path(sys.argv[2])
path = folder / "checkpoint.safetensors"
arguments = make(epochs=6)
arguments["callbacks"] = [*arguments["callbacks"], Tell()]
saving = train.Checkpoint(path, every_steps=4, every_seconds=0.05)
history = fit(arguments, checkpoint=saving, resume=path if path.exists() else None)
save(folder / "weights.safetensors", weights(arguments["model"]), {"figures": json.dumps(figures(history))})
"""


def start(folder: Path) -> subprocess.Popen[str]:
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", CHILD, str(Path(__file__).parent), str(folder)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")
def test_a_run_that_is_killed_at_any_moment(tmp_path: Path) -> None:
    """Killed again and again, at moments drawn at random, in steps and while saving, and resumed until it ends."""
    folders = tmp_path / "whole", tmp_path / "killed"
    for folder in folders:
        folder.mkdir()
    with start(folders[0]) as process:
        process.communicate()
    moments = random.Random(0)
    steps, kills = [0], 0
    while not (folders[1] / "weights.safetensors").exists():
        with start(folders[1]) as process:
            assert process.stdout is not None
            lines = [process.stdout.readline() for _ in range(moments.randrange(2, 25))]
            try:
                process.wait(moments.random() * 0.02)
            except subprocess.TimeoutExpired:
                process.kill()
                kills += 1
            lines += process.communicate()[0].splitlines()
            steps += [int(line) for line in lines if line.strip()]
        assert process.returncode in (0, -signal.SIGKILL)
    assert kills >= 3
    assert any(later < earlier for earlier, later in pairwise(steps))  # some steps were done again
    one, other = (folder / "weights.safetensors" for folder in folders)
    assert_same_weights(load(one), load(other))
    assert one.read_bytes() == other.read_bytes()  # the figures of the history stand in its metadata


# Checkpoints of something else ----------------------------------------------------------------------------------------


def other_digits() -> DataLoader:
    images, labels = digits("train")[:600]
    return DataLoader(ArrayDataset(images[::-1].copy(), labels[::-1].copy()), batch_size=40, shuffle=True)


def test_another_run_is_refused_and_nothing_changes(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.safetensors"
    fit(make(epochs=1), checkpoint=path)
    content = path.read_bytes()

    def changed(**more: Any) -> dict[str, Any]:
        arguments = make(epochs=2)
        for name, change in more.items():
            arguments[name] = change(arguments) if isinstance(change, FunctionType) else change
        return arguments

    tanh = nn.Sequential(
        nn.Flatten(), nn.Linear(64, 16), nn.Dropout(0.2), nn.Tanh(), nn.Dropout(0.1), nn.Linear(16, 10)
    )
    cases = [
        (make(epochs=2, hidden=32), r"model\.1\.weight: saved float32\[64, 16\], now float32\[64, 32\]"),
        (changed(model=tanh, scheduler=None, optimizer=lambda _: optim.AdamW(tanh.parameters(), lr=0.02)),
         r"model\.3: saved ReLU, now Tanh"),
        (changed(scheduler=None, optimizer=lambda a: optim.SGD(a["model"].parameters(), lr=0.02)),
         "optimizer: saved AdamW, now SGD"),
        (changed(scheduler=None), "scheduler: saved CosineAnnealingLR.*, now none"),
        (changed(data=other_digits()), r"data\.0: saved .* CRC-32"),
        (changed(data=lambda a: DataLoader(a["data"].dataset, 50, shuffle=True)), "batch_size: saved 40, now 50"),
        (changed(clip_grad_norm=2.0), "clip_grad_norm: saved 1.0, now 2.0"),
        (changed(callbacks=[]), "callbacks: saved EarlyStopping, now none"),
        (changed(metrics=[]), "metrics: saved accuracy, now none"),
    ]  # fmt: skip
    for arguments, words in cases:
        before = weights(arguments["model"]), arguments["optimizer"].state_dict()
        with pytest.raises(UsageError, match=words) as caught:
            fit(arguments, resume=path)
        assert "nothing was changed" in str(caught.value)
        assert_same_weights(before[0], weights(arguments["model"]))
        assert before[1]["param_groups"] == arguments["optimizer"].state_dict()["param_groups"]
        assert path.read_bytes() == content


@pytest.mark.parametrize("damage", ["truncated", "tampered", "other", "weights", "missing"])
def test_a_checkpoint_that_is_none(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "checkpoint.safetensors"
    fit(make(epochs=1), checkpoint=path)
    content = bytearray(path.read_bytes())
    if damage == "truncated":
        path.write_bytes(content[: len(content) // 2])
    elif damage == "tampered":
        content[-100] ^= 1
        path.write_bytes(content)
    elif damage == "other":
        path.write_text("hello")
    elif damage == "weights":
        cp.save(path, make()["model"].state_dict())
    else:
        path.unlink()
    arguments = make()
    before = weights(arguments["model"])
    with pytest.raises(FileError, match=r"damaged|not the checkpoint of a training run|No such file"):
        fit(arguments, resume=path)
    assert_same_weights(before, weights(arguments["model"]))


WITHOUT_SPACE = """
import resource, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from small import fit, make
from clearprop import train
from clearprop.errors import FileError

class FillTheDisk(train.Callback):
    def on_epoch_end(self, run):
        if run.epoch == 2:
            resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))  # the system refuses to write more

try:
    fit({**make(), "callbacks": [FillTheDisk()]}, checkpoint=Path(sys.argv[2]) / "checkpoint.safetensors")
except FileError as error:
    print(error)
"""


def test_a_full_disk_leaves_the_checkpoint_before(tmp_path: Path) -> None:
    pytest.importorskip("resource", reason="the limit that stands for a full disk is Unix's")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", WITHOUT_SPACE, str(Path(__file__).parent), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    path = tmp_path / "checkpoint.safetensors"
    assert f"cannot write {path}: File too large; nothing that was saved before has changed" in done.stdout
    assert train.checkpoint.read_state(path)["position"]["epoch"] == 1
    assert list(tmp_path.iterdir()) == [path]


def test_the_file_is_an_ordinary_one(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.safetensors"
    arguments = make(epochs=1)
    arguments["callbacks"] = []
    fit(arguments, checkpoint=path)
    saved = cp.load(path)
    np.testing.assert_array_equal(saved["model/1.weight"], arguments["model"][1].weight)
    assert json.loads(json.dumps(sorted(saved)))[0] == "model/1.bias"
    assert checkpoint(tmp_path).every_steps == 1
