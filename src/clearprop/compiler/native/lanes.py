"""Vectors that are not whole, and moving numbers between the lanes of vectors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from llvmlite import ir

from clearprop.compiler.native.code import I1, I32, POINTER, Code, Value, constant, index, value_type

SUBLANE_BYTES = 16
"""What all processors shuffle well: wider vectors are made of parts of this size."""


def load_some(code: Code, pointer: Value, dtype: Any, lanes: int, some: int) -> Value:
    """A vector whose first lanes are loaded and whose others are 0; nothing beyond is touched."""
    if some == lanes:
        return code.load(pointer, dtype, lanes)
    kind = value_type(dtype, lanes)
    if some == 0:
        return constant(dtype, 0, lanes)
    mask_type = ir.VectorType(I1, lanes)
    element = {"float": "f32", "double": "f64"}[str(kind.element)]
    name = f"llvm.masked.load.v{lanes}{element}.p0"
    function = code.module.globals.get(name)
    if function is None:
        function = ir.Function(code.module, ir.FunctionType(kind, [POINTER, I32, mask_type, kind]), name)
    mask = ir.Constant(mask_type, [i < some for i in range(lanes)])
    align = ir.Constant(I32, np.dtype(dtype).itemsize)
    return code.builder.call(function, [pointer, align, mask, constant(dtype, 0, lanes)])


def parts_of(lanes: int, some: int) -> list[tuple[int, int]]:
    """The first lanes as few parts that processors have registers for: of each, its first lane and its length.

    >>> parts_of(8, 8), parts_of(8, 7)
    ([(0, 8)], [(0, 4), (4, 2), (6, 1)])
    """
    parts, at, length = [], 0, lanes
    while at < some:
        while length > some - at:
            length //= 2
        parts.append((at, length))
        at += length
    return parts


def part(code: Code, vector: Value, first: int, length: int) -> Value:
    """Some neighbouring lanes of a vector; one of them is a number."""
    if not isinstance(vector.type, ir.VectorType) or length == vector.type.count:
        return vector
    if length == 1:
        return code.builder.extract_element(vector, ir.Constant(I32, first))
    return shuffled(code, vector, vector, range(first, first + length))


def store_apart(code: Code, value: Value, pointer: Value, dtype: Any, stride: int) -> None:
    """Store the lanes ``stride`` elements apart."""
    for lane in range(value.type.count if isinstance(value.type, ir.VectorType) else 1):
        code.store(part(code, value, lane, 1), code.at(pointer, dtype, index(lane * stride)), dtype)


def transposed(code: Code, rows: Sequence[Value]) -> list[Value]:
    """As many vectors as they have lanes: lane j of vector i becomes lane i of vector j."""
    rows, count = list(rows), len(rows)
    width = 1
    while width < count:
        low = [i for i in range(count) if not i & width]
        for i in low:
            x, y = rows[i], rows[i + width]
            lanes = range(count)
            rows[i] = shuffled(code, x, y, [lane if not lane & width else lane - width + count for lane in lanes])
            rows[i + width] = shuffled(
                code, x, y, [lane + width if not lane & width else lane + count for lane in lanes]
            )
        width *= 2
    return rows


def sums_of(code: Code, vectors: Sequence[Value], dtype: Any) -> Value:
    """Lane i of the result is the sum over all lanes of vector i; it has as many lanes as there are vectors, or more.

    Neighbours are added within the parts of a vector first, then the parts.
    """
    vectors, lanes = list(vectors), vectors[0].type.count
    within = min(lanes, SUBLANE_BYTES // np.dtype(dtype).itemsize)
    wanted = within
    while wanted < len(vectors):
        wanted *= 2
    vectors += [constant(dtype, 0, lanes)] * (wanted - len(vectors))
    while len(vectors) * within > wanted:
        vectors = _added_in_pairs(code, vectors, within, 1)
    while vectors[0].type.count > wanted:
        half = vectors[0].type.count // 2
        vectors = [code.builder.fadd(part(code, x, 0, half), part(code, x, half, half)) for x in vectors]
    while len(vectors) > 1:
        vectors = _added_in_pairs(code, vectors, wanted, within)
    return vectors[0]


def _added_in_pairs(code: Code, vectors: Sequence[Value], region: int, unit: int) -> list[Value]:
    """Neighbouring units of each vector are added; in each region come the sums of one vector, then of the next."""
    lanes = vectors[0].type.count

    def every_other(first: int) -> list[int]:
        units = [at + i for at in range(first, region, 2 * unit) for i in range(unit)]
        return [start + vector + lane for start in range(0, lanes, region) for vector in (0, lanes) for lane in units]

    pairs = zip(vectors[::2], vectors[1::2], strict=True)
    even, odd = every_other(0), every_other(unit)
    return [code.builder.fadd(shuffled(code, x, y, even), shuffled(code, x, y, odd)) for x, y in pairs]


def shuffled(code: Code, x: Value, y: Value, lanes: Sequence[int]) -> Value:
    """A vector of lanes of two others; those of the second one are counted on behind those of the first."""
    return code.builder.shuffle_vector(x, y, ir.Constant(ir.VectorType(I32, len(lanes)), list(lanes)))
