"""Writing LLVM's intermediate code: what every kernel needs.

A value is one number or a vector of them, by the number of ``lanes``: the same function writes the body of a loop over
whole vectors and that of the loop over what remains. In memory a boolean is a byte, in a register one bit.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from llvmlite import ir

I1, I8, I32, I64 = ir.IntType(1), ir.IntType(8), ir.IntType(32), ir.IntType(64)
POINTER = ir.PointerType()
VOID = ir.VoidType()

_TYPES: dict[np.dtype[Any], ir.Type] = {
    np.dtype(np.float32): ir.FloatType(),
    np.dtype(np.float64): ir.DoubleType(),
    np.dtype(np.bool_): I1,
    **{np.dtype(f"{sign}{bits // 8}"): ir.IntType(bits) for sign in "iu" for bits in (8, 16, 32, 64)},
}

Value = Any
"""A value of llvmlite."""


def scalar_type(dtype: Any) -> ir.Type:
    """LLVM's type of one number in a register."""
    return _TYPES[np.dtype(dtype)]


def has_type(dtype: Any) -> bool:
    """Whether native code handles numbers of that type."""
    return np.dtype(dtype) in _TYPES


def value_type(dtype: Any, lanes: int) -> ir.Type:
    """LLVM's type of so many numbers in a register."""
    scalar = scalar_type(dtype)
    return scalar if lanes == 1 else ir.VectorType(scalar, lanes)


def memory_type(dtype: Any) -> ir.Type:
    """LLVM's type of one number in memory."""
    return I8 if np.dtype(dtype) == np.bool_ else scalar_type(dtype)


def constant(dtype: Any, value: Any, lanes: int = 1) -> ir.Constant:
    """A number, in all lanes."""
    kind = np.dtype(dtype)
    plain = np.asarray(value).astype(kind).item()
    if kind.kind == "u":  # LLVM has no sign: the same bits
        plain = int(np.asarray(plain, kind).view(f"i{kind.itemsize}"))
    scalar = ir.Constant(scalar_type(kind), plain)
    return scalar if lanes == 1 else _Repeated(ir.VectorType(scalar.type, lanes), [scalar] * lanes)


class _Repeated(ir.Constant):  # type: ignore[misc]
    """A vector of equal constants, which as text is as short as one of them: LLVM reads much text."""

    def _get_reference(self) -> str:
        return f"splat ({self.constant[0]})"


def index(value: int) -> ir.Constant:
    """A number that counts or indexes."""
    return ir.Constant(I64, value)


class _Names:
    """Names of values and blocks, of which no two are the same; llvmlite's own look each one up, several times."""

    def __init__(self) -> None:
        self._count = 0

    def register(self, name: str, deduplicate: bool = False) -> str:
        """A name like this one that is not in use."""
        self._count += 1
        return f"{name}_{self._count}"


class Code:
    """A builder with loops, vectors and intrinsics.

    Attributes:
        builder: llvmlite's, for everything that is not here.
    """

    def __init__(self, module: ir.Module, builder: ir.IRBuilder) -> None:
        self.module = module
        self.builder = builder
        self._depth = 0
        self._loops = 0
        self._innermost: list[ir.Block] = []  # of loops in which there is no other

    @classmethod
    def function(
        cls,
        module: ir.Module,
        name: str,
        arguments: Sequence[ir.Type],
        result: ir.Type = VOID,
        *,
        may_overlap: bool = False,
    ) -> Code:
        """A new function; its arguments are ``code.builder.function.args``.

        Args:
            may_overlap: whether pointers may lead to the same memory.
        """
        made = ir.Function(module, ir.FunctionType(result, arguments), name)
        made.scope = _Names()
        for argument in made.args:
            if isinstance(argument.type, ir.PointerType) and not may_overlap:
                argument.add_attribute("noalias")
        return cls(module, ir.IRBuilder(made.append_basic_block("entry")))

    # Loops --------------------------------------------------------------------------------------------------------

    def loop(
        self,
        start: Value,
        stop: Value,
        step: int,
        body: Callable[[Value, list[Value]], Sequence[Value] | None],
        carried: Sequence[Value] = (),
    ) -> list[Value]:
        """``for i in range(start, stop, step)``; nothing happens if there is no i.

        The condition stands at the end, and before the first turn only if it is not known: so a turn has one jump.

        Args:
            body: called once, with i and what is carried, to write the body; returns what is carried on. Not called if
                it is known that there is no i.
            carried: values before the first time.

        Returns:
            What is carried out of the loop.
        """
        is_known = isinstance(start, ir.Constant) and isinstance(stop, ir.Constant)
        if is_known and start.constant >= stop.constant:
            return list(carried)
        if is_known and start.constant + step >= stop.constant:
            return list(body(start, list(carried)) or [])
        b = self.builder
        before, head, after = b.block, b.append_basic_block("head"), b.append_basic_block("after")
        if is_known:
            b.branch(head)
        else:
            b.cbranch(b.icmp_signed("<", start, stop), head, after)
        b.position_at_end(head)
        i = b.phi(I64)
        i.add_incoming(start, before)
        phis = [b.phi(value.type) for value in carried]
        for phi, value in zip(phis, carried, strict=True):
            phi.add_incoming(value, before)
        inside = b.append_basic_block("body")  # apart from the phis: so registers are updated where they are
        b.branch(inside)
        b.position_at_end(inside)
        results = self._turn(lambda: body(i, list(phis)), before, inside)
        following = b.add(i, index(step))
        end = b.block
        i.add_incoming(following, end)
        for phi, value in zip(phis, results, strict=True):
            phi.add_incoming(value, end)
        b.cbranch(b.icmp_signed("<", following, stop), head, after)
        b.function.blocks.remove(after)  # behind the blocks of the body, so that it goes on there without a jump
        b.function.blocks.append(after)
        b.position_at_end(after)
        if is_known:
            return results
        joined = [b.phi(value.type) for value in carried]
        for phi, first, last in zip(joined, carried, results, strict=True):
            phi.add_incoming(first, before)
            phi.add_incoming(last, end)
        return joined

    def _turn(self, body: Callable[[], Sequence[Value] | None], before: ir.Block, inside: ir.Block) -> list[Value]:
        """Write the body of a loop; constants of loops without others in them go before the outermost loop."""
        self._loops += 1
        self._depth += 1
        loops, blocks = self._loops, self.builder.function.blocks
        results = list(body() or [])
        self._depth -= 1
        if loops == self._loops:
            self._innermost += blocks[blocks.index(inside) :]
        if not self._depth:
            self._hoist(before)
        return results

    def _hoist(self, before: ir.Block) -> None:
        """Put vectors of constants into registers ahead of the loops that use them; zeros cost nothing."""
        b, known, end = self.builder, dict[str, Value](), self.builder.block
        b.position_before(before.terminator)
        for instruction in (one for block in self._innermost for one in block.instructions):
            for operand in instruction.operands:
                if isinstance(operand, _Repeated) and operand.constant[0].constant:
                    text = f"{operand.type} {operand}"
                    if text not in known:
                        known[text] = self.splat(operand.constant[0], operand.type.count)
                    instruction.replace_usage(operand, known[text])
        self._innermost = []
        b.position_at_end(end)

    # Memory -------------------------------------------------------------------------------------------------------

    def at(self, pointer: Value, dtype: Any, offset: Value) -> Value:
        """The address so many numbers behind a pointer."""
        return self.builder.gep(pointer, [offset], source_etype=memory_type(dtype))

    def load(self, pointer: Value, dtype: Any, lanes: int = 1) -> Value:
        """Neighbouring numbers, from an address of any alignment."""
        b, kind = self.builder, np.dtype(dtype)
        memory = memory_type(kind)
        wanted = memory if lanes == 1 else ir.VectorType(memory, lanes)
        loaded = b.load(pointer, typ=wanted, align=kind.itemsize)
        if kind == np.bool_:
            return b.icmp_unsigned("!=", loaded, ir.Constant(wanted, 0 if lanes == 1 else [0] * lanes))
        return loaded

    def store(self, value: Value, pointer: Value, dtype: Any) -> None:
        """The opposite of `load`."""
        b, kind = self.builder, np.dtype(dtype)
        if kind == np.bool_:
            lanes = value.type.count if isinstance(value.type, ir.VectorType) else 1
            value = b.zext(value, I8 if lanes == 1 else ir.VectorType(I8, lanes))
        b.store(value, pointer, align=kind.itemsize)

    def stack(self, dtype: Any, count: int) -> Value:
        """The address of memory for so many numbers, which is there as long as the function runs."""
        with self.builder.goto_entry_block():
            memory = self.builder.alloca(ir.ArrayType(memory_type(dtype), count))
        memory.align = 64
        memory.type = POINTER  # without the type of what it points to, as all others here
        return memory

    def prefetch(self, pointer: Value, *, to_write: bool) -> None:
        """Have what stands there at hand, a little later."""
        function = self.module.globals.get("llvm.prefetch.p0")
        if function is None:
            kinds = [POINTER, I32, I32, I32]
            function = ir.Function(self.module, ir.FunctionType(VOID, kinds), "llvm.prefetch.p0")
        write, keep, data = (ir.Constant(I32, number) for number in (int(to_write), 3, 1))
        self.builder.call(function, [pointer, write, keep, data])

    def load_apart(self, pointer: Value, dtype: Any, stride: int, lanes: int) -> Value:
        """Numbers that stand ``stride`` apart, one lane each."""
        vector = ir.Constant(value_type(dtype, lanes), ir.Undefined)
        for lane in range(lanes):
            number = self.load(self.at(pointer, dtype, index(lane * stride)), dtype)
            vector = self.builder.insert_element(vector, number, ir.Constant(I32, lane))
        return vector

    def store_apart(self, value: Value, pointer: Value, dtype: Any, stride: int, lanes: int) -> None:
        """The opposite of `load_apart`."""
        for lane in range(lanes):
            number = self.builder.extract_element(value, ir.Constant(I32, lane))
            self.store(number, self.at(pointer, dtype, index(lane * stride)), dtype)

    def splat(self, value: Value, lanes: int) -> Value:
        """The same number in all lanes."""
        if lanes == 1:
            return value
        kind = ir.VectorType(value.type, lanes)
        undefined = ir.Constant(kind, ir.Undefined)
        first = self.builder.insert_element(undefined, value, ir.Constant(I32, 0))
        zeros = ir.Constant(ir.VectorType(I32, lanes), [0] * lanes)
        return self.builder.shuffle_vector(first, undefined, zeros)

    # Arithmetic ---------------------------------------------------------------------------------------------------

    def intrinsic(self, name: str, *values: Value) -> Value:
        """LLVM's function of that name, such as ``fma``, for the type of these values."""
        kind = values[0].type
        element, count = (kind.element, kind.count) if isinstance(kind, ir.VectorType) else (kind, 0)
        suffix = {"float": "f32", "double": "f64"}.get(str(element), str(element))
        full = f"llvm.{name}.{f'v{count}' if count else ''}{suffix}"
        function = self.module.globals.get(full)
        if function is None:
            function = ir.Function(self.module, ir.FunctionType(kind, [value.type for value in values]), full)
        return self.builder.call(function, values)

    def fma(self, x: Value, y: Value, z: Value) -> Value:
        """x * y + z, rounded once."""
        return self.intrinsic("fma", x, y, z)

    def across(self, vector: Value, combine: Callable[[Value, Value], Value]) -> Value:
        """All lanes combined to one number, by halves."""
        b = self.builder
        while isinstance(vector.type, ir.VectorType):
            half = vector.type.count // 2
            if half == 0:
                return b.extract_element(vector, ir.Constant(I32, 0))
            undefined = ir.Constant(vector.type, ir.Undefined)
            low, high = (
                b.shuffle_vector(vector, undefined, ir.Constant(ir.VectorType(I32, half), lanes))
                for lanes in (list(range(half)), list(range(half, 2 * half)))
            )
            vector = combine(low, high)
        return vector
