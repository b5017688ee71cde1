"""Where in a sequence an element stands, for networks that would not know: attention looks at sets.

sinusoidal_positions   waves of many lengths, to be added to the elements (Vaswani et al. 2017, section 3.5)
rotary                 turns queries and keys by angles that grow with the position, so that their product depends on
                       the distance alone (J. Su et al., "RoFormer", 2021, section 3.2)
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from clearprop import primitives
from clearprop.arguments import is_whole, number, whole
from clearprop.array import add, cos, expand_dims, multiply, reshape, sin, stack
from clearprop.array.promotion import ArrayLike, cast_to
from clearprop.dtypes import to_numpy
from clearprop.errors import DTypeError, ShapeError, UsageError
from clearprop.primitive import numpy_dtype
from clearprop.tensor import Tensor, as_tensor


def sinusoidal_positions(length: int, dim: int, base: float = 10000.0, *, dtype: Any = None) -> Tensor:
    """sin(p / base^(2i / dim)) in column 2i and the cosine of the same in column 2i + 1, for the positions p.

    Args:
        length: how many positions, from 0 on.
        dim: how many columns; an even number.
        base: the waves are from 2π to nearly 2π base long.
        dtype: float32 by default.

    Returns:
        (length, dim).

    Raises:
        UsageError: if dim is odd, or one of them is no whole number.

    >>> import clearprop.functional as F
    >>> F.sinusoidal_positions(2, 4)
    Tensor([[0.     , 1.     , 0.     , 1.     ],
            [0.84147, 0.5403 , 0.01   , 0.99995]], dtype=float32)
    """
    check_even("sinusoidal_positions", dim)
    length = whole("sinusoidal_positions", "length", length, 0)
    longest = number("sinusoidal_positions", "base", base, positive=True)
    return Tensor(_waves(length, dim, longest).astype(np.float32 if dtype is None else to_numpy(dtype)))


@lru_cache(maxsize=16)
def _waves(length: int, dim: int, base: float) -> np.ndarray[Any, Any]:
    """In float64, kept: networks ask for the same ones in every step."""
    angles = np.outer(np.arange(length), base ** (-np.arange(0, dim, 2) / dim))
    return np.stack([np.sin(angles), np.cos(angles)], axis=2).reshape(length, dim)


def rotary(
    x: ArrayLike, positions: ArrayLike | None = None, base: float = 10000.0, interleaved: bool = False
) -> Tensor:
    """Each pair of columns turned by the angle p / base^(2i / dim), for position p and pair i.

    The product of a query at m and a key at n that are both turned depends on them and on m - n, not on where they are.

    Args:
        x: (…, L, dim), queries or keys; dim is even.
        positions: whole numbers, (L,) or with batch axes before, which broadcast; 0, 1, … by default.
        base: the slowest pair turns nearly base times as slowly as the first.
        interleaved: which columns are a pair: i and i + dim / 2 (False: GPT-NeoX, LLaMA), or 2i and 2i + 1 (True, as in
            the paper). Weights that were trained with one do not fit the other.

    Returns:
        The shape of x.

    Raises:
        UsageError: if dim is odd.
        ShapeError: if positions do not fit.
        DTypeError: if x does not hold floating-point numbers.

    >>> import clearprop.functional as F
    >>> F.rotary([[1.0, 0.0], [1.0, 0.0]])                     # turned by 0, and by 1 in radians
    Tensor([[1.     , 0.     ],
            [0.5403 , 0.84147]], dtype=float32)
    """
    x, base = as_tensor(x), number("rotary", "base", base, positive=True)
    _check_rotary(x)
    length, dim = x.shape[-2:]
    places = as_tensor(np.arange(length) if positions is None else positions)
    if places.ndim == 0 or places.shape[-1] != length or places.ndim > x.ndim - 1:
        raise ShapeError(
            f"rotary: x has shape {x.shape}, positions have shape {places.shape}",
            hint=f"positions of shape ({length},)",
        )
    speeds = base ** (-np.arange(0, dim, 2) / dim)  # in float64: far positions have large angles
    angles = multiply(expand_dims(cast_to(places, np.dtype(np.float64)), -1), Tensor(speeds))  # (…, L, dim / 2)
    axis = -1 if interleaved else -2  # of the two columns of a pair, when the pairs are taken apart
    cosines = stack([cos(angles), cos(angles)], axis)
    sines = stack([primitives.negative(sin(angles)), sin(angles)], axis)
    pairs = reshape(x, (*x.shape[:-1], *((dim // 2, 2) if interleaved else (2, dim // 2))))
    others = primitives.flip(pairs, axes=(pairs.ndim + axis,))
    dtype = numpy_dtype(x)
    turned = add(multiply(pairs, cast_to(cosines, dtype)), multiply(others, cast_to(sines, dtype)))
    return reshape(turned, x.shape)


def _check_rotary(x: Tensor) -> None:
    if numpy_dtype(x).kind != "f":
        raise DTypeError(f"rotary: x is {x.dtype.name}; it takes floating-point numbers", hint="x.astype(cp.float32)")
    if x.ndim < 2:
        raise ShapeError(f"rotary: x has shape {x.shape}; it must be (…, L, dim)", hint="x[None] is one position")
    check_even("rotary", x.shape[-1])


def check_even(name: str, dim: Any) -> None:
    """Raise UsageError unless the columns make pairs."""
    if not is_whole(dim) or dim < 2 or dim % 2:
        near = f"dim={dim + 1}" if is_whole(dim) and dim > 0 else "dim=64"
        raise UsageError(f"{name}: dim={dim!r} must be an even number: the columns are taken in pairs", hint=near)
