"""scan: the same values and gradients as the loop that it stands for."""

from __future__ import annotations

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


@pytest.mark.parametrize(
    ("call", "what"),
    [
        (lambda: cp.scan(lambda c, x: (c, x), cp.zeros(1), None), "one number of steps"),
        (lambda: cp.scan(lambda c, x: (c, x), cp.zeros(1), (cp.zeros(2), cp.zeros(3))), "one number of steps"),
        (lambda: cp.scan(lambda c, x: (c, x), cp.zeros(1), cp.zeros((0, 3))), "no steps"),
        (lambda: cp.scan(lambda c, x: (c, x), cp.zeros(1), cp.tensor(1.0)), "without axes"),
        (lambda: cp.scan(lambda c, x: (cp.zeros(2), x), cp.zeros(1), cp.zeros(3)), r"returned one of \[\(2,\)\]"),
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
