"""Kernels that read or write at positions along one axis, one for each element, as sorting gives them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from clearprop.compiler.native.code import Code
from clearprop.compiler.native.copying import copy, fill
from clearprop.compiler.native.indexing import AtPositions, add
from clearprop.compiler.native.integers import Integer, Integers
from clearprop.compiler.native.single import Array, NodeWriter, at, joined, nest, spans
from clearprop.compiler.native.team import Team


class _AlongAxis(AtPositions):
    """A position for each element, along one axis."""

    def each(
        self,
        code: Code,
        team: Team,
        positions: Array,
        table: Array,
        other: Array,
        body: Callable[[Array, Array], None],
    ) -> None:
        """Call the body with a part of the table and the part of the other array that belongs to it.

        They are single elements, or, where neighbours share their position, all of these. Threads share the positions.
        """
        axis = self.attributes["axis"]
        along = table.strides[axis] if table.shape[axis] != 1 else 0
        rest = tuple(0 if i == axis else step for i, step in enumerate(table.strides))
        shape, steps = joined(positions.shape, positions.strides, rest, other.strides)
        shared = 1 if shape and steps[0][-1] == 0 and steps[1][-1] != 0 else 0
        integers, outer = Integers(code), len(shape) - shared

        def one(place: list[Integer]) -> None:
            value = self.position(code, positions, at(code, place, steps[0]), 0)
            offset = integers.add(integers.times(value, along), at(code, place, steps[1]))
            parts = [
                Array(array.pointer, array.dtype, shape[outer:], stride[outer:]).moved(code, start)
                for array, stride, start in (
                    (table, steps[1], offset),
                    (other, steps[2], at(code, place, steps[2])),
                )
            ]
            body(*parts)

        if shared or not shape:
            nest(code, shape[:outer], one, team)
        else:
            nest(code, shape[:-1], lambda place: spans(code, shape[-1], 1, lambda i, _: one([*place, i])), team)


class TakeAlongAxis(_AlongAxis):
    """Elements of x, each from its own position."""

    can_share = True

    def lengths(self) -> Sequence[int]:
        return [self.views[0].shape[self.attributes["axis"]]]

    def is_native(self) -> bool:
        return NodeWriter.is_native(self)

    def move(self, code: Code, operands: Sequence[Array], output: Array) -> None:
        x, positions = operands
        self.each(code, self.team, positions, x, output, lambda read, write: copy(code, self.machine, read, write))


class AddAlongAxis(_AlongAxis):
    """Zeros, to which each element is added at its own position. Threads share the longest of the other axes."""

    can_share = True

    def lengths(self) -> Sequence[int]:
        return [self.attributes["length"]]

    def move(self, code: Code, operands: Sequence[Array], output: Array) -> None:
        x, positions = operands
        others = [axis for axis in range(len(output.shape)) if axis != self.attributes["axis"]]
        shared = max(others, key=output.shape.__getitem__, default=None)
        if shared is None or not x.size:
            self.team.first(lambda: self._add(code, x, positions, output))
            return
        if shared:
            fill(code, self.machine, output, self.team)
            self.team.wait()

        def one(place: list[Integer]) -> None:
            mine, there, target = (_at_one_place(code, array, shared, place[0]) for array in (x, positions, output))
            self._add(code, mine, there, target, is_zero=shared > 0)

        nest(code, output.shape[shared : shared + 1], one, self.team)

    def _add(self, code: Code, x: Array, positions: Array, output: Array, *, is_zero: bool = False) -> None:
        if not is_zero:
            fill(code, self.machine, output)
        if x.size:
            team = Team.alone(code)
            self.each(code, team, positions, output, x, lambda total, part: add(code, self.machine, part, total))


def _at_one_place(code: Code, array: Array, axis: int, place: Integer) -> Array:
    """The same at one place along an axis, which stays, with a length of 1."""
    shape = (*array.shape[:axis], 1, *array.shape[axis + 1 :])
    return array.moved(code, at(code, [place], array.strides[axis : axis + 1]))._replace(shape=shape)
