"""In which order kernels run: so that little memory is needed, and values can be updated where they stand.

A kernel runs when somebody is about to need its result, and at once if it frees as much memory as it takes, as the
update of a weight does as soon as its gradient is there. A kernel that writes the new value of a cell over the old one
runs behind all others that read the old one, and behind all that may fail: an error then leaves every cell as it was.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from heapq import heappop, heappush
from typing import Generic, NamedTuple, TypeVar

Buffer = TypeVar("Buffer", bound=Hashable)


class Task(NamedTuple, Generic[Buffer]):
    """What a kernel does to buffers.

    Attributes:
        reads, writes: buffers.
        may_fail: whether it may stop the program.
        replaces: for a buffer that it writes, the one whose place it may take if nobody reads that any more.
    """

    reads: Sequence[Buffer]
    writes: Sequence[Buffer]
    may_fail: bool = False
    replaces: Mapping[Buffer, Buffer] = {}  # noqa: RUF012 - never written to


class Schedule(NamedTuple, Generic[Buffer]):
    """An order of tasks.

    Attributes:
        order: their numbers.
        replaced: the buffers whose place another one takes, by that one.
        peak: so many bytes are needed at one time.
    """

    order: list[int]
    replaced: dict[Buffer, Buffer]
    peak: int


def schedule(tasks: Sequence[Task[Buffer]], nbytes: Callable[[Buffer], int]) -> Schedule[Buffer]:
    """The better of two orders: of several things that a task needs, the one with little, or with much, behind it first.

    Args:
        tasks: each behind those whose buffers it reads; the more others a task needs, the later it comes.
        nbytes: how much memory a buffer takes; 0 where it has memory of its own.

    >>> read, grow, shrink = Task([], ["x"]), Task(["x"], ["y"]), Task(["y"], ["z"])
    >>> schedule([read, Task([], ["late"]), grow, shrink, Task(["z", "late"], ["end"])], lambda buffer: 8).order
    [0, 2, 3, 1, 4]
    """
    writer = {buffer: i for i, task in enumerate(tasks) for buffer in task.writes}
    needs = [sorted({writer[b] for b in task.reads if b in writer} - {i}) for i, task in enumerate(tasks)]
    orders = [_by_need(needs), _by_need([one[::-1] for one in needs])]
    return min((_Run(tasks, needs, order, nbytes).schedule() for order in orders), key=lambda found: found.peak)


def _by_need(needs: Sequence[Sequence[int]]) -> list[int]:
    """All tasks, each right before the first that needs it."""
    needed = {i for one in needs for i in one}
    order, placed = list[int](), [False] * len(needs)
    for end in (i for i in range(len(needs)) if i not in needed):
        waiting = [(end, 0)]
        while waiting:
            i, done = waiting.pop()
            following = next((k for k in range(done, len(needs[i])) if not placed[needs[i][k]]), None)
            if following is not None:
                waiting += [(i, following + 1), (needs[i][following], 0)]
            elif not placed[i]:
                placed[i] = True
                order.append(i)
    return order


class _Run(Generic[Buffer]):
    """Tasks being put into order: those that can run wait in two heaps, by their place in an order that is given."""

    def __init__(
        self,
        tasks: Sequence[Task[Buffer]],
        needs: Sequence[Sequence[int]],
        order: Sequence[int],
        nbytes: Callable[[Buffer], int],
    ) -> None:
        self.tasks, self.nbytes = tasks, nbytes
        self.place = {task: place for place, task in enumerate(order)}
        self.given = order
        self.open = [len(one) for one in needs]  # how many others each still waits for
        self.needed_by: list[list[int]] = [[] for _ in tasks]
        for i, one in enumerate(needs):
            for other in one:
                self.needed_by[other].append(i)
        self.readers: dict[Buffer, set[int]] = {}  # those that have not run
        for i, task in enumerate(tasks):
            for buffer in task.reads:
                self.readers.setdefault(buffer, set()).add(i)
        self.replacing: dict[Buffer, int] = {old: i for i, task in enumerate(tasks) for old in task.replaces.values()}
        self.given_up: set[int] = set()
        self.may_fail = sum(task.may_fail for task in tasks)
        self.done = [False] * len(tasks)
        self.ready: list[tuple[int, int]] = []
        self.urgent: list[tuple[int, int]] = []
        self.held: set[int] = set()  # updates that wait for readers of the old value, or for what may fail

    def schedule(self) -> Schedule[Buffer]:
        """Run them all."""
        order, live, peak = list[int](), 0, 0
        for i, count in enumerate(self.open):
            if not count:
                self._offer(i)
        while len(order) < len(self.tasks):
            i = self._next()
            task = self.tasks[i]
            order.append(i)
            live += sum(map(self.nbytes, task.writes))
            peak = max(peak, live)
            live -= self._finish(i)
        replaced = {
            new: old for i, task in enumerate(self.tasks) if i not in self.given_up for new, old in task.replaces.items()
        }
        return Schedule(order, replaced, peak)

    def _next(self) -> int:
        for heap in (self.urgent, self.ready):
            while heap:
                _, i = heappop(heap)
                if not self.done[i]:
                    return i
        # All that are left wait for an update, and that for one of them: its value goes elsewhere.
        i = min(self.held, key=lambda i: self.place[i])
        self.held.remove(i)
        self.given_up.add(i)
        return i

    def _offer(self, i: int) -> None:
        """A task that waits for no other's result."""
        if i not in self.given_up and self._must_wait(i):
            self.held.add(i)
            return
        self.held.discard(i)
        heappush(self.ready, (self.place[i], i))
        if self._growth(i) <= 0:
            heappush(self.urgent, (self.place[i], i))

    def _must_wait(self, i: int) -> bool:
        replaced = self.tasks[i].replaces.values()
        if not replaced:
            return False
        return self.may_fail > self.tasks[i].may_fail or any(self.readers.get(old, {i}) - {i} for old in replaced)

    def _growth(self, i: int) -> int:
        """By how many bytes it changes what is needed."""
        task = self.tasks[i]
        freed = sum(self.nbytes(buffer) for buffer in {*task.reads} if len(self.readers[buffer]) == 1)
        return sum(self.nbytes(buffer) for buffer in task.writes if self.readers.get(buffer)) - freed

    def _finish(self, i: int) -> int:
        """A task has run: who can run now? Returns how many bytes are free again."""
        task, freed = self.tasks[i], 0
        self.done[i] = True
        for buffer in {*task.reads}:
            left = self.readers[buffer]
            left.discard(i)
            if not left:
                freed += self.nbytes(buffer)
            if len(left) == 1:
                (last,) = left
                if not self.open[last] and last not in self.held and self._growth(last) <= 0:
                    heappush(self.urgent, (self.place[last], last))
            if self.replacing.get(buffer) in self.held:
                self._offer(self.replacing[buffer])
        freed += sum(self.nbytes(buffer) for buffer in task.writes if not self.readers.get(buffer))
        if task.may_fail:
            self.may_fail -= 1
            if not self.may_fail:
                for held in sorted(self.held):
                    self._offer(held)
        for other in self.needed_by[i]:
            self.open[other] -= 1
            if not self.open[other]:
                self._offer(other)
        return freed
