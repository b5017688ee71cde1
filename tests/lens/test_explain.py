"""Expressions: read safely, explained number by number, refused with the place marked."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clearprop.errors import UsageError
from clearprop.lens import explain_expression
from clearprop.lens.expression import DEEPEST, LONGEST, functions, parse


@pytest.mark.parametrize(
    ("text", "values", "value", "gradients"),
    [
        ("(x + y) * z", {"x": -2, "y": 5, "z": -4}, -12, {"x": -4, "y": -4, "z": 3}),
        ("y * (x**2 + x)", {"x": 2, "y": 1}, 6, {"x": 5, "y": 6}),
        ("x * x * x", {"x": 3}, 27, {"x": 27}),
        (
            "-log(sigmoid(w * x))",
            {"w": 0.5, "x": 2},
            math.log1p(math.exp(-1)),
            {"w": -2 / (1 + math.e), "x": -0.5 / (1 + math.e)},
        ),
        ("max(x, y) - min(x, y)", {"x": 1, "y": 3}, 2, {"x": -1, "y": 1}),
        ("max(x, y)", {"x": 2, "y": 2}, 2, {"x": 0.5, "y": 0.5}),
        ("x", {"x": 7}, 7, {"x": 1}),
        ("+x", {"x": 7}, 7, {"x": 1}),
        ("2**3 * x", {"x": 1}, 8, {"x": 8}),
        ("sin(pi * x)", {"x": 1}, 0, {"x": -math.pi}),
        ("e * x", {"x": 1}, math.e, {"x": math.e}),
        ("e * x", {"x": 1, "e": 5}, 5, {"x": 5, "e": 1}),
        ("x * 0 + y", {"x": 1, "y": 2, "unused": 3}, 2, {"x": 0, "y": 1, "unused": 0}),
        ("σ(α)", {"α": 0}, 0.5, {"α": 0.25}),
        ("x\n + 1", {"x": 1}, 2, {"x": 1}),
    ],
)
def test_values_and_gradients(text: str, values: dict[str, float], value: float, gradients: dict[str, float]) -> None:
    explanation = explain_expression(text, values)
    assert explanation.value == pytest.approx(value, abs=1e-12)
    assert explanation.gradients == pytest.approx(gradients)
    assert str(explanation)


@given(st.floats(-3, 3), st.floats(0.1, 3), st.floats(-3, 3))
def test_gradients_are_those_of_central_differences(x: float, y: float, z: float) -> None:
    text = "(x*y + tanh(z)) / y - exp(-x**2) * sqrt(y) + sin(x*z)"

    def f(x: float, y: float, z: float) -> float:
        return float((x * y + np.tanh(z)) / y - np.exp(-(x**2)) * np.sqrt(y) + np.sin(x * z))

    explanation = explain_expression(text, {"x": x, "y": y, "z": z})
    h = 1e-6
    assert explanation.value == pytest.approx(f(x, y, z))
    assert explanation.gradients["x"] == pytest.approx((f(x + h, y, z) - f(x - h, y, z)) / (2 * h), rel=1e-4, abs=1e-6)
    assert explanation.gradients["y"] == pytest.approx((f(x, y + h, z) - f(x, y - h, z)) / (2 * h), rel=1e-4, abs=1e-6)
    assert explanation.gradients["z"] == pytest.approx((f(x, y, z + h) - f(x, y, z - h)) / (2 * h), rel=1e-4, abs=1e-6)


@pytest.mark.parametrize("name", functions())
def test_every_function_can_be_explained(name: str) -> None:
    values = dict(list({"x": 0.5, "y": 0.25}.items())[: len(functions()[name].inputs)])
    explanation = explain_expression(f"{name}({', '.join(values)})", values)
    assert explanation.value is not None
    assert "\\" not in str(explanation)


def test_nodes_have_names_that_nobody_else_has() -> None:
    assert [row.label for row in explain_expression("x * y + x", {"x": 1, "y": 2}).tape.rows] == ["x", "y", "q", "f"]
    assert [row.label for row in explain_expression("x*x + x*x", {"x": 1}).tape.rows] == ["x", "q1", "q2", "f"]
    rows = explain_expression("f * q1 + q1", {"f": 1, "q1": 2}).tape.rows
    assert [row.label for row in rows] == ["f", "q1", "r", "L"]


@pytest.mark.parametrize(
    ("text", "values", "remark"),
    [
        ("x / 0", {"x": 1}, "division by zero"),
        ("x / y", {"x": 0, "y": 0}, "0 / 0 has no value"),
        ("log(x) * 2", {"x": -1}, "q = log x = log(-1) is NaN: the logarithm of a negative number"),
        ("log(x)", {"x": 0}, "minus infinity"),
        ("sqrt(x)", {"x": -4}, "square root of a negative"),
        ("x**y", {"x": -2, "y": 0.5}, "no real power"),
        ("x**y", {"x": 0, "y": -1}, "division by zero"),
        ("x**y", {"x": -2, "y": 2}, "∂f/∂y = f · log x is NaN, although f is finite"),
        ("exp(x)", {"x": 1000}, "larger than any"),
        ("atanh(x)", {"x": 1}, "pole"),
        ("asin(x)", {"x": 2}, "asin has no value there"),
        ("sqrt(x) * x", {"x": 0}, "0 · inf is NaN"),
        ("relu(x)", {"x": 0}, "kink"),
        ("abs(x)", {"x": 0}, "kink"),
        ("max(x, y)", {"x": 1, "y": 1}, "tie"),
        ("x", {"x": 1, "y": 1}, "y does not occur"),
    ],
)
def test_remarks(text: str, values: dict[str, float], remark: str) -> None:
    explanation = explain_expression(text, values)
    assert any(remark in one for one in explanation.remarks), explanation.remarks
    assert "Remarks" in str(explanation)


def test_ordinary_runs_need_no_remark() -> None:
    assert explain_expression("(x + y) * z", {"x": -2, "y": 5, "z": -4}).remarks == []


@pytest.mark.parametrize(
    ("text", "message", "marked", "hint"),
    [
        ("", "empty", "", "clearprop explain"),
        ("x +", "ends too early", "", ""),
        ("(x", "never closed", "^", ""),
        ("x^2", "^ is not an operator", "^^^", "**"),
        ("x % 2", "% is not an operator", "^^^^^", ""),
        ("2x", "mistake", "^", "2*x"),
        ("x²", "mistake", " ^", "**2"),
        ("x × 2", "mistake", "  ^", "* for ×"),
        ("y * x(y + 1)", "no function x", "    ^", "x*(…)"),
        ("sigmod(x)", "no function sigmod", "^^^^^^", "sigmoid(…)"),
        ("αβ + frob(x)", "no function frob", "     ^^^^", ""),
        ("max(x)", "max takes 2 arguments", "^^^^^^", ""),
        ("max(x, 1, 2)", "max takes 2 arguments", "^^^^^^^^^^^^", "max(max(x, y), z)"),
        ("exp(x=1)", "exp takes 1 argument", "^^^^^^^^", ""),
        ("exp(*x)", "exp takes 1 argument", "^^^^^^^", ""),
        ("x.y", "cannot be part", "^^^", ""),
        ("x[0]", "cannot be part", "^^^^", ""),
        ("x if x else y", "cannot be part", "", ""),
        ("x < y", "cannot be part", "^^^^^", ""),
        ("not x", "cannot be part", "^^^^^", ""),
        ("'a' * x", "only real numbers", "^^^", ""),
        ("2j * x", "only real numbers", "^^", ""),
        ("True * x", "only real numbers", "^^^^", ""),
        ("lambda: x", "cannot be part", "", ""),
        ("(y := x)", "cannot be part", "", ""),
        ("__import__('os').system('true')", "cannot be part", "", ""),
        ("x; y", "mistake", "", ""),
        ("x = y", "mistake", "", ""),
        ("x\0y", "", "", ""),
        ("9" * 400 + "*x", "too large", "^", ""),
        ("x" * (LONGEST + 1), "more than", "", "a part"),
        ("(" * 240 + "x" + ")" * 240, "", "", ""),
        ("-" * (DEEPEST + 2) + "x", "nested too deeply", "", "a part"),
        ("+".join("x" * (DEEPEST + 2)), "nested too deeply", "", "a part"),
        ("2 + 3", "no variable", "", ""),
        ("exp", "exp has no value", "^^^", "exp=1"),
        ("x * β + γ", "β and γ have no value", "    ^", "β=1 γ=1"),
        ("alpha * x", "alpa has one", "^^^^^", "alpha=1"),
    ],
)
def test_bad_expressions(text: str, message: str, marked: str, hint: str) -> None:
    with pytest.raises(UsageError) as error:
        explain_expression(text, {"x": 1, "y": 2, "αβ": 1, "alpa": 1})
    assert message in error.value.message
    assert hint in error.value.hint
    if marked:
        assert f"\n  {marked}" in error.value.message.split(text)[-1]


def test_as_deep_as_allowed_is_computed() -> None:
    assert explain_expression("-" * DEEPEST + "x", {"x": 1}).gradients == {"x": (-1) ** DEEPEST}
    assert explain_expression("+".join("x" * DEEPEST), {"x": 1}).gradients == {"x": DEEPEST}


@given(st.text(max_size=30))
def test_no_text_does_anything_but_parse_or_be_refused(text: str) -> None:
    try:
        parse(text)
    except UsageError:
        return


def test_the_dictionary_is_json_even_where_json_has_no_number() -> None:
    explanation = explain_expression("log(x) / y", {"x": 0, "y": 0})
    data = json.loads(json.dumps(explanation.as_dict(), allow_nan=False))
    assert data["result"] == {"name": "f", "value": "-Infinity"}
    assert data["gradients"]["x"] in ("NaN", "Infinity")


def test_the_dictionary_has_every_number() -> None:
    data = explain_expression("y * (x**2 + x)", {"x": 2, "y": 1}).as_dict()
    assert [(row["node"], row["value"]) for row in data["forward"]] == [
        ("x", 2),
        ("y", 1),
        ("q1", 4),
        ("q2", 6),
        ("f", 6),
    ]
    first = data["backward"][0]
    assert (first["node"], first["upstream"], first["pattern"]) == ("f", 1, "multiplication switches")
    assert first["edges"][0] == {
        "to": "y", "input": 0, "formula": "q2", "latex": r"\bar x = \bar z \odot y",
        "local_derivative": 6, "contribution": 6,
    }  # fmt: skip
    assert [visit["summands"] for visit in data["backward"] if visit["node"] == "x"] == [[1, 4]]
    assert data["gradients"] == {"x": 5, "y": 6}


@pytest.mark.parametrize("width", [40, 60, 80, 120])
@pytest.mark.parametrize(
    "text", ["(x + y) * z", "-log(sigmoid(x*y + z*0.123456789)) / sqrt(x**2 + y**2)", "+".join(["x*y"] * 40)]
)
def test_every_line_fits(text: str, width: int) -> None:
    from clearprop.lens.layout import length

    values = {"x": 0.123456789, "y": -1e-9, "z": 123456.789}
    values = {name: value for name, value in values.items() if name in text}
    lines = explain_expression(text, values).lines(width)
    assert max(map(length, lines)) <= width
    assert all(span.text.isprintable() for line in lines for span in line)
