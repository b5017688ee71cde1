"""Kernels that are alike: one writer for all of them.

A deep network is a few kernels again and again, each time with other buffers. A kernel is told by its nodes, and by how
they read what others have written; the first of those that are told in the same words gets a writer, and the others
take its code with buffers of their own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from clearprop.compiler.native.kernels import Fusion, Kernel
from clearprop.compiler.native.lowerings import Writer, replaceable, writer
from clearprop.compiler.native.machine import Machine
from clearprop.compiler.native.views import View
from clearprop.graph import Node

_TOLD_BY_PARTS = frozenset(
    {"matmul", "convolution", "convolution_data_gradient", "convolution_weight_gradient"}
)  # fmt: skip
"""Primitives whose writers look at nothing but their kernel and how it reads. Others ask for more: where indices come
from, which numbers a constant holds."""


class Coded:
    """A kernel that has native code.

    Attributes:
        writer: who writes the code, with the buffers of the first kernel that is like this one.
        buffers: those that the code takes here, in order.
    """

    __slots__ = ("_model", "_nodes", "buffers")

    def __init__(self, model: _Model, nodes: Sequence[Node]) -> None:
        self._model, self._nodes = model, nodes
        self.buffers = [nodes[place] for place in model.buffers]

    @property
    def writer(self) -> Writer:
        """Who writes the code."""
        return self._model.writer

    def replaceable(self, node: Node) -> list[Node]:
        """The buffers in whose place it may write a node."""
        return [self._nodes[place] for place in self._model.replaceable(self._nodes.index(node))]


class _Model:
    """A writer, and what it says of the nodes of its kernel, by their places among them."""

    def __init__(self, made: Writer, nodes: Sequence[Node]) -> None:
        self.writer, self._nodes = made, nodes
        self.buffers = [nodes.index(node) for node in made.buffers]
        self._replaceable: dict[int, list[int]] = {}

    def replaceable(self, place: int) -> list[int]:
        """Where the buffers stand in whose place a node may be written."""
        if place not in self._replaceable:
            found = replaceable(self.writer, self._nodes[place])
            self._replaceable[place] = [self._nodes.index(node) for node in found]
        return self._replaceable[place]


def coded(fusion: Fusion, machine: Machine) -> dict[Kernel, Coded]:
    """The kernels that have native code, and something to do."""
    models: dict[Any, _Model] = {}
    found: dict[Kernel, Coded] = {}
    for kernel in fusion.kernels:
        if any(0 in node.shape for node in kernel.stored):
            continue
        words, nodes = _told(fusion.views, kernel) if _is_told_by_parts(kernel) else (None, [])
        model = models.get(words)
        if model is None:
            made = writer(fusion, kernel, machine)
            if made is None:
                continue
            nodes = nodes or made.buffers
            model = _Model(made, nodes)
            if words is not None:
                models[words] = model
        found[kernel] = Coded(model, nodes)
    return found


def _is_told_by_parts(kernel: Kernel) -> bool:
    return kernel.space is not None or kernel.node.name in _TOLD_BY_PARTS


def _told(views: Mapping[Node, View], kernel: Kernel) -> tuple[Any, list[Node]]:
    """A kernel in words, where numbers stand for nodes, and these nodes: its own, and whose buffers they read."""
    numbers = {node: number for number, node in enumerate(kernel.nodes)}
    own = len(numbers)
    words: list[Any] = [kernel.space, own]
    for node in kernel.nodes:
        words += node.primitive, node.shape, node.dtype
        if node.attributes:
            words.append(str(node.attributes))
        for parent in node.parents:
            assert parent is not None
            number = numbers.get(parent, own)
            if number < own:
                words.append(number)
                continue
            source, shape, strides, offset, positions = views[parent]
            words += numbers.setdefault(source, len(numbers)), source.shape, source.dtype, shape, strides, offset
            if positions is not None:
                rows = positions.source
                words += numbers.setdefault(rows, len(numbers)), rows.dtype, *positions[1:]
    words += [numbers[node] for node in kernel.stored]
    return tuple(words), list(numbers)
