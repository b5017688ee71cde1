"""What happens to elements of c before they are stored, and where they are.

An epilogue is written for each vector of c when its sum is complete: it adds a bias, applies an activation, multiplies
by a mask, and so on. It loads what it needs through its `Place`, which knows in which direction the vector runs.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from typing import Any

from clearprop.compiler.native.code import Code, Value
from clearprop.compiler.native.integers import Integer, Integers
from clearprop.compiler.native.lanes import store_apart
from clearprop.compiler.native.product import Walk


class Row:
    """A row of c, of which places are asked for.

    What is the same all along the row is computed once, in the block where it was made, ahead of any loop along it.

    Attributes:
        where: where it stands on each walk but that along it.
    """

    def __init__(self, code: Code, where: Sequence[tuple[Walk, Integer]]) -> None:
        self.where = list(where)
        self._code, self._block = code, code.builder.block
        self._offsets: dict[tuple[tuple[str, int], ...], Integer] = {}

    def offset(self, steps: dict[str, int]) -> Integer:
        """How far the row is from the beginning of another array, with these steps along each axis."""
        key = tuple(steps.items())
        if key not in self._offsets:
            integers = Integers(self._code)
            with self._code.builder.goto_block(self._block):
                parts = [_offset(integers, walk, position, steps) for walk, position in self.where]
                self._offsets[key] = integers.add(*parts)
        return self._offsets[key]


class Place:
    """A vector of c: of which row, which column and which batch item.

    Attributes:
        lanes: how many elements; 1 for a number that is no vector.
        axis: the name of the axis they are neighbours on: "columns", or "rows" if the roles of a and b are exchanged.
        pointers: the additional ones that the function was given.
    """

    def __init__(
        self,
        code: Code,
        row: Row,
        along: tuple[Walk, Integer],
        lanes: int,
        axis: str,
        pointers: Sequence[Value],
    ) -> None:
        self._code, self._row, self._along = code, row, along
        self.lanes, self.axis, self.pointers = lanes, axis, list(pointers)

    @property
    def row(self) -> Value:
        """The row of the first lane."""
        return self.index("rows")

    @property
    def column(self) -> Value:
        """The column of the first lane."""
        return self.index("columns")

    def index(self, name: str) -> Value:
        """The index of the first lane along an axis: "rows", "columns", "batch 0", "batch 1" and so on."""
        integers = Integers(self._code)
        for walk, position in (*self._row.where, self._along):
            rest = position
            for digit, count in reversed(walk.digits):
                if digit == name:
                    is_first = digit == walk.digits[0][0]
                    return integers.value(rest if is_first else integers.remainder(rest, count))
                rest = integers.quotient(rest, count)
        return integers.value(0)

    def load(self, pointer: Value, dtype: Any, rows: int = 0, columns: int = 0, batch: Sequence[int] = ()) -> Value:
        """What another array holds for these elements.

        Args:
            rows, columns, batch: how many elements one step along each axis is there; 0 if it is the same all along.
        """
        address, stride = self._address(pointer, dtype, rows, columns, batch)
        if self.lanes == 1 or stride == 1:
            return self._code.load(address, dtype, self.lanes)
        if stride == 0:
            return self._code.splat(self._code.load(address, dtype), self.lanes)
        return self._code.load_apart(address, dtype, stride, self.lanes)

    def store(
        self, value: Value, pointer: Value, dtype: Any, rows: int = 0, columns: int = 0, batch: Sequence[int] = ()
    ) -> None:
        """Write to another array; the opposite of `load`."""
        address, stride = self._address(pointer, dtype, rows, columns, batch)
        if self.lanes == 1 or stride == 1:
            self._code.store(value, address, dtype)
        else:
            store_apart(self._code, value, address, dtype, stride)

    def _address(self, pointer: Value, dtype: Any, rows: int, columns: int, batch: Sequence[int]) -> tuple[Value, int]:
        """Of the first lane, and how far it is to the next one."""
        steps = {"rows": rows, "columns": columns, **{f"batch {i}": step for i, step in enumerate(batch)}}
        integers = Integers(self._code)
        offset = integers.add(self._row.offset(steps), _offset(integers, *self._along, steps))
        return self._code.at(pointer, dtype, integers.value(offset)), steps[self.axis]


def _offset(integers: Integers, walk: Walk, position: Integer, steps: dict[str, int]) -> Integer:
    """How far it is to a position, with steps of its own along each axis that the walk is made of."""
    digits = list(walk.digits)
    offset: Integer = 0
    while digits:
        name, count = digits.pop()
        step = steps.get(name, 0)
        while digits and steps.get(digits[-1][0], 0) == step * count:  # the axis before continues this one
            count *= digits.pop()[1]
        if step:
            mine = integers.remainder(position, count) if digits else position
            offset = integers.add(offset, integers.times(mine, step))
        position = integers.quotient(position, count)
    return offset


def offset_along(integers: Integers, axes: Sequence[Walk], number: Integer, side: str) -> Integer:
    """How far it is, in a, b or c, to a position on several axes, the last of which runs fastest."""
    return integers.add(*(integers.times(i, getattr(walk, side)) for walk, i in positions(integers, axes, number)))


def positions(integers: Integers, axes: Sequence[Walk], number: Integer) -> list[tuple[Walk, Integer]]:
    """Where on each of several axes that is."""
    found: list[tuple[Walk, Integer]] = []
    for i, walk in enumerate(reversed(axes)):
        is_first = i == len(axes) - 1
        found.append((walk, number if is_first else integers.remainder(number, walk.length)))
        number = integers.quotient(number, walk.length)
    return found


@dataclass(frozen=True)
class Epilogue:
    """What is done to elements of c when their sums are complete.

    Attributes:
        key: epilogues with equal keys do the same.
        write: gets the code, the sums (with what c held, if it is added to) and their place; returns what to store.
        pointers: how many additional pointers the function takes.
        is_long: whether it takes many instructions, like exp: then it is not written for each register of a tile.
    """

    key: Hashable
    write: Callable[[Code, Value, Place], Value] = field(compare=False)
    pointers: int = 0
    is_long: bool = False
