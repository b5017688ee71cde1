"""What a declaration of a primitive says, and the means to write one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from clearprop.errors import ClearpropError, DTypeError, ShapeError

Array = Any
Random = np.random.Generator
Sample = Callable[[Random], Sequence[Array]]

SHAPES: tuple[tuple[int, ...], ...] = ((), (3,), (2, 3), (2, 0))
"""Every elementwise primitive is tested on these: without axes, a vector, a matrix, and empty."""


@dataclass(frozen=True)
class Case:
    """One way to call a primitive."""

    label: str
    sample: Sample
    attributes: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Wrong:
    """Inputs that do not fit, as (shape, dtype), and the error that must say so."""

    error: type[ClearpropError]
    inputs: tuple[tuple[tuple[int, ...], str], ...]
    attributes: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Declaration:
    """What must be true of a primitive.

    Attributes:
        reference: the value of one call, written with NumPy or math: ``reference(*inputs, **attributes)``.
        keeps: for each input that has a gradient, what a node keeps if a gradient flows to it alone.
        flops: floating-point operations from the shapes of output and inputs, and with ``flops_ask_attributes`` also
            from the attributes.
        takes: kinds of dtypes that it accepts, as NumPy's letters.
    """

    name: str
    cases: tuple[Case, ...]
    reference: Callable[..., Array]
    keeps: dict[str, tuple[str, ...]]
    flops: Callable[..., int]
    takes: str = "biuf"
    wrong: tuple[Wrong, ...] = ()
    batches: bool = True
    flops_ask_attributes: bool = False

    @property
    def differentiable(self) -> bool:
        return bool(self.keeps)


TABLE: dict[str, Declaration] = {}


def declare(name: str, cases: Sequence[Case], reference: Callable[..., Array], **facts: Any) -> None:
    """Enter a declaration; ``keeps`` is written as "x: y z; y: x"."""
    keeps = facts.pop("keeps", "")
    facts["keeps"] = {
        entry.split(":")[0].strip(): tuple(entry.split(":")[1].split()) for entry in keeps.split(";") if entry.strip()
    }
    facts.setdefault("flops", moves_only)
    TABLE[name] = Declaration(name, tuple(cases), reference, **facts)


# Costs ----------------------------------------------------------------------------------------------------------------


def moves_only(output: Array, *inputs: Array) -> int:
    return 0


def per_output(count: int) -> Callable[..., int]:
    return lambda output, *inputs: count * output.size


def per_input(count: int) -> Callable[..., int]:
    return lambda output, *inputs: count * inputs[0].size


# Samples --------------------------------------------------------------------------------------------------------------


def numbers(low: float, high: float) -> Callable[[Random, tuple[int, ...]], Array]:
    return lambda random, shape: np.asarray(random.uniform(low, high, shape))


def whole(low: int, high: int) -> Callable[[Random, tuple[int, ...]], Array]:
    return lambda random, shape: np.asarray(random.integers(low, high, shape))


def booleans(random: Random, shape: tuple[int, ...]) -> Array:
    return np.asarray(random.integers(0, 2, shape) == 1)


def away_from_integers(random: Random, shape: tuple[int, ...]) -> Array:
    """Between -3 and 3, at least 0.1 away from where floor, round and their kind jump."""
    whole = random.integers(-3, 3, shape)
    return np.asarray(whole + random.uniform(0.1, 0.4, shape) + 0.5 * random.integers(0, 2, shape))


def elementwise_cases(*draws: Callable[[Random, tuple[int, ...]], Array], **attributes: Any) -> list[Case]:
    def case(shape: tuple[int, ...]) -> Case:
        return Case(str(list(shape)), lambda random: [draw(random, shape) for draw in draws], attributes)

    return [case(shape) for shape in SHAPES]


def one(label: str, of_shape: tuple[int, ...], /, **attributes: Any) -> Case:
    """A case of one input of that shape."""
    return Case(label, lambda random: [np.asarray(random.uniform(-2.0, 2.0, of_shape))], attributes)


def f64(*shape: int) -> tuple[tuple[int, ...], str]:
    return shape, "float64"


def f32(*shape: int) -> tuple[tuple[int, ...], str]:
    return shape, "float32"


def i64(*shape: int) -> tuple[tuple[int, ...], str]:
    return shape, "int64"


def b(*shape: int) -> tuple[tuple[int, ...], str]:
    return shape, "bool"


def each(function: Callable[..., Any], dtype: Any = np.float64) -> Callable[..., Array]:
    """A function of Python numbers, applied to every element."""
    return lambda *arrays, **attributes: np.vectorize(function, otypes=[dtype])(*arrays, **attributes)


UNEQUAL = (
    Wrong(ShapeError, (f64(2, 3), f64(3, 2))),
    Wrong(ShapeError, (f64(3), f64())),
    Wrong(DTypeError, (f64(2), f32(2))),
)

ANY, POSITIVE, UNIT = numbers(-2.0, 2.0), numbers(0.2, 3.0), numbers(-0.9, 0.9)
