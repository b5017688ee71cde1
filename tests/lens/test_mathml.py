"""Formulas typeset: every row of the registry, and names and numbers in the place of letters."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest

from clearprop.lens.mathml import Math, call, fill, label, local_derivative, markup, parse, right_side
from clearprop.primitive import PRIMITIVES

FORMULAS = [
    (name, latex)
    for name, primitive in PRIMITIVES.items()
    for latex in (primitive.formula.forward, *primitive.formula.backward)
]
FUNCTIONS = "log|sinh|sin|cosh|cos|tanh|tan|max|min|arcsin|arccos|arctan"
CHILDREN = {"mfrac": 2, "msup": 2, "msub": 2, "msubsup": 3, "munder": 2, "mover": 2, "msqrt": 1}


def flat(math: Math) -> str:
    """All its text in a row."""
    return "".join(flat(child) if isinstance(child, tuple) else child for child in math[1:])


@pytest.mark.parametrize(("name", "latex"), FORMULAS)
def test_each_formula_of_the_registry_is_well_formed(name: str, latex: str) -> None:
    text = markup(parse(latex))
    assert not re.search(r"[\\{}]\w", text), text
    for element in ElementTree.fromstring(text).iter():
        assert element.tag in {*CHILDREN, "math", "mrow", "mi", "mn", "mo", "mtext", "mspace"}
        assert len(element) == CHILDREN.get(element.tag, len(element)), (element.tag, text)


@pytest.mark.parametrize(("name", "latex"), FORMULAS)
def test_no_letter_is_lost_on_the_way(name: str, latex: str) -> None:
    commands = re.sub(rf"\\(?!(?:{FUNCTIONS})(?![a-z]))[A-Za-z]+|\\[,; ]", "", latex)
    assert sorted(re.findall("[A-Za-z0-9]", commands)) == sorted(re.findall("[A-Za-z0-9]", flat(parse(latex))))


@pytest.mark.parametrize(
    ("latex", "names", "expected"),
    [
        (r"x \odot y", {"x": "q", "y": "z"}, "q·z"),
        (r"x \odot y", {"x": "-2", "y": "-3"}, "−2·(−3)"),
        (r"x - y", {"x": "1", "y": "-3"}, "1−(−3)"),
        (r"-x", {"x": "-2"}, "−(−2)"),
        (r"x^y", {"x": "-2", "y": "2"}, "(−2)2"),
        (r"x^y", {"x": "a", "y": "-1"}, "a−1"),
        (r"y \odot x^{y-1}", {"x": "a", "y": "3"}, "3·a2"),
        (r"y \odot x^{y-1}", {"x": "a", "y": "2"}, "2·a"),
        (r"1 / (2 z)", {"z": "3"}, "1/(2·3)"),
        (r"\max(x, y)", {"x": "-1", "y": "-2"}, "max(−1,(−2))"),
        (r"\log x", {"x": "1e-09"}, "log1·10−9"),
        (r"\bar z \odot y", {"y": "w", "z": "f"}, "g·w"),
    ],
)
def test_filling_in(latex: str, names: dict[str, str], expected: str) -> None:
    assert flat(fill(parse(latex), names, of_numbers=True)) == expected


def test_of_arrays_the_product_is_element_by_element() -> None:
    assert flat(fill(parse(r"x \odot y"), {"x": "a", "y": "b"})) == "a⊙b"


def test_names_are_text_and_never_markup() -> None:
    evil = '<script>&"'
    assert markup(fill(parse("x"), {"x": evil})) == "<math><mi>&lt;script&gt;&amp;&quot;</mi></math>"


def test_local_derivatives_and_right_sides() -> None:
    assert flat(local_derivative(PRIMITIVES["divide"].formula.backward[1])) == "−z/y"
    assert flat(local_derivative(PRIMITIVES["matmul"].formula.backward[1])) == "X⊤"
    assert flat(local_derivative(PRIMITIVES["subtract"].formula.backward[1])) == "−1"
    assert flat(right_side(parse(PRIMITIVES["sigmoid"].formula.forward))) == "σ(x)"
    assert flat(right_side(parse(PRIMITIVES["equal"].formula.forward))) == "[x=y]"


def test_numbers() -> None:
    assert flat(label("-0.5")) == "−0.5"
    assert flat(label("NaN")) == "NaN"
    assert flat(label("-inf")) == "−∞"
    assert flat(call("f", ["a", "-1"])) == "f(a,−1)"


def test_unknown_commands_are_an_error() -> None:
    with pytest.raises(ValueError, match="nabla"):
        parse(r"\nabla x")
