"""The report is whole in itself, says what was measured, and can be read by everybody."""

from __future__ import annotations

import dataclasses
import itertools
import math
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from clearprop.errors import FileError
from clearprop.train.history import History
from clearprop.train.pictures import picture as train_picture
from clearprop.train.records import EpochHealth, Evaluation, Example, Layer
from clearprop.train.reports.report import network_tree, render, write_report

VOID = {"meta", "br", "hr", "img", "link", "input"}
NASTY = "<script>alert(1)</script>&\"'`{{7*7}}</style><!--"


class Document(HTMLParser):
    """The elements of a document; fails if they are not well nested."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.open: list[str] = []
        self.texts: list[tuple[str, str]] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        names = [name for name, _ in attributes]
        assert len(names) == len(set(names)), f"<{tag}> has an attribute twice"
        self.elements.append((tag, {name: value or "" for name, value in attributes}))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attributes)
        self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, text: str) -> None:
        if text.strip():
            self.texts.append((self.open[-1] if self.open else "", text.strip()))

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.elements if name == tag]

    def words(self, tag: str) -> list[str]:
        return [text for name, text in self.texts if name == tag]


def digits(name: str = "digits") -> History:
    history = History(
        name, config={"lr": 0.1, "note": name}, seed=3, command=f"clearprop train {name}", machine={"processor": name}
    )
    for epoch in range(1, 13):
        history.add_epoch(
            {
                "loss": 2.5 * math.exp(-epoch),
                "accuracy": 1 - 0.5 / epoch,
                "val_loss": 0.5 + 0.1 * abs(epoch - 8),
                "val_accuracy": 0.9 - 0.3 / epoch,
                "lr": 0.1 / epoch,
                "seconds": 1.5,
                "examples_per_second": 52310.4,
            }
        )
    history.best_epoch, history.monitor, history.seconds, history.stop_reason = 8, "val_loss", 18.0, name
    confusion = np.array([[41, 2, 0], [7, 53, 0], [0, 0, 0]])
    history.evaluation = Evaluation({"loss": 0.5, "accuracy": 94 / 103}, 103, confusion, ["cat", name, "owl"])
    history.input_shape = "(N, 64)"
    history.layers = [
        Layer("", "Sequential", "(N, 3)"),
        Layer("0", "Linear", "(N, 32)", {"weight": (64, 32), "bias": (32,)}),
        Layer("1", "Residual", "(N, 32)"),
        Layer("1.inner", "Linear", "(N, 32)", {"weight": (32, 32), name: (32,)}),
        Layer("2", "Linear", "(N, 3)", {"weight": (32, 3), "bias": (3,)}),
    ]
    history.files = {"weights": name}
    return history


@pytest.fixture(scope="module")
def report() -> str:
    return render(digits())


@pytest.fixture(scope="module")
def document(report: str) -> Document:
    return Document(report)


def test_it_loads_nothing_and_runs_nothing(report: str, document: Document) -> None:
    assert not re.search(r"https?:|//\w|url\(|@import|javascript:", report)
    loading = {"src", "srcset", "href", "data", "action", "poster", "background", "formaction", "manifest"}
    for tag, attributes in document.elements:
        assert tag not in {"script", "link", "img", "iframe", "object", "embed", "base", "form"}
        assert not loading & attributes.keys()
        assert not [name for name in attributes if name.startswith("on")]
    (policy,) = [meta["content"] for meta in document.all("meta") if "http-equiv" in meta]
    assert policy.startswith("default-src 'none'")


def test_its_size_is_small(report: str) -> None:
    assert len(report.encode()) < 60_000


def test_every_text_is_escaped(document: Document) -> None:
    """Markup in any text of the run makes no element: the document has the same ones with plain text in its place."""
    report = render(digits(NASTY))
    nasty = Document(report)
    assert [tag for tag, _ in nasty.elements] == [tag for tag, _ in document.elements]
    assert "<script" not in report
    assert sum(NASTY in text for _, text in nasty.texts) >= 8  # each place shows it as it is


def test_the_headline_figures(document: Document) -> None:
    assert document.words("h1") == ["digits"]
    assert document.words("strong") == ["91.26 %", "0.5000", "8 of 12", "18.0 s", "3,235"]
    opening = next(text for text in document.words("p") if text.startswith("Trained for"))
    assert opening == (
        "Trained for 12 epochs in 18.0 s (digits). On 103 test examples it has not seen before, "
        "its accuracy is 91.26\N{NO-BREAK SPACE}%."
    )


def test_the_confusion_matrix_is_in_the_table(document: Document) -> None:
    cells = document.words("td")
    joined = " ".join(cells)
    assert "41 2 0 43 95.35 % 85.42 %" in joined.replace("\N{NO-BREAK SPACE}", " ")
    assert "7 53 0 60 88.33 % 96.36 %" in joined.replace("\N{NO-BREAK SPACE}", " ")
    assert "0 0 0 0 – –" in joined  # no owl was shown, and nothing was taken for one


def test_the_largest_mistakes_are_said_in_words(report: str) -> None:
    text = re.sub(r"<[^>]*>", "", report).replace("\N{NO-BREAK SPACE}", " ")
    assert "94 of 103 test examples were recognised." in text
    assert "digits taken for cat: 7 times, 11.67 % of all digits" in text
    assert text.index("digits taken for cat") < text.index("cat taken for digits: 2 times")


def test_every_figure_of_every_epoch_is_in_the_table(document: Document) -> None:
    for row in digits().epochs:
        assert f"{row['val_loss']:.4f}" in document.words("td")
    assert "8 (best)" in document.words("th")


def test_the_network_and_its_shapes(report: str, document: Document) -> None:
    text = re.sub(r"\s+", " ", re.sub(r"<[^>]*>", "", report))
    assert "(N, 64) Linear 0 weight 64 × 32, bias 32 gives (N, 32) Residual" in text
    assert "+ its input" in text
    assert {"2,080", "1,056", "99", "3,235"} <= set(document.words("td"))


def test_how_to_repeat_it(report: str, document: Document) -> None:
    assert "clearprop train digits" in document.words("code")
    assert "The seed 3 fixes" in report
    assert "No seed was set" in render(History())
    assert np.__version__ in document.words("dd")


def test_curves_have_titles_and_descriptions(document: Document) -> None:
    ids = [attributes["id"] for _, attributes in document.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    charts = document.all("svg")
    assert len(charts) == 3
    for chart in charts:
        assert chart["role"] == "img"
        assert {chart["aria-labelledby"], chart["aria-describedby"]} <= set(ids)
    for _, attributes in document.elements:
        for name in ("aria-labelledby", "aria-describedby"):
            assert set(attributes.get(name, ids[0]).split()) <= set(ids)
    loss, *_ = document.words("figcaption")
    assert loss.startswith("Training: from 0.9197 to 1.54e-05. Validation: from 1.2000 to 0.9000, lowest in epoch 8")
    assert loss.endswith("The scale is logarithmic.")


def test_screen_readers_find_their_way(document: Document) -> None:
    assert document.all("html") == [{"lang": "en"}]
    for landmark in ("header", "main", "footer", "h1"):
        assert len(document.all(landmark)) == 1, landmark
    assert all(heading in ("row", "col") for heading in (th.get("scope") for th in document.all("th")))
    assert all("aria-labelledby" in section for section in document.all("section"))
    levels = [int(tag[1]) for tag, _ in document.elements if re.fullmatch(r"h[1-6]", tag)]
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))
    for region in (attributes for _, attributes in document.elements if attributes.get("role") == "region"):
        assert region["tabindex"] == "0"
        assert "aria-label" in region or "aria-labelledby" in region


# The worst mistakes ---------------------------------------------------------------------------------------------------


def with_worst(*examples: Example) -> Document:
    history = digits()
    assert history.evaluation is not None
    history.evaluation.worst = list(examples)
    return Document(render(history))


def test_the_worst_mistakes_as_pictures() -> None:
    picture = train_picture(np.zeros((1, 8, 8)))
    document = with_worst(
        Example(17, 6.5, True, "9", "8", 0.667, 0.001, picture=picture),
        Example(3, 2.5, True, NASTY, "4", 0.5, 0.25, picture=picture),
        Example(4, 0.6, False, "1", "1", 0.55, 0.55, picture=picture),
    )
    images = document.all("img")
    assert [image["src"] for image in images] == [f"data:image/png;base64,{picture}"] * 2
    assert images[0]["alt"] == (
        "Example 17: a picture of 9, taken for 8 with a probability of 66.70\N{NO-BREAK SPACE}%"
    )
    assert images[1]["alt"].startswith(f"Example 3: a picture of {NASTY}, taken for 4")
    assert "The worst mistakes" in document.words("h2")
    assert "Of 103 test examples, the 2 with the largest loss among the 9 mistakes, the worst first." in document.words(
        "p"
    )
    (policy,) = [meta["content"] for meta in document.all("meta") if "http-equiv" in meta]
    assert policy == "default-src 'none'; style-src 'unsafe-inline'; img-src data:"


def test_when_nothing_was_mistaken_the_hardest_are_shown() -> None:
    picture = train_picture(np.zeros((1, 8, 8)))
    document = with_worst(Example(4, 0.6, False, "1", "1", 0.55, 0.55, picture=picture))
    assert "The hardest examples" in document.words("h2")
    assert "Not one of the 103 test examples was mistaken. The 1 with the largest loss:" in document.words("p")
    assert [image["alt"] for image in document.all("img")] == ["Example 4: a picture of 1"]


def test_what_is_no_image_stands_in_a_table() -> None:
    document = with_worst(
        Example(17, 6.5, True, "good", "bad", 0.667, text="what a day"), Example(2, math.inf, True, "bad", "good", 0.9)
    )
    assert not document.all("img")
    assert {"what a day", "an image"} <= set(document.words("th"))
    assert {"example 17", "with 66.70\N{NO-BREAK SPACE}%"} <= set(document.words("span"))
    assert {"good", "bad", "6.5000", "infinity"} <= set(document.words("td"))
    numbers = with_worst(Example(0, 2.25, truth="1.5", answer="3", text="0.1, 0.2"))
    assert "Of 103 test examples, the 1 with the largest loss:" in numbers.words("p")


def luminance(colour: str) -> float:
    digits_of = "".join(2 * digit for digit in colour) if len(colour) == 3 else colour
    channels = [int(digits_of[start : start + 2], 16) / 255 for start in (0, 2, 4)]
    linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_contrast_in_light_in_dark_and_on_paper(report: str) -> None:
    """WCAG 2.2: 4.5 for text, 3 for lines that carry meaning; every palette is checked on both of its grounds."""
    palettes = [dict(re.findall(r"--(\w+): #([0-9a-f]+)", rule)) for rule in re.findall(r":root \{([^}]*)\}", report)]
    assert len(palettes) == 3
    for palette in palettes:
        curves = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth")
        for ground in ("paper", "raised"):
            for name, least in (("ink", 7.0), ("quiet", 4.5), ("edge", 3.0), *((curve, 4.5) for curve in curves)):
                pair = sorted((luminance(palette[name]), luminance(palette[ground])))
                assert (pair[1] + 0.05) / (pair[0] + 0.05) >= least, (name, ground)


def test_a_run_that_diverged() -> None:
    history = History()
    for loss in (1.5, 0.7, math.nan, math.inf):
        history.add_epoch({"loss": loss, "val_loss": math.nan, "accuracy": math.nan})
    report = render(history)
    Document(report)
    assert "Training: from 1.5000 to 0.7000; not finite from epoch 3 on. Validation: not one finite value." in report
    assert "NaN" in report


@pytest.mark.parametrize("epochs", [0, 1, 2])
def test_short_runs(epochs: int) -> None:
    history = History()
    for _ in range(epochs):
        history.add_epoch({"loss": 0.5})
    document = Document(render(history))
    assert len(document.all("svg")) == min(epochs, 1)


def test_the_best_point_is_where_best_is_for_each_figure() -> None:
    history = History()
    for loss, accuracy in ((0.5, 0.7), (0.2, 0.9), (0.3, 0.8)):
        history.add_epoch({"loss": loss, "accuracy": accuracy})
    report = render(history)
    assert "lowest in epoch 2 with 0.2000" in report
    assert "highest in epoch 2 with 90.00\N{NO-BREAK SPACE}%" in report


def test_long_runs_are_thinned_and_say_so() -> None:
    history = History(best_epoch=1234)
    for epoch in range(5000):
        history.add_epoch({"loss": 1 / (epoch + 1)})
    report = render(history)
    assert len(report.encode()) < 100_000
    assert "202 of the 5,000 epochs, evenly spread." in report
    assert {"1", "1234 (best)", "5000"} <= set(Document(report).words("th"))


def test_steps_and_a_constant_learning_rate() -> None:
    history = History()
    history.add_epoch({"loss": 0.5, "lr": 0.01})
    for step in range(0, 2000, 2):
        history.add_step(step, {"loss": 1 / (step + 1)})
    report = render(history)
    assert "The learning rate was 0.01 throughout." in report
    assert Document(report).words("h3")[:2] == ["Loss", "Training loss by step"]
    assert "From 1.0000 to 5.00e-04 in 1,998 steps." in report


def test_many_classes_give_figures_but_no_wall_of_zeros() -> None:
    counts = 5 * np.eye(100, dtype=int)
    counts[3, 97] = 4
    history = History(evaluation=Evaluation({}, 504, counts))
    report = render(history)
    assert len(Document(report).all("td")) == 300
    assert "<b>3</b> taken for <b>97</b>: 4 times" in report


def test_metrics_with_odd_names_get_charts_of_their_own() -> None:
    history = History()
    for epoch in range(3):
        history.add_epoch({"loss": epoch, "top 5": epoch, "training": epoch, "repeat": -epoch})
    document = Document(render(history))
    assert len(document.all("svg")) == 4
    ids = [attributes["id"] for _, attributes in document.elements if "id" in attributes]
    assert len(ids) == len(set(ids))


def test_a_tree_without_rows_for_its_inner_modules() -> None:
    layer = Layer("", "Linear", "", {"weight": (2, 2)})
    layers = [dataclasses.replace(layer, path=path) for path in ("encoder.blocks.0.linear", "encoder.norm", "head")]
    tree = network_tree(layers)
    assert tree is not None
    assert tree.count == 12
    assert [child.name for child in tree.children] == ["encoder.blocks.0.linear", "encoder.norm", "head"]
    Document(render(History(layers=layers)))


def test_written_whole_or_not_at_all(tmp_path: Path) -> None:
    path = write_report(digits(), tmp_path / "report.html")
    before = path.read_bytes()
    assert before.decode().startswith("<!doctype html>")
    with pytest.raises(FileError, match="nowhere"):
        write_report(digits(), tmp_path / "nowhere" / "report.html")
    broken = digits()
    broken.layers = ["no layer"]  # type: ignore[list-item]
    with pytest.raises(AttributeError):
        write_report(broken, path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_names_that_are_no_text(tmp_path: Path) -> None:
    path = write_report(History(command="train \udcff"), tmp_path / "report.html")
    assert "train ?" in path.read_text(encoding="utf-8")


# Health --------------------------------------------------------------------------------------------------------------


def with_health(epochs: int = 3, layers: int = 2) -> History:
    """A record in which somebody has looked at the network."""
    history = History("seen")
    for epoch in range(1, epochs + 1):
        history.add_epoch({"loss": 1.0 / epoch})
        gradient = {f"fc{i}": 10.0**-i / epoch for i in range(layers)}
        history.health.append(
            EpochHealth(epoch, gradient, {"fc0": 0.001}, {"act": 0.25}, {"act": 0.5}, {"squash": 0.75})
        )
    return history


def test_the_health_is_shown_with_pictures_and_numbers() -> None:
    page = render(with_health())
    assert "There was nothing to say" in page
    assert "In epoch 1 it is largest at fc0, 1, and smallest at fc1, 0.1." in page
    assert page.count('class="bar"') == 2 * 3 + 4  # layers and epochs, and the legend
    assert "<title>fc1, epoch 2: 0.05</title>" in page
    assert "50\N{NO-BREAK SPACE}%" in page
    assert "75\N{NO-BREAK SPACE}%" in page


def test_a_run_without_health_has_no_such_section() -> None:
    history = History("blind")
    history.add_epoch({"loss": 1.0})
    assert "Health" not in render(history)


def test_advice_and_names_are_escaped() -> None:
    history = with_health(1)
    history.advice.append("<b>bold</b> advice")
    history.health[0] = EpochHealth(1, {"<script>": 1.0}, {}, {}, {}, {})
    page = render(history)
    assert "<b>bold" not in page
    assert "&lt;b&gt;bold&lt;/b&gt; advice" in page
    assert "<script>" not in page


def test_zeros_and_numbers_that_are_none_have_marks_of_their_own() -> None:
    history = with_health(1)
    history.health[0] = EpochHealth(1, {"a": 0.0, "b": math.nan, "c": 2.0}, {}, {}, {}, {})
    page = render(history)
    assert page.count('class="ring"') == 1
    assert page.count('class="cross"') == 1


def test_many_layers_and_epochs_are_thinned() -> None:
    page = render(with_health(500, 100))
    assert "Shown are 40 of 100 layers, evenly spread." in page
    assert page.count('class="bar"') <= 40 * 30 + 4 + 4
    assert len(page) < 1_000_000


def test_layers_stand_in_the_order_of_the_network() -> None:
    history = with_health(1)
    history.layers = [Layer("", "Sequential"), *(Layer(str(i), "Linear" if i % 2 == 0 else "ReLU") for i in range(4))]
    history.health[0] = EpochHealth(1, {"0": 1.0, "2": 1.0}, {}, {"1": 0.5, "3": 0.5}, {"1": 0.0, "3": 0.0}, {})
    table = render(history).partition("By layer")[2]
    places = [table.index(f'<tr><th scope="row">{i}</th><td>') for i in range(4)]
    assert places == sorted(places)
