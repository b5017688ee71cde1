"""Checkpointing: forget what a part of the forward pass kept, and compute it again when the backward pass comes by.

T. Chen, B. Xu, C. Zhang, C. Guestrin, "Training deep nets with sublinear memory cost", 2016.

The part is run once as usual, to see which tensors from outside it uses (parameters, closures) and which cells it reads
and assigns; then its graph is dropped, and one node stands for all of it. In the backward pass it is run again with the
cells as they were, among them the counter of the random generator, so that dropout drops the same elements; what it
assigns to cells the second time is taken back.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any

import numpy as np

from clearprop.arguments import function
from clearprop.autodiff.custom import apply_custom
from clearprop.autodiff.linearization import Linearization
from clearprop.autodiff.tree import flatten, rebuild
from clearprop.cell import Cell, CellWatcher
from clearprop.graph import Node, state, take_number, topological
from clearprop.primitives.control import identity
from clearprop.tensor import Tensor, as_tensor


class _Cells(CellWatcher):
    """Notes the value of every cell at its first use."""

    def __init__(self, outer: CellWatcher | None) -> None:
        super().__init__(outer)
        self.first: dict[Cell, Tensor] = {}

    def read(self, cell: Cell) -> None:
        """Called by a cell that is about to be read."""
        super().read(cell)  # a trace puts a symbol there
        self.first.setdefault(cell, cell.peek())

    def assigned(self, cell: Cell) -> None:
        """Called by a cell that is about to be assigned."""
        super().assigned(cell)
        self.first.setdefault(cell, cell.peek())


class _watching:
    """Context in which the use of cells is noted."""

    def __enter__(self) -> _Cells:
        self.cells = _Cells(state.cell_watcher)
        state.cell_watcher = self.cells
        return self.cells

    def __exit__(self, *_: object) -> None:
        state.cell_watcher = self.cells.outer


class _cells_as_they_were:
    """Context in which cells have earlier values again."""

    def __init__(self, values: dict[Cell, Tensor]) -> None:
        self.values = values

    def __enter__(self) -> None:
        self.now = {cell: cell.peek() for cell in self.values}
        for cell, value in self.values.items():
            cell.restore(value)

    def __exit__(self, *_: object) -> None:
        for cell, value in self.now.items():
            cell.restore(value)


def checkpoint(f: Callable[..., Any]) -> Callable[..., Any]:
    """A function that does what ``f`` does and keeps nothing of it but its inputs; the backward pass computes it again.

    Memory for residuals is traded against one more forward pass of ``f``. Values, gradients and random numbers are the
    same.

    >>> import clearprop as cp
    >>> x = cp.tensor(2.0, requires_grad=True)
    >>> cp.checkpoint(lambda x: cp.exp(x * x))(x).backward()
    >>> round(x.grad.item(), 3)                               # 4 e**4
    218.393
    """
    function("checkpoint", "f", f, "a function of tensors: cp.checkpoint(lambda x: …)")

    @wraps(f)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        if not state.grad_enabled:
            return f(*args, **kwargs)
        leaves = flatten(list(args))
        given = [as_tensor(x) for x in leaves if _is_array(x)]

        def of_tensors(xs: Sequence[Tensor]) -> Any:
            """The function of the tensors among its arguments; numbers, strings and the like stay as they are."""
            tensors = iter(xs)
            return f(*rebuild(list(args), [next(tensors) if _is_array(x) else x for x in leaves]), **kwargs)

        number = take_number()
        # An identity tells an argument apart from the same tensor in a closure.
        arguments = [identity(x) if x.requires_grad else x for x in given]
        with _watching() as cells:
            result = of_tensors(arguments)
        outputs = [as_tensor(y) for y in flatten(result)]
        outside = _used_from_outside(outputs, arguments, number)
        earlier = dict(cells.first)

        def compute_again(*xs: Tensor) -> list[Tensor]:
            with _cells_as_they_were(earlier):
                return [as_tensor(y) for y in flatten(of_tensors(xs))]

        values = [y.detach() for y in outputs]
        forward, backward = _rules(compute_again, values, len(given), outside)
        recorded = apply_custom("checkpoint", forward, backward, [*given, *outside], is_derivative=True)
        return rebuild(result, flatten(recorded))

    return wrapped


def _is_array(x: Any) -> bool:
    return isinstance(x, (Tensor, Cell, np.ndarray))


def _used_from_outside(outputs: Sequence[Tensor], arguments: Sequence[Tensor], number: int) -> list[Tensor]:
    """Tensors older than the run that its graph rests on, other than its arguments: parameters, closures."""
    ends = [node for node in (y.node for y in outputs) if node is not None]
    own = {x.node for x in arguments}
    found: dict[Node, None] = {}
    for node in [*topological(ends, since=number), *ends]:
        if node in own:
            continue
        for candidate in [node] if node.number <= number or node.is_leaf else node.parents:
            if candidate is not None and (candidate.number <= number or candidate.is_leaf):
                found[candidate] = None
    return [_Outside(node) for node in found]


class _Outside(Tensor):
    """Stands for a tensor of which only the node matters: it makes the node a parent of the checkpoint's."""

    __slots__ = ()

    def __init__(self, node: Node) -> None:
        super().__init__(None, node)


def _rules(
    compute_again: Callable[..., list[Tensor]], values: Sequence[Tensor], count: int, outside: Sequence[Tensor]
) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """Forward and backward of the checkpoint's node; its arguments are the function's and then the outside tensors."""

    def forward(ctx: Any, *tensors: Tensor) -> Any:
        ctx.save_for_backward(*tensors[:count])
        return list(values) if len(values) != 1 else values[0]

    def backward(ctx: Any, *upstream: Tensor) -> Any:
        inputs = ctx.saved_tensors
        floating = [i for i, x in enumerate(inputs) if x.dtype.is_floating]

        def of_floating(*xs: Tensor) -> list[Tensor]:
            given = dict(zip(floating, xs, strict=True))
            return compute_again(*[given.get(i, x) for i, x in enumerate(inputs)])

        nodes = [tensor.node for tensor in outside if tensor.node is not None]
        run = Linearization(of_floating, [inputs[i] for i in floating], also=nodes)
        found = run.pull(upstream, again=False, record=state.grad_enabled)
        by_input = dict(zip(floating, found, strict=False))
        return [*(by_input.get(i) for i in range(len(inputs))), *found[len(floating) :]]

    return forward, backward
