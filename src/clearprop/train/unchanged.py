"""What cells held before: to take back what was done to them, or to look once more at how it was."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from clearprop.cell import Cell, CellWatcher, Parameter
from clearprop.graph import state
from clearprop.tensor import Tensor


class Unchanged(CellWatcher):
    """Context in which cells and gradients can be assigned; afterwards they have the values that they had before.

    Cells are parameters, buffers, the state of optimizers, the counters of random generators. A function that is traced
    with this context in it reads cells and changes none: so it becomes a program that only looks.

    >>> import clearprop as cp
    >>> w = cp.Parameter(1.0)
    >>> with Unchanged():
    ...     w.assign(5.0)
    ...     w.value.item()
    5.0
    >>> w.value.item()
    1.0
    """

    def __init__(self) -> None:
        super().__init__(None)
        self._before: dict[Cell, Tensor] = {}
        self._grads_before: dict[Parameter, Tensor | None] = {}

    def __enter__(self) -> Unchanged:
        self.outer = state.cell_watcher
        state.cell_watcher = self
        return self

    def __exit__(self, *_: object) -> None:
        state.cell_watcher = self.outer
        for cell, value in self._before.items():
            cell.restore(value)
        for parameter, gradient in self._grads_before.items():
            parameter.restore_grad(gradient)

    def read(self, cell: Cell) -> None:
        """Called by a cell that is about to be read: who watches outside puts a symbol there, unless it holds ours."""
        if cell not in self._before:
            super().read(cell)

    def assigned(self, cell: Cell) -> None:
        """Called by a cell that is about to be assigned: nobody outside hears of it, since it is taken back."""
        self._before.setdefault(cell, cell.peek())

    def grad_used(self, parameter: Parameter, *, replaced: bool) -> None:
        """Called by a parameter whose gradient is about to be read, or replaced."""
        if replaced and parameter not in self._grads_before:
            self._grads_before[parameter] = parameter.peek_grad()
        elif not replaced and parameter not in self._grads_before:
            super().grad_used(parameter, replaced=False)


class Before(CellWatcher):
    """Context that notes what cells hold before they are assigned inside of it.

    >>> import clearprop as cp
    >>> w = cp.Parameter(1.0)
    >>> with Before() as before:
    ...     w.assign(5.0)
    >>> with before.again():
    ...     w.value.item()
    1.0
    >>> w.value.item()
    5.0
    """

    def __init__(self) -> None:
        super().__init__(None)
        self._values: dict[Cell, Tensor] = {}

    def __enter__(self) -> Before:
        self.outer = state.cell_watcher
        state.cell_watcher = self
        return self

    def __exit__(self, *_: object) -> None:
        state.cell_watcher = self.outer

    def assigned(self, cell: Cell) -> None:
        """Called by a cell that is about to be assigned."""
        super().assigned(cell)
        self._values.setdefault(cell, cell.peek())

    @contextmanager
    def again(self) -> Iterator[None]:
        """Inside, the cells hold what they held before."""
        now = {cell: cell.peek() for cell in self._values}
        for cell, value in self._values.items():
            cell.restore(value)
        try:
            yield
        finally:
            for cell, value in now.items():
                cell.restore(value)
