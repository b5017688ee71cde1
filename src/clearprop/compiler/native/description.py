"""What a native program consists of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from clearprop.compiler.description import Description, KernelDescription
from clearprop.compiler.native.kernels import Fusion, Kernel
from clearprop.graph import Node
from clearprop.primitive import Spec, spec_of
from clearprop.trace import node_flops

if TYPE_CHECKING:
    from clearprop.compiler.native.program import NativeProgram


def describe(program: NativeProgram, seconds: Mapping[Kernel, float] | None = None) -> Description:
    """A program and its kernels, with the seconds that each took if they have been measured."""
    kernels = [
        KernelDescription(
            number,
            tuple(node.name for node in kernel.nodes),
            _walked(kernel),
            tuple(spec_of(node) for node in kernel.stored),
            sum(node_flops(node) for node in kernel.nodes),
            _bytes(program.fusion, kernel),
            who,
            kernel.nodes[0].position,
            None if seconds is None else seconds[kernel],
            program.algorithm(kernel),
        )
        for number, (kernel, who) in enumerate(program.kernels())
    ]
    effort = program.code.effort
    stages = {"write": effort.write, "compile": effort.compile, "load": effort.load}
    notes = [f"{effort.compiled} of {effort.kernels} functions compiled, the others were known"]
    if program.by_numpy():
        notes.append(_fallbacks(program))
    return Description(
        kernels, program.functions, program.arena_bytes, program.threads, stages, tuple(notes)
    )  # fmt: skip


def _fallbacks(program: NativeProgram) -> str:
    names = ", ".join(dict.fromkeys(program.by_numpy()))
    share = program.share_of_numpy
    return f"computed by NumPy: {names}" + (f"; {share:.0%} of the time of all runs" if share is not None else "")


def _walked(kernel: Kernel) -> tuple[int, ...]:
    return kernel.nodes[0].shape if kernel.space is None else kernel.space


def _bytes(fusion: Fusion, kernel: Kernel) -> int:
    """Of a view at most as much as it shows."""
    inside = set(kernel.nodes)
    read: dict[Node, int] = {}
    for node in kernel.nodes:
        for view in fusion.reads(node):
            if view.source not in inside:
                shown = Spec(view.shape, view.source.dtype).nbytes
                for source in view.sources:
                    read[source] = min(spec_of(source).nbytes, max(read.get(source, 0), shown))
    return sum(read.values()) + sum(spec_of(node).nbytes for node in kernel.stored)
