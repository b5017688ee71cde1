"""From a ``scan`` inside a trace to its node: the body is traced; what it uses from outside becomes an input."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from clearprop.autodiff.loop import scan_node
from clearprop.autodiff.loop_body import Body
from clearprop.autodiff.tree import flatten, flatten_like, rebuild
from clearprop.cell import Cell, CellWatcher, Parameter
from clearprop.errors import DTypeError, ShapeError, TraceError
from clearprop.graph import state
from clearprop.primitive import Spec, spec_of, tracing
from clearprop.tensor import Tensor, as_tensor
from clearprop.trace import Program, Tracer


class TracedScan:
    """One call of ``scan``, its body traced.

    Tensors from outside that the body uses, and cells that it reads, are constants of the loop; cells that it assigns,
    such as the counter of random numbers, are carried along.
    """

    def __init__(self, f: Callable[[Any, Any], Any], init: Any, xs: Any, steps: int, reverse: bool) -> None:
        self.f, self.init, self.xs = f, init, xs
        self.attributes = {"length": steps, "reverse": reverse}
        self.carry = [as_tensor(x) for x in flatten(init)]
        self.elements = [as_tensor(x) for x in flatten(xs)]
        self.cells: list[Cell] = []
        while self._trace() > len(self.cells):  # now that they are known they can be carried
            self.cells = list(self.assigned)

    def _trace(self) -> int:
        """Trace the body, with the cells that are known carried along; returns how many cells it assigns."""
        first = [cell.value for cell in self.cells]
        carried = [*self.carry, *first]
        specs = [spec_of(x) for x in carried] + [Spec(s.shape[1:], s.dtype) for s in map(spec_of, self.elements)]
        tracer = Tracer(state.tracer, cut=True)
        of_cells = range(len(self.carry), len(carried))  # what is assigned to a cell leaves its history behind
        cells, batches = _CellsOfBody(state.cell_watcher), state.batches
        state.cell_watcher, state.batches = cells, []  # the body is that of one example
        try:
            with tracing(tracer):
                symbols = [tracer.tensor(spec, trained=i not in of_cells) for i, spec in enumerate(specs)]
                outputs = self._step(cells, symbols)
                ends = [tracer.node_of(tracer.lifted(y).array) for y in outputs]
        finally:
            state.cell_watcher, state.batches = cells.outer, batches
            cells.put_back()
        self.has_own_rules = tracer.has_own_rules
        self.captured = list(tracer.captured)
        nodes = [lifted.array.node for lifted in tracer.captured.values()] + [s.array.node for s in symbols]
        self.body = Body(Program(nodes, ends, tracer.constants), len(self.captured), len(carried))
        self.assigned = cells.before
        return len(self.assigned)

    def _step(self, cells: _CellsOfBody, symbols: Sequence[Tensor]) -> list[Tensor]:
        split, ends = len(self.carry), len(self.carry) + len(self.cells)
        for cell, symbol in zip(self.cells, symbols[split:ends], strict=True):
            cells.assigned(cell)
            cell.restore(symbol)
        following, self.y = self.f(rebuild(self.init, symbols[:split]), rebuild(self.xs, symbols[ends:]))
        values = next_carry(self.init, self.carry, following)
        return [*values, *(cell.peek() for cell in self.cells), *(as_tensor(leaf) for leaf in flatten(self.y))]

    @property
    def is_faithful(self) -> bool:
        """Whether the body says all that the step does.

        It does not know of backward rules of the user's own, of hooks, and that a parameter which is assigned becomes
        another leaf. And inside vmap a body that is written for one example has one random number where each example
        should get its own.
        """
        trains = any(cell.requires_grad for cell in self.cells)
        return not self.has_own_rules and not trains and not (self.cells and state.batches)

    def apply(self) -> tuple[Any, Any]:
        """Note the loop down; assign the cells."""
        first = [cell.value for cell in self.cells]
        results = scan_node(*self.captured, *self.carry, *first, *self.elements, body=self.body, **self.attributes)
        split, ends = len(self.carry), len(self.carry) + len(first)
        for cell, value in zip(self.cells, results[split:ends], strict=True):
            cell.assign(value)
        return rebuild(self.init, results[:split]), rebuild(self.y, results[ends:])


class _CellsOfBody(CellWatcher):
    """Notes which cells a body assigns. Reading them is the business of the trace outside."""

    def __init__(self, outer: CellWatcher | None) -> None:
        super().__init__(outer)
        self.before: dict[Cell, Tensor] = {}

    def read(self, cell: Cell) -> None:
        """Called by a cell that is about to be read."""
        if cell not in self.before:
            super().read(cell)

    def assigned(self, cell: Cell) -> None:
        """Called by a cell that is about to be assigned. The trace outside will see the loop assign it."""
        self.before.setdefault(cell, cell.peek())

    def grad_used(self, parameter: Parameter, *, replaced: bool) -> None:
        """Called by a parameter whose gradient is about to be read, or replaced."""
        if replaced:
            raise TraceError(
                f"a step of scan, while it is traced, cannot change the gradient of {parameter.name or 'a parameter'}",
                hint="return it as an output of the step, or a Python loop instead of cp.scan",
            )
        super().grad_used(parameter, replaced=False)

    def put_back(self) -> None:
        """Give the cells the values that they had."""
        for cell, value in self.before.items():
            cell.restore(value)


def next_carry(init: Any, before: Sequence[Tensor], following: Any) -> list[Tensor]:
    """The tensors of the carry that a step returned, in the order of those it got.

    Raises:
        ShapeError: if it is not nested like the first carry, or a shape differs.
        DTypeError: if a dtype differs.
    """
    leaves = flatten_like(following, init)
    if leaves is None:
        raise ShapeError(
            f"scan: the carry has {len(before)} tensors, and the step returned {len(flatten(following))}, or nested "
            "them in another way",
            hint="return (carry, y), the carry nested as it came",
        )
    after = [as_tensor(leaf) for leaf in leaves]
    for i, (old, new) in enumerate(zip(map(spec_of, before), map(spec_of, after), strict=True)):
        if old.shape != new.shape:
            raise ShapeError(
                f"scan: part {i} of the carry has shape {old.shape}, and the step returned shape {new.shape}",
                hint="return (carry, y), the carry shaped as it came",
            )
        if old.dtype != new.dtype:
            raise DTypeError(
                f"scan: part {i} of the carry is {old.dtype}, and the step returned {new.dtype}",
                hint=f"init of dtype cp.{new.dtype}",
            )
    return after
