"""Matrix products: how a ``matmul`` of two views is a `Product`."""

from __future__ import annotations

import math
from collections.abc import Container

from llvmlite import ir

from clearprop.compiler.native.code import POINTER, Code, Value, index
from clearprop.compiler.native.gemm import Gemm
from clearprop.compiler.native.kernels import Fusion, Kernel
from clearprop.compiler.native.kinds import is_product
from clearprop.compiler.native.machine import Machine
from clearprop.compiler.native.product import Axis, Product
from clearprop.compiler.native.tail import Access, Tail
from clearprop.compiler.native.team import SHARED_ARGUMENTS, Team
from clearprop.compiler.native.views import View, row_strides, whole
from clearprop.graph import Node


class MatmulWriter:
    """Writes one matrix product, of operands that lie as they like, and what follows it in its kernel.

    Attributes:
        buffers: of x, y, what else is read, and what is written.
        scratch_bytes: for packed panels.
        packed: the buffer in whose place the function takes a packed copy, if x or y is prepacked.
        packed_bytes: of that copy.
    """

    def __init__(self, fusion: Fusion, kernel: Kernel, machine: Machine, *, prepacked: str = "") -> None:
        x, y = fusion.reads(kernel.node)
        tail = self._tail = Tail(fusion, kernel)
        product = _product(x, y, kernel.node, tail.shape)
        self.gemm = Gemm(product, machine, tail.epilogue, prepacked=prepacked, meets=True)
        self.packed = {"a": x, "b": y, "": None}[prepacked]
        self.packed_bytes = self.gemm.plan.prepacked_bytes
        a, b, c = (Access(v.source, v.source.dtype, v.offset, ()) for v in (x, y, whole(tail.target)))
        self.arguments = [a, b, c, *tail.reads, *tail.writes]
        self.buffers: list[Node] = list(dict.fromkeys(access.source for access in self.arguments))
        self.shared = machine.shares(math.prod(kernel.node.shape) * x.shape[-1])
        places = tuple((self.buffers.index(access.source), access.offset) for access in self.arguments)
        self.key = (self.gemm.key, places, self.shared)
        self.scratch_bytes = self.gemm.scratch_bytes

    def replaceable(self, new: Node) -> list[Node]:
        """The buffers in whose place a value may be written: all sums of an element are there before that is read."""
        if new is self._tail.target and self.gemm.plan.passes > 1:
            return []
        operands = {access.source for access in self.arguments[:2]}
        return [old for old in self._tail.replaceable(new) if old not in operands]

    def write(self, module: ir.Module, name: str) -> None:
        """Write a function that begins at the views' first elements and calls the product."""
        product = self.gemm.write(module)
        pointers = [POINTER] * (len(self.buffers) + bool(self.scratch_bytes))
        types = [*pointers, *(SHARED_ARGUMENTS if self.shared else ())]
        code = Code.function(module, name, types, may_overlap=True)  # see `replaceable`
        given = list(code.builder.function.args)
        team = Team(code, *given[len(pointers) :]) if self.shared else Team.alone(code)
        scratch = given[len(self.buffers)] if self.scratch_bytes else ir.Constant(POINTER, None)
        taken = [
            code.at(given[self.buffers.index(access.source)], access.dtype, index(self._offset(access)))
            for access in self.arguments
        ]
        code.builder.call(product, [*taken, scratch, *team.arguments[: 3 if self.gemm.turns else 2]])
        code.builder.ret_void()

    def _offset(self, access: Access) -> int:
        return 0 if self.packed is not None and access.source is self.packed.source else access.offset

    def call_packing(self, code: Code, team: Team, source: Value, target: Value) -> None:
        """Make the packed copy of a buffer."""
        assert self.packed is not None
        pack = self.gemm.write_packing(code.module)
        start = code.at(source, self.packed.source.dtype, index(self.packed.offset))
        code.builder.call(pack, [start, start, target, ir.Constant(POINTER, None), *team.arguments[:2]])


def prepacked_matmul(
    fusion: Fusion, kernel: Kernel, machine: Machine, constants: Container[Node]
) -> MatmulWriter | None:
    """The writer of a single product, one operand of which is the same again and again, and worth packing once."""
    if not is_product(kernel.node) or len(kernel.node.shape) != 2:
        return None
    plain = MatmulWriter(fusion, kernel, machine)
    best: MatmulWriter | None = None
    for name, view in zip(("a", "b"), fusion.reads(kernel.node), strict=True):
        uses = sum(access.source is view.source for access in plain.arguments)
        if view.source in constants and uses == 1:
            made = MatmulWriter(fusion, kernel, machine, prepacked=name)
            if made.gemm.plan.cost <= (best or plain).gemm.plan.cost:
                best = made
    return best


def _product(x: View, y: View, node: Node, shape: tuple[int, ...]) -> Product:
    """What is multiplied and summed; the rows of a single product may be walked as several axes."""
    strides = row_strides(shape)
    if len(shape) == len(node.shape):
        *of_x, _ = x.strides
        of_y = y.strides[:-2]
    else:
        of_x = [x.strides[0] * step for step in row_strides(shape[:-1])]
        of_y = (0,) * (len(shape) - 2)
    batch = zip(shape[:-2], of_x, of_y, strides, strict=False)
    return Product(
        node.dtype.name,
        rows=Axis(shape[-2], a=of_x[-1], c=strides[-2]),
        columns=Axis(shape[-1], b=y.strides[-1], c=strides[-1]),
        depth=Axis(x.shape[-1], a=x.strides[-1], b=y.strides[-2]),
        batch=tuple(Axis(*axis) for axis in batch),
    )


def matmul_writer(fusion: Fusion, kernel: Kernel, machine: Machine) -> MatmulWriter | None:
    """Who writes a matmul; None for integers."""
    return MatmulWriter(fusion, kernel, machine) if is_product(kernel.node) else None
