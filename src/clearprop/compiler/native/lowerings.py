"""Which kernels there are: who writes the native code of which nodes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from llvmlite import ir

from clearprop.compiler.native.along_axis import TakeAlongAxis
from clearprop.compiler.native.convolution import convolution_writer
from clearprop.compiler.native.counting import ArgExtreme
from clearprop.compiler.native.finite import Finite
from clearprop.compiler.native.indexing import Gather, InRange, ScatterAdd, ScatterSet
from clearprop.compiler.native.kernels import Fusion, Kernel
from clearprop.compiler.native.logsumexp import Logsumexp
from clearprop.compiler.native.loop import loop_writer
from clearprop.compiler.native.loops import LoopNest
from clearprop.compiler.native.machine import Machine
from clearprop.compiler.native.matmul import matmul_writer
from clearprop.compiler.native.moving import Concat, Pad, Reshape
from clearprop.compiler.native.pooling import Pool, SpreadPool, add_along_axis_writer
from clearprop.compiler.native.random_bits import RandomBits
from clearprop.compiler.native.row_sums import RowSums
from clearprop.compiler.native.running import Running
from clearprop.compiler.native.weight_gradient import weight_gradient_writer
from clearprop.graph import Node


class Writer(Protocol):
    """Writes one kernel.

    Attributes:
        buffers: the nodes whose buffers the function takes, in order; buffers lie in order of rows.
        key: kernels with equal keys are one function.
        scratch_bytes: memory that the function needs for itself, each thread as much if it is shared; a writer that
            needs none need not say so.
        may_fail: whether the function looks at indices and returns a bit, 1 if one of them is out of range; it has then
            written nothing. The others return nothing, and need not say so.
        shared: whether all threads call the function together, each with its number: it takes `Team.arguments` behind
            the others. What it writes has the same bits whatever their number. The first thread alone calls the others,
            which need not say so: it is the better way for what takes less than two microseconds.
        algorithm: its name, where it is not the one that defines the operation; the others need not say so.
    """

    buffers: list[Node]
    key: tuple[Any, ...]

    def write(self, module: ir.Module, name: str) -> None:
        """Write the function: it takes a pointer for each of the buffers, and, if it needs any, to scratch memory."""


def may_fail(writer: Writer) -> bool:
    """Whether the function of a writer returns a bit."""
    return getattr(writer, "may_fail", False)


def replaceable(writer: Writer, node: Node) -> list[Node]:
    """The buffers in whose place the function may write a node."""
    find = getattr(writer, "replaceable", None)
    return [] if find is None else list(find(node))


def is_shared(writer: Writer) -> bool:
    """Whether all threads call the function of a writer together."""
    return getattr(writer, "shared", False)


def scratch_bytes(writer: Writer, threads: int) -> int:
    """How much memory the function of a writer needs for itself."""
    each: int = getattr(writer, "scratch_bytes", 0)
    return each * threads if is_shared(writer) else each


NODES: dict[str, Callable[[Fusion, Kernel, Machine], Writer | None]] = {
    "add_along_axis": add_along_axis_writer,
    "argmax": ArgExtreme.of,
    "argmin": ArgExtreme.of,
    "concat": Concat.of,
    "convolution": convolution_writer,
    "convolution_data_gradient": convolution_writer,
    "convolution_weight_gradient": weight_gradient_writer,
    "cumulative_prod": Running.of,
    "cumulative_sum": Running.of,
    "finite": Finite.of,
    "gather": Gather.of,
    "in_range": InRange.of,
    "linear_recurrence": Running.of,
    "matmul": matmul_writer,
    "logsumexp": Logsumexp.of,
    "max_pool": Pool.of,
    "max_pool_positions": Pool.of,
    "pad": Pad.of,
    "random_bits": RandomBits.of,
    "reshape": Reshape.of,
    "scatter_add": ScatterAdd.of,
    "scatter_set": ScatterSet.of,
    "spread_pool": SpreadPool.of,
    "sum_pool": Pool.of,
    "take_along_axis": TakeAlongAxis.of,
}
"""By the name of a primitive that is a kernel of its own: makes its writer, or returns None for a case it has no code
for (another dtype, an operand that lies in another order), which NumPy then computes."""


def writer(fusion: Fusion, kernel: Kernel, machine: Machine) -> Writer | None:
    """Who writes a kernel; None if nobody can."""
    if kernel.space is not None:
        return LoopNest(fusion, kernel, machine)
    if kernel.walked is not None:
        return RowSums(fusion, kernel, machine)
    if kernel.node.name == "scan":
        return loop_writer(fusion, kernel, machine, writer)
    make = NODES.get(kernel.node.name)
    return None if make is None else make(fusion, kernel, machine)
