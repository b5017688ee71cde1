"""A traced scan is one node: the same values, gradients and random numbers as the loop recorded step by step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from tests.core.test_trace import check, traced

import clearprop as cp
from clearprop import nn
from clearprop.autodiff.loop import scan_node
from clearprop.cell import Cell
from clearprop.errors import DTypeError, ShapeError
from clearprop.graph import Graph
from clearprop.primitive import Spec
from clearprop.trace import Program

XS = np.random.default_rng(0).standard_normal((5, 2, 3))
W = np.random.default_rng(1).standard_normal((3, 3)) * 0.5
B = np.random.default_rng(2).standard_normal(3)


def recurrent(w: Any, b: Any, xs: Any, **options: Any) -> Any:
    """A simple recurrent network; returns the last state, all states, and a running count of steps."""

    def step(carry: Any, x: Any) -> Any:
        h, count = carry
        h = cp.tanh(h @ w + b + x)
        return (h, count + 1), {"h": h, "sum": h.sum(), "count": count}

    (h, count), ys = cp.scan(step, (cp.zeros((2, 3), dtype=cp.float64), cp.asarray(0)), xs, **options)
    return [h, count, ys["h"], ys["sum"], ys["count"]]


def loss(w: Any, b: Any, xs: Any, **options: Any) -> Any:
    h, _, hs, sums, _ = recurrent(w, b, xs, **options)
    return (h * h).sum() + cp.sin(hs).sum() + (sums * sums).sum()


def loops(program: Program) -> list[Any]:
    return [node for node in program.order if node.primitive is scan_node]


@pytest.mark.parametrize("reverse", [False, True])
def test_values(reverse: bool) -> None:
    program = check(lambda w, b, xs: recurrent(w, b, xs, reverse=reverse), W, B, XS)
    assert len(loops(program.program)) == 1


@pytest.mark.parametrize("reverse", [False, True])
def test_gradients_by_weights_and_data(reverse: bool) -> None:
    f = lambda w, b, xs: loss(w, b, xs, reverse=reverse)  # noqa: E731
    program = check(lambda *args: cp.grad(f, (0, 1, 2))(*args), W, B, XS)
    forward, backward = loops(program.program)
    assert forward.attributes["reverse"] is reverse
    assert backward.attributes["reverse"] is not reverse


def test_only_what_is_asked_for_is_computed() -> None:
    everything = traced(lambda *args: cp.grad(loss, (0, 1, 2))(*args), W, B, XS)
    weights = traced(lambda *args: cp.grad(loss, (0,))(*args), W, B, XS)
    _, of_all = loops(everything.program)
    _, of_weights = loops(weights.program)
    assert len(of_weights.attributes["body"].program.outputs) < len(of_all.attributes["body"].program.outputs)


def test_gradients_of_gradients() -> None:
    def norm(w: Any, b: Any, xs: Any) -> Any:
        return sum(((g * g).sum() for g in cp.grad(loss, (0, 1, 2))(w, b, xs)), cp.tensor(np.float64(0.0)))

    check(lambda *args: cp.grad(norm, (0, 1, 2))(*args), W, B, XS)
    check(lambda w: cp.hessian(lambda w: loss(w, cp.asarray(B), cp.asarray(XS)))(w), W)


def test_third_derivatives() -> None:
    def cubic(x: Any) -> Any:
        return cp.scan(lambda h, c: (cp.sin(h * x) + c, h), x, cp.asarray(np.array([0.1, 0.2, 0.3])))[0]

    check(cp.grad(cp.grad(cp.grad(cubic))), np.float64(0.7))


def test_tangents() -> None:
    check(lambda w, b, xs: cp.jvp(loss, (w, b, xs), (w * 2.0, b + 1.0, cp.sin(xs))), W, B, XS)
    check(lambda w, b, xs: cp.jvp(lambda b: loss(w, b, xs), (b,), (b * b,)), W, B, XS)
    check(lambda w, b, xs: cp.hvp(lambda w: loss(w, b, xs), (w,), (w,)), W, B, XS)


def test_batches() -> None:
    stacked = np.stack([XS, XS * 0.5, -XS])
    check(cp.vmap(lambda xs: loss(cp.asarray(W), cp.asarray(B), xs)), stacked)
    check(lambda w, xs: cp.vmap(cp.grad(lambda w, xs: loss(w, cp.asarray(B), xs)), (None, 0))(w, xs), W, stacked)


def test_a_program_with_a_loop_runs_on_tensors_and_is_differentiated_there() -> None:
    program = traced(loss, W, B, XS).program
    cp.check_gradients(lambda w, b, xs: program.run([w, b, xs])[0], W, B, XS, order=2)
    leaves = [cp.tensor(a, requires_grad=True) for a in (W, B, XS)]
    value = program.run(leaves)[0]
    assert sum(node.primitive is scan_node for node in Graph(value).nodes) == 1
    value.backward()
    expected = cp.grad(loss, (0, 1, 2))(*[cp.asarray(a) for a in (W, B, XS)])
    for leaf, gradient in zip(leaves, expected, strict=True):
        assert leaf.grad is not None
        np.testing.assert_allclose(leaf.grad.numpy(), gradient.numpy(), rtol=1e-10)
    batch = cp.vmap(lambda xs: program.run([cp.asarray(W), cp.asarray(B), xs])[0])(cp.asarray(np.stack([XS, -XS])))
    alone = [loss(cp.asarray(W), cp.asarray(B), cp.asarray(xs)).item() for xs in (XS, -XS)]
    np.testing.assert_allclose(batch.numpy(), alone, rtol=1e-10)


def test_weights_of_modules_are_read_at_each_call_and_get_gradients() -> None:
    layer = nn.Linear(3, 3).to(cp.float64)

    def f(xs: Any) -> Any:
        h, hs = cp.scan(lambda h, x: ((h := cp.tanh(layer(h) + x)), h), cp.zeros((2, 3), dtype=cp.float64), xs)
        return (h * h).sum() + hs.sum()

    def gradients(xs: Any) -> Any:
        values = {name: cell.value for name, cell in layer.named_parameters()}
        found = cp.grad(lambda values: nn_call(f, values, xs))(values)
        return list(found.values())

    def nn_call(f: Callable[..., Any], values: Any, xs: Any) -> Any:
        class Whole(nn.Module):
            def __init__(self) -> None:
                self.layer = layer

            def forward(self, xs: Any) -> Any:
                return f(xs)

        return nn.functional_call(Whole(), {f"layer.{name}": value for name, value in values.items()}, xs)

    program = check(gradients, XS)
    layer.weight.assign(layer.weight * 0.5)
    for one, other in zip(program(cp.asarray(XS)), gradients(cp.asarray(XS)), strict=True):
        np.testing.assert_allclose(one.numpy(), other.numpy(), rtol=1e-10)


def test_a_weights_gradient_is_one_product_over_all_steps() -> None:
    """And not the sum of one product for each step, for any number of steps."""
    program = traced(cp.grad(loss), W, B, XS)
    _, backward = loops(program.program)
    inside = [node.name for node in backward.attributes["body"].program.order]
    assert inside.count("matmul") == 1, "what goes back to the state before; the weight's is outside"
    (outside,) = [node for node in program.program.order if node.name == "matmul"]
    assert outside.parents[0].shape == (3, 10)
    assert outside.shape == (3, 3)


@pytest.mark.parametrize("f", [loss, cp.grad(loss)])
def test_nodes_do_not_grow_with_the_number_of_steps(f: Callable[..., Any]) -> None:
    short, long = (traced(f, W, B, np.ones((steps, 2, 3))).program for steps in (3, 300))
    assert len(short.order) == len(long.order)
    by_steps = [loops(program)[0].primitive for program in (short, long)]
    assert by_steps == [scan_node, scan_node]
    assert long.flops() > 50 * short.flops()


def test_what_is_kept_for_each_step_does_not_repeat_what_is_constant() -> None:
    """Weights, and their transposes, are not kept once for every step."""
    forward, _ = loops(traced(lambda *args: cp.grad(loss, (0, 1, 2))(*args), W, B, XS).program)
    body = forward.attributes["body"]
    assert (3, 3) not in [spec.shape for spec in body.outputs]


def test_what_takes_an_operation_or_two_is_computed_again_and_not_kept() -> None:
    def f(w: Any, xs: Any) -> Any:
        def step(h: Any, x: Any) -> Any:
            h = cp.tanh(h @ w + x)  # its derivative, 1 - h^2, is a function of what is kept anyway
            return h, None

        return cp.sum(cp.scan(step, cp.zeros((2, 3), dtype=cp.float64), xs)[0] ** 2)

    program = check(lambda w, xs: cp.grad(f, (0, 1))(w, xs), W, XS)
    forward, _ = loops(program.program)
    body = forward.attributes["body"]
    assert len(body.program.outputs) - body.carries == 2  # the state before the step and behind it


def test_random_numbers_and_other_cells_are_carried() -> None:
    generator, total = cp.random.Generator(5), Cell(np.float64(0.0))

    def f(xs: Any) -> Any:
        generator.manual_seed(5)
        total.assign(np.float64(0.0))

        def step(h: Any, x: Any) -> Any:
            h = nn.functional.dropout(cp.sin(h + x), 0.5, generator=generator)
            total.assign(total + h.sum())
            return h, total.value

        h, totals = cp.scan(step, cp.zeros((2, 3), dtype=cp.float64), xs)
        return [h, totals, total.value, cp.random.uniform((2,), generator=generator)]

    program = check(f, XS)
    assert len(loops(program.program)) == 1
    assert len(np.unique(program(cp.asarray(XS))[1].numpy())) == 5
    check(cp.grad(lambda xs: (lambda found: found[0].sum() + found[1].sum())(f(xs))), XS)


def test_dropout_in_a_loop_inside_vmap_differs_from_example_to_example() -> None:
    generator = cp.random.Generator(5)

    def f(x: Any) -> Any:
        generator.manual_seed(5)
        return cp.scan(lambda h, _: (nn.functional.dropout(h + x, 0.5, generator=generator), None), x, None, length=3)[
            0
        ]

    check(cp.vmap(f), np.ones((4, 3)))


def test_what_is_detached_in_a_step_stays_detached() -> None:
    def f(x: Any, xs: Any) -> Any:
        def step(h: Any, row: Any) -> Any:
            with cp.no_grad():
                scale = cp.exp(h) + row
            return cp.sin(h * x.detach() + row) * scale, (h * x).detach() * row

        h, ys = cp.scan(step, x, xs)
        return h.sum() + ys.sum()

    check(cp.grad(f, (0, 1)), B, XS[:, 0])


def test_loops_in_loops() -> None:
    def f(w: Any, xs: Any) -> Any:
        def outer(h: Any, x: Any) -> Any:
            inner, ys = cp.scan(lambda k, row: (cp.tanh(k @ w + row), k.sum()), h, x)
            return inner, ys

        h, ys = cp.scan(outer, cp.zeros(3, dtype=cp.float64), xs)
        return (h * h).sum() + cp.sin(ys).sum()

    check(f, W, XS)
    check(cp.grad(f), W, XS)
    check(cp.grad(lambda w, xs: (cp.grad(f)(w, xs) ** 2).sum(), 1), W, XS)


def test_gradients_taken_inside_of_a_step() -> None:
    """Gradient descent as a loop, and the gradient of where it ends."""

    def end(x: Any) -> Any:
        step = lambda x, _: (x - 0.1 * cp.grad(lambda x: (cp.cos(x) * x).sum())(x), None)  # noqa: E731
        return cp.scan(step, x, None, length=4)[0].sum()

    check(end, B)
    check(cp.grad(end), B)


def test_sums_that_are_no_products_are_added_up_on_the_way() -> None:
    """The gradient of a table that is read at positions: nothing to multiply."""
    positions = cp.asarray(np.array([[0, 2], [1, 1], [2, 0]]))

    def f(table: Any) -> Any:
        return cp.scan(lambda h, i: (cp.sin(h + table[i]), None), cp.zeros((2, 3), dtype=cp.float64), positions)[
            0
        ].sum()

    program = check(cp.grad(f), W)
    _, backward = loops(program.program)
    assert backward.attributes["body"].carries == 2


@pytest.mark.parametrize(
    ("step", "error", "message"),
    [
        (lambda h, x: (h[0], None), ShapeError, r"part 0 of the carry has shape \(3,\).*returned shape \(\)"),
        (lambda h, x: (h.astype(cp.float32), None), DTypeError, "part 0 of the carry is float64.*returned float32"),
        (lambda h, x: ((h, h), None), ShapeError, "the carry has 1 tensors.*returned 2"),
    ],
)
def test_a_carry_that_changes_is_an_error(step: Any, error: Any, message: str) -> None:
    with pytest.raises(error, match=f"(?s){message}"):
        traced(lambda xs: cp.scan(step, cp.zeros(3, dtype=cp.float64), xs)[0], np.ones((2, 3)))


def test_inputs_that_do_not_fit_the_body() -> None:
    (node,) = loops(traced(loss, W, B, XS).program)
    specs = [Spec(parent.shape, parent.dtype) for parent in node.parents]
    node.primitive.specs(*specs, **node.attributes)
    specs[-1] = Spec((4, 2, 3), specs[-1].dtype)
    with pytest.raises(ShapeError, match="scan of 5 steps"):
        node.primitive.specs(*specs, **node.attributes)


def test_the_cost_is_that_of_all_steps() -> None:
    (node,) = loops(traced(loss, W, B, XS).program)
    specs = [Spec(parent.shape, parent.dtype) for parent in node.parents]
    products = 5 * 2 * 2 * 3 * 3
    assert node.primitive.cost(*specs, **node.attributes).flops >= products
    assert node.primitive.cost(*specs, **node.attributes).flops < 2 * products


def test_an_error_in_the_step_leaves_cells_as_they_were() -> None:
    cell = Cell(np.float64(1.0))

    def step(h: Any, x: Any) -> Any:
        cell.assign(cell + 1.0)
        raise RuntimeError("on purpose")

    with pytest.raises(RuntimeError, match="on purpose"):
        traced(lambda xs: cp.scan(step, xs[0], xs)[0], np.ones((3, 2)))
    assert cell.item() == 1.0


@pytest.mark.parametrize("size", [0, 1])
def test_states_of_one_element_and_of_none(size: int) -> None:
    xs, w = np.full((3, 1, size), 0.3), np.full((size, size), 0.7)

    def end(w: Any, xs: Any) -> Any:
        return cp.scan(lambda h, x: (cp.tanh(h @ w + x), h), xs[0], xs)[0].sum()

    program = check(cp.grad(end), w, xs)
    assert len(loops(program.program)) <= 2, "what was kept is found again"


def test_rules_that_make_constants_of_their_own() -> None:
    """x ** c needs c - 1, which is another array each time that the step is differentiated."""
    powers = np.array([1.5, 2.0, 3.0])

    def end(h: Any) -> Any:
        return cp.scan(lambda h, x: (cp.abs(h) ** powers + x * 0.1, h), h, cp.asarray(XS[:, 0]))[0].sum()

    check(cp.grad(end), B)
    check(cp.grad(lambda h: (cp.grad(end)(h) ** 2).sum()), B)
