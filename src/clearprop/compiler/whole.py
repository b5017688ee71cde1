"""One run of a function on symbols, with everything that it reads and changes.

What a training step touches is not only its arguments: it reads parameters, optimizer state, counters of random
numbers (cells), and gradients; it assigns cells and leaves gradients behind. All that is read becomes inputs of the
program, all that is changed becomes outputs, and after tracing everything is as it was before.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence
from typing import Any

import numpy as np

from clearprop.autodiff.tree import flatten, rebuild
from clearprop.cell import NOT_KEPT, Cell, CellWatcher, Parameter
from clearprop.compiler.simplify import Simplifier
from clearprop.errors import TraceError
from clearprop.graph import RELEASED, Node, leaf, state
from clearprop.primitive import Spec, Value, spec_of, tracing
from clearprop.tensor import Tensor
from clearprop.trace import Program, Tracer

_SOME_TENSOR = Tensor(np.zeros(()))


class Whole:
    """A function as a program.

    Inputs of the program are, in this order, the tensors among its arguments, the cells it reads, the gradients it
    finds, and tensors that it captured; outputs are the tensors among its results, the cells it assigns, and the
    gradients it leaves.

    Args:
        f: takes the tensors, returns a nesting of tensors and other things.
        arguments: shapes and dtypes, and whether gradients flow to them.
        keep_grads: whether gradients that the function replaces without having looked at them are kept when it is done.
        cut: whether the program shall say where no gradient flows, because it will be differentiated; it is then all
            that was applied, while otherwise what has a simpler form has it from the beginning.

    Attributes:
        arguments: shapes and dtypes of the tensors among its arguments.
        result: what the function returned, with one and the same tensor in place of all tensors.
        read, assigned: cells.
        found, absent: parameters whose gradients are read first of all, and were there, or were None.
        left, cleared, dropped: parameters whose gradients are set in the end, or become None, or are not kept.
        captured: tensors from outside that have a history.
        trained: parameters that it reads or assigns, and whether gradients flow to them.
        visited: modules that were called.
        flows: for each tensor among its results, whether gradients flow to it.
        differentiable: whether they flow to one of them.
        trained_inputs: for each input of the program, whether gradients flow from it.
        has_own_rules: whether gradients flow as the user says, and not as the program tells.
    """

    def __init__(
        self,
        f: Callable[..., Any],
        arguments: Sequence[tuple[Spec, bool]],
        *,
        keep_grads: bool = True,
        cut: bool = False,
    ) -> None:
        self.arguments = [spec for spec, _ in arguments]
        tracer = Tracer(state.tracer, cut=True) if cut else Simplifier(state.tracer)
        cells = _Cells(state.cell_watcher, tracer)
        state.cell_watcher = cells
        try:
            with tracing(tracer):
                symbols = [tracer.tensor(spec, trained=is_trained) for spec, is_trained in arguments]
                self.result = f(*symbols)
                results = [y for y in flatten(self.result) if isinstance(y, Tensor)]
                self.assigned = list(cells.assigned_cells)
                grads = {p: p.peek_grad() for p in cells.replaced}
                self.dropped = [p for p in cells.renewed if grads[p] is not None and not keep_grads]
                for p in self.dropped:
                    del grads[p]
                self.left = [p for p, g in grads.items() if g is not None]
                self.cleared = [p for p, g in grads.items() if g is None]
                ends = [
                    *results,
                    *(cell.peek() for cell in self.assigned),
                    *(g for g in grads.values() if g is not None),
                ]
                outputs = [tracer.node_of(tracer.lifted(y).array) for y in ends]
        finally:
            state.cell_watcher = cells.outer
            cells.put_back()
        self.flows = [_flows(y.node) for y in results]
        self.differentiable, self.has_own_rules = any(self.flows), tracer.has_own_rules
        self.results = len(results)
        self._is_one_tensor = isinstance(self.result, Tensor)
        self.result = rebuild(
            self.result, [_SOME_TENSOR if isinstance(y, Tensor) else y for y in flatten(self.result)]
        )  # whose own tensors would keep all that was traced
        self.read, self.found, self.absent = list(cells.symbols), list(cells.grad_symbols), list(cells.absent)
        self.trained = {p: p.requires_grad for p in cells.before if isinstance(p, Parameter)}
        self.captured, self.visited = list(tracer.captured), list(tracer.visited)
        given = [*symbols, *cells.symbols.values(), *cells.grad_symbols.values(), *tracer.captured.values()]
        inputs = [x.array.node for x in given]
        self.trained_inputs = [x.requires_grad for x in given]
        self.program = Program(inputs, outputs, tracer.constants)

    def fits(self) -> bool:
        """Whether gradients that it reads are there, or None, as when it was traced, and the same ones are trained."""
        if any(p.requires_grad is not flag for p, flag in self.trained.items()):
            return False
        return all(p.peek_grad() is None for p in self.absent) and not any(p.peek_grad() is None for p in self.found)

    @property
    def touches_gradients(self) -> bool:
        """Whether it reads or changes gradients of parameters."""
        return bool(self.found or self.absent or self.left or self.cleared or self.dropped)

    def updates(self) -> dict[Cell, tuple[Node, Node]]:
        """For each cell that is read and assigned, the output that is its new value, and the input that is the old."""
        outputs = dict(zip(self.assigned, self.program.outputs[self.results :], strict=False))
        inputs = zip(self.read, self.program.inputs[len(self.arguments) :], strict=False)
        return {cell: (outputs[cell], old) for cell, old in inputs if cell in outputs}

    def inputs(self, arguments: Sequence[Tensor]) -> list[Tensor]:
        """What the program takes, at this moment."""
        grads = [p.peek_grad() for p in self.found]
        return [*arguments, *(cell.peek() for cell in self.read), *(g for g in grads if g is not None), *self.captured]

    def arrays(self, arguments: Sequence[Tensor]) -> list[Any]:
        """The same as arrays."""
        taken = [x.array for x in arguments]
        taken += [cell.peek_array() for cell in self.read]
        taken += [g.array for g in (p.peek_grad() for p in self.found) if g is not None]
        taken += [x.array for x in self.captured]
        return taken

    def finish(self, outputs: Sequence[Value], updated: Container[Cell] = ()) -> Any:
        """Put outputs where they belong, and return the function's result.

        Args:
            updated: cells whose own arrays hold the new value already.
        """
        ends = self.results + len(self.assigned)
        for cell, value in zip(self.assigned, outputs[self.results : ends], strict=True):
            if cell in updated:
                continue
            if isinstance(value, Tensor) or state.cell_watcher is not None:
                cell.assign(value if isinstance(value, Tensor) else Tensor(value))
            else:
                cell.put(value)
        for parameter, g in zip(self.left, outputs[ends:], strict=True):
            parameter.grad = g if isinstance(g, Tensor) else Tensor(g)
        for parameters, g in ((self.cleared, None), (self.dropped, NOT_KEPT)):
            for parameter in parameters:
                if parameter.peek_grad() is not g or state.cell_watcher is not None:
                    parameter.grad = g
        return self.returned(outputs[: self.results])

    def returned(self, outputs: Sequence[Value]) -> Any:
        """The function's result, made of the tensors in it."""
        if self._is_one_tensor:
            (y,) = outputs
            return y if isinstance(y, Tensor) else Tensor(y)
        if self.result is None:
            return None
        tensors = [y if isinstance(y, Tensor) else Tensor(y) for y in outputs]
        following = iter(tensors)
        leaves = [next(following) if isinstance(y, Tensor) else y for y in flatten(self.result)]
        return rebuild(self.result, leaves)


def _flows(node: Node | None) -> bool:
    """Whether a backward pass could begin here: not if one has been through already."""
    return node is not None and node.residuals is not RELEASED


class _Cells(CellWatcher):
    """Puts a symbol into each cell, and each gradient, that the function reads; in the end takes all out again."""

    def __init__(self, outer: CellWatcher | None, tracer: Tracer) -> None:
        super().__init__(outer)
        self.tracer = tracer
        self.before: dict[Cell, Tensor] = {}
        self.grads_before: dict[Parameter, Tensor | None] = {}
        self.symbols: dict[Cell, Tensor] = {}
        self.grad_symbols: dict[Parameter, Tensor] = {}
        self.absent: dict[Parameter, None] = {}
        self.assigned_cells: dict[Cell, None] = {}
        self.replaced: dict[Parameter, None] = {}
        self.renewed: dict[Parameter, None] = {}  # replaced before anybody looked

    def read(self, cell: Cell) -> None:
        """Called by a cell that is about to be read."""
        if cell in self.before:
            return
        held = self.before[cell] = cell.peek()
        symbol = self.tracer.input(spec_of(held), cell.name)
        is_trained = isinstance(cell, Parameter) and cell.requires_grad
        self.symbols[cell] = Tensor(symbol, leaf(symbol.shape, symbol.dtype, cell) if is_trained else None)
        cell.restore(self.symbols[cell])

    def assigned(self, cell: Cell) -> None:
        """Called by a cell that is about to be assigned."""
        self.before.setdefault(cell, cell.peek())
        self.assigned_cells[cell] = None

    def grad_used(self, parameter: Parameter, *, replaced: bool) -> None:
        """Called by a parameter whose gradient is about to be read, or replaced."""
        if parameter not in self.grads_before:
            held = self.grads_before[parameter] = parameter.peek_grad()
            if replaced:
                self.renewed[parameter] = None
            elif held is None:
                self.absent[parameter] = None
            else:
                if held.requires_grad:
                    raise TraceError(
                        f"the gradient of {parameter.name or 'a parameter'} has a history (create_graph=True)",
                        hint="parameter.grad = parameter.grad.detach() before the compiled function is called",
                    )
                self.grad_symbols[parameter] = Tensor(self.tracer.input(spec_of(held), f"{parameter.name}.grad"))
                parameter.restore_grad(self.grad_symbols[parameter])
        if replaced:
            self.replaced[parameter] = None

    def put_back(self) -> None:
        """Give cells and gradients the values that they had."""
        for cell, value in self.before.items():
            cell.restore(value)
        for parameter, g in self.grads_before.items():
            parameter.restore_grad(g)
