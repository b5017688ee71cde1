"""Copies between any two layouts, and filling with zeros."""

from __future__ import annotations

from typing import Any

import numpy as np

from clearprop.compiler.native.code import Code, Value, constant
from clearprop.compiler.native.integers import Integer, Integers
from clearprop.compiler.native.lanes import transposed
from clearprop.compiler.native.machine import Machine
from clearprop.compiler.native.single import Array, at, in_parts, joined, moved, nest, spans
from clearprop.compiler.native.team import Team

_NARROWEST_TILE, _WIDEST_TILE = 4, 8
"""Rows of a tile that is transposed in registers: fewer do not pay, more are more code and no quicker."""

MOST_PARTS, WHOLE = 64, 16
"""Threads share a copy in at most so many parts. Along an axis of neighbours the length of one is a multiple of so many
elements, the widest vector, and on every machine it is a multiple of a tile."""


def load(code: Code, pointer: Value, dtype: Any, stride: int, lanes: int) -> Value:
    """Numbers that stand any number of elements apart, one lane each."""
    if stride == 0:
        return code.splat(code.load(pointer, dtype), lanes)
    if stride == 1 or lanes == 1:
        return code.load(pointer, dtype, lanes)
    return code.load_apart(pointer, dtype, stride, lanes)


def fill(code: Code, machine: Machine, output: Array, number: Any = 0, team: Team | None = None) -> None:
    """The same number everywhere in an array that lies in order of rows; with a team, together."""
    output = output.as_bits() if number == 0 else output

    def some(start: Integer, count: int) -> None:
        def body(i: Integer, lanes: int) -> None:
            value = constant(output.dtype, number, lanes)
            code.store(value, moved(code, part.pointer, output.dtype, i), output.dtype)

        part = output.moved(code, start)
        spans(code, count, machine.lanes(output.dtype), body, may_repeat=True)

    if team is None or team.threads == 1:
        some(0, output.size)
    else:
        size = part_size(output.size, of_neighbours=True)
        in_parts(code, team, output.size, size, lambda start: some(start, size))


def copy(code: Code, machine: Machine, source: Array, target: Array, team: Team | None = None) -> None:
    """Write what stands in one array to another of the same shape and dtype; with a team, together."""
    if not source.size:
        return
    source, target = source.as_bits(), target.as_bits()
    shape, (steps, to_steps) = joined(source.shape, source.strides, target.strides)
    source = source._replace(shape=shape, strides=steps)
    target = target._replace(shape=shape, strides=to_steps)
    if team is not None and team.threads != 1 and shape:
        _together(code, machine, source, target, team)
        return
    if shape and to_steps[-1] == 1 and steps[-1] not in (0, 1) and 1 in steps[:-1]:
        width = _tile_width(machine, source.dtype.itemsize, shape[-1], shape[steps.index(1)])
        if width >= _NARROWEST_TILE:
            _turned(code, source, target, width)
            return
    _rows(code, machine, source, target)


def _together(code: Code, machine: Machine, source: Array, target: Array, team: Team) -> None:
    """In parts, along an axis along which nobody has neighbours if it is long enough, else along the longest one."""
    shape, steps, to_steps = source.shape, source.strides, target.strides
    apart = [axis for axis, step in enumerate(steps) if abs(step) != 1 and abs(to_steps[axis]) != 1]
    axis = max(apart, key=shape.__getitem__, default=0)
    if axis not in apart or shape[axis] < WHOLE:
        axis = max(range(len(shape)), key=shape.__getitem__)
    size = part_size(shape[axis], of_neighbours=axis not in apart)
    lengths = (*shape[:axis], size, *shape[axis + 1 :])

    def some(start: Integer) -> None:
        parts = (array.moved(code, at(code, [start], array.strides[axis : axis + 1])) for array in (source, target))
        copy(code, machine, *(part._replace(shape=lengths) for part in parts))

    in_parts(code, team, shape[axis], size, some)


def part_size(length: int, *, of_neighbours: bool) -> int:
    """The length of one of the parts that threads share."""
    size = -(-length // MOST_PARTS)
    return min(length, -(-size // WHOLE) * WHOLE) if of_neighbours else size


def _rows(code: Code, machine: Machine, source: Array, target: Array) -> None:
    """Row after row, in vectors where the elements are neighbours."""
    dtype, length = source.dtype, source.shape[-1] if source.shape else 1
    step, to_step = (array.strides[-1] if array.strides else 1 for array in (source, target))
    width = machine.lanes(dtype) if to_step == 1 and step in (0, 1) else 1

    def row(position: list[Integer]) -> None:
        read = moved(code, source.pointer, dtype, at(code, position, source.strides))
        written = moved(code, target.pointer, dtype, at(code, position, target.strides))

        def body(i: Integer, lanes: int) -> None:
            value = load(code, moved(code, read, dtype, at(code, [i], [step])), dtype, step, lanes)
            code.store(value, moved(code, written, dtype, at(code, [i], [to_step])), dtype)

        spans(code, length, width, body, may_repeat=True)

    nest(code, source.shape[:-1], row)


def _turned(code: Code, source: Array, target: Array, width: int) -> None:
    """Tiles that are transposed in registers: the source's neighbours are along another axis than the target's."""
    across, along = source.strides.index(1), len(source.shape) - 1
    others = [axis for axis in range(along) if axis != across]
    integers = Integers(code)

    def tiles(axis: int, body: Any) -> None:
        """The last one is moved back until it is whole: what it shares with the one before is written twice."""
        last = source.shape[axis] - width
        turns = -(-source.shape[axis] // width)
        integers.each(0, turns * width, width, lambda i: body(integers.smaller(i, last)))

    def tile(position: list[Integer]) -> None:
        read, written = (
            array.moved(code, at(code, position, [array.strides[axis] for axis in (*others, across, along)]))
            for array in (source, target)
        )
        rows = [
            code.load(moved(code, read.pointer, read.dtype, i * read.strides[along]), read.dtype, width)
            for i in range(width)
        ]
        for i, row in enumerate(transposed(code, rows)):
            place = moved(code, written.pointer, written.dtype, i * written.strides[across])
            code.store(row, place, written.dtype)

    nest(
        code,
        [source.shape[axis] for axis in others],
        lambda place: tiles(across, lambda i: tiles(along, lambda j: tile([*place, i, j]))),
    )


def _tile_width(machine: Machine, itemsize: int, *lengths: int) -> int:
    """The largest power of two that fits into both axes, and into a register."""
    most = min(_WIDEST_TILE, machine.lanes(np.dtype(f"u{itemsize}")), *lengths)
    return 1 << (most.bit_length() - 1)
