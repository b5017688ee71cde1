"""Losses that are zero once the right answer is better than the wrong ones by a margin; and contrastive losses.

Where PyTorch lets the gradient pass at the corner of max(0, …), so is it here; see `_above_zero`.
"""

from __future__ import annotations

import numpy as np

from clearprop import primitives
from clearprop.arguments import number
from clearprop.array import (
    add,
    clip,
    divide,
    equal,
    matmul,
    matrix_transpose,
    minimum,
    multiply,
    negative,
    not_equal,
    reshape,
    sqrt,
    subtract,
    sum,
    where,
)
from clearprop.array.promotion import ArrayLike, as_float, cast_to
from clearprop.errors import ShapeError, UsageError
from clearprop.functional.activations import relu
from clearprop.functional.checks import as_positions, check_inside
from clearprop.functional.classification import cross_entropy
from clearprop.functional.distances import normalize, pairwise_distance
from clearprop.functional.losses import pair, reduced
from clearprop.primitive import numpy_dtype
from clearprop.tensor import Tensor, as_tensor


def hinge_embedding_loss(x: ArrayLike, target: ArrayLike, margin: float = 1.0, reduction: str = "mean") -> Tensor:
    """x where the target is 1, max(0, margin - x) where it is -1: x is a distance, to be small or at least the margin.

    Raises:
        ShapeError: if the shapes differ.

    >>> import clearprop.functional as F
    >>> F.hinge_embedding_loss([0.2, 0.2, 3.0], [1, -1, -1], reduction="none")
    Tensor([0.2, 0.8, 0. ], dtype=float32)
    """
    x, t = pair("hinge_embedding_loss", "x", x, target)
    far = where(equal(t, 1.0), 0.0, _above_zero(subtract(margin, x)))
    near = where(equal(t, -1.0), 0.0, x)
    return reduced(add(far, near), reduction)


def margin_ranking_loss(
    x1: ArrayLike, x2: ArrayLike, target: ArrayLike, margin: float = 0.0, reduction: str = "mean"
) -> Tensor:
    """max(0, -target (x1 - x2) + margin): x1 should be larger where the target is 1, smaller where it is -1.

    Raises:
        ShapeError: if the shapes differ.

    >>> import clearprop.functional as F
    >>> F.margin_ranking_loss([2.0, 2.0], [1.0, 1.0], [1, -1], reduction="none")
    Tensor([0., 1.], dtype=float32)
    """
    first, second = pair("margin_ranking_loss", "x1", x1, x2, "x2")
    first, t = pair("margin_ranking_loss", "x1", first, target)
    return reduced(_above_zero(add(negative(multiply(t, subtract(first, second))), margin)), reduction)


def cosine_embedding_loss(
    x1: ArrayLike, x2: ArrayLike, target: ArrayLike, margin: float = 0.0, reduction: str = "mean"
) -> Tensor:
    """1 - cos(x1, x2) where the target is 1, max(0, cos(x1, x2) - margin) where it is -1.

    Args:
        x1, x2: (N, D), with target (N,); or (D,), with target ().

    Raises:
        ShapeError: if the shapes do not fit.

    >>> import clearprop.functional as F
    >>> x, y = [[1.0, 0.0], [1.0, 0.0]], [[1.0, 1.0], [1.0, 1.0]]
    >>> F.cosine_embedding_loss(x, y, [1, -1], reduction="none")
    Tensor([0.29289, 0.70711], dtype=float32)
    """
    first, second = pair("cosine_embedding_loss", "x1", x1, x2, "x2")
    if first.ndim not in (1, 2):
        raise ShapeError(
            f"cosine_embedding_loss: x1 has shape {first.shape}; it must be (N, D) or (D,)", hint="x1.reshape(-1, D)"
        )
    cosine, t = pair("cosine_embedding_loss", "cosine", _cosine(first, second), target)
    near = where(equal(t, 1.0), subtract(1.0, cosine), 0.0)
    far = where(equal(t, -1.0), _above_zero(subtract(cosine, margin)), 0.0)
    return reduced(add(near, far), reduction)


def triplet_margin_loss(
    anchor: ArrayLike,
    positive: ArrayLike,
    negative: ArrayLike,
    margin: float = 1.0,
    p: float = 2.0,
    eps: float = 1e-6,
    swap: bool = False,
    reduction: str = "mean",
) -> Tensor:
    """max(0, d(anchor, positive) - d(anchor, negative) + margin) (Schroff et al. 2015, equation 3).

    Args:
        anchor, positive, negative: (N, D) or (D,): a vector, one that should be near it, and one that should not.
        p, eps: of the distance d, see `pairwise_distance`.
        swap: take d(positive, negative) where it is smaller than d(anchor, negative) (Balntas et al. 2016).

    Raises:
        ShapeError: if the shapes differ.

    >>> import clearprop.functional as F
    >>> F.triplet_margin_loss([[0.0, 0.0]], [[0.0, 1.0]], [[0.0, 1.5]])
    Tensor(0.5, dtype=float32)
    """
    a, b = pair("triplet_margin_loss", "anchor", anchor, positive, "positive")
    a, c = pair("triplet_margin_loss", "anchor", a, negative, "negative")
    near, far = pairwise_distance(a, b, p, eps), pairwise_distance(a, c, p, eps)
    if swap:
        far = minimum(far, pairwise_distance(b, c, p, eps))
    return reduced(_above_zero(add(subtract(near, far), margin)), reduction)


def multi_margin_loss(
    x: ArrayLike,
    target: ArrayLike,
    p: int = 1,
    margin: float = 1.0,
    weight: ArrayLike | None = None,
    reduction: str = "mean",
) -> Tensor:
    """The hinge loss of classes: the sum over all wrong classes i of max(0, margin - x_t + x_i)^p, divided by C.

    Args:
        x: (N, C), the score of each class; or (C,).
        target: (N,), the right classes; or ().
        p: 1 or 2.
        weight: (C,), a factor for each right class.

    Raises:
        ShapeError: if the shapes do not fit.
        RangeError: names the label that is not a class, and how many classes there are.
        UsageError: for another p.

    >>> import clearprop.functional as F
    >>> F.multi_margin_loss([[0.1, 0.2, 0.9]], [2])
    Tensor(0.16667, dtype=float32)
    """
    if p not in (1, 2):
        raise UsageError(f"multi_margin_loss: p={p!r}", hint="1 or 2")
    x, t = as_float(x), as_positions("multi_margin_loss", "target", as_tensor(target))
    if x.ndim not in (1, 2) or t.shape != x.shape[:-1]:
        raise ShapeError(
            f"multi_margin_loss: x has shape {x.shape}, target has shape {t.shape}; they must be (N, C) and (N,)",
            hint=f"target of shape {x.shape[:-1]}" if x.ndim in (1, 2) else "a row of scores for each example",
        )
    classes = x.shape[-1]
    t = check_inside("multi_margin_loss", "target", t, classes, "C", "labels count from 0")
    rows, labels = reshape(x, (-1, classes)) if x.ndim == 1 else x, reshape(t, (t.size,))
    right: Tensor = primitives.gather(rows, Tensor(np.arange(rows.shape[0])), labels)  # (N,)
    hinges = relu(add(subtract(rows, reshape(right, (-1, 1))), margin))
    powers = hinges if p == 1 else multiply(hinges, hinges)
    is_wrong = not_equal(reshape(labels, (-1, 1)), Tensor(np.arange(classes)))
    losses = multiply(sum(where(is_wrong, powers, 0.0), axis=1), 1.0 / classes)
    if weight is not None:
        factors = cast_to(as_tensor(weight), numpy_dtype(x))
        if factors.shape != (classes,):
            raise ShapeError(
                f"multi_margin_loss: weight has shape {factors.shape}; there are {classes} classes",
                hint=f"shape ({classes},)",
            )
        losses = multiply(losses, primitives.gather(factors, labels))
    return reduced(reshape(losses, t.shape), reduction)


def info_nce_loss(queries: ArrayLike, keys: ArrayLike, temperature: float = 0.1, reduction: str = "mean") -> Tensor:
    """The cross entropy of finding, for each query, its own key among all (van den Oord, Li, Vinyals 2018, equation 4).

    The similarity is the cosine divided by the temperature. PyTorch has no function of this name.

    Args:
        queries, keys: (N, D); query i and key i belong together.

    Raises:
        ShapeError: if the shapes differ or are not (N, D).
        UsageError: if the temperature is not positive.

    >>> import clearprop.functional as F
    >>> F.info_nce_loss([[1.0, 0.0], [0.0, 1.0]], [[1.0, 0.0], [0.0, 1.0]], temperature=1.0)
    Tensor(0.31326, dtype=float32)
    """
    factor = 1.0 / number("info_nce_loss", "temperature", temperature, positive=True)
    q, k = pair("info_nce_loss", "queries", queries, keys, "keys")
    if q.ndim != 2:
        raise ShapeError(
            f"info_nce_loss: queries has shape {q.shape}; it must be (N, D)",
            hint="a row for each query, and for each key",
        )
    similarity = matmul(normalize(q), matrix_transpose(normalize(k)))  # (N, D) @ (D, N) -> (N, N)
    return cross_entropy(multiply(similarity, factor), np.arange(q.shape[0]), reduction=reduction)


def _cosine(x: Tensor, y: Tensor) -> Tensor:
    """Of vectors along the last axis; smooth at 0, unlike `cosine_similarity`."""
    squares = [add(sum(multiply(one, one), axis=-1), 1e-12) for one in (x, y)]
    return divide(sum(multiply(x, y), axis=-1), sqrt(multiply(*squares)))


def _above_zero(x: Tensor) -> Tensor:
    """max(0, x), through which the gradient passes at 0 too."""
    return clip(x, min=0.0)
