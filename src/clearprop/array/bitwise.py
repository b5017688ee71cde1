"""Logic on the bits of integers, element by element, and on booleans, which ``&``, ``|``, ``^`` and ``~`` take too.

Nothing here has gradients. Numbers are no truth values: an integer and a boolean do not mix.
"""

from __future__ import annotations

from clearprop import primitives
from clearprop.array.promotion import ArrayLike, binary, unary
from clearprop.errors import DTypeError
from clearprop.primitive import numpy_dtype, spec_of
from clearprop.primitives.families import INTEGERS, Elementwise, check_kind
from clearprop.tensor import Tensor, as_tensor


def bitwise_and(x: ArrayLike, y: ArrayLike, /) -> Tensor:
    """The bits that are set in both; of booleans, x and y. Also ``x & y``.

    >>> import clearprop as cp
    >>> cp.bitwise_and([0b1100, 0b1010], 0b0110), cp.bitwise_and([True, False], True)
    (Tensor([4, 2], dtype=int64), Tensor([ True, False], dtype=bool))
    """
    return _bits_or_truth(primitives.bitwise_and, primitives.logical_and, x, y)


def bitwise_or(x: ArrayLike, y: ArrayLike, /) -> Tensor:
    """The bits that are set in at least one; of booleans, x or y. Also ``x | y``.

    >>> import clearprop as cp
    >>> cp.bitwise_or([0b1100, 0b1010], 0b0110)
    Tensor([14, 14], dtype=int64)
    """
    return _bits_or_truth(primitives.bitwise_or, primitives.logical_or, x, y)


def bitwise_xor(x: ArrayLike, y: ArrayLike, /) -> Tensor:
    """The bits that are set in one of the two; of booleans, either x or y. Also ``x ^ y``.

    >>> import clearprop as cp
    >>> cp.bitwise_xor([0b1100, 0b1010], 0b0110)
    Tensor([10, 12], dtype=int64)
    """
    return _bits_or_truth(primitives.bitwise_xor, primitives.logical_xor, x, y)


def bitwise_invert(x: ArrayLike, /) -> Tensor:
    """Every bit turned over; of booleans, not x. Also ``~x``.

    >>> import clearprop as cp
    >>> cp.bitwise_invert([0, 5]), cp.bitwise_invert([True, False])
    (Tensor([-1, -6], dtype=int64), Tensor([False,  True], dtype=bool))
    """
    tensor = as_tensor(x)
    is_truth = numpy_dtype(tensor).kind == "b"
    return unary(primitives.logical_not if is_truth else primitives.bitwise_invert, tensor)


def bitwise_left_shift(x: ArrayLike, y: ArrayLike, /) -> Tensor:
    """The bits of x moved y >= 0 places up, without what leaves the type. Also ``x << y``.

    >>> import clearprop as cp
    >>> cp.bitwise_left_shift([1, 3], 4)
    Tensor([16, 48], dtype=int64)
    """
    return binary(primitives.bitwise_left_shift, *_integers("bitwise_left_shift", x, y))


def bitwise_right_shift(x: ArrayLike, y: ArrayLike, /) -> Tensor:
    """The bits of x moved y >= 0 places down, the sign kept. Also ``x >> y``.

    >>> import clearprop as cp
    >>> cp.bitwise_right_shift([16, -48], 4)
    Tensor([ 1, -3], dtype=int64)
    """
    return binary(primitives.bitwise_right_shift, *_integers("bitwise_right_shift", x, y))


def _bits_or_truth(of_bits: Elementwise, of_truth: Elementwise, x: ArrayLike, y: ArrayLike) -> Tensor:
    """One primitive for integers, another for booleans."""
    x, y = (one if isinstance(one, (int, float)) else as_tensor(one) for one in (x, y))
    if _is_truth(x) and _is_truth(y):
        return binary(of_truth, x, y)
    return binary(of_bits, *_integers(of_bits.name, x, y))


def _is_truth(x: Tensor | float) -> bool:
    return numpy_dtype(x).kind == "b" if isinstance(x, Tensor) else isinstance(x, bool)


def _integers(name: str, x: ArrayLike, y: ArrayLike) -> list[ArrayLike]:
    """Both as they are, Python numbers not made tensors; DTypeError unless all are integers."""
    both = [one if isinstance(one, (int, float)) else as_tensor(one) for one in (x, y)]
    for label, one in zip(("x", "y"), both, strict=True):
        if isinstance(one, Tensor):
            check_kind(name, INTEGERS, **{label: spec_of(one)})
        elif isinstance(one, (bool, float)):
            raise DTypeError(f"{name}: {label} is {one!r}; it takes integers", hint=f"int({one!r})")
    return both
