"""Executors by name: each turns a program into a function of arrays."""

from __future__ import annotations

import os
from collections.abc import Callable, Container, Mapping, Sequence
from typing import Any, Protocol

from clearprop.compiler.description import Description, KernelDescription
from clearprop.compiler.table_products import with_short_table_products
from clearprop.errors import UsageError
from clearprop.graph import Node
from clearprop.primitive import spec_of
from clearprop.trace import Program, node_flops


class Shortcut(Protocol):
    """Calls a program like the time before, with other values of its first inputs."""

    def __call__(self, tensors: Sequence[Any]) -> list[Any] | None:
        """Take these inputs, as tensors; return the outputs that are no updates, as arrays.

        None if these are no tensors, have a history, do not fit, or make the program fail: nothing has then been
        changed.
        """

    def forget(self) -> None:
        """Look at all inputs of the next call: there was a call without this one."""


class Runner(Protocol):
    """A program that can be called.

    Attributes:
        updates: of the inputs that it was told of, those that it can write over with their new values.
        shows_inputs: whether an output may be an input, or share its memory.
    """

    updates: frozenset[Node]
    shows_inputs: bool

    def __call__(self, values: Sequence[Any], over: Container[Node] = ()) -> list[Any]:
        """Take the values of the program's inputs, return those of its outputs, all of them arrays.

        Args:
            over: inputs, some of `updates`, that are written over.
        """

    def shortcut(self, arguments: int) -> Shortcut | None:
        """For calls that differ in so many inputs, the first; None if there is no shorter way for such.

        All other inputs must then be where they were, and all updates be written over them.
        """

    def describe(self) -> Description:
        """Its kernels."""

    def text(self) -> str:
        """Its code, to be read."""


class Reference:
    """Node by node with NumPy: slow beside the others, and what they are compared with."""

    updates: frozenset[Node] = frozenset()
    shows_inputs = True

    def __init__(self, program: Program, updates: Mapping[Node, Node]) -> None:
        self._program = program

    def __call__(self, values: Sequence[Any], over: Container[Node] = ()) -> list[Any]:
        """The outputs for these inputs."""
        return self._program.run(values)

    def shortcut(self, arguments: int) -> None:
        """There is none."""

    def describe(self) -> Description:
        """Each node is a kernel."""
        kernels = [
            KernelDescription(
                number,
                (node.name,),
                node.shape,
                (spec_of(node),),
                node_flops(node),
                sum(spec_of(one).nbytes for one in (node, *node.parents) if one is not None),
                "NumPy",
                node.position,
            )
            for number, node in enumerate(self._program.order)
        ]
        return Description(kernels, len(kernels))

    def text(self) -> str:
        """The program."""
        return str(self._program)


def native(program: Program, updates: Mapping[Node, Node]) -> Runner:
    """As machine code; what has none yet is computed by NumPy in between.

    ``CLEARPROP_GUARDS=1`` in the environment runs kernel by kernel, and looks whether each keeps to its buffers.

    Raises:
        UsageError: if llvmlite is not installed.
    """
    try:
        from clearprop.compiler.native.inspection import Guards
        from clearprop.compiler.native.program import NativeProgram
    except ImportError as error:
        raise UsageError(
            f"the native executor needs llvmlite: {error}",
            hint="pip install llvmlite; or compile(executor='reference')",
        ) from None
    inspector = Guards() if os.environ.get("CLEARPROP_GUARDS", "0") not in ("", "0") else None
    shorter = with_short_table_products(program)
    outputs = zip(shorter.outputs, program.outputs, strict=True)
    updates = {new: updates[old] for new, old in outputs if old in updates}
    return NativeProgram(shorter, updates=updates, inspector=inspector)


def timed(program: Program) -> Runner:
    """A native program that measures each of its kernels."""
    from clearprop.compiler.native.inspection import Timer
    from clearprop.compiler.native.program import NativeProgram

    return NativeProgram(with_short_table_products(program), inspector=Timer())


Executor = Callable[[Program, Mapping[Node, Node]], Runner]
"""Takes a program and its updates: outputs, each with the input in whose place it is to be written if that can be."""

EXECUTORS: dict[str, Executor] = {"native": native, "reference": Reference}


def executor(name: str) -> Executor:
    """The executor of that name.

    Raises:
        UsageError: if there is none such.
    """
    if name not in EXECUTORS:
        raise UsageError(f"there is no executor {name!r}", hint=f"executor= one of {', '.join(map(repr, EXECUTORS))}")
    return EXECUTORS[name]
