"""What notebooks and rich consoles show of tensors, parameters, modules, graphs and tapes."""

from __future__ import annotations

import io
from html.parser import HTMLParser

import numpy as np
import pytest

import clearprop as cp
from clearprop import nn
from clearprop.lens import Tape

_EMPTY = {"meta", "br", "path", "rect"}


class _Checker(HTMLParser):
    """Keeps the text, and complains of tags that are not closed in order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag not in _EMPTY:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in _EMPTY:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open[-1:] != ["style"]:
            self.text += data


def shown(thing: object) -> str:
    """The text of a thing's HTML, which must be whole, without scripts and without anything from elsewhere."""
    html = (
        thing._repr_mimebundle_()["text/html"] if isinstance(thing, Tape) else thing._repr_html_()  # type: ignore[attr-defined]
    )
    assert "<script" not in html
    assert "http" not in html.replace("http://www.w3.org/2000/svg", "")
    assert "prefers-color-scheme:dark" in html
    checker = _Checker()
    checker.feed(html)
    assert checker.open == []
    return checker.text


def tape_of_a_product(name: str = "w") -> Tape:
    w = cp.Parameter(3.0, name=name)
    with cp.record() as tape:
        loss = w * 2.0
        loss.backward()
    return tape


def test_tensor() -> None:
    x = cp.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    assert "float32 · 2×2 · requires a gradient" in shown(x)
    assert "[3. 4.]" in shown(x)
    y = x * 2.0
    assert "made by multiply" in shown(y)
    assert "y = x * 2.0" in shown(y)
    y.sum().backward()
    assert "gradient of norm 4" in shown(x)
    assert "a number" in shown(cp.tensor(1))


def test_large_tensors_are_summarised() -> None:
    x = cp.tensor(np.arange(1e6, dtype=np.float32))
    assert len(x._repr_html_()) < 4_000
    assert "smallest 0, mean 5e+05, largest 1e+06" in shown(x)


@pytest.mark.parametrize("value", [np.zeros((0, 3)), np.array([True]), np.array([np.nan, np.inf] * 60), 3])
def test_all_kinds_of_tensors(value: object) -> None:
    assert shown(cp.tensor(value)).startswith("\nTensor")


def test_parameter() -> None:
    text = shown(cp.Parameter([1.0, 2.0], name="fc1.bias"))
    assert "Parameter fc1.bias" in text
    assert "[1. 2.]" in text


def test_module() -> None:
    model = nn.Sequential(nn.Linear(4, 8), nn.Sequential(nn.ReLU(), nn.Linear(8, 3)))
    text = shown(model)
    assert text.split("Sequential")[1].strip().startswith("67 parameters")
    assert "0: Linear(4, 8) weight (4, 8) · bias (8,) · 40 parameters" in text
    assert "67 parameters" in shown(nn.Sequential(model[0], model[1]))
    assert "Linear(2, 3)" in shown(nn.Linear(2, 3))


def test_modules_deep_and_large() -> None:
    shown(nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2, 16), 12))
    shown(nn.Sequential(nn.Sequential(nn.Sequential(nn.ReLU())), nn.ReLU(), nn.Sequential(nn.ReLU())))


def test_graph() -> None:
    x = cp.tensor(2.0, requires_grad=True)
    text = shown(cp.Graph(x * x))
    assert "Graph 2 nodes" in text
    assert "x · x" in text or "#1 · #1" in text
    assert "Graph 0 nodes" in shown(cp.Graph(cp.tensor(1.0)))


def test_tape() -> None:
    tape = tape_of_a_product()
    text = shown(tape)
    assert "loss = w · 2" in text
    assert "multiplication switches" in text
    assert "∂loss/∂w = 2" in text
    assert tape._repr_mimebundle_()["text/plain"] == str(tape)


def test_long_tapes_are_cut_and_folded() -> None:
    x = cp.tensor(0.5, requires_grad=True)
    with cp.record() as tape:
        y = x
        for _ in range(500):
            y = cp.tanh(y)
        y.backward()
    html = tape._repr_mimebundle_()["text/html"]
    assert len(html) < 60_000
    assert "<details><summary>Table" in html
    assert "and 451 more" in shown(tape)


def test_tapes_that_are_empty_or_ended_with_an_error() -> None:
    with cp.record() as tape:
        pass
    assert "Tape empty" in shown(tape)
    x = cp.tensor([1.0], requires_grad=True)
    with pytest.raises(cp.ShapeError), cp.record() as tape:
        h = cp.exp(x)
        h @ cp.ones((2, 2))
    assert "ended with ShapeError: matmul" in shown(tape)
    assert "h = e^x" in shown(tape)


def test_names_are_escaped() -> None:
    name = "<script>alert(1)</script>"
    assert name in shown(tape_of_a_product(name))
    assert name in shown(cp.Parameter(1.0, name=name))
    model = nn.Module()
    setattr(model, name, nn.Linear(1, 1))
    assert name in shown(model)


def test_rich_shows_the_table_in_colour() -> None:
    from rich.console import Console

    out = io.StringIO()
    Console(file=out, width=60, force_terminal=True, color_system="standard").print(tape_of_a_product())
    assert "\x1b[" in out.getvalue()
    plain = io.StringIO()
    Console(file=plain, width=60).print(tape_of_a_product())
    assert [line.rstrip() for line in plain.getvalue().splitlines()] == [
        line.rstrip() for line in tape_of_a_product().table(60).splitlines()
    ]
