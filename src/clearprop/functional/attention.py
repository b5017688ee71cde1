"""Attention: every query takes a weighted mean of the values, with weights that depend on how well it fits each key.

A. Vaswani, N. Shazeer, N. Parmar, J. Uszkoreit, L. Jones, A. Gomez, Ł. Kaiser, I. Polosukhin, "Attention is all you
need", 2017, equation 1.

In the shapes L is the number of queries, S that of keys and values, E the length of a query and of a key.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from clearprop import primitives, random
from clearprop.arguments import number
from clearprop.array import (
    add,
    arange,
    concat,
    divide,
    equal,
    exp,
    expand_dims,
    greater_equal,
    logical_and,
    matmul,
    max,
    multiply,
    ones,
    pad,
    subtract,
    sum,
    where,
)
from clearprop.array.promotion import ArrayLike, cast_to
from clearprop.errors import DataError, DTypeError, ShapeError
from clearprop.functional.checks import known_values
from clearprop.functional.dropout import dropout
from clearprop.primitive import numpy_dtype
from clearprop.tensor import Tensor, as_tensor


class Masks(NamedTuple):
    """What is hidden: both parts broadcast to the scores, (…, L, S).

    Attributes:
        allowed: booleans, true where a query may look at a key.
        added: numbers that are added to the scores; -inf hides a key.
    """

    allowed: Tensor | None = None
    added: Tensor | None = None

    def and_allowed(self, allowed: Tensor) -> Masks:
        """A key must be allowed by this one too."""
        return Masks(allowed if self.allowed is None else logical_and(self.allowed, allowed), self.added)

    def and_added(self, added: Tensor) -> Masks:
        """These numbers are added too."""
        return Masks(self.allowed, added if self.added is None else add(self.added, added))

    def with_more_keys(self, count: int) -> Masks:
        """For so many further keys, which everybody may look at."""
        allowed, added = self
        if allowed is not None:
            allowed = concat([allowed, ones((*allowed.shape[:-1], count), dtype=np.bool_)], axis=-1)
        if added is not None:
            added = pad(added, [*[(0, 0)] * (added.ndim - 1), (0, count)])
        return Masks(allowed, added)

    @property
    def are_empty(self) -> bool:
        """Whether nothing is hidden."""
        return self.allowed is None and self.added is None


def scaled_dot_product_attention(
    query: ArrayLike,
    key: ArrayLike,
    value: ArrayLike,
    attn_mask: ArrayLike | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    *,
    generator: random.Generator | None = None,
) -> Tensor:
    """softmax(Q Kᵀ scale) V: for each query the mean of the values, weighted by how well their keys fit.

    Args:
        query: (…, L, E).
        key: (…, S, E).
        value: (…, S, V).
        attn_mask: broadcast to (…, L, S). Booleans: True where the query may look at the key. Numbers: added to the
            scores.
        dropout_p: share of the weights that is zeroed, whether or not anything is being trained.
        is_causal: query i may look at the keys 0 to i only; together with a mask both must allow it.
        scale: 1/√E by default.
        generator: of the random numbers for dropout.

    Returns:
        (…, L, V). A single query from which all keys are hidden gets zeros, and no gradient, as in PyTorch since 2.5: a
        query that is padding itself often sees nothing, and its NaN would spread to everything.

    Raises:
        ShapeError: if shapes do not fit, or there is no query or no key.
        DTypeError: if query, key and value are not floating-point numbers of one dtype, or the mask holds integers.
        DataError: if the mask hides every key from every query of an example, and is known (not being traced).

    >>> import clearprop as cp
    >>> q, k, v = cp.ones((2, 4)), cp.ones((2, 4)), cp.asarray([[1.0], [3.0]])
    >>> cp.functional.scaled_dot_product_attention(q, k, v)                     # all keys fit equally well
    Tensor([[2.],
            [2.]], dtype=float32)
    >>> cp.functional.scaled_dot_product_attention(q, k, v, is_causal=True)
    Tensor([[1.],
            [2.]], dtype=float32)
    """
    name = "scaled_dot_product_attention"
    q, k, v = as_tensor(query), as_tensor(key), as_tensor(value)
    check_attention(name, q, k, v)
    masks = causal(q.shape[-2], k.shape[-2]) if is_causal else Masks()
    if attn_mask is not None:
        mask = as_mask(name, "attn_mask", attn_mask, "may look")
        _check_broadcast(name, mask, q, k)
        check_something_seen(name, "attn_mask", mask)
        masks = masks.and_allowed(mask) if numpy_dtype(mask).kind == "b" else masks.and_added(mask)
    return attend(q, k, v, masks, dropout_p, scale, generator).output


class Attended(NamedTuple):
    """What attention finds.

    Attributes:
        output: (…, L, V).
        shares: (…, L, S), how much each key counts, after dropout.
        total: (…, L, 1), the sum of the shares of all keys, before dropout.
    """

    output: Tensor
    shares: Tensor
    total: Tensor

    @property
    def weights(self) -> Tensor:
        """(…, L, S), after dropout."""
        return divide(self.shares, self.total)


def attend(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    masks: Masks,
    dropout_p: float = 0.0,
    scale: float | None = None,
    generator: random.Generator | None = None,
) -> Attended:
    """The same on what has been checked.

    The weighted sums of the values are divided by the sums of the weights, instead of all weights: there are fewer of
    them, forward and backward, and (…, L, S) is the largest array.
    """
    factor = 1.0 / math.sqrt(query.shape[-1]) if scale is None else number("attention", "scale", scale)
    scores = matmul(multiply(query, factor), primitives.transpose(key))  # (…, L, E) @ (…, E, S) -> (…, L, S)
    shares, total = _shares(scores, masks)
    if dropout_p:
        shares = dropout(shares, dropout_p, generator=generator)
    return Attended(divide(matmul(shares, value), total), shares, total)  # (…, L, S) @ (…, S, V) -> (…, L, V)


def _shares(scores: Tensor, masks: Masks) -> tuple[Tensor, Tensor]:
    """softmax along the last axis of what is not hidden: exponentials, zeros where everything is, and their sums."""
    if masks.added is not None:
        scores = add(scores, cast_to(masks.added, numpy_dtype(scores)))
    if masks.allowed is not None:
        scores = where(masks.allowed, scores, -math.inf)
    largest = max(primitives.stop_gradient(scores), axis=-1, keepdims=True)
    if masks.are_empty:
        shares = exp(subtract(scores, largest))
        return shares, sum(shares, axis=-1, keepdims=True)
    largest = where(equal(largest, -math.inf), 0.0, largest)  # -inf - (-inf) would be NaN
    shares = exp(subtract(scores, largest))
    total = sum(shares, axis=-1, keepdims=True)  # at least 1, unless everything is hidden: then 0 / 1
    return shares, add(total, cast_to(equal(primitives.stop_gradient(total), 0.0), numpy_dtype(total)))


def causal(queries: int, keys: int) -> Masks:
    """Query i may look at the keys 0 to i."""
    return Masks(greater_equal(expand_dims(arange(queries), 1), arange(keys)))


def as_mask(name: str, label: str, mask: ArrayLike, meaning: str) -> Tensor:
    """A mask as a tensor.

    Args:
        name: of the operation.
        label: of the argument.
        meaning: what a True says of a query and a key, for the message.

    Raises:
        DTypeError: if it holds integers.
    """
    tensor = as_tensor(mask)
    if numpy_dtype(tensor).kind not in "bf":
        raise DTypeError(
            f"{name}: {label} is {tensor.dtype.name}; it must be booleans (True where a query {meaning} at a key), or "
            "floating-point numbers, which are added to the scores",
            hint=f"{label}.astype(cp.bool)",
        )
    return tensor


def check_attention(name: str, q: Tensor, k: Tensor, v: Tensor) -> None:
    """Raise unless queries, keys and values fit together."""
    shapes = f"query has shape {q.shape}, key {k.shape}, value {v.shape}"
    if min(q.ndim, k.ndim, v.ndim) < 2 or q.shape[-1] != k.shape[-1] or k.shape[-2] != v.shape[-2]:
        raise ShapeError(
            f"{name}: {shapes}; they must be (…, L, E), (…, S, E) and (…, S, V)",
            hint="as many values as keys, and keys as long as queries",
        )
    if q.shape[-2] == 0 or k.shape[-2] == 0:
        raise ShapeError(
            f"{name}: {shapes}: a sequence must have at least one element",
            hint="leave empty sequences out of the data",
        )
    try:
        np.broadcast_shapes(q.shape[:-2], k.shape[:-2], v.shape[:-2])
    except ValueError:
        raise ShapeError(
            f"{name}: {shapes}: the axes before the last two do not broadcast",
            hint="equal lengths of the batch and of the heads, or 1",
        ) from None
    check_one_dtype(name, numpy_dtype(q), query=q, key=k, value=v)


def check_one_dtype(name: str, wanted: np.dtype[Any], **tensors: Tensor) -> None:
    """Raise DTypeError unless all tensors are of that floating-point type."""
    for label, tensor in tensors.items():
        found = numpy_dtype(tensor)
        if found.kind != "f":
            raise DTypeError(
                f"{name}: {label} is {found}; it takes floating-point numbers", hint="nn.Embedding for tokens"
            )
        if found != wanted:
            raise DTypeError(f"{name}: {label} is {found}, not {wanted}", hint=f"{label}.astype(cp.{wanted})")


def _check_broadcast(name: str, mask: Tensor, q: Tensor, k: Tensor) -> None:
    wanted = (*np.broadcast_shapes(q.shape[:-2], k.shape[:-2]), q.shape[-2], k.shape[-2])
    lengths = list(zip(reversed(mask.shape), reversed(wanted), strict=False))
    if mask.ndim > len(wanted) or any(have not in (1, want) for have, want in lengths):
        raise ShapeError(
            f"{name}: attn_mask has shape {mask.shape}; it must broadcast to (…, L, S), which is {wanted}",
            hint="mask[:, None, None, :] for one that says for each example, (N, S), which keys there are",
        )


def check_something_seen(name: str, label: str, mask: Tensor) -> None:
    """Raise DataError if a known mask, (…, L, S), hides every key from every query of an example."""
    values = known_values(mask)
    if values is None or not values.size:
        return
    seen = values if values.dtype.kind == "b" else values > -math.inf
    by_example = np.any(seen, axis=(-2, -1) if seen.ndim > 1 else None)
    if not np.all(by_example):
        place = ", ".join(str(i) for i in np.argwhere(~by_example)[0])
        raise DataError(
            f"{name}: {label} hides every key from every query" + (f" of example {place}" if place else ""),
            hint="~mask, if its True was meant the other way round",
        )
