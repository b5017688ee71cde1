"""Tensors out of and into other libraries: DLPack, NumPy's protocol, buffers; what is copied and what is shared."""

from __future__ import annotations

import array
from typing import Any

import numpy as np
import pytest

import clearprop as cp
from clearprop.errors import UsageError

DTYPES = ["bool", "int8", "int64", "uint16", "float16", "float32", "float64"]


class OldConsumer:
    """A library that asks for DLPack as it was before version 1, which could not say that memory is read-only."""

    @staticmethod
    def take(x: Any, **options: Any) -> np.ndarray[Any, Any]:
        class Producer:
            __dlpack_device__ = staticmethod(x.__dlpack_device__)

            def __dlpack__(self, **_: Any) -> Any:
                return x.__dlpack__(**options)

        return np.from_dlpack(Producer())


# Out ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(), (3,), (2, 0), (2, 3)])
def test_out_by_dlpack(dtype: str, shape: tuple[int, ...]) -> None:
    x = cp.ones(shape, dtype=dtype)
    found = np.from_dlpack(x)
    np.testing.assert_array_equal(found, x.numpy(), strict=True)
    assert not found.flags.writeable
    assert x.__dlpack_device__() == (1, 0)
    assert found.size == 0 or np.shares_memory(found, x.numpy())


def test_what_a_consumer_might_write_to_is_a_copy() -> None:
    x = cp.tensor([1.0, 2.0])
    for found in (OldConsumer.take(x), OldConsumer.take(x, max_version=(0, 8)), np.from_dlpack(x, copy=True)):
        np.testing.assert_array_equal(found, x.numpy())
        assert not np.shares_memory(found, x.numpy())


def test_a_consumer_can_insist_on_no_copy() -> None:
    x = cp.tensor([1.0, 2.0])
    for found in (OldConsumer.take(x, copy=False), np.from_dlpack(x, copy=False)):
        assert np.shares_memory(found, x.numpy())


def test_devices_and_streams_that_there_are_not() -> None:
    with pytest.raises(BufferError):
        cp.ones(1).__dlpack__(dl_device=(2, 0))


def test_transposed_and_repeated_tensors_and_cells_go_out() -> None:
    x = cp.tensor([[1.0, 2.0], [3.0, 4.0]])
    np.testing.assert_array_equal(np.from_dlpack(x.mT), x.numpy().T)
    np.testing.assert_array_equal(
        np.from_dlpack(cp.broadcast_to([1.0, 2.0], (3, 2))), np.broadcast_to([1.0, 2.0], (3, 2))
    )
    np.testing.assert_array_equal(np.from_dlpack(cp.Parameter([1.0])), [1.0])


def test_numpy_protocol() -> None:
    x = cp.tensor([1.0, 2.0])
    assert np.shares_memory(np.asarray(x), x.numpy())
    assert np.asarray(x, np.float64).dtype == np.float64
    assert np.array(x).flags.writeable
    assert np.asarray(x, copy=False) is not None
    with pytest.raises(ValueError, match="float32 cannot become float64 without a copy"):
        np.asarray(x, np.float64, copy=False)


def test_python_numbers() -> None:
    x = cp.tensor(2.0)
    assert (float(x), int(x), complex(x), bool(x)) == (2.0, 2, 2 + 0j, True)
    assert type(complex(x)) is complex


# In -------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
def test_in_by_dlpack(dtype: str) -> None:
    source = np.ones((2, 3), dtype)
    for x, is_shared in ((cp.from_dlpack(source), False), (cp.from_dlpack(source, copy=False), True)):
        np.testing.assert_array_equal(x.numpy(), source, strict=True)
        assert np.shares_memory(x.numpy(), source) == is_shared


def test_tensors_share_their_memory_and_leave_their_history() -> None:
    x = cp.tensor([1.0, 2.0], requires_grad=True)
    for source in (x, cp.Parameter(x)):
        y = cp.from_dlpack(source)
        assert not y.requires_grad
        assert np.shares_memory(y.numpy(), source.numpy())


class Elsewhere:
    """An array in the memory of a GPU."""

    def __dlpack_device__(self) -> tuple[int, int]:
        return (2, 0)

    def __dlpack__(self, **_: Any) -> Any:
        raise BufferError("not from here")


@pytest.mark.parametrize(
    ("source", "what"),
    [
        ([1.0], "list does not offer DLPack"),
        (np.ones(1, complex), "complex numbers come later"),
        (Elsewhere(), "Elsewhere cannot be taken over"),
        (np.ones(1, ">f4"), "ndarray cannot be taken over"),
    ],
)
def test_what_cannot_be_taken_over(source: Any, what: str) -> None:
    with pytest.raises(cp.DTypeError, match=what) as caught:
        cp.from_dlpack(source)
    assert caught.value.hint


@pytest.mark.parametrize(
    ("source", "dtype"),
    [
        (array.array("d", [1.0, 2.0]), cp.float64),
        (array.array("f", [1.0, 2.0]), cp.float32),
        (array.array("B", [1, 2]), cp.uint8),
        (memoryview(np.array([1.0, 2.0])), cp.float64),
        (bytearray(b"\1\2"), cp.uint8),
        (range(1, 3), cp.int64),
    ],
    ids=["doubles", "floats", "bytes", "memoryview", "bytearray", "range"],
)
def test_buffers_and_sequences(source: Any, dtype: cp.DType) -> None:
    x = cp.asarray(source)
    assert x.tolist() == [1, 2]
    assert x.dtype is dtype
    assert cp.asarray(source, dtype=cp.float16).dtype is cp.float16


def test_arrays_of_other_libraries_keep_their_dtype() -> None:
    class Foreign:
        def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray[Any, Any]:
            return np.array([1.0, 2.0], dtype)

    assert cp.asarray(Foreign()).dtype is cp.float64
    assert cp.tensor(Foreign()).dtype is cp.float64


# Copies ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("source", [np.array([1.0, 2.0]), array.array("d", [1.0, 2.0])], ids=["NumPy", "buffer"])
def test_asarray_shares_on_request_only(source: Any) -> None:
    copied, shared = [cp.asarray(source), cp.asarray(source, copy=True)], cp.asarray(source, copy=False)
    source[0] = 100.0
    assert [x[0].item() for x in copied] == [1.0, 1.0]
    assert shared[0].item() == 100.0
    assert cp.asarray(source, copy=False, dtype=cp.float64)[0].item() == 100.0


@pytest.mark.parametrize(
    ("source", "dtype"), [([1.0], None), (1.0, None), (np.ones(1), cp.float32), (cp.ones(1), cp.float64)]
)
def test_what_needs_a_copy(source: Any, dtype: Any) -> None:
    with pytest.raises(UsageError, match=r"asarray: .* without a copy") as caught:
        cp.asarray(source, dtype=dtype, copy=False)
    assert caught.value.hint == "copy=None"


def test_tensors_are_their_own_copies() -> None:
    x = cp.tensor([1.0], requires_grad=True)
    for copy in (None, True, False):
        assert cp.asarray(x, copy=copy) is x
    assert x.astype(cp.float32, copy=True) is x
    assert cp.asarray(x, dtype=cp.float64).requires_grad


def test_reshape_without_a_copy() -> None:
    x = cp.ones((2, 3))
    assert np.shares_memory(cp.reshape(x, (6,), copy=False).numpy(), x.numpy())
    assert cp.reshape(x.mT, (6,)).shape == cp.reshape(x.mT, (6,), copy=True).shape == (6,)
    assert cp.reshape(cp.ones((0, 3)), (3, 0), copy=False).shape == (3, 0)
    with pytest.raises(UsageError, match=r"\(3, 2\) cannot become \(6,\) without a copy"):
        cp.reshape(x.mT, (6,), copy=False)
