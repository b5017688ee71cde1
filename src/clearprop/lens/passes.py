"""Which contributions belong to which backward pass.

A pass may run inside a step of another one, as where a checkpoint computes its part again and differentiates it. What
it hands to the inputs that it was asked about is not summed up there: the step that ran it hands it on, as its own
contributions. An observer is not told when a pass ends; it has ended when the pass around it goes on.
"""

from __future__ import annotations

from typing import NamedTuple

from clearprop.graph import Node
from clearprop.lens.rows import Edge, Row, Visit


class _Pass(NamedTuple):
    """A pass that may still go on: where it began, and the contributions that no visit has summed up yet."""

    root: Row
    waiting: dict[Node, list[Edge]]


class Passes:
    """Brings contributions to the visits that sum them up, while these are read in the order in which they happened."""

    def __init__(self) -> None:
        self._running: list[_Pass] = []  # each inside the one before, or after it

    def arrive(self, visit: Visit, begins: bool | None = None) -> None:
        """Tell a visit in which pass it is, and give it the contributions that have been waiting for it.

        Args:
            begins: whether a pass begins there; by default it does where nothing was waiting.
        """
        node, running = visit.row.node, self._running
        holding = next((i for i in reversed(range(len(running))) if node in running[i].waiting), None)
        visit.begins = holding is None if begins is None else begins
        if visit.begins or not running:
            running.append(_Pass(visit.row, {}))
        elif holding is not None:
            for ended in running[holding + 1 :]:
                _forget(ended)
            del running[holding + 1 :]
            visit.contributions_in = running[holding].waiting.pop(node)
        visit.root = running[-1].root

    def hand_on(self, edge: Edge) -> None:
        """Let a contribution wait for the visit of its input, in the pass of the visit that was the last to arrive."""
        self._running[-1].waiting.setdefault(edge.input.node, []).append(edge)


def _forget(ended: _Pass) -> None:
    """Nothing was summed up from what still waits: it has been returned to the step that ran the pass."""
    for edges in ended.waiting.values():
        for edge in edges:
            if edge in edge.input.users:
                edge.input.users.remove(edge)
