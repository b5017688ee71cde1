"""How a kernel walks through a buffer, axis by axis."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from clearprop.compiler.native.code import I64, Code, Value, index
from clearprop.compiler.native.integers import Integer, Integers
from clearprop.compiler.native.views import View
from clearprop.graph import Node


class Lookup(NamedTuple):
    """How a kernel finds the row of a buffer.

    Attributes:
        slot: the pointer to the positions.
        strides, offset: how it walks through them; not along the last axis.
        step: from one row to the next, in elements.
    """

    slot: int
    dtype: np.dtype[Any]
    strides: tuple[int, ...]
    offset: int
    step: int


class Access(NamedTuple):
    """How a kernel walks through a buffer.

    Attributes:
        slot: which of the kernel's pointers.
        strides: one for each axis of the kernel's space.
        lookup: in which row, if positions say it.
    """

    slot: int
    dtype: np.dtype[Any]
    strides: tuple[int, ...]
    offset: int
    lookup: Lookup | None = None

    @classmethod
    def of(cls, view: View, buffers: dict[Node, int]) -> Access:
        """How to read a view; ``buffers`` are the kernel's pointers, to which what is missing is added."""
        lookup = None
        slot = buffers.setdefault(view.source, len(buffers))
        if view.positions is not None:
            source, strides, offset, step = view.positions
            lookup = Lookup(buffers.setdefault(source, len(buffers)), source.dtype, strides, offset, step)
        return cls(slot, view.source.dtype, view.strides, view.offset, lookup)

    def of_axes(self, axes: Sequence[int]) -> Access:
        """The same, of some axes in another order."""
        lookup = self.lookup
        if lookup is not None:
            lookup = lookup._replace(strides=tuple(lookup.strides[i] for i in axes))
        return self._replace(strides=tuple(self.strides[i] for i in axes), lookup=lookup)

    def goes_on(self, before: int, axis: int, length: int) -> bool:
        """Whether a step along one axis is as far as the whole of another one."""
        walks = [self.strides] if self.lookup is None else [self.strides, self.lookup.strides]
        return all(strides[before] == strides[axis] * length for strides in walks)

    @property
    def moves(self) -> bool:
        """Whether it walks along the last axis."""
        return bool(self.strides) and self.strides[-1] != 0

    # Code -------------------------------------------------------------------------------------------------------------

    def row(
        self,
        code: Code,
        pointers: Sequence[Value],
        position: Sequence[Integer],
        known: dict[Any, Integer] | None = None,
    ) -> Value:
        """The address at which the last axis begins.

        Args:
            pointers: the kernel's.
            position: along the other axes.
            known: offsets that have been computed at this position.
        """
        integers = Integers(code)
        known = {} if known is None else known
        key = (self.strides[: len(position)], self.offset)
        if key not in known:
            known[key] = integers.add(self.offset, *_steps(integers, position, self.strides))
        offset = known[key]
        if self.lookup is not None:
            slot, dtype, strides, start, step = self.lookup
            number = Access(slot, dtype, strides, start).number(code, pointers, position)
            offset = integers.add(offset, integers.times(number, step))
        pointer = pointers[self.slot]
        if isinstance(offset, int) and not offset:
            return pointer
        return code.at(pointer, self.dtype, integers.value(offset))

    def number(self, code: Code, pointers: Sequence[Value], position: Sequence[Integer]) -> Value:
        """The integer that stands there, with 64 bits."""
        number = code.load(self.row(code, pointers, position), self.dtype)
        if self.dtype.itemsize == 8:
            return number
        return code.builder.sext(number, I64) if self.dtype.kind == "i" else code.builder.zext(number, I64)

    def place(self, code: Code, row: Value, i: Value) -> Value:
        """The address of element i of the last axis."""
        stride = self.strides[-1] if self.strides else 0
        if not stride:
            return row
        return code.at(row, self.dtype, i if stride == 1 else code.builder.mul(i, index(stride)))

    def get(self, code: Code, place: Value, lanes: int) -> Value:
        """What stands there, and behind it along the last axis."""
        if lanes == 1 or self.strides[-1] == 1:
            return code.load(place, self.dtype, lanes)
        return code.load_apart(place, self.dtype, self.strides[-1], lanes)

    def put(self, code: Code, value: Value, place: Value, lanes: int) -> None:
        """The opposite of `get`."""
        if lanes == 1 or self.strides[-1] == 1:
            code.store(value, place, self.dtype)
        else:
            code.store_apart(value, place, self.dtype, self.strides[-1], lanes)


def _steps(integers: Integers, position: Sequence[Integer], strides: Sequence[int]) -> list[Integer]:
    return [integers.times(i, stride) for i, stride in zip(position, strides, strict=False)]
