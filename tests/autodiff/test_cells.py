"""Parameters and buffers are cells: a name and a current value."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import clearprop as cp


def test_operators_read_the_current_value() -> None:
    w = cp.Parameter([1.0, 2.0])
    x = cp.tensor([10.0, 20.0])
    for result in (w * x, x * w, np.array([10.0, 20.0], np.float32) * w, cp.multiply(w, x)):
        np.testing.assert_array_equal(result.numpy(), [10.0, 40.0])
    assert (w @ x).item() == 50.0
    assert w[1].item() == 2.0
    assert (-w).numpy().tolist() == [-1.0, -2.0]
    assert (w.shape, w.ndim, w.size, w.dtype, len(w)) == ((2,), 1, 2, cp.float32, 2)


def test_assign_replaces_the_value_and_old_graphs_keep_theirs() -> None:
    w = cp.Parameter([1.0, 2.0])
    loss = (w * w).sum()
    w.assign([10.0, 20.0])
    loss.backward()
    assert w.grad is not None
    np.testing.assert_array_equal(w.grad.numpy(), [2.0, 4.0])
    np.testing.assert_array_equal(w.numpy(), [10.0, 20.0])


def test_one_leaf_for_each_version() -> None:
    w = cp.Parameter([1.0])
    first = w.value.node
    assert w.value.node is first
    w.assign([2.0])
    assert w.value.node is not first


def test_assigned_values_lose_their_history() -> None:
    w = cp.Parameter([1.0])
    w.assign(w * 2.0 + 1.0)
    assert w.value.node is not None
    assert w.value.node.is_leaf
    (w * w).sum().backward()
    assert w.grad is not None
    assert w.grad.numpy().tolist() == [6.0]


def test_gradients_of_all_versions_add_up_in_one_cell() -> None:
    w = cp.Parameter([1.0])
    (w * 3.0).sum().backward()
    w.assign([5.0])
    (w * 4.0).sum().backward()
    assert w.grad is not None
    assert w.grad.numpy().tolist() == [7.0]


def test_assigning_another_shape() -> None:
    w = cp.Parameter(np.zeros((2, 3)), name="weight")
    with pytest.raises(cp.ShapeError, match=r"Parameter weight has shape \(2, 3\), the value has shape \(3, 2\)"):
        w.assign(np.zeros((3, 2)))
    assert w.shape == (2, 3)


def test_assigning_another_dtype() -> None:
    w = cp.Parameter([1.0, 2.0])
    with pytest.raises(cp.DTypeError, match="has dtype float32, the value has dtype float64") as caught:
        w.assign(cp.tensor([1.0, 2.0], dtype=cp.float64))
    assert caught.value.hint == "value.astype(cp.float32)"


def test_numbers_and_arrays_are_cast_but_fractions_not_cut_off() -> None:
    w, counter = cp.Parameter([1.0, 2.0]), cp.Buffer(0)
    w.assign(np.array([3.0, 4.0]))
    w.assign([5, 6])
    counter.assign(7)
    assert (w.dtype, w.numpy().tolist(), counter.value.item()) == (cp.float32, [5.0, 6.0], 7)
    with pytest.raises(cp.DTypeError, match="has dtype int64, the value has dtype float32"):
        counter.assign(1.5)
    assert counter.item() == 7


def test_values_cannot_be_written_to() -> None:
    w = cp.Parameter([1.0, 2.0])
    source = np.array([3.0, 4.0])
    w.assign(source)
    source[0] = 100.0
    assert w.numpy().tolist() == [3.0, 4.0]
    with pytest.raises(ValueError, match="read-only"):
        w.numpy()[0] = 5.0
    with pytest.raises(TypeError, match=r"x.at\[index\].set"):
        w.value[0] = 5.0


@pytest.mark.parametrize("cell", [cp.Buffer([1.0]), cp.Parameter([1.0], requires_grad=False)])
def test_buffers_and_frozen_parameters_get_no_gradients(cell: Any) -> None:
    x = cp.tensor([3.0], requires_grad=True)
    (x * cell).sum().backward()
    assert not cell.requires_grad
    assert getattr(cell, "grad", None) is None


def test_freezing_and_thawing() -> None:
    w = cp.Parameter([1.0])
    w.requires_grad = False
    assert not (w * 2.0).requires_grad
    w.requires_grad = True
    (w * 2.0).sum().backward()
    assert w.grad is not None


def test_parameters_of_integers() -> None:
    with pytest.raises(cp.DTypeError, match="only floating-point"):
        cp.Parameter([1, 2])
    assert cp.Parameter([1, 2], requires_grad=False).dtype is cp.int64


def test_printed() -> None:
    w = cp.Parameter([1.0], name="fc.weight")
    assert repr(w) == "Parameter('fc.weight', Tensor([1.], dtype=float32, requires_grad=True))"
    assert repr(cp.Buffer(3)) == "Buffer(Tensor(3, dtype=int64))"
