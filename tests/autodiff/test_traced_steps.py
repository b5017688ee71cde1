"""What a step of a traced scan does that its body does not know of, and transformations inside of it and around it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tests.autodiff.test_traced_scan import XS, B, W, loops
from tests.core.test_trace import check, traced

import clearprop as cp
from clearprop import nn
from clearprop.cell import Cell
from clearprop.errors import TraceError


class Rounded(cp.Function):
    """Rounding whose gradient is 7: nothing that differentiating ``forward`` could find."""

    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        return cp.round(x * 10.0)

    @staticmethod
    def backward(ctx: Any, g: Any) -> Any:
        return g * 7.0


def hooked(x: Any) -> Any:
    y = x * x
    if y.requires_grad:
        y.register_hook(lambda g: g * 10.0)
    return y * 1.0


def with_a_hooked_module() -> Any:
    layer = nn.Linear(3, 3).to(cp.float64)
    layer.register_full_backward_hook(lambda module, grad_input, grad_output: (grad_input[0] * 3.0,))
    return layer


square = cp.custom_vjp(lambda x: x * x)
square.defvjp(lambda x: (x * x, x), lambda x, g: (g * x * 100.0,))


@pytest.mark.parametrize("f", [Rounded.apply, square, hooked, with_a_hooked_module()])
@pytest.mark.parametrize("nested", [False, True])
def test_gradients_flow_by_rules_of_the_users_own(f: Any, nested: bool) -> None:
    def end(x: Any) -> Any:
        step = lambda h, _: (f(h), None)  # noqa: E731
        if nested:
            inner, step = step, lambda h, _: (cp.scan(inner, h, None, length=1)[0], None)
        return cp.scan(step, x, None, length=2)[0].sum()

    check(cp.grad(end), B)


def test_a_parameter_that_is_assigned_becomes_a_leaf_of_its_own() -> None:
    p = cp.Parameter(B)

    def end(x: Any) -> Any:
        p.assign(cp.asarray(B))

        def step(h: Any, _: Any) -> Any:
            p.assign(cp.sin(h * p))
            return h + p, p.value

        h, ps = cp.scan(step, x, None, length=3)
        return h.sum() + ps.sum()

    check(cp.grad(end), B)


def test_cells_that_are_found_late() -> None:
    """A body may assign a cell that it did not assign when it ran first."""
    early, late, calls = Cell(np.zeros(3)), Cell(np.zeros(3)), [0]

    def step(h: Any, x: Any) -> Any:
        early.assign(early + x)
        calls[0] += 1
        if calls[0] > 1:
            late.assign(late + early)
        return h, late.value

    calls[0] = 1
    expected = cp.scan(step, cp.asarray(B), cp.asarray(XS[:, 0]))[1].numpy()
    early.assign(np.zeros(3))
    late.assign(np.zeros(3))
    calls[0] = 0
    (found,) = traced(lambda b, xs: cp.scan(step, b, xs)[1], B, XS[:, 0])(B, XS[:, 0])
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-12)


@pytest.mark.parametrize(
    ("step", "message"),
    [
        (lambda p, h: (p * h).sum().backward(), r"backward\(\) arrives at a tensor from outside.*detach"),
        (lambda p, h: setattr(p, "grad", h.detach()), "a step of scan, while it is traced, cannot change the gradient"),
    ],
)
def test_gradients_left_behind_in_a_step_are_an_error(step: Any, message: str) -> None:
    p = cp.Parameter(B)
    with pytest.raises(TraceError, match=f"(?s){message}"):
        traced(lambda h: cp.scan(lambda h, _: (h, step(p, h)), h, None, length=2)[0], B)
    assert p.grad is None


# Transformations inside of a step, and around the loop ---------------------------------------------------------------


def test_gradients_by_what_a_step_uses_from_outside() -> None:
    """Taken inside the step; differentiated again outside."""

    def f(w: Any) -> Any:
        return cp.scan(lambda h, _: (h, cp.grad(lambda z: (cp.sin(z) * w * h).sum())(w)), w, None, length=2)[1]

    check(f, B)
    check(cp.grad(lambda w: f(w).sum()), B)
    check(lambda w: cp.jvp(f, (w,), (cp.cos(w),)), B)
    check(lambda w: cp.vmap(f)(cp.stack([w, w * 2.0])), B)


def test_a_value_of_the_batch_inside_of_two_loops() -> None:
    def f(x: Any) -> Any:
        outer = lambda h, _: (cp.scan(lambda k, _: (cp.sin(k) * x, None), h, None, length=2)[0], None)  # noqa: E731
        return cp.scan(outer, cp.asarray(B), None, length=2)[0].sum()

    check(cp.vmap(f), XS[:, 0])
    check(cp.vmap(cp.grad(f)), XS[:, 0])


def test_a_batch_of_directions_shares_the_random_numbers() -> None:
    """What does not depend on the batch has no batch axis in the loop, the counter above all."""
    generator = cp.random.Generator(5)

    def end(x: Any) -> Any:
        generator.manual_seed(5)
        noisy = lambda h, _: (cp.sin(h) * cp.random.uniform((3,), generator=generator, dtype=cp.float64), h)  # noqa: E731
        h, hs = cp.scan(noisy, x, None, length=3)
        return (h * h).sum() + hs.sum()

    check(cp.hessian(end), B)
    program = traced(cp.vmap(lambda x: cp.scan(lambda h, r: ((h[0] * r, h[1] + 1), None), (x, cp.asarray(0)),
                                               cp.asarray(XS[:, 0]))[0][0]), XS[:, 0])  # fmt: skip
    (loop,) = loops(program.program)
    assert [spec.shape for spec in loop.attributes["body"].outputs] == [(5, 3), ()]


def test_a_sum_that_is_added_to_itself_again_and_again() -> None:
    """Its terms, taken one by one, would be a million."""

    def end(w: Any) -> Any:
        def step(h: Any, x: Any) -> Any:
            doubled = w
            for _ in range(20):
                doubled = doubled + doubled
            return cp.tanh(x @ doubled * 1e-6) + h, None

        return cp.scan(step, cp.zeros((2, 3), dtype=cp.float64), cp.asarray(XS))[0].sum()

    check(cp.grad(end), W)


def test_a_batch_that_a_backward_pass_brings_back() -> None:
    """The checkpoint runs again when the vmap is over, on tensors that are batched all the same."""

    def f(x: Any) -> Any:
        return cp.scan(lambda h, row: (cp.sin(h) * x + row, None), x, cp.asarray(XS[:, 0]))[0].sum()

    check(cp.grad(lambda xs: cp.vmap(cp.checkpoint(f))(xs).sum()), XS[:, 0])
