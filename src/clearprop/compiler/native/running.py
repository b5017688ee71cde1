"""Running sums and products, and linear recurrences: each result is made of the one before it.

The order of the operations is that of the axis, so the results are those of NumPy, to the bit; only a recurrence rounds
once where NumPy does twice. What is done at once belongs to different rows.
"""

from __future__ import annotations

from collections.abc import Sequence

from clearprop.compiler.native.code import Code, Value, index
from clearprop.compiler.native.copying import load
from clearprop.compiler.native.integers import Integer, Integers
from clearprop.compiler.native.lanes import store_apart, transposed
from clearprop.compiler.native.single import Array, NodeWriter, at, joined, moved, nest, spans

_NARROWEST_TILE, _WIDEST_TILE = 4, 8
_IN_REGISTERS = 4
"""So many vectors of results are carried in registers; where rows are longer, the results before are read again."""


class Running(NodeWriter):
    """cumulative_sum, cumulative_prod and linear_recurrence."""

    def body(self, code: Code, operands: Sequence[Array], output: Array) -> None:
        axis, self.is_reversed = self.attributes["axis"], self.attributes.get("reverse", False)
        self.axis_length, self.dtype = output.shape[axis], output.dtype
        arrays = [*operands, output]
        self.along = [array.strides[axis] for array in arrays]
        others = [array.strides[:axis] + array.strides[axis + 1 :] for array in arrays]
        shape, steps = joined(output.shape[:axis] + output.shape[axis + 1 :], *others)
        self.arrays = [array._replace(shape=shape, strides=s) for array, s in zip(arrays, steps, strict=True)]
        rows = shape[-1] if shape else 1
        width = 1 << (min(rows, self.axis_length, _WIDEST_TILE, self.machine.lanes(self.dtype)).bit_length() - 1)
        if all(step == 1 for step in self.along) and width >= _NARROWEST_TILE:
            nest(code, shape[:-1], lambda place: self._tiles(code, place, width))
        elif shape and all(array.strides[-1] == 1 for array in self.arrays):
            nest(code, shape[:-1], lambda place: self._columns(code, place, rows))
        else:
            nest(code, shape, lambda place: self._row(code, place))

    def _next(self, code: Code, before: Value | None, values: Sequence[Value]) -> Value:
        """The result at one place, from the one before it."""
        b, x = code.builder, values[0]
        if before is None:
            return x
        is_float = self.dtype.kind == "f"
        if self.node.name == "cumulative_sum":
            return b.fadd(before, x) if is_float else b.add(before, x)
        if self.node.name == "cumulative_prod":
            return b.fmul(before, x) if is_float else b.mul(before, x)
        if self.machine.vectors == "none":  # a fused operation might be a function
            return b.fadd(x, b.fmul(values[1], before))
        return code.fma(values[1], before, x)

    def _at(self, code: Code, which: int, place: Sequence[Integer], k: Integer) -> Value:
        """The address of the k-th element from the beginning, in an array."""
        array, integers = self.arrays[which], Integers(code)
        k = integers.sub(self.axis_length - 1, k) if self.is_reversed else k
        start = at(code, place, array.strides, integers.times(k, self.along[which]))
        return moved(code, array.pointer, array.dtype, start)

    def _read(self, code: Code, place: Sequence[Integer], k: Integer, lanes: int, step: int = 1) -> list[Value]:
        """The operands at one place of the axis."""
        inputs = range(len(self.arrays) - 1)
        return [load(code, self._at(code, i, place, k), self.dtype, step, lanes) for i in inputs]

    # Three ways to walk -------------------------------------------------------------------------------------------

    def _row(self, code: Code, place: list[Integer]) -> None:
        """One row, one element after the other."""

        def step(k: Value, before: list[Value]) -> list[Value]:
            result = self._next(code, before[0], self._read(code, place, k, 1))
            code.store(result, self._at(code, -1, place, k), self.dtype)
            return [result]

        first = self._next(code, None, self._read(code, place, 0, 1))
        code.store(first, self._at(code, -1, place, 0), self.dtype)
        code.loop(index(1), index(self.axis_length), 1, step, [first])

    def _columns(self, code: Code, place: list[Integer], count: int) -> None:
        """Rows that are neighbours in memory, a vector of them at once."""
        lanes, integers = self.machine.lanes(self.dtype), Integers(code)
        few = count <= lanes * _IN_REGISTERS

        def span(k: Integer, i: Integer, before: Value | None, lanes: int) -> Value:
            result = self._next(code, before, self._read(code, [*place, i], k, lanes))
            code.store(result, self._at(code, -1, [*place, i], k), self.dtype)
            return result

        def carried(i: Integer, lanes: int) -> None:
            first = span(0, i, None, lanes)
            code.loop(index(1), index(self.axis_length), 1, lambda k, v: [span(k, i, v[0], lanes)], [first])

        def turn(k: Integer) -> None:
            spans(code, count, lanes, lambda i, lanes: one(k, i, lanes))

        def one(k: Integer, i: Integer, lanes: int) -> None:
            before = None
            if not isinstance(k, int):
                before = code.load(self._at(code, -1, [*place, i], integers.sub(k, 1)), self.dtype, lanes)
            span(k, i, before, lanes)

        if few:
            spans(code, count, lanes, carried, unrolled=1)
            return
        turn(0)
        code.loop(index(1), index(self.axis_length), 1, lambda k, _: turn(k))

    def _tiles(self, code: Code, place: list[Integer], width: int) -> None:
        """Rows along memory: so many of them at once, in tiles that are transposed in registers.

        The last rows are done twice where their number is no multiple of that.
        """
        integers = Integers(code)
        rows = self.arrays[-1].shape[-1]
        turns = -(-rows // width)

        def some(i: Integer) -> None:
            self._tile_row(code, [*place, integers.smaller(i, rows - width)], width)

        integers.each(0, turns * width, width, some)

    def _tile_row(self, code: Code, place: list[Integer], width: int) -> None:
        inputs, steps = range(len(self.arrays) - 1), [array.strides[-1] for array in self.arrays]
        whole = self.axis_length - self.axis_length % width

        def rows_of(i: int, corner: Integer) -> list[Value]:
            start = self._at(code, i, place, corner)
            rows = [moved(code, start, self.dtype, row * steps[i]) for row in range(width)]
            return [code.load(row, self.dtype, width) for row in rows]

        def tile(k: Integer, before: Value | None) -> Value:
            """So many elements of so many rows."""
            corner = Integers(code).add(k, width - 1) if self.is_reversed else k
            columns = [transposed(code, rows_of(i, corner)) for i in inputs]
            order = range(width - 1, -1, -1) if self.is_reversed else range(width)
            results: list[Value] = [None] * width
            for column in order:
                before = results[column] = self._next(code, before, [operand[column] for operand in columns])
            for row, vector in enumerate(transposed(code, results)):
                code.store(
                    vector, moved(code, self._at(code, -1, place, corner), self.dtype, row * steps[-1]), self.dtype
                )
            return before

        def single(k: Integer, before: Value) -> Value:
            """One element of so many rows."""
            values = [load(code, self._at(code, i, place, k), self.dtype, steps[i], width) for i in inputs]
            result = self._next(code, before, values)
            store_apart(code, result, self._at(code, -1, place, k), self.dtype, steps[-1])
            return result

        last = tile(0, None)
        if width < whole:
            (last,) = code.loop(index(width), index(whole), width, lambda k, v: [tile(k, v[0])], [last])
        if whole < self.axis_length:
            code.loop(index(whole), index(self.axis_length), 1, lambda k, v: [single(k, v[0])], [last])
