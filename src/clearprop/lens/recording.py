"""What was told while a run was watched, and the rows that are made of it when somebody looks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from clearprop.graph import Node
from clearprop.lens.modules import Call
from clearprop.lens.names import constants, variables
from clearprop.lens.passes import Passes
from clearprop.lens.rows import Cut, Edge, Operand, Row, Visit, as_data


class Recording:
    """Events, one tuple of references each, and rows, which are made of them.

    Attributes: see `clearprop.lens.Tape`.
    """

    def __init__(self) -> None:
        self.result: Any = None
        self.error = ""
        self.cuts: dict[Cut, None] = {}
        self.calls: list[Call] = []
        self._events: list[tuple[Any, ...]] = []
        self._used = 0  # so many events are in the rows already
        self._rows: dict[Node, Row] = {}
        self._visits: list[Visit] = []
        self._passes = Passes()
        self._latest: Row | None = None
        self._names: dict[Node, str] = {}
        self.is_partial = False
        self._constant_names: dict[int, str] = {}
        self._named_constants: list[Any] = []  # kept, so that no other array takes their identity

    def add(self, event: tuple[Any, ...]) -> None:
        """Keep one event: the name of the observer's method and what it was told."""
        self._events.append(event)

    @property
    def events(self) -> list[tuple[Any, ...]]:
        """What was kept, in the order in which it happened."""
        return list(self._events)

    @property
    def named_constants(self) -> list[Any]:
        """The arrays of tensors to which no gradient flows and which variables around the recording hold."""
        return list(self._named_constants)

    def learn_names_of_nodes(self, names: Mapping[Node, str]) -> None:
        """Take over the names of all nodes that will have rows; nothing else is then looked up."""
        self._names |= names
        self.is_partial = True

    def read_again(self) -> None:
        """Make all rows anew, because events have been taken away."""
        self._used, self._rows, self._visits, self._passes, self._latest = 0, {}, [], Passes(), None

    def learn_names(self, values: Mapping[str, Any]) -> None:
        """Take over the names of variables for nodes that have none yet."""
        self._names = variables(values) | self._names
        for name, array in constants(values):
            if self._constant_names.setdefault(id(array), name) == name:
                self._named_constants.append(array)
        for node, name in self._names.items():
            if node in self._rows and not self._rows[node].given_name:
                self._rows[node].given_name = name

    def _read(self) -> dict[Node, Row]:
        """All rows, after those events that are not in them yet."""
        for kind, node, *told in self._events[self._used :]:
            if kind == "forward":
                self._add_forward(node, *told)
            elif kind == "value":
                self._row(node).value = as_data(told[0])
            else:
                self._add_visit(node, *told)
        self._used = len(self._events)
        return self._rows

    def _row(self, node: Node) -> Row:
        row = self._rows.get(node)
        if row is None:
            row = self._rows[node] = Row(node, len(self._rows) + 1)
            row.given_name = getattr(node.cell, "name", "") or self._names.get(node, "")
            row.ends_expression = not self.is_partial
        return row

    def _add_forward(self, node: Node, values: list[Any], output: Any, residuals: Any) -> None:
        operands = self._operands(node, values)
        row = self._row(node)
        row.value, row.kept, row.operands = as_data(output), residuals, operands
        if self._latest is not None and _same_place(self._latest.node, node):
            self._latest.ends_expression = False
        self._latest = row

    def _operands(self, node: Node, values: list[Any]) -> tuple[Operand, ...]:
        primitive = node.primitive
        assert primitive is not None
        operands = []
        for i, (parent, value) in enumerate(zip(node.parents, values, strict=True)):
            name = f"x{i + 1}" if primitive.variadic else primitive.inputs[i]
            row = None if parent is None else self._row(parent)
            if row is not None and row.value is None:
                row.value = as_data(value)
            operands.append(Operand(name, row, as_data(value), self._constant_names))
        return tuple(operands)

    def _add_visit(
        self,
        node: Node,
        g: Any,
        contributions: Iterable[Any] = (),
        residuals: Any = None,
        begins: bool | None = None,
    ) -> None:
        row = self._row(node)
        if not row.operands and node.primitive is not None:
            row.operands = self._operands(node, [None] * len(node.parents))
        visit = Visit(row, as_data(g), residuals)
        self._passes.arrive(visit, begins)
        for i, (parent, contribution) in enumerate(zip(node.parents, contributions, strict=False)):
            if parent is None or contribution is None:
                continue
            edge = Edge(visit, i, self._row(parent), as_data(contribution))
            visit.edges.append(edge)
            if not self.is_partial:
                edge.input.users.append(edge)
            self._passes.hand_on(edge)
        if self.is_partial:  # others may have contributed to what is not watched
            row.users += visit.contributions_in
        row.visits.append(visit)
        self._visits.append(visit)


def _same_place(a: Node, b: Node) -> bool:
    if a.position is None or b.position is None:
        return False
    return a.position[0] is b.position[0] and a.position[1] == b.position[1]
