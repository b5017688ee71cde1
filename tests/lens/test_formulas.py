"""Every row of the registry reads as plain text, and says the same as its rules."""

from __future__ import annotations

import re

import numpy as np
import pytest

import clearprop as cp
from clearprop.lens.formulas import fill, in_terms_of_g, local_derivative, plain, right_side
from clearprop.lens.patterns import pattern
from clearprop.primitive import PRIMITIVES, Primitive
from clearprop.primitives.families import Binary, Elementwise, Unary

MACRON = "\u0304"
FORMULAS = [
    (name, text)
    for name, primitive in PRIMITIVES.items()
    for text in (primitive.formula.forward, *primitive.formula.backward)
]
SMOOTH = [
    primitive
    for primitive in PRIMITIVES.values()
    if isinstance(primitive, (Unary, Binary))
    and primitive.differentiable
    and primitive.name not in ("cast", "clip", "finite", "identity", "maximum", "minimum", "relu", "remainder")
]
READABLE = {
    "·": "*", "^": "**", "√": "np.sqrt", "σ": "sigmoid", "π": "np.pi", "|x|": "np.abs(x)", "sign x": "np.sign(x)",
}  # fmt: skip


@pytest.mark.parametrize(("name", "latex"), FORMULAS)
def test_no_latex_is_left(name: str, latex: str) -> None:
    assert not re.search(r"\\|\{\w*\}", plain(latex)), name


def evaluated(text: str, values: dict[str, float]) -> float:
    """The number that a plain formula of one of the smooth rows stands for."""
    text = text.replace("log2", "np.log2").replace("log10", "np.log10")
    for word, code in READABLE.items():
        text = text.replace(word, code)
    text = re.sub(r"np\.sqrt\s*(np\.pi|\w)", r"np.sqrt(\1)", text)
    text = re.sub(r"(?<![.\w])(log|sinh|cosh|sin|cos|tan)\s*(\w+|\([^()]*\))", r"np.\1(\2)", text)
    text = re.sub(r"\be\*\*", "np.e**", text)
    functions = {"np": np, "sigmoid": lambda x: 1 / (1 + np.exp(-x))}
    return float(eval(text, functions, values))  # our own formulas, in a test


@pytest.mark.parametrize("primitive", SMOOTH, ids=lambda primitive: primitive.name)
def test_the_formula_of_the_local_derivative_has_the_value_that_the_rule_gives(primitive: Primitive) -> None:
    values = [1.6, 1.3] if primitive.name in ("acosh", "power", "logaddexp") else [0.3, 0.7]
    inputs = [cp.tensor(v, dtype=cp.float64, requires_grad=True) for v in values[: len(primitive.inputs)]]
    with cp.record() as tape:
        z = primitive(*inputs)
        z.backward()
    named = dict(zip(primitive.inputs, values, strict=False)) | {"z": z.item()}
    for edge in tape[z].edges:
        assert edge.local_derivative == pytest.approx(evaluated(local_derivative(edge.latex), named)), edge.latex


def test_the_backward_formula_of_each_edge_is_about_that_input() -> None:
    for primitive in PRIMITIVES.values():
        if not isinstance(primitive, Elementwise) or not primitive.differentiable:
            continue
        letters = [plain(formula).split(MACRON)[0] for formula in primitive.formula.backward]
        assert letters == [name for name in primitive.inputs if hasattr(primitive, f"vjp_{name}")]


@pytest.mark.parametrize(
    ("text", "values", "expected"),
    [
        ("x · y", {"x": "-2", "y": "-3"}, "-2 · (-3)"),
        ("x^y", {"x": "-2", "y": "-1"}, "(-2)^(-1)"),
        ("-x", {"x": "-2"}, "-(-2)"),
        ("-x", {"x": "q"}, "-q"),
        ("σ(x)", {"x": "-2"}, "σ(-2)"),
        ("log x", {"x": "-2"}, "log(-2)"),
        ("max(0, x)", {"x": "NaN"}, "max(0, NaN)"),
        ("X @ Y", {"x": "h", "y": "fc.weight"}, "h @ fc.weight"),
        ("y · x^(y-1)", {"x": "a", "y": "2"}, "2 · a"),
        ("y · x^(y-1)", {"x": "a", "y": "0.5"}, "0.5 · a^(-0.5)"),
        ("y · x^(y-1)", {"x": "a", "y": "n"}, "n · a^(n-1)"),
        ("x · z", {"x": "z", "z": "x"}, "z · x"),
        ("max(x, y)", {"x": "exp", "y": "maxi"}, "max(exp, maxi)"),
    ],
)
def test_filling_in(text: str, values: dict[str, str], expected: str) -> None:
    assert fill(text, values) == expected


def test_right_sides() -> None:
    assert right_side(PRIMITIVES["sigmoid"].formula.forward) == "σ(x)"
    assert right_side(PRIMITIVES["matmul"].formula.forward) == "X @ Y"
    assert in_terms_of_g(PRIMITIVES["matmul"].formula.backward[1]) == "Xᵀ @ g"


def test_patterns_are_in_the_words_of_the_lecture() -> None:
    assert pattern("add") == "addition distributes"
    assert pattern("multiply") == "multiplication switches"
    assert pattern("maximum") == pattern("relu") == "maximum selects"
    assert pattern("broadcast") == "fan-out adds"
    assert pattern("exp") == ""
