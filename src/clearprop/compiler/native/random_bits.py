"""Random bits from counters, Philox4x32-10, for as many blocks at once as a register has lanes.

A word of 32 bits stands in a lane of 64, where the product of two of them has room. Of a lane only the lower half
counts: what is above it is left over from earlier products, and never used.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from llvmlite import ir

from clearprop.compiler.native.code import I32, I64, Code, Value, constant, index
from clearprop.compiler.native.copying import part_size
from clearprop.compiler.native.integers import Integer, Integers
from clearprop.compiler.native.kernels import Fusion, Kernel
from clearprop.compiler.native.machine import Machine
from clearprop.compiler.native.single import Array, NodeWriter, in_parts, moved, spans
from clearprop.primitives.random import KEY_STEPS, MULTIPLIERS, ROUNDS, WORDS

_U64, _U32 = np.dtype(np.uint64), np.dtype(np.uint32)
_LOW = 0xFFFFFFFF


class RandomBits(NodeWriter):
    """Blocks of four words, the first of them that of the counter."""

    def __init__(self, fusion: Fusion, kernel: Kernel, machine: Machine) -> None:
        super().__init__(fusion, kernel, machine)
        self.shared = machine.shares(math.prod(self.node.shape) * ROUNDS)

    def body(self, code: Code, operands: Sequence[Array], output: Array) -> None:
        key, counter = (code.load(operand.pointer, operand.dtype) for operand in operands)
        count, lanes = math.prod(output.shape), self.machine.lanes(_U64)
        keys = self._keys(code, key)

        def several(i: Integer, width: int) -> None:
            place = moved(code, output.pointer, _U32, Integers(code).times(i, WORDS))
            self._store(code, self._words(code, counter, i, keys, width), place, width)

        def part(start: Integer) -> None:
            spans(
                code, size, lanes, lambda i, width: several(Integers(code).add(start, i), width),
                may_repeat=True, unrolled=1,
            )  # fmt: skip

        whole = count // WORDS
        size = part_size(whole, of_neighbours=True) if self.shared else whole
        if whole:
            in_parts(code, self.team, whole, size, part)
        rest = count - whole * WORDS

        def last_block() -> None:
            place = moved(code, output.pointer, _U32, whole * WORDS)
            for i, word in enumerate(self._words(code, counter, whole, keys, 1)[:rest]):
                code.store(code.builder.trunc(word, I32), moved(code, place, _U32, i), _U32)

        if rest:
            self.team.first(last_block)

    def _keys(self, code: Code, key: Value) -> list[tuple[Value, Value]]:
        """Those of each round."""
        b = code.builder
        high = b.lshr(key, index(32))
        steps = [[constant(_U64, (number * step) & _LOW) for step in KEY_STEPS] for number in range(ROUNDS)]
        return [(b.add(key, first), b.add(high, second)) for first, second in steps]

    def _words(
        self, code: Code, counter: Value, i: Integer, keys: Sequence[tuple[Value, Value]], lanes: int
    ) -> list[Value]:
        """Four words of the blocks from number i on, a block in each lane."""
        b = code.builder
        low, shift = constant(_U64, _LOW, lanes), constant(_U64, 32, lanes)
        multipliers = [constant(_U64, multiplier, lanes) for multiplier in MULTIPLIERS]
        block = code.splat(b.add(counter, Integers(code).value(i)), lanes)
        if lanes > 1:
            block = b.add(block, ir.Constant(ir.VectorType(I64, lanes), list(range(lanes))))
        zero = constant(_U64, 0, lanes)
        c0, c1, c2, c3 = block, b.lshr(block, shift), zero, zero
        for pair in keys:
            k0, k1 = (code.splat(k, lanes) for k in pair)
            product0, product1 = (b.mul(b.and_(c, low), m) for c, m in zip((c0, c2), multipliers, strict=True))
            c0 = b.xor(b.xor(b.lshr(product1, shift), c1), k0)
            c2 = b.xor(b.xor(b.lshr(product0, shift), c3), k1)
            c1, c3 = product1, product0
        return [c0, c1, c2, c3]

    def _store(self, code: Code, words: Sequence[Value], pointer: Value, lanes: int) -> None:
        """The words of one block after the other."""
        b = code.builder
        if lanes == 1:
            for i, word in enumerate(words):
                code.store(b.trunc(word, I32), moved(code, pointer, _U32, i), _U32)
            return
        low, shift = constant(_U64, _LOW, lanes), constant(_U64, 32, lanes)
        pairs = [b.or_(b.and_(words[i], low), b.shl(words[i + 1], shift)) for i in (0, 2)]
        order = [lane + half for lane in range(lanes) for half in (0, lanes)]
        blocks = b.shuffle_vector(*pairs, ir.Constant(ir.VectorType(I32, 2 * lanes), order))
        code.store(b.bitcast(blocks, ir.VectorType(I32, WORDS * lanes)), pointer, _U32)
