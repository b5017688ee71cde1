"""The loss of a network that reads a sequence without being told where in it each label stands.

A. Graves, S. Fernández, F. Gomez, J. Schmidhuber, "Connectionist temporal classification: labelling unsegmented
sequence data with recurrent neural networks", 2006.

The labels are written with blanks between and around them, ``_ a _ b _``; a path goes through these S = 2 L + 1 states
from left to right, one step for each time: it stays, goes to the next state, or leaves out a blank between two labels
that differ. The probability of the labels is the sum over all paths, which the recursion of section 4.1 adds up state
by state. Here it runs on logarithms, for all states of all sequences at once; its gradient is backpropagation through
the recursion, which is the backward recursion of the paper.
"""

from __future__ import annotations

import math

import numpy as np

from clearprop import primitives
from clearprop.arguments import is_whole
from clearprop.array import (
    concat,
    divide,
    equal,
    expand_dims,
    isinf,
    less,
    logical_and,
    logical_or,
    logsumexp,
    maximum,
    mean,
    multiply,
    negative,
    not_equal,
    reshape,
    stack,
    take_along_axis,
    where,
)
from clearprop.array.promotion import ArrayLike, as_float, cast_to, expand
from clearprop.autodiff import scan
from clearprop.errors import RangeError, ShapeError, TraceError
from clearprop.functional.checks import as_positions, check_inside, checked_inside, known_values, single_values
from clearprop.functional.losses import check_reduction, reduced
from clearprop.primitive import numpy_dtype
from clearprop.primitives.shaping import take_range
from clearprop.tensor import Tensor, as_tensor

_BEFORE = 2
"""States in front of the first: one that is never reached, and the one where every path starts."""


def ctc_loss(
    log_probs: ArrayLike,
    targets: ArrayLike,
    input_lengths: ArrayLike,
    target_lengths: ArrayLike,
    blank: int = 0,
    reduction: str = "mean",
    zero_infinity: bool = False,
) -> Tensor:
    """-log of the probability that the sequence of outputs reads as the labels, blanks and repetitions left out.

    Args:
        log_probs: (T, N, C), what `log_softmax` gives for each time; or (T, C) for one sequence.
        targets: (N, L), labels, whatever follows the end of the shorter ones; or the labels of all sequences one after
            the other, (sum of target_lengths,). No label is the blank.
        input_lengths: (N,), at most T.
        target_lengths: (N,), at most L.
        blank: the class that stands for no label.
        reduction: "mean" divides each loss by the number of its labels, and then takes the mean; "sum", or "none".
        zero_infinity: 0, without a gradient, for sequences that are too short for their labels, instead of infinity.

    Raises:
        ShapeError: if shapes do not fit.
        RangeError: names a label that is no class, or is the blank; or a length that is too large.

    >>> import clearprop as cp, clearprop.functional as F
    >>> even = F.log_softmax(cp.zeros((3, 1, 2)))                   # 3 times, 1 sequence, a blank and one label
    >>> F.ctc_loss(even, [[1]], [3], [1], reduction="none").exp()   # of 8 paths, 6 read as this label
    Tensor([1.33333], dtype=float32)
    """
    logs = as_float(log_probs)
    labels, steps, lengths = _positions(targets, input_lengths, target_lengths)
    if logs.ndim == 2:
        if steps.size != 1 or lengths.size != 1:
            raise ShapeError(
                f"ctc_loss: log_probs has shape {logs.shape}, which is one sequence; there are {steps.size} "
                f"input_lengths and {lengths.size} target_lengths",
                hint="log_probs of shape (T, N, C) for several",
            )
        one = (reshape(labels, (1, labels.size)), reshape(steps, (1,)), reshape(lengths, (1,)))
        losses = reshape(_losses(expand_dims(logs, 1), *one, blank), ())
    elif logs.ndim == 3:
        losses = _losses(logs, labels, steps, lengths, blank)
    else:
        raise ShapeError(
            f"ctc_loss: log_probs has shape {logs.shape}; it must be (T, N, C) or (T, C)",
            hint="cp.permute_dims(log_probs, (1, 0, 2)) for (N, T, C)",
        )
    return _finish(losses, lengths, reduction, zero_infinity)


def _positions(*arguments: ArrayLike) -> list[Tensor]:
    names = ("targets", "input_lengths", "target_lengths")
    return [as_positions("ctc_loss", label, as_tensor(one)) for label, one in zip(names, arguments, strict=True)]


def _finish(losses: Tensor, lengths: Tensor, reduction: str, zero_infinity: bool) -> Tensor:
    if zero_infinity:
        losses = where(isinf(losses), 0.0, losses)
    check_reduction(reduction)
    if reduction == "mean":
        labels = reshape(maximum(cast_to(lengths, numpy_dtype(losses)), 1.0), losses.shape)
        return mean(divide(losses, labels))
    return reduced(losses, reduction)


def _losses(logs: Tensor, targets: Tensor, steps: Tensor, lengths: Tensor, blank: int) -> Tensor:
    """(T, N, C), (N, L), (N,), (N,) -> (N,)."""
    times, sequences, classes = logs.shape
    steps = _checked_lengths("input_lengths", steps, sequences, times, "the number of times T")
    if not is_whole(blank) or not 0 <= blank < classes:
        raise RangeError(
            f"ctc_loss: blank={blank!r} is not one of {classes} classes, which are 0 to {classes - 1}",
            hint="blank=0",
        )
    labels = _padded(targets, lengths, sequences, classes, blank)  # (N, L)
    states = 2 * labels.shape[1] + 1
    blanks = Tensor(np.full((sequences, labels.shape[1]), blank))
    pairs = reshape(stack([blanks, labels], axis=2), (sequences, states - 1))
    path = concat([pairs, Tensor(np.full((sequences, 1), blank))], axis=1)  # _ a _ b _
    emitted = take_along_axis(logs, expand(path, (times, sequences, states)), axis=2)  # (T, N, S)
    running = less(Tensor(np.arange(times)[:, None]), reshape(steps, (1, sequences)))  # (T, N)
    start = np.full((sequences, _BEFORE + states), -math.inf, numpy_dtype(logs))
    start[:, 1] = 0.0
    never = Tensor(np.full((sequences, _BEFORE), -math.inf, numpy_dtype(logs)))
    may_skip = _may_skip(path, blank)

    def step(alpha: Tensor, now: tuple[Tensor, Tensor]) -> tuple[Tensor, None]:
        emission, is_running = now
        following = concat([never, _one_step(alpha, may_skip, emission)], axis=1)
        return where(expand_dims(is_running, 1), following, alpha), None

    alpha, _ = scan(step, Tensor(start), (emitted, running)) if times else (Tensor(start), None)
    return negative(_at_the_end(alpha, lengths))


def _one_step(alpha: Tensor, may_skip: Tensor, emission: Tensor) -> Tensor:
    """The logarithm of the probability of all paths that are in each state now: (N, 2 + S) -> (N, S).

    Equations 6 and 7: they came from the same state, the one before, or the one before that, if it may be skipped.
    """
    states = emission.shape[1]
    same, before = (take_range(alpha, 1, start, start + states) for start in (_BEFORE, _BEFORE - 1))
    skipped = where(may_skip, take_range(alpha, 1, 0, states), -math.inf)
    return primitives.add(logsumexp(stack([same, before, skipped]), axis=0), emission)


def _may_skip(path: Tensor, blank: int) -> Tensor:
    """Whether each state can be reached from the one before the last: a label that differs from the label there."""
    before = concat([Tensor(np.full((path.shape[0], 2), blank)), path], axis=1)[:, :-2]
    return logical_and(not_equal(path, blank), not_equal(path, before))


def _at_the_end(alpha: Tensor, lengths: Tensor) -> Tensor:
    """The logarithm of the probability of all paths that end with the last label or with the blank behind it."""
    places = Tensor(np.arange(alpha.shape[1]))
    last = expand_dims(multiply(lengths, 2), 1) + _BEFORE  # the blank behind the last label
    is_end = logical_or(equal(places, last), equal(places, last - 1))
    return logsumexp(where(is_end, alpha, -math.inf), axis=1)


def _padded(targets: Tensor, lengths: Tensor, sequences: int, classes: int, blank: int) -> Tensor:
    """The labels of each sequence as a row, filled up with blanks: (N, L)."""
    if targets.ndim == 1:
        targets = _in_rows(targets, lengths, sequences)
    if targets.ndim != 2 or targets.shape[0] != sequences:
        raise ShapeError(
            f"ctc_loss: targets has shape {targets.shape} for {sequences} sequences; it must be (N, L), or all labels "
            "one after the other",
            hint=f"targets of shape ({sequences}, L)",
        )
    width = targets.shape[1]
    lengths = _checked_lengths("target_lengths", lengths, sequences, width, "the number of labels L")
    is_label = less(Tensor(np.arange(width)), reshape(lengths, (sequences, 1)))
    other = 0 if blank else min(1, classes - 1)
    hint = "log_probs needs an axis 2 as long as there are classes"
    targets = check_inside("ctc_loss", "targets", where(is_label, targets, other), classes, "C", hint)
    blanks = known_values(logical_and(is_label, equal(targets, blank)))
    if blanks is not None and blanks.any():
        raise RangeError(
            f"ctc_loss: targets has the label {blank}, which is the blank",
            hint="leave blanks out of the targets; blank=… says which class it is",
        )
    return where(is_label, targets, blank)


def _in_rows(targets: Tensor, lengths: Tensor, sequences: int) -> Tensor:
    """Labels that stand one after the other as rows of the length of the longest."""
    known = single_values(lengths)
    if known is None:
        raise TraceError(
            "ctc_loss: targets that stand one after the other need lengths that are known, not traced or inside vmap",
            hint="targets of shape (N, L)",
        )
    if known.shape != (sequences,) or (known < 0).any() or known.sum() != targets.size:
        raise ShapeError(
            f"ctc_loss: {targets.size} labels one after the other, target_lengths {known.tolist()}, {sequences} "
            "sequences: there must be a length for each sequence, and their sum is the number of labels",
            hint="targets of shape (N, L), padded",
        )
    places = (np.cumsum(known) - known)[:, None] + np.arange(np.max(known, initial=0))
    return primitives.gather(targets, Tensor(np.minimum(places, targets.size - 1)))


def _checked_lengths(name: str, lengths: Tensor, sequences: int, most: int, what: str) -> Tensor:
    if lengths.shape != (sequences,):
        raise ShapeError(
            f"ctc_loss: {name} has shape {lengths.shape}; log_probs has {sequences} sequences (axis 1)",
            hint=f"{name} of shape ({sequences},)",
        )
    says = f"ctc_loss: {name} has {{wrong}}; {what} is {most}{{more}}"
    return checked_inside(lengths, most + 1, says, f"lengths from 0 to {most}")
