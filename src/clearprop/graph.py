"""The computational graph: what a computation leaves behind so that backpropagation can run over it.

A `Node` is one application of a primitive. Its parents are the nodes of its inputs, so a node knows everything below it
and nothing above it: when the last tensor that needs a graph is gone, so is the graph. A node is made after its inputs;
numbering the nodes as they are made therefore numbers them in topological order, and backpropagation is a walk through
falling numbers. Of the values that were computed a node holds only those that its backward rules ask for: the residuals
(the lecture notes' "cache").
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterable
from operator import attrgetter
from typing import TYPE_CHECKING, Any

import numpy as np

from clearprop.source import Position, describe

if TYPE_CHECKING:  # for the type checker only: the graph works without knowing what a primitive is
    from clearprop.primitive import Primitive

_numbers = itertools.count()
_number_of = attrgetter("number")


class Observer:
    """Is told, while it is ``state.observer``, what is recorded and what backward passes do; tells the one outside it.

    A subclass overrides what it wants to know.

    Args:
        outer: the observer before it, if there is one.

    Attributes:
        looks_into_compiled: whether compiled functions run operation by operation for it to see; else each is a node.
    """

    looks_into_compiled = True

    def __init__(self, outer: Observer | None = None) -> None:
        self.outer = outer

    def forward(self, node: Node, arrays: list[Any], output: Any) -> None:
        """A node was recorded."""
        if self.outer is not None:
            self.outer.forward(node, arrays, output)

    def backward(self, node: Node, g: Any, contributions: Any) -> None:
        """A backward pass has been at a node."""
        if self.outer is not None:
            self.outer.backward(node, g, contributions)

    def arrived(self, node: Node, g: Any) -> None:
        """A gradient has arrived at a leaf."""
        if self.outer is not None:
            self.outer.arrived(node, g)

    def cut(self, node: Node, how: str, position: Position | None) -> None:
        """A value to which gradients flow was used in a way that lets none come back."""
        if self.outer is not None:
            self.outer.cut(node, how, position)

    def entered(self, module: Any) -> None:
        """A module has been called."""
        if self.outer is not None:
            self.outer.entered(module)

    def left(self, module: Any) -> None:
        """A call of a module has ended, with an error perhaps."""
        if self.outer is not None:
            self.outer.left(module)


class State(threading.local):
    """What this thread is doing just now: whether it records, inside which module, and who watches."""

    def __init__(self) -> None:
        self.grad_enabled = True
        self.module = ""
        self.position: Position | None = None  # the user's line that called one of our modules, while that runs
        self.observer: Any = None  # sees each recorded node, each step of a backward pass, each cut (the lens)
        self.cell_watcher: Any = None  # sees each cell that is read or assigned (checkpoint, tracing)
        self.tracer: Any = None  # notes down what is applied instead of computing it, see `clearprop.trace`
        self.batches: list[tuple[int, int]] = []  # level and batch size of each vmap that is running


state = State()


class _Released:
    def __repr__(self) -> str:
        return "<released by an earlier backward()>"


RELEASED: Any = _Released()
"""Stands where the residuals of a node were, once a backward pass has used and dropped them."""


class Node:
    """One application of a primitive, or a leaf (`primitive` is None).

    Attributes:
        primitive: which operation; None for a leaf.
        parents: the node of each input, None for an input that is a constant.
        attributes: what else the operation was told, e.g. ``{"axes": (0,)}``.
        shape, dtype: of the output (NumPy's).
        residuals: arrays kept for the backward pass, by the name that the primitive gives them; `RELEASED` after it.
        number: rises from input to output.
        position: the user's source line, see `clearprop.source`.
        module: path of the module that was running, e.g. ``"encoder.fc1"``.
        cell: for a leaf, the holder of its ``.grad``; for other nodes a holder if the gradient is to be kept.
        hooks: functions that see, and may replace, the gradient that arrives here.
    """

    __slots__ = (
        "__weakref__",
        "attributes",
        "cell",
        "dtype",
        "hooks",
        "module",
        "number",
        "parents",
        "position",
        "primitive",
        "residuals",
        "shape",
    )

    def __init__(
        self,
        primitive: Primitive | None,
        parents: tuple[Node | None, ...],
        attributes: dict[str, Any],
        shape: tuple[int, ...],
        dtype: np.dtype[Any],
        residuals: dict[str, Any],
        position: Position | None,
        module: str,
    ) -> None:
        self.primitive = primitive
        self.parents = parents
        self.attributes = attributes
        self.shape = shape
        self.dtype = dtype
        self.residuals = residuals
        self.position = position
        self.module = module
        self.number = next(_numbers)
        self.cell: Any = None
        self.hooks: list[Callable[[Any], Any]] | None = None

    @property
    def is_leaf(self) -> bool:
        """Whether the node has no inputs: a parameter, or a tensor that requires a gradient."""
        return self.primitive is None

    @property
    def name(self) -> str:
        """What to call the node: the name of its primitive; for a leaf the name of its cell, or "leaf"."""
        if self.primitive is not None:
            return self.primitive.name
        return getattr(self.cell, "name", "") or "leaf"

    @property
    def where(self) -> str:
        """The user's source line that made the node, in words."""
        return describe(self.position)

    def residual_bytes(self) -> int:
        """Bytes that this node keeps for the backward pass."""
        return sum(array.nbytes for array in self.residual_arrays())

    def residual_arrays(self) -> list[Any]:
        """What this node keeps for the backward pass, without names."""
        if self.residuals is RELEASED:
            return []
        parts = (kept if isinstance(kept, tuple) else (kept,) for kept in self.residuals.values())
        return [array for part in parts for array in part if hasattr(array, "nbytes")]

    def __repr__(self) -> str:
        return f"<Node %{self.number} {self.name} {self.dtype}{list(self.shape)}>"


def leaf(shape: tuple[int, ...], dtype: np.dtype[Any], cell: Any, position: Position | None = None) -> Node:
    """A node without inputs; gradients that arrive at it are added to ``cell.grad``."""
    node = Node(None, (), {}, shape, dtype, {}, position, "")  # it was there before any module ran
    node.cell = cell
    return node


def topological(outputs: Iterable[Node], since: int = -1) -> list[Node]:
    """All nodes that the outputs depend on, inputs first; each once, without recursion.

    Args:
        since: nodes with a number up to this one are left out, and so is what lies below them.
    """
    reached = {node for node in outputs if node.number > since}
    waiting = list(reached)
    while waiting:
        for parent in waiting.pop().parents:
            if parent is not None and parent not in reached and parent.number > since:
                reached.add(parent)
                waiting.append(parent)
    return sorted(reached, key=_number_of)


def take_number() -> int:
    """A number of its own: nodes made before have lower ones, nodes made from now on higher ones."""
    return next(_numbers)


class Graph:
    """The graph below some outputs, for reading and printing.

    Args:
        outputs: tensors (or nodes) whose history to collect; at least one must have one.

    Attributes:
        nodes: in topological order, inputs first.
        outputs: the nodes of the outputs.

    >>> import clearprop as cp
    >>> x, y = cp.tensor(2.0, requires_grad=True), cp.tensor(1.0, requires_grad=True)
    >>> graph = cp.Graph(y * (x * x + x))
    >>> [node.name for node in graph.nodes]
    ['leaf', 'leaf', 'multiply', 'add', 'multiply']
    """

    def __init__(self, *outputs: Any) -> None:
        nodes = (output if isinstance(output, Node) else output.node for output in outputs)
        self.outputs = [node for node in nodes if node is not None]
        self.nodes = topological(self.outputs)

    @property
    def leaves(self) -> list[Node]:
        """The nodes without inputs: where gradients end up."""
        return [node for node in self.nodes if node.is_leaf]

    def residual_bytes(self) -> int:
        """Bytes kept for the backward pass; an array that several nodes keep counts once."""
        arrays = {id(array): array.nbytes for node in self.nodes for array in node.residual_arrays()}
        return sum(arrays.values())

    if TYPE_CHECKING:  # given by the lens

        def draw(self, *, depth: int | None = None, unfold: str | Iterable[str] = ()) -> Any: ...

    def __len__(self) -> int:
        return len(self.nodes)

    def __str__(self) -> str:
        rows = [self._row(node) for node in self.nodes]
        widths = [max((len(row[i]) for row in rows), default=0) for i in range(4)]
        head = f"Graph: {len(self.nodes)} nodes, {len(self.leaves)} leaves, {self.residual_bytes():,} bytes kept"
        lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, [*widths, 0], strict=True)) for row in rows]
        return "\n".join([head, *(line.rstrip() for line in lines)])

    def _row(self, node: Node) -> tuple[str, str, str, str, str]:
        operands = ", ".join("constant" if parent is None else f"%{parent.number}" for parent in node.parents)
        attributes = "".join(f", {key}={value}" for key, value in node.attributes.items())
        call = node.name if node.is_leaf else f"{node.name}({operands}{attributes})"
        return f"%{node.number}", call, f"{node.dtype}{list(node.shape)}", node.module, node.where
