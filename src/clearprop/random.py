"""Random numbers from counters: the same seed gives the same numbers, on every executor and on every machine.

A `Generator` is a key (its seed) and a counter, which is a cell. Drawing reads the counter and moves it on. Bits,
uniform and Bernoulli numbers, integers and permutations are equal to the bit everywhere; normal numbers within 4 ulp.
Inside ``vmap`` each example gets numbers of its own.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from clearprop import primitives
from clearprop.arguments import is_whole, number
from clearprop.array import asarray, cos, log, sqrt
from clearprop.array.promotion import whole_numbers
from clearprop.autodiff.batching import active_levels, wrap
from clearprop.cell import Cell
from clearprop.dtypes import to_numpy
from clearprop.errors import DTypeError, UsageError
from clearprop.primitives.random import WORDS
from clearprop.tensor import Tensor, as_tensor

__all__ = [
    "Generator",
    "bernoulli",
    "default_generator",
    "normal",
    "permutation",
    "randint",
    "seed",
    "uniform",
]

Shape = int | Sequence[int]

_MANTISSA_BITS = {np.dtype(np.float16): 11, np.dtype(np.float32): 24, np.dtype(np.float64): 53}


class Generator:
    """A source of random numbers of its own.

    Args:
        seed: any integer from 0 to 2**64 - 1.

    Attributes:
        seed: the key.
        counter: a cell; how many blocks of four words have been drawn. Saving it and `seed` saves the generator.

    >>> import clearprop as cp
    >>> generator = cp.random.Generator(0)
    >>> cp.random.uniform(3, generator=generator)
    Tensor([0.39905, 0.88052, 0.73571], dtype=float32)
    """

    def __init__(self, seed: int = 0) -> None:
        self.counter = Cell(0, name="random.counter")
        self.manual_seed(seed)

    def manual_seed(self, seed: int) -> None:
        """Start again from a seed."""
        if not is_whole(seed) or not 0 <= seed < 2**64:
            raise UsageError(f"seed {seed!r} is not between 0 and 2**64 - 1", hint="cp.random.seed(0)")
        self.seed = seed
        self.counter.assign(0)

    def bits(self, shape: Shape) -> Tensor:
        """Random words of 32 bits; moves the counter on."""
        wanted = _shape(shape)
        batches = active_levels()
        full = (*(size for _, size in reversed(batches)), *wanted)
        key = np.asarray(self.seed, np.uint64)
        start = self.counter.value
        words: Tensor = primitives.random_bits(key, start, shape=full)
        self.counter.assign(start + -(-math.prod(full) // WORDS))
        for level, _ in batches:
            words = wrap(words, level)
        return words

    def state_dict(self) -> dict[str, int]:
        """Seed and counter, to be saved."""
        return {"seed": self.seed, "counter": self.counter.item()}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Go on where a saved generator was."""
        self.manual_seed(int(state["seed"]))
        self.counter.assign(int(state["counter"]))


default_generator = Generator(0)
"""What is used where no generator is named."""


def seed(n: int) -> None:
    """Start the default generator again from a seed.

    >>> import clearprop as cp
    >>> cp.random.seed(1)
    """
    default_generator.manual_seed(n)


def _shape(shape: Shape) -> tuple[int, ...]:
    return whole_numbers(shape, "random", "shape")


def _source(generator: Generator | None) -> Generator:
    """The generator, or the default one; UsageError for what is none."""
    given: Any = default_generator if generator is None else generator
    if not isinstance(given, Generator):
        raise UsageError(f"random: generator is {given!r}"[:200], hint="cp.random.Generator(seed)")
    return given


def uniform(
    shape: Shape = (),
    low: float = 0.0,
    high: float = 1.0,
    *,
    dtype: Any = None,
    generator: Generator | None = None,
) -> Tensor:
    """Numbers equally likely in [low, high).

    >>> import clearprop as cp
    >>> x = cp.random.uniform((1000,), -1.0, 1.0, generator=cp.random.Generator(0))
    >>> bool(cp.all(x >= -1.0)), bool(cp.all(x < 1.0)), abs(x.mean().item()) < 0.1
    (True, True, True)
    """
    first, last = number("random.uniform", "low", low), number("random.uniform", "high", high)
    unit = _unit(shape, dtype, generator)
    return unit if (first, last) == (0.0, 1.0) else unit * (last - first) + first


def _unit(shape: Shape, dtype: Any, generator: Generator | None) -> Tensor:
    """Multiples of 2**-24 (float64: 2**-53) in [0, 1)."""
    wanted = np.dtype(np.float32) if dtype is None else to_numpy(dtype)
    if wanted not in _MANTISSA_BITS:
        raise DTypeError(f"random numbers of dtype {wanted}", hint="cp.random.randint for integers")
    source, bits = _source(generator), _MANTISSA_BITS[wanted]
    if bits <= 24:
        whole = primitives.floor_divide(source.bits(shape), 2 ** (32 - bits))
        return primitives.multiply(primitives.cast(whole, dtype=wanted), 2.0**-bits)
    high = primitives.cast(primitives.floor_divide(source.bits(shape), 2**5), dtype=wanted)  # 27 bits
    low = primitives.cast(primitives.floor_divide(source.bits(shape), 2**6), dtype=wanted)  # 26 bits
    return primitives.multiply(primitives.add(primitives.multiply(high, 2.0**26), low), 2.0**-53)


def normal(
    shape: Shape = (),
    mean: float = 0.0,
    std: float = 1.0,
    *,
    dtype: Any = None,
    generator: Generator | None = None,
) -> Tensor:
    """Normally distributed numbers (Box and Muller 1958: one from each pair of uniform ones).

    >>> import clearprop as cp
    >>> x = cp.random.normal((10000,), generator=cp.random.Generator(0))
    >>> abs(x.mean().item()) < 0.03, abs((x * x).mean().item() - 1.0) < 0.05
    (True, True)
    """
    mean, std = number("random.normal", "mean", mean), number("random.normal", "std", std)
    radius = sqrt(-2.0 * log(1.0 - _unit(shape, dtype, generator)))  # 1 - u is in (0, 1]
    unit = radius * cos(2.0 * math.pi * _unit(shape, dtype, generator))
    return unit if (mean, std) == (0.0, 1.0) else unit * std + mean


def bernoulli(p: float | Tensor, shape: Shape | None = None, *, generator: Generator | None = None) -> Tensor:
    """True with probability ``p``; p may be a tensor, whose shape is then the default.

    >>> import clearprop as cp
    >>> cp.random.bernoulli(0.5, (4,), generator=cp.random.Generator(0))
    Tensor([ True, False, False, False], dtype=bool)
    """
    wanted = as_tensor(p).shape if shape is None else shape
    return _unit(wanted, None, generator) < p


def randint(low: int, high: int, shape: Shape = (), *, generator: Generator | None = None) -> Tensor:
    """Integers equally likely in [low, high), int64; spans up to 2**32.

    The bias (Lemire's multiplication, without rejection) is below (high - low) / 2**32.

    >>> import clearprop as cp
    >>> cp.random.randint(0, 10, (5,), generator=cp.random.Generator(0))
    Tensor([3, 8, 7, 6, 9], dtype=int64)
    """
    span = high - low
    if not 0 < span <= 2**32:
        raise UsageError(
            f"randint: there are {max(span, 0)} integers in [{low}, {high})", hint="low < high, at most 2**32 apart"
        )
    words = primitives.cast(_source(generator).bits(shape), dtype=np.dtype(np.uint64))
    scaled = primitives.floor_divide(primitives.multiply(words, span), 2**32)
    return primitives.add(primitives.cast(scaled, dtype=np.dtype(np.int64)), low)


def permutation(n: int, *, generator: Generator | None = None) -> Tensor:
    """The integers from 0 to n - 1 in random order.

    >>> import clearprop as cp
    >>> sorted(cp.random.permutation(5, generator=cp.random.Generator(0)).tolist())
    [0, 1, 2, 3, 4]
    """
    source = _source(generator)
    words = source.bits((n, 2)).numpy().astype(np.uint64)
    keys = (words[:, 0] << np.uint64(32)) | words[:, 1]
    return asarray(np.argsort(keys, kind="stable").astype(np.int64))
