"""What a native program consists of, for people: its kernels, what was fused into each, and what each has to do."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from clearprop.compiler.native.kernels import Fusion, Kernel
from clearprop.graph import Node
from clearprop.primitive import Spec, spec_of

if TYPE_CHECKING:
    from clearprop.compiler.native.program import NativeProgram


@dataclass(frozen=True)
class KernelDescription:
    """One kernel, or one operation that NumPy computes.

    Attributes:
        number: the kernels run in this order.
        operations: the names of the primitives in it.
        shape: that it walks over, or the shape of what it computes.
        outputs: what it writes to memory.
        flops: floating-point operations of one run.
        nbytes: bytes that it reads and writes, each buffer counted once.
        how: "threads" if all threads share it, "native" if one computes it, "NumPy".
        where: the user's line behind its first operation.
        seconds: of one run, if that has been measured.
    """

    number: int
    operations: tuple[str, ...]
    shape: tuple[int, ...]
    outputs: tuple[Spec, ...]
    flops: int
    nbytes: int
    how: str
    where: str
    seconds: float | None = None


def describe(program: NativeProgram, seconds: Sequence[float] | None = None) -> list[KernelDescription]:
    """All kernels of a program, in the order in which they run."""
    ways = program.kernels()
    measured = [None] * len(ways) if seconds is None else seconds
    return [
        KernelDescription(
            number,
            tuple(node.name for node in kernel.nodes),
            _walked(kernel),
            tuple(spec_of(node) for node in kernel.stored),
            sum(_flops(node) for node in kernel.nodes),
            _bytes(program.fusion, kernel),
            how,
            kernel.nodes[0].where,
            taken,
        )
        for number, ((kernel, how), taken) in enumerate(zip(ways, measured, strict=True))
    ]


def _walked(kernel: Kernel) -> tuple[int, ...]:
    return kernel.nodes[0].shape if kernel.space is None else kernel.space


def _flops(node: Node) -> int:
    assert node.primitive is not None
    operands = [spec_of(parent) for parent in node.parents if parent is not None]
    return node.primitive.flops(spec_of(node), *operands, **node.attributes)


def _bytes(fusion: Fusion, kernel: Kernel) -> int:
    """Of a view at most as much as it shows."""
    inside = set(kernel.nodes)
    read: dict[Node, int] = {}
    for node in kernel.nodes:
        for view in fusion.reads(node):
            if view.source not in inside:
                whole = spec_of(view.source).nbytes
                shown = Spec(view.shape, view.source.dtype).nbytes
                read[view.source] = min(whole, max(read.get(view.source, 0), shown))
    return sum(read.values()) + sum(spec_of(node).nbytes for node in kernel.stored)


def table(kernels: Sequence[KernelDescription]) -> list[str]:
    """A line for each kernel, under a heading; times only where there are any."""
    total = sum(kernel.seconds or 0.0 for kernel in kernels)
    rows = [["", "walks over", "FLOP", "bytes", "by", *(["µs", "share"] if total else []), "operations"]]
    for kernel in kernels:
        times = [f"{1e6 * (kernel.seconds or 0):.1f}", f"{(kernel.seconds or 0) / total:.0%}"] if total else []
        shape = "x".join(map(str, kernel.shape)) or "1"
        rows.append(
            [str(kernel.number), shape, amount(kernel.flops), amount(kernel.nbytes), kernel.how, *times,
             counted(kernel.operations)]
        )  # fmt: skip
    *widths, _ = (max(map(len, column)) for column in zip(*rows, strict=True))
    left = {1, 4}
    return [
        "  ".join(
            [cell.ljust(width) if i in left else cell.rjust(width) for i, (cell, width) in enumerate(zip(row, widths))]
            + [row[-1]]
        )
        for row in rows
    ]


def counted(names: Iterable[str]) -> str:
    """Names in order; one that follows itself is counted.

    >>> counted(["matmul", "add", "add", "relu"])
    'matmul add×2 relu'
    """
    runs: list[tuple[str, int]] = []
    for name in names:
        if runs and runs[-1][0] == name:
            runs[-1] = name, runs[-1][1] + 1
        else:
            runs.append((name, 1))
    return " ".join(name if count == 1 else f"{name}×{count}" for name, count in runs)


def amount(count: float) -> str:
    """A large number, short.

    >>> amount(0), amount(812), amount(25_690_112), amount(1.2e12)
    ('0', '812', '25.7 M', '1.2 T')
    """
    for size, unit in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{count:.0f}"
