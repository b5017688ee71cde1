"""Matrix products: how a ``matmul`` of two views is a `Product`."""

from __future__ import annotations

import math

from llvmlite import ir

from clearprop.compiler.native.code import POINTER, Code, index
from clearprop.compiler.native.gemm import Gemm
from clearprop.compiler.native.kernels import Fusion, Kernel
from clearprop.compiler.native.machine import Machine
from clearprop.compiler.native.product import Axis, Product
from clearprop.compiler.native.team import SHARED_ARGUMENTS, Team
from clearprop.compiler.native.views import row_strides
from clearprop.graph import Node


class MatmulWriter:
    """Writes one matrix product, of operands that lie as they like.

    Attributes:
        buffers: of x, y and the product.
        scratch_bytes: for packed panels.
    """

    def __init__(self, fusion: Fusion, kernel: Kernel, machine: Machine) -> None:
        self.x, self.y = fusion.reads(kernel.node)
        self.node = kernel.node
        *batch, rows, columns = self.node.shape
        strides = row_strides(self.node.shape)
        product = Product(
            self.node.dtype.name,
            rows=Axis(rows, a=self.x.strides[-2], c=strides[-2]),
            columns=Axis(columns, b=self.y.strides[-1], c=strides[-1]),
            depth=Axis(self.x.shape[-1], a=self.x.strides[-1], b=self.y.strides[-2]),
            batch=tuple(
                Axis(count, a=self.x.strides[i], b=self.y.strides[i], c=strides[i]) for i, count in enumerate(batch)
            ),
        )
        self.gemm = Gemm(product, machine)
        self.buffers: list[Node] = list(dict.fromkeys([self.x.source, self.y.source, self.node]))
        places = tuple(self.buffers.index(node) for node in (self.x.source, self.y.source, self.node))
        self.shared = machine.shares(math.prod(self.node.shape) * self.x.shape[-1])
        self.key = (self.gemm.key, self.x.offset, self.y.offset, places, self.shared)
        self.places = places
        self.scratch_bytes = self.gemm.scratch_bytes

    def write(self, module: ir.Module, name: str) -> None:
        """Write a function that begins at the views' first elements and calls the product."""
        product = self.gemm.write(module)
        pointers = [POINTER] * (len(self.buffers) + bool(self.scratch_bytes))
        code = Code.function(module, name, [*pointers, *(SHARED_ARGUMENTS if self.shared else ())])
        arguments = list(code.builder.function.args)
        team = Team(code, *arguments[len(pointers) :]) if self.shared else Team.alone(code)
        del arguments[len(pointers) :]
        x, y, z = (arguments[place] for place in self.places)
        scratch = arguments[-1] if self.scratch_bytes else ir.Constant(POINTER, None)
        a = code.at(x, self.node.dtype, index(self.x.offset))
        b = code.at(y, self.node.dtype, index(self.y.offset))
        code.builder.call(product, [a, b, z, scratch, *team.arguments[:2]])
        code.builder.ret_void()


def matmul_writer(fusion: Fusion, kernel: Kernel, machine: Machine) -> MatmulWriter | None:
    """Who writes a matmul; None for integers."""
    return MatmulWriter(fusion, kernel, machine) if kernel.node.dtype.name in ("float32", "float64") else None
