"""Kernels of one node that is no loop nest over its elements: what their writers have in common."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from llvmlite import ir

from clearprop.compiler.native.code import I1, POINTER, VOID, Code, Value, has_type, index
from clearprop.compiler.native.integers import Integer, Integers
from clearprop.compiler.native.kernels import Fusion, Kernel
from clearprop.compiler.native.machine import Machine
from clearprop.compiler.native.team import SHARED_ARGUMENTS, Team
from clearprop.compiler.native.views import row_strides

DType = np.dtype[Any]


class Array(NamedTuple):
    """An array in memory, as code sees it.

    Attributes:
        pointer: its first element.
        shape, strides: by axis; strides count elements.
    """

    pointer: Value
    dtype: DType
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    @property
    def size(self) -> int:
        """How many elements there are."""
        return math.prod(self.shape)

    def moved(self, code: Code, offset: Integer) -> Array:
        """The same, beginning so many elements further on."""
        return self._replace(pointer=moved(code, self.pointer, self.dtype, offset))

    def part(self, first: int, last: int | None = None) -> Array:
        """The axes from one to another, at their beginning along the others."""
        return self._replace(shape=self.shape[first:last], strides=self.strides[first:last])

    def as_bits(self) -> Array:
        """The same as numbers that are only moved: no conversion of booleans, one code for all types of that size."""
        return self._replace(dtype=np.dtype(f"u{self.dtype.itemsize}"))


def moved(code: Code, pointer: Value, dtype: DType, offset: Integer) -> Value:
    """The address so many numbers behind a pointer."""
    if isinstance(offset, int) and offset == 0:
        return pointer
    return code.at(pointer, dtype, Integers(code).value(offset))


class NodeWriter:
    """Writes the kernel of one node; a subclass writes its `body`.

    Attributes:
        buffers: of the operands, then of the output.
        key: of the function; all that the body asks for is part of it.
        may_fail, shared, scratch_bytes: see `clearprop.compiler.native.lowerings.Writer`.
        team: the threads that run the body together; known while it is written, and so is
        memory: where scratch memory begins, of the first thread.
    """

    may_fail = False
    shared = False
    scratch_bytes = 0
    team: Team
    memory: Value

    def __init__(self, fusion: Fusion, kernel: Kernel, machine: Machine) -> None:
        self.node, self.machine = kernel.node, machine
        self.attributes = self.node.attributes
        self.views = fusion.reads(self.node)
        self.slots: dict[Any, int] = {}
        for source in (*(view.source for view in self.views if 0 not in view.shape), self.node):
            self.slots.setdefault(source, len(self.slots))
        self.buffers = list(self.slots)
        operands = tuple(
            (self.slots.get(v.source, -1), v.source.dtype, v.shape, v.strides, v.offset) for v in self.views
        )
        self.key: tuple[Any, ...] = (
            self.node.name, self.settings(), operands, self.node.dtype, self.node.shape
        )  # fmt: skip

    @classmethod
    def of(cls, fusion: Fusion, kernel: Kernel, machine: Machine) -> NodeWriter | None:
        """The writer of a kernel, or None if there is no code for such operands."""
        made = cls(fusion, kernel, machine)
        return made if made.is_native() else None

    def is_native(self) -> bool:
        """Whether there is code for these dtypes and shapes."""
        return all(has_type(dtype) for dtype in (self.node.dtype, *(view.source.dtype for view in self.views)))

    def settings(self) -> tuple[Any, ...]:
        """Which of the attributes the code depends on."""
        return tuple((name, str(value)) for name, value in self.attributes.items())

    def write(self, module: ir.Module, name: str) -> None:
        """Write the function: it takes pointers to the buffers, to scratch memory if it needs any, and who is there."""
        memory = [POINTER] * bool(self.scratch_bytes)
        among = SHARED_ARGUMENTS if self.shared else ()
        kinds = [*[POINTER] * len(self.buffers), *memory, *among]
        code = Code.function(module, name, kinds, I1 if self.may_fail else VOID)
        pointers = list(code.builder.function.args)
        self.team = Team(code, *pointers[-len(among) :]) if among else Team.alone(code)
        self.memory = pointers[len(self.buffers)] if memory else ir.Constant(POINTER, None)
        operands = []
        for view in self.views:
            slot, dtype = self.slots.get(view.source, -1), view.source.dtype
            start = ir.Constant(POINTER, None) if 0 in view.shape else moved(code, pointers[slot], dtype, view.offset)
            operands.append(Array(start, dtype, view.shape, view.strides))
        target = pointers[self.slots[self.node]]
        self.body(code, operands, Array(target, self.node.dtype, self.node.shape, row_strides(self.node.shape)))
        if self.may_fail:
            code.builder.ret(ir.Constant(I1, 0))
        else:
            code.builder.ret_void()

    def body(self, code: Code, operands: Sequence[Array], output: Array) -> None:
        """Write the code that computes the output."""
        raise NotImplementedError


def fail_if(code: Code, bad: Value) -> None:
    """Leave the function, which may fail, if the bit is set."""
    with code.builder.if_then(bad, likely=False):
        code.builder.ret(ir.Constant(I1, 1))


# Loops ----------------------------------------------------------------------------------------------------------------

Strides = tuple[int, ...]


def joined(shape: Sequence[int], *strides: Sequence[int]) -> tuple[tuple[int, ...], list[Strides]]:
    """The same places in the same order with as few axes as can be: those of length 1 dropped, neighbours joined.

    >>> joined((2, 1, 3, 4), (12, 0, 4, 1), (24, 0, 8, 1))
    ((6, 4), [(4, 1), (8, 1)])
    """
    kept: list[int] = []
    lengths: list[int] = []
    for axis, length in enumerate(shape):
        if length == 1:
            continue
        if kept and all(steps[kept[-1]] == steps[axis] * length for steps in strides):
            lengths[-1] *= length
            kept[-1] = axis
        else:
            lengths.append(length)
            kept.append(axis)
    return tuple(lengths), [tuple(steps[axis] for axis in kept) for steps in strides]


def nest(code: Code, shape: Sequence[int], body: Callable[[list[Integer]], None], team: Team | None = None) -> None:
    """A loop for each axis, the last one innermost; the body is written once, or not at all if there is no place.

    Args:
        team: threads that share the longest of the axes.
    """
    integers = Integers(code)
    longest = max(range(len(shape)), key=shape.__getitem__, default=0)

    def walk(position: list[Integer]) -> None:
        axis = len(position)
        if axis == len(shape):
            body(position)
            return
        first, last = (0, shape[axis]) if team is None or axis != longest else team.share(shape[axis])
        integers.each(first, last, 1, lambda i: walk([*position, i]))

    if 0 in shape:
        return
    if team is None or shape:
        walk([])
    else:
        team.first(lambda: walk([]))


def fold(
    code: Code,
    shape: Sequence[int],
    body: Callable[[list[Value], list[Value]], list[Value]],
    state: list[Value],
) -> list[Value]:
    """A loop for each axis, as `nest`; the body is called with a position and what is carried, and carries it on."""

    def walk(position: list[Value], before: list[Value]) -> list[Value]:
        if len(position) == len(shape):
            return body(position, before)
        return code.loop(index(0), index(shape[len(position)]), 1, lambda i, v: walk([*position, i], v), before)

    return walk([], state)


def in_parts(code: Code, team: Team, count: int, size: int, body: Callable[[Integer], None]) -> None:
    """Call the body with where each part, of so many things, begins; threads share the parts.

    The last part is moved back until it is whole: it must do no harm to do things twice.
    """
    integers, size = Integers(code), min(size, count)
    parts = -(-count // size) if count else 0
    integers.each(
        *team.share(parts), 1, lambda i: body(integers.smaller(integers.times(i, size), max(0, count - size)))
    )


def at(code: Code, position: Sequence[Integer], strides: Sequence[int], start: Integer = 0) -> Integer:
    """How many elements from the beginning a position is."""
    integers = Integers(code)
    steps = (integers.times(i, stride) for i, stride in zip(position, strides, strict=False))
    return integers.add(start, *steps)


UNROLLED = 4
"""Vectors in one turn of the innermost loop."""


def spans(
    code: Code,
    count: int,
    lanes: int,
    body: Callable[[Integer, int], None],
    *,
    may_repeat: bool = False,
    unrolled: int = UNROLLED,
) -> None:
    """Walk along ``count`` neighbours, as many at once as there are lanes.

    Args:
        body: called with the place of the first and with their number, to write what is to be done with them.
        may_repeat: whether it does no harm to do it twice: then there is no shorter vector at the end.
        unrolled: so many times the body is written in one turn of the loop.
    """
    turn = lanes * unrolled
    place = count - count % turn if count >= 2 * turn else 0
    if place:
        integers = Integers(code)

        def several(i: Value, _: list[Value]) -> None:
            for j in range(unrolled):
                body(integers.add(i, j * lanes), lanes)

        code.loop(index(0), index(place), turn, several)
    while count - place >= lanes:
        body(place, lanes)
        place += lanes
    if place == count:
        return
    if may_repeat and count > lanes:
        body(count - lanes, lanes)
        return
    while place < count:
        while lanes > count - place:
            lanes //= 2
        body(place, lanes)
        place += lanes
