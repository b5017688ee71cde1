"""Runs side by side: what differs, which is best, and a page that everybody can read."""

from __future__ import annotations

import itertools
import math
import re
from pathlib import Path
from typing import Any

import pytest
from tests.train.small import fit, make
from tests.train.test_report import NASTY, Document

from clearprop import train
from clearprop.errors import ClearpropError, FileError, UsageError
from clearprop.train.history import History
from clearprop.train.records import Evaluation, Layer
from clearprop.train.reports.comparing import opening, write_comparison
from clearprop.train.reports.comparison import Comparison, gather, letters


def run(name: str, losses: list[float], accuracies: list[float], **more: Any) -> History:
    history = History(name, **{"config": {"lr": 0.1, "hidden": [64]}, **more})
    for loss, accuracy in zip(losses, accuracies, strict=True):
        history.add_epoch({"loss": loss / 2, "val_loss": loss, "val_accuracy": accuracy, "seconds": 2.0, "lr": 0.1})
    history.seconds = 2.0 * len(losses)
    history.layers = [Layer("", "Linear", "(N, 10)", {"weight": (64, 10)})]
    return history


def three(name: str = "wide") -> list[History]:
    first = run("plain", [1.0, 0.5, 0.75], [0.5, 0.75, 0.8], seed=1, command="train plain")
    second = run(name, [0.9, 0.25], [0.6, 0.8], config={"lr": 0.4, "hidden": [64], "note": name}, seed=1)
    third = run("broken", [2.0, math.nan], [0.1, math.nan], seed=1)
    third.stop_reason = "stopped early, as val_loss was not better for 1 epoch"
    first.evaluation = Evaluation({"loss": 0.5, "accuracy": 0.7}, 100)
    second.evaluation = Evaluation({"loss": 0.4, "accuracy": 0.9}, 100)
    return [first, second, third]


def rows(comparison: Comparison, group: str) -> dict[str, list[str]]:
    """The cells of a group as texts, the best with a star."""
    (found,) = (one for one in comparison.results if one.name == group)
    return {row.name: [cell.text + "*" * cell.best + cell.detail for cell in row.cells] for row in found.rows}


def test_the_figures_and_which_is_best() -> None:
    comparison = gather(three())
    assert rows(comparison, "Test") == {
        "test accuracy": ["70.00 %", "90.00 %*", "–"],
        "test loss": ["0.5000", "0.4000*", "–"],
    }
    assert rows(comparison, "Validation") == {
        "loss, best epoch": ["0.5000epoch 2", "0.2500*epoch 2", "2.0000epoch 1"],
        "loss, last epoch": ["0.7500", "0.2500*", "NaN"],
        "accuracy, best epoch": ["80.00 %*epoch 3", "80.00 %*epoch 2", "10.00 %epoch 1"],  # both are best
        "accuracy, last epoch": ["80.00 %*", "80.00 %*", "NaN"],
    }
    assert rows(comparison, "Effort") == {
        "epochs": ["3", "2", "2stopped early"],
        "time": ["6.0 s", "4.0 s", "4.0 s"],
        "parameters": ["640", "640", "640"],
    }


def test_the_settings_that_differ() -> None:
    comparison = gather(three())
    settings = {row.name: [cell.text for cell in row.cells] for row in comparison.settings.rows}
    assert settings == {"lr": ["0.1", "0.4", "0.1"], "note": ["–", "wide", "–"]}  # not hidden, not the seed


def test_without_settings_of_the_program_what_fit_was_given_is_compared() -> None:
    histories = [fit(make(epochs=1, hidden=hidden)) for hidden in (8, 16)]
    comparison = gather(histories)
    names = [row.name for row in comparison.settings.rows]
    assert names == ["model.1", "model.5"]
    assert [cell.text for cell in comparison.settings.rows[0].cells] == [
        "Linear(in_features=64, out_features=8)", "Linear(in_features=64, out_features=16)",
    ]  # fmt: skip
    assert comparison.details.rows == []
    named = [History(config={"hidden": hidden}) for hidden in (8, 16)]
    for history, other in zip(named, histories, strict=True):
        history.epochs, history.setup = other.epochs, other.setup
    comparison = gather(named)
    assert [row.name for row in comparison.settings.rows] == ["hidden"]
    assert [row.name for row in comparison.details.rows] == names


def test_figures_whose_better_side_nobody_knows_are_not_judged() -> None:
    histories = [History("a"), History("b")]
    for history, value in zip(histories, (1.0, 2.0), strict=True):
        history.add_epoch({"temperature": value})
    comparison = gather(histories)
    assert rows(comparison, "Training") == {"temperature, last epoch": ["1.0000", "2.0000"]}
    assert opening(comparison) == "The runs do not differ in any figure that has a better and a worse."


def test_equal_runs_have_no_best() -> None:
    comparison = gather([run("a", [0.5], [0.5]), run("b", [0.5], [0.5])])
    assert not any(cell.best for group in comparison.results for row in group.rows for cell in row.cells)


def test_the_opening() -> None:
    assert opening(gather(three())) == "B (wide) has the highest test accuracy: 90.00 %."
    assert opening(gather(three()[1:])) == "A (wide) has the lowest validation loss: 0.2500, in epoch 2."
    ties = [run("a", [0.5], [0.5]), run("b", [0.5], [0.5]), run("c", [0.75], [0.5])]
    assert opening(gather(ties)) == "A (a) and B (b) have the lowest validation loss: 0.5000."
    many = [run("a", [0.5], [0.5]) for _ in range(4)]
    assert opening(gather([*many, run("b", [0.75], [0.5])])) == "A, B, C and D have the lowest validation loss: 0.5000."
    assert opening(gather(three()[:1])) == "One run, and nothing to compare it with."


def test_names_of_folders(tmp_path: Path) -> None:
    for folder in ("a/run", "b/run", "other"):
        (tmp_path / folder).mkdir(parents=True)
        run("digits", [0.5], [0.5]).write(tmp_path / folder / "history.jsonl")
    names = [one.name for one in gather([tmp_path / "a/run", str(tmp_path / "other/history.jsonl")]).runs]
    assert names == ["run", "other"]
    run("digits", [0.5], [0.5]).write(tmp_path / "third.jsonl")
    assert [one.name for one in gather([tmp_path / "third.jsonl"]).runs] == ["third"]
    paths = [tmp_path / "a/run", tmp_path / "b/run", tmp_path / "other"]
    assert [one.name for one in gather(paths).runs] == [str(paths[0]), str(paths[1]), "other"]


def test_letters_go_on() -> None:
    assert [letters(place) for place in (0, 25, 26, 51, 52, 701, 702)] == ["A", "Z", "AA", "AZ", "BA", "ZZ", "AAA"]


# Bad input ------------------------------------------------------------------------------------------------------------


def test_what_cannot_be_compared(tmp_path: Path) -> None:
    def refused(runs: Any) -> str:
        with pytest.raises(ClearpropError) as caught:
            train.compare(runs, tmp_path / "page.html")
        assert caught.value.hint
        assert not (tmp_path / "page.html").exists()
        return str(caught.value)

    good = tmp_path / "good"
    good.mkdir()
    run("good", [0.5], [0.5]).write(good / "history.jsonl")
    assert "is not the folder of a run: it has no history.jsonl" in refused([good, tmp_path])
    assert "No such file" in refused([tmp_path / "nowhere"])
    assert f"{good} was given twice" in refused([good, good])
    assert "was given twice" in refused([good, good / ".." / "good" / "history.jsonl"])
    history = run("x", [0.5], [0.5])
    assert "x was given twice" in refused([history, history])
    assert "new has no epoch that is done" in refused([good, History("new")])
    (tmp_path / "history.jsonl").write_text('{"clearprop_history": 2, "name": "young"}\n')
    assert f"{tmp_path} has no epoch that is done" in refused([tmp_path])
    (tmp_path / "history.jsonl").write_text('{"clearprop_history": 2}\nrubbish\n{"epoch": 1}\n')
    assert "history.jsonl: line 2 is no JSON object" in refused([good, tmp_path])
    assert "there are no runs to compare" in refused([])
    assert "are not a list" in refused(str(good))
    (tmp_path / "history.jsonl").write_bytes(b"\x89PNG\r\n\x1a\n")
    assert "it is not text" in refused([tmp_path])


def test_a_page_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="its folder does not exist"):
        train.compare([run("a", [0.5], [0.5])], tmp_path / "nowhere" / "page.html")
    with pytest.raises(UsageError, match="no epoch"):
        train.compare([History()], tmp_path / "nowhere" / "page.html")


# The page -------------------------------------------------------------------------------------------------------------


def page_of(histories: list[History], folder: Path) -> str:
    return write_comparison(gather(histories), folder / "page.html").read_text(encoding="utf-8")


@pytest.fixture
def page(tmp_path: Path) -> str:
    return page_of(three(), tmp_path)


def test_it_loads_nothing_and_runs_nothing(page: str) -> None:
    document = Document(page)
    assert not re.search(r"https?:|//\w|url\(|@import|javascript:", page)
    for tag, attributes in document.elements:
        assert tag not in {"script", "link", "img", "iframe", "object", "embed", "base", "form"}
        assert not {"src", "srcset", "href", "data", "action"} & attributes.keys()
        assert not [name for name in attributes if name.startswith("on")]
    (policy,) = [meta["content"] for meta in document.all("meta") if "http-equiv" in meta]
    assert policy == "default-src 'none'; style-src 'unsafe-inline'"


def test_every_text_is_escaped(page: str, tmp_path: Path) -> None:
    nasty = page_of(three(NASTY), tmp_path)
    assert [tag for tag, _ in Document(nasty).elements] == [tag for tag, _ in Document(page).elements]
    assert "<script" not in nasty
    assert sum(NASTY in text for _, text in Document(nasty).texts) >= 6


def test_a_chart_for_each_figure_with_a_curve_and_a_line_of_the_legend_for_each_run(page: str) -> None:
    document = Document(page)
    titles = document.words("h3")
    assert titles == ["Validation loss", "Validation accuracy", "Training loss"]
    for title in titles:
        chart = page[page.index(f">{title}</h3>") :]
        chart = chart[: chart.index("</figure>")]
        assert re.findall(r'<g class="curve (.*?)">', chart) == ["colour0 dash0", "colour1 dash1", "colour2 dash2"]
        legend = re.sub(r"\s+", " ", re.sub(r"<[^>]*>", "", chart[chart.index("<figcaption") :]))
        assert [name in legend for name in ("A plain: from ", "B wide: from ", "C broken: ")] == [True] * 3
    assert "C broken: 2.0000; not finite from epoch 2 on." in re.sub(r"<[^>]*>", "", page)


def test_best_is_said_to_eyes_that_see_no_colour_and_to_ears(page: str) -> None:
    best = re.findall(r'<td class="best">(.*?)</td>', page)
    assert len(best) == 10
    for cell in best:
        assert "★" in cell
        assert '<span class="visually-hidden">, best</span>' in cell


def test_screen_readers_find_their_way(page: str) -> None:
    document = Document(page)
    assert document.all("html") == [{"lang": "en"}]
    for landmark in ("header", "main", "footer", "h1"):
        assert len(document.all(landmark)) == 1, landmark
    assert all(th.get("scope") in ("row", "col", "rowgroup") for th in document.all("th"))
    ids = [attributes["id"] for _, attributes in document.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    for tag, attributes in document.elements:
        for name in ("aria-labelledby", "aria-describedby"):
            assert set(attributes.get(name, ids[0]).split()) <= set(ids)
        if attributes.get("role") == "region":
            assert attributes["tabindex"] == "0"
        if tag == "svg":
            assert attributes.get("role") == "img" or attributes["aria-hidden"] == "true"
    levels = [int(tag[1]) for tag, _ in document.elements if re.fullmatch(r"h[1-6]", tag)]
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))


def test_many_runs_of_different_lengths(tmp_path: Path) -> None:
    """More runs than colours: no two look the same; more epochs than points: the curves are thinned."""
    histories = [
        run(f"run {place}", [1 / (place + 1)] * (place * 60 + 1), [0.5] * (place * 60 + 1)) for place in range(30)
    ]
    page = page_of(histories, tmp_path)
    Document(page)
    looks = re.findall(r'<svg class="sample curve (.*?)"', page[: page.index("Figures</h2>")])
    assert len(looks) == len(set(looks)) == 30
    assert len(page) < 800_000
    curves = page[page.index("Curves</h2>") :]
    assert max(map(len, re.findall(r'class="line" d="(.*?)"', curves))) < 500 * 14
    labels = [float(y) for y in re.findall(r'class="name" x="[\d.]+" y="([\d.]+)"', curves)]
    assert all(0 < y < 250 for y in labels)


def test_one_run_is_no_comparison_but_a_page(tmp_path: Path) -> None:
    document = Document(page_of(three()[:1], tmp_path))
    assert document.words("h1") == ["1 run"]
    assert "Settings that differ" not in document.words("h2")
