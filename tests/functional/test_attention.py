"""Attention and positions as functions: gradients, masks and what they hide, distances, and what is refused."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import clearprop as cp
from clearprop import functional
from clearprop.errors import DataError, UsageError

RANDOM = np.random.default_rng(0)
Q, K, V = RANDOM.standard_normal((2, 3, 4)), RANDOM.standard_normal((2, 5, 4)), RANDOM.standard_normal((2, 5, 3))
ALLOWED = RANDOM.random((2, 3, 5)) > 0.4
ROW_HIDDEN = ALLOWED & (np.arange(3) != 1)[:, None]
ADDED = np.where(ROW_HIDDEN, RANDOM.standard_normal((2, 3, 5)), -np.inf)
MASKS = {"none": None, "booleans": ALLOWED, "one row hidden": ROW_HIDDEN, "numbers, one row hidden": ADDED}

attention = functional.scaled_dot_product_attention


def by_hand(q: Any, k: Any, v: Any, mask: Any) -> Any:
    """One query after the other, over the keys that it may look at."""
    output = np.zeros((*q.shape[:-1], v.shape[-1]))
    for place in np.ndindex(q.shape[:-1]):
        example = place[0]
        added = np.zeros(k.shape[1]) if mask is None else mask[place]
        seen = added if added.dtype == bool else added > -np.inf
        seen = seen if mask is not None else np.ones(k.shape[1], bool)
        scores = k[example][seen] @ q[place] / math.sqrt(q.shape[-1]) + (0.0 if added.dtype == bool else added[seen])
        if seen.any():
            weights = np.exp(scores - scores.max())
            output[place] = weights / weights.sum() @ v[example][seen]
    return output


@pytest.mark.parametrize("name", MASKS)
def test_values_are_those_of_the_keys_that_are_seen(name: str) -> None:
    mask = MASKS[name]
    found = attention(cp.asarray(Q), cp.asarray(K), cp.asarray(V), mask)
    np.testing.assert_allclose(found.numpy(), by_hand(Q, K, V, mask), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("name", MASKS)
@pytest.mark.parametrize("is_causal", [False, True])
def test_gradients_to_second_order(name: str, is_causal: bool) -> None:
    def f(q: Any, k: Any, v: Any) -> Any:
        return attention(q, k, v, MASKS[name], is_causal=is_causal)

    cp.check_gradients(f, Q, K, V, order=2)


def test_a_causal_mask_and_another_must_both_allow() -> None:
    both = ALLOWED & np.tri(3, 5, dtype=bool)
    found = attention(cp.asarray(Q), cp.asarray(K), cp.asarray(V), ALLOWED, is_causal=True)
    np.testing.assert_allclose(found.numpy(), by_hand(Q, K, V, both), rtol=1e-12, atol=1e-14)


def test_a_query_that_sees_nothing_gets_zeros_and_no_gradient() -> None:
    q, k, v = (cp.tensor(x, requires_grad=True) for x in (Q, K, V))
    for mask in (ROW_HIDDEN, ADDED):
        output = attention(q, k, v, mask)
        assert not output.numpy()[:, 1].any()
        output.sum().backward()
        assert not q.grad.numpy()[:, 1].any()  # type: ignore[union-attr]
        assert np.isfinite(k.grad.numpy()).all()  # type: ignore[union-attr]


def test_scores_of_any_size() -> None:
    large = attention(cp.asarray(1e4 * Q), cp.asarray(K), cp.asarray(V), ALLOWED).numpy()
    assert np.isfinite(large).all()
    np.testing.assert_allclose(large, by_hand(1e4 * Q, K, V, ALLOWED), rtol=1e-9)


def test_batch_axes_broadcast_and_float32_stays() -> None:
    q, k, v = (cp.asarray(x.astype(np.float32)) for x in (Q, K, V))
    one_query = attention(q[:1], k, v, np.ones((1, 5)))  # a mask of float64 for numbers of float32
    assert one_query.dtype == cp.float32
    np.testing.assert_allclose(one_query.numpy()[1], attention(q[0], k[1], v[1]).numpy(), rtol=1e-4)


def test_vmap_is_a_loop() -> None:
    mapped = cp.vmap(lambda q, k, v, m: attention(q, k, v, m, is_causal=True))(
        cp.asarray(Q), cp.asarray(K), cp.asarray(V), cp.asarray(ALLOWED)
    )
    whole = attention(cp.asarray(Q), cp.asarray(K), cp.asarray(V), ALLOWED, is_causal=True)
    np.testing.assert_allclose(mapped.numpy(), whole.numpy(), rtol=1e-13)


def test_dropout_is_of_the_weights_and_scales_the_others_up() -> None:
    q = k = cp.zeros((1, 20, 4))
    v = cp.ones((1, 20, 1))

    def drawn() -> Any:
        return attention(q, k, v, dropout_p=0.5, generator=cp.random.Generator(3)).numpy()

    found = drawn()
    np.testing.assert_array_equal(found, drawn())
    kept = found * 20 * 0.5  # how many of 20 weights, each 1/20, were kept and doubled
    np.testing.assert_allclose(kept, np.round(kept), atol=1e-5)
    assert 0.8 < found.mean() < 1.2
    assert len(np.unique(found.round(4))) > 3


X, Y = cp.asarray(Q), cp.asarray(K)


@pytest.mark.parametrize(
    ("call", "error", "what"),
    [
        (lambda: attention(X, Y, X), cp.ShapeError, r"query has shape \(2, 3, 4\), key \(2, 5, 4\), value \(2, 3, 4\)"),
        (lambda: attention(X, Y[..., :2], Y), cp.ShapeError, "as many values as keys"),
        (lambda: attention(X[0, 0], X, X), cp.ShapeError, r"\(…, L, E\)"),
        (lambda: attention(X, Y[:, :0], Y[:, :0]), cp.ShapeError, "at least one element"),
        (lambda: attention(X[:, :0], Y, Y), cp.ShapeError, "at least one element"),
        (lambda: attention(X, cp.zeros((3, 5, 4), dtype=cp.float64), Y), cp.ShapeError, "do not broadcast"),
        (lambda: attention(X, Y, Y.astype(cp.float32)), cp.DTypeError, "value is float32, not float64"),
        (lambda: attention(X, Y, cp.ones((2, 5, 4), dtype=cp.int64)), cp.DTypeError, "nn.Embedding"),
        (lambda: attention(X, Y, Y, ALLOWED.astype(int)), cp.DTypeError, "attn_mask is int64; it must be booleans"),
        (lambda: attention(X, Y, Y, ALLOWED[:, :, :4]), cp.ShapeError, r"which is \(2, 3, 5\)"),
        (lambda: attention(X, Y, Y, np.ones((2, 2, 3, 5), bool)), cp.ShapeError, r"which is \(2, 3, 5\)"),
        (lambda: attention(X, Y, Y, np.zeros((3, 5), bool)), DataError, "hides every key from every query\nTry: ~mask"),
        (lambda: attention(X, Y, Y, ALLOWED & [[[True]], [[False]]]), DataError, "from every query of example 1"),
        (lambda: attention(X, Y, Y, np.full((3, 5), -np.inf)), DataError, "hides every key"),
        (lambda: attention(X, Y, Y, dropout_p=1.5), UsageError, "p=1.5"),
    ],
)
def test_what_does_not_fit(call: Any, error: Any, what: str) -> None:
    with pytest.raises(error, match=what):
        call()


# Positions ------------------------------------------------------------------------------------------------------------


def test_sinusoidal_positions_are_the_papers() -> None:
    found = functional.sinusoidal_positions(50, 16, dtype=cp.float64).numpy()
    for position in (0, 1, 49):
        for i in range(8):
            angle = position / 10000.0 ** (2 * i / 16)
            np.testing.assert_allclose(
                found[position, 2 * i : 2 * i + 2], [math.sin(angle), math.cos(angle)], atol=1e-14
            )


def test_a_shift_of_sinusoidal_positions_is_a_linear_map() -> None:
    """Why the paper chose them: the row at p + 3 is a fixed matrix times the row at p."""
    rows = functional.sinusoidal_positions(40, 8, dtype=cp.float64).numpy()
    matrix, *_ = np.linalg.lstsq(rows[:30], rows[3:33], rcond=None)
    np.testing.assert_allclose(rows[:37] @ matrix, rows[3:], atol=1e-10)


@pytest.mark.parametrize("interleaved", [False, True])
def test_the_product_of_rotated_vectors_depends_on_the_distance_alone(interleaved: bool) -> None:
    q, k = RANDOM.standard_normal((2, 8))

    def product(m: int, n: int) -> float:
        def turned(x: Any, position: int) -> Any:
            return functional.rotary(cp.asarray(x[None]), [position], interleaved=interleaved).numpy()[0]

        return float(turned(q, m) @ turned(k, n))

    for m, n in ((5, 2), (103, 100), (12345, 12342)):
        np.testing.assert_allclose(product(m, n), product(3, 0), rtol=1e-10)
    assert abs(product(5, 2) - product(2, 5)) > 1e-3
    np.testing.assert_allclose(product(7, 7), q @ k, rtol=1e-12)


@pytest.mark.parametrize("interleaved", [False, True])
def test_rotary_turns_pairs_of_columns(interleaved: bool) -> None:
    x = RANDOM.standard_normal((5, 6))
    found = functional.rotary(cp.asarray(x), interleaved=interleaved).numpy()
    for p in range(5):
        for i in range(3):
            pair = [2 * i, 2 * i + 1] if interleaved else [i, i + 3]
            angle = p / 10000.0 ** (2 * i / 6)
            turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
            np.testing.assert_allclose(found[p, pair], turn @ x[p, pair], rtol=1e-12)


def test_rotary_far_from_the_beginning_keeps_float32_exact() -> None:
    """Angles are computed in float64: float32 would be off by some 1e-3 at position 20,000."""
    x = RANDOM.standard_normal((1, 8)).astype(np.float32)
    wanted = functional.rotary(cp.asarray(x.astype(np.float64)), [20000]).numpy()
    found = functional.rotary(cp.asarray(x), [20000])
    assert found.dtype == cp.float32
    np.testing.assert_allclose(found.numpy(), wanted, rtol=1e-5, atol=1e-6)


def test_gradients_and_vmap_of_rotary() -> None:
    cp.check_gradients(lambda x: functional.rotary(x, interleaved=True), Q, order=2)
    cp.check_gradients(lambda x: functional.rotary(x, np.array([[3, 1, 2], [0, 0, 9]])), Q, order=2)
    looped = np.stack([functional.rotary(cp.asarray(x)).numpy() for x in Q])
    np.testing.assert_allclose(cp.vmap(functional.rotary)(cp.asarray(Q)).numpy(), looped, rtol=1e-13)


@pytest.mark.parametrize(
    ("call", "error", "what"),
    [
        (lambda: functional.sinusoidal_positions(4, 5), UsageError, "dim=5 must be an even number"),
        (lambda: functional.sinusoidal_positions(-1, 4), UsageError, "length=-1"),
        (lambda: functional.rotary(cp.zeros((2, 3))), UsageError, "dim=3"),
        (lambda: functional.rotary(cp.zeros(4)), cp.ShapeError, r"\(4,\)"),
        (lambda: functional.rotary(cp.zeros((2, 4), dtype=cp.int64)), cp.DTypeError, "int64"),
        (lambda: functional.rotary(X, [0, 1]), cp.ShapeError, r"positions have shape \(2,\)"),
        (lambda: functional.rotary(X, np.zeros((5, 3), int)), cp.ShapeError, "broadcast"),
    ],
)
def test_positions_that_cannot_be(call: Any, error: Any, what: str) -> None:
    with pytest.raises(error, match=what):
        call()
