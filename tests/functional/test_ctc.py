"""Connectionist temporal classification: against the sum over all paths, second order, cost, errors."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest

import clearprop as cp
from clearprop import functional
from clearprop.errors import DTypeError, RangeError, ShapeError

LOGITS = np.sin(np.arange(5.0 * 2 * 3)).reshape(5, 2, 3) * 2.0
LABELS, STEPS, LENGTHS = np.array([[1, 1], [2, 0]]), np.array([5, 4]), np.array([2, 1])


def loss_of(logits: Any, labels: Any = LABELS, steps: Any = STEPS, lengths: Any = LENGTHS, **options: Any) -> Any:
    return functional.ctc_loss(functional.log_softmax(logits), labels, steps, lengths, **options)


def read(path: tuple[int, ...], blank: int) -> list[int]:
    """Without repetitions, and then without blanks."""
    return [label for label, _ in itertools.groupby(path) if label != blank]


def by_all_paths(logs: Any, labels: list[int], blank: int) -> float:
    """Equation 3 of the paper, word for word."""
    times, classes = logs.shape
    paths = (path for path in itertools.product(range(classes), repeat=times) if read(path, blank) == labels)
    total = sum(math.exp(sum(logs[t, label] for t, label in enumerate(path))) for path in paths)
    return -math.log(total) if total else math.inf


@pytest.mark.parametrize("blank", [0, 1, 2])
@pytest.mark.parametrize("length", [0, 1, 2, 3])
def test_it_is_the_sum_over_all_paths(blank: int, length: int) -> None:
    logs = functional.log_softmax(LOGITS).numpy()[:, 0]
    others = [label for label in range(3) if label != blank]
    for labels in itertools.product(others, repeat=length):
        for times in (1, 3, 5):
            found = functional.ctc_loss(logs, np.array(labels, np.int64), times, length, blank, "none").item()
            assert found == pytest.approx(by_all_paths(logs[:times], list(labels), blank), rel=1e-12)


def test_gradients_of_first_and_second_order() -> None:
    cp.check_gradients(loss_of, LOGITS, order=2)
    cp.check_gradients(lambda x: loss_of(x, np.array([1, 1, 2]), reduction="none"), LOGITS, order=2)


def test_gradient_of_impossible_labels_is_zero() -> None:
    x = cp.tensor(LOGITS, requires_grad=True)
    losses = loss_of(x, steps=np.array([2, 4]), reduction="none")  # two equal labels need three steps
    assert losses.tolist()[0] == math.inf
    losses.sum().backward()
    gradient = x.grad.numpy()  # type: ignore[union-attr]
    assert (gradient[:, 0] == 0.0).all()
    assert gradient[:4, 1].any()
    assert not gradient[4:, 1].any()  # behind the end
    assert math.isfinite(loss_of(LOGITS, steps=np.array([2, 4]), zero_infinity=True).item())


def test_probabilities_of_zero() -> None:
    logs = np.full((3, 1, 2), -math.inf)
    logs[0, 0, 1] = logs[1, 0, 0] = logs[2, 0, 0] = 0.0  # a _ _ for certain
    x = cp.tensor(logs, requires_grad=True)
    loss = functional.ctc_loss(x, [[1]], [3], [1])
    loss.backward()
    assert loss.item() == 0.0
    assert x.grad.numpy()[0, 0].tolist() == [0.0, -1.0]  # type: ignore[union-attr]
    assert np.isfinite(x.grad.numpy()).all()  # type: ignore[union-attr]


def test_padding_is_not_read() -> None:
    other = np.where(np.arange(2) < LENGTHS[:, None], LABELS, -7)
    assert loss_of(LOGITS, other).item() == loss_of(LOGITS).item()
    assert loss_of(LOGITS, np.array([1, 1, 2])).item() == loss_of(LOGITS).item()


def test_vmap_is_a_loop() -> None:
    many = np.stack([LOGITS, LOGITS[::-1] * 0.5])
    labels = np.stack([LABELS, np.array([[2, 1], [1, 0]])])
    mapped = cp.vmap(lambda x, t: loss_of(x, t, reduction="none"))(cp.tensor(many), cp.tensor(labels)).numpy()
    looped = [loss_of(x, t, reduction="none").numpy() for x, t in zip(many, labels, strict=True)]
    np.testing.assert_allclose(mapped, np.stack(looped), rtol=1e-13)


def test_nodes_grow_with_time_alone() -> None:
    def nodes(times: int, sequences: int, length: int) -> int:
        logs = cp.tensor(np.zeros((times, sequences, 4)), requires_grad=True)
        labels = np.ones((sequences, length), np.int64)
        steps, lengths = np.full(sequences, times), np.full(sequences, length)
        return len(cp.Graph(functional.ctc_loss(logs, labels, steps, lengths)).nodes)

    assert nodes(10, 2, 3) == nodes(10, 5, 1)
    assert nodes(30, 2, 3) - nodes(20, 2, 3) == nodes(20, 2, 3) - nodes(10, 2, 3)


def test_float32_stays_float32() -> None:
    assert loss_of(LOGITS.astype(np.float32)).dtype == cp.float32


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"labels": np.array([[1, 3], [2, 0]])}, RangeError, "targets has 3, which is not one of 0 to 2: C is 3"),
        ({"labels": np.array([[1, 0], [2, 0]])}, RangeError, "targets has the label 0, which is the blank"),
        ({"labels": LABELS[:1]}, ShapeError, r"targets has shape \(1, 2\) for 2 sequences"),
        ({"labels": np.array([1, 2])}, ShapeError, "2 labels one after the other"),
        ({"labels": LABELS * 0.5}, DTypeError, "targets is float64; it takes whole numbers"),
        ({"steps": np.array([5, 6])}, RangeError, "input_lengths has 6; the number of times T is 5"),
        ({"steps": np.array([5])}, ShapeError, r"input_lengths has shape \(1,\)"),
        ({"lengths": np.array([2, 3])}, RangeError, "target_lengths has 3; the number of labels L is 2"),
        ({"lengths": np.array([-1, 1])}, RangeError, "target_lengths has -1"),
        ({"blank": 3}, RangeError, "blank=3 is not one of 3 classes"),
    ],
)
def test_what_does_not_fit(arguments: dict[str, Any], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        loss_of(LOGITS, **arguments)


def test_shapes_that_are_no_sequences() -> None:
    with pytest.raises(ShapeError, match=r"it must be \(T, N, C\) or \(T, C\)"):
        functional.ctc_loss(LOGITS[None], LABELS, STEPS, LENGTHS)
