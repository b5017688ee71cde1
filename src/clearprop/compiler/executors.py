"""Executors by name: each turns a program into a function of arrays."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from clearprop.errors import UsageError
from clearprop.trace import Program

Runner: TypeAlias = Callable[[Sequence[Any]], list[Any]]
"""Takes the values of the program's inputs, returns those of its outputs, all of them arrays."""


def reference(program: Program) -> Runner:
    """Node by node with NumPy: slow beside the others, and what they are compared with."""
    return program.run


def native(program: Program) -> Runner:
    """As machine code; what has none yet is computed by NumPy in between.

    Raises:
        UsageError: if llvmlite is not installed.
    """
    try:
        from clearprop.compiler.native.program import NativeProgram
    except ImportError as error:
        raise UsageError(
            f"the native executor needs llvmlite: {error}", hint="pip install 'clearprop[native]'"
        ) from None
    return NativeProgram(program)


EXECUTORS: dict[str, Callable[[Program], Runner]] = {"native": native, "reference": reference}


def executor(name: str) -> Callable[[Program], Runner]:
    """The executor of that name.

    Raises:
        UsageError: if there is none such.
    """
    if name not in EXECUTORS:
        raise UsageError(f"there is no executor {name!r}", hint=f"executor= one of {', '.join(map(repr, EXECUTORS))}")
    return EXECUTORS[name]
