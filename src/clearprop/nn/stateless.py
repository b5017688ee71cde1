"""A module as a function of its parameters, for the transformations: ``cp.grad``, ``cp.hessian``, ``cp.vmap``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from clearprop.cell import Cell, CellWatcher
from clearprop.errors import DataError, ShapeError, UsageError
from clearprop.graph import state
from clearprop.nn.module import Module
from clearprop.tensor import Tensor, as_tensor


def functional_call(module: Module, values: Mapping[str, Any], *args: Any, **kwargs: Any) -> Any:
    """Call a module with other values in its parameters and buffers; afterwards it has its own again.

    Args:
        values: tensors by dotted name; those that are not named keep their value. Gradients flow to these tensors.

    Raises:
        DataError: if the module has nothing of that name.
        ShapeError: if a value has another shape.
        UsageError: if that is no module, or no mapping.

    >>> import clearprop as cp
    >>> from clearprop import nn
    >>> model = nn.Linear(2, 1, bias=False)
    >>> def loss(values):
    ...     return nn.functional_call(model, values, cp.ones((1, 2))).sum()
    >>> cp.grad(loss)({"weight": cp.tensor([[3.0], [4.0]])})
    {'weight': Tensor([[1.],
            [1.]], dtype=float32)}
    """
    if not isinstance(module, Module):
        raise UsageError(f"functional_call: {module!r} is not a module"[:200], hint="functional_call(model, values, x)")
    if not isinstance(values, Mapping):
        raise UsageError(
            f"functional_call: the values are a {type(values).__name__}, not a mapping of names",
            hint="dict(model.named_parameters()), with other values",
        )
    cells = dict(module.named_cells())
    unknown = [name for name in values if name not in cells]
    if unknown:
        raise DataError(f"{type(module).__name__} has no {', '.join(unknown)}", hint=f"it has {', '.join(cells)}")
    before: dict[str, Tensor] = {}
    outer = state.cell_watcher
    try:
        for name, value in values.items():
            tensor = as_tensor(value)
            if tensor.shape != cells[name].shape:
                raise ShapeError(
                    f"functional_call: {name} has shape {cells[name].shape}, the value {tensor.shape}",
                    hint=f"a value of shape {cells[name].shape}",
                )
            before[name] = cells[name].peek()
            cells[name].restore(tensor)
        if outer is not None:
            state.cell_watcher = _OfOthers(outer, {cells[name] for name in values})
        return module(*args, **kwargs)
    finally:
        state.cell_watcher = outer
        for name, tensor in before.items():
            cells[name].restore(tensor)


class _OfOthers(CellWatcher):
    """Keeps quiet about the cells that hold other values for a while: reading those is not reading the cell's own."""

    def __init__(self, outer: CellWatcher, cells: set[Cell]) -> None:
        super().__init__(outer)
        self.cells = cells

    def read(self, cell: Cell) -> None:
        """Called by a cell that is about to be read."""
        if cell not in self.cells:
            super().read(cell)

    def assigned(self, cell: Cell) -> None:
        """Called by a cell that is about to be assigned: what it is assigned is forgotten in the end."""
        if cell not in self.cells:
            super().assigned(cell)
