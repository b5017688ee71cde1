"""The tape holds what happened: values forward; upstream gradients, local derivatives, contributions, sums backward."""

from __future__ import annotations

import numpy as np
import pytest

import clearprop as cp
from clearprop.graph import state
from clearprop.lens import Tape


def leaves(*values: object) -> list[cp.Tensor]:
    return [cp.tensor(value, dtype=cp.float64, requires_grad=True) for value in values]


def check_sums(tape: Tape) -> None:
    """What arrives at a node is the sum of the contributions, and each is upstream gradient times local derivative."""
    for visit in tape.visits:
        if visit.contributions_in:
            np.testing.assert_allclose(
                visit.upstream, sum(edge.contribution for edge in visit.contributions_in), rtol=1e-12
            )
        for edge in visit.edges:
            if edge.local_derivative is not None:
                np.testing.assert_allclose(edge.contribution, edge.upstream * edge.local_derivative, rtol=1e-12)


def test_the_example_of_the_lecture() -> None:
    x, y, z = leaves(-2.0, 5.0, -4.0)
    with cp.record() as tape:
        q = x + y
        f = q * z
        f.backward()
    assert [row.label for row in tape.rows] == ["x", "y", "z", "q", "f"]
    assert [row.primitive for row in tape.rows] == ["leaf", "leaf", "leaf", "add", "multiply"]
    assert [float(row.value) for row in tape.rows] == [-2, 5, -4, 3, -12]
    assert [float(row.gradient) for row in tape.rows] == [-4, -4, 3, -4, 1]
    assert [visit.row.label for visit in tape.visits] == ["f", "q", "z", "y", "x"]
    assert [(e.input.label, e.local_derivative, e.contribution) for e in tape["f"].edges] == [
        ("q", -4, -4),
        ("z", 3, 3),
    ]
    assert (tape["f"].formula, tape["f"].numbers) == ("q · z", "3 · (-4)")
    assert [edge.formula for edge in tape["f"].edges] == ["z", "q"]
    assert tape["f"].latex == r"z = x \odot y"
    assert tape["f"].edges[0].latex == r"\bar x = \bar z \odot y"
    assert tape["q"].pattern == "addition distributes"
    assert "f = q * z" in tape["f"].where
    check_sums(tape)


def test_contributions_add_up_at_fan_out() -> None:
    (x,) = leaves(3.0)
    with cp.record() as tape:
        a = x * x
        b = a + x
        c = a * b
        c.backward()
    assert [visit.pattern for visit in tape.visits] == ["", "", "fan-out adds", "fan-out adds"]
    assert sorted(float(edge.contribution) for edge in tape["a"].users) == [9, 12]
    assert tape["x"].gradient == x.grad.item() == 4 * 27 + 3 * 9
    assert [edge.is_repeated for edge in tape["a"].edges] == [True, True]
    check_sums(tape)


def test_a_network_in_every_direction() -> None:
    rng = np.random.default_rng(0)
    x = cp.tensor(rng.normal(size=(5, 4)))
    W = cp.Parameter(rng.normal(size=(4, 3)), name="fc.weight")
    b = cp.Parameter(rng.normal(size=(3,)), name="fc.bias")
    with cp.record() as tape:
        h = cp.tanh(x @ W + b)
        loss = (h * h).mean()
        loss.backward()
    np.testing.assert_array_equal(tape[W].gradient, W.grad.numpy())
    np.testing.assert_array_equal(tape["fc.bias"].gradient, b.grad.numpy())
    product = next(row for row in tape.rows if row.primitive == "matmul")
    assert product.formula == "x @ fc.weight"
    assert product.flops == 2 * 5 * 4 * 3
    (edge,) = product.edges
    assert (edge.formula, edge.local_derivative) == ("xᵀ", None)
    np.testing.assert_allclose(edge.contribution, x.numpy().T @ edge.upstream)
    assert tape["h"].residual_bytes == 5 * 3 * 8
    assert tape["h"].edges[0].formula == "1 - h^2"
    assert [operand.row.label if operand.row else None for operand in product.inputs] == [None, "fc.weight"]
    check_sums(tape)


def test_names_come_from_variables_parameters_and_source() -> None:
    def layer(x: cp.Tensor) -> cp.Tensor:
        inner = cp.exp(x)
        inner += 1.0
        annotated: cp.Tensor = inner * 2.0
        return (last := annotated - 1.0) if annotated.ndim == 0 else last

    w = cp.Parameter(1.0, name="the.weight")
    other = cp.Parameter(2.0)
    with cp.record() as tape:
        for _ in range(2):
            out = layer(w * other) + layer(other)
    labels = [row.name for row in tape.rows]
    assert {"the.weight", "other", "out", "inner", "annotated", "last"} <= set(labels)
    assert tape["out"] is tape[out]
    assert [row.primitive for row in tape.find(name="inner")] == ["exp", "add"] * 4


def test_the_last_of_several_nodes_of_one_expression_has_its_name() -> None:
    x = cp.tensor([1.0, 2.0, 3.0], requires_grad=True)

    def average() -> cp.Tensor:
        middle = x.mean()
        return middle + 0.0

    with cp.record() as tape:
        average()
    assert tape["middle"].primitive == "divide"
    assert [row.name for row in tape.rows if row.primitive == "sum"] == [""]


def test_a_run_that_raises_leaves_everything_up_to_the_error() -> None:
    x, y = leaves([1.0, 2.0], [[1.0, 2.0, 3.0]])
    with pytest.raises(cp.ShapeError), cp.record() as tape:
        a = cp.exp(x)
        a + y
    assert [row.primitive for row in tape.rows if not row.is_leaf] == ["exp"]
    assert tape.error.startswith("ShapeError: add")
    assert "ShapeError" in str(tape)
    assert state.observer is None


def test_an_error_in_the_backward_pass_leaves_the_visits_before_it() -> None:
    class Broken(cp.Function):
        @staticmethod
        def forward(ctx: object, x: cp.Tensor) -> cp.Tensor:
            return x * 2.0

        @staticmethod
        def backward(ctx: object, dz: cp.Tensor) -> cp.Tensor:
            raise cp.GradientError("not today")

    (x,) = leaves(1.0)
    with pytest.raises(cp.GradientError), cp.record() as tape:
        y = Broken.apply(cp.exp(x))
        z = y * 3.0
        z.backward()
    assert [visit.row.label for visit in tape.visits] == ["z"]
    assert tape["z"].edges[0].contribution == 3


def test_nested_recorders_both_see_the_inner_run() -> None:
    (x,) = leaves(2.0)
    with cp.record() as outer:
        a = x * x
        with cp.record() as inner:
            b = a * 3.0
            b.backward()
        c = x + 1.0
    assert [row.label for row in outer.rows] == ["x", "a", "b", "c"]
    assert [row.primitive for row in inner.rows if row.operands] == ["multiply", "multiply"]
    assert inner["b"].edges[0].contribution == outer["b"].edges[0].contribution == 3
    assert inner["x"].gradient == outer["x"].gradient == 12
    assert len(outer.visits) == len(inner.visits) == 3
    assert (a.item(), c.item()) == (4, 3)


def test_a_tape_of_the_backward_pass_alone_knows_the_local_derivatives_too() -> None:
    x, y = leaves(2.0, 5.0)
    f = cp.exp(x) * y
    with cp.record() as tape:
        f.backward()
    assert tape["f"].value is None
    assert [float(edge.local_derivative) for edge in tape["f"].edges] == [5.0, np.exp(2.0)]
    check_sums(tape)
    assert "–" in str(tape)  # values that nobody saw


def test_two_backward_passes_are_two_visits_whose_gradients_add_up() -> None:
    (x,) = leaves(3.0)
    with cp.record() as tape:
        f = x * x
        f.backward(retain_graph=True)
        f.backward()
    assert [float(visit.upstream) for visit in tape["x"].visits] == [6, 6]
    assert [len(visit.contributions_in) for visit in tape["x"].visits] == [2, 2]
    assert tape["x"].gradient == x.grad.item() == 12


def test_a_recorded_backward_pass_is_on_the_tape_as_nodes() -> None:
    (x,) = leaves(2.0)
    with cp.record() as tape:
        y = x * x * x
        y.backward(create_graph=True)
        x.grad.sum().backward()
    assert isinstance(tape["y"].edges[0].contribution, np.ndarray)
    assert len([row for row in tape.rows if not row.is_leaf]) > 2


def test_a_function_is_recorded_with_its_arguments_names() -> None:
    def f(first: cp.Tensor, second: cp.Tensor) -> cp.Tensor:
        return first * second

    tape = cp.record(f)(*leaves(2.0, 3.0))
    assert tape.result.item() == 6
    assert tape.rows[-1].formula == "first · second"


def test_transformations_are_seen() -> None:
    with cp.record() as tape:
        g = cp.grad(lambda x: cp.exp(x * 2.0))(cp.tensor(0.5, dtype=cp.float64))
    total = [row for row in tape.rows if row.users and not row.visits]
    assert [float(row.gradient) for row in total] == [g.item()]


def test_custom_rules_and_several_outputs() -> None:
    class Both(cp.Function):
        @staticmethod
        def forward(ctx: object, x: cp.Tensor) -> tuple[cp.Tensor, cp.Tensor]:
            return x + 1.0, x * 2.0

        @staticmethod
        def backward(ctx: object, da: cp.Tensor, db: cp.Tensor) -> cp.Tensor:
            return da + 2.0 * db

    (x,) = leaves([1.0, 2.0])
    with cp.record() as tape:
        a, b = Both.apply(x)
        loss = (a * b).sum()
        loss.backward()
    custom = next(row for row in tape.rows if row.primitive == "custom")
    assert custom.formula == "Both(x)"
    assert sorted(custom.visits[0].upstream) == [0, 1]
    np.testing.assert_array_equal(tape["x"].gradient, x.grad.numpy())
    assert "Both(x)" in tape.table(60)


def test_concat_checkpoint_and_vmap_can_be_read() -> None:
    x, y = leaves([1.0, 2.0], [3.0])
    with cp.record() as tape:
        z = cp.concat([x, y])
        w = cp.checkpoint(cp.exp)(z)
        loss = w.sum() + cp.vmap(lambda one: one * one)(z).sum()
        loss.backward()
    np.testing.assert_array_equal(tape["y"].gradient, y.grad.numpy())
    assert tape["z"].formula == "concat(x, y)"
    assert str(tape)


def test_what_is_not_on_the_tape_is_named_with_a_way_out() -> None:
    x, other = leaves(1.0, 2.0)
    with cp.record() as tape:
        height = x * 2.0
    with pytest.raises(cp.ClearpropError, match="no row named 'heigth'") as error:
        tape["heigth"]
    assert "tape['height']" in str(error.value)
    with pytest.raises(cp.ClearpropError, match="no row of this tensor"):
        tape[other]
    with pytest.raises(cp.ClearpropError, match="no row of this tensor"):
        tape[height.detach()]


def test_rows_are_found_by_name_module_and_line() -> None:
    (x,) = leaves(1.0)
    with cp.record() as tape:
        state.module = "encoder.fc1"
        a = x * 2.0
        state.module = "encoder_2"
        b = a * 2.0
        state.module = ""
    assert tape.find(module="encoder") == [tape["a"]]
    assert tape.find(where="b = a * 2.0") == [tape["b"]]
    assert tape.find(name="nothing") == []
    assert b.item() == 4


def test_names_can_be_given() -> None:
    (x,) = leaves(1.0)
    with cp.record() as tape:
        y = cp.exp(x) * 2.0
        tape.name({"answer": y})
    assert tape["answer"] is tape[y]


def test_a_tape_can_be_read_while_it_records() -> None:
    (x,) = leaves(2.0)
    with cp.record() as tape:
        y = x * x
        assert len(tape) == 2
        y.backward()
        assert tape["x"].gradient == 4
        assert len(tape.visits) == 2


def test_nothing_is_watched_when_nobody_records() -> None:
    (x,) = leaves(2.0)
    with cp.record() as tape:
        pass
    x * x
    assert len(tape) == 0
    assert str(tape).startswith("Forward")
    assert state.observer is None


def test_large_tables_are_cut_and_large_values_summarized() -> None:
    h = cp.tensor(np.zeros((100, 100)), requires_grad=True)
    with cp.record() as tape:
        for _ in range(100):
            h = h + 1.0
    text = str(tape)
    assert "… and 51 more" in text
    assert "100×100: all 3" in text
    assert len(text.splitlines()) < 60


def test_a_pass_inside_a_step_of_another_one_counts_once() -> None:
    w = cp.Parameter([0.3, 0.7], name="w")
    with cp.record() as tape:
        y = cp.checkpoint(lambda x: cp.exp(x) * w)(w * 2.0)
        loss = (y * w).sum()
        loss.backward()
    assert w.grad is not None
    (visit,) = tape["w"].visits
    assert visit.root is tape["loss"]
    assert len(visit.contributions_in) == len(tape["w"].users) == 3  # as loss, checkpoint and w * 2 use it
    check_sums(tape)
    np.testing.assert_allclose(sum(edge.contribution for edge in tape["w"].users), w.grad.numpy(), rtol=1e-6)
    assert "∂loss/∂w = sum of 3 contributions" in str(tape)


def test_a_formula_of_many_inputs_is_short() -> None:
    parts = [cp.tensor([float(i)], requires_grad=True) for i in range(40)]
    with cp.record() as tape:
        joined = cp.concat(parts)
        few = cp.concat(parts[:3])
    assert tape["few"].formula == "concat(#1, #2, #3)"
    assert tape["joined"].formula == "concat(#1, #2, …, #40)"
    assert (joined.size, few.size) == (40, 3)
