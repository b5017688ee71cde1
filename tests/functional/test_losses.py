"""The losses beside cross entropy: gradients to second order, vmap, extremes, errors."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import clearprop as cp
from clearprop import functional
from clearprop.errors import DataError, DTypeError, RangeError, ShapeError, UsageError

X = np.array([[-2.3, -0.7, 0.4], [1.1, 2.9, -1.6]])  # away from the corners
Y = np.array([[0.3, -1.9, 2.2], [1.8, 0.2, -0.4]])
SHARES = np.array([[0.2, 0.5, 0.3], [0.1, 0.15, 0.75]])
SIGNS = np.array([1.0, -1.0])

OF_TWO: dict[str, Callable[..., Any]] = {
    "l1": functional.l1_loss,
    "smooth l1": lambda x, y: functional.smooth_l1_loss(x, y, beta=1.7),
    "huber": lambda x, y: functional.huber_loss(x, y, "none", 1.7),
    "kl": lambda x, y: functional.kl_div(x, functional.softmax(y), "batchmean"),
    "kl log": lambda x, y: functional.kl_div(x, y, log_target=True),
    "bce": lambda x, y: functional.binary_cross_entropy(functional.sigmoid(x), functional.sigmoid(y), SHARES, "none"),
    "poisson": lambda x, y: functional.poisson_nll_loss(x, cp.exp(y) + 1.0, full=True),
    "poisson rate": lambda x, y: functional.poisson_nll_loss(cp.exp(x), cp.exp(y), log_input=False),
    "gaussian": lambda x, y: functional.gaussian_nll_loss(x, y, cp.exp(x + y), True),
    "soft margin": functional.soft_margin_loss,
    "multilabel": lambda x, y: functional.multilabel_soft_margin_loss(x, functional.sigmoid(y), SHARES[0]),
    "hinge": lambda x, y: functional.hinge_embedding_loss(x + y, np.sign(X), 0.3),
    "ranking": lambda x, y: functional.margin_ranking_loss(x, y, np.sign(Y), 0.3, "sum"),
    "cosine": lambda x, y: functional.cosine_embedding_loss(x, y, SIGNS, 0.1, "none"),
    "triplet": lambda x, y: functional.triplet_margin_loss(x, y, SHARES, 2.0, swap=True),
    "triplet cubes": lambda x, y: functional.triplet_margin_loss(x, y, SHARES, 2.0, 3.0),
    "multi margin": lambda x, y: functional.multi_margin_loss(x * y, [2, 0], 2, 0.9, SHARES[1]),
    "info nce": lambda x, y: functional.info_nce_loss(x, y, 0.5),
    "cosine similarity": functional.cosine_similarity,
    "distance": functional.pairwise_distance,
    "normalize": lambda x, y: functional.normalize(x * y, 3.0) + functional.normalize(x, 1.0),
}


@pytest.mark.parametrize("name", OF_TWO)
def test_gradients_of_first_and_second_order(name: str) -> None:
    cp.check_gradients(OF_TWO[name], X, Y, order=2)


@pytest.mark.parametrize("name", OF_TWO)
def test_vmap_is_a_loop(name: str) -> None:
    xs, ys = np.stack([X, Y]), np.stack([Y + 0.1, X - 0.2])
    mapped = cp.vmap(OF_TWO[name])(cp.tensor(xs), cp.tensor(ys)).numpy()
    looped = np.stack([OF_TWO[name](cp.tensor(x), cp.tensor(y)).numpy() for x, y in zip(xs, ys, strict=True)])
    np.testing.assert_allclose(mapped, looped, rtol=1e-12)


@pytest.mark.parametrize("name", OF_TWO)
def test_float32_stays_float32(name: str) -> None:
    x = cp.tensor(X.astype(np.float32), requires_grad=True)
    loss = OF_TWO[name](x, Y.astype(np.float32))
    assert loss.dtype == cp.float32
    loss.sum().backward()
    assert x.grad.dtype == cp.float32  # type: ignore[union-attr]


def test_slopes_at_the_corners() -> None:
    def slope(f: Callable[[Any], Any], x: float) -> float:
        return float(cp.grad(lambda x: f(x).sum())(cp.tensor([x])).item())

    assert slope(lambda x: functional.l1_loss(x, [1.0]), 1.0) == 0.0
    assert slope(lambda x: functional.huber_loss(x, [0.0], delta=2.0), 2.0) == 2.0
    assert slope(lambda x: functional.smooth_l1_loss(x, [0.0], beta=2.0), 2.0) == 1.0
    assert slope(lambda x: functional.hinge_embedding_loss(x, [-1]), 1.0) == -1.0  # as in PyTorch
    assert slope(lambda x: functional.margin_ranking_loss(x, [0.0], [1]), 0.0) == -1.0
    assert slope(lambda x: functional.multi_margin_loss(x, 0), 0.0) == 0.0


def test_a_certain_and_wrong_probability_costs_and_pulls() -> None:
    p = cp.tensor([0.0, 1.0, 0.0, 1.0], requires_grad=True)
    loss = functional.binary_cross_entropy(p, [1, 0, 0, 1], reduction="none")
    assert loss.tolist() == [100.0, 100.0, 0.0, 0.0]
    loss.sum().backward()
    np.testing.assert_allclose(p.grad.numpy(), [-1e12, 1e12, 0.0, 0.0], rtol=1e-6)  # type: ignore[union-attr]
    behind_a_sigmoid = cp.grad(lambda x: functional.binary_cross_entropy(functional.sigmoid(x), [1.0]))
    assert behind_a_sigmoid(cp.tensor([-1000.0])).tolist() == [0.0]  # and not NaN


@pytest.mark.parametrize("p", [2.0, 1.0, 0.5, 3.0, math.inf])
def test_gradients_are_finite_where_there_is_no_direction(p: float) -> None:
    def total(x: Any) -> Any:
        return functional.normalize(x, p).sum() + functional.pairwise_distance(x, np.zeros((2, 3)), p, eps=0.0).sum()

    assert np.isfinite(cp.grad(total)(cp.tensor(np.zeros((2, 3)))).numpy()).all()


def test_nan_is_not_hidden() -> None:
    nan = np.full((2, 3), np.nan)
    for name, function in OF_TWO.items():
        assert np.isnan(function(nan, Y).numpy()).any(), name


def test_kl_divergence_of_certain_targets() -> None:
    logs = functional.log_softmax(X)
    certain = np.eye(3)[[2, 0]]
    loss = functional.kl_div(logs, certain, reduction="batchmean").item()
    assert loss == pytest.approx(functional.nll_loss(logs, [2, 0]).item(), rel=1e-14)
    assert functional.kl_div(np.zeros((0, 3)), np.zeros((0, 3)), "sum").item() == 0.0


def test_the_variance_is_bounded_and_still_learned() -> None:
    var = cp.tensor(np.array([0.0]), requires_grad=True)
    functional.gaussian_nll_loss(np.array([1.0]), np.array([0.0]), var, eps=0.5).backward()
    np.testing.assert_allclose(var.grad.numpy(), [0.5 * (1 / 0.5 - 1 / 0.25)])  # type: ignore[union-attr]


def test_info_nce_finds_the_key() -> None:
    keys = cp.random.normal((8, 16), generator=cp.random.Generator(0))
    assert functional.info_nce_loss(keys, keys).item() < 0.05
    assert functional.info_nce_loss(keys, keys[::-1]).item() > 1.0


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: functional.l1_loss(X, Y[:, :1]), ShapeError, r"l1_loss: prediction has shape \(2, 3\), target has"),
        (lambda: functional.smooth_l1_loss(X, Y, beta=-1.0), UsageError, "smooth_l1_loss: beta=-1.0"),
        (lambda: functional.huber_loss(X, Y, delta=0.0), UsageError, "huber_loss: delta=0.0"),
        (lambda: functional.kl_div(X, Y, "batchmeans"), UsageError, "reduction='batchmeans'"),
        (
            lambda: functional.binary_cross_entropy([1.5], [1.0]),
            DataError,
            r"probabilities has 1\.5(.|\n)*_with_logits",
        ),
        (lambda: functional.binary_cross_entropy([-0.1], [1.0]), DataError, r"probabilities has -0\.1"),
        (lambda: functional.gaussian_nll_loss(X, Y, -SHARES), DataError, r"var has -0\.2"),
        (lambda: functional.gaussian_nll_loss(X, Y, np.ones((4, 2, 3))), ShapeError, r"var has shape \(4, 2, 3\)"),
        (lambda: functional.margin_ranking_loss(X, Y[0], SIGNS), ShapeError, "x1 has shape .* x2 has shape"),
        (lambda: functional.margin_ranking_loss(X, Y, SIGNS), ShapeError, r"target has shape \(2,\)"),
        (lambda: functional.cosine_embedding_loss(X, Y, 1.0), ShapeError, r"cosine has shape \(2,\)"),
        (
            lambda: functional.cosine_embedding_loss(X[None], Y[None], SIGNS),
            ShapeError,
            r"it must be \(N, D\) or \(D,\)",
        ),
        (lambda: functional.triplet_margin_loss(X, Y, Y[:1]), ShapeError, "anchor has shape .* negative has shape"),
        (
            lambda: functional.multi_margin_loss(X, [0, 3]),
            RangeError,
            "target has 3, which is not one of 0 to 2: C is 3",
        ),
        (lambda: functional.multi_margin_loss(X, [0.0, 1.0]), DTypeError, "target is float32"),
        (lambda: functional.multi_margin_loss(X, [0]), ShapeError, r"\(N, C\) and \(N,\)"),
        (lambda: functional.multi_margin_loss(X, [0, 1], 3), UsageError, "p=3"),
        (lambda: functional.multi_margin_loss(X, [0, 1], weight=[1.0]), ShapeError, "there are 3 classes"),
        (lambda: functional.info_nce_loss(X[0], Y[0]), ShapeError, r"queries has shape \(3,\)"),
        (lambda: functional.multilabel_soft_margin_loss(1.0, 1.0), ShapeError, "no classes"),
    ],
)
def test_what_does_not_fit(call: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        call()
