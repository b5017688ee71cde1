"""Where arrays lie."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from clearprop.compiler import arrays


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
    assert arrays.address(array) == array.ctypes.data


def test_an_address_that_is_not_where_it_is_looked_for_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    assert arrays._is_in_head()
    monkeypatch.setattr(arrays, "_HEAD", arrays._HEAD + 8)
    assert not arrays._is_in_head()


@pytest.mark.parametrize("shape", [(), (3,), (0, 5), (100, 100), (1025,)])
def test_large_arrays_begin_at_a_cache_line(shape: tuple[int, ...]) -> None:
    for dtype in (np.float32, np.float64, np.bool_):
        array = arrays.aligned_empty(shape, np.dtype(dtype))
        assert (array.shape, array.dtype, array.flags.writeable) == (shape, dtype, True)
        assert arrays.is_aligned(array)
        assert array.nbytes <= arrays.SMALL or array.ctypes.data % arrays.ALIGNMENT == 0
    assert not arrays.is_aligned(np.zeros((200, 200)).T[:, 1:])
