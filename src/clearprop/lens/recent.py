"""A tape of the last steps of a long run, in bounded memory.

A step begins where a parameter is used that has another value than before. Once a gradient is not finite the tape keeps
what it has, as later steps only repeat it.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from clearprop.graph import Node
from clearprop.lens.births import is_bad
from clearprop.lens.rows import as_data
from clearprop.lens.tape import Tape

MOST_BYTES = 1 << 30
"""When the values of the forward pass take more than that, the oldest are forgotten."""


class RecentTape(Tape):
    """A tape that forgets all but the last steps.

    Args:
        steps: how many to keep.
        most_bytes: of values; where the last steps have more, the oldest are forgotten too.

    Attributes:
        is_full: whether a gradient was not finite, and the tape ends with that step.
        is_shortened: whether something was forgotten because of its bytes.
    """

    def __init__(self, steps: int, most_bytes: int = MOST_BYTES) -> None:
        super().__init__()
        self.is_full = self.is_shortened = False
        self._most_steps, self._most_bytes = steps, most_bytes
        self._sizes: list[int] = []  # of the value of each event
        self._bytes = 0
        self._starts: list[tuple[int, int]] = [(0, 0)]  # of each step: its first event, and its first cut
        self._cuts_kept = self._calls_kept = 0  # of a full tape
        self._leaves: dict[Any, Node] = {}  # of each parameter that this step has used

    def add(self, event: tuple[Any, ...]) -> None:
        """Keep one event, and forget others if they are too many."""
        if self.is_full:
            self._stay_as_it_was()
            return
        is_forward = event[0] == "forward"
        if is_forward and self._begins_step(event[1]) and not self._begin_step():
            return
        size = getattr(event[3], "nbytes", 0) if is_forward else 0
        super().add(event)
        self._sizes.append(size)
        self._bytes += size
        while self._bytes > self._most_bytes and len(self._events) > 1:
            self._shorten()

    def _begins_step(self, node: Node) -> bool:
        """Whether a node uses a parameter that has another value than before."""
        leaves = {parent.cell: parent for parent in node.parents if parent is not None and parent.primitive is None}
        begins = any(self._leaves.get(cell, leaf) is not leaf for cell, leaf in leaves.items())
        if begins:
            self._leaves = {}
        self._leaves.update(leaves)
        return begins

    def _begin_step(self) -> bool:
        """Forget the oldest step if there are too many; False if the last is to be kept, and no other is to come."""
        start, _ = self._starts[-1]
        if any(event[0] == "arrived" and is_bad(as_data(event[2])) for event in self._events[start:]):
            self.is_full = True
            self._cuts_kept, self._calls_kept = len(self.cuts), len(self.calls)
            return False
        self._starts.append((len(self._events), len(self.cuts)))
        if len(self._starts) > self._most_steps:
            self._forget(*self._starts[1])
        return True

    def _stay_as_it_was(self) -> None:
        self.cuts = dict.fromkeys(list(self.cuts)[: self._cuts_kept])
        del self.calls[self._calls_kept :]

    def _shorten(self) -> None:
        """Forget the oldest step; of a single step, the first half."""
        self.is_shortened = True
        if len(self._starts) > 1:
            self._forget(*self._starts[1])
        else:
            self._forget(len(self._events) // 2, len(self.cuts) // 2)

    def _forget(self, events: int, cuts: int) -> None:
        self._bytes -= sum(self._sizes[:events])
        del self._events[:events], self._sizes[:events]
        self.cuts = dict.fromkeys(list(self.cuts)[cuts:])
        later = [(event - events, cut - cuts) for event, cut in self._starts if event > events]
        self._starts = [(0, 0), *later]
        first = min((event[1].number for event in self._events), default=np.inf)
        self.calls = [call for call in self.calls if call.last >= first]
        self.read_again()
