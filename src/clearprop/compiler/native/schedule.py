"""In which order kernels run: so that little memory is needed, and values can be updated where they stand.

A kernel that frees as much memory as it takes runs as soon as it can, as the update of a weight does when its gradient
is there. One that writes the new value of a cell over the old one runs behind all others that read the old one, and
behind all that may fail: an error then leaves every cell as it was.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from heapq import heappop, heappush
from typing import Generic, NamedTuple, TypeVar

Buffer = TypeVar("Buffer", bound=Hashable)

_NONE: Mapping[object, object] = {}


class Task(NamedTuple, Generic[Buffer]):
    """What a kernel does to buffers.

    Attributes:
        reads, writes: buffers, each once.
        may_fail: whether it may stop the program.
        replaces: for a buffer that it writes, the one in whose place it is to be written, if nobody else reads that
            any more by then.
    """

    reads: Sequence[Buffer]
    writes: Sequence[Buffer]
    may_fail: bool = False
    replaces: Mapping[Buffer, Buffer] = _NONE  # type: ignore[assignment]


class Schedule(NamedTuple, Generic[Buffer]):
    """An order of tasks.

    Attributes:
        order: their numbers.
        replaced: the buffers that are written in the place of another, with that one.
    """

    order: list[int]
    replaced: dict[Buffer, Buffer]


def schedule(tasks: Sequence[Task[Buffer]], nbytes: Callable[[Buffer], int]) -> Schedule[Buffer]:
    """The order in which tasks run; the one that is given, where nothing speaks against it.

    Args:
        tasks: each behind those whose buffers it reads.
        nbytes: how much memory a buffer takes; 0 where it has memory of its own.

    >>> forward, gradient = Task(["w"], ["y"]), Task(["y"], ["g"])
    >>> further, update = Task(["w", "g"], ["gx"]), Task(["w", "g"], ["new w"], replaces={"new w": "w"})
    >>> schedule([forward, gradient, update, further], lambda buffer: 8)
    Schedule(order=[0, 1, 3, 2], replaced={'new w': 'w'})
    """
    return _Run(tasks, nbytes).schedule()


class _Run(Generic[Buffer]):
    """Tasks being put into order."""

    def __init__(self, tasks: Sequence[Task[Buffer]], nbytes: Callable[[Buffer], int]) -> None:
        self.tasks, self.nbytes = tasks, nbytes
        writer = {buffer: i for i, task in enumerate(tasks) for buffer in task.writes}
        self.needed_by: list[list[int]] = [[] for _ in tasks]
        self.needs = [0] * len(tasks)  # for how many others each still waits
        self.readers: dict[Buffer, set[int]] = {}  # those that have not run yet
        for i, task in enumerate(tasks):
            for buffer in task.reads:
                self.readers.setdefault(buffer, set()).add(i)
            for other in {writer[buffer] for buffer in task.reads if buffer in writer}:
                self.needed_by[other].append(i)
                self.needs[i] += 1
        self.replacing = {old: i for i, task in enumerate(tasks) for old in task.replaces.values()}
        self.may_fail = sum(task.may_fail for task in tasks)  # how many of these have not run yet
        self.done = [False] * len(tasks)
        self.ready: list[int] = []
        self.urgent: list[int] = []
        self.held: set[int] = set()  # which wait only for readers of what they replace, or for what may fail
        self.given_up: set[int] = set()  # which have to write elsewhere

    def schedule(self) -> Schedule[Buffer]:
        """Run them all."""
        for i, count in enumerate(self.needs):
            if not count:
                self._offer(i)
        order = list[int]()
        while len(order) < len(self.tasks):
            order.append(self._next())
            self._finish(order[-1])
        kept = (task for i, task in enumerate(self.tasks) if i not in self.given_up)
        return Schedule(order, {new: old for task in kept for new, old in task.replaces.items()})

    def _next(self) -> int:
        for heap in (self.urgent, self.ready):
            while heap:
                i = heappop(heap)
                if not self.done[i]:
                    return i
        i = min(self.held)  # all the others wait for it, and some of these read what it would replace
        self.held.remove(i)
        self.given_up.add(i)
        return i

    def _offer(self, i: int) -> None:
        """A task whose operands are there."""
        if self._must_wait(i):
            self.held.add(i)
            return
        self.held.discard(i)
        heappush(self.ready, i)
        self._press(i)

    def _must_wait(self, i: int) -> bool:
        replaced = self.tasks[i].replaces.values()
        if not replaced:
            return False
        return self.may_fail > 0 or any(self.readers.get(old, set()) - {i} for old in replaced)

    def _press(self, i: int) -> None:
        """Let a task that is ready run next, if it frees what it takes."""
        task = self.tasks[i]
        freed = sum(self.nbytes(buffer) for buffer in task.reads if len(self.readers[buffer]) == 1)
        if sum(self.nbytes(buffer) for buffer in task.writes if buffer in self.readers) <= freed:
            heappush(self.urgent, i)

    def _finish(self, i: int) -> None:
        """Note that a task has run, and which can run now."""
        task = self.tasks[i]
        self.done[i] = True
        self.may_fail -= task.may_fail
        for buffer in task.reads:
            readers = self.readers[buffer]
            readers.remove(i)
            if self.replacing.get(buffer) in self.held:
                self._offer(self.replacing[buffer])
            if len(readers) == 1:
                (last,) = readers
                if not self.needs[last] and last not in self.held:
                    self._press(last)
        if task.may_fail and not self.may_fail:
            for held in sorted(self.held):
                self._offer(held)
        for other in self.needed_by[i]:
            self.needs[other] -= 1
            if not self.needs[other]:
                self._offer(other)
