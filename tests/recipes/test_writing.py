"""The recipes of networks that learn from a text: small runs, what they leave behind, and `clearprop sample`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from clearprop import recipes
from clearprop.cli import main
from clearprop.data import CharTokenizer, NearWords
from clearprop.errors import DataError, FileError, UsageError
from clearprop.models import CBOW, GPT, CharRNN, SkipGram, WordVectors, sample
from clearprop.models.saving import Saved
from clearprop.random import Generator

VERSE = "to be, or not to be, that is the question:\n"
SMALL = {"width": 16, "context": 16, "batch_size": 8, "epochs": 3, "lr": 0.02, "progress": False}


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("text") / "verse.txt"
    path.write_text(VERSE * 200)
    return str(path)


@pytest.fixture(scope="module")
def run(text: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "gru"
    recipes.run("char-rnn", folder, file=text, cell="gru", **SMALL)
    return folder


@pytest.mark.parametrize(
    ("name", "more", "network"),
    [("char-rnn", {"cell": "lstm", "layers": 2}, CharRNN), ("gpt", {"heads": 2, "layers": 1}, GPT)],
)
def test_a_small_network_learns_a_verse(name: str, more: dict, network: type, text: str, tmp_path: Path) -> None:
    history = recipes.run(name, tmp_path / "run", file=text, **SMALL, **more)
    losses = history.column("val_loss")
    assert losses[-1] < 0.6 * losses[0]
    assert history.evaluation.metrics["loss"] == pytest.approx(losses[-1])
    saved, model = Saved.load(tmp_path / "run" / "weights.safetensors")
    assert isinstance(model, network)
    tokenizer = CharTokenizer(saved.extra["characters"])
    assert tokenizer.characters == tuple(sorted(set(VERSE)))
    assert len((tmp_path / "run" / "sample.txt").read_text()) == 1002  # the first character, 1,000 more, a line break
    assert set(tokenizer.decode(sample(model, tokenizer.encode("to"), 50))) <= set(VERSE)


def test_the_rate_rises_and_falls(text: str, tmp_path: Path) -> None:
    history = recipes.run("gpt", tmp_path / "run", file=text, layers=1, heads=2, **SMALL | {"epochs": 4})
    rates = history.column("lr")
    assert rates[0] < rates[1]
    assert rates[1] > rates[2] > rates[3]


@pytest.mark.parametrize("architecture", ["skip-gram", "cbow"])
def test_words_of_a_text(architecture: str, tmp_path: Path) -> None:
    path = tmp_path / "words.txt"
    path.write_text("the king and the queen, the man and the woman: he gave him his sword, and she her. " * 60)
    history = recipes.run(
        "word2vec", tmp_path / "run", file=str(path), architecture=architecture, width=8, epochs=2, batch_size=20,
        subsample=0.0, progress=False,
    )  # fmt: skip
    saved, model = Saved.load(tmp_path / "run" / "weights.safetensors")
    assert isinstance(model, SkipGram if architecture == "skip-gram" else CBOW)
    vectors = WordVectors(saved.extra["words"], model.words.weight)
    assert len(vectors.neighbours("king", 3)) == 3
    page = (tmp_path / "run" / "words.html").read_text()
    assert "man : woman = king : …" in page
    assert "he : him = she : …" in page
    assert "father" not in page  # it is no word of the text
    assert history.files["words"] == str(tmp_path / "run" / "words.html")
    assert 0 <= history.evaluation.metrics["top-5 analogy accuracy"] <= 1


def test_a_word2vec_run_goes_on_exactly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "words.txt"
    path.write_text("one two three four five six seven eight nine ten " * 50)
    settings = {"file": str(path), "width": 4, "batch_size": 50, "min_count": 1, "subsample": 0.0, "progress": False}
    recipes.run("word2vec", tmp_path / "whole", epochs=3, **settings)
    batches, whole = 0, NearWords.__iter__

    def until_interrupted(loader: NearWords) -> Iterator[object]:
        nonlocal batches
        for batch in whole(loader):
            batches += 1
            if batches == 15:  # in the second epoch
                raise KeyboardInterrupt
            yield batch

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr("clearprop.recipes.running._SAVE_EVERY_SECONDS", 1e-9)
        patched.setattr(NearWords, "__iter__", until_interrupted)
        recipes.run("word2vec", tmp_path / "parts", epochs=3, **settings)
    recipes.run("word2vec", tmp_path / "parts", epochs=3, resume=True, **settings)
    one, other = (Saved.load(tmp_path / name / "weights.safetensors")[1].state_dict() for name in ("whole", "parts"))
    for name, weight in one.items():
        np.testing.assert_array_equal(weight.numpy(), other[name].numpy())


def test_files_that_make_no_text(tmp_path: Path) -> None:
    with pytest.raises(FileError, match=r"nowhere\.txt"):
        recipes.run("gpt", tmp_path / "a", file=str(tmp_path / "nowhere.txt"), progress=False)
    (tmp_path / "short.txt").write_text("too short")
    with pytest.raises(DataError, match="makes no window"):
        recipes.run("gpt", tmp_path / "b", file=str(tmp_path / "short.txt"), progress=False)
    with pytest.raises(UsageError, match="cell is 'rnn'"):
        recipes.run("char-rnn", tmp_path / "c", cell="rnn", progress=False)


# The command ---------------------------------------------------------------------------------------------------------


def test_the_command_writes_behind_the_prompt(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["sample", str(run), "--prompt", "to be", "--length", "40", "--top-k", "3"]
    written = []
    for seed in ("0", "0", "1"):
        assert main([*arguments, "--seed", seed]) == 0
        out, err = capsys.readouterr()
        assert err == ""
        assert out.startswith("to be")
        assert len(out) == len("to be") + 40 + 1
        written.append(out)
    assert written[0] == written[1] != written[2]


def test_the_command_is_the_function(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    saved, model = Saved.load(run / "weights.safetensors")
    tokenizer = CharTokenizer(saved.extra["characters"])
    expected = tokenizer.decode(sample(model, tokenizer.encode("that"), 30, 0.5, None, Generator(7)))
    weights = str(run / "weights.safetensors")
    assert main(["sample", weights, "--prompt=that", "--length=30", "--temperature=0.5", "--seed=7"]) == 0
    assert capsys.readouterr().out == f"that{expected}\n"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--prompt", "Zoo"], "the prompt has 'Z', which the network has never read"),
        (["--prompt", ""], "no tokens to begin with"),
        (["--temperature", "0"], "'0' is not a number above 0"),
        (["--temperature", "warm"], "'warm' is not a number above 0"),
        (["--top-k", "0"], "'0' is not a whole number from 1 on"),
        (["--length", "-5"], "'-5' is not a whole number"),
    ],
)
def test_what_the_command_refuses(
    run: Path, arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        code = main(["sample", str(run), *arguments])
    except SystemExit as ended:
        code = ended.code
    assert code == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert says in err
    assert "Try: " in err
    assert "Traceback" not in err


def test_runs_that_do_not_write(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    saved = Saved("mlp", {"inputs": 2, "hidden": [2], "outputs": 2})
    saved.save(tmp_path / "weights.safetensors", saved.build())
    assert main(["sample", str(tmp_path)]) == 2
    assert "holds a mlp, which does not write" in capsys.readouterr().err
    assert main(["sample", str(tmp_path / "nothing")]) == 2
    assert "cannot read" in capsys.readouterr().err


def test_a_figure_that_is_of_no_examples_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Analogies are asked of the vectors, not of a set of examples."""
    (tmp_path / "words.txt").write_text("the man and the woman, the king and the queen: " * 30)
    settings = ["--file", str(tmp_path / "words.txt"), "--batch-size", "20", "--subsample", "0", "--epochs", "1"]
    assert main(["train", "word2vec", *settings, "--quiet", "-o", str(tmp_path / "run")]) == 0
    assert "examples" not in capsys.readouterr().out
    assert " Its top-5 analogy accuracy is " in (tmp_path / "run" / "report.html").read_text()
