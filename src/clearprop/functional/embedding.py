"""Tables of vectors: the row for each word of a text, or the sum, the mean or the maximum of the rows of each bag.

Looking a row up is the product of a one-hot vector and the table, without the multiplications by zero; its gradient
adds the upstream gradients of all places of a word to the row of that word.
"""

from __future__ import annotations

import math

import numpy as np

from clearprop import primitives
from clearprop.arguments import is_whole, number, one_of
from clearprop.array import (
    add,
    any,
    concat,
    cumulative_sum,
    diff,
    divide,
    equal,
    expand_dims,
    greater,
    logical_and,
    max,
    maximum,
    multiply,
    not_equal,
    stop_gradient,
    subtract,
    sum,
    where,
    zeros,
)
from clearprop.array.promotion import ArrayLike, cast_to
from clearprop.cell import Cell
from clearprop.errors import RangeError, ShapeError, TraceError, UsageError
from clearprop.functional.checks import as_positions, check_inside, checked_inside, single_values
from clearprop.functional.distances import vector_norm
from clearprop.primitive import numpy_dtype
from clearprop.tensor import Tensor, as_tensor


def embedding(
    x: ArrayLike,
    weight: ArrayLike,
    padding_idx: int | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
) -> Tensor:
    """The rows of a table at the positions x.

    Args:
        x: integers from 0 to num_embeddings - 1, of any shape.
        weight: (num_embeddings, embedding_dim).
        padding_idx: a row that gets no gradient: that of the word with which short texts are filled up.
        max_norm: rows that are looked up and are longer are made this long first, in the parameter itself.
        norm_type: the p of their length, (Σ |w|^p)^(1/p).
        scale_grad_by_freq: divide the gradient of each row by how often it is looked up here.

    Returns:
        (*x.shape, embedding_dim).

    Raises:
        RangeError: names the position that is not in the table, and num_embeddings.
        DTypeError: if x does not hold integers.

    >>> import clearprop.functional as F
    >>> F.embedding([2, 0], [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    Tensor([[5., 6.],
            [1., 2.]], dtype=float32)
    """
    count = _table_length("embedding", weight)
    positions = _checked_positions("embedding", x, count)
    padding = padding_row("embedding", padding_idx, count)
    if max_norm is not None:
        _shorten(weight, positions, max_norm, norm_type)
    rows: Tensor = primitives.gather(as_tensor(weight), positions)
    if padding is not None:
        is_padding = expand_dims(equal(positions, padding), -1)
        rows = where(is_padding, stop_gradient(rows), rows)
    if scale_grad_by_freq:
        rows = _with_shared_gradient(rows, positions, count)
    return rows


def embedding_bag(
    x: ArrayLike,
    weight: ArrayLike,
    offsets: ArrayLike | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    mode: str = "mean",
    per_sample_weights: ArrayLike | None = None,
    include_last_offset: bool = False,
    padding_idx: int | None = None,
) -> Tensor:
    """The sum, the mean or the maximum of the rows of each bag of positions.

    Args:
        x: (B, L) integers, a bag in each row; or (N,), all bags one after the other.
        weight: (num_embeddings, embedding_dim).
        offsets: (B,), where each bag begins in x, if x is (N,); they begin with 0 and rise.
        max_norm, norm_type, scale_grad_by_freq: as of `embedding`.
        mode: "sum", "mean" or "max"; of an empty bag it is 0.
        per_sample_weights: a factor for each row, of the shape of x, for "sum".
        include_last_offset: whether ``offsets`` has one element more, the end of the last bag.
        padding_idx: positions that are left out of their bags.

    Returns:
        (B, embedding_dim).

    Raises:
        RangeError: names the position that is not in the table, and num_embeddings; or offsets that do not rise.
        ShapeError: if offsets are missing, or shapes do not fit.
        UsageError: for another mode, or weights with a mode that has none.

    >>> import clearprop.functional as F
    >>> F.embedding_bag([0, 1, 2], [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]], [0, 2], mode="sum")
    Tensor([[4., 6.],
            [5., 6.]], dtype=float32)
    """
    check_mode(mode)
    count = _table_length("embedding_bag", weight)
    positions = _checked_positions("embedding_bag", x, count)
    factors = _factors(positions, per_sample_weights, mode)
    padding = padding_row("embedding_bag", padding_idx, count)
    kept = None if padding is None else not_equal(positions, padding)
    if max_norm is not None:
        _shorten(weight, positions, max_norm, norm_type)
    rows: Tensor = primitives.gather(as_tensor(weight), positions)  # (*x.shape, D)
    if scale_grad_by_freq:
        rows = _with_shared_gradient(rows, positions, count)
    if factors is not None:
        rows = multiply(rows, expand_dims(cast_to(factors, numpy_dtype(rows)), -1))
    if positions.ndim == 1:
        bags = _in_a_row(positions, offsets, include_last_offset)
        return _largest_in_a_row(rows, kept, bags) if mode == "max" else _total_in_a_row(rows, kept, bags, mode)
    if offsets is not None:
        raise ShapeError(
            f"embedding_bag: x has shape {positions.shape}, each row is a bag: there can be no offsets",
            hint="offsets=None; or x as one vector",
        )
    return _reduced_rows(rows, kept, mode)


def _reduced_rows(rows: Tensor, kept: Tensor | None, mode: str) -> Tensor:
    """(B, L, D), (B, L) -> (B, D)."""
    bags, length, width = rows.shape
    if not length:
        return zeros((bags, width), dtype=rows.dtype)
    if mode == "max":
        if kept is None:
            return max(rows, axis=1)
        largest = max(where(expand_dims(kept, -1), rows, -math.inf), axis=1)
        return where(any(kept, axis=1, keepdims=True), largest, 0.0)
    if kept is not None:
        rows = where(expand_dims(kept, -1), rows, 0.0)
    total = sum(rows, axis=1)
    if mode == "sum":
        return total
    if kept is None:
        return divide(total, float(length))
    members = sum(cast_to(kept, numpy_dtype(rows)), axis=1, keepdims=True)
    return divide(total, maximum(members, 1.0))


def _total_in_a_row(rows: Tensor, kept: Tensor | None, starts: Tensor, mode: str) -> Tensor:
    """(N, D), (N,), (B,) -> (B, D): each row is added to its bag, however unequal the bags are."""
    count, width = rows.shape
    bags = starts.shape[0]
    begins = primitives.scatter_add(Tensor(np.ones(bags, np.int64)), starts, shape=(count + 1,))
    bag_of = subtract(cumulative_sum(begins)[:count], 1)  # (N,)
    says = "embedding_bag: there are positions before the first bag{more}"
    bag_of = checked_inside(bag_of, bags, says, "offsets=[0, …]")
    if kept is not None:
        rows = where(expand_dims(kept, -1), rows, 0.0)
    total: Tensor = primitives.scatter_add(rows, bag_of, shape=(bags, width))
    if mode == "sum":
        return total
    if kept is None:
        sizes = cast_to(diff(starts, append=[count]), numpy_dtype(rows))
    else:
        sizes = primitives.scatter_add(cast_to(kept, numpy_dtype(rows)), bag_of, shape=(bags,))
    return divide(total, expand_dims(maximum(sizes, 1.0), -1))


def _largest_in_a_row(rows: Tensor, kept: Tensor | None, starts: Tensor) -> Tensor:
    """(N, D), (N,), (B,) -> (B, D): each bag is filled up to the length of the longest."""
    count, first = rows.shape[0], single_values(starts)
    if first is None:
        raise TraceError(
            'embedding_bag: mode="max" needs offsets that are known, not traced or inside vmap',
            hint="x of shape (B, L), short bags filled up with padding_idx",
        )
    lengths = np.diff(first, append=count)
    places = first[:, None] + np.arange(np.max(lengths, initial=0))
    inside = places < (first + lengths)[:, None]
    places = np.where(inside, places, 0)
    members = Tensor(inside)
    if kept is not None:
        members = logical_and(members, primitives.gather(kept, Tensor(places)))
    return _reduced_rows(primitives.gather(rows, Tensor(places)), members, "max")


def _in_a_row(positions: Tensor, offsets: ArrayLike | None, include_last_offset: bool) -> Tensor:
    """Where each bag begins, checked."""
    if offsets is None:
        raise ShapeError(
            f"embedding_bag: x has shape {positions.shape}, and no offsets say where its bags begin",
            hint="offsets=[0, …], or x of shape (B, L) with a bag in each row",
        )
    starts = as_positions("embedding_bag", "offsets", as_tensor(offsets))
    if starts.ndim != 1 or starts.shape[0] < include_last_offset:
        raise ShapeError(
            f"embedding_bag: offsets have shape {starts.shape}; they must be a vector", hint="offsets=[0, …]"
        )
    given, count = single_values(starts), positions.shape[0]
    if given is None:
        return _checked_later(starts, count, include_last_offset)
    if given.size and (given[0] != 0 or given[-1] > count or (np.diff(given) < 0).any()):
        raise RangeError(
            f"embedding_bag: offsets {given.tolist()} must begin with 0, rise, and not go beyond the {count} "
            "positions of x",
            hint="the number of positions in all bags before: [0, *cumulative_sum(lengths)[:-1]]",
        )
    if not include_last_offset:
        return starts
    if given[-1] != count:
        raise RangeError(
            f"embedding_bag: the last offset is {given[-1]}; with include_last_offset it is {count}",
            hint="include_last_offset=False, if the last one is the beginning of a bag",
        )
    return starts[:-1]


def _checked_later(starts: Tensor, count: int, include_last_offset: bool) -> Tensor:
    """Where each bag begins, computed from the lengths of the bags: those are checked in every run."""
    says = f"embedding_bag: an offset is {{wrong}}; x has {count} positions{{more}}"
    starts = checked_inside(starts, count + 1, says, f"offsets from 0 to {count}")
    bounds = starts if include_last_offset else concat([starts, [count]])
    lengths = checked_inside(
        diff(bounds), count + 1, "embedding_bag: a bag has {wrong} positions{more}", "rising offsets"
    )
    if include_last_offset:
        says = f"embedding_bag: {{wrong}} of {count} positions are behind the last offset"
        rest = checked_inside(subtract(count, bounds[-1:]), 1, says, "include_last_offset=False")
        lengths = add(lengths, rest)
    return add(bounds[:1], subtract(cumulative_sum(lengths), lengths))


def check_mode(mode: str) -> None:
    """Raise UsageError unless it is one of the three words."""
    one_of("embedding_bag", "mode", mode, "sum", "mean", "max")


def _factors(positions: Tensor, per_sample_weights: ArrayLike | None, mode: str) -> Tensor | None:
    if per_sample_weights is None:
        return None
    factors = as_tensor(per_sample_weights)
    if mode != "sum":
        raise UsageError(f"embedding_bag: per_sample_weights with mode={mode!r}", hint='mode="sum"')
    if factors.shape != positions.shape:
        raise ShapeError(
            f"embedding_bag: x has shape {positions.shape}, per_sample_weights {factors.shape}; they must be equal",
            hint="a factor for each position",
        )
    return factors


def _table_length(name: str, weight: ArrayLike) -> int:
    shape = as_tensor(weight).shape
    if len(shape) != 2:
        raise ShapeError(
            f"{name}: weight has shape {shape}; it must be (num_embeddings, embedding_dim)", hint="a row for each word"
        )
    return shape[0]


def _checked_positions(name: str, x: ArrayLike, count: int) -> Tensor:
    positions = as_positions(name, "x", as_tensor(x))
    if name == "embedding_bag" and positions.ndim not in (1, 2):
        raise ShapeError(
            f"{name}: x has shape {positions.shape}; it must be (B, L), or (N,) with offsets", hint="a bag in each row"
        )
    hint = "as many rows as there are words: nn.Embedding(vocabulary, …)"
    return check_inside(name, "x", positions, count, "num_embeddings", hint)


def padding_row(name: str, padding_idx: int | None, count: int) -> int | None:
    """The row of the padding, counted from the front.

    Raises:
        RangeError: if the table has no such row.
    """
    if padding_idx is None:
        return None
    if not is_whole(padding_idx) or not -count <= padding_idx < count:
        raise RangeError(
            f"{name}: padding_idx={padding_idx!r} is not one of the rows 0 to {count - 1} of the table",
            hint="the number that the tokenizer gives to its padding",
        )
    return padding_idx % count


def _shorten(weight: ArrayLike, positions: Tensor, max_norm: float, norm_type: float) -> None:
    """Scale rows that will be looked up, and are longer than ``max_norm``, to that length, in the cell itself."""
    if not isinstance(weight, Cell):
        raise UsageError("max_norm changes the table: weight must be a Parameter", hint="nn.Embedding(…, max_norm=…)")
    max_norm = number("embedding", "max_norm", max_norm, 0.0)
    table = stop_gradient(weight)
    used = primitives.scatter_add(Tensor(np.ones(positions.shape, np.int64)), positions, shape=table.shape[:1])
    lengths = vector_norm("embedding", table, number("embedding", "norm_type", norm_type, 0.0, infinite=True), 1)
    too_long = logical_and(greater(used, 0), greater(lengths, max_norm))
    factor = where(too_long, divide(max_norm, add(lengths, 1e-7)), 1.0)
    weight.assign(multiply(table, expand_dims(factor, -1)))


def _with_shared_gradient(rows: Tensor, positions: Tensor, count: int) -> Tensor:
    """The same rows, whose gradient is divided by how often each is looked up."""
    ones = Tensor(np.ones(positions.shape, numpy_dtype(rows)))
    often = primitives.gather(primitives.scatter_add(ones, positions, shape=(count,)), positions)
    fixed = stop_gradient(rows)
    return add(fixed, divide(subtract(rows, fixed), expand_dims(often, -1)))
