"""scan: the same values and gradients as the loop that it stands for."""

from __future__ import annotations

import itertools
import sys
from typing import Any

import numpy as np
import pytest

import clearprop as cp

XS = np.random.default_rng(0).standard_normal((5, 3))
W = np.random.default_rng(1).standard_normal((3, 3)) * 0.5


def recurrent(w: Any, xs: Any, **options: Any) -> Any:
    def step(h: Any, x: Any) -> Any:
        h = cp.tanh(h @ w + x)
        return h, {"h": h, "sum": h.sum()}

    return cp.scan(step, cp.zeros(3, dtype=cp.float64), xs, **options)


def test_values_are_those_of_the_loop() -> None:
    carry, ys = recurrent(cp.asarray(W), cp.asarray(XS))
    h = np.zeros(3)
    for t in range(5):
        h = np.tanh(h @ W + XS[t])
        np.testing.assert_allclose(ys["h"].numpy()[t], h, rtol=1e-12)
        np.testing.assert_allclose(ys["sum"].numpy()[t], h.sum(), rtol=1e-12)
    np.testing.assert_allclose(carry.numpy(), h, rtol=1e-12)


def test_gradients_to_second_order() -> None:
    cp.check_gradients(lambda w, xs: recurrent(w, xs), W, XS, order=2)


def test_in_reverse_outputs_stand_at_the_places_of_their_inputs() -> None:
    carry, ys = recurrent(cp.asarray(W), cp.asarray(XS), reverse=True)
    forward_carry, forward = recurrent(cp.asarray(W), cp.flip(XS, 0))
    np.testing.assert_allclose(carry.numpy(), forward_carry.numpy())
    np.testing.assert_allclose(ys["h"].numpy(), forward["h"].numpy()[::-1])


def test_under_vmap_and_checkpoint() -> None:
    batch = np.stack([XS, 2 * XS])
    gradient = cp.vmap(cp.grad(lambda xs: recurrent(cp.asarray(W), xs)[0].sum()))(cp.asarray(batch))
    for i in range(2):
        alone = cp.grad(cp.checkpoint(lambda xs: recurrent(cp.asarray(W), xs)[0].sum()))(cp.asarray(batch[i]))
        np.testing.assert_allclose(gradient.numpy()[i], alone.numpy(), rtol=1e-12)


def test_without_inputs_and_without_outputs() -> None:
    carry, ys = cp.scan(lambda c, _: (c * 2.0, None), cp.tensor(1.0), None, length=10)
    assert carry.item() == 1024.0
    assert ys is None


def test_parameters_read_in_the_body_get_gradients() -> None:
    w = cp.Parameter(np.float64(0.5))
    carry, _ = cp.scan(lambda c, x: (c * w + x, None), cp.asarray(np.float64(1.0)), cp.asarray(np.ones(3)))
    carry.backward()
    assert w.grad is not None
    np.testing.assert_allclose(w.grad.numpy(), 1 + 2 * 0.5 + 3 * 0.25)  # w³ + w² + w + 1


def alternating() -> Any:
    """A body whose output has one tensor, then two."""
    widths = itertools.cycle([1, 2])
    return lambda c, x: (c, [x] * next(widths))


def swapped(x: Any) -> Any:
    """A carry whose parts a step returns in another order, by their names."""
    step = lambda c, _: ({"b": c["a"] * 2.0, "a": c["b"] + 1.0}, {"q": c["b"], "p": c["a"]})  # noqa: E731
    carry, ys = cp.scan(step, {"a": x, "b": x * 10.0}, None, length=3)
    return [carry["a"], carry["b"], ys["p"], ys["q"]]


def test_dicts_are_matched_by_their_keys() -> None:
    a, b, p, q = (x.tolist() for x in swapped(cp.asarray(np.float64(1.0))))
    assert (a, b, p, q) == (23.0, 6.0, [1.0, 11.0, 3.0], [10.0, 2.0, 22.0])
    compiled = cp.compile(swapped, executor="reference")(cp.asarray(np.float64(1.0)))
    assert [x.tolist() for x in compiled] == [a, b, p, q]


@pytest.mark.parametrize(
    ("call", "what"),
    [
        (lambda: cp.scan(lambda c, x: (c, x), cp.zeros(1), None), "one number of steps"),
        (lambda: cp.scan(lambda c, x: (c, x), cp.zeros(1), (cp.zeros(2), cp.zeros(3))), "one number of steps"),
        (lambda: cp.scan(lambda c, x: (c, x), cp.zeros(1), cp.zeros((0, 3))), "no steps"),
        (lambda: cp.scan(lambda c, x: (c, x), cp.zeros(1), cp.tensor(1.0)), "without axes"),
        (
            lambda: cp.scan(lambda c, x: (cp.zeros(2), x), cp.zeros(1), cp.zeros(3)),
            "and the step returned shape",
        ),
        (lambda: cp.scan(lambda c, x: ([c], x), cp.zeros(1), cp.zeros(3)), "nested them in another way"),
        (lambda: cp.scan(alternating(), cp.zeros(1), cp.zeros(3)), "the outputs of the steps are nested"),
    ],
)
def test_what_does_not_fit(call: Any, what: str) -> None:
    with pytest.raises(cp.ShapeError, match=what):
        call()


def test_the_gradient_of_many_steps_costs_no_more_for_each() -> None:
    """Gradients of the steps are stacked; added up one by one they would cost the square of their number."""
    costs = []
    for steps in (50, 100):
        xs = cp.tensor(np.ones(steps, np.float32), requires_grad=True)
        carry, _ = cp.scan(lambda c, x: (c + x, None), cp.tensor(0.0), xs)
        with cp.record() as tape:
            carry.backward()
        contributions = [edge.contribution for visit in tape.visits for edge in visit.edges]
        costs.append(sum(int(np.size(c)) for c in contributions if isinstance(c, (np.ndarray, np.generic))))
        np.testing.assert_array_equal(xs.grad, np.ones(steps))
    assert 0 < costs[1] <= 2 * costs[0] + 10


def test_a_carry_keeps_its_dtype() -> None:
    """It would be that of the first step and that of all others; traced, there is one step only."""
    with pytest.raises(cp.DTypeError, match="part 0 of the carry is float32, and the step returned float64"):
        cp.scan(lambda c, x: (c + x, c), cp.tensor(0.0), cp.asarray(np.ones(3)))


# Cells and random numbers in the body ---------------------------------------------------------------------------------


class Noisy:
    """A body that reads a parameter, counts its calls in a cell, and drops elements at random."""

    def __init__(self) -> None:
        self.weight = cp.Parameter(W, name="weight")
        self.calls = cp.Buffer(np.float64(0.0))
        self.generator = cp.random.Generator(5)

    def step(self, h: Any, x: Any) -> Any:
        kept = cp.random.bernoulli(0.6, h.shape, generator=self.generator)
        h = cp.tanh(h @ self.weight + cp.where(kept, x, 0.0) * (1.0 + self.calls))
        self.calls.assign(self.calls + 0.5)
        return h, h * h

    def scanned(self, xs: Any) -> Any:
        carry, ys = cp.scan(self.step, cp.zeros(3, dtype=cp.float64), xs)
        return (ys * ys).sum() + carry.sum()

    def unrolled(self, xs: Any) -> Any:
        h, ys = cp.zeros(3, dtype=cp.float64), []
        for i in range(xs.shape[0]):
            h, y = self.step(h, xs[i])
            ys.append(y)
        stacked = cp.stack(ys)
        return (stacked * stacked).sum() + h.sum()

    def after(self) -> Any:
        """What a run leaves behind."""
        gradient = None if self.weight.grad is None else self.weight.grad.numpy()
        return gradient, self.calls.item(), self.generator.counter.item()


def test_cells_and_random_numbers_are_those_of_the_unrolled_loop() -> None:
    results = []
    for run in (Noisy.scanned, Noisy.unrolled):
        noisy = Noisy()
        losses = []
        for _ in range(2):  # the second run goes on where the first has left the cells
            loss = run(noisy, cp.asarray(XS))
            loss.backward()
            losses.append(loss.item())
        results.append((losses, *noisy.after()))
    (losses, gradient, calls, counter), (wanted, of_loop, _, _) = results
    assert losses[0] != losses[1]
    np.testing.assert_allclose(losses, wanted, rtol=1e-13)
    np.testing.assert_allclose(gradient, of_loop, rtol=1e-12)
    assert calls == 2 * len(XS) * 0.5
    assert counter == results[1][3] == 2 * len(XS)  # a block of four words for the three elements of each step


def test_a_checkpointed_loop_draws_and_assigns_once() -> None:
    plain, checkpointed = Noisy(), Noisy()
    gradients = []
    for noisy, f in ((plain, plain.scanned), (checkpointed, cp.checkpoint(checkpointed.scanned))):
        xs = cp.tensor(XS, requires_grad=True)
        loss = f(xs)
        loss.backward()  # runs the loop again where it was checkpointed, with the cells and the counter as they were
        gradients.append((loss.item(), xs.grad.numpy(), *noisy.after()))
    for one, other in zip(*gradients, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-13)


def test_random_numbers_under_vmap_are_those_of_the_loop_under_vmap() -> None:
    batch = cp.asarray(np.stack([XS, XS, XS]))

    def losses(unrolled: bool) -> Any:
        generator = cp.random.Generator(2)

        def step(h: Any, x: Any) -> Any:
            h = cp.tanh(
                h @ cp.asarray(W) + x * cp.random.bernoulli(0.5, h.shape, generator=generator).astype(cp.float64)
            )
            return h, h

        def loss(xs: Any) -> Any:
            h = cp.zeros(3, dtype=cp.float64)
            if not unrolled:
                return cp.scan(step, h, xs)[0].sum()
            for i in range(5):
                h, _ = step(h, xs[i])
            return h.sum()

        values, gradients = cp.vmap(cp.value_and_grad(loss))(batch)
        return values.numpy(), gradients.numpy(), generator.counter.item()

    (values, gradients, counter), (wanted, of_loop, counted) = losses(False), losses(True)
    assert len(set(values)) == 3  # each example has numbers of its own
    np.testing.assert_allclose(values, wanted, rtol=1e-13)
    np.testing.assert_allclose(gradients, of_loop, rtol=1e-12)
    assert counter == counted > 0


def test_the_gradient_of_a_loop_with_random_numbers_is_that_of_its_numbers() -> None:
    def f(xs: Any) -> Any:
        return Noisy().scanned(xs)  # each call draws the same numbers

    cp.check_gradients(f, XS, order=2)


def test_gathering_the_gradients_of_many_outputs_takes_time_in_proportion() -> None:
    """The steps of a loop are outputs of one node; their gradients are put into one dict, which must not be copied."""
    lines = []
    for steps in (50, 100):
        xs = cp.tensor(np.ones(steps, np.float32), requires_grad=True)
        carry, _ = cp.scan(lambda c, x: (c + x, None), cp.tensor(0.0), xs)
        count = 0

        def tracer(frame: Any, event: str, argument: Any) -> Any:
            nonlocal count
            count += event == "line"
            return tracer

        before = sys.gettrace()
        sys.settrace(tracer)
        try:
            carry.backward()
        finally:
            sys.settrace(before)
        lines.append(count)
    assert 0 < lines[1] <= 2.05 * lines[0]
