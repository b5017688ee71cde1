"""Copies between any two layouts, and filling with zeros.

What takes much code is a function of its own, which kernels share: LLVM is slow.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from llvmlite import ir

from clearprop.compiler.native.code import I64, POINTER, Code, Value, constant, index
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


def fill(code: Code, machine: Machine, output: Array, team: Team | None = None) -> None:
    """Zeros everywhere in an array that lies in order of rows; with a team, together."""
    output = output.as_bits()
    fills = _fill(code.module, output.dtype, machine.lanes(output.dtype))

    def some(start: Integer, count: int) -> None:
        code.builder.call(fills, [output.moved(code, start).pointer, index(count)])

    if team is None or team.threads == 1:
        some(0, output.size)
    else:
        size = part_size(output.size, of_neighbours=True)
        in_parts(code, team, output.size, size, lambda start: some(start, size))


def _fill(module: ir.Module, dtype: Any, lanes: int) -> ir.Function:
    """``fill(target, count)``: neighbours."""
    name = f"fill.{dtype.name}"
    if name in module.globals:
        return module.globals[name]
    code = Code.function(module, name, [POINTER, I64])
    target, count = code.builder.function.args
    integers = Integers(code)

    def several(i: Value, lanes: int) -> None:
        code.store(constant(dtype, 0, lanes), moved(code, target, dtype, i), dtype)

    whole = integers.times(integers.quotient(count, lanes), lanes)
    integers.each(0, whole, lanes, lambda i: several(i, lanes))
    integers.each(whole, count, 1, lambda i: several(i, 1))
    code.builder.ret_void()
    return module.globals[name]


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
        read, written = (
            array.moved(code, at(code, [start], array.strides[axis : axis + 1]))._replace(shape=lengths)
            for array in (source, target)
        )
        copy(code, machine, read, written)

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
    turn = _turn(code.module, source.dtype, width)

    def plane(place: list[Integer]) -> None:
        read, written = (
            array.moved(code, at(code, place, [array.strides[axis] for axis in others])) for array in (source, target)
        )
        sizes = source.strides[along], target.strides[across], source.shape[across], source.shape[along]
        code.builder.call(turn, [read.pointer, written.pointer, *map(index, sizes)])

    nest(code, [source.shape[axis] for axis in others], plane)


def _turn(module: ir.Module, dtype: Any, width: int) -> ir.Function:
    """``turn(source, target, source step, target step, rows, columns)``: a matrix transposed.

    In tiles, of which the last ones are moved back until they are whole; there must be room for one.
    """
    name = f"turn.{dtype.name}.{width}"
    if name in module.globals:
        return module.globals[name]
    code = Code.function(module, name, [POINTER, POINTER, I64, I64, I64, I64])
    read, written, step, to_step, rows, columns = code.builder.function.args
    integers = Integers(code)

    def tiles(length: Value, body: Callable[[Value], None]) -> None:
        last = integers.sub(length, width)
        integers.each(0, length, width, lambda i: body(integers.smaller(i, last)))

    def along(pointer: Value, stride: Value) -> Iterator[Value]:
        for _ in range(width):
            yield pointer
            pointer = code.at(pointer, dtype, stride)

    def tile(i: Value, j: Value) -> None:
        start = code.at(read, dtype, integers.add(integers.times(j, step), i))
        goal = code.at(written, dtype, integers.add(integers.times(i, to_step), j))
        lines = [code.load(place, dtype, width) for place in along(start, step)]
        for place, line in zip(along(goal, to_step), transposed(code, lines), strict=True):
            code.store(line, place, dtype)

    tiles(rows, lambda i: tiles(columns, lambda j: tile(i, j)))
    code.builder.ret_void()
    return module.globals[name]


def _tile_width(machine: Machine, itemsize: int, *lengths: int) -> int:
    """The largest power of two that fits into both axes, and into a register."""
    most = min(_WIDEST_TILE, machine.lanes(np.dtype(f"u{itemsize}")), *lengths)
    return 1 << (most.bit_length() - 1)
