"""Where arrays lie."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import clearprop as cp
from clearprop import alignment


@pytest.mark.parametrize(
    "array",
    [
        np.arange(10),
        np.arange(10)[3:],
        np.arange(10)[::-2],
        np.zeros(()),
        np.zeros((2, 3), np.float32).T,
        np.broadcast_to(np.float64(1.0), (3, 4)),
        np.frombuffer(b"0123456789", np.uint8)[1:],
    ],
)
def test_addresses_are_those_that_numpy_gives(array: Any) -> None:
    assert alignment.address(array) == array.ctypes.data


def test_an_address_that_is_not_where_it_is_looked_for_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    assert alignment._is_in_head()
    monkeypatch.setattr(alignment, "_HEAD", alignment._HEAD + 8)
    assert not alignment._is_in_head()


@pytest.mark.parametrize("shape", [(), (3,), (0, 5), (100, 100), (1025,)])
def test_large_arrays_begin_at_a_cache_line(shape: tuple[int, ...]) -> None:
    for dtype in (np.float32, np.float64, np.bool_):
        array = alignment.aligned_empty(shape, np.dtype(dtype))
        assert (array.shape, array.dtype, array.flags.writeable) == (shape, dtype, True)
        assert alignment.is_aligned(array)
        assert array.nbytes <= alignment.SMALL or array.ctypes.data % alignment.ALIGNMENT == 0
    assert not alignment.is_aligned(np.zeros((200, 200)).T[:, 1:])


def test_copies_lie_so_too() -> None:
    source = np.arange(6000.0).reshape(60, 100).T
    for made, expected in (
        (alignment.aligned_copy(np.zeros((), np.int64)), np.zeros((), np.int64)),
        (alignment.aligned_copy(source), source),
        (alignment.aligned_copy(source, np.float32), source.astype(np.float32)),
        (alignment.aligned_copy(source.astype(">f4")), source.astype(np.float32)),
    ):
        assert alignment.is_aligned(made)
        assert not np.shares_memory(made, source)
        assert made.dtype == expected.dtype
        np.testing.assert_array_equal(made, expected)


def test_weights_and_moments_need_not_be_moved() -> None:
    """So the first compiled step copies none of them."""
    weight = cp.Parameter(np.ones((101, 33), np.float32)[1:])
    optimizer = cp.optim.Adam([weight])
    for cell in (weight, optimizer.slot(weight, "exp_avg"), optimizer.slot(weight, "another", 2.0)):
        assert alignment.is_aligned(cell.peek_array())
    assert optimizer.slot(weight, "another").value.sum().item() == 2.0 * weight.size
