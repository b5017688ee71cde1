"""Recipes of sequences: the tasks they are made of, and small runs from beginning to end."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np
import pytest

import clearprop as cp
from clearprop import data, recipes
from clearprop.errors import DataError, RangeError
from clearprop.models import NTM, Seq2Seq, SequenceClassifier, SequenceTagger
from clearprop.models.saving import Saved
from clearprop.recipes import classify, cues, ntm, problems, restoring, seq2seq
from clearprop.recipes.tasks import Drawn


def test_drawn_examples_depend_on_the_seed_and_their_number_alone() -> None:
    def draw(random: np.random.Generator) -> tuple[Any, ...]:
        return (random.integers(0, 1000, 3),)

    one, other = Drawn(draw, 100, seed=1), Drawn(draw, 100, seed=2)
    (several,) = one.examples_at(np.array([7, 3, 7]))
    np.testing.assert_array_equal(several, [one[7][0], one[3][0], one[-93][0]])
    assert not np.array_equal(one[7][0], other[7][0])
    with pytest.raises(RangeError, match="no example 100"):
        one[100]
    batches = [next(iter(data.DataLoader(one, 10, shuffle=True, seed=0)))[0].tolist() for _ in range(2)]
    assert batches[0] == batches[1]


# Copying -------------------------------------------------------------------------------------------------------------


def test_only_bits_behind_the_mark_are_asked_for() -> None:
    for seed in range(20):
        inputs, targets = ntm.copying(1, 5, np.random.default_rng(seed))
        assert inputs.shape == (11, 9)
        (mark,) = np.flatnonzero(inputs[:, 8])
        np.testing.assert_array_equal(targets[mark + 1 : 2 * mark + 1], inputs[:mark, :8])
        assert (targets[: mark + 1] == -1).all()
        assert (targets[2 * mark + 1 :] == -1).all()
        assert not inputs[mark + 1 :].any()


def test_the_loss_and_the_wrong_bits_are_of_what_is_asked_for() -> None:
    targets = np.full((2, 3, 8), -1, np.float32)
    targets[0, 1], targets[1, 2] = 1.0, 0.0
    logits = np.full((2, 3, 8), 100.0, np.float32)
    assert ntm.wrong_bits(logits, targets).item() == 4.0  # 0 of one sequence, 8 of the other
    assert ntm.bit_loss(np.zeros((2, 3, 8), np.float32), targets).item() == pytest.approx(np.log(2))
    logits[0, 0] = -1e9
    assert ntm.wrong_bits(logits, targets).item() == 4.0


def test_the_machine_is_trained_tested_and_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ntm, "UPDATES", 20)
    settings = {"epochs": 1, "batch_size": 1, "longest": 2, "locations": 8, "width": 4, "hidden": 8}
    history = recipes.run("ntm", tmp_path, progress=False, **settings)
    assert {f"wrong_bits_at_{length}" for length in ntm.LENGTHS} <= history.evaluation.metrics.keys()
    words = " ".join(one.text or "" for one in ET.fromstring((tmp_path / "copies.svg").read_text()).iter())
    assert "40 vectors: targets" in words
    assert "where it wrote" in words
    saved, model = Saved.load(tmp_path / "weights.safetensors")
    assert isinstance(model, NTM)
    assert saved.arguments["locations"] == 8


# Problems ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "digits"), [("reverse", 4), ("add", 2)])
def test_what_is_tested_is_never_trained_on(name: str, digits: int) -> None:
    kind = problems.kind(name, digits)
    parts = {part: {problem.question for problem in kind.put_aside(part, 200)} for part in ("validation", "test")}
    tested = parts["test"]
    sources = kind.training(3000, seed=0).examples_at(np.arange(3000))[0]
    trained = {problems.decode(source) for source in sources}
    assert len(tested) > 100
    assert len(trained) > 500
    assert not tested & trained
    assert not tested & parts["validation"]
    assert not parts["validation"] & trained
    assert not {"+".join(reversed(question.split("+"))) for question in tested} & trained or name == "reverse"


def test_answers_are_right() -> None:
    for problem in problems.kind("add", 3).put_aside("test", 200):
        a, b = problem.question.split("+")
        assert problem.answer == str(int(a) + int(b))
    for problem in problems.kind("reverse", 12).put_aside("test", 200):
        assert problem.answer == problem.question[::-1]


def test_problems_as_numbers() -> None:
    source, begun, ended = problems.kind("add", 2).encoded(problems.Problem("7+95", "102"))
    assert (source.tolist(), begun.tolist(), ended.tolist()) == ([10, 13, 12, 8, 0], [1, 4, 3, 5], [4, 3, 5, 2])
    assert problems.decode(ended) == "102"
    for text, message in (("", "0 characters"), ("12a", "'a'"), ("123456", "6 characters")):
        with pytest.raises(DataError, match=message):
            problems.encode(text, 5)


def test_exact_means_every_character() -> None:
    target = np.array([[4, 5, 2, 0], [4, 2, 0, 0]])
    logits = np.asarray(cp.one_hot(cp.asarray([[4, 5, 2, 9], [4, 3, 0, 0]]), 14).numpy()).transpose(0, 2, 1)
    assert seq2seq.exact_accuracy(logits, target).item() == 0.5


@pytest.mark.parametrize("task", ["reverse", "add"])
def test_the_transformer_is_trained_tested_and_drawn(
    task: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(seq2seq, "UPDATES", 20)
    monkeypatch.setattr(seq2seq, "TESTED", 50)
    settings = {"epochs": 1, "batch_size": 4, "width": 16, "heads": 2, "layers": 1, "task": task, "digits": 2}
    history = recipes.run("seq2seq", tmp_path, progress=False, **settings)
    figures = history.evaluation.metrics
    # The same share, by both ways to count.
    assert figures["exact_accuracy"] == pytest.approx(figures["greedy_accuracy"])
    assert "→" in (tmp_path / "answers.txt").read_text()
    assert "<image" in (tmp_path / "attention.svg").read_text()
    assert isinstance(Saved.load(tmp_path / "weights.safetensors")[1], Seq2Seq)


# Cues ----------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def play(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """40,000 words of nonsense with a speaker now and then, in which every 120th or so is one that decides."""
    random = np.random.default_rng(0)
    words = np.array([f"{a}{b}" for a in "bcdfgklmnprst" for b in ("a", "en", "ip", "ot")])
    deciding = np.array(sorted(cues.LIGHT | cues.DARK))
    text = np.where(random.random(40_000) < 1 / 120, random.choice(deciding, 40_000), random.choice(words, 40_000))
    lines = [f"Speaker {n}:\n{' '.join(text[n * 40 : n * 40 + 40]).capitalize()}, so.\n" for n in range(1000)]
    path = tmp_path_factory.mktemp("play") / "play.txt"
    path.write_text("\n".join(lines))
    return path


def test_windows_hold_one_word_that_decides_where_it_is_said_to_be(play: Path) -> None:
    task = cues.Cues(play.read_text(), vocabulary=50)
    decides = np.array([word in cues.LIGHT | cues.DARK for word in task.words])
    parts = {part: task.windows(part, 5, seed=0) for part in ("train", "validation", "test")}
    for windows in parts.values():
        assert windows.words.shape == (100, 100)
        assert (decides[windows.words].sum(axis=1) == 1).all()
        found = windows.words[np.arange(100), 99 - windows.distances]
        light = [task.words[word] in cues.LIGHT for word in found]
        np.testing.assert_array_equal(light, windows.classes == 1)
        counts = np.zeros((2, 10), int)
        np.add.at(counts, (windows.classes, windows.ranges), 1)
        assert (counts == 5).all()
    rows = {part: {row.tobytes() for row in windows.words} for part, windows in parts.items()}
    assert not rows["train"] & rows["test"]


def test_names_of_speakers_are_not_spoken(play: Path) -> None:
    assert "speaker" not in cues.Cues(play.read_text()).words


def test_a_text_without_such_windows_is_an_error() -> None:
    with pytest.raises(DataError, match="too few windows of 100 words"):
        cues.Cues("love and death " * 1000).windows("train", 5, seed=0)


@pytest.mark.parametrize("kind", ["attention", "lstm"])
def test_classifiers_are_trained_tested_and_drawn(
    kind: str, play: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(classify, "TRAINED", 40)
    monkeypatch.setattr(classify, "TESTED", 4)
    settings = {"epochs": 1, "kind": kind, "width": 16, "vocabulary": 60, "file": str(play), "batch_size": 200}
    history = recipes.run("classify", tmp_path, progress=False, **settings)
    figures = history.evaluation.metrics
    by_range = [figures[f"{10 * n}_to_{10 * n + 9}_accuracy"] for n in range(10)]
    assert np.mean(by_range) == pytest.approx(figures["accuracy"])
    assert np.mean(by_range[5:]) == pytest.approx(figures["far_accuracy"])
    assert (tmp_path / "attention.svg").exists() == (kind == "attention")
    saved, model = Saved.load(tmp_path / "weights.safetensors")
    assert isinstance(model, SequenceClassifier)
    assert len(saved.extra["words"]) == saved.arguments["vocabulary"]


# Restoring -----------------------------------------------------------------------------------------------------------


def test_what_is_taken_out_can_be_put_back() -> None:
    text = "But, soft! what light through yonder window breaks? It is the east; and Juliet is the sun."
    stripped = restoring.strip(text)
    assert len(stripped.elements) == len(stripped.tags)
    wanted = text.replace("!", ".").replace("?", ".").replace(";", ",").removesuffix(".")
    assert restoring.restored(*stripped) == wanted


def test_windows_of_a_play(play: Path) -> None:
    text = play.read_text()
    parts = [restoring.restoring(text, part, 64) for part in ("train", "validation", "test")]
    assert len(parts[0]) > 15 * len(parts[1])
    elements, tags = parts[0].arrays
    assert elements.shape == tags.shape
    assert (elements[(tags == 2) | (tags == 3)] == 0).all()  # commas and stops stand in front of spaces
    assert (elements[tags == 1] > 0).all()
    with pytest.raises(DataError, match="make no window of 1,000"):
        restoring.restoring("To be, or not to be.", "train", 1000)


@pytest.mark.parametrize("kind", ["attention", "lstm"])
def test_taggers_are_trained_and_tested(kind: str, play: Path, tmp_path: Path) -> None:
    settings = {"epochs": 2, "kind": kind, "width": 16, "heads": 2, "layers": 1, "file": str(play), "batch_size": 32}
    history = recipes.run("tag", tmp_path, progress=False, lr=0.01, length=32, **settings)
    assert history.evaluation.metrics["accuracy"] > 0.95
    assert 0 <= history.evaluation.metrics["capital_f1"] <= 1
    assert "restored  " in (tmp_path / "restored.txt").read_text()
    assert isinstance(Saved.load(tmp_path / "weights.safetensors")[1], SequenceTagger)
