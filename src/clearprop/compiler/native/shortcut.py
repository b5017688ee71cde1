"""Calls like the one before: only the arguments, and what is returned, lie elsewhere.

A small step takes less time than it takes Python to look at twenty arrays. So a program that has been called can be
called again without looking at any but its arguments: as long as nobody has replaced the others, their addresses are
in the table.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from clearprop.alignment import address
from clearprop.compiler.native.memory import FAILED, Buffers, Memory
from clearprop.compiler.native.views import View
from clearprop.graph import Node
from clearprop.tensor import Tensor


class _Argument:
    """An input that is another one in every call.

    Attributes:
        latest: a weak reference to the tensor whose array's address is in the table.
    """

    __slots__ = ("_dtype", "_shape", "_slot", "_table", "latest")

    def __init__(self, memory: Memory, node: Node) -> None:
        self._shape, self._dtype = node.shape, node.dtype
        self._table, self._slot = memory.table, memory.slots[node]
        self.latest: Callable[[], Tensor | None] = _nothing

    def take(self, x: Any) -> bool:
        """Note where a tensor lies; False if native code cannot read it there."""
        if type(x) is not Tensor or x.node is not None:
            return False
        array = x.array
        if type(array) is not np.ndarray or array.shape != self._shape or array.dtype != self._dtype:
            return False
        if not array.flags.c_contiguous:
            return False
        self._table[self._slot] = address(array)
        self.latest = weakref.ref(x)
        return True


def _nothing() -> None:
    return None


class Shortcut:
    """Calls a program with other arguments.

    Args:
        arguments: the first inputs, which are others in every call.
        returned: views of results.
        run: returns the number of the kernel that failed, or 0.
    """

    def __init__(
        self, memory: Memory, arguments: Sequence[Node], returned: Sequence[View], run: Callable[[], int]
    ) -> None:
        self._memory, self._run = memory, run
        self._arguments = [_Argument(memory, node) for node in arguments]
        self._count = len(arguments)
        self._returned = list(returned)
        self._sources = list(dict.fromkeys(view.source for view in returned))
        is_plain = all(view.is_whole and memory.results[view.source].is_small for view in returned)
        self._copied = [memory.results[view.source].take() for view in returned] if is_plain else None
        self._are_numbers = not any(view.shape for view in returned)

    def forget(self) -> None:
        """Look at all arguments of the next call: others have been in the table meanwhile."""
        for argument in self._arguments:
            argument.latest = _nothing

    def __call__(self, tensors: Sequence[Any]) -> list[Any] | None:
        """What the program returns; None, with nothing changed, if arguments do not fit or the program fails."""
        if len(tensors) != self._count:
            return None
        for x, argument in zip(tensors, self._arguments):  # noqa: B905 - as many
            if argument.latest() is not x and not argument.take(x):
                return None
        buffers = self._take_results() if self._copied is None else None
        if self._run():
            self._memory.table[FAILED] = 0
            return None
        if self._copied is not None:
            if self._are_numbers:  # NumPy's scalars, as eager operations give them: in half the time
                return [array[()] for array in self._copied]
            return [array.copy() for array in self._copied]
        assert buffers is not None
        return [self._memory.kept(view.source, buffers.read(view)) for view in self._returned]

    def _take_results(self) -> Buffers:
        """Arrays of what is returned."""
        buffers = Buffers(self._memory)
        for node in self._sources:
            buffers.put(node, self._memory.results[node].take())
        return buffers
