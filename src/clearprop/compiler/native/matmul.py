"""Matrix products: how a ``matmul`` of two views is a `Product`."""

from __future__ import annotations

import math

from llvmlite import ir

from clearprop.compiler.native.code import POINTER, Code, index
from clearprop.compiler.native.gemm import Gemm
from clearprop.compiler.native.kernels import Fusion, Kernel
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
    """

    def __init__(self, fusion: Fusion, kernel: Kernel, machine: Machine) -> None:
        x, y = fusion.reads(kernel.node)
        tail = self._tail = Tail(fusion, kernel)
        self.gemm = Gemm(_product(x, y, kernel.node, tail.shape), machine, tail.epilogue)
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
            code.at(given[self.buffers.index(access.source)], access.dtype, index(access.offset))
            for access in self.arguments
        ]
        code.builder.call(product, [*taken, scratch, *team.arguments[:2]])
        code.builder.ret_void()


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
    return MatmulWriter(fusion, kernel, machine) if kernel.node.dtype.name in ("float32", "float64") else None
