"""A traced function, ready to be called: the long way, which looks at everything, and the short one.

New values of cells are written over the old ones where the executor can do so and nobody else has these (`Cell.claim`).
If all of them are, nothing changes from call to call but numbers: each cell keeps its array. Then the next call need
not look at the cells at all, as long as their keeper says that nobody has touched them since (`Keeper.changes`).
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from typing import Any

from clearprop.alignment import aligned_empty, is_aligned
from clearprop.cell import Cell, Keeper
from clearprop.compiler.differentiable import Differentiable
from clearprop.compiler.executors import Executor, Runner, Shortcut
from clearprop.compiler.guards import Guards
from clearprop.compiler.whole import Whole
from clearprop.graph import state
from clearprop.heap import give_back
from clearprop.nn.module import Module
from clearprop.tensor import Tensor

_GIVING = threading.Lock()
"""Held while cells get their keepers."""

_UNKNOWN = object()

MISSED: Any = object()
"""What a short call returns if it is none, and has done nothing."""


class Entry:
    """A traced function.

    Args:
        whole: what it reads and changes.
        guards: what it takes for granted.
        make: makes the runner; called unless a gradient may be asked of a result.
        is_plain: whether its arguments are tensors without a history, and nothing else.

    Attributes:
        runner: None where a gradient may be asked of a result.
        differentiable: what is called there; None if that has to be done operation by operation.
        seconds: what each stage of its making took.
    """

    def __init__(self, whole: Whole, guards: Guards, make: Executor, *, is_plain: bool) -> None:
        self.whole, self.guards = whole, guards
        self.seconds: dict[str, float] = {}
        self.runner: Runner | None = None
        self.differentiable: Differentiable | None = None
        self._grad_enabled = state.grad_enabled
        self._shortcut: Shortcut | None = None  # what calls the runner, as long as nothing else is to be done
        self._prepared: Any = _UNKNOWN  # the same, whenever that is
        self._is_plain = is_plain
        if whole.differentiable:
            return
        updates = whole.updates()
        self.runner = make(whole.program, dict(updates.values()))
        self._updated = {cell: old for cell, (_, old) in updates.items() if old in self.runner.updates}
        self._keepers = _keepers([*whole.read, *whole.assigned, *whole.found, *whole.absent, *whole.left])
        self._keeper, self._seen = self._keepers[0], -1

    def fits(self) -> bool:
        """Whether modules, parameters and gradients are as they were when it was traced."""
        return self.guards.hold() and self.whole.fits()

    # The long way -------------------------------------------------------------------------------------------------

    def call(self, tensors: Sequence[Tensor]) -> Any:
        """Look at everything, run, and put all where it belongs."""
        assert self.runner is not None
        whole = self.whole
        with ExitStack() as stack:
            for keeper in self._keepers:
                stack.enter_context(keeper.lock)
            self._shortcut = None
            claimed = self._claim()
            outputs = self.runner(whole.arrays(tensors), set(claimed.values()))
            result = whole.finish(outputs, claimed)
            if self.runner.shows_inputs:
                self._count_change()
            if self._is_plain and len(claimed) == len(whole.assigned) and not whole.left and len(self._keepers) == 1:
                self._shortcut, self._seen = self._short_way(), self._keeper.changes
        return result

    def call_other(self, runner: Runner, tensors: Sequence[Tensor]) -> Any:
        """The same by another runner of the program, which writes nothing over."""
        with ExitStack() as stack:
            for keeper in self._keepers:
                stack.enter_context(keeper.lock)
            self._count_change()
            return self.whole.finish(runner(self.whole.arrays(tensors)))

    def _count_change(self) -> None:
        """Somebody else may have an array of a cell."""
        for keeper in self._keepers:
            keeper.changes += 1

    def _short_way(self) -> Shortcut | None:
        """What calls the runner from now on, if there is such a thing."""
        assert self.runner is not None
        if self._prepared is _UNKNOWN:
            self._prepared = self.runner.shortcut(len(self.whole.arguments))
        if self._prepared is not None:
            self._prepared.forget()
        return self._prepared

    def _claim(self) -> dict[Cell, Any]:
        """The cells whose arrays can be written over, with the inputs that they are."""
        if state.cell_watcher is not None:  # who remembers values
            return {}
        claimed = {cell: old for cell, old in self._updated.items() if cell.claim()}
        if sum(map(_align, claimed)):
            give_back()  # where they were before
        return claimed

    # The short one ------------------------------------------------------------------------------------------------

    def again(self, tensors: Sequence[Any]) -> Any:
        """A call like the one before; `MISSED` if it is another one."""
        if self._shortcut is None or self.guards.seen != Module.changes:
            return MISSED
        if state.grad_enabled is not self._grad_enabled or state.cell_watcher is not None:
            return MISSED
        if state.tracer is not None or state.batches or state.observer is not None:
            return MISSED
        keeper = self._keeper
        with keeper.lock:
            if keeper.changes != self._seen or self._shortcut is None:
                return MISSED
            outputs = self._shortcut(tensors)
        return MISSED if outputs is None else self.whole.returned(outputs)


def _keepers(cells: Iterable[Cell]) -> list[Keeper]:
    """Those of the cells, in the order in which to lock them; cells that have none get one that others have."""
    with _GIVING:
        cells = list(cells)
        found = {cell.keeper for cell in cells if cell.keeper is not None} or {Keeper()}
        keepers = sorted(found, key=lambda keeper: keeper.number)
        for cell in cells:
            cell.keeper = cell.keeper or keepers[0]
        return keepers


def _align(cell: Cell) -> bool:
    """Move the array of a cell to a place where native code may write it over; returns whether it had to be moved."""
    array = cell.peek_array()
    if is_aligned(array):
        return False
    moved = aligned_empty(array.shape, array.dtype)
    moved[...] = array
    cell.put(moved)
    return True
